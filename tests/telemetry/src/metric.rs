//! Metrics of each kind.

use opentelemetry_proto::tonic::{
    common::v1::KeyValue,
    metrics::v1::{
        Exemplar, ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram,
        HistogramDataPoint, Metric, NumberDataPoint, Sum, Summary, SummaryDataPoint, metric::Data,
    },
};
use serde::Deserialize;

/// What a metric's data is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum MetricKind {
    /// Numbers at a time.
    Gauge,
    /// Numbers that add up.
    Sum,
    /// Counts in buckets with bounds.
    Histogram,
    /// Counts in buckets that a scale determines.
    ExponentialHistogram,
    /// Quantiles.
    Summary,
}

/// A data point of any kind. A kind leaves out what it does not have.
#[derive(Clone, Debug, Default)]
pub struct Point {
    /// Its attributes.
    pub attributes: Vec<KeyValue>,
    /// The scale of an exponential histogram.
    pub scale: i32,
    /// Its exemplars, which a summary does not have.
    pub exemplars: Vec<Exemplar>,
}

/// The data points of a metric.
#[derive(Clone, Debug, Default)]
pub struct Points {
    /// The data points.
    pub points: Vec<Point>,
    /// The `AggregationTemporality` of sums and histograms, as a number that it need not have.
    pub temporality: i32,
    /// Whether a sum never falls.
    pub is_monotonic: bool,
}

impl MetricKind {
    /// Every kind.
    pub const ALL: [Self; 5] =
        [Self::Gauge, Self::Sum, Self::Histogram, Self::ExponentialHistogram, Self::Summary];

    /// Returns a metric's data of this kind.
    #[must_use]
    pub fn data(self, points: Points) -> Data {
        let Points { points, temporality: aggregation_temporality, is_monotonic } = points;
        let points = points.into_iter();
        let number = |Point { attributes, exemplars, .. }| NumberDataPoint {
            attributes,
            exemplars,
            ..NumberDataPoint::default()
        };
        match self {
            Self::Gauge => Data::Gauge(Gauge { data_points: points.map(number).collect() }),
            Self::Sum => {
                let data_points = points.map(number).collect();
                Data::Sum(Sum { data_points, aggregation_temporality, is_monotonic })
            }
            Self::Histogram => {
                let point = |Point { attributes, exemplars, .. }| HistogramDataPoint {
                    attributes,
                    exemplars,
                    ..HistogramDataPoint::default()
                };
                let data_points = points.map(point).collect();
                Data::Histogram(Histogram { data_points, aggregation_temporality })
            }
            Self::ExponentialHistogram => {
                let point =
                    |Point { attributes, scale, exemplars }| ExponentialHistogramDataPoint {
                        attributes,
                        scale,
                        exemplars,
                        ..ExponentialHistogramDataPoint::default()
                    };
                let data_points = points.map(point).collect();
                Data::ExponentialHistogram(ExponentialHistogram {
                    data_points,
                    aggregation_temporality,
                })
            }
            Self::Summary => {
                let point = |Point { attributes, .. }| SummaryDataPoint {
                    attributes,
                    ..SummaryDataPoint::default()
                };
                Data::Summary(Summary { data_points: points.map(point).collect() })
            }
        }
    }
}

/// Returns a metric with this name and data, or of no kind.
#[must_use]
pub fn metric(name: &str, data: Option<Data>) -> Metric {
    Metric { name: name.to_owned(), data, ..Metric::default() }
}
