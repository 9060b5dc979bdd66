//! The last step of a body: with its head, on to its backend.

use sluice_encodings::{Encoding, EncodingHeader, wrap};
use sluice_headers::{HeaderEdit, names::CONTENT_LENGTH};
use sluice_records::Violations;
use sluice_reply::Refusal;
use sluice_route::Transport;
use sluice_wire::{NoMemory, Room};

use crate::{
    Count, Held, Reply, Sent,
    held::{Head, Route},
    outgoing::Outgoing,
};

/// A request that goes on to its backend. It is made from a request whose head has passed every stage and whose
/// records are [`Checked`](sluice_records::Checked), and from nothing else.
///
/// ```
/// use sluice_gate::{BodyStep, Forward, Gate, Held};
///
/// fn decide(gate: &Gate, request: Held, body: Vec<u8>) -> Option<Forward> {
///     match gate.on_body(request, body, usize::MAX) {
///         BodyStep::Forward(forward) => Some(forward),
///         BodyStep::Reply(_) => None,
///     }
/// }
/// ```
///
/// Nothing else goes on:
///
/// ```compile_fail,E0451
/// use sluice_gate::{BodyEdit, Forward, Sent};
///
/// fn forward(body: Vec<u8>, sent: Sent) -> Forward {
///     Forward { edits: Vec::new(), body: BodyEdit::Replace(body), counts: Vec::new(), sent }
/// }
/// ```
#[derive(Debug)]
pub struct Forward {
    edits: Vec<HeaderEdit>,
    body: BodyEdit,
    counts: Vec<Count>,
    sent: Sent,
}

/// What becomes of a body. What the caller has of it need not be copied back unless it has to be.
#[derive(Debug, PartialEq, Eq)]
pub enum BodyEdit {
    /// It goes on as it came, without its first bytes.
    Keep {
        /// The body as it came.
        body: Vec<u8>,
        /// How many of its first bytes go: a gRPC frame's header, or none.
        skip: usize,
    },
    /// It is replaced.
    Replace(Vec<u8>),
}

impl Forward {
    /// Brings body and head together. `holds` says whether the head of the reply may be held.
    ///
    /// # Errors
    /// [`NoMemory`] for the encoding that a head which has gone on has announced.
    pub(crate) fn new(
        outgoing: Outgoing,
        request: Held,
        holds: bool,
        room: Room,
    ) -> Result<Self, NoMemory> {
        let Held { export, route, head, .. } = request;
        let Route { store, transport, cluster, burst, .. } = route;
        let counts = outgoing.violations().into_iter().flat_map(Count::of_violations).collect();
        let nothing = outgoing.is_empty();
        let (edits, body, violations) = join(outgoing, head, transport, room)?;
        let sent = Sent {
            protocol: export.protocol,
            signal: export.signal,
            store,
            cluster,
            burst,
            transport,
            violations,
            nothing,
            holds,
        };
        Ok(Self { edits, body, counts, sent })
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

    /// What becomes of the body.
    #[must_use]
    pub const fn body(&self) -> &BodyEdit {
        &self.body
    }

    /// What to count.
    #[must_use]
    pub fn counts(&self) -> &[Count] {
        &self.counts
    }

    /// The answer to a request that could go on, if Envoy were not holding as much for backends already.
    pub fn on_no_room(&self) -> Reply {
        Reply::refuse(self.sent.protocol, Some(self.sent.signal), &Refusal::NoMemory)
    }

    /// What the backend's reply is read with.
    #[must_use]
    pub fn into_sent(self) -> Sent {
        self.sent
    }
}

impl BodyEdit {
    /// The body as it goes on.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        match self {
            Self::Keep { body, skip } => body.get(*skip..).unwrap_or_default(),
            Self::Replace(body) => body,
        }
    }

    fn len(&self) -> usize {
        self.as_slice().len()
    }
}

/// Brings body and head together: a head that is still here says what the body is, and a body
/// whose head has gone becomes what that said.
fn join(
    outgoing: Outgoing,
    head: Head,
    transport: Transport,
    room: Room,
) -> Result<(Vec<HeaderEdit>, BodyEdit, Option<Violations>), NoMemory> {
    let encoding = outgoing.encoding();
    let (body, violations) = outgoing.into_parts();
    Ok(match head {
        Head::Held(mut edits) => {
            edits.push(announce(transport, encoding));
            edits.push(HeaderEdit::set(CONTENT_LENGTH, body.len().to_string()));
            (edits, body, violations)
        }
        Head::Gone(announced) if transport == Transport::Grpc || announced == encoding => {
            (Vec::new(), body, violations)
        }
        // Decoded by a cut, because the message was not flagged, or because framed snappy came as
        // snappy.
        Head::Gone(announced) => {
            let body = BodyEdit::Replace(wrap(announced, body.as_slice(), room)?);
            (Vec::new(), body, violations)
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
