//! `google.rpc.Status`, the body of every error in OTLP/HTTP.

use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use prost::Message;
use sluice_otlp::json::{Object, push_string};

/// The codes of gRPC that the gate uses (`google/rpc/code.proto`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Code {
    /// The request was served.
    Ok = 0,
    /// The sender must not send this again.
    InvalidArgument = 3,
    /// The sender is known and may not send.
    PermissionDenied = 7,
    /// Too large, or with a delay in the details, too much.
    ResourceExhausted = 8,
    /// There is no such method or encoding here.
    Unimplemented = 12,
    /// Something is wrong with the platform, and sending again does not help.
    Internal = 13,
    /// Sending again may help.
    Unavailable = 14,
    /// Nobody knows the sender.
    Unauthenticated = 16,
}

impl Code {
    /// The code's number.
    #[must_use]
    pub const fn number(self) -> i32 {
        self as i32
    }
}

/// `google.rpc.Status`.
#[derive(Clone, PartialEq, Message)]
pub struct Status {
    /// A [`Code`]'s number.
    #[prost(int32, tag = "1")]
    pub code: i32,
    /// What happened, for a person.
    #[prost(string, tag = "2")]
    pub message: String,
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

/// `google.rpc.RetryInfo`.
#[derive(Clone, PartialEq, Message)]
struct RetryInfo {
    #[prost(message, optional, tag = "1")]
    retry_delay: Option<Duration>,
}

/// `google.protobuf.Duration`.
#[derive(Clone, Copy, PartialEq, Message)]
struct Duration {
    #[prost(int64, tag = "1")]
    seconds: i64,
}

const RETRY_INFO: &str = "type.googleapis.com/google.rpc.RetryInfo";

impl Status {
    /// A status without details.
    #[must_use]
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code: code.number(), message: message.into(), details: Vec::new() }
    }

    /// The status with a `RetryInfo`, without which RESOURCE_EXHAUSTED is final for an OTLP sender.
    #[must_use]
    pub fn with_retry_delay(mut self, seconds: u32) -> Self {
        let retry_delay = Some(Duration { seconds: seconds.into() });
        self.details.push(Any {
            type_url: RETRY_INFO.to_owned(),
            value: RetryInfo { retry_delay }.encode_to_vec(),
        });
        self
    }

    /// The delay of its `RetryInfo`, in seconds, if it has one.
    #[must_use]
    pub fn retry_delay(&self) -> Option<u32> {
        let info = self.details.iter().find(|any| any.type_url == RETRY_INFO)?;
        let delay = RetryInfo::decode(info.value.as_slice()).ok()?.retry_delay?;
        u32::try_from(delay.seconds).ok()
    }

    /// The value of gRPC's `grpc-status-details-bin`, if there is more to say than code and message.
    #[must_use]
    pub fn details_header(&self) -> Option<String> {
        (!self.details.is_empty()).then(|| STANDARD_NO_PAD.encode(self.encode_to_vec()))
    }

    /// The status as OTLP/JSON has it; details are left out, as a JSON `Any` needs its own schema.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        let mut json = format!(r#"{{"code":{},"message":"#, self.code).into_bytes();
        push_string(&mut json, &self.message);
        json.push(b'}');
        json
    }

    /// The message of a status in JSON, if it has one.
    pub(crate) fn message_from_json(json: &[u8]) -> Option<String> {
        Object::read(json)?.string(&["message"])
    }
}
