//! What the backends stored, and which answers tests have queued.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, Version};
use opentelemetry_proto::tonic::{
    common::v1::{InstrumentationScope, KeyValue},
    logs::v1::LogRecord,
    metrics::v1::Metric,
    profiles::v1development::Profile,
    resource::v1::Resource,
    trace::v1::Span,
};
use sluice_prompb::TimeSeries;

use crate::{
    Backend,
    answer::Reaction,
    loki, otlp,
    push::{Body, Push, Verdict},
    value,
};

/// One log record, metric data point or span, with its resource and scope.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// Its resource; the default one if the request had none.
    pub resource: Arc<Resource>,
    /// Its scope; the default one if the request had none.
    pub scope: Arc<InstrumentationScope>,
    /// The record itself.
    pub telemetry: Telemetry,
}

/// What a [`Record`] is.
#[derive(Clone, Debug, PartialEq)]
pub enum Telemetry {
    /// A log record.
    Log(LogRecord),
    /// A metric with exactly one data point.
    DataPoint(Metric),
    /// A span.
    Span(Span),
    /// A profile.
    Profile {
        /// The profile as it was sent.
        profile: Profile,
        /// The sample type from the dictionary; empty without samples.
        sample_type: String,
    },
    /// A series of remote write, with its samples.
    Series(TimeSeries),
}

impl Record {
    /// The log's body as text, the metric's name, the span's name, the profile's sample type or the series'
    /// `__name__`.
    pub fn name(&self) -> String {
        match &self.telemetry {
            Telemetry::Log(log) => log.body.as_ref().map(value::text).unwrap_or_default(),
            Telemetry::DataPoint(metric) => metric.name.clone(),
            Telemetry::Span(span) => span.name.clone(),
            Telemetry::Profile { sample_type, .. } => sample_type.clone(),
            Telemetry::Series(series) => series.label("__name__").unwrap_or_default().to_owned(),
        }
    }

    /// The attributes of the log record, data point or span. Empty for profiles, which only refer to their attributes,
    /// and for series, which have labels.
    pub fn attributes(&self) -> &[KeyValue] {
        match &self.telemetry {
            Telemetry::Log(log) => &log.attributes,
            Telemetry::DataPoint(metric) => otlp::first_point_attributes(metric),
            Telemetry::Span(span) => &span.attributes,
            Telemetry::Profile { .. } | Telemetry::Series(_) => &[],
        }
    }

    /// The first label of this name, of a series.
    pub fn label(&self, name: &str) -> Option<&str> {
        match &self.telemetry {
            Telemetry::Series(series) => series.label(name),
            _ => None,
        }
    }

    /// The first value of an attribute of the record itself, as text.
    pub fn attribute(&self, key: &str) -> Option<String> {
        first(self.attributes(), key)
    }

    /// The first value of a resource attribute, as text.
    pub fn resource_attribute(&self, key: &str) -> Option<String> {
        first(&self.resource.attributes, key)
    }

    /// The first value of a scope attribute, as text.
    pub fn scope_attribute(&self, key: &str) -> Option<String> {
        first(&self.scope.attributes, key)
    }

    /// The labels of the Loki stream of a log record; empty for all other records.
    pub fn stream_labels(&self) -> BTreeMap<String, String> {
        match &self.telemetry {
            Telemetry::Log(_) => loki::labels::stream(&self.resource),
            Telemetry::DataPoint(_)
            | Telemetry::Span(_)
            | Telemetry::Profile { .. }
            | Telemetry::Series(_) => BTreeMap::new(),
        }
    }

    /// The structured metadata of a log record in Loki: every attribute under its folded name, and if names collide,
    /// the attribute that Loki keeps. Empty for all other records.
    pub fn structured_metadata(&self) -> BTreeMap<String, String> {
        match &self.telemetry {
            Telemetry::Log(log) => {
                loki::labels::structured_metadata(&self.resource, &self.scope, log)
                    .into_iter()
                    .collect()
            }
            Telemetry::DataPoint(_)
            | Telemetry::Span(_)
            | Telemetry::Profile { .. }
            | Telemetry::Series(_) => BTreeMap::new(),
        }
    }
}

fn first(attributes: &[KeyValue], key: &str) -> Option<String> {
    let found = attributes.iter().find(|attribute| attribute.key == key)?;
    Some(found.value.as_ref().map(value::text).unwrap_or_default())
}

/// A request as a backend received it, whatever the answer was.
#[derive(Clone, Debug)]
pub struct Request {
    /// The number of the request among those of all backends, from 1.
    pub number: u64,
    /// The request's method.
    pub method: Method,
    /// Its path, with the query if it had one.
    pub path: String,
    /// HTTP/1.0, HTTP/1.1 or HTTP/2.
    pub version: Version,
    /// Its headers, including repeated ones. Names are in lower case.
    pub headers: HeaderMap,
    /// The body byte for byte as it was sent, compressed or not; `None` if it was above the backend's limit.
    pub body: Option<Bytes>,
    /// The decompressed body; `None` if the backend did not decompress it.
    pub decoded: Option<Bytes>,
    /// The tenant that the backend read from the request; `None` if it did not read one.
    pub tenant: Option<String>,
    /// The status of the answer; `None` if there is none yet (delayed, hung, closed).
    pub status: Option<StatusCode>,
}

impl Request {
    /// All values of a header; bytes that are not UTF-8 are replaced.
    pub fn header_values(&self, name: &str) -> Vec<String> {
        self.headers
            .get_all(name)
            .iter()
            .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
            .collect()
    }
}

/// What the backends stored, for tests in the same process. Clones share their contents.
#[derive(Clone, Debug, Default)]
pub struct Store {
    shelves: Arc<Mutex<Shelves>>,
}

#[derive(Debug, Default)]
struct Shelves {
    requests_seen: u64,
    streams: loki::Streams,
    loki: Shelf,
    mimir: Shelf,
    tempo: Shelf,
    pyroscope: Shelf,
}

#[derive(Debug, Default)]
struct Shelf {
    tenants: BTreeMap<String, Vec<Record>>,
    requests: Vec<Request>,
    /// `None` means the backend's normal work.
    reactions: VecDeque<Option<Reaction>>,
    /// The reaction to each request for which none is queued.
    standing: Option<Reaction>,
}

impl Shelves {
    fn of(&mut self, backend: Backend) -> &mut Shelf {
        match backend {
            Backend::Loki => &mut self.loki,
            Backend::Mimir => &mut self.mimir,
            Backend::Tempo => &mut self.tempo,
            Backend::Pyroscope => &mut self.pyroscope,
        }
    }
}

impl Store {
    /// The number of records of each tenant; tenants without records are not listed.
    pub fn tenants(&self, backend: Backend) -> BTreeMap<String, usize> {
        self.lock()
            .of(backend)
            .tenants
            .iter()
            .map(|(tenant, records)| (tenant.clone(), records.len()))
            .collect()
    }

    /// A tenant's records in the order of arrival; empty for a tenant without records.
    pub fn records(&self, backend: Backend, tenant: &str) -> Vec<Record> {
        let mut shelves = self.lock();
        let records = shelves.of(backend).tenants.get(tenant);
        records.cloned().unwrap_or_default()
    }

    /// A tenant's log records in Loki.
    pub fn logs(&self, tenant: &str) -> Vec<Record> {
        self.records(Backend::Loki, tenant)
    }

    /// A tenant's data points in Mimir.
    pub fn data_points(&self, tenant: &str) -> Vec<Record> {
        self.records(Backend::Mimir, tenant)
    }

    /// A tenant's spans in Tempo.
    pub fn spans(&self, tenant: &str) -> Vec<Record> {
        self.records(Backend::Tempo, tenant)
    }

    /// A tenant's profiles in Pyroscope.
    pub fn profiles(&self, tenant: &str) -> Vec<Record> {
        self.records(Backend::Pyroscope, tenant)
    }

    /// Every request that a backend received, oldest first, except those under `/standin/`.
    pub fn requests(&self, backend: Backend) -> Vec<Request> {
        self.lock().of(backend).requests.clone()
    }

    /// Queues what a backend does with the next request instead of its normal work. Each reaction is used once, in the
    /// order of the queue.
    pub fn answer_next(&self, backend: Backend, reaction: impl Into<Reaction>) {
        self.lock().of(backend).reactions.push_back(Some(reaction.into()));
    }

    /// Queues the backend's normal work for one request, among the reactions that [`Store::answer_next`] queues.
    pub fn answer_next_as_usual(&self, backend: Backend) {
        self.lock().of(backend).reactions.push_back(None);
    }

    /// Makes a backend do this with every request, once its queue is empty, until [`Store::answer_as_usual`] or a
    /// clear.
    pub fn answer_always(&self, backend: Backend, reaction: impl Into<Reaction>) {
        self.lock().of(backend).standing = Some(reaction.into());
    }

    /// Ends [`Store::answer_always`]; queued reactions stay.
    pub fn answer_as_usual(&self, backend: Backend) {
        self.lock().of(backend).standing = None;
    }

    /// Deletes the records and requests of all backends, and all queued reactions.
    pub fn clear(&self) {
        for backend in Backend::ALL {
            self.clear_backend(backend);
        }
    }

    /// Deletes the records and requests of one backend, and its queued reactions.
    pub fn clear_backend(&self, backend: Backend) {
        let mut shelves = self.lock();
        *shelves.of(backend) = Shelf::default();
        if backend == Backend::Loki {
            shelves.streams = loki::Streams::default();
        }
    }

    pub(crate) fn next_reaction(&self, backend: Backend) -> Option<Reaction> {
        let mut shelves = self.lock();
        let shelf = shelves.of(backend);
        shelf.reactions.pop_front().unwrap_or_else(|| shelf.standing.clone())
    }

    /// Runs `work` on Loki's streams with exclusive access.
    pub(crate) fn with_streams<T>(&self, work: impl FnOnce(&mut loki::Streams) -> T) -> T {
        work(&mut self.lock().streams)
    }

    /// Stores a push, its records and the status of its answer (`None`: no answer), in one step.
    pub(crate) fn settle(
        &self,
        backend: Backend,
        push: Push,
        verdict: Verdict,
        status: Option<StatusCode>,
    ) {
        let mut shelves = self.lock();
        let mut request = shelves.arrived(push);
        request.status = status;
        request.decoded = verdict.decoded;
        request.tenant = verdict.tenant;
        let shelf = shelves.of(backend);
        if let Some(tenant) = &request.tenant
            && !verdict.taken.is_empty()
        {
            let records = shelf.tenants.entry(tenant.clone()).or_default();
            records.extend(verdict.taken);
        }
        shelf.requests.push(request);
    }

    /// Stores a push that has no answer yet, and returns its number.
    pub(crate) fn await_answer(&self, backend: Backend, push: Push) -> u64 {
        let mut shelves = self.lock();
        let request = shelves.arrived(push);
        let number = request.number;
        shelves.of(backend).requests.push(request);
        number
    }

    /// Records the status of the answer to a push.
    pub(crate) fn answered(&self, backend: Backend, number: u64, status: StatusCode) {
        let mut shelves = self.lock();
        let requests = &mut shelves.of(backend).requests;
        if let Some(request) = requests.iter_mut().find(|one| one.number == number) {
            request.status = Some(status);
        }
    }

    /// A panic in another thread leaves the data consistent, because every change is one push or one clear.
    fn lock(&self) -> MutexGuard<'_, Shelves> {
        self.shelves.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shelves {
    fn arrived(&mut self, push: Push) -> Request {
        self.requests_seen += 1;
        Request {
            number: self.requests_seen,
            method: push.method,
            path: push
                .uri
                .path_and_query()
                .map(|path| path.as_str().to_owned())
                .unwrap_or_default(),
            version: push.version,
            headers: push.headers,
            body: match push.body {
                Body::Whole(body) => Some(body),
                Body::TooLarge => None,
            },
            decoded: None,
            tenant: None,
            status: None,
        }
    }
}
