//! `google.rpc.Status` (googleapis, google/rpc/status.proto), as far as the backends use it.

use std::time::Duration;

use http::StatusCode;
use prost::Message;

/// The number in `Status.code`: a gRPC code, or what a backend writes there instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Code(i32);

impl Code {
    /// Loki never sets the field.
    pub(crate) const UNSET: Self = Self(0);
    pub(crate) const INVALID_ARGUMENT: Self = Self(3);
    pub(crate) const UNIMPLEMENTED: Self = Self(12);
    pub(crate) const RESOURCE_EXHAUSTED: Self = Self(8);
    pub(crate) const INTERNAL: Self = Self(13);
    pub(crate) const UNAVAILABLE: Self = Self(14);

    /// Mimir puts the HTTP number where a gRPC code belongs.
    pub(crate) fn http(status: StatusCode) -> Self {
        Self(i32::from(status.as_u16()))
    }
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Status {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
    #[prost(message, repeated, tag = "3")]
    details: Vec<Any>,
}

/// `google.protobuf.Any`.
#[derive(Clone, PartialEq, Message)]
struct Any {
    #[prost(string, tag = "1")]
    type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

/// `google.rpc.RetryInfo` (google/rpc/error_details.proto).
#[derive(Clone, PartialEq, Message)]
struct RetryInfo {
    #[prost(message, optional, tag = "1")]
    retry_delay: Option<ProtoDuration>,
}

/// `google.protobuf.Duration`, whole seconds.
#[derive(Clone, PartialEq, Message)]
struct ProtoDuration {
    #[prost(int64, tag = "1")]
    seconds: i64,
}

impl Status {
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code: code.0, message: message.into(), details: Vec::new() }
    }

    /// The same Status with a RetryInfo of this many seconds.
    pub(crate) fn retry_after(mut self, delay: Duration) -> Self {
        let info = RetryInfo {
            retry_delay: Some(ProtoDuration {
                seconds: i64::try_from(delay.as_secs()).unwrap_or(i64::MAX),
            }),
        };
        self.details.push(Any {
            type_url: "type.googleapis.com/google.rpc.RetryInfo".to_owned(),
            value: info.encode_to_vec(),
        });
        self
    }

    /// Its number and its message.
    pub(crate) fn parts(&self) -> (i32, &str) {
        (self.code, &self.message)
    }

    pub(crate) fn protobuf(&self) -> Vec<u8> {
        self.encode_to_vec()
    }

    /// Code and message; the backends' own answers carry no details in JSON.
    pub(crate) fn json(&self) -> Vec<u8> {
        serde_json::json!({"code": self.code, "message": self.message}).to_string().into_bytes()
    }
}
