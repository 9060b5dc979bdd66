//! The reply: the backend's answer combined with what the gate dropped, in the sender's protocol.

use log::Level;
use sluice_encodings::grpc;
use sluice_headers::{
    HeaderEdit, Headers,
    names::{CONTENT_TYPE, RETRY_AFTER, STATUS},
};
use sluice_otlp::Signal;
use sluice_records::Violations;
use sluice_reply::{
    BackendReply, Code, EnvoyAnswer, ExportOutcome, FAILED, Failure, GrpcReply, LocalResponse,
    Protocol, ReplyPayload, from_base64, outcome_of, parse_retry_after,
};
use sluice_route::Transport;
use sluice_stores::Store;

use crate::{Count, LocalReply, Share, export::Export, pending_request::Route};

/// A request that has been forwarded to its backend, and what its reply must take into account.
#[derive(Debug)]
pub struct AwaitingReply {
    pub(crate) protocol: Protocol,
    pub(crate) signal: Signal,
    /// The store that replies.
    pub(crate) store: &'static Store,
    /// The value by which Envoy selected its route.
    pub(crate) cluster: String,
    /// The largest batch that it accepts from one tenant at once, in bytes, if that is known.
    pub(crate) burst: Option<u32>,
    /// The protocol to it.
    pub(crate) transport: Transport,
    pub(crate) violations: Option<Violations>,
    /// Whether the request had no records.
    pub(crate) nothing: bool,
    /// Whether the head of a reply may be held until its body is known.
    pub(crate) hold_headers: bool,
    /// The share for its body, which Envoy holds until the backend replies; only if the body is
    /// long enough to count.
    pub(crate) body: Option<Share>,
}

/// The head of a backend's reply, as Envoy gives it.
#[derive(Clone, Copy)]
pub struct ReplyHead<'a> {
    /// The headers, including pseudo headers.
    pub headers: Headers<'a>,
    /// Reads Envoy's attribute `response.code_details`, which says where the reply comes from. Read only for failures.
    pub details: &'a dyn Fn() -> Option<Vec<u8>>,
    /// Whether nothing follows the head.
    pub end_of_stream: bool,
    /// Reads the time, in seconds since the epoch. Read only if the reply has a date in its `Retry-After`.
    pub now: &'a dyn Fn() -> u64,
}

/// What to do with a reply after its head.
#[derive(Debug)]
#[must_use]
pub enum ReplyStep {
    /// The gate makes a local reply instead.
    LocalReply(LocalReply),
    /// The reply passes with these edits to its head, and the gate has nothing more to do.
    Pass {
        /// The edits to the head.
        edits: Vec<HeaderEdit>,
        /// What to count.
        counts: Vec<Count>,
        /// What to log.
        log: Option<(Level, String)>,
    },
    /// The body is to be replaced. Until it has arrived, the head is held, or is sent with these
    /// edits.
    Rewrite {
        /// The edits to make now; none if the head is held.
        edits: Vec<HeaderEdit>,
        /// Whether the head is held.
        hold_headers: bool,
        /// The state for reading the body.
        reply: ReplyInProgress,
        /// What to log.
        log: Option<(Level, String)>,
    },
}

/// What to do with a reply whose body has arrived.
#[derive(Debug)]
#[must_use]
pub enum ReplyDecision {
    /// The gate makes a local reply instead. The head is still held.
    LocalReply(LocalReply),
    /// The reply is rewritten.
    Rewrite(ReplyEdits),
}

/// The changes to a reply that is not replaced as a whole.
#[derive(Debug)]
pub struct ReplyEdits {
    /// The edits to its head; none if it has already been sent.
    pub edits: Vec<HeaderEdit>,
    /// What replaces its body.
    pub written: ReplyPayload,
    /// What to count.
    pub count: Count,
}

/// A reply whose head has arrived. It exists only until its body has arrived.
#[derive(Debug)]
pub struct ReplyInProgress {
    sent: AwaitingReply,
    status: u16,
    content_type: Vec<u8>,
    /// In seconds. The delay is stored instead of the time, which has 64 bits: with that, the
    /// module's stream would have another alignment than its root, and the SDK's methods would be
    /// compiled twice, which costs 3 KiB.
    retry_after: Option<u32>,
    /// Envoy's own answer, if it answered in the backend's place.
    envoy: Option<EnvoyAnswer>,
    /// Whether an Envoy on the way reports that a rate limit was exceeded.
    rate_limited: bool,
    /// Whether the body is the Lua filter's placeholder for a missing one.
    header_only: bool,
    /// The body of a failure, if the Lua filter has waited for it.
    said: Option<Vec<u8>>,
    /// Whether the head is held.
    holds_headers: bool,
    /// Whether a part of the body has been discarded, so that the rest of it says nothing.
    discarded: bool,
}

/// What to do with the part of a reply's body that has arrived, while more may follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum ReplyBody {
    /// It stays in Envoy until the rest has arrived.
    Buffer,
    /// It is removed from Envoy's buffer.
    Discard,
}

/// The header in which the Lua filter after the module says that a reply had no body, and what its
/// status was. A wasm filter cannot add a body or trailers to such a reply.
pub const HEADER_ONLY: &str = "x-sluice-header-only";

/// The header in which the Lua filter after the module passes on the body of a failure, in base64.
/// A wasm filter sees a body only after the head has been sent, unless it may hold the head.
pub const SAID: &str = "x-sluice-said";

/// The message for a gRPC reply that ends without a status.
const NO_STATUS: &str = "the reply ended without a grpc-status";

impl AwaitingReply {
    /// Creates the state for a request on this route. Nothing is known of its body yet.
    pub(crate) fn new(export: Export, route: Route) -> Self {
        Self {
            protocol: export.protocol,
            signal: export.signal,
            store: route.store,
            cluster: route.cluster,
            burst: route.burst,
            transport: route.transport,
            violations: None,
            nothing: false,
            hold_headers: false,
            body: None,
        }
    }

    /// Decides about a reply by its head, if it comes before the verdict on the request. A backend's reply is replaced
    /// as a whole: if Envoy gets a local reply, it aborts the request to the backend.
    pub(crate) fn on_early_reply(self, head: &ReplyHead<'_>) -> ReplyStep {
        let headers = head.headers;
        let speaks_grpc = [self.protocol == Protocol::Grpc, self.transport == Transport::Grpc];
        let grpc =
            GrpcReply::read(|name| headers.first(name)).filter(|_| speaks_grpc.contains(&true));
        let reading = self.reading(head, grpc.as_ref());
        if reading.envoy.is_some() {
            return reading.sent.on_reply_head(head);
        }
        let said = reading.said.as_deref().unwrap_or_default();
        let outcome = match reading.outcome(said, grpc.as_ref()) {
            ExportOutcome::Success(_) => ExportOutcome::Failure(reading.hasty()),
            failure @ ExportOutcome::Failure(_) => failure,
        };
        ReplyStep::LocalReply(reading.local_reply(&outcome))
    }

    /// Decides about a reply by its head.
    pub fn on_reply_head(self, head: &ReplyHead<'_>) -> ReplyStep {
        let headers = head.headers;
        let grpc = GrpcReply::read(|name| headers.first(name));
        let mut reading = self.reading(head, grpc.as_ref());
        let log = reading.log(head);
        let grpc = match (reading.envoy, head.end_of_stream) {
            // Envoy answers a gRPC call with a gRPC status, and any other request never.
            (Some(_), _) => grpc,
            // A status in the head replaces the trailers, and no message follows.
            (None, true) => reading.grpc(headers),
            (None, false) => grpc.filter(|_| reading.sent.transport == Transport::Grpc),
        };
        let said = reading.said.as_deref().unwrap_or_default();
        let outcome = reading.outcome(said, grpc.as_ref());
        let edits = reading.edits(&outcome);
        // The failure is known, and every client finds it in a reply that has only headers.
        let is_known = reading.said.is_some() && matches!(outcome, ExportOutcome::Failure(_));
        if is_known && reading.sent.protocol == Protocol::Grpc {
            return ReplyStep::LocalReply(reading.local_reply(&outcome));
        }
        if head.end_of_stream {
            return reading.head_alone(&outcome, edits, grpc.is_some(), log);
        }
        // Once the body has said what failed, the status may change. Over gRPC it could then be in the trailers, where
        // some clients do not look: the Java SDK before 1.67 does not retry then.
        let open = reading.said.is_none() && reading.envoy.is_none();
        reading.holds_headers =
            reading.sent.hold_headers && open && matches!(outcome, ExportOutcome::Failure(_));
        let edits = if reading.holds_headers { Vec::new() } else { edits };
        ReplyStep::Rewrite { edits, hold_headers: reading.holds_headers, reply: reading, log }
    }

    /// The state for reading a reply, from its head; `grpc` is the gRPC status in it. By now the backend has taken the
    /// body of the request, or will not take more of it.
    fn reading(mut self, head: &ReplyHead<'_>, grpc: Option<&GrpcReply>) -> ReplyInProgress {
        self.body = None;
        let headers = head.headers;
        let header_only = headers.number(HEADER_ONLY);
        let status = header_only.or_else(|| headers.number(STATUS));
        let status = status.and_then(|status| u16::try_from(status).ok()).unwrap_or(500);
        let mut reading = ReplyInProgress {
            status,
            content_type: headers.first(CONTENT_TYPE).unwrap_or_default().to_vec(),
            retry_after: headers
                .first(RETRY_AFTER)
                .and_then(|value| parse_retry_after(value, head.now)),
            envoy: None,
            rate_limited: false,
            header_only: header_only.is_some(),
            said: None,
            holds_headers: false,
            discarded: false,
            sent: self,
        };
        if matches!(status, 200 | 202 | 204) && grpc.is_none_or(|grpc| grpc.code == 0) {
            return reading;
        }
        reading.envoy = reading.sent.envoys_answer(head, status, grpc);
        reading.rate_limited = headers.first("x-envoy-ratelimited").is_some();
        if reading.envoy.is_none() {
            let said = match reading.header_only {
                true => Some(Vec::new()),
                false => headers.first(SAID).and_then(from_base64),
            };
            reading.said = said.filter(|said| said.len() <= ReplyInProgress::MAX_BODY);
        }
        reading
    }

    /// What Envoy has answered in place of the backend, if it has.
    fn envoys_answer(
        &self,
        head: &ReplyHead<'_>,
        status: u16,
        grpc: Option<&GrpcReply>,
    ) -> Option<EnvoyAnswer> {
        // If the attribute is missing, a gRPC status shows that Envoy has answered, because a
        // backend over HTTP does not answer in gRPC's form.
        let unknown = || {
            let is_grpc = self.protocol == Protocol::Grpc && self.transport == Transport::Http;
            (is_grpc && grpc.is_some()).then(Vec::new)
        };
        let details = (head.details)().or_else(unknown)?;
        EnvoyAnswer::read(&details, status, grpc)
    }
}

impl ReplyInProgress {
    /// The most of a reply's body that is read, in bytes. OTLP's replies are a count and a text.
    const MAX_BODY: usize = 64 << 10;

    /// Decides about a part of the body. `buffered` is how much of it Envoy holds now, in bytes. A body that is longer
    /// than the gate reads does not wait in Envoy's buffer for its end.
    pub fn receive(&mut self, buffered: usize) -> ReplyBody {
        if buffered <= Self::MAX_BODY {
            return ReplyBody::Buffer;
        }
        self.discarded = true;
        ReplyBody::Discard
    }

    /// How many bytes of what Envoy holds at the end of the body [`finish`](Self::finish) reads: all or nothing. A body
    /// over 64 KiB is not read, because the status says what matters. Nor is one that the Lua filter has made or has
    /// passed on in a header.
    #[must_use]
    pub const fn readable(&self, buffered: usize) -> usize {
        let is_read = !self.header_only
            && !self.discarded
            && self.said.is_none()
            && buffered <= Self::MAX_BODY;
        if is_read { buffered } else { 0 }
    }

    /// Returns what replaces the reply. `body` is its body, of which the [readable](Self::readable) part counts.
    pub fn finish(&self, body: &[u8], trailers: Headers<'_>) -> ReplyDecision {
        let body = body.get(..self.readable(body.len())).unwrap_or_default();
        let body = self.said.as_deref().unwrap_or(body);
        let grpc = self.grpc(trailers);
        let body = match grpc {
            // The body is not compressed, because the backend was not told that it may be.
            Some(_) => grpc::read(body).map(|frame| frame.message).unwrap_or_default(),
            None => body,
        };
        self.finished(&self.outcome(body, grpc.as_ref()))
    }

    /// Returns the trailers for a gRPC reply into which no message can be inserted any more. Over
    /// HTTP, the head has already said everything.
    pub fn finish_without_message(&self, trailers: Headers<'_>) -> ReplyDecision {
        let outcome = match self.outcome(&[], self.grpc(trailers).as_ref()) {
            ExportOutcome::Success(_) if self.sent.protocol == Protocol::Grpc => {
                ExportOutcome::Failure(self.voiceless())
            }
            outcome => outcome,
        };
        self.finished(&outcome)
    }

    /// Decides about a reply that has only a head, which contains gRPC's status if `with_status`.
    fn head_alone(
        self,
        outcome: &ExportOutcome,
        mut edits: Vec<HeaderEdit>,
        with_status: bool,
        log: Option<(Level, String)>,
    ) -> ReplyStep {
        let counts = vec![self.count(outcome)];
        match self.sent.protocol.write(outcome, self.sent.signal) {
            // Nothing has to be sent in a body. A local reply would not work, because Envoy removes
            // the content type of one without a body.
            ReplyPayload { body, trailers } if body.is_empty() && trailers.is_empty() => {
                ReplyStep::Pass { edits, counts, log }
            }
            // Envoy's own reply has only a head already, in the place of trailers.
            ReplyPayload { trailers, .. } if self.envoy.is_some() && with_status => {
                edits.extend(GrpcReply::HEADERS.map(HeaderEdit::remove));
                let set = trailers.into_iter().map(|(name, value)| HeaderEdit::set(name, value));
                edits.extend(set);
                ReplyStep::Pass { edits, counts, log }
            }
            ReplyPayload { .. } => ReplyStep::LocalReply(self.local_reply(outcome)),
        }
    }

    /// The status in these trailers, for a backend that answers over gRPC.
    fn grpc(&self, trailers: Headers<'_>) -> Option<GrpcReply> {
        if self.sent.transport == Transport::Http || self.status != 200 {
            return None;
        }
        let missing = || GrpcReply { code: 2, message: NO_STATUS.to_owned(), retry_delay: None };
        Some(GrpcReply::read(|name| trailers.first(name)).unwrap_or_else(missing))
    }

    fn finished(&self, outcome: &ExportOutcome) -> ReplyDecision {
        if self.holds_headers && self.sent.protocol == Protocol::Grpc {
            return ReplyDecision::LocalReply(self.local_reply(outcome));
        }
        ReplyDecision::Rewrite(ReplyEdits {
            edits: if self.holds_headers { self.edits(outcome) } else { Vec::new() },
            written: self.sent.protocol.write(outcome, self.sent.signal),
            count: self.count(outcome),
        })
    }

    /// The log line for an answer of Envoy's own: which cluster it concerns, and Envoy's own reason.
    fn log(&self, head: &ReplyHead<'_>) -> Option<(Level, String)> {
        let envoy = self.envoy?;
        let details = (head.details)().unwrap_or_default();
        let details = String::from_utf8_lossy(&details);
        let (cluster, outcome) = (&self.sent.cluster, envoy.outcome());
        let line = format!(
            "Envoy answered in place of {} (cluster {cluster:?}): {outcome}: {details}",
            self.sent.store.name
        );
        // As with refusals, one line for each is only for those who look for it. But a wrong
        // configuration concerns the operators.
        Some((if envoy.is_misrouted() { Level::Error } else { Level::Debug }, line))
    }

    fn edits(&self, outcome: &ExportOutcome) -> Vec<HeaderEdit> {
        let mut edits = self.sent.protocol.reply_edits(outcome);
        edits.extend([HEADER_ONLY, SAID].map(HeaderEdit::remove));
        if self.sent.transport == Transport::Grpc {
            // The gate sets its own in the trailers.
            edits.extend(GrpcReply::HEADERS.map(HeaderEdit::remove));
        }
        edits
    }

    fn outcome(&self, body: &[u8], grpc: Option<&GrpcReply>) -> ExportOutcome {
        let reply = BackendReply {
            store: self.sent.store,
            status: self.status,
            grpc,
            envoy: self.envoy,
            rate_limited: self.rate_limited,
            burst: self.sent.burst,
            content_type: &self.content_type,
            retry_after: self.retry_after,
            body,
            protocol: self.sent.protocol,
            status_has_gone: !self.holds_headers
                && self.said.is_none()
                && self.sent.protocol != Protocol::Grpc,
        };
        outcome_of(&reply, self.sent.violations.as_ref(), self.sent.nothing)
    }

    /// The local reply instead of a reply that has only a head.
    fn local_reply(&self, outcome: &ExportOutcome) -> LocalReply {
        let protocol = self.sent.protocol;
        if let Some(response) = protocol.local_response(outcome, self.sent.signal) {
            return LocalReply::new(response, vec![self.count(outcome)]);
        }
        let failure = self.voiceless();
        let log = Some((Level::Error, failure.message.clone()));
        let counts = vec![Count::request(Some(self.sent.signal), FAILED)];
        let response = LocalResponse::Grpc { status: failure.status(), metadata: Vec::new() };
        LocalReply { log, ..LocalReply::new(response, counts) }
    }

    /// The records are stored, but there is no way to say so. The error is final, because a retry
    /// would store them twice.
    fn voiceless(&self) -> Failure {
        let name = self.sent.store.name;
        Failure {
            outcome: FAILED,
            http_status: 500,
            code: Code::Internal,
            message: match self.sent.transport {
                Transport::Grpc => {
                    format!(
                        "{name} answered OK over gRPC without a message: do not send the records again"
                    )
                }
                Transport::Http => format!(
                    "{name} stored the records and answered without a body, and this gateway lacks \
                     the header-only Lua filter that lets it say so over gRPC: do not send them again"
                ),
            },
            retry_after: None,
        }
    }

    /// The backend has not waited for the records, although it accepts them. A retry may succeed.
    fn hasty(&self) -> Failure {
        let (name, status) = (self.sent.store.name, self.status);
        let message =
            format!("{name} answered {status} before the body had arrived, and nothing was stored");
        Failure {
            outcome: FAILED,
            http_status: 503,
            code: Code::Unavailable,
            message,
            retry_after: None,
        }
    }

    fn count(&self, outcome: &ExportOutcome) -> Count {
        let label = match outcome {
            ExportOutcome::Failure(failure) => failure.outcome,
            ExportOutcome::Success(_) if self.sent.nothing => "nothing",
            ExportOutcome::Success(response) if response.partial_success.is_some() => "partial",
            ExportOutcome::Success(_) => "stored",
        };
        Count::request(Some(self.sent.signal), label)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(protocol: Protocol) -> AwaitingReply {
        AwaitingReply {
            protocol,
            signal: Signal::Metrics,
            store: &sluice_stores::MIMIR,
            cluster: String::new(),
            burst: None,
            transport: Transport::Http,
            violations: None,
            nothing: false,
            hold_headers: false,
            body: None,
        }
    }

    /// How a reply with this status and no message is counted, and the status in its trailers.
    fn without_message(protocol: Protocol, status: &[u8]) -> (&'static str, Option<String>) {
        let sent = sent(protocol);
        let headers = [(":status".to_owned(), status.to_vec())];
        let head = ReplyHead {
            headers: Headers(&headers),
            details: &|| None,
            end_of_stream: false,
            now: &|| 0,
        };
        let ReplyStep::Rewrite { reply, .. } = sent.on_reply_head(&head) else {
            panic!("a body follows");
        };
        let finished = reply.finish_without_message(Headers(&[]));
        let ReplyDecision::Rewrite(ReplyEdits {
            written: ReplyPayload { trailers, .. },
            count,
            ..
        }) = finished
        else {
            panic!("its head is not held");
        };
        let Count::Request { outcome, .. } = count else { panic!("a reply counts a request") };
        (outcome, trailers.first().map(|(_, status)| status.clone()))
    }

    #[test]
    fn who_has_named_a_cluster_that_envoy_does_not_have_finds_it_in_the_log() {
        for (details, expected) in [
            ("cluster_not_found", Some((Level::Error, true))),
            ("no_healthy_upstream", Some((Level::Debug, true))),
            ("via_upstream", None),
        ] {
            let sent =
                AwaitingReply { cluster: "mimir-b".to_owned(), ..sent(Protocol::HttpProtobuf) };
            let headers = [(":status".to_owned(), b"503".to_vec())];
            let head = ReplyHead {
                headers: Headers(&headers),
                details: &|| Some(details.as_bytes().to_vec()),
                end_of_stream: false,
                now: &|| 0,
            };
            let ReplyStep::Rewrite { log, .. } = sent.on_reply_head(&head) else {
                panic!("a body follows");
            };
            let log = log.map(|(level, line)| {
                (level, line.contains("\"mimir-b\"") && line.contains(details))
            });
            assert_eq!(log, expected, "{details}");
        }
    }

    #[test]
    fn nobody_is_asked_whose_reply_a_success_is() {
        let headers = [(":status".to_owned(), b"204".to_vec())];
        let head = ReplyHead {
            headers: Headers(&headers),
            details: &|| panic!("it costs a call to Envoy"),
            end_of_stream: true,
            now: &|| 0,
        };
        let step = sent(Protocol::HttpProtobuf).on_reply_head(&head);
        assert!(matches!(step, ReplyStep::Pass { .. }), "{step:?}");
    }

    /// A reply to an export over HTTP that says 400, whose body has begun to arrive.
    fn bad_request() -> ReplyInProgress {
        let headers = [
            (":status".to_owned(), b"400".to_vec()),
            ("content-type".to_owned(), b"text/plain".to_vec()),
        ];
        let head = ReplyHead {
            headers: Headers(&headers),
            details: &|| Some(b"via_upstream".to_vec()),
            end_of_stream: false,
            now: &|| 0,
        };
        match sent(Protocol::HttpProtobuf).on_reply_head(&head) {
            ReplyStep::Rewrite { reply, .. } => reply,
            other => panic!("a body follows: {other:?}"),
        }
    }

    /// Whether a reply whose body ends with `body` passes on what the body says.
    fn says(reply: &ReplyInProgress, body: &str) -> bool {
        match reply.finish(body.as_bytes(), Headers(&[])) {
            ReplyDecision::Rewrite(edits) => {
                String::from_utf8_lossy(&edits.written.body).contains("out of bounds")
            }
            ReplyDecision::LocalReply(reply) => panic!("its head has gone: {reply:?}"),
        }
    }

    #[test]
    fn a_reply_longer_than_64_kib_is_neither_held_nor_read() {
        let said = "out of bounds";
        let long = said.to_owned() + &" ".repeat(ReplyInProgress::MAX_BODY - said.len());
        let mut reply = bad_request();
        assert_eq!(reply.receive(long.len()), ReplyBody::Buffer);
        assert_eq!(reply.readable(long.len()), long.len());
        assert!(says(&reply, &long));

        // Over the limit with its last part.
        let longer = format!("{long} ");
        assert_eq!(reply.readable(longer.len()), 0);
        assert!(!says(&reply, &longer));

        // Over the limit before it: what comes after the discarded part is not the body.
        assert_eq!(reply.receive(longer.len()), ReplyBody::Discard);
        assert_eq!(reply.receive(said.len()), ReplyBody::Buffer);
        assert_eq!(reply.readable(said.len()), 0);
        assert!(!says(&reply, said));
    }

    #[test]
    fn success_without_a_message_is_an_error_over_grpc_alone() {
        assert_eq!(without_message(Protocol::Grpc, b"200"), ("failed", Some("13".to_owned())));
        assert_eq!(without_message(Protocol::HttpProtobuf, b"200"), ("stored", None));
        assert_eq!(without_message(Protocol::HttpProtobuf, b"503"), ("failed", None));
    }
}
