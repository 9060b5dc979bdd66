//! Turns a backend's reply into what the sender is told by OTLP.

use percent_encoding::percent_decode;
use prost::Message;
use sluice_headers::{
    is_media_type,
    names::{GRPC_MESSAGE, GRPC_STATUS},
};
use sluice_records::Violations;
use sluice_stores::{Meaning, Store};

use crate::{
    Code, EnvoyAnswer, ExportResponse, Protocol, Status,
    envoy::{self, Answer},
    status::{DETAILS, RETRY_INFO_HEADER},
    text::one_line,
    words::{meaning, over_burst},
};

/// What a backend answered.
#[derive(Clone, Copy, Debug)]
pub struct BackendReply<'a> {
    /// The store that answered.
    pub store: &'static Store,
    /// The HTTP status, if the reply is not a gRPC reply.
    pub status: u16,
    /// The gRPC status, if the reply is a gRPC reply.
    pub grpc: Option<&'a GrpcReply>,
    /// Envoy's own answer, if Envoy answered in the backend's place.
    pub envoy: Option<EnvoyAnswer>,
    /// Whether an Envoy on the way reports that a rate limit was exceeded (`x-envoy-ratelimited`).
    pub rate_limited: bool,
    /// The largest batch that the backend accepts from one tenant at once, in bytes, if that is
    /// known.
    pub burst: Option<u32>,
    /// The content type, as received.
    pub content_type: &'a [u8],
    /// The seconds for which the backend asks the sender to wait, read by
    /// [`parse_retry_after`](crate::parse_retry_after).
    pub retry_after: Option<u32>,
    /// The body, without a frame. Empty if there is none, or if it was too large to be read.
    pub body: &'a [u8],
    /// The protocol of the sender, and of the backend's reply.
    pub protocol: Protocol,
    /// Whether the sender has already got the status, so that the body cannot change it any more.
    pub status_has_gone: bool,
}

/// The status of a gRPC reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrpcReply {
    /// The code (`google/rpc/code.proto`).
    pub code: u16,
    /// The message, decoded.
    pub message: String,
    /// The delay of the `RetryInfo`, in seconds.
    pub retry_delay: Option<u32>,
}

impl GrpcReply {
    /// The headers or trailers that hold it.
    pub const HEADERS: [&str; 4] = [GRPC_STATUS, GRPC_MESSAGE, DETAILS, RETRY_INFO_HEADER];

    /// Reads the headers or trailers that hold a gRPC status, looked up by name. `None` if there is no `grpc-status`. A
    /// `grpc-status` that is not a number is UNKNOWN (gRPC over HTTP/2, "Responses").
    pub fn read<'a>(header: impl Fn(&str) -> Option<&'a [u8]>) -> Option<Self> {
        let code = header(GRPC_STATUS)?;
        let code = str::from_utf8(code).ok().and_then(|code| code.parse().ok());
        let message = header(GRPC_MESSAGE).unwrap_or_default();
        let details = header(DETAILS).and_then(Status::from_details_header);
        Some(Self {
            code: code.unwrap_or(UNKNOWN),
            message: percent_decode(message).decode_utf8_lossy().into_owned(),
            retry_delay: details.and_then(|status| status.retry_delay()),
        })
    }

    /// The HTTP status with the same meaning for a sender. In OTLP a sender retries on CANCELLED, DEADLINE_EXCEEDED,
    /// ABORTED, OUT_OF_RANGE, UNAVAILABLE and DATA_LOSS, and on RESOURCE_EXHAUSTED if there is a delay.
    const fn http_status(&self) -> u16 {
        match (self.code, self.retry_delay) {
            (0, _) => 200,
            (3, _) => 400,
            (1 | 4 | 10 | 11 | 14 | 15, _) => 503,
            (8, Some(_)) => 429,
            (8, None) => 413,
            _ => 500,
        }
    }
}

/// The gRPC code for a status that cannot be read.
const UNKNOWN: u16 = 2;

/// What a sender is told about its export.
#[derive(Clone, Debug, PartialEq)]
pub enum ExportOutcome {
    /// An error: nothing was stored except what the message says. The sender counts the request as
    /// failed.
    Failure(Failure),
    /// Everything was stored except what the response counts.
    Success(ExportResponse),
}

/// An export that failed at the backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// How it is counted: `failed`, or the reason why Envoy answered instead of the backend.
    pub outcome: &'static str,
    /// The HTTP status.
    pub http_status: u16,
    /// The gRPC status.
    pub code: Code,
    /// What happened, for people.
    pub message: String,
    /// When to retry, in seconds. Set if the backend has said so, and wherever a sender would read
    /// its absence as "never".
    pub retry_after: Option<u32>,
}

impl Failure {
    /// The failure as a status, with its retry delay.
    #[must_use]
    pub fn status(&self) -> Status {
        let status = Status::new(self.code, self.message.as_str());
        match self.retry_after {
            Some(seconds) => status.with_retry_delay(seconds),
            None => status,
        }
    }
}

/// How many seconds a throttled sender waits if its backend does not say: as many as Tempo asks
/// for.
pub(crate) const DEFAULT_RETRY_AFTER: u32 = 5;

/// How a backend's error is counted.
pub const FAILED: &str = "failed";

/// THE table: maps a backend's status, and the meaning of its words, to the status of the failure in OTLP,
/// `(HTTP, gRPC)`. What a sender may retry stays retryable, and what it may not retry stays final. OTLP retries on 429,
/// 502, 503, 504, UNAVAILABLE, and RESOURCE_EXHAUSTED with a delay. If a backend refuses the platform's own
/// credentials, tenant or path, this is not the sender's fault: the status is 500, and final.
///
/// A remote write sender retries on every 5xx, and its backends know that, so theirs are passed on; final errors become
/// 400.
fn failure(status: u16, meaning: Option<Meaning>, protocol: Protocol) -> (u16, Code) {
    let is_write = protocol == Protocol::RemoteWrite;
    let last = if is_write { (400, Code::InvalidArgument) } else { (500, Code::Internal) };
    match (meaning, status) {
        (Some(Meaning::TooLarge), _) => (413, Code::ResourceExhausted),
        (Some(Meaning::Tenant), _) => last,
        (Some(Meaning::Throttled | Meaning::Burst(_)), _) => (429, Code::ResourceExhausted),
        (None, 400 | 422) => (400, Code::InvalidArgument),
        (None, 413) => (413, Code::ResourceExhausted),
        (None, 429 | 529) => (429, Code::ResourceExhausted),
        (None, 502..=504) => (status, Code::Unavailable),
        (None, 408) => (503, Code::Unavailable),
        (None, 500..=599) if is_write => (status, Code::Unavailable),
        (None, _) => last,
    }
}

/// Returns what the sender is told about a backend's reply.
///
/// `violations` is what broke a rule in the request. `nothing` says that the request had no records, which is a success
/// in OTLP, a 422 from Loki and, for a metric without data points, a 400 from Mimir.
#[must_use]
pub fn outcome_of(
    reply: &BackendReply<'_>,
    violations: Option<&Violations>,
    nothing: bool,
) -> ExportOutcome {
    if let Some(envoy) = reply.envoy {
        return ExportOutcome::Failure(unanswered(reply, envoy));
    }
    match reply.http_status() {
        // Any other 2xx stores nothing: with 260, Loki blocks a tenant's ingestion.
        200 | 202 | 204 => ExportOutcome::Success(stored(reply).with_violations(violations)),
        400 | 422 if nothing => {
            ExportOutcome::Success(ExportResponse::default().with_violations(violations))
        }
        _ => ExportOutcome::Failure(failed(reply)),
    }
}

impl BackendReply<'_> {
    /// The HTTP status of this reply, or the one with the same meaning.
    fn http_status(&self) -> u16 {
        self.grpc.map_or(self.status, GrpcReply::http_status)
    }
}

/// The response in a successful reply. A response that cannot be read counts as empty, because the
/// status has already said that the records are stored.
fn stored(reply: &BackendReply<'_>) -> ExportResponse {
    if reply.protocol == Protocol::RemoteWrite {
        // There is no response to read.
        ExportResponse::default()
    } else if reply.grpc.is_some() || is_media_type(reply.content_type, "application/x-protobuf") {
        ExportResponse::decode(reply.body).unwrap_or_default()
    } else if is_media_type(reply.content_type, "application/json") {
        ExportResponse::from_json(reply.body).unwrap_or_default()
    } else {
        ExportResponse::default()
    }
}

/// The failure if Envoy has answered in the backend's place.
fn unanswered(reply: &BackendReply<'_>, envoy: EnvoyAnswer) -> Failure {
    let (status, answered) = match reply.grpc {
        Some(grpc) => (envoy::http_status(grpc.code), format!("gRPC {}", grpc.code)),
        None => (reply.status, reply.status.to_string()),
    };
    let (name, words) = (reply.store.name, envoy.words());
    let (http_status, code, message) = match envoy.answer() {
        Answer::Is(status, code) => (status, code, format!("{name} {words}")),
        Answer::Own => {
            let (status, code) = match status {
                // The sender was refused by a filter of Envoy, not by the gate.
                401 => (401, Code::Unauthenticated),
                403 => (403, Code::PermissionDenied),
                _ => failure(status, None, reply.protocol),
            };
            let said = message(reply);
            let colon = if said.is_empty() { "" } else { ": " };
            (status, code, format!("{name} {words}, with {answered}{colon}{said}"))
        }
    };
    Failure {
        outcome: envoy.outcome(),
        http_status,
        code,
        message: one_line(&message),
        retry_after: retry_after(http_status, code, reply.retry_after),
    }
}

/// When to retry, if the sender may. `asked` is how long it was asked to wait.
const fn retry_after(http_status: u16, code: Code, asked: Option<u32>) -> Option<u32> {
    match (code, asked) {
        (Code::ResourceExhausted, None) if http_status == 429 => Some(DEFAULT_RETRY_AFTER),
        (Code::ResourceExhausted, asked) if http_status == 429 => asked,
        (Code::Unavailable, asked) => asked,
        _ => None,
    }
}

fn failed(reply: &BackendReply<'_>) -> Failure {
    let BackendReply { store, grpc, .. } = reply;
    let status = match reply.http_status() {
        // Over gRPC, RESOURCE_EXHAUSTED without a delay would be final.
        413 if reply.rate_limited => 429,
        status => status,
    };
    let said = message(reply);
    let heeded = if reply.status_has_gone { "" } else { &said };
    let (meaning, never) = match meaning(store, status, heeded) {
        Some(Meaning::Burst(words)) => match over_burst(words, heeded, reply.burst) {
            Some(burst) => (Some(Meaning::TooLarge), never(burst)),
            None => (Some(Meaning::Burst(words)), String::new()),
        },
        meaning => (meaning, String::new()),
    };
    let (http_status, code) = failure(status, meaning, reply.protocol);
    let (asked, answered) = match grpc {
        Some(GrpcReply { code, retry_delay, .. }) => (*retry_delay, format!("gRPC {code}")),
        None => (reply.retry_after, status.to_string()),
    };
    let (name, whose) = (store.name, whose(status, *grpc));
    let stored = may_have_stored(store, status, http_status, &said);
    let colon = if said.is_empty() { "" } else { ": " };
    let mut message = format!("{name} answered {answered}{whose}{never}{stored}{colon}");
    message.push_str(&said);
    Failure {
        outcome: FAILED,
        http_status,
        code,
        message: one_line(&message),
        retry_after: retry_after(http_status, code, asked),
    }
}

/// The clause about a batch that exceeds its tenant's burst limit.
fn never(burst: u32) -> String {
    format!(
        " (the batch exceeds the burst limit of {burst} bytes and can never succeed; send smaller \
         batches)"
    )
}

/// The clause about a refusal whose addressee is this gateway, for example another gate's.
fn whose(status: u16, grpc: Option<&GrpcReply>) -> &'static str {
    match (grpc.map(|grpc| grpc.code), status) {
        (Some(7 | 16), _) | (None, 401 | 403) => " to this gateway, not to the sender",
        _ => "",
    }
}

/// The clause about records that are stored although the backend has answered with an error. `http_status` is what the
/// sender is told.
fn may_have_stored(store: &Store, status: u16, http_status: u16, said: &str) -> &'static str {
    let may = store.stores_part_on.contains(&status)
        && matches!(http_status, 400 | 429 | 500)
        && !is_refused_whole(meaning(store, status, said));
    if may { " and may have stored some of the records" } else { "" }
}

/// Whether nothing of a batch is stored because of which a backend says this: the tenant is wrong, or the batch as a
/// whole is over a limit.
const fn is_refused_whole(meaning: Option<Meaning>) -> bool {
    match meaning {
        Some(Meaning::Burst(_) | Meaning::Tenant | Meaning::TooLarge) => true,
        // A limit may be that of one stream among several.
        Some(Meaning::Throttled) | None => false,
    }
}

/// The backend's message, wherever it put it: in a protobuf `Status` (Loki sends it as
/// `application/octet-stream`), in a JSON one, or as text.
fn message(reply: &BackendReply<'_>) -> String {
    if let Some(grpc) = reply.grpc {
        return one_line(&grpc.message);
    }
    let is = |expected| is_media_type(reply.content_type, expected);
    if is("application/x-protobuf") || is("application/octet-stream") {
        return Status::decode(reply.body)
            .map(|status| one_line(&status.message))
            .unwrap_or_default();
    }
    if is("application/json") {
        return Status::message_from_json(reply.body)
            .map(|message| one_line(&message))
            .unwrap_or_default();
    }
    if reply.content_type.starts_with(b"text/plain") {
        return one_line(&String::from_utf8_lossy(reply.body));
    }
    String::new()
}

#[cfg(test)]
mod tests {
    use sluice_stores::{LOKI as LOKI_STORE, MIMIR, TEMPO};

    use super::*;
    use crate::PartialSuccess;

    const LOKI: BackendReply<'_> = BackendReply {
        store: &LOKI_STORE,
        status: 204,
        grpc: None,
        envoy: None,
        rate_limited: false,
        burst: None,
        content_type: b"",
        retry_after: None,
        body: b"",
        protocol: Protocol::HttpProtobuf,
        status_has_gone: false,
    };

    /// A backend's reply as text.
    fn text(store: &'static Store, status: u16, body: &'static str) -> BackendReply<'static> {
        BackendReply { store, status, content_type: b"text/plain", body: body.as_bytes(), ..LOKI }
    }

    fn failure_of(reply: &BackendReply<'_>) -> Failure {
        match outcome_of(reply, None, false) {
            ExportOutcome::Failure(failure) => failure,
            ExportOutcome::Success(response) => panic!("{reply:?} is a success: {response:?}"),
        }
    }

    #[test]
    fn retryable_stays_retryable_and_permanent_stays_permanent() {
        for (status, http, code, retries) in [
            (400, 400, Code::InvalidArgument, false),
            (401, 500, Code::Internal, false),
            (403, 500, Code::Internal, false),
            (404, 500, Code::Internal, false),
            (413, 413, Code::ResourceExhausted, false),
            (415, 500, Code::Internal, false),
            (422, 400, Code::InvalidArgument, false),
            (429, 429, Code::ResourceExhausted, true),
            (500, 500, Code::Internal, false),
            (501, 500, Code::Internal, false),
            (502, 502, Code::Unavailable, true),
            (503, 503, Code::Unavailable, true),
            (504, 504, Code::Unavailable, true),
            (529, 429, Code::ResourceExhausted, true),
            (302, 500, Code::Internal, false),
        ] {
            let failure = failure_of(&BackendReply { status, ..LOKI });
            assert_eq!((failure.http_status, failure.code), (http, code), "{status}");
            let over_grpc = match failure.code {
                Code::Unavailable => true,
                Code::ResourceExhausted => failure.retry_after.is_some(),
                _ => false,
            };
            assert_eq!(over_grpc, retries, "{status}");
        }
    }

    #[test]
    fn a_sender_of_remote_write_tries_again_on_5xx_and_on_nothing_that_is_final() {
        let protocol = Protocol::RemoteWrite;
        for (status, expected, retry_after) in [
            (302, 400, None),
            (400, 400, None),
            (401, 400, None),
            (403, 400, None),
            (404, 400, None),
            (408, 503, None),
            (413, 413, None),
            (415, 400, None),
            (422, 400, None),
            (429, 429, Some(5)),
            (500, 500, None),
            (501, 501, None),
            (503, 503, None),
            (529, 429, Some(5)),
        ] {
            let failure = failure_of(&BackendReply { status, protocol, ..LOKI });
            assert_eq!(
                (failure.http_status, failure.retry_after),
                (expected, retry_after),
                "{status}"
            );
        }
        let asked = BackendReply { status: 500, retry_after: Some(9), protocol, ..LOKI };
        assert_eq!(failure_of(&asked).retry_after, Some(9));
        let too_large = text(&MIMIR, 503, "received message larger than max");
        assert_eq!(failure_of(&BackendReply { protocol, ..too_large }).http_status, 413);
        let tenant = text(&MIMIR, 503, "no org id");
        assert_eq!(failure_of(&BackendReply { protocol, ..tenant }).http_status, 400);
    }

    #[test]
    fn what_envoy_answers_is_not_what_a_backend_said() {
        for (details, status, outcome, http, code, retry_after) in [
            ("cluster_not_found", 503, "no_route", 503, Code::Unavailable, None),
            ("route_not_found", 404, "no_route", 503, Code::Unavailable, None),
            ("response_timeout", 504, "timeout", 504, Code::Unavailable, None),
            ("request_overall_timeout", 408, "slow", 503, Code::Unavailable, None),
            ("request_payload_too_large", 413, "buffer_limit", 413, Code::ResourceExhausted, None),
            ("local_rate_limited", 429, "rate_limited", 429, Code::ResourceExhausted, Some(5)),
            ("overload", 503, "overloaded", 503, Code::Unavailable, None),
            ("jwt_authn_access_denied{}", 401, "gateway", 401, Code::Unauthenticated, None),
            ("rbac_access_denied", 403, "gateway", 403, Code::PermissionDenied, None),
            ("response_payload_too_large", 500, "gateway", 500, Code::Internal, None),
        ] {
            let envoy = EnvoyAnswer::read(details.as_bytes(), status, None);
            let reply = BackendReply { envoy, ..text(&LOKI_STORE, status, "words") };
            let failure = failure_of(&reply);
            assert_eq!((failure.outcome, failure.http_status), (outcome, http), "{details}");
            assert_eq!((failure.code, failure.retry_after), (code, retry_after), "{details}");
            assert!(!failure.message.contains("loki answered"), "{failure:?}");
            let is_told = failure.message.ends_with(&format!("with {status}: words"));
            assert_eq!(is_told, outcome == "gateway", "{failure:?}");
            // Envoy's answer is a failure even if the request had no records.
            assert_eq!(outcome_of(&reply, None, true), ExportOutcome::Failure(failure));
        }
    }

    #[test]
    fn a_status_of_grpc_means_what_it_means_to_a_sender() {
        for (code, delay, expected, retries) in [
            (1, None, Code::Unavailable, true),
            (2, None, Code::Internal, false),
            (3, None, Code::InvalidArgument, false),
            (4, None, Code::Unavailable, true),
            (5, None, Code::Internal, false),
            (7, None, Code::Internal, false),
            (8, None, Code::ResourceExhausted, false),
            (8, Some(5), Code::ResourceExhausted, true),
            (9, None, Code::Internal, false),
            (10, None, Code::Unavailable, true),
            (11, None, Code::Unavailable, true),
            (12, None, Code::Internal, false),
            (13, None, Code::Internal, false),
            (14, Some(2), Code::Unavailable, true),
            (15, None, Code::Unavailable, true),
            (16, None, Code::Internal, false),
            (99, None, Code::Internal, false),
        ] {
            let grpc = GrpcReply { code, message: "why".to_owned(), retry_delay: delay };
            let failure = failure_of(&BackendReply { store: &TEMPO, grpc: Some(&grpc), ..LOKI });
            assert_eq!(failure.code, expected, "{code}");
            let whom =
                if matches!(code, 7 | 16) { " to this gateway, not to the sender" } else { "" };
            assert_eq!(failure.message, format!("tempo answered gRPC {code}{whom}: why"));
            let again = expected == Code::Unavailable || failure.retry_after.is_some();
            assert_eq!(again, retries, "{code}");
            assert_eq!(failure.retry_after, delay, "{code}");
        }
    }

    #[test]
    fn a_status_of_grpc_is_read_wherever_it_stands() {
        let details = Status::new(Code::Unavailable, "why").with_retry_delay(7).details_header();
        let details = details.unwrap();
        let read = |status: &'static str, message: &'static str, details: &str| {
            GrpcReply::read(|name| match name {
                "grpc-status" => Some(status.as_bytes()),
                "grpc-message" => Some(message.as_bytes()),
                "grpc-status-details-bin" => Some(details.as_bytes()),
                _ => None,
            })
        };
        let reply = |code, message: &str, retry_delay| {
            Some(GrpcReply { code, message: message.to_owned(), retry_delay })
        };
        assert_eq!(read("14", "a%20b%", &details), reply(14, "a b%", Some(7)));
        let padded = format!("{details}{}", "=".repeat((4 - details.len() % 4) % 4));
        assert_eq!(read("0", "", &padded), reply(0, "", Some(7)));
        assert_eq!(read("-1", "%ff", "?"), reply(2, "\u{fffd}", None));
        assert_eq!(GrpcReply::read(|_| None), None);
    }

    #[test]
    fn the_backends_delay_is_kept_and_one_that_throttles_without_gets_one() {
        let throttled = BackendReply { status: 429, retry_after: Some(17), ..LOKI };
        assert_eq!(failure_of(&throttled).retry_after, Some(17));
        assert_eq!(failure_of(&BackendReply { status: 429, ..LOKI }).retry_after, Some(5));
        let unavailable = BackendReply { status: 503, ..LOKI };
        assert_eq!(failure_of(&unavailable).retry_after, None);
        let unavailable = BackendReply { status: 503, retry_after: Some(0), ..LOKI };
        assert_eq!(failure_of(&unavailable).retry_after, Some(0));
    }

    #[test]
    fn what_a_backend_says_tells_whose_problem_it_is() {
        let too_large = "rpc error: grpc: received message larger than max (5660039 vs. 4194304)";
        for (reply, http, code) in [
            (text(&LOKI_STORE, 503, too_large), 413, Code::ResourceExhausted),
            (text(&TEMPO, 429, too_large), 413, Code::ResourceExhausted),
            (text(&TEMPO, 400, "http: request body too large"), 413, Code::ResourceExhausted),
            (text(&TEMPO, 503, "no org id"), 500, Code::Internal),
            (text(&LOKI_STORE, 400, "tenant ID 'a b' contains"), 500, Code::Internal),
            (text(&MIMIR, 422, "too many tenant IDs present. max: 1"), 500, Code::Internal),
            (text(&LOKI_STORE, 400, "label \"no org id\" is too long"), 400, Code::InvalidArgument),
        ] {
            let failure = failure_of(&reply);
            assert_eq!((failure.http_status, failure.code), (http, code), "{failure:?}");
            assert_eq!(failure.retry_after, None, "{failure:?}");
        }
        let gone = BackendReply { status_has_gone: true, ..text(&LOKI_STORE, 503, too_large) };
        assert_eq!(failure_of(&gone).http_status, 503, "what is out cannot be taken back");
    }

    #[test]
    fn only_who_may_have_stored_something_says_so() {
        let clause = "and may have stored some of the records";
        for (store, status, says, may) in [
            (&LOKI_STORE, 400, "why", true),
            (&MIMIR, 400, "why", true),
            (&TEMPO, 400, "why", false),
            (&LOKI_STORE, 422, "why", false),
            (&LOKI_STORE, 503, "why", false),
            (&LOKI_STORE, 400, "no org id", false),
            (&MIMIR, 400, "no org id", false),
            (&LOKI_STORE, 400, "received message larger than max", false),
        ] {
            let reply = text(store, status, says);
            let gone = BackendReply { status_has_gone: true, ..reply };
            let write = BackendReply { protocol: Protocol::RemoteWrite, ..reply };
            for reply in [reply, gone, write] {
                let message = failure_of(&reply).message;
                assert_eq!(message.contains(clause), may, "{message}");
            }
        }
    }

    #[test]
    fn what_the_backend_said_is_passed_on() {
        let status = Status::new(Code::Ok, "entry too far behind").encode_to_vec();
        for (content_type, body, expected) in [
            (
                &b"application/octet-stream"[..],
                &status[..],
                "loki answered 500: entry too far behind",
            ),
            (
                b"application/x-protobuf; charset=utf-8",
                &status,
                "loki answered 500: entry too far behind",
            ),
            (b"text/plain; charset=utf-8", b"no org id\n", "loki answered 500: no org id"),
            (b"text/html", b"<h1>Bad</h1>", "loki answered 500"),
            (b"application/x-protobuf", b"\xff\xff", "loki answered 500"),
        ] {
            let reply = BackendReply { status: 500, content_type, body, ..LOKI };
            assert_eq!(failure_of(&reply).message, expected);
        }
    }

    #[test]
    fn an_empty_partial_success_is_full_success() {
        // As Tempo answers: partial_success is set but empty.
        let reply = BackendReply {
            store: &TEMPO,
            status: 200,
            content_type: b"application/x-protobuf",
            body: &[0x0a, 0x00],
            ..LOKI
        };
        assert_eq!(
            outcome_of(&reply, None, false),
            ExportOutcome::Success(ExportResponse::default())
        );
    }

    #[test]
    fn a_backends_partial_success_reaches_the_sender() {
        let body = ExportResponse {
            partial_success: Some(PartialSuccess { rejected: 2, error_message: "too old".into() }),
        };
        let reply = BackendReply {
            store: &MIMIR,
            status: 200,
            content_type: b"application/x-protobuf",
            body: &body.encode_to_vec(),
            ..LOKI
        };
        assert_eq!(outcome_of(&reply, None, false), ExportOutcome::Success(body));
    }

    #[test]
    fn nothing_is_a_success_where_a_backend_calls_it_an_error() {
        for status in [400, 422] {
            let reply = BackendReply { status, ..LOKI };
            assert_eq!(
                outcome_of(&reply, None, true),
                ExportOutcome::Success(ExportResponse::default())
            );
            assert!(matches!(outcome_of(&reply, None, false), ExportOutcome::Failure(_)));
        }
    }
}
