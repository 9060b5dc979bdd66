//! Requests as real senders write them, with the same bytes every time.

use opentelemetry_proto::tonic::{
    collector::{logs::v1::ExportLogsServiceRequest, metrics::v1::ExportMetricsServiceRequest},
    common::v1::{AnyValue, ArrayValue, InstrumentationScope, KeyValue, any_value::Value},
    logs::v1::{LogRecord, SeverityNumber},
    metrics::v1::{
        AggregationTemporality, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint,
        metric::Data, number_data_point,
    },
    resource::v1::Resource,
    trace::v1::{Span, Status, span::SpanKind, status::StatusCode},
};
use prost::Message;

use crate::{
    attributes::{Attributed, int, string, text},
    export::{InScope, json},
    metric::metric,
    wire::field,
};

/// The attribute that every rule of the benchmark requires.
pub const REQUIRED: &str = "source.name";

/// 2026-11-18, in nanoseconds since the epoch.
const TIME: u64 = 1_795_000_000_000_000_000;

/// The number of data points of one metric, as an SDK with some twenty label sets exports it.
const POINTS_PER_METRIC: usize = 20;

/// Which records have the required attribute.
pub type Has = fn(usize) -> bool;

/// One resource with `records` log records of some 160 bytes each. The resource has the required attribute, and so have
/// the records that `has` selects.
#[must_use]
pub fn logs(records: usize, has: Has) -> Vec<u8> {
    let log_records = (0..records).map(|index| log_record(index, has(index))).collect();
    LogRecord::export_of(resource(), scope(), log_records).encode_to_vec()
}

fn log_record(index: usize, has: bool) -> LogRecord {
    let mut attributes = vec![
        text("http.request.method", "GET"),
        text("url.path", ["/cart", "/checkout", "/health"][index % 3]),
        int("http.response.status_code", 200),
    ];
    if has {
        attributes.insert(1, text(REQUIRED, "payments"));
    }
    LogRecord {
        time_unix_nano: time(index),
        observed_time_unix_nano: time(index),
        severity_number: SeverityNumber::Info.into(),
        severity_text: "INFO".into(),
        body: string(&format!("order {index} accepted")).into(),
        attributes,
        ..LogRecord::default()
    }
}

/// Log records of about `bytes` bytes each, from 180 on, in resources of `per_resource`. `lacks` selects the resources
/// that lack the required attribute. A third of the text is hexadecimal digits without a pattern, as ids are, so a
/// compressor finds about as much as in real logs.
#[must_use]
pub fn sized_logs(records: usize, bytes: usize, per_resource: usize, lacks: Has) -> Vec<u8> {
    let per_resource = per_resource.max(1);
    let of_resource = |first: usize| {
        let mut resource = resource();
        if lacks(first / per_resource) {
            let attributes = resource.iter_mut().map(|resource| &mut resource.attributes);
            attributes.for_each(|all| all.retain(|attribute| attribute.key != REQUIRED));
        }
        let log_records = (first..records.min(first + per_resource)).map(|index| LogRecord {
            body: string(&message(index, bytes.saturating_sub(130))).into(),
            ..log_record(index, false)
        });
        let scope = LogRecord::scope(scope(), log_records.collect(), "");
        LogRecord::resource(resource, vec![scope], "")
    };
    let resources = (0..records).step_by(per_resource).map(of_resource).collect();
    LogRecord::export(resources).encode_to_vec()
}

/// A log line of `length` bytes: words with ids between them.
fn message(index: usize, length: usize) -> String {
    // The constants of MMIX's generator (Knuth), so that the digits are the same every time.
    let mut ids = std::iter::successors(Some(index as u64), |id| {
        Some(id.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407))
    })
    .skip(1);
    let mut id = || ids.next().unwrap_or_default() >> 8;
    let mut text = format!("order {index} accepted for {:014x}", id());
    while text.len() < length {
        text.push_str(&format!(", next step of the request {:014x}", id()));
    }
    text.truncate(length);
    text
}

/// One resource with `spans` spans of some 250 bytes each. The resource has the required attribute, and so have the
/// spans that `has` selects.
#[must_use]
pub fn traces(spans: usize, has: Has) -> Vec<u8> {
    let spans = (0..spans).map(|index| span(index, has(index))).collect();
    Span::export_of(resource(), scope(), spans).encode_to_vec()
}

fn span(index: usize, has: bool) -> Span {
    let mut attributes = vec![
        text("http.request.method", "POST"),
        text("http.route", "/orders/{id}"),
        text("server.address", "orders.payments.svc"),
        int("http.response.status_code", 200),
        text("network.protocol.version", "1.1"),
    ];
    if has {
        attributes.insert(2, text(REQUIRED, "payments"));
    }
    Span {
        trace_id: [[0x5a; 8], (index as u64).to_be_bytes()].concat(),
        span_id: (index as u64 + 1).to_be_bytes().to_vec(),
        parent_span_id: vec![7; 8],
        name: "POST /orders/{id}".into(),
        kind: SpanKind::Server.into(),
        start_time_unix_nano: time(index),
        end_time_unix_nano: time(index) + 1_000_000,
        attributes,
        status: Some(Status { code: StatusCode::Ok.into(), ..Status::default() }),
        ..Span::default()
    }
}

/// One resource with `points` data points of gauges, some 100 bytes each with three attributes. The data points that
/// `has` selects also have the required one.
#[must_use]
pub fn gauges(points: usize, has: Has) -> Vec<u8> {
    metrics(points, |indexes| {
        let point = |index| NumberDataPoint {
            attributes: point_attributes(index, has(index)),
            start_time_unix_nano: TIME,
            time_unix_nano: time(index),
            value: Some(number_data_point::Value::AsDouble(0.25)),
            ..NumberDataPoint::default()
        };
        Data::Gauge(Gauge { data_points: indexes.map(point).collect() })
    })
}

/// The same for histograms with ten bounds, some 250 bytes for each data point.
#[must_use]
pub fn histograms(points: usize, has: Has) -> Vec<u8> {
    metrics(points, |indexes| {
        let point = |index| HistogramDataPoint {
            attributes: point_attributes(index, has(index)),
            start_time_unix_nano: TIME,
            time_unix_nano: time(index),
            count: 11,
            sum: Some(4.5),
            bucket_counts: vec![1; 11],
            explicit_bounds: (1..=10).map(f64::from).collect(),
            ..HistogramDataPoint::default()
        };
        Data::Histogram(Histogram {
            data_points: indexes.map(point).collect(),
            aggregation_temporality: AggregationTemporality::Cumulative.into(),
        })
    })
}

fn point_attributes(index: usize, has: bool) -> Vec<KeyValue> {
    let mut attributes = vec![
        text("http.method", ["GET", "PUT"][index % 2]),
        int("code", 200 + i64::try_from(index % 3).unwrap_or_default()),
    ];
    if has {
        attributes.insert(1, text(REQUIRED, "team-a/cart-7"));
    }
    attributes
}

fn metrics(points: usize, data: impl Fn(std::ops::Range<usize>) -> Data) -> Vec<u8> {
    let metric = |first: usize| Metric {
        name: format!("http.server.active_requests.{first}"),
        description: "Requests in flight".into(),
        unit: "{request}".into(),
        data: Some(data(first..points.min(first + POINTS_PER_METRIC))),
        ..Metric::default()
    };
    let metrics = (0..points).step_by(POINTS_PER_METRIC).map(metric).collect();
    of_metrics(metrics)
}

fn of_metrics(metrics: Vec<Metric>) -> Vec<u8> {
    Metric::export_of(resource(), scope(), metrics).encode_to_vec()
}

/// `points` data points of one gauge, empty except for the required attribute where `has` selects it: the smallest data
/// points that can be kept and dropped. The gauge has a name, because Mimir does not store one without.
#[must_use]
pub fn tiny_points(points: usize, has: Has) -> Vec<u8> {
    let point = |index| {
        let required = || vec![text(REQUIRED, "a")];
        NumberDataPoint::of(if has(index) { required() } else { Vec::new() })
    };
    let data = Data::Gauge(Gauge { data_points: (0..points).map(point).collect() });
    of_metrics(vec![metric("m", Some(data))])
}

/// `records` empty log records of two bytes each.
#[must_use]
pub fn tiny_logs(records: usize) -> Vec<u8> {
    let log_records = vec![LogRecord::default(); records];
    LogRecord::export_of(resource(), None, log_records).encode_to_vec()
}

/// `points` data points whose required attribute is a nested list with this many levels. All are the same, so one is
/// encoded: prost measures each level of each point anew for each level around it.
#[must_use]
pub fn nested_points(points: usize, levels: usize) -> Vec<u8> {
    let within =
        |value, _| AnyValue { value: Some(Value::ArrayValue(ArrayValue { values: vec![value] })) };
    let value = (0..levels).fold(string("the end"), within);
    let attribute = KeyValue { key: REQUIRED.into(), value: Some(value), ..KeyValue::default() };
    let point = field(1, &NumberDataPoint::of(vec![attribute]).encode_to_vec());
    let gauge = field(5, &point.repeat(points));
    let metric = [field(1, b"m"), gauge].concat();
    let scope = scope().map(|scope| field(1, &scope.encode_to_vec())).unwrap_or_default();
    let of_scope = field(2, &[scope, field(2, &metric)].concat());
    let resource = resource().map(|resource| field(1, &resource.encode_to_vec()));
    field(1, &[resource.unwrap_or_default(), of_scope].concat())
}

fn resource() -> Option<Resource> {
    let attributes = vec![
        text("service.name", "cart"),
        text("service.instance.id", "cart-7d5f8c-x2x9p"),
        text("k8s.namespace.name", "payments"),
        text(REQUIRED, "payments"),
        text("telemetry.sdk.language", "rust"),
    ];
    Some(Resource::of(attributes))
}

fn scope() -> Option<InstrumentationScope> {
    let (name, version) = ("orders".into(), "1.4.2".into());
    Some(InstrumentationScope { name, version, ..InstrumentationScope::default() })
}

fn time(index: usize) -> u64 {
    TIME + index as u64 * 1_000
}

/// An export of logs in OTLP/JSON.
#[must_use]
pub fn json_of_logs(protobuf: &[u8]) -> Vec<u8> {
    json(&ExportLogsServiceRequest::decode(protobuf).expect("it has just been encoded"))
}

/// An export of metrics in OTLP/JSON.
#[must_use]
pub fn json_of_metrics(protobuf: &[u8]) -> Vec<u8> {
    json(&ExportMetricsServiceRequest::decode(protobuf).expect("it has just been encoded"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_points_are_what_the_library_writes() {
        let bytes = nested_points(3, 4);
        let read = ExportMetricsServiceRequest::decode(bytes.as_slice()).unwrap();
        let Some(Data::Gauge(gauge)) = &read.resource_metrics[0].scope_metrics[0].metrics[0].data
        else {
            panic!("{read:?}");
        };
        assert_eq!(gauge.data_points.len(), 3);
        assert_eq!(read.encode_to_vec(), bytes);
    }
}
