//! The outcome of one export, as its sender saw it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Encoding, Protocol, Signal};

/// The result of one call of an SDK's exporter. Each sender prints it as one line of JSON.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Outcome {
    /// The SDK.
    pub sdk: Sdk,
    /// What the exporter told the application.
    pub result: Verdict,
    /// How many times the request was sent: 1 plus the retries.
    pub attempts: u32,
    /// How long the call took, in milliseconds, with all attempts and pauses.
    pub milliseconds: u64,
    /// The last reply.
    pub reply: Reply,
    /// The `partial_success` of a successful reply, if it was set. Over gRPC, the Rust SDK does not show one that is
    /// set but empty.
    pub partial_success: Option<PartialSuccess>,
}

/// The SDK that sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Sdk {
    /// `go.opentelemetry.io/otel`; HTTP/1.1 where it sends over HTTP.
    Go,
    /// `io.opentelemetry` from Maven Central, which sends with OkHttp; HTTP/2 where it sends over HTTP.
    Java,
    /// `@opentelemetry` from npm; HTTP/1.1 where it sends over HTTP.
    JavaScript,
    /// `opentelemetry-sdk` from PyPI; HTTP/1.1 where it sends over HTTP.
    Python,
    /// `opentelemetry-otlp` from crates.io; HTTP/2 where it sends over HTTP.
    Rust,
}

impl Sdk {
    /// All SDKs.
    pub const ALL: [Self; 5] = [Self::Go, Self::Java, Self::JavaScript, Self::Python, Self::Rust];

    /// Returns whether the SDK has such an exporter.
    #[must_use]
    pub fn exports(self, signal: Signal, protocol: Protocol, encoding: Encoding) -> bool {
        match (protocol, encoding) {
            (_, Encoding::Protobuf) => true,
            (Protocol::Grpc, Encoding::Json) => false,
            (Protocol::Http, Encoding::Json) => match self {
                Self::JavaScript | Self::Rust => true,
                Self::Go => signal == Signal::Traces,
                Self::Java | Self::Python => false,
            },
        }
    }
}

impl fmt::Display for Sdk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Go => "go",
            Self::Java => "java",
            Self::JavaScript => "javascript",
            Self::Python => "python",
            Self::Rust => "rust",
        })
    }
}

/// What an exporter returns to its application.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// The records were accepted; a partial success counts as a success.
    Success,
    /// The records are lost.
    Failure,
}

/// A reply as it was received.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase", tag = "kind")]
pub enum Reply {
    /// A gRPC status.
    Grpc {
        /// Its name in capitals, for example `PERMISSION_DENIED`.
        code: String,
        /// `grpc-message`.
        message: String,
    },
    /// An HTTP status.
    Http {
        /// The number.
        status: u16,
        /// The `content-type`.
        content_type: Option<String>,
        /// The body of a reply that is not 2xx, if it is a `google.rpc.Status`.
        error: Option<ErrorStatus>,
    },
    /// No reply: the connection or its TLS handshake failed.
    None {
        /// The error of the client's library.
        message: String,
    },
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Grpc { code, message } if message.is_empty() => write!(f, "{code}"),
            Self::Grpc { code, message } => write!(f, "{code}: {message}"),
            Self::Http { status, error: None, .. } => write!(f, "{status}"),
            Self::Http { status, error: Some(error), .. } => {
                write!(f, "{status}: {}", error.message)
            }
            Self::None { message } => write!(f, "no reply: {message}"),
        }
    }
}

/// A `google.rpc.Status` without its details.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub struct ErrorStatus {
    /// The number of a gRPC status code.
    pub code: i32,
    /// For the sender's developer.
    pub message: String,
}

/// `ExportLogsPartialSuccess` and its two siblings.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct PartialSuccess {
    /// `rejected_log_records`, `rejected_data_points` or `rejected_spans`.
    pub rejected: i64,
    /// `error_message`.
    pub message: String,
}
