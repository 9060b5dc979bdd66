//! The outcome of a request, whichever form of the gate it passed through.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use prost::Message;
use serde::Deserialize;
use sluice_encodings::grpc;
use sluice_reply::{ExportResponse, Status};

use crate::{case::Protocol, wire::HeaderList};

/// The outcome of a request.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The request that the backend got.
    pub forwarded: Option<Forwarded>,
    /// The reply that the sender got.
    pub reply: Reply,
    /// The counters that increased, as `name{tag=value,...}`, and by how much.
    pub counts: BTreeMap<String, u64>,
}

/// The request that a backend got.
#[derive(Clone, Debug)]
pub struct Forwarded {
    /// Its headers, including `:path`.
    pub headers: HeaderList,
    /// Its body.
    pub body: Vec<u8>,
}

/// The reply that a sender got, read with its protocol.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    /// The status: HTTP's, or gRPC's.
    pub status: i32,
    /// The content type, over HTTP.
    pub content_type: Option<String>,
    /// The code of the `Status` in the body of an error over HTTP: gRPC's.
    pub code: Option<i32>,
    /// The message of the status, or of the partial success.
    pub message: String,
    /// The count of the partial success, if there is one.
    pub rejected: Option<i64>,
    /// The seconds after which the sender is asked to retry.
    pub retry_after: Option<u32>,
    /// The fields of the `BadRequest` in a status' details.
    pub fields: Vec<String>,
}

impl Reply {
    /// Reads a reply over HTTP.
    ///
    /// # Errors
    /// If OTLP/HTTP does not allow this reply.
    pub fn from_http(status: u16, headers: &HeaderList, body: &[u8]) -> Result<Self> {
        let content_type = text(headers, "content-type");
        let retry_after = text(headers, "retry-after").and_then(|value| value.parse().ok());
        let mut reply = Self { status: status.into(), retry_after, ..Self::default() };
        match (status, content_type.as_deref()) {
            (200, Some("application/x-protobuf")) => {
                reply.success(ExportResponse::decode(body)?);
            }
            (200, Some("application/json")) => {
                reply.success(ExportResponse::from_json(body).context("the body is no response")?);
            }
            (400.., Some("application/x-protobuf")) => {
                let status = Status::decode(body).context("the body is no Status")?;
                reply.details(status.retry_delay(), fields(&status))?;
                reply.code = Some(status.code);
                reply.message = status.message;
            }
            (400.., Some("application/json")) => {
                let status: JsonStatus = serde_json::from_slice(body)?;
                let (mut delay, mut fields) = (None, Vec::new());
                for detail in status.details {
                    match detail {
                        JsonDetail::RetryInfo { retry_delay } => {
                            let seconds = retry_delay.strip_suffix('s').context("no duration")?;
                            delay = Some(seconds.parse()?);
                        }
                        JsonDetail::BadRequest { field_violations } => {
                            for JsonViolation { field, description } in field_violations {
                                anyhow::ensure!(!description.is_empty(), "{field}: no description");
                                fields.push(field);
                            }
                        }
                    }
                }
                reply.details(delay, fields)?;
                reply.code = Some(status.code);
                reply.message = status.message;
            }
            (_, content_type) => anyhow::bail!("{status} with content type {content_type:?}"),
        }
        reply.content_type = content_type;
        Ok(reply)
    }

    /// Reads a reply to a sender of remote write.
    ///
    /// # Errors
    /// If remote write does not allow this reply: it must be a success without a body, or an error in text.
    pub fn from_write(status: u16, headers: &HeaderList, body: &[u8]) -> Result<Self> {
        let content_type = text(headers, "content-type");
        let retry_after = text(headers, "retry-after").and_then(|value| value.parse().ok());
        match (status, content_type.as_deref()) {
            (200..=299, None) => anyhow::ensure!(body.is_empty(), "a success has a body"),
            (400.., Some("text/plain; charset=utf-8")) => {}
            (_, content_type) => anyhow::bail!("{status} with content type {content_type:?}"),
        }
        let message = str::from_utf8(body)?.to_owned();
        Ok(Self { status: status.into(), content_type, message, retry_after, ..Self::default() })
    }

    /// Reads a reply over HTTP with its protocol.
    ///
    /// # Errors
    /// If the protocol does not allow this reply.
    pub fn from_protocol(
        protocol: Protocol,
        status: u16,
        headers: &HeaderList,
        body: &[u8],
    ) -> Result<Self> {
        match protocol {
            Protocol::Write => Self::from_write(status, headers, body),
            _ => Self::from_http(status, headers, body),
        }
    }

    /// Reads a reply over gRPC. `trailers` may be headers if the reply is trailers-only; their message is
    /// percent-encoded.
    ///
    /// # Errors
    /// If gRPC does not allow this reply.
    pub fn from_grpc(body: &[u8], trailers: &HeaderList) -> Result<Self> {
        let code = text(trailers, "grpc-status").context("there is no grpc-status")?;
        let message = text(trailers, "grpc-message").unwrap_or_default();
        let mut reply = Self { status: code.parse()?, ..Self::default() };
        reply.message = percent_decoded(&message);
        if let Some(details) = text(trailers, "grpc-status-details-bin") {
            let details =
                Status::decode(&STANDARD_NO_PAD.decode(details.trim_end_matches('='))?[..])?;
            anyhow::ensure!(
                (details.code, &details.message) == (reply.status, &reply.message),
                "the details say {}: {:?}",
                details.code,
                details.message
            );
            reply.retry_after = details.retry_delay();
            reply.fields = fields(&details);
        }
        if reply.status == 0 {
            reply.success(ExportResponse::decode(grpc::read(body)?.message)?);
        } else {
            anyhow::ensure!(body.is_empty(), "an error came with a message");
        }
        Ok(reply)
    }

    /// Records the details of an error over HTTP. Its delay must be in a header too.
    fn details(&mut self, delay: Option<u32>, fields: Vec<String>) -> Result<()> {
        let header = self.retry_after;
        anyhow::ensure!(delay == header, "RetryInfo of {delay:?}, and Retry-After {header:?}");
        self.fields = fields;
        Ok(())
    }

    fn success(&mut self, response: ExportResponse) {
        if let Some(partial) = response.partial_success {
            self.rejected = Some(partial.rejected);
            self.message = partial.error_message;
        }
    }
}

fn fields(status: &Status) -> Vec<String> {
    status.field_violations().into_iter().map(|violation| violation.field).collect()
}

/// `google.rpc.Status` as protobuf's JSON mapping has it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct JsonStatus {
    code: i32,
    message: String,
    #[serde(default)]
    details: Vec<JsonDetail>,
}

#[derive(Deserialize)]
#[serde(tag = "@type", deny_unknown_fields, rename_all_fields = "camelCase")]
enum JsonDetail {
    #[serde(rename = "type.googleapis.com/google.rpc.RetryInfo")]
    RetryInfo { retry_delay: String },
    #[serde(rename = "type.googleapis.com/google.rpc.BadRequest")]
    BadRequest { field_violations: Vec<JsonViolation> },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct JsonViolation {
    field: String,
    description: String,
}

/// The first value of a header, as text.
#[must_use]
pub fn text(headers: &HeaderList, name: &str) -> Option<String> {
    let value = headers.iter().find(|(key, _)| key == name);
    value.map(|(_, value)| String::from_utf8_lossy(value).into_owned())
}

fn percent_decoded(message: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = message.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        let escaped = behind.get(..2).filter(|_| *first == b'%');
        let byte = escaped.and_then(|hex| std::str::from_utf8(hex).ok());
        match byte.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = behind.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(*first);
                rest = behind;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A counter's name, or `None` if the counter is one sender's share of another. The tags inside the name are extracted,
/// as in `sluice_requests_total{outcome=stored,signal=logs}`.
#[must_use]
pub fn counter(stat: &str) -> Option<String> {
    let mut parts: Vec<_> = stat.split(";.;").map(|part| part.trim_start_matches('.')).collect();
    let name = parts.pop().unwrap_or_default();
    let mut tags: Vec<_> = parts.iter().map(|part| part.replacen("=.=", "=", 1)).collect();
    tags.sort();
    let tags = if tags.is_empty() { String::new() } else { format!("{{{}}}", tags.join(",")) };
    (!name.starts_with("sluice_sender_")).then(|| format!("{name}{tags}"))
}
