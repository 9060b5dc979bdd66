//! Telemetry in a few words, and in OTLP.

use anyhow::{Result, anyhow, bail};
use opentelemetry_proto::tonic::{
    collector::{
        logs::v1::ExportLogsServiceRequest, metrics::v1::ExportMetricsServiceRequest,
        profiles::v1development::ExportProfilesServiceRequest,
        trace::v1::ExportTraceServiceRequest,
    },
    common::v1::{
        AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList, any_value::Value,
    },
    logs::v1::{LogRecord, ResourceLogs, ScopeLogs},
    metrics::v1::{
        ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram, HistogramDataPoint,
        Metric as OtlpMetric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, Summary,
        SummaryDataPoint, metric::Data,
    },
    profiles::v1development::{Profile, ProfilesDictionary, ResourceProfiles, ScopeProfiles},
    resource::v1::Resource,
    trace::v1::{ResourceSpans, ScopeSpans, Span},
};
use prost::Message;
use serde::Deserialize;
use serde_yaml_ng::Value as Yaml;
use sluice_otlp::Signal;

use crate::case::Bytes;

/// One resource with one scope and its records.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// The resource's attributes; no resource if left out.
    resource: Option<Attributes>,
    /// The scope's attributes; no scope if left out.
    scope: Option<Attributes>,
    /// Log records or spans.
    #[serde(default)]
    records: Records,
    /// Metrics.
    #[serde(default)]
    metrics: Vec<Metric>,
}

/// Attributes, as a map or, where a key occurs twice, as pairs.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum Attributes {
    Map(serde_yaml_ng::Mapping),
    Pairs(Vec<(String, Yaml)>),
}

/// Records: so many without attributes, or the attributes of each.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum Records {
    Count(usize),
    Each(Vec<Attributes>),
}

impl Default for Records {
    fn default() -> Self {
        Self::Count(0)
    }
}

/// A metric and its data points.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Metric {
    name: Option<String>,
    kind: Option<MetricKind>,
    #[serde(default)]
    temporality: Temporality,
    #[serde(default)]
    points: Records,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
enum MetricKind {
    ExponentialHistogram,
    Gauge,
    Histogram,
    Sum,
    Summary,
}

/// `AggregationTemporality`.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Temporality {
    Unspecified,
    Delta,
    #[default]
    Cumulative,
}

/// An export request of these entries, in protobuf.
///
/// # Errors
/// If a value has no counterpart in OTLP.
pub fn encode(signal: Signal, entries: &[Entry]) -> Result<Vec<u8>> {
    Ok(match signal {
        Signal::Logs => {
            let resource_logs = entries.iter().map(Entry::logs).collect::<Result<_>>()?;
            ExportLogsServiceRequest { resource_logs }.encode_to_vec()
        }
        Signal::Metrics => {
            let resource_metrics = entries.iter().map(Entry::metrics).collect::<Result<_>>()?;
            ExportMetricsServiceRequest { resource_metrics }.encode_to_vec()
        }
        Signal::Profiles => {
            let resource_profiles = entries.iter().map(Entry::profiles).collect::<Result<_>>()?;
            let dictionary = Some(ProfilesDictionary::default());
            ExportProfilesServiceRequest { resource_profiles, dictionary }.encode_to_vec()
        }
        Signal::Traces => {
            let resource_spans = entries.iter().map(Entry::spans).collect::<Result<_>>()?;
            ExportTraceServiceRequest { resource_spans }.encode_to_vec()
        }
    })
}

/// A request as a text that can be compared and read.
///
/// # Errors
/// If it is not an export request.
pub fn describe(signal: Signal, message: &[u8]) -> Result<String> {
    Ok(match signal {
        Signal::Logs => format!("{:#?}", ExportLogsServiceRequest::decode(message)?),
        Signal::Metrics => format!("{:#?}", ExportMetricsServiceRequest::decode(message)?),
        Signal::Profiles => format!("{:#?}", ExportProfilesServiceRequest::decode(message)?),
        Signal::Traces => format!("{:#?}", ExportTraceServiceRequest::decode(message)?),
    })
}

impl Entry {
    fn resource(&self) -> Result<Option<Resource>> {
        let attributes = self.resource.as_ref().map(Attributes::otlp).transpose()?;
        Ok(attributes.map(|attributes| Resource { attributes, ..Resource::default() }))
    }

    fn scope(&self) -> Result<Option<InstrumentationScope>> {
        let attributes = self.scope.as_ref().map(Attributes::otlp).transpose()?;
        Ok(attributes.map(|attributes| InstrumentationScope { attributes, ..Default::default() }))
    }

    fn logs(&self) -> Result<ResourceLogs> {
        let log_records = self
            .records
            .otlp()?
            .into_iter()
            .map(|attributes| LogRecord { attributes, ..LogRecord::default() })
            .collect();
        let scope_logs = ScopeLogs { scope: self.scope()?, log_records, ..Default::default() };
        Ok(ResourceLogs {
            resource: self.resource()?,
            scope_logs: vec![scope_logs],
            ..Default::default()
        })
    }

    fn profiles(&self) -> Result<ResourceProfiles> {
        let profiles = self.records.otlp()?.into_iter().map(|_| Profile::default()).collect();
        let scope_profiles = ScopeProfiles { scope: self.scope()?, profiles, ..Default::default() };
        Ok(ResourceProfiles {
            resource: self.resource()?,
            scope_profiles: vec![scope_profiles],
            ..Default::default()
        })
    }

    fn spans(&self) -> Result<ResourceSpans> {
        let spans = self
            .records
            .otlp()?
            .into_iter()
            .map(|attributes| Span {
                trace_id: vec![1; 16],
                span_id: vec![2; 8],
                attributes,
                ..Span::default()
            })
            .collect();
        let scope_spans = ScopeSpans { scope: self.scope()?, spans, ..Default::default() };
        Ok(ResourceSpans {
            resource: self.resource()?,
            scope_spans: vec![scope_spans],
            ..Default::default()
        })
    }

    fn metrics(&self) -> Result<ResourceMetrics> {
        let metrics = self.metrics.iter().map(Metric::otlp).collect::<Result<_>>()?;
        let scope_metrics = ScopeMetrics { scope: self.scope()?, metrics, ..Default::default() };
        Ok(ResourceMetrics {
            resource: self.resource()?,
            scope_metrics: vec![scope_metrics],
            ..Default::default()
        })
    }
}

impl Metric {
    fn otlp(&self) -> Result<OtlpMetric> {
        macro_rules! points {
            ($point:ident) => {
                self.points
                    .otlp()?
                    .into_iter()
                    .map(|attributes| $point { attributes, ..$point::default() })
                    .collect()
            };
        }
        let aggregation_temporality = self.temporality as i32;
        let data = self.kind.map(|kind| -> Result<Data> {
            Ok(match kind {
                MetricKind::ExponentialHistogram => {
                    Data::ExponentialHistogram(ExponentialHistogram {
                        data_points: points!(ExponentialHistogramDataPoint),
                        aggregation_temporality,
                    })
                }
                MetricKind::Gauge => Data::Gauge(Gauge { data_points: points!(NumberDataPoint) }),
                MetricKind::Histogram => Data::Histogram(Histogram {
                    data_points: points!(HistogramDataPoint),
                    aggregation_temporality,
                }),
                MetricKind::Sum => {
                    let data_points = points!(NumberDataPoint);
                    Data::Sum(Sum { data_points, aggregation_temporality, ..Default::default() })
                }
                MetricKind::Summary => {
                    Data::Summary(Summary { data_points: points!(SummaryDataPoint) })
                }
            })
        });
        Ok(OtlpMetric {
            name: self.name.clone().unwrap_or_default(),
            data: data.transpose()?,
            ..OtlpMetric::default()
        })
    }
}

impl Records {
    fn otlp(&self) -> Result<Vec<Vec<KeyValue>>> {
        match self {
            Self::Count(count) => Ok(vec![Vec::new(); *count]),
            Self::Each(each) => each.iter().map(Attributes::otlp).collect(),
        }
    }
}

impl Attributes {
    fn otlp(&self) -> Result<Vec<KeyValue>> {
        match self {
            Self::Map(map) => key_values(map),
            Self::Pairs(pairs) => {
                pairs.iter().map(|(key, value)| key_value(key.clone(), value)).collect()
            }
        }
    }
}

fn key_values(map: &serde_yaml_ng::Mapping) -> Result<Vec<KeyValue>> {
    map.iter()
        .map(|(key, value)| {
            let key = key.as_str().ok_or_else(|| anyhow!("{key:?} is not a text"))?;
            key_value(key.to_owned(), value)
        })
        .collect()
}

fn key_value(key: String, value: &Yaml) -> Result<KeyValue> {
    let value = Some(any_value(value)?);
    Ok(KeyValue { key, value, ..KeyValue::default() })
}

/// A value: text, number, boolean, list or map as they are; `~` for no value; `{$bytes: hex}` for
/// bytes, and `{$long: n}` for a text of so many bytes.
fn any_value(value: &Yaml) -> Result<AnyValue> {
    let value = match value {
        Yaml::Null => None,
        Yaml::Bool(value) => Some(Value::BoolValue(*value)),
        Yaml::Number(number) => Some(match number.as_i64() {
            Some(value) => Value::IntValue(value),
            None => Value::DoubleValue(number.as_f64().unwrap_or_default()),
        }),
        Yaml::String(text) => Some(Value::StringValue(text.clone())),
        Yaml::Sequence(list) => {
            let values = list.iter().map(any_value).collect::<Result<_>>()?;
            Some(Value::ArrayValue(ArrayValue { values }))
        }
        Yaml::Mapping(map) => Some(match (map.get("$bytes"), map.get("$long")) {
            (Some(hex), _) => {
                let hex = hex.as_str().unwrap_or_default().to_owned();
                Value::BytesValue(Bytes::Hex { hex }.bytes()?)
            }
            (_, Some(length)) => {
                let length = length.as_u64().unwrap_or_default();
                Value::StringValue("x".repeat(usize::try_from(length)?))
            }
            _ => Value::KvlistValue(KeyValueList { values: key_values(map)? }),
        }),
        Yaml::Tagged(tagged) => bail!("{} is no type of OTLP", tagged.tag),
    };
    Ok(AnyValue { value })
}
