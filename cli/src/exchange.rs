//! One request through the gate, as Envoy would take it there: the head, the whole body, the backend's reply.
//!
//! The gate's own crates decide. This file only does what the module does in Envoy: it carries out the edits.

use sluice_gate::{
    BodyStep, Count, Gate, HeadStep, Identified, LocalReply, PeerConnection, PendingRequest,
    Receive, ReplyDecision, ReplyEdits, ReplyHead, ReplyStep, RequestHead, Worker,
};
use sluice_headers::{HeaderEdit, Headers};
use sluice_reply::{LocalResponse, ReplyPayload, Status};
use sluice_senders::Connection;

/// Headers in the order in which they are sent; names in lower case.
pub type HeaderList = Vec<(String, Vec<u8>)>;

/// What a sender sends, and what Envoy knows about its connection.
#[derive(Clone, Debug, Default)]
pub struct Sent {
    /// The headers, pseudo headers first.
    pub headers: HeaderList,
    /// The body, as it is on the wire.
    pub body: Vec<u8>,
    /// Trailers after the body.
    pub trailers: HeaderList,
    /// The client certificate in PEM, if there is one. It counts as verified.
    pub certificate: Option<String>,
    /// Envoy's attribute `metadata`, with the payload of a verified token: see [`crate::token::metadata`].
    pub metadata: Vec<u8>,
    /// The time, in seconds since the epoch.
    pub now: u64,
}

/// A backend's reply as it reaches the module.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// The headers, with `:status`.
    pub headers: HeaderList,
    /// The body; `None` if the reply has only headers.
    pub body: Option<Vec<u8>>,
    /// The trailers.
    pub trailers: HeaderList,
    /// Envoy's `response.code_details`: who has answered.
    pub details: String,
    /// Whether the reply comes as soon as the head has been forwarded, before the body.
    pub early: bool,
}

/// The request that a backend gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forwarded {
    /// Its headers, with `:path`.
    pub headers: HeaderList,
    /// Its body.
    pub body: Vec<u8>,
}

/// What the sender is told, on the wire.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// The status over HTTP; 200 over gRPC.
    pub status: u16,
    /// The headers.
    pub headers: HeaderList,
    /// The body.
    pub body: Vec<u8>,
    /// The trailers; over gRPC, also the status of a reply that has only headers.
    pub trailers: HeaderList,
}

/// What becomes of one request.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// Who sends, and for which tenant, as far as that was found out.
    pub identified: Identified,
    /// What the backend gets.
    pub forwarded: Option<Forwarded>,
    /// What the sender is told.
    pub told: Told,
    /// What is counted.
    pub counts: Vec<Count>,
    /// Why the gate refuses the request, for the log.
    pub refused: Option<String>,
}

/// Takes a request through the gate. `answer` is what the backend replies to what it gets.
///
/// # Errors
/// If the backend's reply has no status.
pub fn exchange(
    gate: &Gate,
    sent: &Sent,
    answer: impl Fn(&Forwarded) -> Answer,
) -> anyhow::Result<Exchange> {
    let mut run = Run { sent, headers: sent.headers.clone(), counts: Vec::new(), refused: None };
    let (identified, forwarded, told) = run.through(gate, answer)?;
    Ok(Exchange { identified, forwarded, told, counts: run.counts, refused: run.refused })
}

/// The head of a request, as Envoy gives it to the gate.
#[must_use]
pub fn head<'a>(gate: &Gate, sent: &'a Sent, headers: &'a HeaderList) -> RequestHead<'a> {
    RequestHead {
        headers: Headers(headers),
        connection: sent,
        metadata: gate.reads_tokens().then_some(&sent.metadata[..]),
        end_of_stream: sent.body.is_empty() && sent.trailers.is_empty(),
        now: sent.now,
    }
}

/// The connection that the request comes over. Each request has its own.
impl PeerConnection for Sent {
    fn id(&self) -> Option<u64> {
        None
    }

    fn is_counted(&self) -> bool {
        false
    }

    fn attributes(&self) -> Connection<'_> {
        let certificate = self.certificate.as_deref();
        Connection {
            certificate: certificate.map(str::as_bytes),
            certificate_valid: certificate.map(|_| &[1][..]),
            presented: Some(if certificate.is_some() { &[1] } else { &[0] }),
            ..Connection::default()
        }
    }
}

struct Run<'a> {
    sent: &'a Sent,
    headers: HeaderList,
    counts: Vec<Count>,
    refused: Option<String>,
}

impl Run<'_> {
    fn through(
        &mut self,
        gate: &Gate,
        answer: impl Fn(&Forwarded) -> Answer,
    ) -> anyhow::Result<(Identified, Option<Forwarded>, Told)> {
        let (step, identified) =
            gate.on_head(&head(gate, self.sent, &self.headers), &Worker::default());
        self.counts.extend(identified.counts.iter().copied());
        let step = match step {
            HeadStep::LocalReply(reply) => BodyStep::LocalReply(reply),
            HeadStep::Decided(step) => step,
            HeadStep::Pass(pass) => {
                edit(&mut self.headers, pass.edits());
                let forwarded = self.forwarded(self.sent.body.clone());
                let Answer { headers, body, trailers, .. } = answer(&forwarded);
                let told = as_told(headers, body.unwrap_or_default(), trailers)?;
                return Ok((identified, Some(forwarded), told));
            }
            HeadStep::Body { edits, pending } => {
                edit(&mut self.headers, &edits);
                // With an early reply, the backend has the head and no body yet.
                let early = answer(&self.forwarded(Vec::new()));
                if early.early && !gate.holds_headers() {
                    let told = self.reply(|head| pending.on_early_reply(head), early)?;
                    return Ok((identified, None, told));
                }
                self.receive(gate, *pending)
            }
        };
        match step {
            BodyStep::LocalReply(reply) => Ok((identified, None, self.local_reply(reply))),
            BodyStep::Forward(forward) => {
                edit(&mut self.headers, forward.edits());
                self.counts.extend(forward.counts());
                let forwarded = self.forwarded(forward.body().to_vec());
                let answer = answer(&forwarded);
                let awaiting = forward.into_awaiting_reply();
                let told = self.reply(|head| awaiting.on_reply_head(head), answer)?;
                Ok((identified, Some(forwarded), told))
            }
        }
    }

    fn forwarded(&self, body: Vec<u8>) -> Forwarded {
        Forwarded { headers: self.headers.clone(), body }
    }

    /// Receives the body in one piece, and the trailers if there are some.
    fn receive(&self, gate: &Gate, mut pending: PendingRequest) -> BodyStep {
        let (body, has_trailers) = (&self.sent.body[..], !self.sent.trailers.is_empty());
        let mut receive = pending.receive(body.len(), !has_trailers);
        let mut in_envoy = body;
        if matches!(receive, Receive::Drain) {
            if let Err(reply) = pending.drain(body) {
                return BodyStep::LocalReply(*reply);
            }
            in_envoy = &[];
        }
        if matches!(receive, Receive::Drain | Receive::Wait) {
            receive = pending.receive_trailers();
        }
        match receive {
            Receive::Refuse(reply) => BodyStep::LocalReply(reply),
            Receive::Decide | Receive::Drain | Receive::Wait => gate.decide(pending, in_envoy),
        }
    }

    fn reply(
        &mut self,
        decide: impl FnOnce(&ReplyHead<'_>) -> ReplyStep,
        answer: Answer,
    ) -> anyhow::Result<Told> {
        let Answer { mut headers, body, trailers, details, .. } = answer;
        let details = || Some(details.as_bytes().to_vec());
        let head = ReplyHead {
            headers: Headers(&headers),
            details: &details,
            end_of_stream: body.is_none(),
            now: &|| self.sent.now,
        };
        match decide(&head) {
            ReplyStep::LocalReply(reply) => Ok(self.local_reply(reply)),
            ReplyStep::Pass { edits, counts, .. } => {
                edit(&mut headers, &edits);
                self.counts.extend(counts);
                as_told(headers, Vec::new(), Vec::new())
            }
            ReplyStep::Rewrite { edits, reply, .. } => {
                edit(&mut headers, &edits);
                let body = body.unwrap_or_default();
                let decision = if body.is_empty() && !trailers.is_empty() {
                    reply.finish_without_message(Headers(&trailers))
                } else {
                    reply.finish(&body, Headers(&trailers))
                };
                let ReplyEdits { edits, written, count } = match decision {
                    ReplyDecision::LocalReply(reply) => return Ok(self.local_reply(reply)),
                    ReplyDecision::Rewrite(edits) => edits,
                };
                edit(&mut headers, &edits);
                self.counts.push(count);
                let ReplyPayload { body, trailers } = written;
                as_told(headers, body, owned(trailers))
            }
        }
    }

    fn local_reply(&mut self, reply: LocalReply) -> Told {
        let LocalReply { response, counts, log, .. } = reply;
        self.counts.extend(counts);
        self.refused = log.map(|(_, line)| line);
        match response {
            LocalResponse::Grpc { status: Status { code, message, .. }, metadata } => {
                let mut trailers = vec![
                    ("grpc-status".to_owned(), code.to_string().into_bytes()),
                    // As Envoy writes it (gRPC over HTTP/2, "Responses").
                    ("grpc-message".to_owned(), message.replace('%', "%25").into_bytes()),
                ];
                trailers.extend(owned(metadata));
                Told { status: 200, headers: Vec::new(), body: Vec::new(), trailers }
            }
            LocalResponse::Http { status, headers, body } => {
                Told { status, headers: owned(headers), body, trailers: Vec::new() }
            }
        }
    }
}

fn owned(headers: Vec<(&'static str, String)>) -> HeaderList {
    headers.into_iter().map(|(name, value)| (name.to_owned(), value.into_bytes())).collect()
}

fn as_told(headers: HeaderList, body: Vec<u8>, trailers: HeaderList) -> anyhow::Result<Told> {
    let status = Headers(&headers).number(":status");
    let status = status.and_then(|status| u16::try_from(status).ok());
    let status = status.ok_or_else(|| anyhow::anyhow!("the backend's reply has no :status"))?;
    // A gRPC reply that has only headers has its status there.
    let trailers = if trailers.is_empty() { headers.clone() } else { trailers };
    Ok(Told { status, headers, body, trailers })
}

/// Carries out edits on headers.
fn edit(headers: &mut HeaderList, edits: &[HeaderEdit]) {
    for edit in edits {
        let (HeaderEdit::Remove(name) | HeaderEdit::Set(name, _)) = edit;
        headers.retain(|(key, _)| key != name);
        if let HeaderEdit::Set(name, value) = edit {
            headers.push((name.clone(), value.clone().into_bytes()));
        }
    }
}
