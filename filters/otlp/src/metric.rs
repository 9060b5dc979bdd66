//! A metric as a policy is shown it.

use std::borrow::Cow;

/// A metric, without its data points.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metric<'a> {
    /// Its name; the last one if it is set twice.
    pub name: Cow<'a, [u8]>,
    /// The kind of its data, if it has any.
    pub kind: Option<MetricKind>,
    /// Whether a metric without known data has another field that OTLP does not know. That may be
    /// data of a newer or of a deprecated kind.
    pub is_unknown: bool,
    /// `AggregationTemporality`, 0 if it is not set. If it is set twice, the last one, as every
    /// decoder reads it.
    pub temporality: u64,
    /// The number of data points. For kinds without a temporality, 1 stands for any number. Unknown
    /// data counts as the points that it would have if it were built like the known kinds, and at
    /// least as one.
    pub points: u64,
}

/// The kinds of metric data (`Metric.data`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    /// `ExponentialHistogram`.
    ExponentialHistogram,
    /// `Gauge`.
    Gauge,
    /// `Histogram`.
    Histogram,
    /// `Sum`.
    Sum,
    /// `Summary`.
    Summary,
}

impl MetricKind {
    /// Whether data of this kind has an `AggregationTemporality`.
    pub(crate) const fn has_temporality(self) -> bool {
        match self {
            Self::ExponentialHistogram | Self::Histogram | Self::Sum => true,
            Self::Gauge | Self::Summary => false,
        }
    }
}
