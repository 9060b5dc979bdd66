//! The rules on records in a simple implementation: decode everything, check each record, encode again.

use opentelemetry_proto::tonic::{
    collector::{
        logs::v1::ExportLogsServiceRequest, metrics::v1::ExportMetricsServiceRequest,
        trace::v1::ExportTraceServiceRequest,
    },
    common::v1::{AnyValue, KeyValue, any_value::Value},
    metrics::v1::metric::Data,
};
use prost::{DecodeError, Message};
use sluice_config::check;
use sluice_otlp::Signal;
use sluice_records::{Fate, Level, Reason, RecordsConfig, RuleSet, Violation};
use sluice_stores::{BackendTraits, Precedence, Refuses, Spelling};

/// Attributes that a record must have, each with its level.
pub type Rules = [(&'static str, Level)];

/// The same rules, as the gate compiles them.
///
/// # Panics
/// If the rules are not valid.
#[must_use]
pub fn compiled(rules: &Rules, spelling: Spelling) -> RuleSet {
    let level = |level: Level, record: &'static str| match level {
        Level::Resource => "resource",
        Level::Scope => "scope",
        Level::Record | Level::Series => record,
    };
    let require: Vec<_> = rules
        .iter()
        .map(|(attribute, at)| {
            serde_json::json!({
                "attribute": attribute,
                "logs": level(*at, "record"),
                "metrics": level(*at, "datapoint"),
                "traces": level(*at, "span"),
            })
        })
        .collect();
    let config: RecordsConfig = serde_json::from_value(serde_json::json!({ "require": require }))
        .expect("the section has the right shape");
    let backend = BackendTraits {
        name: "the backend",
        spelling,
        precedence: Precedence::None,
        refuses: Refuses::default(),
        labels: None,
    };
    let backend = |_| Some(backend.clone());
    check("records", |place| config.compile(place, false, backend)).expect("the rules are rules")
}

/// What remains of a request.
#[derive(Clone, Debug, Default)]
pub struct Filtered {
    /// The request without the records that broke a rule, and without the parents that became empty.
    pub message: Vec<u8>,
    /// The number of kept records.
    pub kept: u64,
    /// The number of dropped records, by the first rule that each broke.
    pub dropped: Vec<Violation>,
}

/// Filters an export request of `signal`.
///
/// # Errors
/// If it cannot be decoded.
pub fn filter(
    signal: Signal,
    message: &[u8],
    rules: &Rules,
    spelling: Spelling,
) -> Result<Filtered, DecodeError> {
    let mut filter = Filter { signal, rules, spelling, kept: 0, dropped: Vec::new() };
    let message = match signal {
        Signal::Logs => filter.logs(ExportLogsServiceRequest::decode(message)?),
        Signal::Metrics => filter.metrics(ExportMetricsServiceRequest::decode(message)?),
        Signal::Profiles => unreachable!("profiles have no plain way"),
        Signal::Traces => filter.traces(ExportTraceServiceRequest::decode(message)?),
    };
    Ok(Filtered { message, kept: filter.kept, dropped: filter.dropped })
}

/// Decodes an export request of `signal` and encodes it again, as a backend would read it.
///
/// # Errors
/// If it cannot be decoded.
pub fn normal(signal: Signal, message: &[u8]) -> Result<Vec<u8>, DecodeError> {
    Ok(match signal {
        Signal::Logs => ExportLogsServiceRequest::decode(message)?.encode_to_vec(),
        Signal::Metrics => ExportMetricsServiceRequest::decode(message)?.encode_to_vec(),
        Signal::Profiles => unreachable!("profiles have no plain way"),
        Signal::Traces => ExportTraceServiceRequest::decode(message)?.encode_to_vec(),
    })
}

/// Returns whether a metric has no data after decoding. Data of a kind that OTLP does not have is lost in decoding,
/// while the gate counts it.
#[must_use]
pub fn may_hide_data(message: &[u8]) -> bool {
    let Ok(request) = ExportMetricsServiceRequest::decode(message) else { return false };
    let mut metrics = request
        .resource_metrics
        .iter()
        .flat_map(|resource| &resource.scope_metrics)
        .flat_map(|scope| &scope.metrics);
    metrics.any(|metric| metric.data.is_none())
}

struct Filter<'r> {
    signal: Signal,
    rules: &'r Rules,
    spelling: Spelling,
    kept: u64,
    dropped: Vec<Violation>,
}

/// The attributes of a parent that may be missing.
macro_rules! attributes {
    ($parent:expr) => {
        $parent.as_ref().map(|parent| parent.attributes.as_slice()).unwrap_or_default()
    };
}

impl Filter<'_> {
    fn logs(&mut self, mut request: ExportLogsServiceRequest) -> Vec<u8> {
        self.parents(&mut request.resource_logs, |filter, entry| {
            let resource = attributes!(entry.resource);
            filter.parents(&mut entry.scope_logs, |filter, entry| {
                let scope = attributes!(entry.scope);
                entry.log_records.retain(|log| filter.keeps([resource, scope, &log.attributes]));
            });
        });
        request.encode_to_vec()
    }

    fn traces(&mut self, mut request: ExportTraceServiceRequest) -> Vec<u8> {
        self.parents(&mut request.resource_spans, |filter, entry| {
            let resource = attributes!(entry.resource);
            filter.parents(&mut entry.scope_spans, |filter, entry| {
                let scope = attributes!(entry.scope);
                entry.spans.retain(|span| filter.keeps([resource, scope, &span.attributes]));
            });
        });
        request.encode_to_vec()
    }

    fn metrics(&mut self, mut request: ExportMetricsServiceRequest) -> Vec<u8> {
        self.parents(&mut request.resource_metrics, |filter, entry| {
            let resource = attributes!(entry.resource);
            filter.parents(&mut entry.scope_metrics, |filter, entry| {
                let scope = attributes!(entry.scope);
                filter.parents(&mut entry.metrics, |filter, metric| {
                    macro_rules! points {
                        ($data:expr) => {
                            $data
                                .data_points
                                .retain(|point| filter.keeps([resource, scope, &point.attributes]))
                        };
                    }
                    match &mut metric.data {
                        None => {}
                        Some(Data::ExponentialHistogram(data)) => points!(data),
                        Some(Data::Gauge(data)) => points!(data),
                        Some(Data::Histogram(data)) => points!(data),
                        Some(Data::Sum(data)) => points!(data),
                        Some(Data::Summary(data)) => points!(data),
                    }
                });
            });
        });
        request.encode_to_vec()
    }

    /// Filters the records in each parent. A parent that loses its last record is removed. A parent that was already
    /// empty stays.
    fn parents<T>(&mut self, parents: &mut Vec<T>, mut filter: impl FnMut(&mut Self, &mut T)) {
        parents.retain_mut(|parent| {
            let (kept, dropped) = (self.kept, self.dropped_records());
            filter(self, parent);
            self.kept > kept || self.dropped_records() == dropped
        });
    }

    fn dropped_records(&self) -> u64 {
        self.dropped.iter().map(|violation| violation.records).sum()
    }

    /// Returns whether a record stays, by the attributes of its resource, its scope and its own.
    fn keeps(&mut self, [resource, scope, record]: [&[KeyValue]; 3]) -> bool {
        let levels = [(Level::Resource, resource), (Level::Scope, scope), (Level::Record, record)];
        let broken = levels.iter().find_map(|(level, attributes)| {
            let mut rules = self.rules.iter().filter(|(_, at)| at == level);
            rules.find_map(|(name, _)| {
                let reason = broken(attributes, name, self.spelling)?;
                Some((*name, *level, reason))
            })
        });
        let Some((attribute, level, reason)) = broken else {
            self.kept += 1;
            return true;
        };
        let same = |violation: &&mut Violation| {
            (violation.attribute.as_deref(), violation.level, violation.reason)
                == (Some(attribute), level, reason)
        };
        match self.dropped.iter_mut().find(same) {
            Some(violation) => violation.records += 1,
            None => {
                // Scopes are not read unless a rule looks at them.
                let reads_scopes = self.rules.iter().any(|(_, level)| *level == Level::Scope);
                let above = match level {
                    Level::Record if reads_scopes => {
                        &[(Level::Scope, scope), (Level::Resource, resource)][..]
                    }
                    Level::Record | Level::Scope => &[(Level::Resource, resource)],
                    Level::Resource | Level::Series => &[],
                };
                let is_missing = reason == Reason::Missing;
                let found = above.iter().find(|(_, attributes)| {
                    is_missing && !named(attributes, attribute, self.spelling).is_empty()
                });
                let detail = found.map(|(found, _)| {
                    let (found, looks) = (found.owner(self.signal), level.owner(self.signal));
                    format!("is missing (it is on the {found}, but required on each {looks})")
                });
                let attribute = Some(attribute.to_owned());
                let (fate, records) = (Fate::Dropped, 1);
                self.dropped.push(Violation { attribute, level, reason, fate, detail, records });
            }
        }
        false
    }
}

/// The attributes that a backend reads as `name`.
fn named<'a>(attributes: &'a [KeyValue], name: &str, spelling: Spelling) -> Vec<&'a KeyValue> {
    let label = |key: &str| match spelling {
        Spelling::Exact => key.to_owned(),
        Spelling::Folded | Spelling::Flattened => {
            let mut label = key.replace(|c: char| !c.is_ascii_alphanumeric(), "_");
            while label.contains("__") {
                label = label.replace("__", "_");
            }
            label
        }
    };
    attributes.iter().filter(|a| label(&a.key) == label(name)).collect()
}

/// How a list of attributes breaks the rule that requires an attribute `name`.
fn broken(attributes: &[KeyValue], name: &str, spelling: Spelling) -> Option<Reason> {
    match named(attributes, name, spelling)[..] {
        [] => Some(Reason::Missing),
        [only] if only.key != name => Some(Reason::Missing),
        [only] => is_empty(only.value.as_ref()).then_some(Reason::Empty),
        _ => Some(Reason::Ambiguous),
    }
}

fn is_empty(value: Option<&AnyValue>) -> bool {
    match value.and_then(|value| value.value.as_ref()) {
        None | Some(Value::StringValueStrindex(_)) => true,
        Some(Value::ArrayValue(list)) => list.values.is_empty(),
        Some(Value::BytesValue(bytes)) => bytes.is_empty(),
        Some(Value::KvlistValue(list)) => list.values.is_empty(),
        Some(Value::StringValue(text)) => text.is_empty(),
        Some(Value::BoolValue(_) | Value::DoubleValue(_) | Value::IntValue(_)) => false,
    }
}
