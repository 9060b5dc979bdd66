//! What the messages of OTLP between a request and its records are called: by number in protobuf, by name in JSON.

use crate::{metric::MetricKind, signal::Signal};

/// A field of a message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FieldName {
    /// Its number in protobuf.
    pub(crate) number: u32,
    /// Its name in JSON.
    pub(crate) json: &'static str,
}

const fn field(number: u32, json: &'static str) -> FieldName {
    FieldName { number, json }
}

/// A level between a request and its records. The request itself has one list of entries of the first level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    Resource,
    Scope,
}

/// An entry of a level (`ResourceLogs`, `ScopeLogs` and their siblings).
#[derive(Debug)]
pub(crate) struct Entry {
    /// What has the attributes: the resource or the scope.
    pub(crate) owner: FieldName,
    /// Its attributes.
    pub(crate) attributes: FieldName,
    /// The entries of the next level, or the records; for metrics, these are in the metrics.
    pub(crate) children: FieldName,
    /// Fields of a resource's entry that the OpenTelemetry Collector, and software built on it, reads in place of the
    /// children if there are none. The first is reserved in protobuf, the second exists only in JSON.
    pub(crate) deprecated: [FieldName; 2],
}

/// A signal's messages.
#[derive(Debug)]
pub(crate) struct Levels {
    /// The field of the request that holds the entries of its resources.
    pub(crate) entries: FieldName,
    resource: Entry,
    scope: Entry,
}

/// The messages with these names in JSON: the entries of resources, those of scopes, what scopes hold, and the names of
/// scopes' entries that are deprecated.
const fn levels(entries: &'static str, scope: [&'static str; 3], records: &'static str) -> Levels {
    let [scopes, older, oldest] = scope;
    let (owner, children) = (field(1, "scope"), field(2, records));
    let deprecated = [field(1000, older), field(0, oldest)];
    Levels {
        entries: field(1, entries),
        resource: Entry {
            owner: field(1, "resource"),
            attributes: field(1, "attributes"),
            children: field(2, scopes),
            deprecated,
        },
        scope: Entry { owner, attributes: field(3, "attributes"), children, deprecated },
    }
}

static LOGS: Levels = levels(
    "resourceLogs",
    ["scopeLogs", "deprecatedScopeLogs", "instrumentationLibraryLogs"],
    "logRecords",
);
static METRICS: Levels = levels(
    "resourceMetrics",
    ["scopeMetrics", "deprecatedScopeMetrics", "instrumentationLibraryMetrics"],
    "metrics",
);
static PROFILES: Levels = levels(
    "resourceProfiles",
    ["scopeProfiles", "deprecatedScopeProfiles", "instrumentationLibraryProfiles"],
    "profiles",
);
static TRACES: Levels = levels(
    "resourceSpans",
    ["scopeSpans", "deprecatedScopeSpans", "instrumentationLibrarySpans"],
    "spans",
);

impl Levels {
    pub(crate) const fn of(signal: Signal) -> &'static Self {
        match signal {
            Signal::Logs => &LOGS,
            Signal::Metrics => &METRICS,
            Signal::Profiles => &PROFILES,
            Signal::Traces => &TRACES,
        }
    }

    pub(crate) const fn entry(&self, level: Level) -> &Entry {
        match level {
            Level::Resource => &self.resource,
            Level::Scope => &self.scope,
        }
    }
}

/// `Metric.name`.
pub(crate) const METRIC_NAME: FieldName = field(1, "name");
/// The members of `Metric.data`.
pub(crate) const METRIC_DATA: [(FieldName, MetricKind); 5] = [
    (field(5, "gauge"), MetricKind::Gauge),
    (field(7, "sum"), MetricKind::Sum),
    (field(9, "histogram"), MetricKind::Histogram),
    (field(10, "exponentialHistogram"), MetricKind::ExponentialHistogram),
    (field(11, "summary"), MetricKind::Summary),
];
/// The data points in each of them.
pub(crate) const DATA_POINTS: FieldName = field(1, "dataPoints");
/// The temporality in those that have one.
pub(crate) const TEMPORALITY: FieldName = field(2, "aggregationTemporality");
