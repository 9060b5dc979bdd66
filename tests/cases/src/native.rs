//! Runs a case through the gate's own crates.

use std::collections::BTreeMap;

use anyhow::{Result, anyhow};
use sluice_gate::{
    BodyStep, Count, Gate, HeadStep, PendingRequest, Receive, ReplyDecision, ReplyEdits, ReplyHead,
    ReplyStep, RequestHead, Worker,
};
use sluice_headers::{HeaderEdit, Headers};
use sluice_reply::{LocalResponse, ReplyPayload};
use sluice_senders::Connection;

use crate::{
    case::{Fails, Protocol},
    outcome::{Forwarded, Outcome, Reply, counter},
    plan::Plan,
    token,
    wire::{HeaderList, WireReply, WireRequest},
};

/// The time of all cases, in seconds since the epoch: 2026-11-18.
pub const NOW: u64 = 1_795_000_000;

/// Runs a plan. `certificate` is the sender's, in PEM.
///
/// # Errors
/// If the configuration is rejected, or if the gate does something that Envoy could not do.
pub fn run(plan: &Plan, certificate: Option<&str>) -> Result<Outcome> {
    let Plan { configuration, request, reply, .. } = plan;
    let gate = Gate::from_json(&serde_json::to_vec(configuration)?)
        .map_err(|problems| anyhow!("{problems:?}"))?;
    let reached = plan.case.backend.fails.is_none_or(Fails::is_reached);
    let headers = request.headers.clone();
    let mut run = Run { request, reached, headers, counts: Vec::new() };
    let (forwarded, reply) = run.exchange(&gate, certificate, reply)?;
    let mut counts = BTreeMap::new();
    for count in run.counts {
        *counts.entry(counter(&count.stat_name()).unwrap_or_default()).or_default() += count.step();
    }
    Ok(Outcome { forwarded, reply, counts })
}

struct Run<'a> {
    request: &'a WireRequest,
    /// Whether a forwarded request reaches the backend.
    reached: bool,
    headers: HeaderList,
    counts: Vec<Count>,
}

impl Run<'_> {
    fn exchange(
        &mut self,
        gate: &Gate,
        certificate: Option<&str>,
        reply: &WireReply,
    ) -> Result<(Option<Forwarded>, Reply)> {
        let metadata = token::metadata(self.request.token.as_ref());
        let head = RequestHead {
            headers: Headers(&self.headers),
            connection: &Connection {
                certificate: certificate.map(str::as_bytes),
                certificate_valid: certificate.map(|_| &[1][..]),
                presented: Some(if certificate.is_some() { &[1] } else { &[0] }),
                ..Connection::default()
            },
            metadata: gate.reads_tokens().then_some(&metadata[..]),
            end_of_stream: self.request.body.is_empty(),
            now: NOW,
        };
        let (step, identified) = gate.on_head(&head, &Worker::default());
        self.counts.extend(identified.counts);
        let step = match step {
            HeadStep::LocalReply(reply) => BodyStep::LocalReply(reply),
            HeadStep::Decided(step) => step,
            HeadStep::Pass(pass) => {
                edit(&mut self.headers, pass.edits());
                let body = self.request.body.clone();
                let forwarded = Forwarded { headers: self.headers.clone(), body };
                return Ok((Some(forwarded), self.untouched(reply)?));
            }
            HeadStep::Body { edits, pending } => {
                edit(&mut self.headers, &edits);
                if reply.early && !gate.holds_headers() {
                    return Ok((None, self.reply(|head| pending.on_early_reply(head), reply)?));
                }
                self.receive(gate, *pending)
            }
        };
        match step {
            BodyStep::LocalReply(reply) => {
                self.counts.extend(reply.counts);
                Ok((None, self.local(&reply.response)?))
            }
            BodyStep::Forward(forward) => {
                edit(&mut self.headers, forward.edits());
                self.counts.extend(forward.counts());
                let body = forward.body().to_vec();
                let forwarded = Forwarded { headers: self.headers.clone(), body };
                let forwarded = Some(forwarded).filter(|_| self.reached);
                Ok((
                    forwarded,
                    self.reply(|head| forward.into_awaiting_reply().on_reply_head(head), reply)?,
                ))
            }
        }
    }

    /// Receives the body in one piece, and the trailers if there are some.
    fn receive(&self, gate: &Gate, mut pending: PendingRequest) -> BodyStep {
        let (body, has_trailers) = (&self.request.body[..], !self.request.trailers.is_empty());
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
        reply: &WireReply,
    ) -> Result<Reply> {
        let (mut headers, body) = reply.at_the_module();
        let end_of_stream = body.is_none();
        let details = || Some(reply.details.as_bytes().to_vec());
        let head = ReplyHead {
            headers: Headers(&headers),
            details: &details,
            end_of_stream,
            now: &|| NOW,
        };
        match decide(&head) {
            ReplyStep::LocalReply(reply) => {
                self.counts.extend(reply.counts);
                self.local(&reply.response)
            }
            ReplyStep::Pass { edits, counts, .. } => {
                edit(&mut headers, &edits);
                self.counts.extend(counts);
                self.read(&headers, &[], &headers)
            }
            ReplyStep::Rewrite { edits, reply: in_progress, .. } => {
                edit(&mut headers, &edits);
                let body = body.unwrap_or_default();
                let trailers = Headers(&reply.trailers);
                let decision = if body.is_empty() && !reply.trailers.is_empty() {
                    in_progress.finish_without_message(trailers)
                } else {
                    in_progress.finish(&body, trailers)
                };
                let ReplyEdits { edits, written, count } = match decision {
                    ReplyDecision::LocalReply(reply) => {
                        self.counts.extend(reply.counts);
                        return self.local(&reply.response);
                    }
                    ReplyDecision::Rewrite(edits) => edits,
                };
                edit(&mut headers, &edits);
                let ReplyPayload { body, trailers } = written;
                self.counts.push(count);
                let trailers = trailers
                    .into_iter()
                    .map(|(name, value)| (name.to_owned(), value.into_bytes()))
                    .collect();
                self.read(&headers, &body, &trailers)
            }
        }
    }

    /// A backend's reply that the gate does not read.
    fn untouched(&self, reply: &WireReply) -> Result<Reply> {
        let body = reply.body.as_deref().unwrap_or_default();
        match self.request.protocol {
            Protocol::Grpc => Reply::from_grpc(body, &reply.headers),
            protocol => Reply::from_protocol(protocol, reply.status, &reply.headers, body),
        }
    }

    fn local(&self, reply: &LocalResponse) -> Result<Reply> {
        match reply {
            LocalResponse::Grpc { status, metadata } => {
                let mut trailers = vec![
                    ("grpc-status".to_owned(), status.code.to_string().into_bytes()),
                    ("grpc-message".to_owned(), status.message.replace('%', "%25").into_bytes()),
                ];
                trailers.extend(
                    metadata
                        .iter()
                        .map(|(name, value)| ((*name).to_owned(), value.clone().into_bytes())),
                );
                Reply::from_grpc(&[], &trailers)
            }
            LocalResponse::Http { status, headers, body } => {
                let headers = headers
                    .iter()
                    .map(|(name, value)| ((*name).to_owned(), value.clone().into_bytes()))
                    .collect();
                Reply::from_protocol(self.request.protocol, *status, &headers, body)
            }
        }
    }

    fn read(&self, headers: &HeaderList, body: &[u8], trailers: &HeaderList) -> Result<Reply> {
        match self.request.protocol {
            Protocol::Grpc => Reply::from_grpc(body, trailers),
            protocol => {
                let status = crate::outcome::text(headers, ":status").unwrap_or_default();
                Reply::from_protocol(protocol, status.parse()?, headers, body)
            }
        }
    }
}

fn edit(headers: &mut HeaderList, edits: &[HeaderEdit]) {
    for edit in edits {
        let (HeaderEdit::Remove(name) | HeaderEdit::Set(name, _)) = edit;
        headers.retain(|(key, _)| key != name);
        if let HeaderEdit::Set(name, value) = edit {
            headers.push((name.clone(), value.clone().into_bytes()));
        }
    }
}
