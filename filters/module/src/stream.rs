//! One request and its reply, callback by callback.
//!
//! Every value that a later callback needs lives in the [`Phase`] that this callback is due in, so
//! what comes out of order finds nothing to work with.

use std::{mem, rc::Rc};

use log::log;
use proxy_wasm::{
    traits::{Context, HttpContext},
    types::{Action, BufferType, MapType},
};
use sluice_gate::{
    BodyEdit, BodyStep, Certificates, Count, Finished, Forward, Gate, HEADER_ONLY, HeadStep,
    Headers, Held, Identified, Reading, Reply, ReplyHead, ReplyStep, RequestHead, Rewritten, Sent,
};
use sluice_reply::{GrpcReply, LocalReply, Written};
use sluice_senders::PeerEvidence;
use sluice_tenant::HeaderEdit;

use crate::{host, shared::Shared};

pub(crate) struct Stream {
    gate: Option<Rc<Gate>>,
    shared: Rc<Shared>,
    phase: Phase,
    /// The namespace of who sends, once that is known.
    sender: Option<String>,
}

enum Phase {
    /// Nothing has come.
    Fresh,
    /// The head has come, and the body is coming.
    Body(Receiving),
    /// The request is with its backend.
    Sent(Sent),
    /// The reply's head has come, and its body is coming.
    Reply(Replying),
    /// The gate has answered; what Envoy makes of its answer is put right on its way out.
    Answered(Answered),
    /// There is no more to do.
    Done,
}

struct Answered {
    /// The answer's own headers, if its body is empty: Envoy takes the content type off a local
    /// reply without a body (`source/common/http/utility.cc`, `prepareLocalReply`).
    headers: Vec<HeaderEdit>,
    /// The Lua filter has taken the answer for a backend's and given it a body.
    padded: bool,
}

struct Receiving {
    held: Held,
    /// Bytes in Envoy's buffer.
    buffered: usize,
    /// What was drained from it, once it had become too much for it.
    drained: Option<Vec<u8>>,
}

struct Replying {
    reading: Reading,
    /// Bytes in Envoy's buffer.
    buffered: usize,
    /// Some of the body was thrown away, because it was too long to be of use.
    cut: bool,
}

impl Stream {
    pub(crate) const fn new(gate: Option<Rc<Gate>>, shared: Rc<Shared>) -> Self {
        Self { gate, shared, phase: Phase::Fresh, sender: None }
    }

    fn count(&self, counts: impl IntoIterator<Item = Count>) {
        self.shared.counters.add(counts, self.sender.as_deref());
    }

    /// Tells Envoy whose request it is.
    fn tell(&mut self, identified: Identified) {
        let Identified { sender, by, ending, tenant, counts, log } = identified;
        for (name, value) in
            [("sluice_sender", &sender), ("sluice_identified_by", &by), ("sluice_tenant", &tenant)]
        {
            if let Some(value) = value {
                host::tell(name, value);
            }
        }
        if let (Some(sender), Some(ending)) = (&sender, ending) {
            self.shared.counters.certificate_ends(sender, ending.at);
        }
        self.sender = sender;
        self.count(counts);
        if let Some((level, line)) = log {
            log!(level, "{line}");
        }
    }

    fn take_phase(&mut self) -> Phase {
        mem::replace(&mut self.phase, Phase::Done)
    }

    /// Answers in the backend's place; nothing of the request goes on.
    fn answer(&mut self, answer: Reply) -> Action {
        let Reply { reply, counts, log } = answer;
        self.phase = Phase::Answered(Answered { headers: own_headers(&reply), padded: false });
        self.count(counts);
        if let Some((level, line)) = log {
            log!(level, "{line}");
        }
        host::answer(&reply);
        Action::Pause
    }

    fn body_step(&mut self, step: BodyStep, buffer: &Buffer) -> Action {
        let Forward { edits, body, counts, sent } = match step {
            BodyStep::Reply(reply) => return self.answer(reply),
            BodyStep::Forward(forward) => forward,
        };
        host::edit(MapType::HttpRequestHeaders, &edits);
        match (buffer, &body) {
            (Buffer::Envoy(_), BodyEdit::Keep { skip: 0, .. }) | (Buffer::None, _) => {}
            (Buffer::Envoy(_), BodyEdit::Keep { skip, .. }) => {
                host::replace(BufferType::HttpRequestBody, *skip, &[]);
            }
            (Buffer::Envoy(size), BodyEdit::Replace(_)) | (Buffer::Drained(size), _) => {
                host::replace(BufferType::HttpRequestBody, *size, body.as_slice());
            }
        }
        self.count(counts);
        self.phase = Phase::Sent(sent);
        Action::Continue
    }

    /// Lets the gate's own answer out as the gate has said it.
    fn mend_answer(&mut self, mut answered: Answered) -> Action {
        let headers = host::headers(MapType::HttpResponseHeaders);
        answered.padded = Headers(&headers).first(HEADER_ONLY).is_some();
        if answered.padded {
            let taken_off = [HEADER_ONLY, "content-length"].map(HeaderEdit::remove);
            host::edit(MapType::HttpResponseHeaders, &taken_off);
        }
        host::edit(MapType::HttpResponseHeaders, &answered.headers);
        self.phase = Phase::Answered(answered);
        Action::Continue
    }

    /// The end of a reply, from its last body callback or its trailers. The trailers that it gets; `None` if the
    /// gate has answered in its place.
    fn write_reply(
        &mut self,
        replying: &Replying,
        trailers: &[(String, Vec<u8>)],
        body_is_there: bool,
    ) -> Option<Vec<(&'static str, String)>> {
        let Replying { reading, buffered, cut } = replying;
        let trailers = Headers(trailers);
        let finished = if body_is_there {
            let kept = if *cut { 0 } else { *buffered };
            reading.finish(&host::read(BufferType::HttpResponseBody, kept), trailers)
        } else {
            reading.finish_without_message(trailers)
        };
        let Rewritten { edits, written, count } = match finished {
            Finished::Answer(answer) => {
                self.answer(answer);
                return None;
            }
            Finished::Rewrite(rewritten) => rewritten,
        };
        let Written { body, trailers } = written;
        // None unless the head is held.
        host::edit(MapType::HttpResponseHeaders, &edits);
        if body_is_there {
            host::replace(BufferType::HttpResponseBody, *buffered, &body);
        }
        self.count([count]);
        Some(trailers)
    }
}

fn own_headers(reply: &LocalReply) -> Vec<HeaderEdit> {
    match reply {
        LocalReply::Http { headers, body, .. } if body.is_empty() => {
            headers.iter().map(|(name, value)| HeaderEdit::set(name, value.as_str())).collect()
        }
        _ => Vec::new(),
    }
}

/// Where the body of a request is when it is decided.
enum Buffer {
    /// There is none.
    None,
    /// In Envoy, all of it: this many bytes.
    Envoy(usize),
    /// In the module; of it, this many bytes are in Envoy still.
    Drained(usize),
}

impl Context for Stream {}

impl HttpContext for Stream {
    fn on_http_request_headers(&mut self, _: usize, end_of_stream: bool) -> Action {
        let (Phase::Fresh, Some(gate)) = (self.take_phase(), self.gate.clone()) else {
            // No configuration was accepted: what guards fails closed.
            let reply = LocalReply::Http { status: 503, headers: Vec::new(), body: Vec::new() };
            return self.answer(Reply { reply, counts: Vec::new(), log: None });
        };
        let headers = host::headers(MapType::HttpRequestHeaders);
        let attribute = |name| gate.identifies_senders().then(|| host::connection(name)).flatten();
        let certificate = attribute("peer_certificate");
        let valid = attribute("peer_certificate_valid");
        let presented = attribute("mtls");
        // Only needed to vouch for a header, where Envoy does not show the certificate itself.
        let digest = match certificate {
            Some(_) => None,
            None => attribute("sha256_peer_certificate_digest"),
        };
        let attributes: Vec<_> =
            gate.attributes().iter().map(|path| host::attribute(path)).collect();
        let head = RequestHead {
            headers: Headers(&headers),
            peer: PeerEvidence {
                certificate: certificate.as_deref(),
                certificate_valid: valid.as_deref(),
                presented: presented.as_deref(),
                digest: digest.as_deref(),
                xfcc: &[],
                xfcc_sans: false,
            },
            attributes: &attributes,
            end_of_stream,
            now: host::now(),
        };
        let (step, identified) = match self.shared.certificates.try_borrow_mut() {
            Ok(mut certificates) => gate.on_head(&head, &mut certificates),
            Err(_) => gate.on_head(&head, &mut Certificates::default()),
        };
        self.tell(identified);
        match step {
            HeadStep::Reply(reply) => self.answer(reply),
            HeadStep::Decided(step) => self.body_step(step, &Buffer::None),
            HeadStep::Pass(edits) => {
                host::edit(MapType::HttpRequestHeaders, &edits);
                Action::Continue
            }
            HeadStep::Body { edits, held } => {
                host::edit(MapType::HttpRequestHeaders, &edits);
                self.phase = Phase::Body(Receiving { held, buffered: 0, drained: None });
                if gate.holds_headers() { Action::Pause } else { Action::Continue }
            }
        }
    }

    fn on_http_request_body(&mut self, size: usize, end_of_stream: bool) -> Action {
        let (mut receiving, gate) = match (self.take_phase(), self.gate.clone()) {
            (Phase::Body(receiving), Some(gate)) => (receiving, gate),
            (phase, _) => {
                self.phase = phase;
                return Action::Continue;
            }
        };
        receiving.buffered = size;
        let drained = receiving.drained.as_ref().map_or(0, Vec::len);
        let total = drained.saturating_add(size);
        if total > gate.limits().body_bytes {
            return self.answer(gate.on_body_too_large(&receiving.held));
        }
        if !end_of_stream {
            let drains = receiving.drained.is_some() || total > receiving.held.left_to_envoy();
            if drains {
                let chunk = host::read(BufferType::HttpRequestBody, size);
                receiving.drained.get_or_insert_default().extend_from_slice(&chunk);
                host::replace(BufferType::HttpRequestBody, size, &[]);
                receiving.buffered = 0;
            }
            self.phase = Phase::Body(receiving);
            return if drains { Action::Continue } else { Action::Pause };
        }
        let rest = host::read(BufferType::HttpRequestBody, size);
        let (body, buffer) = match receiving.drained {
            Some(mut body) => {
                body.extend_from_slice(&rest);
                (body, Buffer::Drained(size))
            }
            None => (rest, Buffer::Envoy(size)),
        };
        self.body_step(gate.on_body(receiving.held, body), &buffer)
    }

    fn on_http_request_trailers(&mut self, _: usize) -> Action {
        let (receiving, gate) = match (self.take_phase(), self.gate.clone()) {
            (Phase::Body(receiving), Some(gate)) => (receiving, gate),
            (phase, _) => {
                self.phase = phase;
                return Action::Continue;
            }
        };
        if receiving.drained.is_some() {
            return self.answer(gate.on_stray_trailers(&receiving.held));
        }
        let size = receiving.buffered;
        let body = host::read(BufferType::HttpRequestBody, size);
        let buffer = if size == 0 { Buffer::None } else { Buffer::Envoy(size) };
        self.body_step(gate.on_body(receiving.held, body), &buffer)
    }

    fn on_http_response_headers(&mut self, _: usize, end_of_stream: bool) -> Action {
        let sent = match self.take_phase() {
            Phase::Sent(sent) => sent,
            Phase::Answered(answered) => return self.mend_answer(answered),
            // Envoy answers before the gate has decided.
            Phase::Body(receiving) => receiving.held.interrupted(),
            // The gate has no say in it.
            _ => return Action::Continue,
        };
        let headers = host::headers(MapType::HttpResponseHeaders);
        let head = ReplyHead { headers: Headers(&headers), end_of_stream, now: host::now() };
        match sent.on_reply_head(&head) {
            ReplyStep::Answer(reply) => self.answer(reply),
            ReplyStep::Pass { edits, counts } => {
                host::edit(MapType::HttpResponseHeaders, &edits);
                self.count(counts);
                Action::Continue
            }
            ReplyStep::Rewrite { edits, held, reading } => {
                host::edit(MapType::HttpResponseHeaders, &edits);
                self.phase = Phase::Reply(Replying { reading, buffered: 0, cut: false });
                if held { Action::Pause } else { Action::Continue }
            }
        }
    }

    fn on_http_response_body(&mut self, size: usize, end_of_stream: bool) -> Action {
        let mut replying = match self.take_phase() {
            Phase::Reply(replying) => replying,
            Phase::Answered(Answered { padded: true, .. }) => {
                host::replace(BufferType::HttpResponseBody, size, &[]);
                return Action::Continue;
            }
            phase => {
                self.phase = phase;
                return Action::Continue;
            }
        };
        replying.buffered = size;
        if end_of_stream {
            let Some(trailers) = self.write_reply(&replying, &[], true) else {
                return Action::Pause;
            };
            host::set_trailers(MapType::HttpResponseTrailers, &trailers);
            return Action::Continue;
        }
        if size > Reading::MAX_BODY {
            host::replace(BufferType::HttpResponseBody, size, &[]);
            replying.buffered = 0;
            replying.cut = true;
        }
        self.phase = Phase::Reply(replying);
        Action::Pause
    }

    fn on_http_response_trailers(&mut self, _: usize) -> Action {
        match self.take_phase() {
            Phase::Reply(replying) => {
                let came = host::headers(MapType::HttpResponseTrailers);
                let Some(trailers) = self.write_reply(&replying, &came, replying.buffered > 0)
                else {
                    return Action::Pause;
                };
                host::edit(
                    MapType::HttpResponseTrailers,
                    &GrpcReply::HEADERS.map(HeaderEdit::remove),
                );
                host::set_trailers(MapType::HttpResponseTrailers, &trailers);
            }
            phase => self.phase = phase,
        }
        Action::Continue
    }
}
