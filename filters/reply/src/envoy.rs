//! Tells Envoy's own answers apart from those of backends.
//!
//! For every reply, the attribute `response.code_details` says where it comes from (`envoy/stream_info/stream_info.h`,
//! `ResponseCodeDetailValues`): a backend's reply has `via_upstream`, and any other value is an answer of Envoy's own.

use crate::{Code, GrpcReply};

/// An answer of Envoy's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EnvoyAnswer(&'static Row);

/// What the sender is told for one kind of answer.
#[derive(Debug, PartialEq, Eq)]
struct Row {
    /// The start of the details. What follows comes from the filter, the codec or the connection.
    begins: &'static str,
    /// The status that the answer must have, if the details alone are not enough.
    status: Option<u16>,
    outcome: &'static str,
    answer: Answer,
    /// What the sender is told, after the backend's name.
    words: &'static str,
}

/// The status that the sender is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// This status.
    Is(u16, Code),
    /// The status with the meaning of Envoy's own.
    Own,
}

/// A retry, or a fix by an operator, may help.
const LATER: Answer = Answer::Is(503, Code::Unavailable);
const TIMEOUT: Answer = Answer::Is(504, Code::Unavailable);
const THROTTLED: Answer = Answer::Is(429, Code::ResourceExhausted);
const TOO_LARGE: Answer = Answer::Is(413, Code::ResourceExhausted);

const NO_ANSWER: &str = "did not answer in time, and may have stored the records";
const OVERLOADED: &str = "was not called: this gateway is overloaded";
const RATE: &str = "was not called: this gateway's request rate limit is reached";
const SLOW: &str = "was not called: the request did not arrive in time";
const TOO_MUCH: &str =
    "was not called: the request exceeds what this gateway's Envoy buffers. Send smaller batches";
const UNREACHED: &str = "could not be reached. Send the request again later";

const fn row(
    begins: &'static str,
    outcome: &'static str,
    answer: Answer,
    words: &'static str,
) -> Row {
    Row { begins, status: None, outcome, answer, words }
}

/// THE table. The first matching row counts.
static ROWS: [Row; 32] = [
    row(
        "cluster_not_found",
        "no_route",
        LATER,
        "was not called: this gateway's Envoy has no such cluster, which its operators must fix. \
         Send the request again later",
    ),
    row(
        "route_not_found",
        "no_route",
        LATER,
        "was not called: this gateway's Envoy has no route to it, which its operators must fix. \
         Send the request again later",
    ),
    row(
        "route_configuration_not_found",
        "no_route",
        LATER,
        "was not called: this gateway's Envoy has no routes yet. Send the request again later",
    ),
    row("no_healthy_upstream", "unreachable", LATER, UNREACHED),
    row("dns_resolution_fail", "unreachable", LATER, UNREACHED),
    row(
        "upstream_reset_before_response_started{overflow",
        "overloaded",
        LATER,
        "was not called: this gateway has too many requests to it in flight",
    ),
    row(
        "upstream_reset_before_response_started{overload",
        "overloaded",
        LATER,
        "did not answer: this gateway is overloaded",
    ),
    row(
        "upstream_reset_before_response_started{connection_timeout",
        "unreachable",
        LATER,
        UNREACHED,
    ),
    row(
        "upstream_reset_before_response_started{connection_failure",
        "unreachable",
        LATER,
        UNREACHED,
    ),
    row(
        "upstream_reset_before_response_started{local_connection_failure",
        "unreachable",
        LATER,
        UNREACHED,
    ),
    row(
        "upstream_reset_before_response_started{remote_connection_failure",
        "unreachable",
        LATER,
        UNREACHED,
    ),
    row(
        "upstream_reset_before_response_started",
        "unreachable",
        LATER,
        "closed the connection before it answered, and may have stored the records",
    ),
    row("response_timeout", "timeout", TIMEOUT, NO_ANSWER),
    row("upstream_response_timeout", "timeout", TIMEOUT, NO_ANSWER),
    row("upstream_per_try_timeout", "timeout", TIMEOUT, NO_ANSWER),
    row("upstream_per_try_idle_timeout", "timeout", TIMEOUT, NO_ANSWER),
    row("upstream_max_stream_duration_reached", "timeout", TIMEOUT, NO_ANSWER),
    // With 408, Envoy was waiting for the sender.
    Row { status: Some(504), ..row("stream_idle_timeout", "timeout", TIMEOUT, NO_ANSWER) },
    Row { status: Some(504), ..row("max_duration_timeout", "timeout", TIMEOUT, NO_ANSWER) },
    row("stream_idle_timeout", "slow", LATER, SLOW),
    row("max_duration_timeout", "slow", LATER, SLOW),
    row("request_overall_timeout", "slow", LATER, SLOW),
    row("request_payload_too_large", "buffer_limit", TOO_LARGE, TOO_MUCH),
    row("request_payload_exceeded_retry_buffer_limit", "buffer_limit", TOO_LARGE, TOO_MUCH),
    row("overload", "overloaded", LATER, OVERLOADED),
    row("drop_overload", "overloaded", LATER, OVERLOADED),
    row("unconditional_drop_overload", "overloaded", LATER, OVERLOADED),
    row("maintenance_mode", "overloaded", LATER, OVERLOADED),
    row("reached_concurrency_limit", "overloaded", LATER, OVERLOADED),
    row("denied_by_admission_control", "overloaded", LATER, OVERLOADED),
    row("local_rate_limited", "rate_limited", THROTTLED, RATE),
    row("request_rate_limited", "rate_limited", THROTTLED, RATE),
];

/// Any other answer: from another filter, a direct response, or an unknown one.
static OTHER: Row =
    row("", "gateway", Answer::Own, "did not answer; this gateway's Envoy answered in its place");

impl EnvoyAnswer {
    /// Reads `response.code_details` of a reply with this status, over HTTP or over gRPC. `None` if it is a backend's
    /// reply.
    #[must_use]
    pub fn read(details: &[u8], status: u16, grpc: Option<&GrpcReply>) -> Option<Self> {
        if details == b"via_upstream" {
            return None;
        }
        // What is 504 over HTTP is UNAVAILABLE over gRPC, and 408 is UNKNOWN.
        let status = match grpc {
            Some(GrpcReply { code: 14, .. }) => 504,
            Some(_) => 408,
            None => status,
        };
        let fits = |row: &&Row| {
            details.starts_with(row.begins.as_bytes())
                && row.status.is_none_or(|expected| expected == status)
        };
        Some(Self(ROWS.iter().find(fits).unwrap_or(&OTHER)))
    }

    /// How the answer is counted.
    #[must_use]
    pub const fn outcome(self) -> &'static str {
        self.0.outcome
    }

    /// Whether Envoy lacks a cluster or a route that the configuration names.
    #[must_use]
    pub fn is_misrouted(self) -> bool {
        self.0.outcome == "no_route"
    }

    pub(crate) const fn answer(self) -> Answer {
        self.0.answer
    }

    pub(crate) const fn words(self) -> &'static str {
        self.0.words
    }
}

/// The HTTP status of an answer that Envoy gave as a gRPC status (the reverse of `httpToGrpcStatus`
/// in `source/common/grpc/status.cc`).
#[must_use]
pub(crate) const fn http_status(grpc: u16) -> u16 {
    match grpc {
        13 => 400,
        16 => 401,
        7 => 403,
        12 => 404,
        14 => 503,
        8 => 429,
        _ => 500,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_row_is_found_by_its_own_details() {
        for row in &ROWS {
            let found = EnvoyAnswer::read(row.begins.as_bytes(), row.status.unwrap_or(408), None);
            assert_eq!(found.map(|found| found.0), Some(row), "another row stands before it");
        }
    }

    #[test]
    fn who_was_waited_for_is_told_by_the_status() {
        let outcome = |status, code: Option<u16>| {
            let message = String::new();
            let grpc = code.map(|code| GrpcReply { code, message, retry_delay: None });
            EnvoyAnswer::read(b"stream_idle_timeout", status, grpc.as_ref())
                .map(EnvoyAnswer::outcome)
        };
        assert_eq!(outcome(408, None), Some("slow"));
        assert_eq!(outcome(504, None), Some("timeout"));
        assert_eq!(outcome(200, Some(2)), Some("slow"));
        assert_eq!(outcome(200, Some(14)), Some("timeout"));
    }

    #[test]
    fn what_is_not_a_backends_is_envoys() {
        assert_eq!(EnvoyAnswer::read(b"via_upstream", 503, None), None);
        for (details, outcome) in [
            (
                "upstream_reset_before_response_started{remote_connection_failure|111}",
                "unreachable",
            ),
            ("upstream_reset_before_response_started{connection_termination}", "unreachable"),
            ("upstream_reset_before_response_started{overflow}", "overloaded"),
            ("rbac_access_denied_matched_policy[none]", "gateway"),
            ("jwt_authn_access_denied{Jwt_is_missing}", "gateway"),
            ("via_upstream_of_another_kind", "gateway"),
            ("", "gateway"),
        ] {
            let read = EnvoyAnswer::read(details.as_bytes(), 503, None);
            assert_eq!(read.map(EnvoyAnswer::outcome), Some(outcome), "{details}");
        }
    }
}
