//! Defects: things that OTLP allows, or that senders send anyway, but that a store cannot keep. Each known defect is
//! listed once for all stores.

use sluice_otlp::Signal;

/// What is wrong with an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Defect {
    /// An attribute has a name that cannot become a label.
    AttributeName,
    /// An exemplar has no value, or has an invalid id.
    Exemplar,
    /// A log record, a span, one of its links or its parent has an invalid id.
    InvalidId,
    /// An attribute that becomes an index label has a value that labels cannot have.
    LabelValue,
    /// A resource has more attributes than the store accepts as labels.
    Labels,
    /// A metric has a name that cannot become a Prometheus name.
    MetricName,
    /// A metric has no data points.
    NoDataPoints,
    /// The scale of an exponential histogram is too coarse for the store.
    Scale,
    /// The points of a sum or histogram are not cumulative.
    Temporality,
    /// A trace is larger than the store accepts.
    TraceTooLarge,
    /// A metric has data of a kind that OTLP does not define, or has deprecated.
    UnknownKind,
}

/// The element with the defect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element {
    /// An exemplar of a data point.
    Exemplar,
    /// A metric.
    Metric,
    /// A log record, span or data point.
    Record,
    /// A resource.
    Resource,
    /// An instrumentation scope.
    Scope,
}

/// What the gate does about a defect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// It cuts the part out of what is kept.
    Cut,
    /// It drops the record, or the metric with its records.
    Drop,
}

/// What a store does with a defect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It stores the rest, and answers the whole batch with an error.
    FailsAnswer,
    /// It does not store the element, without an error.
    Loses,
    /// It stores none of the records below the element, without an error.
    LosesRecords,
    /// It refuses the whole batch.
    RefusesBatch,
    /// It refuses the whole batch in releases before this one.
    RefusesBatchBefore(&'static str),
}

/// A defect at a place where some store cannot keep it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Site {
    /// The signal.
    pub signal: Signal,
    /// The element with the defect.
    pub element: Element,
    /// The defect.
    pub defect: Defect,
    /// What the gate does.
    pub remedy: Remedy,
}

/// A [`Site`], and what one store does with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What the store cannot keep.
    pub site: Site,
    /// What the store would do.
    pub outcome: Outcome,
}

impl Defect {
    /// The smallest scale of an exponential histogram that can become a native histogram in
    /// Prometheus (`otlptranslator` and Mimir's `pkg/distributor/otlp`).
    pub const MIN_SCALE: i64 = -4;

    /// The defect's name in the metrics.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::AttributeName => "attribute_name",
            Self::Exemplar => "exemplar",
            Self::InvalidId => "invalid_id",
            Self::LabelValue => "label_value",
            Self::Labels => "labels",
            Self::MetricName => "metric_name",
            Self::NoDataPoints => "no_data_points",
            Self::Scale => "scale",
            Self::Temporality => "temporality",
            Self::TraceTooLarge => "trace_too_large",
            Self::UnknownKind => "unknown_kind",
        }
    }

    /// What is wrong, in the words of messages.
    #[must_use]
    pub const fn clause(self) -> &'static str {
        match self {
            Self::AttributeName => "attribute name has no ASCII letter or digit",
            Self::Exemplar => "exemplar without a value, or with an invalid trace id or span id",
            Self::InvalidId => "invalid trace id or span id",
            Self::LabelValue => "index label value is not UTF-8",
            Self::Labels => "more resource attributes than labels",
            Self::MetricName => "metric name has no ASCII letter or digit",
            Self::NoDataPoints => "metric has no data points",
            Self::Scale => "exponential histogram scale is below -4",
            Self::Temporality => "aggregation temporality is not cumulative",
            Self::TraceTooLarge => "trace exceeds maxTraceBytes",
            Self::UnknownKind => "unknown metric type",
        }
    }
}

/// Every site, with the names that the stores' files use.
///
/// Loki, Mimir, Prometheus, SigNoz and Tempo read requests with the OpenTelemetry Collector's `pdata`, which refuses a
/// whole request if one id in it has the wrong length. Loki (since 3.7), Mimir and Prometheus turn names into labels
/// with `otlptranslator`, whose `LabelNamer` and `MetricNamer` fail if a name has no ASCII letter or digit.
impl Site {
    /// The id of a log record. The record is kept, because by `logs.proto` one without an id simply
    /// has no trace.
    pub const LOG_ID: Self = cut(Signal::Logs, Element::Record, Defect::InvalidId);
    /// The name of an attribute of a resource of logs.
    pub const LOG_RESOURCE_NAME: Self = cut(Signal::Logs, Element::Resource, Defect::AttributeName);
    /// The name of an attribute of a scope of logs.
    pub const LOG_SCOPE_NAME: Self = cut(Signal::Logs, Element::Scope, Defect::AttributeName);
    /// The name of an attribute of a log record.
    pub const LOG_NAME: Self = cut(Signal::Logs, Element::Record, Defect::AttributeName);
    /// The value of a resource attribute that becomes an index label.
    pub const LOG_LABEL_VALUE: Self = cut(Signal::Logs, Element::Resource, Defect::LabelValue);
    /// The name of an attribute of a metrics resource, which becomes a label of `target_info`.
    pub const METRIC_RESOURCE_NAME: Self =
        cut(Signal::Metrics, Element::Resource, Defect::AttributeName);
    /// The name of a data point's attribute. Without one of its attributes, the data point would belong to another
    /// series.
    pub const POINT_NAME: Self = drop(Signal::Metrics, Element::Record, Defect::AttributeName);
    /// An exemplar.
    pub const EXEMPLAR: Self = cut(Signal::Metrics, Element::Exemplar, Defect::Exemplar);
    /// The kind of a metric's data.
    pub const METRIC_KIND: Self = drop(Signal::Metrics, Element::Metric, Defect::UnknownKind);
    /// The name of a metric.
    pub const METRIC_NAME: Self = drop(Signal::Metrics, Element::Metric, Defect::MetricName);
    /// A metric without data points.
    pub const NO_DATA_POINTS: Self = drop(Signal::Metrics, Element::Metric, Defect::NoDataPoints);
    /// A metric's temporality.
    pub const TEMPORALITY: Self = drop(Signal::Metrics, Element::Metric, Defect::Temporality);
    /// The scale of an exponential histogram.
    pub const SCALE: Self = drop(Signal::Metrics, Element::Record, Defect::Scale);
    /// The ids of a span, of its links and of its parent.
    pub const SPAN_ID: Self = drop(Signal::Traces, Element::Record, Defect::InvalidId);
    /// A trace that exceeds `maxTraceBytes`, if that is set.
    pub const TRACE_SIZE: Self = drop(Signal::Traces, Element::Record, Defect::TraceTooLarge);

    /// Every site, in the order of the documentation.
    pub const ALL: [Self; 15] = [
        Self::LOG_ID,
        Self::LOG_RESOURCE_NAME,
        Self::LOG_SCOPE_NAME,
        Self::LOG_NAME,
        Self::LOG_LABEL_VALUE,
        Self::METRIC_RESOURCE_NAME,
        Self::POINT_NAME,
        Self::EXEMPLAR,
        Self::METRIC_KIND,
        Self::METRIC_NAME,
        Self::NO_DATA_POINTS,
        Self::TEMPORALITY,
        Self::SCALE,
        Self::SPAN_ID,
        Self::TRACE_SIZE,
    ];
}

const fn cut(signal: Signal, element: Element, defect: Defect) -> Site {
    Site { signal, element, defect, remedy: Remedy::Cut }
}

const fn drop(signal: Signal, element: Element, defect: Defect) -> Site {
    Site { signal, element, defect, remedy: Remedy::Drop }
}
