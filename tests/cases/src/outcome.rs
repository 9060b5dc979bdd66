//! What came of a request, whichever form of the gate it went through.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use prost::Message;
use serde::Deserialize;
use sluice_otlp::grpc;
use sluice_reply::{ExportResponse, Status};

use crate::wire::HeaderList;

/// What came of a request.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What the backend got.
    pub forwarded: Option<Forwarded>,
    /// What the sender got.
    pub reply: Reply,
    /// The counters that grew, by `name{tag=value,...}`, and by how much.
    pub counts: BTreeMap<String, u64>,
}

/// What a backend got.
#[derive(Clone, Debug)]
pub struct Forwarded {
    /// Its headers, `:path` included.
    pub headers: HeaderList,
    /// Its body.
    pub body: Vec<u8>,
}

/// What a sender got, read by its protocol.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    /// The status: HTTP's, or gRPC's.
    pub status: i32,
    /// The code of the `Status` in the body of an error over HTTP: gRPC's.
    pub code: Option<i32>,
    /// The message of the status, or of the partial success.
    pub message: String,
    /// The count of the partial success, if there is one.
    pub rejected: Option<i64>,
    /// The seconds after which the sender is asked to try again.
    pub retry_after: Option<u32>,
}

impl Reply {
    /// Reads a reply over HTTP.
    ///
    /// # Errors
    /// If it is not what OTLP/HTTP has a server answer.
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
                reply.code = Some(status.code);
                reply.message = status.message;
            }
            (400.., Some("application/json")) => {
                #[derive(Deserialize)]
                struct JsonStatus {
                    code: i32,
                    message: String,
                }
                let status: JsonStatus = serde_json::from_slice(body)?;
                reply.code = Some(status.code);
                reply.message = status.message;
            }
            (_, content_type) => anyhow::bail!("{status} with content type {content_type:?}"),
        }
        Ok(reply)
    }

    /// Reads a reply over gRPC. `trailers` may be headers, where a reply is those alone; their
    /// message is percent-encoded.
    ///
    /// # Errors
    /// If it is not what gRPC has a server answer.
    pub fn from_grpc(body: &[u8], trailers: &HeaderList) -> Result<Self> {
        let code = text(trailers, "grpc-status").context("there is no grpc-status")?;
        let message = text(trailers, "grpc-message").unwrap_or_default();
        let mut reply = Self { status: code.parse()?, ..Self::default() };
        reply.message = percent_decoded(&message);
        if let Some(details) = text(trailers, "grpc-status-details-bin") {
            let details =
                Status::decode(&STANDARD_NO_PAD.decode(details.trim_end_matches('='))?[..])?;
            reply.retry_after = details.retry_delay();
        }
        if reply.status == 0 {
            reply.success(ExportResponse::decode(grpc::read(body)?.message)?);
        } else {
            anyhow::ensure!(body.is_empty(), "an error came with a message");
        }
        Ok(reply)
    }

    fn success(&mut self, response: ExportResponse) {
        if let Some(partial) = response.partial_success {
            self.rejected = Some(partial.rejected);
            self.message = partial.error_message;
        }
    }
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

/// A counter's name, with the tags that are written into it taken out, as
/// `sluice_requests_total{outcome=stored,signal=logs}`.
#[must_use]
pub fn counter(stat: &str) -> String {
    let mut parts: Vec<_> = stat.split(";.;").map(|part| part.trim_start_matches('.')).collect();
    let name = parts.pop().unwrap_or_default();
    let mut tags: Vec<_> = parts.iter().map(|part| part.replacen("=.=", "=", 1)).collect();
    tags.sort();
    format!("{name}{{{}}}", tags.join(","))
}
