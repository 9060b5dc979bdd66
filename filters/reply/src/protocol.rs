//! The protocols in which a sender is answered.

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use prost::Message;
use sluice_encodings::grpc;
use sluice_headers::{
    HeaderEdit,
    names::{
        ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, GRPC_MESSAGE, GRPC_STATUS,
        RETRY_AFTER, STATUS,
    },
};
use sluice_otlp::{Format, Signal};

use crate::{Code, ExportOutcome, ExportResponse, Failure, Refusal, Status};

/// The protocol of the sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// OTLP/gRPC.
    Grpc,
    /// OTLP/HTTP with JSON.
    HttpJson,
    /// OTLP/HTTP with protobuf; also the default for senders whose protocol is not known.
    HttpProtobuf,
    /// Prometheus remote write. Its senders retry on 429 and on every 5xx, and on nothing else
    /// (specification 1.0, "Retries & Backoff").
    RemoteWrite,
}

/// A reply that the gate makes itself instead of a backend.
#[derive(Clone, Debug, PartialEq)]
pub enum LocalResponse {
    /// Trailers-only: always an error, because gRPC has no success without a message.
    Grpc {
        /// The error.
        status: Status,
        /// Other metadata: details, or the supported encodings.
        metadata: Vec<(&'static str, String)>,
    },
    /// A complete HTTP reply.
    Http {
        /// Its status.
        status: u16,
        /// Its headers, content type included.
        headers: Vec<(&'static str, String)>,
        /// Its body.
        body: Vec<u8>,
    },
}

/// What replaces a backend's body when the headers have already been sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReplyPayload {
    /// The body.
    pub body: Vec<u8>,
    /// The trailers after it; none over HTTP.
    pub trailers: Vec<(&'static str, String)>,
}

impl LocalResponse {
    /// The same response for a gRPC request that Envoy does not recognise as one. Envoy does not turn such a local
    /// reply into a gRPC reply, so the response is written as one.
    #[must_use]
    pub fn spelled_out(self) -> Self {
        let Self::Grpc { status, metadata } = self else { return self };
        let mut headers = vec![
            (CONTENT_TYPE, Protocol::Grpc.content_type().to_owned()),
            (GRPC_STATUS, status.code.to_string()),
            (GRPC_MESSAGE, percent_encoded(&status.message)),
        ];
        headers.extend(metadata);
        Self::Http { status: 200, headers, body: Vec::new() }
    }
}

impl Protocol {
    /// The reply to a refused request.
    #[must_use]
    pub fn refuse(self, refusal: &Refusal) -> LocalResponse {
        let mut headers = match refusal {
            // RFC 9110, section 15.5.6
            Refusal::Method(_) if self != Self::Grpc => vec![("allow", "POST".to_owned())],
            Refusal::WriteEncoding(_) => vec![(ACCEPT_ENCODING, "snappy".to_owned())],
            Refusal::Encoding { header, .. } => {
                let (name, accepted) = header.accepted();
                vec![(name, accepted.to_owned())]
            }
            _ => Vec::new(),
        };
        // Over gRPC the delay is the RetryInfo in the status.
        if let (Some(seconds), false) = (refusal.retry_after(), self == Self::Grpc) {
            headers.push((RETRY_AFTER, seconds.to_string()));
        }
        self.local_error(refusal.http_status(), refusal.status(), headers)
    }

    /// The reply to a request whose backend sent only headers, or was not contacted. `None` if this
    /// protocol cannot express it without a body in the backend's reply: success over gRPC.
    #[must_use]
    pub fn local_response(self, outcome: &ExportOutcome, signal: Signal) -> Option<LocalResponse> {
        match (self, outcome) {
            (Self::Grpc, ExportOutcome::Success(_)) => None,
            (Self::RemoteWrite, ExportOutcome::Success(response)) => {
                let body = self.encode_response(response, signal);
                let headers = match body.is_empty() {
                    true => Vec::new(),
                    false => vec![(CONTENT_TYPE, self.content_type().to_owned())],
                };
                Some(LocalResponse::Http { status: self.success(response), headers, body })
            }
            (_, ExportOutcome::Success(response)) => Some(LocalResponse::Http {
                status: 200,
                headers: vec![(CONTENT_TYPE, self.content_type().to_owned())],
                body: self.encode_response(response, signal),
            }),
            (_, ExportOutcome::Failure(failure)) => {
                let headers = match self {
                    Self::Grpc => Vec::new(),
                    Self::HttpJson | Self::HttpProtobuf | Self::RemoteWrite => {
                        retry_after(failure).into_iter().collect()
                    }
                };
                Some(self.local_error(failure.http_status, failure.status(), headers))
            }
        }
    }

    /// The edits to the headers that are sent before [`write`](Self::write).
    #[must_use]
    pub fn reply_edits(self, outcome: &ExportOutcome) -> Vec<HeaderEdit> {
        let content_type = match (self, outcome) {
            // It is sent without a body.
            (Self::RemoteWrite, ExportOutcome::Success(response))
                if self.success(response) == 200 =>
            {
                HeaderEdit::remove(CONTENT_TYPE)
            }
            _ => HeaderEdit::set(CONTENT_TYPE, self.content_type()),
        };
        let mut edits = vec![
            content_type,
            HeaderEdit::remove(CONTENT_LENGTH),
            HeaderEdit::remove(CONTENT_ENCODING),
            HeaderEdit::remove(RETRY_AFTER),
        ];
        let status = match (self, outcome) {
            (Self::Grpc, _) => 200,
            (_, ExportOutcome::Success(response)) => self.success(response),
            (_, ExportOutcome::Failure(failure)) => failure.http_status,
        };
        edits.push(HeaderEdit::set(STATUS, status.to_string()));
        if let (false, ExportOutcome::Failure(failure)) = (self == Self::Grpc, outcome) {
            edits.extend(retry_after(failure).map(|(name, value)| HeaderEdit::set(name, value)));
        }
        edits
    }

    /// The body, and over gRPC the trailers, with what the sender is told.
    #[must_use]
    pub fn write(self, outcome: &ExportOutcome, signal: Signal) -> ReplyPayload {
        match (self, outcome) {
            (Self::Grpc, ExportOutcome::Success(response)) => ReplyPayload {
                body: framed(response),
                trailers: vec![(GRPC_STATUS, Code::Ok.number().to_string())],
            },
            (Self::Grpc, ExportOutcome::Failure(failure)) => {
                let status = failure.status();
                let mut trailers = vec![
                    (GRPC_STATUS, status.code.to_string()),
                    (GRPC_MESSAGE, percent_encoded(&status.message)),
                ];
                trailers.extend(status.metadata());
                ReplyPayload { body: Vec::new(), trailers }
            }
            (_, ExportOutcome::Success(response)) => ReplyPayload {
                body: self.encode_response(response, signal),
                ..ReplyPayload::default()
            },
            (_, ExportOutcome::Failure(failure)) => {
                ReplyPayload { body: self.encode(&failure.status()), ..ReplyPayload::default() }
            }
        }
    }

    fn local_error(
        self,
        http_status: u16,
        status: Status,
        mut headers: Vec<(&'static str, String)>,
    ) -> LocalResponse {
        if self == Self::Grpc {
            headers.extend(status.metadata());
            return LocalResponse::Grpc { status, metadata: headers };
        }
        headers.push((CONTENT_TYPE, self.content_type().to_owned()));
        LocalResponse::Http { status: http_status, headers, body: self.encode(&status) }
    }

    /// The HTTP status of a response. In remote write, a request of which anything was dropped is a
    /// 400, although the rest is stored (specification 1.0, "Labels").
    fn success(self, response: &ExportResponse) -> u16 {
        let rejects = response.partial_success.as_ref().is_some_and(|partial| partial.rejected > 0);
        if self == Self::RemoteWrite && rejects { 400 } else { 200 }
    }

    fn encode(self, status: &Status) -> Vec<u8> {
        match self {
            Self::HttpJson => status.to_json(),
            Self::RemoteWrite => status.message.clone().into_bytes(),
            Self::Grpc | Self::HttpProtobuf => status.encode_to_vec(),
        }
    }

    fn encode_response(self, response: &ExportResponse, signal: Signal) -> Vec<u8> {
        match self {
            Self::HttpJson => response.to_json(signal),
            Self::RemoteWrite => match &response.partial_success {
                Some(partial) if partial.rejected > 0 => {
                    format!("only part of the request was stored: {}", partial.error_message)
                        .into_bytes()
                }
                // A success has no body, so a warning cannot be sent.
                _ => Vec::new(),
            },
            Self::Grpc | Self::HttpProtobuf => response.encode_to_vec(),
        }
    }

    const fn content_type(self) -> &'static str {
        match self {
            Self::Grpc => "application/grpc",
            Self::HttpJson => Format::Json.content_type(),
            Self::HttpProtobuf => Format::Protobuf.content_type(),
            Self::RemoteWrite => "text/plain; charset=utf-8",
        }
    }
}

fn retry_after(failure: &Failure) -> Option<(&'static str, String)> {
    failure.retry_after.map(|seconds| (RETRY_AFTER, seconds.to_string()))
}

fn framed(response: &ExportResponse) -> Vec<u8> {
    // A response has at most a few kilobytes, so it always fits in a frame.
    grpc::write(&response.encode_to_vec()).unwrap_or_default()
}

/// A message encoded for `grpc-message` (gRPC over HTTP/2, "Percent-Encoded").
fn percent_encoded(message: &str) -> String {
    const RESERVED: &AsciiSet = &CONTROLS.add(b'%');
    utf8_percent_encode(message, RESERVED).to_string()
}

#[cfg(test)]
mod tests;
