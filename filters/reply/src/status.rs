//! `google.rpc.Status`, the body of every error in OTLP/HTTP.

use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use prost::Message;
use sluice_otlp::json::{Object, push_string};

use crate::text::{MAX_DETAILS, cut};

/// The gRPC codes that the gate uses (`google/rpc/code.proto`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Code {
    /// The request was served.
    Ok = 0,
    /// The sender must not send this again.
    InvalidArgument = 3,
    /// The sender is known but may not send.
    PermissionDenied = 7,
    /// The request is too large or, if the details have a delay, over a rate limit.
    ResourceExhausted = 8,
    /// This method or encoding is not supported.
    Unimplemented = 12,
    /// The platform has a problem, and a retry does not help.
    Internal = 13,
    /// A retry may help.
    Unavailable = 14,
    /// The sender is unknown.
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
    /// The number of a [`Code`].
    #[prost(int32, tag = "1")]
    pub code: i32,
    /// What happened, for people.
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

/// `google.rpc.BadRequest`.
#[derive(Clone, PartialEq, Message)]
struct BadRequest {
    #[prost(message, repeated, tag = "1")]
    field_violations: Vec<FieldViolation>,
}

/// `google.rpc.BadRequest.FieldViolation`: one problem of a request.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct FieldViolation {
    /// The place: `resource.attributes["source.name"]`, `byte 17`.
    #[prost(string, tag = "1")]
    pub field: String,
    /// What is wrong there, for people.
    #[prost(string, tag = "2")]
    pub description: String,
}

/// The header for details in gRPC's richer error model.
pub(crate) const DETAILS: &str = "grpc-status-details-bin";

/// The header for a single `RetryInfo`.
pub(crate) const RETRY_INFO_HEADER: &str = "google.rpc.retryinfo-bin";

/// How gRPC encodes binary headers: written without padding, read with or without (gRPC over HTTP/2, "Binary-Header").
const BINARY: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

const BAD_REQUEST: &str = "type.googleapis.com/google.rpc.BadRequest";
const RETRY_INFO: &str = "type.googleapis.com/google.rpc.RetryInfo";

/// Decodes a header in base64, with or without padding. `None` if it is not base64.
#[must_use]
pub fn from_base64(value: &[u8]) -> Option<Vec<u8>> {
    BINARY.decode(value).ok()
}

impl Status {
    /// A status without details.
    #[must_use]
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code: code.number(), message: message.into(), details: Vec::new() }
    }

    /// Adds a `RetryInfo`. Without one, RESOURCE_EXHAUSTED is final for an OTLP sender.
    #[must_use]
    pub fn with_retry_delay(mut self, seconds: u32) -> Self {
        let retry_delay = Some(Duration { seconds: seconds.into() });
        self.add(RETRY_INFO, RetryInfo { retry_delay }.encode_to_vec());
        self
    }

    /// Adds a `BadRequest` with these violations, if there are any, as far as they fit in
    /// [`MAX_DETAILS`].
    #[must_use]
    pub(crate) fn with_field_violations(
        mut self,
        violations: impl Iterator<Item = FieldViolation>,
    ) -> Self {
        let mut left = MAX_DETAILS;
        let mut field_violations = Vec::new();
        for FieldViolation { field, description } in violations {
            // Stops if there is no room for at least a word of the description.
            let Some(rest) = left.checked_sub(field.len()).filter(|rest| *rest > 16) else { break };
            let description = cut(&description, rest);
            left = rest.saturating_sub(description.len());
            field_violations.push(FieldViolation { field, description });
        }
        if !field_violations.is_empty() {
            self.add(BAD_REQUEST, BadRequest { field_violations }.encode_to_vec());
        }
        self
    }

    fn add(&mut self, type_url: &str, value: Vec<u8>) {
        self.details.push(Any { type_url: type_url.to_owned(), value });
    }

    /// The violations in the `BadRequest`; empty if there is none.
    #[must_use]
    pub fn field_violations(&self) -> Vec<FieldViolation> {
        let bad_request = self.detail(BAD_REQUEST).and_then(|value| BadRequest::decode(value).ok());
        bad_request.unwrap_or_default().field_violations
    }

    fn detail(&self, type_url: &str) -> Option<&[u8]> {
        Some(self.details.iter().find(|any| any.type_url == type_url)?.value.as_slice())
    }

    /// The delay in the `RetryInfo`, in seconds, if there is one.
    #[must_use]
    pub fn retry_delay(&self) -> Option<u32> {
        let delay = RetryInfo::decode(self.detail(RETRY_INFO)?).ok()?.retry_delay?;
        u32::try_from(delay.seconds).ok()
    }

    /// The value of gRPC's `grpc-status-details-bin`, if there are details.
    #[must_use]
    pub fn details_header(&self) -> Option<String> {
        (!self.details.is_empty()).then(|| BINARY.encode(self.encode_to_vec()))
    }

    /// The metadata beside code and message over gRPC: the details, and the delay once more in the only header in which
    /// the Python SDK looks for it.
    pub(crate) fn metadata(&self) -> impl Iterator<Item = (&'static str, String)> {
        let retry_info =
            self.detail(RETRY_INFO).map(|info| (RETRY_INFO_HEADER, BINARY.encode(info)));
        let details = self.details_header().map(|details| (DETAILS, details));
        [details, retry_info].into_iter().flatten()
    }

    /// Reads the status in a value of `grpc-status-details-bin`; `None` if it is not valid.
    pub(crate) fn from_details_header(value: &[u8]) -> Option<Self> {
        Self::decode(from_base64(value)?.as_slice()).ok()
    }

    /// The status as OTLP/JSON, with its `RetryInfo` or its `BadRequest`; the gate never sets both.
    /// In JSON, an `Any` has the members of its message (protobuf's JSON mapping, "Any").
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        let mut json = format!(r#"{{"code":{},"message":"#, self.code).into_bytes();
        push_string(&mut json, &self.message);
        let violations = self.field_violations();
        if let Some(seconds) = self.retry_delay() {
            let details =
                format!(r#","details":[{{"@type":"{RETRY_INFO}","retryDelay":"{seconds}s"}}]"#);
            json.extend_from_slice(details.as_bytes());
        } else if !violations.is_empty() {
            let details = format!(r#","details":[{{"@type":"{BAD_REQUEST}","fieldViolations":["#);
            json.extend_from_slice(details.as_bytes());
            for (index, FieldViolation { field, description }) in violations.iter().enumerate() {
                json.extend_from_slice(if index > 0 { b"," } else { b"" });
                json.extend_from_slice(br#"{"field":"#);
                push_string(&mut json, field);
                json.extend_from_slice(br#","description":"#);
                push_string(&mut json, description);
                json.push(b'}');
            }
            json.extend_from_slice(b"]}]");
        }
        json.push(b'}');
        json
    }

    /// The message of a JSON status, if it has one.
    pub(crate) fn message_from_json(json: &[u8]) -> Option<String> {
        Object::read(json)?.string(&["message"])
    }
}
