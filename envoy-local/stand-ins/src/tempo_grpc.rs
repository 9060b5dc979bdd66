//! Tempo's rules for its OTLP/gRPC port: the OpenTelemetry Collector's receiver (config/configgrpc, which
//! is grpc-go), then Tempo's distributor, whose answers are those of the HTTP port.

use bytes::Bytes;
use http::{
    HeaderName, Method, StatusCode,
    header::{CONTENT_TYPE, HeaderValue},
};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;

use crate::{
    answer::Answer,
    encoding::{self, Coding},
    otlp::{self, Format},
    push::{Body, Push, Verdict},
    status::{Code, Status},
    tempo,
};

const PATH: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
/// grpc-go's default `MaxRecvMsgSize`, for a message compressed and decompressed.
const MESSAGE_LIMIT: usize = 4 << 20;
/// A frame's header, and a message.
pub(crate) const BODY_LIMIT: usize = HEADER + MESSAGE_LIMIT;
/// A flag and a length of four bytes.
const HEADER: usize = 5;

/// Tempo's answer to a call, and what it stores.
pub(crate) fn receive(push: &Push) -> Verdict {
    if push.method != Method::POST || push.header("content-type") != b"application/grpc" {
        // The answer of grpc-go's transport before there is a stream.
        let refused = Answer::new(StatusCode::UNSUPPORTED_MEDIA_TYPE);
        return Verdict::refused(refused);
    }
    match called(push) {
        Ok((message, request)) => {
            let verdict = tempo::export(push, request, Format::Protobuf).having_read(&message);
            let answer = in_grpc(&verdict.answer);
            Verdict { answer, ..verdict }
        }
        Err(status) => Verdict::refused(error(&status)),
    }
}

/// The one message of a call, and the request in it.
fn called(push: &Push) -> Result<(Bytes, ExportTraceServiceRequest), Status> {
    if push.uri.path() != PATH {
        let service = push.uri.path().trim_start_matches('/').split('/').next();
        let message = format!("unknown service {}", service.unwrap_or_default());
        return Err(Status::new(Code::UNIMPLEMENTED, message));
    }
    let name = push.header("grpc-encoding");
    let coding = match name {
        b"" | b"identity" => Coding::None,
        b"gzip" => Coding::Gzip,
        other => {
            let name = String::from_utf8_lossy(other);
            let message =
                format!("grpc: Decompressor is not installed for grpc-encoding \"{name}\"");
            return Err(Status::new(Code::UNIMPLEMENTED, message));
        }
    };
    let too_large = |size: usize| {
        let message =
            format!("grpc: received message larger than max ({size} vs. {MESSAGE_LIMIT})");
        Status::new(Code::RESOURCE_EXHAUSTED, message)
    };
    let Body::Whole(body) = &push.body else { return Err(too_large(MESSAGE_LIMIT + 1)) };
    let internal = |message: String| Status::new(Code::INTERNAL, message);
    let Some((&[flag, a, b, c, d], message)) = body.split_first_chunk::<HEADER>() else {
        return Err(internal("unexpected EOF".to_owned()));
    };
    if message.len() != u32::from_be_bytes([a, b, c, d]) as usize {
        return Err(internal("the frame is not the message's".to_owned()));
    }
    let coding = match flag {
        0 => Coding::None,
        1 if coding == Coding::None => {
            let message = "grpc: compressed flag set with identity or empty encoding";
            return Err(internal(message.to_owned()));
        }
        _ => coding,
    };
    let message = body.slice(HEADER..);
    let message = match encoding::inflate(&message, coding, MESSAGE_LIMIT) {
        Ok(message) => message,
        Err(encoding::InflateError::TooLarge { .. }) => return Err(too_large(MESSAGE_LIMIT + 1)),
        Err(error) => return Err(internal(format!("grpc: failed to decompress: {error}"))),
    };
    let request = otlp::decode::<ExportTraceServiceRequest>(&message, Format::Protobuf)
        .and_then(|request| otlp::check_span_ids(&request).map(|()| request))
        .map_err(|error| internal(format!("grpc: error unmarshalling request: {error}")))?;
    Ok((message, request))
}

/// The distributor's answer, over gRPC instead of HTTP.
fn in_grpc(answer: &Answer) -> Answer {
    if answer.status == StatusCode::OK {
        return success(&answer.body);
    }
    match Status::decode(answer.body.clone()) {
        Ok(status) => error(&status),
        Err(_) => error(&Status::new(Code::INTERNAL, "the error could not be written")),
    }
}

fn success(message: &[u8]) -> Answer {
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes();
    let body = [&[0], &length[..], message].concat();
    grpc().body(body).trailer(GRPC_STATUS, HeaderValue::from_static("0"))
}

/// Trailers-only: headers and no body.
fn error(status: &Status) -> Answer {
    let (code, message) = status.parts();
    let message = HeaderValue::from_str(message);
    let message = message.unwrap_or_else(|_| HeaderValue::from_static("not ASCII"));
    grpc().header(GRPC_STATUS, HeaderValue::from(code)).header(GRPC_MESSAGE, message)
}

fn grpc() -> Answer {
    Answer::new(StatusCode::OK).header(CONTENT_TYPE, HeaderValue::from_static("application/grpc"))
}

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
