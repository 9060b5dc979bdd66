//! The last step of a body: it is joined with its head and forwarded to its backend.

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

/// A request that is forwarded to its backend. It can be made only from a request whose head has passed every stage and
/// whose records are [`Checked`](sluice_records::Checked).
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
/// Nothing else can be forwarded:
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
    /// Joins body and head. `hold_headers` says whether the head of the reply may be held.
    ///
    /// # Errors
    /// [`Refusal::NoMemory`] if there is no memory for the encoding that a forwarded head has announced, or if Envoy
    /// already holds too much for backends.
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

    /// Adds edits to its head, before its own.
    pub(crate) fn with_edits(mut self, first: Vec<HeaderEdit>) -> Self {
        self.edits.splice(..0, first);
        self
    }

    /// The edits to its head; none if it has already been forwarded.
    #[must_use]
    pub fn edits(&self) -> &[HeaderEdit] {
        &self.edits
    }

    /// The body in the form in which it is forwarded.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        self.body.as_slice()
    }

    /// The change to Envoy's buffer: how many of its first bytes are replaced, and by what. `None` if the body is
    /// forwarded unchanged, so that it need not be copied back.
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

    /// The state for reading the backend's reply.
    #[must_use]
    pub fn into_awaiting_reply(self) -> AwaitingReply {
        self.sent
    }
}

/// Joins body and head. A head that is still here is edited to describe the body; a body whose head
/// has been forwarded is encoded as the head has announced.
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
        // The body is decoded because of a cut, because the message was not flagged, or because
        // framed snappy was announced as snappy.
        Head::Forwarded(announced) => {
            (Vec::new(), BodyEdit::Replace(wrap(announced, body.as_slice(), room)?))
        }
    })
}

/// The edit that announces the encoding of the body, or of a message that is flagged as compressed.
pub(crate) fn announce(transport: Transport, encoding: Encoding) -> HeaderEdit {
    let header = match transport {
        Transport::Grpc => EncodingHeader::Grpc,
        Transport::Http => EncodingHeader::Content,
    };
    match header.write(encoding) {
        Some(name) => HeaderEdit::set(header.name(), name),
        // Not "identity", because every backend refuses that value in content-encoding.
        None => HeaderEdit::remove(header.name()),
    }
}
