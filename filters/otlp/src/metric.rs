//! A metric as a policy is shown it.

use std::borrow::Cow;

/// A metric, without its data points.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metric<'a> {
    /// Its name, the last one where it is set twice.
    pub name: Cow<'a, [u8]>,
    /// What kind of data it has, if any.
    pub kind: Option<MetricKind>,
    /// Where it has none: whether it has something else that OTLP does not know, which may be data
    /// of a newer kind, or of one that OTLP has given up.
    pub is_unknown: bool,
    /// `AggregationTemporality`, 0 where it is not set; the last one where it is set twice, which
    /// is how every decoder reads it.
    pub temporality: u64,
    /// How many data points it has; of kinds without a temporality, 1 stands for any number. What is
    /// not known counts as the points that it would have if it were like the known kinds, and at
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
