//! The last step of a body: with its head, on to its backend.

use sluice_encodings::{Encoding, EncodingHeader, wrap};
use sluice_headers::{HeaderEdit, names::CONTENT_LENGTH};
use sluice_reply::Refusal;
use sluice_route::Transport;
use sluice_wire::{NoMemory, Room};

use crate::{
    AwaitingReply, Count, NoRoom, PendingRequest,
    outgoing::{BodyEdit, Outgoing},
    pending_request::{Head, Place},
};

/// A request that goes on to its backend. It is made from a request whose head has passed every stage and whose
/// records are [`Checked`](sluice_records::Checked), and from nothing else.
///
/// ```
/// use sluice_gate::{BodyStep, Forward, Gate, PendingRequest};
///
/// fn decide(gate: &Gate, request: PendingRequest, body: Vec<u8>) -> Option<Forward> {
///     match gate.on_body(request, body, usize::MAX) {
///         BodyStep::Forward(forward) => Some(forward),
///         BodyStep::LocalReply(_) => None,
///     }
/// }
/// ```
///
/// Nothing else goes on:
///
/// ```compile_fail,E0451
/// use sluice_gate::Forward;
///
/// fn forward(checked: Forward) -> Forward {
///     Forward { edits: Vec::new(), ..checked }
/// }
/// ```
#[derive(Debug)]
pub struct Forward {
    edits: Vec<HeaderEdit>,
    body: BodyEdit,
    place: Place,
    counts: Vec<Count>,
    sent: AwaitingReply,
}

impl Forward {
    /// Brings body and head together. `hold_headers` says whether the head of the reply may be held.
    ///
    /// # Errors
    /// [`Refusal::NoMemory`]: there is none for the encoding that a head which has gone on has announced, or Envoy
    /// holds as much for backends already.
    pub(crate) fn new(
        outgoing: Outgoing,
        request: PendingRequest,
        hold_headers: bool,
        room: Room,
    ) -> Result<Self, Refusal> {
        let place = request.place();
        let PendingRequest { export, route, head, allowance, .. } = request;
        let counts = outgoing.violations().into_iter().flat_map(Count::of_violations).collect();
        let nothing = outgoing.is_empty();
        let encoding = outgoing.encoding();
        let (body, violations) = outgoing.into_parts();
        let (edits, body) = join(body, encoding, head, route.transport, room)?;
        let in_envoy = allowance.forward(body.as_slice().len());
        let in_envoy = in_envoy.map_err(|NoRoom| Refusal::NoMemory)?;
        let sent = AwaitingReply {
            violations,
            nothing,
            hold_headers,
            body: in_envoy,
            ..AwaitingReply::new(export, route)
        };
        Ok(Self { edits, body, place, counts, sent })
    }

    /// The same, with these edits to its head before its own.
    pub(crate) fn with_edits(mut self, first: Vec<HeaderEdit>) -> Self {
        self.edits.splice(..0, first);
        self
    }

    /// The edits to its head; none if that has gone already.
    #[must_use]
    pub fn edits(&self) -> &[HeaderEdit] {
        &self.edits
    }

    /// The body as it goes on.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        self.body.as_slice()
    }

    /// What changes in Envoy's buffer: so many of its first bytes are replaced by these. `None` if it goes on as it is:
    /// what is there need not be copied back.
    #[must_use]
    pub fn buffer_edit(&self) -> Option<(usize, &[u8])> {
        match (self.place, &self.body) {
            (Place::Nowhere, _) | (Place::Envoy(_), BodyEdit::Keep { skip: 0, .. }) => None,
            (Place::Envoy(_), BodyEdit::Keep { skip, .. }) => Some((*skip, &[])),
            (Place::Envoy(size), BodyEdit::Replace(_)) | (Place::Drained(size), _) => {
                Some((size, self.body()))
            }
        }
    }

    /// What to count.
    #[must_use]
    pub fn counts(&self) -> &[Count] {
        &self.counts
    }

    /// What the backend's reply is read with.
    #[must_use]
    pub fn into_awaiting_reply(self) -> AwaitingReply {
        self.sent
    }
}

/// Brings body and head together: a head that is still here says what the body is, and a body
/// whose head has gone becomes what that said.
fn join(
    body: BodyEdit,
    encoding: Encoding,
    head: Head,
    transport: Transport,
    room: Room,
) -> Result<(Vec<HeaderEdit>, BodyEdit), NoMemory> {
    Ok(match head {
        Head::Buffered(mut edits) => {
            edits.push(announce(transport, encoding));
            let length = body.as_slice().len().to_string();
            edits.push(HeaderEdit::set(CONTENT_LENGTH, length));
            (edits, body)
        }
        Head::Forwarded(announced) if transport == Transport::Grpc || announced == encoding => {
            (Vec::new(), body)
        }
        // Decoded by a cut, because the message was not flagged, or because framed snappy came as
        // snappy.
        Head::Forwarded(announced) => {
            (Vec::new(), BodyEdit::Replace(wrap(announced, body.as_slice(), room)?))
        }
    })
}

/// Says how the body, or a message that is flagged as compressed, is.
pub(crate) fn announce(transport: Transport, encoding: Encoding) -> HeaderEdit {
    let header = match transport {
        Transport::Grpc => EncodingHeader::Grpc,
        Transport::Http => EncodingHeader::Content,
    };
    match header.write(encoding) {
        Some(name) => HeaderEdit::set(header.name(), name),
        // Not "identity": every backend refuses that value in content-encoding.
        None => HeaderEdit::remove(header.name()),
    }
}
