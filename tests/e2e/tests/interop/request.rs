//! Export requests as messages, and a simple way to remove the records that lack an attribute. The gate's own way is
//! compared with it.

use std::fmt::Debug;

use opentelemetry_proto::tonic::{
    collector::{
        logs::v1::ExportLogsServiceRequest, metrics::v1::ExportMetricsServiceRequest,
        profiles::v1development::ExportProfilesServiceRequest,
        trace::v1::ExportTraceServiceRequest,
    },
    common::v1::{AnyValue, KeyValue, any_value::Value},
    logs::v1::{LogRecord, ResourceLogs, ScopeLogs},
    metrics::v1::{
        Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, metric::Data,
        number_data_point,
    },
    resource::v1::Resource,
    trace::v1::{ResourceSpans, ScopeSpans, Span},
};
use prost::Message;
use sluice_otlp::Signal;

use crate::batches::now;

/// The attribute that the platform requires.
const NAME: &str = "source.name";

/// An export request of one of the signals.
#[derive(Clone, PartialEq)]
pub(crate) enum Request {
    Logs(ExportLogsServiceRequest),
    Metrics(ExportMetricsServiceRequest),
    Profiles(ExportProfilesServiceRequest),
    Traces(ExportTraceServiceRequest),
}

impl Request {
    pub(crate) fn from_protobuf(signal: Signal, body: &[u8]) -> Self {
        fn decoded<M: Message + Default>(body: &[u8]) -> M {
            M::decode(body).unwrap_or_else(|error| panic!("no OTLP in protobuf: {error}"))
        }
        match signal {
            Signal::Logs => Self::Logs(decoded(body)),
            Signal::Metrics => Self::Metrics(decoded(body)),
            Signal::Profiles => Self::Profiles(decoded(body)),
            Signal::Traces => Self::Traces(decoded(body)),
        }
    }

    pub(crate) fn from_json(signal: Signal, body: &[u8]) -> Self {
        let read = match signal {
            Signal::Logs => serde_json::from_slice(body).map(Self::Logs),
            Signal::Metrics => serde_json::from_slice(body).map(Self::Metrics),
            Signal::Profiles => sluice_stand_ins::profiles_from_json(body).map(Self::Profiles),
            Signal::Traces => serde_json::from_slice(body).map(Self::Traces),
        };
        read.unwrap_or_else(|error| {
            panic!("no OTLP in JSON: {error}: {}", String::from_utf8_lossy(body))
        })
    }

    /// Records of an SDK's run, as the SDKs' senders make them: `named` with `source.name` and `unnamed` without. Logs
    /// and spans without it have their own resource.
    pub(crate) fn named(signal: Signal, run_id: &str, named: usize, unnamed: usize) -> Self {
        let halves = [(true, named), (false, unnamed)].into_iter().filter(|(_, count)| *count > 0);
        let resource = |is_named| {
            Some(Resource { attributes: attributes(run_id, is_named), ..Resource::default() })
        };
        match signal {
            Signal::Logs => {
                let logs = halves.map(|(is_named, count)| ResourceLogs {
                    resource: resource(is_named),
                    scope_logs: vec![ScopeLogs {
                        log_records: (0..count)
                            .map(|number| log(format!("log {number}")))
                            .collect(),
                        ..ScopeLogs::default()
                    }],
                    ..ResourceLogs::default()
                });
                Self::Logs(ExportLogsServiceRequest { resource_logs: logs.collect() })
            }
            Signal::Metrics => {
                let points = (0..named + unnamed).map(|number| point(number, number < named));
                let gauge = Gauge { data_points: points.collect() };
                let metric = Metric {
                    name: "e2e.gauge".to_owned(),
                    data: Some(Data::Gauge(gauge)),
                    ..Metric::default()
                };
                let of_resource = ResourceMetrics {
                    resource: resource(false),
                    scope_metrics: vec![ScopeMetrics {
                        metrics: vec![metric],
                        ..ScopeMetrics::default()
                    }],
                    ..ResourceMetrics::default()
                };
                Self::Metrics(ExportMetricsServiceRequest { resource_metrics: vec![of_resource] })
            }
            Signal::Traces => {
                let spans = halves.map(|(is_named, count)| ResourceSpans {
                    resource: resource(is_named),
                    scope_spans: vec![ScopeSpans {
                        spans: (0..count).map(|number| span(number, is_named)).collect(),
                        ..ScopeSpans::default()
                    }],
                    ..ResourceSpans::default()
                });
                Self::Traces(ExportTraceServiceRequest { resource_spans: spans.collect() })
            }
            Signal::Profiles => panic!("the SDKs send none"),
        }
    }

    pub(crate) fn to_protobuf(&self) -> Vec<u8> {
        match self {
            Self::Logs(all) => all.encode_to_vec(),
            Self::Metrics(all) => all.encode_to_vec(),
            Self::Profiles(all) => all.encode_to_vec(),
            Self::Traces(all) => all.encode_to_vec(),
        }
    }

    /// What remains of it under the platform's rule: `source.name` on the resource, for metrics on the data point.
    /// Empty parents are removed too.
    pub(crate) fn named_only(mut self) -> Self {
        match &mut self {
            Self::Logs(all) => all.resource_logs.retain(|of| resource_is_named(&of.resource)),
            Self::Profiles(all) => {
                let strings = all.dictionary.as_ref().map(|all| all.string_table.as_slice());
                let strings = strings.unwrap_or_default();
                all.resource_profiles.retain(|of| {
                    let attributes = of.resource.iter().flat_map(|resource| &resource.attributes);
                    attributes.map(|one| key_of(one, strings)).any(|key| key == NAME)
                });
            }
            Self::Traces(all) => all.resource_spans.retain(|of| resource_is_named(&of.resource)),
            Self::Metrics(all) => {
                for scoped in all.resource_metrics.iter_mut().flat_map(|of| &mut of.scope_metrics) {
                    scoped.metrics.retain_mut(|metric| retain_named_points(&mut metric.data) > 0);
                }
                for resource in &mut all.resource_metrics {
                    resource.scope_metrics.retain(|scoped| !scoped.metrics.is_empty());
                }
                all.resource_metrics.retain(|resource| !resource.scope_metrics.is_empty());
            }
        }
        self
    }

    /// The number of log records, data points, profiles or spans in it.
    pub(crate) fn records(&self) -> usize {
        match self {
            Self::Logs(all) => {
                let scopes = all.resource_logs.iter().flat_map(|of| &of.scope_logs);
                scopes.map(|scope| scope.log_records.len()).sum()
            }
            Self::Profiles(all) => {
                let scopes = all.resource_profiles.iter().flat_map(|of| &of.scope_profiles);
                scopes.map(|scope| scope.profiles.len()).sum()
            }
            Self::Traces(all) => {
                let scopes = all.resource_spans.iter().flat_map(|of| &of.scope_spans);
                scopes.map(|scope| scope.spans.len()).sum()
            }
            Self::Metrics(all) => {
                let scopes = all.resource_metrics.iter().flat_map(|of| &of.scope_metrics);
                scopes.flat_map(|scope| &scope.metrics).map(|metric| points(&metric.data)).sum()
            }
        }
    }

    /// A key for each record: its time, in ns since 1970. The collector gives every record a different one.
    pub(crate) fn times(&self) -> Vec<u64> {
        match self {
            Self::Logs(all) => {
                let scopes = all.resource_logs.iter().flat_map(|of| &of.scope_logs);
                scopes.flat_map(|scope| &scope.log_records).map(|log| log.time_unix_nano).collect()
            }
            Self::Profiles(all) => {
                let scopes = all.resource_profiles.iter().flat_map(|of| &of.scope_profiles);
                scopes.flat_map(|scope| &scope.profiles).map(|one| one.time_unix_nano).collect()
            }
            Self::Traces(all) => {
                let scopes = all.resource_spans.iter().flat_map(|of| &of.scope_spans);
                scopes
                    .flat_map(|scope| &scope.spans)
                    .map(|span| span.start_time_unix_nano)
                    .collect()
            }
            Self::Metrics(all) => {
                let scopes = all.resource_metrics.iter().flat_map(|of| &of.scope_metrics);
                let metrics = scopes.flat_map(|scope| &scope.metrics);
                metrics.flat_map(|metric| point_times(&metric.data)).collect()
            }
        }
    }

    /// The content of the records under the resources with this `run.id`, as the SDKs' senders set it: the logs'
    /// bodies, the numbers of the data points, the spans' names.
    pub(crate) fn names(&self, run_id: &str) -> Vec<String> {
        let of_run = |resource: &Option<Resource>| {
            let attributes = resource.iter().flat_map(|resource| &resource.attributes);
            text_of(attributes, "run.id").is_some_and(|found| found == run_id)
        };
        match self {
            Self::Logs(all) => {
                let of_run = all.resource_logs.iter().filter(|of| of_run(&of.resource));
                let logs =
                    of_run.flat_map(|of| &of.scope_logs).flat_map(|scope| &scope.log_records);
                let bodies = logs.filter_map(|log| log.body.as_ref());
                bodies.map(sluice_stand_ins::value_text).collect()
            }
            Self::Metrics(all) => {
                let of_run = all.resource_metrics.iter().filter(|of| of_run(&of.resource));
                let metrics =
                    of_run.flat_map(|of| &of.scope_metrics).flat_map(|scope| &scope.metrics);
                let gauges = metrics.filter_map(|metric| match &metric.data {
                    Some(Data::Gauge(gauge)) => Some(gauge),
                    _ => None,
                });
                let points = gauges.flat_map(|gauge| &gauge.data_points);
                points.filter_map(|point| text_of(&point.attributes, "point")).collect()
            }
            Self::Traces(all) => {
                let of_run = all.resource_spans.iter().filter(|of| of_run(&of.resource));
                let spans = of_run.flat_map(|of| &of.scope_spans).flat_map(|scope| &scope.spans);
                spans.map(|span| span.name.clone()).collect()
            }
            Self::Profiles(_) => panic!("the SDKs send none"),
        }
    }

    /// Asserts that the two have the same meaning, resource by resource, because whole requests would be too long to
    /// read.
    pub(crate) fn assert_same(&self, expected: &Self) {
        match (self, expected) {
            (Self::Logs(found), Self::Logs(expected)) => {
                assert_each(&found.resource_logs, &expected.resource_logs);
            }
            (Self::Metrics(found), Self::Metrics(expected)) => {
                assert_each(&found.resource_metrics, &expected.resource_metrics);
            }
            (Self::Profiles(found), Self::Profiles(expected)) => {
                let [found, expected] = [found, expected].map(written_out);
                assert_each(&found.resource_profiles, &expected.resource_profiles);
                assert!(
                    found.dictionary == expected.dictionary,
                    "the dictionary is not what it was"
                );
            }
            (Self::Traces(found), Self::Traces(expected)) => {
                assert_each(&found.resource_spans, &expected.resource_spans);
            }
            _ => panic!("the two are of different signals"),
        }
    }
}

fn assert_each<T: Debug + PartialEq>(found: &[T], expected: &[T]) {
    for (index, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert!(
            found == expected,
            "resource {index} is not what it was: {found:#?}\ninstead of {expected:#?}"
        );
    }
    assert_eq!(found.len(), expected.len(), "resources");
}

/// Replaces each reference to a text by the text, as in JSON.
fn written_out(request: &ExportProfilesServiceRequest) -> ExportProfilesServiceRequest {
    let json = serde_json::to_vec(request).expect("a request can be written");
    sluice_stand_ins::profiles_from_json(&json).expect("what was written can be read")
}

/// The collector writes the keys of profiles as references.
fn key_of<'a>(attribute: &'a KeyValue, strings: &'a [String]) -> &'a str {
    match usize::try_from(attribute.key_strindex).expect("an index") {
        0 => &attribute.key,
        index => &strings[index],
    }
}

/// The first value of a key, as text.
fn text_of<'a>(attributes: impl IntoIterator<Item = &'a KeyValue>, key: &str) -> Option<String> {
    let found = attributes.into_iter().find(|one| one.key == key)?;
    found.value.as_ref().map(sluice_stand_ins::value_text)
}

fn attributes(run_id: &str, is_named: bool) -> Vec<KeyValue> {
    let mut attributes = vec![attribute("service.name", "e2e"), attribute("run.id", run_id)];
    attributes.extend(is_named.then(|| attribute(NAME, "rotel")));
    attributes
}

fn attribute(key: &str, value: &str) -> KeyValue {
    let value = AnyValue { value: Some(Value::StringValue(value.to_owned())) };
    KeyValue { key: key.to_owned(), value: Some(value), ..KeyValue::default() }
}

fn log(body: String) -> LogRecord {
    let body = Some(AnyValue { value: Some(Value::StringValue(body)) });
    LogRecord { time_unix_nano: now(), body, ..LogRecord::default() }
}

fn point(number: usize, is_named: bool) -> NumberDataPoint {
    let mut attributes = vec![attribute("point", &number.to_string())];
    attributes.extend(is_named.then(|| attribute(NAME, "rotel")));
    let value = Some(number_data_point::Value::AsInt(1));
    NumberDataPoint { attributes, time_unix_nano: now(), value, ..NumberDataPoint::default() }
}

fn span(number: usize, is_named: bool) -> Span {
    let id = u8::try_from(number + 1).expect("few spans");
    Span {
        trace_id: vec![id; 16],
        span_id: vec![if is_named { id } else { 0x80 | id }; 8],
        name: format!("span {number}"),
        start_time_unix_nano: now(),
        end_time_unix_nano: now(),
        ..Span::default()
    }
}

fn resource_is_named(resource: &Option<Resource>) -> bool {
    resource.as_ref().is_some_and(|resource| is_named(&resource.attributes))
}

fn is_named(attributes: &[KeyValue]) -> bool {
    attributes.iter().any(|attribute| attribute.key == NAME)
}

/// Removes the data points without a name, and returns how many remain.
fn retain_named_points(data: &mut Option<Data>) -> usize {
    match data {
        None => {}
        Some(Data::Gauge(all)) => all.data_points.retain(|point| is_named(&point.attributes)),
        Some(Data::Sum(all)) => all.data_points.retain(|point| is_named(&point.attributes)),
        Some(Data::Histogram(all)) => all.data_points.retain(|point| is_named(&point.attributes)),
        Some(Data::ExponentialHistogram(all)) => {
            all.data_points.retain(|point| is_named(&point.attributes));
        }
        Some(Data::Summary(all)) => all.data_points.retain(|point| is_named(&point.attributes)),
    }
    points(data)
}

fn points(data: &Option<Data>) -> usize {
    match data {
        None => 0,
        Some(Data::Gauge(all)) => all.data_points.len(),
        Some(Data::Sum(all)) => all.data_points.len(),
        Some(Data::Histogram(all)) => all.data_points.len(),
        Some(Data::ExponentialHistogram(all)) => all.data_points.len(),
        Some(Data::Summary(all)) => all.data_points.len(),
    }
}

fn point_times(data: &Option<Data>) -> Vec<u64> {
    match data {
        None => Vec::new(),
        Some(Data::Gauge(all)) => all.data_points.iter().map(|one| one.time_unix_nano).collect(),
        Some(Data::Sum(all)) => all.data_points.iter().map(|one| one.time_unix_nano).collect(),
        Some(Data::Histogram(all)) => {
            all.data_points.iter().map(|one| one.time_unix_nano).collect()
        }
        Some(Data::ExponentialHistogram(all)) => {
            all.data_points.iter().map(|one| one.time_unix_nano).collect()
        }
        Some(Data::Summary(all)) => all.data_points.iter().map(|one| one.time_unix_nano).collect(),
    }
}
