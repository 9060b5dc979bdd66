//! Export requests: decodes them as the backends do, and splits them into records.

use bytes::Bytes;
use opentelemetry_proto::tonic::{
    collector::{
        logs::v1::ExportLogsServiceRequest, metrics::v1::ExportMetricsServiceRequest,
        trace::v1::ExportTraceServiceRequest,
    },
    common::v1::KeyValue,
    metrics::v1::{
        Exemplar, ExponentialHistogram, Gauge, Histogram, Metric, Sum, Summary, metric::Data,
    },
    trace::v1::Span,
};
use prost::Message;
use serde::de::DeserializeOwned;

/// The format of the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Json,
    Protobuf,
}

/// Why a body is not a valid export request.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DecodeError {
    #[error("the body is not OTLP/JSON: {0}")]
    Json(#[from] serde_json::Error),
    #[error("the body is not OTLP protobuf: {0}")]
    Protobuf(#[from] prost::DecodeError),
    #[error("a {what} has {found} bytes instead of {expected}")]
    IdLength { what: &'static str, found: usize, expected: usize },
}

/// Reads the export request in a body. A 0-byte protobuf body is an empty request, a 0-byte JSON body is an error.
pub(crate) fn decode<T>(body: &Bytes, format: Format) -> Result<T, DecodeError>
where
    T: Message + Default + DeserializeOwned,
{
    Ok(match format {
        Format::Protobuf => T::decode(body.clone())?,
        Format::Json => serde_json::from_slice(body)?,
    })
}

/// Rejects ids that are neither absent nor of the right length, as the collector's pdata does when it reads a request.
pub(crate) fn check_log_ids(request: &ExportLogsServiceRequest) -> Result<(), DecodeError> {
    request
        .resource_logs
        .iter()
        .flat_map(|resource| &resource.scope_logs)
        .flat_map(|scope| &scope.log_records)
        .try_for_each(|record| {
            trace_id(&record.trace_id)?;
            span_id(&record.span_id)
        })
}

/// The same for exemplars.
pub(crate) fn check_exemplar_ids(request: &ExportMetricsServiceRequest) -> Result<(), DecodeError> {
    request
        .resource_metrics
        .iter()
        .flat_map(|resource| &resource.scope_metrics)
        .flat_map(|scope| &scope.metrics)
        .flat_map(exemplars)
        .try_for_each(|exemplar| {
            trace_id(&exemplar.trace_id)?;
            span_id(&exemplar.span_id)
        })
}

/// The exemplars of every data point of a metric.
pub(crate) fn exemplars(metric: &Metric) -> Vec<&Exemplar> {
    match &metric.data {
        None | Some(Data::Summary(_)) => Vec::new(),
        Some(Data::Gauge(all)) => all.data_points.iter().flat_map(|one| &one.exemplars).collect(),
        Some(Data::Sum(all)) => all.data_points.iter().flat_map(|one| &one.exemplars).collect(),
        Some(Data::Histogram(all)) => {
            all.data_points.iter().flat_map(|one| &one.exemplars).collect()
        }
        Some(Data::ExponentialHistogram(all)) => {
            all.data_points.iter().flat_map(|one| &one.exemplars).collect()
        }
    }
}

/// The same for spans, their parents and their links.
pub(crate) fn check_span_ids(request: &ExportTraceServiceRequest) -> Result<(), DecodeError> {
    spans(request).try_for_each(|span| {
        trace_id(&span.trace_id)?;
        span_id(&span.span_id)?;
        span_id(&span.parent_span_id)?;
        span.links.iter().try_for_each(|link| {
            trace_id(&link.trace_id)?;
            span_id(&link.span_id)
        })
    })
}

/// Every span of a request.
pub(crate) fn spans(request: &ExportTraceServiceRequest) -> impl Iterator<Item = &Span> {
    request
        .resource_spans
        .iter()
        .flat_map(|resource| &resource.scope_spans)
        .flat_map(|scope| &scope.spans)
}

fn trace_id(id: &[u8]) -> Result<(), DecodeError> {
    id_of("trace id", 16, id)
}

fn span_id(id: &[u8]) -> Result<(), DecodeError> {
    id_of("span id", 8, id)
}

fn id_of(what: &'static str, expected: usize, id: &[u8]) -> Result<(), DecodeError> {
    if id.is_empty() || id.len() == expected {
        return Ok(());
    }
    Err(DecodeError::IdLength { what, found: id.len(), expected })
}

/// Returns the metric once for each of its data points, each time with that point only.
pub(crate) fn single_points(metric: &Metric) -> Vec<Metric> {
    // The metric is cloned without its data points; otherwise a metric with many points would take quadratic time.
    let shell = Metric {
        name: metric.name.clone(),
        description: metric.description.clone(),
        unit: metric.unit.clone(),
        metadata: metric.metadata.clone(),
        data: None,
    };
    let with = |data| Metric { data: Some(data), ..shell.clone() };
    match &metric.data {
        None => Vec::new(),
        Some(Data::Gauge(all)) => {
            each(&all.data_points, |data_points| with(Data::Gauge(Gauge { data_points })))
        }
        Some(Data::Sum(all)) => each(&all.data_points, |data_points| {
            with(Data::Sum(Sum {
                data_points,
                aggregation_temporality: all.aggregation_temporality,
                is_monotonic: all.is_monotonic,
            }))
        }),
        Some(Data::Histogram(all)) => each(&all.data_points, |data_points| {
            with(Data::Histogram(Histogram {
                data_points,
                aggregation_temporality: all.aggregation_temporality,
            }))
        }),
        Some(Data::ExponentialHistogram(all)) => each(&all.data_points, |data_points| {
            with(Data::ExponentialHistogram(ExponentialHistogram {
                data_points,
                aggregation_temporality: all.aggregation_temporality,
            }))
        }),
        Some(Data::Summary(all)) => {
            each(&all.data_points, |data_points| with(Data::Summary(Summary { data_points })))
        }
    }
}

fn each<P: Clone>(points: &[P], metric: impl Fn(Vec<P>) -> Metric) -> Vec<Metric> {
    points.iter().map(|point| metric(vec![point.clone()])).collect()
}

/// The attributes of a metric's first data point.
pub(crate) fn first_point_attributes(metric: &Metric) -> &[KeyValue] {
    let attributes = match &metric.data {
        None => None,
        Some(Data::Gauge(all)) => all.data_points.first().map(|point| &point.attributes),
        Some(Data::Sum(all)) => all.data_points.first().map(|point| &point.attributes),
        Some(Data::Histogram(all)) => all.data_points.first().map(|point| &point.attributes),
        Some(Data::ExponentialHistogram(all)) => {
            all.data_points.first().map(|point| &point.attributes)
        }
        Some(Data::Summary(all)) => all.data_points.first().map(|point| &point.attributes),
    };
    attributes.map(Vec::as_slice).unwrap_or_default()
}
