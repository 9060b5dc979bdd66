//! `sluice simulate`: what a policy does with a request.

use anyhow::Result;
use serde::Serialize;
use serde_json::Value as Json;
use sluice_encodings::Encoding;
use sluice_gate::Gate;
use sluice_headers::Headers;
use sluice_records::Fate;
use sluice_reply::Protocol;
use sluice_senders::{Certificate, SanReading, Senders, SendersConfig};

use crate::{
    exchange::{Answer, Exchange, Forwarded, HeaderList, Sent, exchange, head},
    places::{Place, Verdicts, verdicts},
    request::Capture,
    token,
    told::Reply,
};

/// Who sends, as far as the connection and the headers show it.
#[derive(Clone, Debug, Default)]
pub struct Sender {
    /// The client certificate in PEM.
    pub certificate: Option<String>,
    /// The claims of a verified token.
    pub claims: Option<Json>,
    /// Headers in addition to those of the protocol, or in their place; names in lower case.
    pub headers: HeaderList,
    /// The time of the request, in seconds since the epoch.
    pub now: u64,
}

/// What a policy does with a request, as `--json` shows it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Simulation {
    /// The request: its signal, protocol, encoding and sizes.
    pub request: RequestShown,
    /// Who sends; `None` if the policy has no `senders`, or nobody was admitted.
    pub sender: Option<SenderShown>,
    /// The tenant, if one is assigned.
    pub tenant: Option<String>,
    /// Where the request goes; `None` if nothing is forwarded.
    pub backend: Option<BackendShown>,
    /// The records; `None` if the message was not read.
    pub records: Option<RecordsShown>,
    /// What the sender is told in each protocol, if the backend stores what it gets.
    pub told: Vec<ToldShown>,
    /// What becomes of it all.
    pub outcome: Outcome,
    /// Why the gate refuses the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Outcome {
    /// Every record is forwarded.
    Whole,
    /// Some records, or parts of records, are not.
    Part,
    /// Nothing is forwarded.
    Nothing,
}

/// A request.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RequestShown {
    /// The signal.
    pub signal: &'static str,
    /// The protocol of the capture.
    pub protocol: &'static str,
    /// How it is compressed.
    pub encoding: &'static str,
    /// The body, in bytes.
    pub bytes: usize,
    /// The decoded message, in bytes.
    pub decoded_bytes: usize,
}

/// A sender.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SenderShown {
    /// Its namespace.
    pub namespace: String,
    /// What identified it: `clientCertificate`, or `clientCertificate+jwt`.
    pub by: String,
    /// The SANs that state this namespace.
    pub sans: Vec<String>,
    /// When the certificate expires, if one identified the sender.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate_expires: Option<String>,
}

/// A backend, and what it gets.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BackendShown {
    /// The value of `x-sluice-backend`, by which Envoy routes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// The path.
    pub path: String,
    /// The body, in bytes.
    pub bytes: usize,
    /// Whether the body goes on as it was sent, apart from a gRPC frame.
    pub unchanged: bool,
    /// The headers that the gate adds or changes.
    pub set: Vec<(String, String)>,
    /// The names of the headers that the gate removes.
    pub removed: Vec<String>,
}

/// The records of a message.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RecordsShown {
    /// How many there are.
    pub all: usize,
    /// How many are forwarded.
    pub kept: usize,
    /// What breaks a rule.
    pub findings: Vec<FindingShown>,
}

/// What breaks one rule in one way.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FindingShown {
    /// In words, as the sender is told.
    pub says: String,
    /// How many.
    pub records: u64,
    /// The reason, as the metrics have it.
    pub reason: &'static str,
    /// What happens to them: `dropped`, `cut`, `audited` (kept all the same) or `refused` (with the whole request).
    pub fate: &'static str,
    /// The attribute that the rule is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attribute: Option<String>,
    /// The first places.
    pub places: Vec<PlaceShown>,
    /// How many more places there are.
    pub more_places: usize,
}

/// A place in a message.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PlaceShown {
    /// As in OTLP's JSON.
    pub path: String,
    /// The name by which the sender knows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// How many records there.
    pub records: usize,
}

/// What the sender is told in one protocol.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ToldShown {
    /// The protocol.
    pub protocol: &'static str,
    /// The reply, or why the request cannot be sent in this protocol.
    #[serde(flatten)]
    pub reply: ReplyShown,
}

/// A reply, or why there is none.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum ReplyShown {
    /// The reply.
    Told(Reply),
    /// The message cannot be written in the protocol's format.
    NotSent {
        /// Why not.
        error: String,
    },
}

/// How many places are shown for each rule.
pub const MOST_PLACES: usize = 5;

/// Takes a captured request through a policy. Also returns the verdict on each record, if the request comes so far.
///
/// # Errors
/// If a reply of the gate is not one that its protocol allows, which would be a fault of the gate.
pub fn simulate(
    gate: &Gate,
    policy: &Json,
    capture: &Capture,
    sender: &Sender,
) -> Result<(Simulation, Option<Verdicts>)> {
    let own =
        sent(capture, capture.protocol, (capture.body.clone(), capture.encoding), policy, sender);
    let exchanged = exchange(gate, &own, stored)?;
    let found = find(gate, &own);
    let mut told = Vec::new();
    for protocol in protocols(capture.protocol) {
        let reply = match capture.in_protocol(protocol) {
            Ok(body) => {
                let sent = sent(capture, protocol, body, policy, sender);
                let exchange = exchange(gate, &sent, stored)?;
                ReplyShown::Told(Reply::read(protocol, &exchange.told)?)
            }
            Err(error) => ReplyShown::NotSent { error: format!("{error:#}") },
        };
        told.push(ToldShown { protocol: protocol_name(protocol), reply });
    }
    let records = found.as_ref().map(|found| shown(found, exchanged.forwarded.is_some()));
    let outcome = match (&exchanged.forwarded, &found) {
        (None, _) if is_stored(&exchanged, capture.protocol) => Outcome::Whole,
        (None, _) => Outcome::Nothing,
        (Some(_), Some(found)) if found.findings.iter().any(|it| loses(it.violation.fate)) => {
            Outcome::Part
        }
        (Some(_), _) => Outcome::Whole,
    };
    let simulation = Simulation {
        request: RequestShown {
            signal: capture.signal.as_str(),
            protocol: protocol_name(capture.protocol),
            encoding: capture.encoding.as_str(),
            bytes: capture.body.len(),
            decoded_bytes: capture.message.len(),
        },
        sender: sender_shown(policy, sender, &exchanged),
        tenant: exchanged.identified.tenant.clone(),
        backend: exchanged.forwarded.as_ref().map(|forwarded| backend(&own, forwarded)),
        records,
        told,
        outcome,
        refused: exchanged.refused,
    };
    Ok((simulation, found))
}

/// Whether the sender is told that everything is stored, although no backend was asked: the request was empty.
fn is_stored(exchange: &Exchange, protocol: Protocol) -> bool {
    Reply::read(protocol, &exchange.told)
        .is_ok_and(|reply| reply.is_success(protocol) && reply.rejected.is_none())
}

const fn loses(fate: Fate) -> bool {
    match fate {
        Fate::Cut | Fate::Dropped | Fate::Refused => true,
        Fate::Passed | Fate::Uncut => false,
    }
}

/// The verdicts on the records, if the request comes so far that they are read.
#[must_use]
pub fn find(gate: &Gate, sent: &Sent) -> Option<Verdicts> {
    let examined = gate.examine(&head(gate, sent, &sent.headers), sent.body.clone()).ok()?;
    verdicts(&examined).ok()
}

/// What a sender of this protocol sends.
#[must_use]
pub fn sent(
    capture: &Capture,
    protocol: Protocol,
    (body, encoding): (Vec<u8>, Encoding),
    policy: &Json,
    sender: &Sender,
) -> Sent {
    Sent {
        headers: capture.headers(protocol, encoding, body.len(), &sender.headers),
        body,
        trailers: HeaderList::new(),
        certificate: sender.certificate.clone(),
        metadata: token::metadata(sender.claims.as_ref(), &token::places(policy)),
        now: sender.now,
    }
}

/// The protocols for which it is said what the sender is told: that of the capture, and those in which the same records
/// could be sent.
fn protocols(captured: Protocol) -> Vec<Protocol> {
    match captured {
        Protocol::RemoteWrite => vec![Protocol::RemoteWrite],
        _ => vec![Protocol::Grpc, Protocol::HttpProtobuf, Protocol::HttpJson],
    }
}

/// The name of a protocol, as the option has it.
#[must_use]
pub const fn protocol_name(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Grpc => "grpc",
        Protocol::HttpJson => "json",
        Protocol::HttpProtobuf => "http",
        Protocol::RemoteWrite => "write",
    }
}

/// The reply of a backend that stores everything that it gets.
#[must_use]
pub fn stored(forwarded: &Forwarded) -> Answer {
    let content_type = Headers(&forwarded.headers).first("content-type").unwrap_or_default();
    let header = |name: &str, value: &[u8]| (name.to_owned(), value.to_vec());
    let mut answer = Answer {
        headers: vec![header(":status", b"200"), header("content-type", content_type)],
        body: Some(Vec::new()),
        details: "via_upstream".to_owned(),
        ..Answer::default()
    };
    match content_type {
        b"application/grpc" => {
            answer.body = sluice_encodings::grpc::write(&[]);
            answer.trailers = vec![header("grpc-status", b"0")];
        }
        b"application/json" => answer.body = Some(b"{}".to_vec()),
        _ => {}
    }
    answer
}

fn shown(found: &Verdicts, is_forwarded: bool) -> RecordsShown {
    let dropped = found.dropped.iter().filter(|dropped| **dropped).count();
    let kept = if is_forwarded { found.items.len() - dropped } else { 0 };
    let signal = found.items.signal();
    let findings = found.findings.iter().map(|finding| {
        let violation = &finding.violation;
        FindingShown {
            says: violation.clause(signal).to_string(),
            records: violation.records,
            reason: violation.reason.label(),
            fate: match violation.fate {
                Fate::Cut => "cut",
                Fate::Dropped => "dropped",
                Fate::Passed | Fate::Uncut => "audited",
                Fate::Refused => "refused",
            },
            attribute: violation.attribute.clone(),
            places: finding
                .places
                .iter()
                .take(MOST_PLACES)
                .cloned()
                .map(PlaceShown::from)
                .collect(),
            more_places: finding.places.len().saturating_sub(MOST_PLACES),
        }
    });
    RecordsShown { all: found.items.len(), kept, findings: findings.collect() }
}

impl From<Place> for PlaceShown {
    fn from(Place { path, name, records }: Place) -> Self {
        Self { path, name, records }
    }
}

fn backend(sent: &Sent, forwarded: &Forwarded) -> BackendShown {
    let header = |name: &str| {
        let value = Headers(&forwarded.headers).first(name)?;
        Some(String::from_utf8_lossy(value).into_owned())
    };
    let is_new = |(name, value): &&(String, Vec<u8>)| {
        !sent.headers.iter().any(|(key, before)| key == name && before == value)
    };
    let set = forwarded.headers.iter().filter(is_new);
    let set = set.map(|(name, value)| (name.clone(), String::from_utf8_lossy(value).into_owned()));
    let mut removed: Vec<String> = Vec::new();
    for (name, _) in &sent.headers {
        let is_there = forwarded.headers.iter().any(|(key, _)| key == name);
        if !is_there && !removed.contains(name) {
            removed.push(name.clone());
        }
    }
    BackendShown {
        cluster: header("x-sluice-backend"),
        path: header(":path").unwrap_or_default(),
        bytes: forwarded.body.len(),
        unchanged: sent.body.ends_with(&forwarded.body)
            && forwarded.body.len() + 5 >= sent.body.len(),
        set: set.filter(|(name, _)| name != "x-sluice-backend" && name != ":path").collect(),
        removed,
    }
}

/// The compiled `senders` section of a policy that the gate accepts.
#[must_use]
pub fn senders(policy: &Json) -> Option<Senders> {
    let config: SendersConfig = serde_json::from_value(policy.get("senders")?.clone()).ok()?;
    sluice_config::check("senders", |place| config.compile(place)).ok()
}

fn sender_shown(policy: &Json, sender: &Sender, exchange: &Exchange) -> Option<SenderShown> {
    let namespace = exchange.identified.sender.clone()?;
    let certificate = sender.certificate.as_deref().map(str::as_bytes);
    let certificate = certificate.and_then(|pem| Certificate::from_pem(pem).ok());
    let mut sans = Vec::new();
    if let (Some(senders), Some(certificate)) = (senders(policy), &certificate) {
        let states = |reading: &SanReading<'_>| {
            let mut identities = reading.by_pattern.iter().flatten();
            identities.any(|identity| identity.namespace() == namespace)
        };
        let readings = senders.readings(certificate);
        sans = readings.iter().filter(|it| states(it)).map(|it| it.san.to_string()).collect();
    }
    Some(SenderShown {
        namespace,
        by: exchange.identified.by.clone().unwrap_or_default(),
        sans,
        certificate_expires: exchange.identified.expiry.map(|expiry| expiry.to_string()),
    })
}
