//! Tempo's rules for `POST /v1/traces` on its OTLP/HTTP port: the OpenTelemetry Collector's
//! receiver (receiver/otlpreceiver/otlphttp.go, config/confighttp), then Tempo's distributor.

use std::{collections::HashMap, sync::Arc};

use http::{Method, StatusCode, header::HeaderValue};
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{KeyValue, any_value::Value},
    trace::v1::Span,
};
use prost::Message;

use crate::{
    answer::{Answer, JSON, PROTOBUF},
    encoding::{self, Coding},
    otlp::{self, Format},
    push::{Body, Push, Verdict},
    status::{Code, Status},
    store::{Record, Telemetry},
    tenant,
};

const PATH: &str = "/v1/traces";

/// confighttp's default `max_request_body_size`, for the body compressed and decompressed.
pub(crate) const BODY_LIMIT: usize = 20 << 20;
/// `overrides.defaults.global.max_bytes_per_trace`.
const TRACE_LIMIT: usize = 5_000_000;
/// `distributor.max_attribute_bytes`.
const ATTRIBUTE_LIMIT: usize = 2048;

/// Tempo's answer to a request, and what it stores.
pub(crate) fn receive(push: &Push) -> Verdict {
    let format = format(push.header("content-type"));
    // Decompression comes before routing.
    let Some(coding) = coding(push.header("content-encoding")) else {
        let encoding = String::from_utf8_lossy(push.header("content-encoding"));
        let message = format!("unsupported Content-Encoding: {encoding}");
        return Verdict::refused(match format {
            Some(format) => bad_request(format, message),
            None => no_error_possible(),
        });
    };
    if push.uri.path() != PATH {
        let answer = Answer::go_error(StatusCode::NOT_FOUND, "404 page not found");
        return Verdict::refused(answer);
    }
    if push.method != Method::POST {
        return Verdict::refused(Answer::text(
            StatusCode::METHOD_NOT_ALLOWED,
            "text/plain",
            "405 method not allowed, supported: [POST]",
        ));
    }
    let Some(format) = format else {
        return Verdict::refused(Answer::text(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "text/plain",
            format!("415 unsupported media type, supported: [{JSON}, {PROTOBUF}]"),
        ));
    };
    let Body::Whole(body) = &push.body else {
        return Verdict::refused(bad_request(format, "http: request body too large"));
    };
    match encoding::inflate(body, coding, BODY_LIMIT) {
        Ok(decoded) => {
            let request = otlp::decode::<ExportTraceServiceRequest>(&decoded, format)
                .and_then(|request| otlp::check_span_ids(&request).map(|()| request));
            match request {
                Ok(request) => export(push, request, format),
                Err(error) => Verdict::refused(bad_request(format, error)),
            }
            .having_read(&decoded)
        }
        Err(encoding::InflateError::TooLarge { .. }) => {
            Verdict::refused(bad_request(format, "http: request body too large"))
        }
        Err(error) => Verdict::refused(bad_request(format, error)),
    }
}

fn coding(header: &[u8]) -> Option<Coding> {
    match header {
        b"" => Some(Coding::None),
        b"deflate" => Some(Coding::Deflate),
        b"gzip" => Some(Coding::Gzip),
        b"lz4" => Some(Coding::Lz4),
        b"snappy" => Some(Coding::Snappy),
        b"x-snappy-framed" => Some(Coding::SnappyFramed),
        b"zstd" => Some(Coding::Zstd),
        _ => None,
    }
}

/// Parameters are allowed, and case does not matter.
fn format(content_type: &[u8]) -> Option<Format> {
    let media_type = content_type.split(|byte| *byte == b';').next()?;
    let media_type = media_type.trim_ascii().to_ascii_lowercase();
    if media_type == PROTOBUF.as_bytes() {
        Some(Format::Protobuf)
    } else if media_type == JSON.as_bytes() {
        Some(Format::Json)
    } else {
        None
    }
}

/// The distributor's part. A request without spans succeeds before the tenant is checked.
pub(crate) fn export(push: &Push, request: ExportTraceServiceRequest, format: Format) -> Verdict {
    if otlp::spans(&request).next().is_none() {
        return Verdict::refused(success(format));
    }
    let tenant = match one_tenant(push, format) {
        Ok(tenant) => tenant,
        Err(answer) => return Verdict::refused(*answer),
    };
    // One invalid id rejects the whole batch.
    if let Some(refusal) = otlp::spans(&request).find_map(bad_id) {
        return Verdict::refused(bad_request(format, refusal)).of(&tenant);
    }
    Verdict::refused(success(format)).of(&tenant).taking(kept(request))
}

fn one_tenant(push: &Push, format: Format) -> Result<String, Box<Answer>> {
    // None or several headers: the receiver only reads the header if there is exactly one.
    let [value] = tenant::values(&push.headers)[..] else {
        return Err(Box::new(error(
            format,
            StatusCode::SERVICE_UNAVAILABLE,
            &Status::new(Code::UNAVAILABLE, "no org id"),
        )));
    };
    if value.is_empty() {
        return Err(Box::new(bad_request(format, "no org id")));
    }
    tenant::single(value).map_err(|refused| {
        Box::new(match refused.message() {
            Some(message) => bad_request(format, message),
            None => no_error_possible(),
        })
    })
}

fn bad_id(span: &Span) -> Option<&'static str> {
    if span.trace_id.iter().all(|byte| *byte == 0) {
        Some("trace ids must be 128 bit and not all zero")
    } else if span.span_id.iter().all(|byte| *byte == 0) {
        Some("span ids must be 64 bit and not all zero")
    } else {
        None
    }
}

/// The spans as they are stored: traces above the limit are lost silently, and attributes above their limit are cut
/// silently.
fn kept(request: ExportTraceServiceRequest) -> Vec<Record> {
    let mut trace_bytes = HashMap::<Vec<u8>, usize>::new();
    for span in otlp::spans(&request) {
        *trace_bytes.entry(span.trace_id.clone()).or_default() += span.encoded_len();
    }
    let fits = |span: &Span| {
        let bytes = trace_bytes.get(&span.trace_id).copied();
        bytes.unwrap_or_default() <= TRACE_LIMIT
    };
    let mut records = Vec::new();
    for of_resource in request.resource_spans {
        let mut resource = of_resource.resource.unwrap_or_default();
        cut(&mut resource.attributes);
        let resource = Arc::new(resource);
        for of_scope in of_resource.scope_spans {
            let mut scope = of_scope.scope.unwrap_or_default();
            cut(&mut scope.attributes);
            let scope = Arc::new(scope);
            for mut span in of_scope.spans.into_iter().filter(fits) {
                cut(&mut span.attributes);
                records.push(Record {
                    resource: Arc::clone(&resource),
                    scope: Arc::clone(&scope),
                    telemetry: Telemetry::Span(span),
                });
            }
        }
    }
    records
}

fn cut(attributes: &mut [KeyValue]) {
    let values = attributes.iter_mut().flat_map(|one| &mut one.value);
    for value in values {
        if let Some(Value::StringValue(text)) = &mut value.value {
            let mut ends = (0..=ATTRIBUTE_LIMIT.min(text.len())).rev();
            let end = ends.find(|at| text.is_char_boundary(*at));
            text.truncate(end.unwrap_or_default());
        }
    }
}

/// The encoded response with a `partial_success` that is set but empty.
fn success(format: Format) -> Answer {
    let body: &'static [u8] = match format {
        Format::Protobuf => b"\x0a\x00",
        Format::Json => br#"{"partialSuccess":{}}"#,
    };
    answer(format, StatusCode::OK).body(body)
}

fn bad_request(format: Format, message: impl ToString) -> Answer {
    error(
        format,
        StatusCode::BAD_REQUEST,
        &Status::new(Code::INVALID_ARGUMENT, message.to_string()),
    )
}

fn error(format: Format, http: StatusCode, status: &Status) -> Answer {
    answer(format, http).body(match format {
        Format::Protobuf => status.protobuf(),
        Format::Json => status.json(),
    })
}

/// The receiver's answer if it cannot encode its error.
fn no_error_possible() -> Answer {
    Answer::text(
        StatusCode::INTERNAL_SERVER_ERROR,
        JSON,
        r#"{"code": 13, "message": "failed to marshal error message"}"#,
    )
}

fn answer(format: Format, http: StatusCode) -> Answer {
    let content_type = match format {
        Format::Protobuf => PROTOBUF,
        Format::Json => JSON,
    };
    Answer::new(http).header(http::header::CONTENT_TYPE, HeaderValue::from_static(content_type))
}
