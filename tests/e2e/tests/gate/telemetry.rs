//! Well-formed requests: some records with `source.name`, some without.

use opentelemetry_proto::tonic::{
    collector::{
        logs::v1::ExportLogsServiceRequest, metrics::v1::ExportMetricsServiceRequest,
        trace::v1::ExportTraceServiceRequest,
    },
    common::v1::InstrumentationScope,
    logs::v1::LogRecord,
    metrics::v1::{Gauge, Metric, NumberDataPoint, metric::Data, number_data_point},
    resource::v1::Resource,
    trace::v1::Span,
};
use sluice_telemetry::{
    attributes::{Attributed, string, text},
    export::InScope,
    metric::metric,
};

/// Logs of a few bytes each: `named` on a resource with `source.name`, `unnamed` on one without.
pub(crate) fn logs(named: usize, unnamed: usize) -> ExportLogsServiceRequest {
    logs_of_size(named, unnamed, 16)
}

/// The same, each with a body of `size` bytes that differs from the next.
pub(crate) fn logs_of_size(named: usize, unnamed: usize, size: usize) -> ExportLogsServiceRequest {
    halves(named, unnamed, |index| log(index, size))
}

/// Data points of one gauge, `named` of them with `source.name`.
pub(crate) fn metrics(named: usize, unnamed: usize) -> ExportMetricsServiceRequest {
    metrics_of_size(named, unnamed, 16)
}

/// The same, each with an attribute of `size` bytes.
pub(crate) fn metrics_of_size(
    named: usize,
    unnamed: usize,
    size: usize,
) -> ExportMetricsServiceRequest {
    metrics_with_notes((0..named + unnamed).map(|index| padded(index, size)).collect(), named)
}

/// Data points of one gauge with these texts as an attribute, the first `named` of them with `source.name`.
pub(crate) fn metrics_with_notes(notes: Vec<String>, named: usize) -> ExportMetricsServiceRequest {
    let points = notes.into_iter().enumerate().map(|(index, note)| {
        let mut attributes = vec![text("note", &note)];
        if index < named {
            attributes.push(text("source.name", "checkout"));
        }
        NumberDataPoint {
            attributes,
            time_unix_nano: now(),
            value: Some(number_data_point::Value::AsInt(1)),
            ..NumberDataPoint::default()
        }
    });
    let gauge = metric("queue.length", Some(Data::Gauge(Gauge { data_points: points.collect() })));
    Metric::export_of(Some(resource(false)), Some(scope()), vec![gauge])
}

/// Spans: `named` on a resource with `source.name`, `unnamed` on one without.
pub(crate) fn traces(named: usize, unnamed: usize) -> ExportTraceServiceRequest {
    halves(named, unnamed, span)
}

/// `named` records on a resource with `source.name`, and `unnamed` on one without.
fn halves<R: InScope>(named: usize, unnamed: usize, record: impl Fn(usize) -> R) -> R::Export {
    let halves = [(true, named), (false, unnamed)].into_iter().filter(|(_, count)| *count > 0);
    let resources = halves.map(|(has_name, count)| {
        let records = (0..count).map(&record).collect();
        R::resource(Some(resource(has_name)), vec![R::scope(Some(scope()), records, "")], "")
    });
    R::export(resources.collect())
}

fn resource(has_name: bool) -> Resource {
    let mut attributes = vec![text("service.name", "cart")];
    if has_name {
        attributes.push(text("source.name", "checkout"));
    }
    Resource::of(attributes)
}

fn scope() -> InstrumentationScope {
    InstrumentationScope { name: "e2e".to_owned(), ..InstrumentationScope::default() }
}

fn log(index: usize, size: usize) -> LogRecord {
    let time_unix_nano = now();
    LogRecord {
        time_unix_nano,
        observed_time_unix_nano: time_unix_nano,
        body: Some(string(&padded(index, size))),
        ..LogRecord::default()
    }
}

fn span(index: usize) -> Span {
    let id = u64::try_from(index).expect("an index fits") + 1;
    Span {
        trace_id: u128::from(id).to_be_bytes().to_vec(),
        span_id: id.to_be_bytes().to_vec(),
        name: format!("span {index}"),
        start_time_unix_nano: now(),
        end_time_unix_nano: now(),
        ..Span::default()
    }
}

fn padded(index: usize, size: usize) -> String {
    format!("{index:0>size$}")
}

#[allow(
    clippy::disallowed_methods,
    reason = "a sender has a clock, and the backends refuse what is old"
)]
fn now() -> u64 {
    let since = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .expect("a clock past 1970");
    u64::try_from(since.as_nanos()).expect("a clock before 2554")
}
