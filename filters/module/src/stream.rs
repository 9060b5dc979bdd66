//! One request and its reply, callback by callback.
//!
//! Every value that a later callback needs lives in the [`Phase`] that this callback is due in, so
//! what comes out of order finds nothing to work with. Every pair of the two is written out, and no
//! arm takes the rest: nothing of a request goes on before its verdict, whatever comes first.
//!
//! | phase | head | body, trailers | the reply's head | its body, trailers |
//! |---|---|---|---|---|
//! | `Fresh` | decided | refused | refused | stopped |
//! | `Passing` | stopped | pass | passes | pass |
//! | `Body` | stopped | wait, then decided | early: nothing was stored | stopped |
//! | `Sent` | stopped | stopped | read | stopped |
//! | `Refusing` | stopped | thrown away, then answered | answered | stopped |
//! | `Reply` | stopped | stopped | passes: Envoy's own | read |
//! | `Replied` | stopped | stopped | passes: Envoy's own | pass |
//! | `Answered` | stopped | stopped | put right, held back while the request comes | pass, or emptied |
//! | `Broken` | stopped | stopped | refused | stopped |

use std::{mem, rc::Rc};

use log::{Level, log};
use proxy_wasm::{
    traits::{Context, HttpContext},
    types::{Action, BufferType, MapType},
};
use sluice_gate::{
    BodyEdit, BodyStep, Budget, Certificates, Count, Finished, Gate, HEADER_ONLY, HeadStep, Held,
    Holding, Identified, NoRoom, Pieces, Reading, Reply, ReplyHead, ReplyStep, RequestHead, Rest,
    Rewritten, Sent, Share, is_envoys_grpc,
};
use sluice_headers::{HeaderEdit, Headers, names::CONTENT_LENGTH};
use sluice_reply::{GrpcReply, LocalReply, Written};
use sluice_senders::PeerEvidence;

use crate::{host, shared::Shared};

pub(crate) struct Stream {
    /// What Envoy calls it.
    context: u32,
    shared: Rc<Shared>,
    phase: Phase,
    /// The namespace of who sends, once that is known.
    sender: Option<Rc<str>>,
    /// Envoy takes the request for gRPC.
    is_envoys_grpc: bool,
    /// What its body holds in Envoy until the backend answers.
    forwarded: Option<Share>,
}

enum Phase {
    /// Nothing has come. No gate: no configuration was accepted, and what guards fails closed.
    Fresh(Option<Rc<Gate>>),
    /// The request is none that the gate checks, and goes its way with its reply.
    Passing,
    /// The head has come, and the body is coming.
    Body(Receiving),
    /// The request is whole, and with its backend.
    Sent(Sent),
    /// The request is refused, and the rest of its body is coming.
    Refusing(Refusing),
    /// The reply's head has come, and its body is coming.
    Reply(Replying),
    /// The sender is being told, and there is no more to do.
    Replied,
    /// The gate has answered; what Envoy makes of its answer is put right on its way out.
    Answered(Answered),
    /// A callback has not come to its end.
    Broken,
}

struct Answered {
    /// The answer's own headers, if its body is empty: Envoy takes the content type off a local
    /// reply without a body (`source/common/http/utility.cc`, `prepareLocalReply`).
    headers: Vec<HeaderEdit>,
    /// The Lua filter has taken the answer for a backend's and given it a body.
    padded: bool,
    /// What Envoy throws away of the request before this goes.
    rest: Option<Rest>,
}

struct Refusing {
    /// The answer, once the body has come.
    reply: LocalReply,
    rest: Rest,
    /// Bytes of the body so far; none are kept.
    came: usize,
}

struct Receiving {
    /// The gate that has seen the head: another configuration does not change it.
    gate: Rc<Gate>,
    held: Held,
    /// Its part of the worker's budget, given back with this.
    share: Share,
    /// What the head has of that.
    head: Holding,
    /// Bytes in Envoy's buffer.
    buffered: usize,
    /// What was drained from it, once it had become too much for it.
    drained: Option<Pieces>,
}

impl Receiving {
    /// Bytes of the body so far.
    fn len(&self) -> usize {
        self.drained.as_ref().map_or(0, Pieces::len).saturating_add(self.buffered)
    }

    /// Keeps what has come, in Envoy or here. Whether it is here, and Envoy has nothing left.
    fn keep(&mut self) -> Result<bool, NoRoom> {
        let (size, limits) = (self.buffered, self.gate.limits());
        if self.drained.is_none() && size <= self.held.left_to_envoy() {
            self.share.hold(self.head.with(size, 0), &limits)?;
            return Ok(false);
        }
        let pieces = self.drained.get_or_insert_default();
        self.share.hold(self.head.with(0, pieces.capacity_with(size)), &limits)?;
        host::read_by(BufferType::HttpRequestBody, size, |piece| pieces.push(piece))?;
        host::replace(BufferType::HttpRequestBody, size, &[]);
        self.buffered = 0;
        Ok(true)
    }

    /// The whole body, of which nothing waits any more.
    fn whole(&mut self, budget: &Budget) -> Result<Vec<u8>, NoRoom> {
        let (size, limits) = (self.buffered, self.gate.limits());
        // For a moment what was drained is there twice.
        if self.len() > budget.room(&limits) {
            return Err(NoRoom);
        }
        let body = match self.drained.take() {
            Some(pieces) => {
                let mut body = pieces.join(size)?;
                host::read_by(BufferType::HttpRequestBody, size, |piece| {
                    body.extend_from_slice(piece);
                    Ok(())
                })?;
                body
            }
            None => host::read_whole(BufferType::HttpRequestBody, size)?,
        };
        self.share.hold(Holding::default(), &limits)?;
        Ok(body)
    }
}

struct Replying {
    reading: Reading,
    /// Bytes in Envoy's buffer.
    buffered: usize,
    /// Some of the body was thrown away, because it was too long to be of use.
    cut: bool,
}

impl Stream {
    pub(crate) const fn new(context: u32, gate: Option<Rc<Gate>>, shared: Rc<Shared>) -> Self {
        Self {
            context,
            shared,
            phase: Phase::Fresh(gate),
            sender: None,
            is_envoys_grpc: false,
            forwarded: None,
        }
    }

    fn count(&self, counts: impl IntoIterator<Item = Count>) {
        self.shared.counters.add(counts, self.sender.as_deref());
    }

    /// Tells Envoy whose request it is.
    fn tell(&mut self, identified: Identified) {
        let Identified { sender, by, expiry, tenant, counts, log } = identified;
        for (name, value) in
            [("sluice_sender", &sender), ("sluice_identified_by", &by), ("sluice_tenant", &tenant)]
        {
            if let Some(value) = value {
                host::tell(name, value);
            }
        }
        if let (Some(sender), Some(expiry)) = (&sender, expiry) {
            self.shared.counters.certificate_ends(sender, expiry.at);
        }
        self.sender = sender.map(Rc::from);
        self.count(counts);
        log_line(log);
    }

    fn take_phase(&mut self) -> Phase {
        mem::replace(&mut self.phase, Phase::Broken)
    }

    /// Refuses what must not be where it is, without a word of why: there is no request to speak of.
    fn refuse(&mut self) -> Action {
        let reply = LocalReply::Http { status: 503, headers: Vec::new(), body: Vec::new() };
        self.answer(Reply { reply, counts: Vec::new(), log: None })
    }

    /// Lets nothing more of the request go on.
    fn stop_body(&mut self, phase: Phase, size: usize) -> Action {
        host::replace(BufferType::HttpRequestBody, size, &[]);
        self.stop(phase)
    }

    fn stop(&mut self, phase: Phase) -> Action {
        self.phase = phase;
        Action::Pause
    }

    fn pass(&mut self, phase: Phase) -> Action {
        self.phase = phase;
        Action::Continue
    }

    /// Answers in the backend's place; nothing of the request goes on.
    fn answer(&mut self, answer: Reply) -> Action {
        let reply = self.note(answer);
        self.say(&reply, None)
    }

    /// Counts and logs an answer, which is then to be given.
    fn note(&self, answer: Reply) -> LocalReply {
        let Reply { reply, counts, log } = answer;
        let reply = if self.is_envoys_grpc { reply } else { reply.spelled_out() };
        self.count(counts);
        log_line(log);
        reply
    }

    fn say(&mut self, reply: &LocalReply, rest: Option<Rest>) -> Action {
        self.phase = Phase::Answered(Answered { headers: own_headers(reply), padded: false, rest });
        host::answer(reply);
        Action::Pause
    }

    /// Refuses a request at its head, and has the rest of it thrown away first.
    fn refuse_head(&mut self, gate: &Gate, answer: Reply, rest: Option<Rest>) -> Action {
        match rest {
            Some(rest) if gate.holds_headers() => self.throw_away(answer, rest, 0),
            // While the head is stopped there are no callbacks of the body, and let go it must not be.
            rest => {
                let reply = self.note(answer);
                self.say(&reply, rest)
            }
        }
    }

    /// Refuses a request while its body comes, and throws the rest of it away first.
    fn refuse_body(&mut self, receiving: &Receiving, answer: Reply, end_of_stream: bool) -> Action {
        let rest = receiving.gate.rest_of(&receiving.held).filter(|_| !end_of_stream);
        match rest {
            Some(rest) => {
                host::replace(BufferType::HttpRequestBody, receiving.buffered, &[]);
                self.throw_away(answer, rest, receiving.len())
            }
            None => self.answer(answer),
        }
    }

    fn throw_away(&mut self, answer: Reply, rest: Rest, came: usize) -> Action {
        let reply = self.note(answer);
        self.stop(Phase::Refusing(Refusing { reply, rest, came }))
    }

    /// Decides on a request whose body has come to its end.
    fn decide(&mut self, mut receiving: Receiving, buffer: &Buffer) -> Action {
        let Ok(body) = receiving.whole(&self.shared.budget) else {
            return self.answer(receiving.gate.on_no_room(&receiving.held));
        };
        let limits = receiving.gate.limits();
        // It does not wait any more, and still is there.
        let room = self.shared.budget.room(&limits).saturating_sub(body.len());
        let step = receiving.gate.on_body(receiving.held, body, room);
        if let BodyStep::Forward(forward) = &step
            && let Some(holding) = Holding::of_forwarded(forward.body().as_slice().len(), &limits)
        {
            let mut share = self.shared.forwarded.share(self.sender.clone());
            if share.hold(holding, &limits).is_err() {
                return self.answer(forward.on_no_room());
            }
            self.forwarded = Some(share);
        }
        self.body_step(step, buffer)
    }

    fn body_step(&mut self, step: BodyStep, buffer: &Buffer) -> Action {
        let forward = match step {
            BodyStep::Reply(reply) => return self.answer(reply),
            BodyStep::Forward(forward) => forward,
        };
        host::edit(MapType::HttpRequestHeaders, forward.edits());
        match (buffer, forward.body()) {
            (Buffer::Envoy(_), BodyEdit::Keep { skip: 0, .. }) | (Buffer::None, _) => {}
            (Buffer::Envoy(_), BodyEdit::Keep { skip, .. }) => {
                host::replace(BufferType::HttpRequestBody, *skip, &[]);
            }
            (Buffer::Envoy(size), body @ BodyEdit::Replace(_)) | (Buffer::Drained(size), body) => {
                host::replace(BufferType::HttpRequestBody, *size, body.as_slice());
            }
        }
        self.count(forward.counts().iter().copied());
        self.phase = Phase::Sent(forward.into_sent());
        Action::Continue
    }

    /// Lets the gate's own answer out as the gate has said it.
    fn mend_answer(&mut self, mut answered: Answered) -> Action {
        let headers = host::headers(MapType::HttpResponseHeaders);
        answered.padded = Headers(&headers).first(HEADER_ONLY).is_some();
        if answered.padded {
            let taken_off = [HEADER_ONLY, CONTENT_LENGTH].map(HeaderEdit::remove);
            host::edit(MapType::HttpResponseHeaders, &taken_off);
        }
        host::edit(MapType::HttpResponseHeaders, &answered.headers);
        let rest = answered.rest.take();
        let waits = rest.is_some_and(|rest| self.shared.waiting.hold_back(self.context, rest));
        let answered = Phase::Answered(answered);
        if waits { self.stop(answered) } else { self.pass(answered) }
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

fn log_line(log: Option<(Level, String)>) {
    if let Some((level, line)) = log {
        log!(level, "{line}");
    }
}

fn own_headers(reply: &LocalReply) -> Vec<HeaderEdit> {
    match reply {
        LocalReply::Http { headers, body, .. } if body.is_empty() => {
            headers.iter().map(|(name, value)| HeaderEdit::set(name, value.as_str())).collect()
        }
        LocalReply::Http { .. } | LocalReply::Grpc { .. } => Vec::new(),
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

/// What a reply is read with: it comes when the request has gone, or before.
enum Due {
    InTime(Sent),
    Early(Held),
}

impl Context for Stream {}

impl Drop for Stream {
    fn drop(&mut self) {
        self.shared.waiting.forget(self.context);
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
            | Phase::Answered(_)
            | Phase::Broken) => return self.stop(phase),
        };
        let headers = host::headers(MapType::HttpRequestHeaders);
        self.is_envoys_grpc = is_envoys_grpc(Headers(&headers));
        let attribute = |name| gate.identifies_senders().then(|| host::connection(name)).flatten();
        let certificate = attribute("peer_certificate");
        let valid = attribute("peer_certificate_valid");
        let presented = attribute("mtls");
        // Only needed to vouch for a header, where Envoy does not show the certificate itself.
        let digest = match certificate {
            Some(_) => None,
            None => attribute("sha256_peer_certificate_digest"),
        };
        let metadata = gate.reads_tokens().then(host::metadata).flatten();
        let head = RequestHead {
            headers: Headers(&headers),
            peer: PeerEvidence {
                certificate: certificate.as_deref(),
                certificate_valid: valid.as_deref(),
                presented: presented.as_deref(),
                digest: digest.as_deref(),
                xfcc: &[],
            },
            metadata: metadata.as_deref(),
            end_of_stream,
            now: host::now(),
        };
        let (step, identified) = match self.shared.certificates.try_borrow_mut() {
            Ok(mut certificates) => gate.on_head(&head, &mut certificates),
            Err(_) => gate.on_head(&head, &mut Certificates::default()),
        };
        self.tell(identified);
        match step {
            HeadStep::Reply { reply, rest } => self.refuse_head(&gate, reply, rest),
            HeadStep::Decided(step) => self.body_step(step, &Buffer::None),
            HeadStep::Pass(edits) => {
                host::edit(MapType::HttpRequestHeaders, &edits);
                self.pass(Phase::Passing)
            }
            HeadStep::Body { edits, held } => {
                let mut share = self.shared.budget.share(self.sender.clone());
                let holds = gate.holds_headers();
                let head = Holding::of_head(Headers(&headers), !holds);
                if share.hold(head, &gate.limits()).is_err() {
                    return self.refuse_head(&gate, gate.on_no_room(&held), gate.rest_of(&held));
                }
                host::edit(MapType::HttpRequestHeaders, &edits);
                let (buffered, drained) = (0, None);
                let body = Phase::Body(Receiving { gate, held, share, head, buffered, drained });
                if holds { self.stop(body) } else { self.pass(body) }
            }
        }
    }

    fn on_http_request_body(&mut self, size: usize, end_of_stream: bool) -> Action {
        let mut receiving = match self.take_phase() {
            Phase::Body(receiving) => receiving,
            Phase::Refusing(mut refusing) => {
                refusing.came = refusing.came.saturating_add(size);
                if end_of_stream || refusing.rest.is_too_long(refusing.came) {
                    return self.say(&refusing.reply, None);
                }
                return self.stop_body(Phase::Refusing(refusing), size);
            }
            Phase::Passing => return self.pass(Phase::Passing),
            Phase::Fresh(_) => return self.refuse(),
            phase @ (Phase::Sent(_)
            | Phase::Reply(_)
            | Phase::Replied
            | Phase::Answered(_)
            | Phase::Broken) => return self.stop_body(phase, size),
        };
        receiving.buffered = size;
        if receiving.len() > receiving.gate.limits().body_bytes {
            let answer = receiving.gate.on_body_too_large(&receiving.held);
            return self.refuse_body(&receiving, answer, end_of_stream);
        }
        if !end_of_stream {
            return match receiving.keep() {
                Ok(true) => self.pass(Phase::Body(receiving)),
                Ok(false) => self.stop(Phase::Body(receiving)),
                Err(NoRoom) => {
                    let answer = receiving.gate.on_no_room(&receiving.held);
                    self.refuse_body(&receiving, answer, end_of_stream)
                }
            };
        }
        let buffer = match receiving.drained {
            Some(_) => Buffer::Drained(size),
            None => Buffer::Envoy(size),
        };
        self.decide(receiving, &buffer)
    }

    fn on_http_request_trailers(&mut self, _: usize) -> Action {
        let receiving = match self.take_phase() {
            Phase::Body(receiving) => receiving,
            Phase::Refusing(refusing) => return self.say(&refusing.reply, None),
            Phase::Passing => return self.pass(Phase::Passing),
            Phase::Fresh(_) => return self.refuse(),
            phase @ (Phase::Sent(_)
            | Phase::Reply(_)
            | Phase::Replied
            | Phase::Answered(_)
            | Phase::Broken) => return self.stop(phase),
        };
        if receiving.drained.is_some() {
            return self.answer(receiving.gate.on_stray_trailers(&receiving.held));
        }
        let buffer = match receiving.buffered {
            0 => Buffer::None,
            size => Buffer::Envoy(size),
        };
        self.decide(receiving, &buffer)
    }

    fn on_http_response_headers(&mut self, _: usize, end_of_stream: bool) -> Action {
        self.forwarded = None;
        let due = match self.take_phase() {
            Phase::Sent(sent) => Due::InTime(sent),
            Phase::Body(receiving) => Due::Early(receiving.held),
            Phase::Answered(answered) => return self.mend_answer(answered),
            // Envoy's own, to a request that takes too long, or a backend's that has got nothing.
            Phase::Refusing(refusing) => return self.say(&refusing.reply, None),
            Phase::Passing => return self.pass(Phase::Passing),
            // The reply that was coming did not come to its end, and Envoy says so itself.
            Phase::Reply(_) | Phase::Replied => return self.pass(Phase::Replied),
            Phase::Fresh(_) | Phase::Broken => return self.refuse(),
        };
        let headers = host::headers(MapType::HttpResponseHeaders);
        let head = ReplyHead {
            headers: Headers(&headers),
            details: &host::code_details,
            end_of_stream,
            now: host::now(),
        };
        let step = match due {
            Due::InTime(sent) => sent.on_reply_head(&head),
            Due::Early(held) => held.on_early_reply(&head),
        };
        match step {
            ReplyStep::Answer(reply) => self.answer(reply),
            ReplyStep::Pass { edits, counts, log } => {
                host::edit(MapType::HttpResponseHeaders, &edits);
                self.count(counts);
                log_line(log);
                self.pass(Phase::Replied)
            }
            ReplyStep::Rewrite { edits, held, reading, log } => {
                host::edit(MapType::HttpResponseHeaders, &edits);
                log_line(log);
                let reply = Phase::Reply(Replying { reading, buffered: 0, cut: false });
                if held { self.stop(reply) } else { self.pass(reply) }
            }
        }
    }

    fn on_http_response_body(&mut self, size: usize, end_of_stream: bool) -> Action {
        let mut replying = match self.take_phase() {
            Phase::Reply(replying) => replying,
            Phase::Answered(answered) => {
                if answered.padded {
                    host::replace(BufferType::HttpResponseBody, size, &[]);
                }
                let waits = self.shared.waiting.holds(self.context);
                let answered = Phase::Answered(answered);
                return if waits { self.stop(answered) } else { self.pass(answered) };
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
            let Some(trailers) = self.write_reply(&replying, &[], true) else {
                return Action::Pause;
            };
            host::set_trailers(MapType::HttpResponseTrailers, &trailers);
            return self.pass(Phase::Replied);
        }
        if size > Reading::MAX_BODY {
            host::replace(BufferType::HttpResponseBody, size, &[]);
            replying.buffered = 0;
            replying.cut = true;
        }
        self.stop(Phase::Reply(replying))
    }

    fn on_http_response_trailers(&mut self, _: usize) -> Action {
        let replying = match self.take_phase() {
            Phase::Reply(replying) => replying,
            phase @ (Phase::Passing | Phase::Replied | Phase::Answered(_)) => {
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
        let Some(trailers) = self.write_reply(&replying, &came, replying.buffered > 0) else {
            return Action::Pause;
        };
        host::edit(MapType::HttpResponseTrailers, &GrpcReply::HEADERS.map(HeaderEdit::remove));
        host::set_trailers(MapType::HttpResponseTrailers, &trailers);
        self.pass(Phase::Replied)
    }
}
