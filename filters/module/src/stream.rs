//! One request and its reply, callback by callback.
//!
//! Every value that a later callback needs is in the [`Phase`] in which this callback is expected,
//! so a callback out of order has nothing to work with. Every combination of callback and phase is
//! written out, without wildcard arms. Nothing of a request is forwarded before its verdict,
//! whatever order callbacks come in.
//!
//! | phase | head | body, trailers | the reply's head | its body, trailers |
//! |---|---|---|---|---|
//! | `Fresh` | decided | refused | refused | stopped |
//! | `Passing` | stopped | pass | passes | pass |
//! | `Body` | stopped | wait, then decided | early: nothing was stored | stopped |
//! | `Sent` | stopped | stopped | read | stopped |
//! | `Refusing` | stopped | thrown away, then a local reply | a local reply | stopped |
//! | `Reply` | stopped | stopped | passes: Envoy's own | read |
//! | `Replied` | stopped | stopped | passes: Envoy's own | pass |
//! | `LocalReply` | stopped | stopped | put right, held back while the request comes | pass, or emptied |
//! | `Broken` | stopped | stopped | refused | stopped |

use std::{mem, rc::Rc};

use log::{Level, log};
use proxy_wasm::{
    traits::{Context, HttpContext},
    types::{Action, BufferType, MapType},
};
use sluice_gate::{
    AwaitingReply, BodyStep, Count, Delivery, Discard, Gate, HEADER_ONLY, HeadStep, Identified,
    LocalReply, PendingRequest, Receive, ReplyBody, ReplyDecision, ReplyEdits, ReplyHead,
    ReplyInProgress, ReplyStep, RequestHead, Rest, is_envoys_grpc,
};
use sluice_headers::{HeaderEdit, Headers, names::CONTENT_LENGTH};
use sluice_reply::{GrpcReply, LocalResponse, ReplyPayload};

use crate::{host, shared::Shared};

type HeaderList = Vec<(String, Vec<u8>)>;

pub(crate) struct Stream {
    /// The stream's id in Envoy.
    context: u32,
    shared: Rc<Shared>,
    phase: Phase,
    /// The sender's namespace, once it is known.
    sender: Option<Rc<str>>,
    /// Whether Envoy treats the request as gRPC.
    is_envoys_grpc: bool,
    /// Whether the filters behind this one have seen the request.
    forwarded: bool,
}

enum Phase {
    /// Nothing has arrived. Without a gate, no configuration was accepted, and the request is
    /// refused.
    Fresh(Option<Rc<Gate>>),
    /// The gate does not check this request. It passes, and so does its reply.
    Passing,
    /// The head has arrived, and the body is arriving.
    Body(Receiving),
    /// The request is complete and has been forwarded to its backend.
    Sent(AwaitingReply),
    /// The request is refused, and the rest of its body is arriving.
    Refusing(Refusing),
    /// The reply's head has arrived, and its body is arriving.
    Reply(Replying),
    /// The sender has been told, and nothing is left to do.
    Replied,
    /// The gate has made a local reply. What Envoy makes of it is corrected on its way out.
    LocalReply(Sending),
    /// A callback has not finished.
    Broken,
}

struct Sending {
    /// The local reply's own headers, if its body is empty: Envoy removes the content type of a
    /// local reply without a body (`source/common/http/utility.cc`, `prepareLocalReply`).
    headers: Vec<HeaderEdit>,
    /// Whether the Lua filter has taken the local reply for a backend's and added a body.
    padded: bool,
    /// What Envoy discards of the request before this reply is sent.
    rest: Option<Rest>,
}

struct Refusing {
    /// The local reply, to be sent when the body has arrived.
    response: LocalResponse,
    discard: Discard,
}

struct Receiving {
    /// The gate that has seen the head. A new configuration does not change it.
    gate: Rc<Gate>,
    pending: Box<PendingRequest>,
    /// The head if it is held; empty if it has been forwarded. While it is held, no filter but this one may change it.
    headers: HeaderList,
}

struct Replying {
    reply: ReplyInProgress,
    /// How many bytes are in Envoy's buffer.
    buffered: usize,
}

impl Stream {
    pub(crate) fn new(context: u32, gate: Option<Rc<Gate>>, shared: Rc<Shared>) -> Self {
        shared.begin();
        Self {
            context,
            shared,
            phase: Phase::Fresh(gate),
            sender: None,
            is_envoys_grpc: false,
            forwarded: false,
        }
    }

    fn count(&self, counts: impl IntoIterator<Item = Count>) {
        self.shared.counters.add(counts, self.sender.as_deref());
    }

    /// Tells Envoy who the sender is. `now` is in seconds since the epoch.
    fn identify(&mut self, identified: Identified, now: u64) {
        let Identified { sender, by, expiry, tenant, counts, log } = identified;
        for (name, value) in
            [("sluice_sender", &sender), ("sluice_identified_by", &by), ("sluice_tenant", &tenant)]
        {
            if let Some(value) = value {
                host::set_filter_state(name, value);
            }
        }
        if let (Some(sender), Some(expiry)) = (&sender, expiry) {
            self.shared.counters.certificate_ends(sender, expiry.at, now);
        }
        self.sender = sender.map(Rc::from);
        self.count(counts);
        log_line(log);
    }

    fn take_phase(&mut self) -> Phase {
        mem::replace(&mut self.phase, Phase::Broken)
    }

    /// Refuses a callback in the wrong phase, without an explanation, because there is no request
    /// to explain it to.
    fn refuse(&mut self) -> Action {
        self.send(&LocalResponse::Http { status: 503, headers: Vec::new(), body: Vec::new() }, None)
    }

    /// Stops the rest of the request.
    fn stop_body(&mut self, phase: Phase, size: usize) -> Action {
        host::replace(BufferType::HttpRequestBody, size, &[]);
        self.stop(phase)
    }

    fn stop(&mut self, phase: Phase) -> Action {
        self.phase = phase;
        Action::Pause
    }

    fn pass(&mut self, phase: Phase) -> Action {
        self.forwarded = true;
        self.phase = phase;
        Action::Continue
    }

    /// Sends a local reply when it is due. Nothing of the request is forwarded.
    fn local_reply(&mut self, reply: LocalReply) -> Action {
        let LocalReply { response, delivery, counts, log } = reply;
        let response = if self.is_envoys_grpc { response } else { response.spelled_out() };
        self.count(counts);
        log_line(log);
        match delivery {
            Delivery::Now => self.send(&response, None),
            Delivery::HeldBack(rest) => self.send(&response, Some(rest)),
            Delivery::AfterBody(discard) => {
                self.stop(Phase::Refusing(Refusing { response, discard }))
            }
        }
    }

    /// Sends a local reply to a request of whose body this many bytes are in Envoy's buffer.
    fn local_reply_in_body(&mut self, reply: LocalReply, size: usize) -> Action {
        if matches!(reply.delivery, Delivery::AfterBody(_)) {
            host::replace(BufferType::HttpRequestBody, size, &[]);
        }
        self.local_reply(reply)
    }

    fn send(&mut self, response: &LocalResponse, rest: Option<Rest>) -> Action {
        let headers = own_headers(response);
        self.phase = Phase::LocalReply(Sending { headers, padded: false, rest });
        host::send_local_reply(response);
        Action::Pause
    }

    fn head_step(&mut self, step: HeadStep, gate: Rc<Gate>, headers: HeaderList) -> Action {
        match step {
            HeadStep::LocalReply(reply) => self.local_reply(reply),
            HeadStep::Decided(step) => self.body_step(step, &headers),
            HeadStep::Pass(pass) => {
                host::edit(MapType::HttpRequestHeaders, Headers(&headers), pass.edits());
                self.pass(Phase::Passing)
            }
            HeadStep::Body { edits, pending } => {
                host::edit(MapType::HttpRequestHeaders, Headers(&headers), &edits);
                if gate.holds_headers() {
                    self.stop(Phase::Body(Receiving { gate, pending, headers }))
                } else {
                    self.pass(Phase::Body(Receiving { gate, pending, headers: Vec::new() }))
                }
            }
        }
    }

    /// Carries out what the gate says about a request of whose body this many bytes are in Envoy's
    /// buffer.
    fn receive(&mut self, receive: Receive, mut receiving: Receiving, size: usize) -> Action {
        match receive {
            Receive::Wait => self.stop(Phase::Body(receiving)),
            Receive::Drain => match receiving.pending.drain(&host::RequestBody) {
                Ok(()) => {
                    host::replace(BufferType::HttpRequestBody, size, &[]);
                    self.pass(Phase::Body(receiving))
                }
                Err(reply) => self.local_reply_in_body(*reply, size),
            },
            Receive::Decide => {
                let Receiving { gate, pending, headers } = receiving;
                self.body_step(gate.decide(*pending, &host::RequestBody), &headers)
            }
            Receive::Refuse(reply) => self.local_reply_in_body(reply, size),
        }
    }

    /// Carries out the verdict on a request with these headers.
    fn body_step(&mut self, step: BodyStep, headers: &HeaderList) -> Action {
        let forward = match step {
            BodyStep::LocalReply(reply) => return self.local_reply(reply),
            BodyStep::Forward(forward) => forward,
        };
        host::edit(MapType::HttpRequestHeaders, Headers(headers), forward.edits());
        if let Some((size, bytes)) = forward.buffer_edit() {
            host::replace(BufferType::HttpRequestBody, size, bytes);
        }
        self.count(forward.counts().iter().copied());
        self.pass(Phase::Sent(forward.into_awaiting_reply()))
    }

    /// Releases a local reply in the form in which the gate has made it.
    fn mend_local_reply(&mut self, mut sending: Sending) -> Action {
        if self.forwarded {
            let headers = host::headers(MapType::HttpResponseHeaders);
            let headers = Headers(&headers);
            sending.padded = headers.first(HEADER_ONLY).is_some();
            if sending.padded {
                let taken_off = [HEADER_ONLY, CONTENT_LENGTH].map(HeaderEdit::remove);
                sending.headers.splice(..0, taken_off);
            }
            host::edit(MapType::HttpResponseHeaders, headers, &sending.headers);
        } else {
            // The Lua filter has not seen the request, so it takes the reply for none of a backend's.
            host::edit_one_by_one(MapType::HttpResponseHeaders, &sending.headers);
        }
        let rest = sending.rest.take();
        let waits = rest.is_some_and(|rest| self.shared.waiting.hold_back(self.context, rest));
        let sending = Phase::LocalReply(sending);
        if waits { self.stop(sending) } else { self.pass(sending) }
    }

    /// Ends a reply, from its last body callback or its trailers. Returns `None` if the gate has made a local reply
    /// instead.
    fn write_reply(
        &mut self,
        replying: &Replying,
        trailers: &[(String, Vec<u8>)],
        body_is_there: bool,
    ) -> Option<()> {
        let Replying { reply, buffered } = replying;
        let trailers = Headers(trailers);
        let mut came = Vec::new();
        let decision = if body_is_there {
            came = host::read(BufferType::HttpResponseBody, reply.readable(*buffered));
            reply.finish(&came, trailers)
        } else {
            reply.finish_without_message(trailers)
        };
        let ReplyEdits { edits, written, count } = match decision {
            ReplyDecision::LocalReply(reply) => {
                self.local_reply(reply);
                return None;
            }
            ReplyDecision::Rewrite(rewritten) => rewritten,
        };
        let ReplyPayload { body, trailers: written } = written;
        // Empty unless the head is held.
        if !edits.is_empty() {
            let headers = host::headers(MapType::HttpResponseHeaders);
            host::edit(MapType::HttpResponseHeaders, Headers(&headers), &edits);
        }
        if body_is_there && (came.len() != *buffered || came != body) {
            host::replace(BufferType::HttpResponseBody, *buffered, &body);
        }
        self.count([count]);
        write_trailers(trailers, written);
        Some(())
    }
}

/// Replaces gRPC's status in the trailers, or adds it.
fn write_trailers(trailers: Headers<'_>, written: Vec<(&'static str, String)>) {
    let mut edits = Vec::new();
    // Only where the reply has trailers.
    if !trailers.0.is_empty() {
        edits.extend(GrpcReply::HEADERS.map(HeaderEdit::remove));
    }
    edits.extend(written.into_iter().map(|(name, value)| HeaderEdit::set(name, value)));
    host::edit(MapType::HttpResponseTrailers, trailers, &edits);
}

fn log_line(log: Option<(Level, String)>) {
    if let Some((level, line)) = log {
        log!(level, "{line}");
    }
}

fn own_headers(reply: &LocalResponse) -> Vec<HeaderEdit> {
    match reply {
        LocalResponse::Http { headers, body, .. } if body.is_empty() => {
            headers.iter().map(|(name, value)| HeaderEdit::set(name, value.as_str())).collect()
        }
        LocalResponse::Http { .. } | LocalResponse::Grpc { .. } => Vec::new(),
    }
}

/// The context for reading a reply: whether it comes after the request was forwarded, or before.
enum Due {
    InTime(AwaitingReply),
    Early(Box<PendingRequest>),
}

impl Context for Stream {}

impl Drop for Stream {
    fn drop(&mut self) {
        self.shared.end(self.context);
    }
}

impl HttpContext for Stream {
    fn on_http_request_headers(&mut self, _: usize, end_of_stream: bool) -> Action {
        let gate = match self.take_phase() {
            Phase::Fresh(Some(gate)) => gate,
            Phase::Fresh(None) => return self.refuse(),
            phase @ (Phase::Passing
            | Phase::Body(_)
            | Phase::Sent(_)
            | Phase::Refusing(_)
            | Phase::Reply(_)
            | Phase::Replied
            | Phase::LocalReply(_)
            | Phase::Broken) => return self.stop(phase),
        };
        let headers = host::headers(MapType::HttpRequestHeaders);
        self.is_envoys_grpc = is_envoys_grpc(Headers(&headers));
        let connection = host::EnvoyConnection::default();
        let metadata = gate.reads_tokens().then(host::metadata).flatten();
        let head = RequestHead {
            headers: Headers(&headers),
            connection: &connection,
            metadata: metadata.as_deref(),
            end_of_stream,
            now: host::now(),
        };
        let (step, identified) = gate.on_head(&head, &self.shared.worker);
        self.identify(identified, head.now);
        self.head_step(step, gate, headers)
    }

    fn on_http_request_body(&mut self, size: usize, end_of_stream: bool) -> Action {
        let mut receiving = match self.take_phase() {
            Phase::Body(receiving) => receiving,
            Phase::Refusing(mut refusing) => {
                if refusing.discard.is_over(size, end_of_stream) {
                    return self.send(&refusing.response, None);
                }
                return self.stop_body(Phase::Refusing(refusing), size);
            }
            Phase::Passing => return self.pass(Phase::Passing),
            Phase::Fresh(_) => return self.refuse(),
            phase @ (Phase::Sent(_)
            | Phase::Reply(_)
            | Phase::Replied
            | Phase::LocalReply(_)
            | Phase::Broken) => return self.stop_body(phase, size),
        };
        let receive = receiving.pending.receive(size, end_of_stream);
        self.receive(receive, receiving, size)
    }

    fn on_http_request_trailers(&mut self, _: usize) -> Action {
        let mut receiving = match self.take_phase() {
            Phase::Body(receiving) => receiving,
            Phase::Refusing(refusing) => return self.send(&refusing.response, None),
            Phase::Passing => return self.pass(Phase::Passing),
            Phase::Fresh(_) => return self.refuse(),
            phase @ (Phase::Sent(_)
            | Phase::Reply(_)
            | Phase::Replied
            | Phase::LocalReply(_)
            | Phase::Broken) => return self.stop(phase),
        };
        let receive = receiving.pending.receive_trailers();
        self.receive(receive, receiving, 0)
    }

    fn on_http_response_headers(&mut self, _: usize, end_of_stream: bool) -> Action {
        let due = match self.take_phase() {
            Phase::Sent(sent) => Due::InTime(sent),
            Phase::Body(receiving) => Due::Early(receiving.pending),
            Phase::LocalReply(sending) => return self.mend_local_reply(sending),
            // Envoy's own reply to a request that takes too long, or a reply of a backend that got
            // nothing.
            Phase::Refusing(refusing) => return self.send(&refusing.response, None),
            Phase::Passing => return self.pass(Phase::Passing),
            // The backend's reply was not completed, and Envoy reports that itself.
            Phase::Reply(_) | Phase::Replied => return self.pass(Phase::Replied),
            Phase::Fresh(_) | Phase::Broken => return self.refuse(),
        };
        let headers = host::headers(MapType::HttpResponseHeaders);
        let head = ReplyHead {
            headers: Headers(&headers),
            details: &host::code_details,
            end_of_stream,
            now: &host::now,
        };
        let step = match due {
            Due::InTime(sent) => sent.on_reply_head(&head),
            Due::Early(pending) => pending.on_early_reply(&head),
        };
        match step {
            ReplyStep::LocalReply(reply) => self.local_reply(reply),
            ReplyStep::Pass { edits, counts, log } => {
                host::edit(MapType::HttpResponseHeaders, Headers(&headers), &edits);
                self.count(counts);
                log_line(log);
                self.pass(Phase::Replied)
            }
            ReplyStep::Rewrite { edits, hold_headers, reply, log } => {
                host::edit(MapType::HttpResponseHeaders, Headers(&headers), &edits);
                log_line(log);
                let reply = Phase::Reply(Replying { reply, buffered: 0 });
                if hold_headers { self.stop(reply) } else { self.pass(reply) }
            }
        }
    }

    fn on_http_response_body(&mut self, size: usize, end_of_stream: bool) -> Action {
        let mut replying = match self.take_phase() {
            Phase::Reply(replying) => replying,
            Phase::LocalReply(sending) => {
                if sending.padded {
                    host::replace(BufferType::HttpResponseBody, size, &[]);
                }
                let waits = self.shared.waiting.holds(self.context);
                let sending = Phase::LocalReply(sending);
                return if waits { self.stop(sending) } else { self.pass(sending) };
            }
            phase @ (Phase::Passing | Phase::Replied) => return self.pass(phase),
            phase @ (Phase::Fresh(_)
            | Phase::Body(_)
            | Phase::Sent(_)
            | Phase::Refusing(_)
            | Phase::Broken) => {
                return self.stop(phase);
            }
        };
        replying.buffered = size;
        if end_of_stream {
            return match self.write_reply(&replying, &[], true) {
                Some(()) => self.pass(Phase::Replied),
                None => Action::Pause,
            };
        }
        if replying.reply.receive(size) == ReplyBody::Discard {
            host::replace(BufferType::HttpResponseBody, size, &[]);
            replying.buffered = 0;
        }
        self.stop(Phase::Reply(replying))
    }

    fn on_http_response_trailers(&mut self, _: usize) -> Action {
        let replying = match self.take_phase() {
            Phase::Reply(replying) => replying,
            phase @ (Phase::Passing | Phase::Replied | Phase::LocalReply(_)) => {
                return self.pass(phase);
            }
            phase @ (Phase::Fresh(_)
            | Phase::Body(_)
            | Phase::Sent(_)
            | Phase::Refusing(_)
            | Phase::Broken) => {
                return self.stop(phase);
            }
        };
        let came = host::headers(MapType::HttpResponseTrailers);
        match self.write_reply(&replying, &came, replying.buffered > 0) {
            Some(()) => self.pass(Phase::Replied),
            None => Action::Pause,
        }
    }
}
