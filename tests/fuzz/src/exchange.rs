//! A request and its backend's reply, in a form that both a person and a fuzzer can change, and its way through a gate.

use std::collections::BTreeSet;

use sluice_gate::{
    BodyStep, Count, Gate, HeadStep, PendingRequest, Receive, ReplyDecision, ReplyEdits, ReplyHead,
    ReplyStep, RequestHead, Worker,
};
use sluice_headers::{HeaderEdit, Headers};
use sluice_reply::{LocalResponse, Protocol, ReplyPayload};
use sluice_senders::Connection;

/// Headers in order, including pseudo headers.
pub type HeaderList = Vec<(String, Vec<u8>)>;

/// A request, the attributes of its connection, and the backend's reply.
#[derive(Clone, Debug, Default)]
pub struct Exchange {
    /// Options, one letter each, in any order. `h`: the head is held. `e`: the request's head ends the stream; `r`: the
    /// reply's head does. `l`: the body grows over its limit; `t`: trailers follow the body;
    /// `i`: Envoy answers before the whole body has arrived, or with `b`, the backend does. `m`: the reply cannot
    /// carry a message any more. A digit chooses a configuration.
    pub options: String,
    /// The request's head. A name that begins with `@` is an attribute of the connection: `@certificate`, `@valid`,
    /// `@presented`, `@digest`.
    pub head: HeaderList,
    /// The request's body.
    pub body: Vec<u8>,
    /// The head of the backend's reply. `@details` is the source of the reply as Envoy reports it.
    pub reply_head: HeaderList,
    /// The body of the backend's reply.
    pub reply_body: Vec<u8>,
}

/// The separator between the four parts of an exchange: head, body, the reply's head, the reply's body.
const SEPARATOR: &[u8] = b"\n%%\n";

impl Exchange {
    /// Reads an exchange: options on the first line, then a header on each line, then the other three parts. Missing
    /// parts are empty, and unreadable parts are ignored.
    #[must_use]
    pub fn read(data: &[u8]) -> Self {
        let mut parts = split(data).into_iter();
        let mut part = || parts.next().unwrap_or_default();
        let (head, body) = (part(), part());
        let options = head.split(|byte| *byte == b'\n').next().unwrap_or_default();
        Self {
            options: String::from_utf8_lossy(options).into_owned(),
            head: headers(head),
            body: body.to_vec(),
            reply_head: headers(part()),
            reply_body: part().to_vec(),
        }
    }

    /// Writes the exchange as [`read`](Self::read) reads it.
    #[must_use]
    pub fn write(&self) -> Vec<u8> {
        let lines = |headers: &HeaderList| {
            let line = |(name, value): &(String, Vec<u8>)| {
                [name.as_bytes(), b": ", value.as_slice()].concat()
            };
            headers.iter().map(line).collect::<Vec<_>>().join(&b'\n')
        };
        let head = [self.options.as_bytes(), b"\n", &lines(&self.head)].concat();
        [head, self.body.clone(), lines(&self.reply_head), self.reply_body.clone()].join(SEPARATOR)
    }

    fn asks(&self, option: char) -> bool {
        self.options.contains(option)
    }

    /// The index of the chosen configuration, of this many.
    #[must_use]
    pub fn configuration(&self, count: usize) -> usize {
        let digit = self.options.chars().find_map(|character| character.to_digit(10));
        usize::try_from(digit.unwrap_or_default()).map_or(0, |digit| digit % count)
    }

    /// Whether the head is held until the body has been checked.
    #[must_use]
    pub fn holds_head(&self) -> bool {
        self.asks('h')
    }
}

fn split(data: &[u8]) -> Vec<&[u8]> {
    let mut parts = Vec::new();
    let mut rest = data;
    while parts.len() < 3 {
        let found = rest.windows(SEPARATOR.len()).position(|window| window == SEPARATOR);
        let Some(at) = found else { break };
        parts.push(&rest[..at]);
        rest = &rest[at + SEPARATOR.len()..];
    }
    parts.push(rest);
    parts
}

/// Header lines, with names in lower case as in Envoy.
fn headers(part: &[u8]) -> HeaderList {
    let header = |line: &[u8]| {
        let colon = line.windows(2).position(|window| window == b": ")?;
        let name = str::from_utf8(&line[..colon]).ok()?;
        Some((name.to_ascii_lowercase(), line[colon + 2..].to_vec()))
    };
    part.split(|byte| *byte == b'\n').filter_map(header).collect()
}

/// The outcome of an exchange.
#[derive(Debug)]
pub enum Outcome {
    /// The backend got the request, and the sender the reply.
    Forwarded(Forwarded),
    /// Envoy answered before the gate had decided, and the sender got this answer.
    Interrupted(Told),
    /// The gate does not check the body. This is the forwarded head.
    Passed(HeaderList),
    /// The gate answered, and nothing was forwarded.
    Refused(LocalResponse),
}

/// A request as its backend received it.
#[derive(Debug)]
pub struct Forwarded {
    /// Its head.
    pub head: HeaderList,
    /// Its body.
    pub body: Vec<u8>,
    /// The number of records that the gate dropped.
    pub dropped: u64,
    /// The reply to the sender.
    pub reply: Told,
}

/// How the sender got the backend's reply.
#[derive(Debug)]
pub enum Told {
    /// The gate itself replied.
    Local(LocalResponse),
    /// The sender got this head only.
    Head(HeaderList),
    /// The sender got this head, and the body that the gate wrote in place of the backend's.
    Written(HeaderList, ReplyPayload),
}

/// Sends an exchange through a gate, as the module does.
#[must_use]
pub fn run(gate: &Gate, exchange: &Exchange) -> Outcome {
    let (attributes, mut head): (HeaderList, HeaderList) =
        exchange.head.iter().cloned().partition(|(name, _)| name.starts_with('@'));
    let attribute = |name| Headers(&attributes).first(name);
    let request = RequestHead {
        headers: Headers(&head),
        connection: &Connection {
            certificate: attribute("@certificate"),
            certificate_valid: attribute("@valid"),
            presented: attribute("@presented"),
            digest: attribute("@digest"),
        },
        metadata: None,
        end_of_stream: exchange.asks('e'),
        now: NOW,
    };
    let step = match gate.on_head(&request, &Worker::default()).0 {
        HeadStep::Pass(pass) => {
            edit(&mut head, pass.edits());
            return Outcome::Passed(head);
        }
        HeadStep::LocalReply(reply) => BodyStep::LocalReply(reply),
        HeadStep::Decided(step) => step,
        HeadStep::Body { edits, pending } => {
            assert!(edits.is_empty() || !gate.holds_headers(), "a head that is held was edited");
            edit(&mut head, &edits);
            if exchange.asks('i') {
                return Outcome::Interrupted(reply(|head| pending.on_early_reply(head), exchange));
            }
            receive(gate, *pending, exchange)
        }
    };
    match step {
        BodyStep::LocalReply(reply) => Outcome::Refused(reply.response),
        BodyStep::Forward(forward) => {
            edit(&mut head, forward.edits());
            Outcome::Forwarded(Forwarded {
                head,
                body: forward.body().to_vec(),
                dropped: forward.counts().iter().map(|count| records(*count)).sum(),
                reply: reply(|head| forward.into_awaiting_reply().on_reply_head(head), exchange),
            })
        }
    }
}

/// Receives the body of a request as the module does: in one piece, and perhaps with trailers behind it.
fn receive(gate: &Gate, mut pending: PendingRequest, exchange: &Exchange) -> BodyStep {
    if exchange.asks('l') {
        let too_large = pending.receive(gate.limits().body_bytes + 1, false);
        let Receive::Refuse(reply) = too_large else { panic!("{too_large:?}") };
        return BodyStep::LocalReply(reply);
    }
    let (mut in_envoy, has_trailers) = (&exchange.body[..], exchange.asks('t'));
    let mut receive = pending.receive(in_envoy.len(), !has_trailers);
    if matches!(receive, Receive::Drain) {
        assert!(!gate.holds_headers(), "a body that Envoy holds was drained");
        pending.drain(in_envoy).expect("there is memory");
        in_envoy = &[];
    }
    if matches!(receive, Receive::Drain | Receive::Wait) {
        assert!(has_trailers, "the request is whole");
        receive = pending.receive_trailers();
    }
    match receive {
        Receive::Refuse(reply) => BodyStep::LocalReply(reply),
        Receive::Decide => gate.decide(pending, in_envoy),
        Receive::Drain | Receive::Wait => panic!("the request is whole"),
    }
}

/// The protocol of the reply, which follows from the request's path and content type.
#[must_use]
pub fn protocol(exchange: &Exchange) -> Protocol {
    let path = Headers(&exchange.head).first(":path").unwrap_or_default();
    let path = path.split(|byte| *byte == b'?').next().unwrap_or_default();
    let media_type = media_type(exchange);
    match media_type.as_slice() {
        b"application/grpc" => Protocol::Grpc,
        other if other.starts_with(b"application/grpc+") => Protocol::Grpc,
        _ if matches!(path, b"/api/v1/push" | b"/api/v1/write") => Protocol::RemoteWrite,
        b"application/json" => Protocol::HttpJson,
        _ => Protocol::HttpProtobuf,
    }
}

/// The media type that all `content-type` headers name, in lower case; empty if they differ.
fn media_type(exchange: &Exchange) -> Vec<u8> {
    let all: BTreeSet<_> = Headers(&exchange.head)
        .all("content-type")
        .flat_map(|value| value.split(|byte| *byte == b','))
        .map(|one| one.split(|byte| *byte == b';').next().unwrap_or_default())
        .map(|name| name.trim_ascii().to_ascii_lowercase())
        .collect();
    match all.len() {
        1 => all.into_iter().next().unwrap_or_default(),
        _ => Vec::new(),
    }
}

/// The time of every exchange, in seconds since the epoch: 2026-11-18.
const NOW: u64 = 1_795_000_000;

/// Envoy's attribute `response.code_details`.
const DETAILS: &str = "@details";

fn reply(decide: impl FnOnce(&ReplyHead<'_>) -> ReplyStep, exchange: &Exchange) -> Told {
    let mut head = exchange.reply_head.clone();
    head.retain(|(name, _)| name != DETAILS);
    let of_backend = exchange.asks('b').then(|| b"via_upstream".to_vec());
    let details = || {
        let said = Headers(&exchange.reply_head).first(DETAILS).map(<[u8]>::to_vec);
        said.or_else(|| of_backend.clone())
    };
    let reply = ReplyHead {
        headers: Headers(&head),
        details: &details,
        end_of_stream: exchange.asks('r'),
        now: &|| NOW,
    };
    match decide(&reply) {
        ReplyStep::LocalReply(reply) => Told::Local(reply.response),
        ReplyStep::Pass { edits, .. } => {
            edit(&mut head, &edits);
            Told::Head(head)
        }
        ReplyStep::Rewrite { edits, hold_headers, reply, .. } => {
            assert!(edits.is_empty() || !hold_headers, "a head that is held was edited");
            edit(&mut head, &edits);
            let decision = if exchange.asks('m') {
                reply.finish_without_message(Headers(&exchange.reply_head))
            } else {
                reply.finish(&exchange.reply_body, Headers(&exchange.reply_head))
            };
            let ReplyEdits { edits, written, .. } = match decision {
                ReplyDecision::LocalReply(reply) => {
                    assert!(hold_headers, "a head that has gone was replaced by a local reply");
                    return Told::Local(reply.response);
                }
                ReplyDecision::Rewrite(edits) => edits,
            };
            assert!(edits.is_empty() || hold_headers, "a head that has gone was edited");
            edit(&mut head, &edits);
            Told::Written(head, written)
        }
    }
}

/// The number of records in a count; metrics without data points, and labels, do not count.
fn records(count: Count) -> u64 {
    match count {
        Count::RecordsDropped { reason: "labels" | "no_data_points", .. } => 0,
        Count::RecordsDropped { records, .. } => records,
        Count::CertificateEnding
        | Count::PartsCut { .. }
        | Count::PartsWouldCut { .. }
        | Count::Request { .. }
        | Count::RecordsWouldDrop { .. } => 0,
    }
}

/// Changes a head as Envoy does. Envoy rejects a value with a line break or a zero byte.
fn edit(head: &mut HeaderList, edits: &[HeaderEdit]) {
    for edit in edits {
        let (HeaderEdit::Remove(name) | HeaderEdit::Set(name, _)) = edit;
        head.retain(|(key, _)| key != name);
        if let HeaderEdit::Set(name, value) = edit {
            assert!(is_clean(value.as_bytes()), "{name}: {value:?}");
            head.push((name.clone(), value.clone().into_bytes()));
        }
    }
}

/// Returns whether a header may have these bytes.
#[must_use]
pub fn is_clean(value: &[u8]) -> bool {
    value.iter().all(|byte| matches!(byte, b' '..=b'~'))
}
