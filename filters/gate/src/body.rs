//! The body of a request: unframed, decoded, checked, and sent on as little changed as can be.

use std::borrow::Cow;

use sluice_encodings::{
    Encoding, EncodingHeader, Encodings, decode_within, encode_block, grpc, wrap,
};
use sluice_headers::{HeaderEdit, names::CONTENT_LENGTH};
use sluice_otlp::{Signal, splice::Request};
use sluice_records::{Unfit, Verdict, Violations};
use sluice_remote_write::WriteRequest;
use sluice_reply::{ExportResponse, Protocol, Refusal, Told};
use sluice_route::{Endpoint, Kind, Transport};
use sluice_senders::Admitted;
use sluice_wire::{Edits, NoMemory, Room};

use crate::{
    Count, Gate, Reply, ReplyHead, ReplyStep, Rest, Sent, export::Export, rest::saturated,
};

/// A request whose head has passed. It exists only until its body has come.
#[derive(Debug)]
pub struct Held {
    /// Who sends; `None` only where nobody is asked.
    sender: Option<Admitted>,
    export: Export,
    backend: Kind,
    /// How the backend is spoken to.
    transport: Transport,
    /// What Envoy's route is chosen by.
    cluster: String,
    /// The most bytes of one tenant's that the backend takes at once, if that is known.
    burst: Option<u32>,
    /// The encodings that the backend takes.
    taken: Encodings,
    head: Head,
    /// The length of the body, if it was announced.
    length: Option<usize>,
    left_to_envoy: usize,
}

/// Where the head is while the body comes.
#[derive(Debug)]
enum Head {
    /// Still here, to be edited when the body is known.
    Held(Vec<HeaderEdit>),
    /// On its way to the backend, with this encoding of the body, or of its message if that is flagged.
    Gone(Encoding),
}

/// What is to be done with a request after its body.
#[derive(Debug)]
#[must_use]
pub enum BodyStep {
    /// It goes on.
    Forward(Forward),
    /// The gate answers.
    Reply(Reply),
}

/// A request that goes on to its backend.
#[derive(Debug)]
pub struct Forward {
    /// The edits to its head; none if that has gone already.
    pub edits: Vec<HeaderEdit>,
    /// What becomes of the body.
    pub body: BodyEdit,
    /// What to count.
    pub counts: Vec<Count>,
    /// What the backend's reply is read with.
    pub sent: Sent,
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

impl Held {
    /// Body bytes that are left to Envoy when the head has gone on: half of Envoy's default buffer. Beyond
    /// that, Envoy would answer 413 over HTTP/1.1, so they move into the module.
    pub const BUFFERED_BY_ENVOY: usize = 512 << 10;

    /// How many bytes of the body may wait in Envoy for the rest; what comes beyond that has to move.
    #[must_use]
    pub const fn left_to_envoy(&self) -> usize {
        self.left_to_envoy
    }

    /// Splits the edits to a head into those to make now and those to make with the body.
    pub(crate) fn new(
        sender: Option<Admitted>,
        export: Export,
        backend: Kind,
        endpoint: &Endpoint<'_>,
        mut edits: Vec<HeaderEdit>,
        length: Option<u64>,
        hold: bool,
    ) -> (Vec<HeaderEdit>, Self) {
        let (transport, taken) = (endpoint.transport(), endpoint.encodings());
        let (cluster, burst) = (endpoint.cluster().to_owned(), endpoint.burst());
        let held = |head, left_to_envoy| Self {
            sender,
            export,
            backend,
            transport,
            cluster,
            burst,
            taken,
            head,
            length: length.map(saturated),
            left_to_envoy,
        };
        if hold {
            return (Vec::new(), held(Head::Held(edits), usize::MAX));
        }
        let fits = length.is_some_and(|length| length <= Self::BUFFERED_BY_ENVOY as u64);
        let left_to_envoy = match export.protocol {
            // It may go on decoded, which is longer than it came.
            _ if export.encoding != Encoding::Identity => 0,
            // Over HTTP/2 no piece is longer than a frame.
            Protocol::Grpc => Self::BUFFERED_BY_ENVOY,
            _ if fits => Self::BUFFERED_BY_ENVOY,
            // Over HTTP/1.1 a piece may be as long as the buffer, and there must be nothing in it yet.
            _ => 0,
        };
        // The body may yet become shorter, and whatever it becomes, it has the encoding that is
        // announced now. What the backend does not take goes decoded: a copy back from the module
        // either way, and gzip would add a checksum to it.
        let announced =
            if taken.contains(export.encoding) { export.encoding } else { Encoding::Identity };
        edits.push(HeaderEdit::remove(CONTENT_LENGTH));
        edits.push(announce(transport, announced));
        (edits, held(Head::Gone(announced), left_to_envoy))
    }

    /// The same for a body that may come out longer than it came in. It would not fit where it waited: Envoy
    /// would answer 413 in the backend's place, and nothing would be stored.
    pub(crate) fn lengthened(mut self) -> Self {
        if let Head::Gone(_) = self.head {
            self.left_to_envoy = 0;
        }
        self
    }

    /// Whether a body in this encoding may go on as it came.
    fn passes(&self, encoding: Encoding) -> bool {
        match (&self.head, self.transport) {
            (Head::Held(_), _) => self.taken.contains(encoding),
            // A message says for itself that it is not compressed.
            (Head::Gone(_), Transport::Grpc) if encoding == Encoding::Identity => true,
            (Head::Gone(announced), _) => *announced == encoding,
        }
    }

    /// Decides on a reply that comes before the body has. Nothing was stored, whatever it says. It is a
    /// backend's that does not wait for the body, or Envoy's own, to a request that takes too long, say, or
    /// is over Envoy's own limit.
    pub fn on_early_reply(self, head: &ReplyHead<'_>) -> ReplyStep {
        let sent = Sent {
            protocol: self.export.protocol,
            signal: self.export.signal,
            answers: self.backend.as_str(),
            cluster: self.cluster,
            burst: self.burst,
            transport: self.transport,
            violations: None,
            nothing: false,
            holds: false,
        };
        sent.on_early_reply(head)
    }
}

impl Gate {
    /// What is thrown away of a request that is refused while its body comes; `None` if its answer goes
    /// at once.
    #[must_use]
    pub fn rest_of(&self, held: &Held) -> Option<Rest> {
        Rest::new(held.export.protocol, held.length, self.limits.discarded_bytes)
    }

    /// The answer to a body that has grown over its limit before it came to its end.
    pub fn on_body_too_large(&self, held: &Held) -> Reply {
        let refusal = Refusal::BodyTooLarge { limit: self.limits.body_bytes };
        Reply::refuse(held.export.protocol, Some(held.export.signal), &refusal)
    }

    /// The answer to a body that there is no room for at the moment: its sender or the worker has
    /// too many that wait.
    pub fn on_no_room(&self, held: &Held) -> Reply {
        Reply::refuse(held.export.protocol, Some(held.export.signal), &Refusal::NoMemory)
    }

    /// The answer to trailers behind a body that Envoy does not hold any more, where a message
    /// cannot be put in front of them.
    pub fn on_stray_trailers(&self, held: &Held) -> Reply {
        Reply::refuse(held.export.protocol, Some(held.export.signal), &Refusal::Trailers)
    }

    /// Decides on a request by its whole body.
    ///
    /// `room` is how many bytes of memory may be taken for it beside the body: decoded, for the edits
    /// and for what goes on. What needs more is refused with [`Refusal::NoMemory`], to be sent again;
    /// what is over a limit is over it in any room. [`Limits`](crate::Limits) says how much a request
    /// can need at all.
    pub fn on_body(&self, held: Held, body: Vec<u8>, room: usize) -> BodyStep {
        let Export { protocol, signal, .. } = held.export;
        match self.decide_body(held, body, Room::of(room)) {
            Ok(step) => step,
            Err(refusal) => BodyStep::Reply(Reply::refuse(protocol, Some(signal), &refusal)),
        }
    }

    fn decide_body(&self, held: Held, body: Vec<u8>, mut room: Room) -> Result<BodyStep, Refusal> {
        let limit = self.limits.body_bytes;
        if body.len() > limit {
            return Err(Refusal::BodyTooLarge { limit });
        }
        let Export { signal, protocol, format, encoding } = held.export;
        let (skip, encoding) = match protocol {
            Protocol::Grpc => (grpc::HEADER, message_encoding(&body, encoding)?),
            _ => (0, encoding),
        };
        let payload = body.get(skip..).unwrap_or_default();
        let encoding = match protocol {
            // Its snappy is one block, whatever it begins with.
            Protocol::RemoteWrite => encoding,
            _ => encoding.of_body(payload),
        };
        let (message, at) = self.decoded(payload, encoding, skip, &mut room)?;
        let (verdict, edits) = match &self.rules {
            Some(rules) => {
                let limits = self.limits.of_reading(room);
                let (message, sender) = (&message, held.sender.as_ref());
                let checked = match protocol {
                    Protocol::RemoteWrite => {
                        rules.check_series(&WriteRequest { message, limits }, sender)
                    }
                    _ => rules.check(&Request { message, at, signal, format, limits }, sender),
                };
                let checked = checked.map_err(|unfit| refusal(unfit, signal))?;
                checked.into_parts()
            }
            None => (Verdict::Kept(None), Edits::default()),
        };
        let (nothing, violations) = match verdict {
            Verdict::AllDropped(violations) => return Err(Refusal::AllDropped(violations)),
            Verdict::Nothing(violations) => {
                match nothing_stored(&held.export, violations.as_ref()) {
                    Some(reply) => return Ok(BodyStep::Reply(reply)),
                    None => (true, violations),
                }
            }
            Verdict::Kept(violations) => (false, violations),
        };
        let checked = if edits.is_empty() && held.passes(encoding) {
            let skip = match held.transport {
                Transport::Grpc => 0,
                Transport::Http => skip,
            };
            Outgoing { body: BodyEdit::Keep { body, skip }, encoding }
        } else {
            let mut buffer = match message {
                Cow::Owned(decoded) => {
                    // What goes on is made of the decoded message alone.
                    room.give_back(body.capacity());
                    drop(body);
                    decoded
                }
                Cow::Borrowed(_) => body,
            };
            // The edits count from where the message began, frame included.
            room.take(edits.memory())?;
            let before = buffer.capacity();
            edits.apply_within(&mut buffer, at, room)?;
            room.give_back(edits.memory().saturating_add(before));
            drop(edits);
            room.take(buffer.capacity())?;
            let mut encoding = Encoding::Identity;
            if held.transport == Transport::Grpc {
                grpc::frame(&mut buffer, room)?;
            }
            if protocol == Protocol::RemoteWrite {
                buffer = encode_block(&buffer, room)?;
                encoding = Encoding::SnappyRaw;
            }
            Outgoing { body: BodyEdit::Replace(buffer), encoding }
        };
        let counts = violations.iter().flat_map(Count::of_violations).collect();
        let sent = Sent {
            protocol,
            signal,
            answers: held.backend.as_str(),
            cluster: held.cluster,
            burst: held.burst,
            transport: held.transport,
            violations,
            nothing,
            holds: self.hold_headers,
        };
        let (edits, body) = checked.join(held.head, held.transport, room)?;
        Ok(BodyStep::Forward(Forward { edits, body, counts, sent }))
    }

    /// The message in a payload, and the offset at which it begins in the buffer that holds it.
    fn decoded<'b>(
        &self,
        payload: &'b [u8],
        encoding: Encoding,
        skip: usize,
        room: &mut Room,
    ) -> Result<(Cow<'b, [u8]>, usize), Refusal> {
        let limit = self.limits.decoded_bytes;
        match encoding {
            Encoding::Identity if payload.len() > limit => Err(Refusal::DecodedTooLarge { limit }),
            Encoding::Identity => Ok((Cow::Borrowed(payload), skip)),
            encoding => Ok((Cow::Owned(decode_within(encoding, payload, limit, room)?), 0)),
        }
    }
}

/// How the one message of a gRPC body is compressed.
fn message_encoding(body: &[u8], announced: Encoding) -> Result<Encoding, Refusal> {
    let frame = grpc::read(body)?;
    match (frame.compressed, announced) {
        (false, _) => Ok(Encoding::Identity),
        (true, Encoding::Identity) => Err(Refusal::CompressedWithoutEncoding),
        (true, encoding) => Ok(encoding),
    }
}

fn refusal(unfit: Unfit, signal: Signal) -> Refusal {
    match unfit {
        Unfit::Unreadable(unreadable) => Refusal::unreadable(unreadable, signal),
        Unfit::Refused(violations) => Refusal::Violation(*violations),
    }
}

/// The answer to a request without records, which need not trouble a backend. `None` over gRPC:
/// only a backend can give the reply the body that success needs there.
fn nothing_stored(export: &Export, violations: Option<&Violations>) -> Option<Reply> {
    let told = Told::Success(ExportResponse::default().with_violations(violations));
    let reply = export.protocol.answer(&told, export.signal)?;
    let mut counts = vec![Count::request(Some(export.signal), "nothing")];
    counts.extend(violations.into_iter().flat_map(Count::of_violations));
    Some(Reply { reply, counts, log: None })
}

/// A body as it would best go on, and how it is then compressed.
struct Outgoing {
    body: BodyEdit,
    encoding: Encoding,
}

impl Outgoing {
    /// Brings body and head together: a head that is still here says what the body is, and a body
    /// whose head has gone becomes what that said.
    fn join(
        self,
        head: Head,
        transport: Transport,
        room: Room,
    ) -> Result<(Vec<HeaderEdit>, BodyEdit), NoMemory> {
        Ok(match head {
            Head::Held(mut edits) => {
                edits.push(announce(transport, self.encoding));
                edits.push(HeaderEdit::set(CONTENT_LENGTH, self.body.len().to_string()));
                (edits, self.body)
            }
            Head::Gone(announced) if transport == Transport::Grpc || announced == self.encoding => {
                (Vec::new(), self.body)
            }
            // Decoded by a cut, because the message was not flagged, or because framed snappy came as
            // snappy.
            Head::Gone(announced) => {
                (Vec::new(), BodyEdit::Replace(wrap(announced, self.body.as_slice(), room)?))
            }
        })
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

/// Says how the body, or a message that is flagged as compressed, is.
fn announce(transport: Transport, encoding: Encoding) -> HeaderEdit {
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
