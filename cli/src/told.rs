//! What the sender is told, read as a sender of its protocol reads it.

use anyhow::{Context, Result};
use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, general_purpose::PAD},
};
use percent_encoding::percent_decode;
use prost::Message;
use serde::Serialize;
use serde_json::Value as Json;
use sluice_encodings::grpc;
use sluice_headers::Headers;
use sluice_reply::{ExportResponse, Protocol, Status};

use crate::exchange::Told;

/// What the sender is told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Reply {
    /// The status over HTTP; over gRPC, the number of its code.
    pub status: i32,
    /// How many records were rejected, if it is a partial success.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rejected: Option<i64>,
    /// The message of an error or of a partial success.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// The seconds after which the sender is asked to retry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u32>,
}

impl Reply {
    /// Reads a reply.
    ///
    /// # Errors
    /// If the protocol does not allow it.
    pub fn read(protocol: Protocol, told: &Told) -> Result<Self> {
        match protocol {
            Protocol::Grpc => Self::grpc(told),
            Protocol::HttpJson => Self::json(told),
            Protocol::HttpProtobuf => Self::protobuf(told),
            Protocol::RemoteWrite => {
                let message = String::from_utf8_lossy(&told.body).into_owned();
                Ok(Self { message, ..Self::http(told) })
            }
        }
    }

    /// Whether everything was accepted, or a part.
    #[must_use]
    pub const fn is_success(&self, protocol: Protocol) -> bool {
        match protocol {
            Protocol::Grpc => self.status == 0,
            _ => matches!(self.status, 200..=299),
        }
    }

    fn grpc(told: &Told) -> Result<Self> {
        let trailers = Headers(&told.trailers);
        let code = trailers.first("grpc-status").context("the reply has no grpc-status")?;
        let message = trailers.first("grpc-message").unwrap_or_default();
        let mut reply = Self {
            status: std::str::from_utf8(code)?.parse()?,
            message: percent_decode(message).decode_utf8_lossy().into_owned(),
            ..Self::default()
        };
        if let Some(details) = trailers.first("grpc-status-details-bin") {
            let indifferent = PAD.with_decode_padding_mode(DecodePaddingMode::Indifferent);
            let details = GeneralPurpose::new(&STANDARD, indifferent).decode(details)?;
            reply.retry_after = Status::decode(&details[..])?.retry_delay();
        }
        if reply.status == 0 {
            reply.success(ExportResponse::decode(grpc::read(&told.body)?.message)?);
        }
        Ok(reply)
    }

    fn protobuf(told: &Told) -> Result<Self> {
        let mut reply = Self::http(told);
        if told.status >= 400 {
            reply.message = Status::decode(&told.body[..])?.message;
        } else {
            reply.success(ExportResponse::decode(&told.body[..])?);
        }
        Ok(reply)
    }

    fn json(told: &Told) -> Result<Self> {
        let mut reply = Self::http(told);
        if told.status >= 400 {
            let status: Json = serde_json::from_slice(&told.body)?;
            reply.message = status["message"].as_str().unwrap_or_default().to_owned();
        } else {
            let response = ExportResponse::from_json(&told.body);
            reply.success(response.context("the body is no OTLP response")?);
        }
        Ok(reply)
    }

    fn http(told: &Told) -> Self {
        let retry_after = Headers(&told.headers).number("retry-after");
        let retry_after = retry_after.and_then(|seconds| u32::try_from(seconds).ok());
        Self { status: told.status.into(), retry_after, ..Self::default() }
    }

    fn success(&mut self, response: ExportResponse) {
        if let Some(partial) = response.partial_success {
            self.rejected = Some(partial.rejected);
            self.message = partial.error_message;
        }
    }
}

/// The name of a gRPC code (`google/rpc/code.proto`).
#[must_use]
pub const fn code_name(code: i32) -> &'static str {
    match code {
        0 => "OK",
        1 => "CANCELLED",
        2 => "UNKNOWN",
        3 => "INVALID_ARGUMENT",
        4 => "DEADLINE_EXCEEDED",
        5 => "NOT_FOUND",
        6 => "ALREADY_EXISTS",
        7 => "PERMISSION_DENIED",
        8 => "RESOURCE_EXHAUSTED",
        9 => "FAILED_PRECONDITION",
        10 => "ABORTED",
        11 => "OUT_OF_RANGE",
        12 => "UNIMPLEMENTED",
        13 => "INTERNAL",
        14 => "UNAVAILABLE",
        15 => "DATA_LOSS",
        16 => "UNAUTHENTICATED",
        _ => "?",
    }
}
