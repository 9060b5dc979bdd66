//! Mimir's rules for `POST /otlp/v1/metrics` (grafana/mimir, pkg/distributor/otel.go and pkg/util/push), and for
//! `POST /api/v1/push`, in `write`. They come from Mimir's source code; they were not observed on a real Mimir.

mod write;

use std::sync::Arc;

use http::{
    Method, StatusCode,
    header::{CONTENT_TYPE, HeaderValue, X_CONTENT_TYPE_OPTIONS},
};
use opentelemetry_proto::tonic::{
    collector::metrics::v1::ExportMetricsServiceRequest,
    metrics::v1::{AggregationTemporality, Metric, metric::Data},
};

use crate::{
    answer::{Answer, JSON, PROTOBUF},
    encoding::{self, Coding, InflateError},
    otlp::{self, Format},
    push::{Body, Push, Verdict},
    status::{Code, Status},
    store::{Record, Telemetry},
    tenant,
};

const PATH: &str = "/otlp/v1/metrics";

/// The largest body, compressed and decompressed: `distributor.max-otlp-request-size`.
pub(crate) const BODY_LIMIT: usize = 100 << 20;

/// Mimir's answer to a request, and what it stores.
pub(crate) fn receive(push: &Push) -> Verdict {
    let is_write = push.uri.path() == write::PATH;
    if push.uri.path() != PATH && !is_write {
        let answer = Answer::go_error(StatusCode::NOT_FOUND, "404 page not found");
        return Verdict::refused(answer);
    }
    if push.method != Method::POST {
        return Verdict::refused(Answer::new(StatusCode::METHOD_NOT_ALLOWED));
    }
    match one_tenant(push) {
        Ok(tenant) if is_write => write::accept(push).of(&tenant),
        Ok(tenant) => accept(push).of(&tenant),
        Err(answer) => Verdict::refused(*answer),
    }
}

/// The tenant of a push, or the plain-text answer of the middleware that reads the tenant.
fn one_tenant(push: &Push) -> Result<String, Box<Answer>> {
    let refuse = |status, text: &str| Box::new(Answer::go_error(status, text));
    let unauthorized = |text: &str| refuse(StatusCode::UNAUTHORIZED, text);
    let value = match tenant::values(&push.headers).first().copied() {
        None | Some(b"") => return Err(unauthorized("no org id")),
        Some(value) => value,
    };
    let mut tenants = tenant::distinct(value).map_err(|refused| {
        let text = refused.message();
        unauthorized(text.as_deref().unwrap_or("tenant ID is not UTF-8"))
    })?;
    if tenants.len() > 1 {
        let text = format!("too many tenant IDs present. max: 1 actual: {}", tenants.len());
        return Err(refuse(StatusCode::UNPROCESSABLE_ENTITY, &text));
    }
    tenants.pop_first().ok_or_else(|| unauthorized("no org id"))
}

fn accept(push: &Push) -> Verdict {
    let content_type = push.header("content-type");
    let format = match content_type {
        _ if content_type == PROTOBUF.as_bytes() => Some(Format::Protobuf),
        _ if content_type == JSON.as_bytes() => Some(Format::Json),
        _ => None,
    };
    // Errors about an unknown content type are in protobuf.
    let reply_in = format.unwrap_or(Format::Protobuf);
    let refuse = |status, text: String| Verdict::refused(error(reply_in, status, text));

    let coding = match push.header("content-encoding") {
        b"" => Coding::None,
        b"gzip" => Coding::Gzip,
        b"lz4" => Coding::Lz4,
        b"zstd" => Coding::Zstd,
        other => {
            let other = String::from_utf8_lossy(other);
            return refuse(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                format!(
                    "unsupported compression: {other}. Only \"gzip\", \"lz4\", \"zstd\", or no compression supported"
                ),
            );
        }
    };
    let Some(format) = format else {
        let shown = String::from_utf8_lossy(content_type);
        return refuse(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            format!("unsupported content type: {shown}, supported: [{JSON}, {PROTOBUF}]"),
        );
    };
    let too_large = || {
        refuse(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("the request is larger than {BODY_LIMIT} bytes"),
        )
    };
    let Body::Whole(body) = &push.body else {
        return too_large();
    };
    let decoded = match encoding::inflate(body, coding, BODY_LIMIT) {
        Ok(decoded) => decoded,
        Err(InflateError::TooLarge { .. }) => return too_large(),
        Err(broken) => return refuse(StatusCode::BAD_REQUEST, broken.to_string()),
    };
    let request = otlp::decode::<ExportMetricsServiceRequest>(&decoded, format)
        .and_then(|request| otlp::check_exemplar_ids(&request).map(|()| request));
    match request {
        Ok(request) => ingest(request, format),
        Err(broken) => refuse(StatusCode::BAD_REQUEST, broken.to_string()),
    }
    .having_read(&decoded)
}

fn ingest(request: ExportMetricsServiceRequest, format: Format) -> Verdict {
    let mut taken = Vec::new();
    let mut refusals = Vec::new();
    for of_resource in request.resource_metrics {
        let resource = Arc::new(of_resource.resource.unwrap_or_default());
        // Resource attributes become labels of `target_info`.
        let odd = resource.attributes.iter().filter(|attribute| !is_name(&attribute.key));
        refusals.extend(odd.map(|attribute| Refusal::Label(attribute.key.clone()).to_string()));
        for of_scope in of_resource.scope_metrics {
            let scope = Arc::new(of_scope.scope.unwrap_or_default());
            for metric in of_scope.metrics {
                match convertible(&metric) {
                    Err(refusal) => refusals.push(refusal.to_string()),
                    Ok(()) => {
                        taken.extend(otlp::single_points(&metric).into_iter().map(|point| Record {
                            resource: Arc::clone(&resource),
                            scope: Arc::clone(&scope),
                            telemetry: Telemetry::DataPoint(point),
                        }))
                    }
                }
            }
        }
    }
    // A metric that cannot be converted gives a 400, but the others are stored.
    let answer = if refusals.is_empty() {
        success(format)
    } else {
        error(format, StatusCode::BAD_REQUEST, refusals.join("; "))
    };
    Verdict::refused(answer).taking(taken)
}

/// Why a metric cannot be converted to Prometheus series.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("invalid temporality and type combination for metric {0:?}")]
    Temporality(String),
    #[error("empty data points. {0} is dropped")]
    NoDataPoints(String),
    #[error("normalization for metric {0:?} resulted in empty name")]
    Name(String),
    #[error("normalization for label name {0:?} resulted in invalid name \"_\"")]
    Label(String),
    #[error("unsupported exemplar value type: Empty")]
    Exemplar,
}

/// Returns whether `otlptranslator` can make a name of it: at least one ASCII letter or digit must be in it.
fn is_name(name: &str) -> bool {
    name.contains(|c: char| c.is_ascii_alphanumeric())
}

fn convertible(metric: &Metric) -> Result<(), Refusal> {
    let (points, cumulative) = match &metric.data {
        None => (0, false),
        Some(Data::Gauge(all)) => (all.data_points.len(), true),
        Some(Data::Summary(all)) => (all.data_points.len(), true),
        Some(Data::Sum(all)) => (all.data_points.len(), is_cumulative(all.aggregation_temporality)),
        Some(Data::Histogram(all)) => {
            (all.data_points.len(), is_cumulative(all.aggregation_temporality))
        }
        Some(Data::ExponentialHistogram(all)) => {
            (all.data_points.len(), is_cumulative(all.aggregation_temporality))
        }
    };
    if !cumulative {
        return Err(Refusal::Temporality(metric.name.clone()));
    }
    if points == 0 {
        return Err(Refusal::NoDataPoints(metric.name.clone()));
    }
    if !is_name(&metric.name) && !metric.name.contains(':') {
        return Err(Refusal::Name(metric.name.clone()));
    }
    for point in otlp::single_points(metric) {
        let mut attributes = otlp::first_point_attributes(&point).iter();
        if let Some(attribute) = attributes.find(|attribute| !is_name(&attribute.key)) {
            return Err(Refusal::Label(attribute.key.clone()));
        }
    }
    // Exemplars of gauges are not translated.
    let is_gauge = matches!(metric.data, Some(Data::Gauge(_)));
    if !is_gauge && otlp::exemplars(metric).iter().any(|exemplar| exemplar.value.is_none()) {
        return Err(Refusal::Exemplar);
    }
    Ok(())
}

fn is_cumulative(temporality: i32) -> bool {
    temporality == AggregationTemporality::Cumulative as i32
}

/// The encoded empty response: no bytes in protobuf, `{}` in JSON.
fn success(format: Format) -> Answer {
    let body: &'static [u8] = match format {
        Format::Protobuf => b"",
        Format::Json => b"{}",
    };
    answer(format, StatusCode::OK).body(body)
}

fn error(format: Format, http: StatusCode, message: String) -> Answer {
    let status = Status::new(Code::http(http), message);
    answer(format, http).body(match format {
        Format::Protobuf => status.protobuf(),
        Format::Json => status.json(),
    })
}

fn answer(format: Format, http: StatusCode) -> Answer {
    let content_type = match format {
        Format::Protobuf => PROTOBUF,
        Format::Json => JSON,
    };
    Answer::new(http)
        .header(CONTENT_TYPE, HeaderValue::from_static(content_type))
        .header(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"))
}
