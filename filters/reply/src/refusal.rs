//! Every reason for which the gate itself refuses a request, and the one table of its answers.

use sluice_encodings::{DecodeError, EncodingHeader, grpc::FrameError};
use sluice_otlp::Signal;
use sluice_records::Violations;
use sluice_senders::{Failure, NotAdmitted};
use sluice_tenant::NoTenant;
use sluice_wire::{Malformed, NoMemory, OverLimit, Unreadable};
use thiserror::Error;

use crate::{Code, FieldViolation, Status, backend::DEFAULT_RETRY_AFTER, text::one_line};

/// Why a request is refused. Its text is what the sender reads.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// Every record broke a rule.
    #[error("nothing was stored: {0}")]
    AllDropped(Violations),
    /// The body as sent is over its limit.
    #[error("the body exceeds {limit} bytes (limits.bodyBytes). Send smaller batches")]
    BodyTooLarge {
        /// `limits.bodyBytes`.
        limit: usize,
    },
    /// A gRPC message is flagged as compressed, but `grpc-encoding` does not say how.
    #[error(
        "the gRPC message is flagged as compressed, but grpc-encoding does not name a compression"
    )]
    CompressedWithoutEncoding,
    /// The content type is not one of OTLP's.
    #[error(
        "content-type {0:?} is not supported. Send OTLP as application/x-protobuf or \
         application/json to /v1/logs, /v1/metrics, /v1/traces or /v1development/profiles, or as \
         application/grpc to the Export method of OTLP's gRPC services"
    )]
    ContentType(String),
    /// An OTLP format that the backend does not support.
    #[error("{backend} does not accept {sent} on this gateway. Send OTLP as {taken}")]
    Format {
        /// The backend.
        backend: &'static str,
        /// The content type that was sent.
        sent: &'static str,
        /// The content types that it supports.
        taken: String,
    },
    /// The decoded body is over its limit.
    #[error("the decoded body exceeds {limit} bytes (limits.decodedBytes). Send smaller batches")]
    DecodedTooLarge {
        /// `limits.decodedBytes`.
        limit: usize,
    },
    /// A write request without the compression that remote write requires.
    #[error(
        "content-encoding {0:?} is not supported for remote write. Send snappy in its block format"
    )]
    WriteEncoding(String),
    /// The content type is not that of remote write 1.0.
    #[error(
        "content-type {0:?} is not supported. Send remote write 1.0: application/x-protobuf with \
         the message prometheus.WriteRequest"
    )]
    WriteContentType(String),
    /// Remote write, but no backend supports it.
    #[error(
        "{0:?} is a remote write path, but no backend of this gateway accepts remote write. Send OTLP"
    )]
    WritePath(String),
    /// A compression that is not supported.
    #[error(
        "{} {value:?} is not supported. Use one of {}",
        header.name(),
        header.accepted().1
    )]
    Encoding {
        /// The header with its name.
        header: EncodingHeader,
        /// The header's value.
        value: String,
    },
    /// The body is not exactly one gRPC message.
    #[error(transparent)]
    Frame(FrameError),
    /// The body cannot be decoded with its encoding.
    #[error("the body cannot be decoded: {0}")]
    Undecodable(String),
    /// Not every backend would read the message alike.
    #[error("the {} request cannot be parsed: {malformed}", signal.as_str())]
    Malformed {
        /// The signal in the path.
        signal: Signal,
        /// What is wrong with it.
        malformed: Malformed,
    },
    /// The method is not POST.
    #[error("method {0} is not supported. Send telemetry with POST")]
    Method(String),
    /// There is no backend for this signal.
    #[error("this gateway has no backend for {}", .0.as_str())]
    NoBackend(Signal),
    /// The worker has no memory for the request, or its sender has used up its share. A retry may
    /// succeed.
    #[error("this gateway has no memory left for this request at the moment. Send it again later")]
    NoMemory,
    /// The request is over a limit other than those on bytes.
    #[error("the request exceeds a limit of this gateway: {0}")]
    OverLimit(OverLimit),
    /// A record broke a rule for which the whole request is refused.
    #[error("nothing was stored: {0}")]
    Violation(Violations),
    /// The sender is not admitted.
    #[error(transparent)]
    NotAdmitted(#[from] NotAdmitted),
    /// The sender has no tenant.
    #[error(transparent)]
    NoTenant(#[from] NoTenant),
    /// The path is not one of OTLP's.
    #[error(
        "{0:?} is not an OTLP path. Use /v1/logs, /v1/metrics, /v1/traces or \
         /v1development/profiles, or the Export method of OTLP's gRPC services"
    )]
    Path(String),
    /// There are trailers after a body that has already been forwarded.
    #[error(
        "HTTP trailers are not supported after a body this large. Send the request without trailers"
    )]
    Trailers,
}

/// The answer to one kind of refusal.
struct Row {
    http: u16,
    grpc: Code,
    label: &'static str,
}

const fn row(http: u16, grpc: Code, label: &'static str) -> Row {
    Row { http, grpc, label }
}

impl Refusal {
    /// THE table. An OTLP sender retries only 503 / UNAVAILABLE.
    const fn row(&self) -> Row {
        match self {
            Self::NotAdmitted(NotAdmitted::NotIdentified(error)) => match error.failure() {
                Failure::Absent | Failure::Rejected | Failure::Unusable => {
                    row(401, Code::Unauthenticated, "no_identity")
                }
                Failure::NamesNobody => row(401, Code::Unauthenticated, "names_nobody"),
                Failure::Forbidden => row(403, Code::PermissionDenied, "not_allowed"),
            },
            Self::NotAdmitted(NotAdmitted::Ambiguous { .. }) => {
                row(403, Code::PermissionDenied, "ambiguous")
            }
            Self::NotAdmitted(
                NotAdmitted::CertificateDenied
                | NotAdmitted::Denied { .. }
                | NotAdmitted::TokenDenied,
            ) => row(403, Code::PermissionDenied, "denied"),
            Self::NotAdmitted(NotAdmitted::Expired { .. }) => {
                row(403, Code::PermissionDenied, "expired")
            }
            Self::NotAdmitted(NotAdmitted::NotYet { .. }) => {
                row(403, Code::PermissionDenied, "not_yet")
            }
            Self::NotAdmitted(NotAdmitted::NotAllowed { .. }) => {
                row(403, Code::PermissionDenied, "not_allowed")
            }
            Self::NoTenant(_) => row(403, Code::PermissionDenied, "no_tenant"),
            Self::Path(_) | Self::WritePath(_) => row(404, Code::Unimplemented, "path"),
            Self::NoBackend(_) => row(404, Code::Unimplemented, "no_backend"),
            Self::Method(_) => row(405, Code::Unimplemented, "method"),
            Self::ContentType(_) | Self::Format { .. } | Self::WriteContentType(_) => {
                row(415, Code::Unimplemented, "content_type")
            }
            Self::Encoding { .. } | Self::WriteEncoding(_) => {
                row(415, Code::Unimplemented, "encoding")
            }
            Self::BodyTooLarge { .. } => row(413, Code::ResourceExhausted, "body_too_large"),
            Self::DecodedTooLarge { .. } => row(413, Code::ResourceExhausted, "decoded_too_large"),
            Self::CompressedWithoutEncoding | Self::Frame(_) => {
                row(400, Code::InvalidArgument, "frame")
            }
            Self::Undecodable(_) => row(400, Code::InvalidArgument, "undecodable"),
            Self::Malformed { .. } => row(400, Code::InvalidArgument, "malformed"),
            Self::Trailers => row(400, Code::InvalidArgument, "trailers"),
            Self::AllDropped(_) => row(400, Code::InvalidArgument, "all_dropped"),
            Self::OverLimit(OverLimit::Attributes { .. }) => {
                row(400, Code::InvalidArgument, "too_many_attributes")
            }
            Self::OverLimit(OverLimit::Bytes { .. } | OverLimit::References { .. }) => {
                row(413, Code::ResourceExhausted, "grown_too_large")
            }
            Self::OverLimit(OverLimit::Changes { .. }) => {
                row(413, Code::ResourceExhausted, "too_many_changes")
            }
            Self::OverLimit(OverLimit::Depth { .. }) => row(400, Code::InvalidArgument, "too_deep"),
            Self::OverLimit(OverLimit::Records { .. }) => {
                row(413, Code::ResourceExhausted, "too_many_records")
            }
            Self::Violation(_) => row(400, Code::InvalidArgument, "violation"),
            Self::NoMemory => row(503, Code::Unavailable, "no_memory"),
        }
    }

    /// The status of the HTTP reply.
    #[must_use]
    pub const fn http_status(&self) -> u16 {
        self.row().http
    }

    /// After how many seconds the sender may retry. By then, most waiting requests have been
    /// decided or have timed out.
    #[must_use]
    pub const fn retry_after(&self) -> Option<u32> {
        if matches!(self, Self::NoMemory) { Some(DEFAULT_RETRY_AFTER) } else { None }
    }

    /// The refusal's name in metrics and log lines.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        self.row().label
    }

    /// The status that the sender is told, in any protocol. For bad data it includes the place
    /// (OTLP specification 1.11, "Bad Data").
    #[must_use]
    pub fn status(&self) -> Status {
        let message = one_line(&self.to_string());
        let status = Status::new(self.row().grpc, message.as_str());
        if let Some(seconds) = self.retry_after() {
            return status.with_retry_delay(seconds);
        }
        if let Self::AllDropped(violations) | Self::Violation(violations) = self {
            let signal = violations.signal();
            return status.with_field_violations(violations.by_rule().iter().map(|violation| {
                let description = violation.clause(signal).to_string();
                FieldViolation { field: violation.field(), description }
            }));
        }
        let violation = self.field().map(|field| FieldViolation { field, description: message });
        status.with_field_violations(violation.into_iter())
    }

    /// The place of the problem, if the request has one problem with a place.
    fn field(&self) -> Option<String> {
        let field = match self {
            Self::Malformed { malformed, .. } => return Some(format!("byte {}", malformed.at)),
            Self::CompressedWithoutEncoding => "grpc-encoding",
            Self::Frame(_) => "frame",
            Self::Undecodable(_) => "body",
            Self::Trailers => "trailers",
            Self::OverLimit(OverLimit::Attributes { .. }) => "attributes",
            Self::OverLimit(OverLimit::Depth { .. }) => "values",
            _ => return None,
        };
        Some(field.to_owned())
    }
}

impl Refusal {
    /// The refusal of a request of `signal` that cannot be read to its end.
    #[must_use]
    pub const fn unreadable(unreadable: Unreadable, signal: Signal) -> Self {
        match unreadable {
            Unreadable::Malformed(malformed) => Self::Malformed { signal, malformed },
            Unreadable::OverLimit(over) => Self::OverLimit(over),
            Unreadable::NoMemory(_) => Self::NoMemory,
        }
    }
}

impl From<FrameError> for Refusal {
    fn from(error: FrameError) -> Self {
        Self::Frame(error)
    }
}

impl From<NoMemory> for Refusal {
    fn from(_: NoMemory) -> Self {
        Self::NoMemory
    }
}

impl From<DecodeError> for Refusal {
    fn from(error: DecodeError) -> Self {
        match error {
            DecodeError::Invalid { .. } => Self::Undecodable(error.to_string()),
            DecodeError::NoMemory(_) => Self::NoMemory,
            DecodeError::TooLarge { limit } => Self::DecodedTooLarge { limit },
        }
    }
}

#[cfg(test)]
mod messages;

#[cfg(test)]
mod tests {
    use sluice_senders::PeerError;
    use sluice_wire::Fault;

    use super::*;

    /// The refusal table of the documentation, row by row.
    #[test]
    fn every_refusal_has_its_row() {
        let malformed = Malformed { fault: Fault::TRUNCATED, at: 3 };
        for (refusal, http, code) in [
            (NotAdmitted::from(PeerError::NoCertificate).into(), 401, Code::Unauthenticated),
            (Refusal::NoTenant(NoTenant::Unmapped("a".into())), 403, Code::PermissionDenied),
            (Refusal::Path("/x".into()), 404, Code::Unimplemented),
            (Refusal::NoBackend(Signal::Logs), 404, Code::Unimplemented),
            (Refusal::Method("GET".into()), 405, Code::Unimplemented),
            (Refusal::ContentType("text/html".into()), 415, Code::Unimplemented),
            (
                Refusal::Format { backend: "a", sent: "b", taken: "c".into() },
                415,
                Code::Unimplemented,
            ),
            (
                Refusal::Encoding { header: EncodingHeader::Content, value: "br".into() },
                415,
                Code::Unimplemented,
            ),
            (Refusal::WritePath("/api/v1/push".into()), 404, Code::Unimplemented),
            (Refusal::WriteContentType("text/html".into()), 415, Code::Unimplemented),
            (Refusal::WriteEncoding("zstd".into()), 415, Code::Unimplemented),
            (Refusal::BodyTooLarge { limit: 1 }, 413, Code::ResourceExhausted),
            (Refusal::DecodedTooLarge { limit: 1 }, 413, Code::ResourceExhausted),
            (Refusal::CompressedWithoutEncoding, 400, Code::InvalidArgument),
            (Refusal::Frame(FrameError::TooShort(0)), 400, Code::InvalidArgument),
            (Refusal::Undecodable("x".into()), 400, Code::InvalidArgument),
            (Refusal::Malformed { signal: Signal::Logs, malformed }, 400, Code::InvalidArgument),
            (Refusal::Trailers, 400, Code::InvalidArgument),
            (Refusal::OverLimit(OverLimit::Attributes { limit: 1 }), 400, Code::InvalidArgument),
            (Refusal::OverLimit(OverLimit::Bytes { limit: 1 }), 413, Code::ResourceExhausted),
            (Refusal::OverLimit(OverLimit::References { limit: 1 }), 413, Code::ResourceExhausted),
            (Refusal::OverLimit(OverLimit::Depth { limit: 1 }), 400, Code::InvalidArgument),
            (Refusal::OverLimit(OverLimit::Changes { limit: 1 }), 413, Code::ResourceExhausted),
            (Refusal::OverLimit(OverLimit::Records { limit: 1 }), 413, Code::ResourceExhausted),
            (Refusal::NoMemory, 503, Code::Unavailable),
        ] {
            assert_eq!(refusal.http_status(), http, "{refusal}");
            assert_eq!(refusal.status().code, code.number(), "{refusal}");
            // RESOURCE_EXHAUSTED without RetryInfo means "do not send this again".
            assert_eq!(refusal.status().retry_delay().is_some(), http == 503, "{refusal}");
            // Only bad data is reported with its place.
            assert_eq!(refusal.status().field_violations().len(), usize::from(http == 400));
        }
    }

    #[test]
    fn what_the_sender_wrote_cannot_forge_a_line() {
        let refusal = Refusal::Path("/x\r\ngrpc-status: 0".into());
        assert!(!refusal.status().message.contains(['\r', '\n']));
    }
}
