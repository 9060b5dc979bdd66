//! A short notation for telemetry, and its conversion to OTLP.

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
    logs::v1::LogRecord,
    metrics::v1::{
        Exemplar as OtlpExemplar, Metric as OtlpMetric, exemplar::Value as ExemplarValue,
    },
    profiles::v1development::{Profile, ProfilesDictionary},
    resource::v1::Resource,
    trace::v1::{Span as OtlpSpan, span::Link as OtlpLink},
};
use prost::Message;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use serde_yaml_ng::Value as Yaml;
use sluice_otlp::{Format, Signal};
use sluice_telemetry::{
    attributes::{Attributed, each},
    export::{InScope, json},
    metric::{MetricKind, Point, Points, metric},
};

use crate::case::Bytes;

/// One resource with one scope and its records.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// The attributes of the resource; default: no resource.
    resource: Option<Attributes>,
    /// The attributes of the scope; default: no scope.
    scope: Option<Attributes>,
    /// Log records, profiles, or spans whose ids do not matter.
    #[serde(default)]
    records: Records,
    /// Log records with their ids.
    #[serde(default)]
    logs: Vec<Log>,
    /// Metrics.
    #[serde(default)]
    metrics: Vec<Metric>,
    /// Spans with their ids.
    #[serde(default)]
    spans: Vec<Span>,
    /// The number of empty scopes after the one with the records.
    #[serde(default)]
    empty_scopes: usize,
    /// How many times the entry is repeated.
    #[serde(default = "once")]
    times: usize,
}

const fn once() -> usize {
    1
}

/// Attributes as a map, or as pairs if a key occurs twice or is a reference.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum Attributes {
    Map(serde_yaml_ng::Mapping),
    Pairs(Vec<(Key, Yaml)>),
}

/// The key of an attribute: a text, or `{$strindex: n}` for a reference into the dictionary.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum Key {
    Text(String),
    Reference {
        #[serde(rename = "$strindex")]
        strindex: i32,
    },
}

/// Records: their number, without attributes, or the attributes of each.
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
    /// The name; default: `metric`; `""` for none.
    name: Option<String>,
    kind: Option<MetricKind>,
    #[serde(default)]
    temporality: Temporality,
    /// The scale of every data point of an exponential histogram.
    #[serde(default)]
    scale: i32,
    #[serde(default)]
    points: Records,
    /// The exemplars of every data point.
    #[serde(default)]
    exemplars: Vec<Exemplar>,
}

/// A log record. By default it has no ids.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Log {
    #[serde(default)]
    trace_id: Hex,
    #[serde(default)]
    span_id: Hex,
    attributes: Option<Attributes>,
}

/// An exemplar, with ids as in [`Log`].
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Exemplar {
    #[serde(default)]
    trace_id: Hex,
    #[serde(default)]
    span_id: Hex,
    value: Option<f64>,
}

/// A span. By default its ids are valid; `""` means no id.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Span {
    trace_id: Hex,
    span_id: Hex,
    parent_span_id: Hex,
    links: Vec<Link>,
}

impl Default for Span {
    fn default() -> Self {
        let (trace_id, span_id) = (Hex::of([1; 16]), Hex::of([2; 8]));
        Self { trace_id, span_id, parent_span_id: Hex::default(), links: Vec::new() }
    }
}

/// A span's link, with ids as in [`Span`].
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Link {
    trace_id: Hex,
    span_id: Hex,
}

impl Default for Link {
    fn default() -> Self {
        Self { trace_id: Hex::of([3; 16]), span_id: Hex::of([4; 8]) }
    }
}

/// An id, in hex.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(transparent)]
struct Hex(String);

impl Hex {
    fn of(bytes: impl IntoIterator<Item = u8>) -> Self {
        Self(bytes.into_iter().map(|byte| format!("{byte:02x}")).collect())
    }

    fn bytes(&self) -> Result<Vec<u8>> {
        Bytes::Hex { hex: self.0.clone() }.bytes()
    }
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

/// The content of an export.
#[derive(Clone, Copy, Debug)]
pub struct Export<'a> {
    /// Its signal.
    pub signal: Signal,
    /// Its resources.
    pub entries: &'a [Entry],
    /// The texts of its dictionary, which only profiles have.
    pub strings: &'a [String],
}

impl Export<'_> {
    /// Returns the export request.
    ///
    /// # Errors
    /// If a value has no counterpart in OTLP.
    pub fn encode(&self, format: Format) -> Result<Vec<u8>> {
        Ok(match self.signal {
            Signal::Logs => write(&self.request(Entry::logs)?, format),
            Signal::Metrics => write(&self.request(Entry::metrics)?, format),
            Signal::Profiles => {
                let string_table = self.strings.to_vec();
                let dictionary = Some(ProfilesDictionary { string_table, ..Default::default() });
                let request = self.request(Entry::profiles)?;
                write(&ExportProfilesServiceRequest { dictionary, ..request }, format)
            }
            Signal::Traces => write(&self.request(Entry::spans)?, format),
        })
    }

    /// The request, with what `records` finds in each entry.
    fn request<R: InScope>(&self, records: impl Fn(&Entry) -> Result<Vec<R>>) -> Result<R::Export> {
        let each = self.entries.iter().flat_map(Entry::each);
        let resources = each.map(|entry| entry.with(records(entry)?));
        Ok(R::export(resources.collect::<Result<_>>()?))
    }
}

fn write(request: &(impl Message + Serialize), format: Format) -> Vec<u8> {
    match format {
        Format::Json => json(request),
        Format::Protobuf => request.encode_to_vec(),
    }
}

/// Returns a request as a text that can be compared and read. Two requests that are the same to a backend give the same
/// text.
///
/// # Errors
/// If it is not an export request.
pub fn describe(signal: Signal, format: Format, message: &[u8]) -> Result<String> {
    Ok(match (format, signal) {
        (Format::Json, _) => {
            let mut json = serde_json::from_slice(message)?;
            forget_defaults(&mut json);
            format!("{json:#}")
        }
        (_, Signal::Logs) => format!("{:#?}", ExportLogsServiceRequest::decode(message)?),
        (_, Signal::Metrics) => format!("{:#?}", ExportMetricsServiceRequest::decode(message)?),
        (_, Signal::Profiles) => format!("{:#?}", ExportProfilesServiceRequest::decode(message)?),
        (_, Signal::Traces) => format!("{:#?}", ExportTraceServiceRequest::decode(message)?),
    })
}

/// Removes from JSON what protobuf does not write: fields with their default value. The members of an `AnyValue` stay,
/// because an empty one counts as set.
fn forget_defaults(json: &mut Json) {
    match json {
        Json::Array(list) => list.iter_mut().for_each(forget_defaults),
        Json::Object(fields) => {
            fields.values_mut().for_each(forget_defaults);
            fields.retain(|name, value| match value {
                Json::Null => false,
                _ if name.ends_with("Value") => true,
                Json::Array(list) => !list.is_empty(),
                Json::Bool(value) => *value,
                Json::Number(number) => number.as_f64() != Some(0.0),
                Json::Object(_) => true,
                Json::String(text) => !matches!(text.as_str(), "" | "0"),
            });
        }
        Json::Bool(_) | Json::Null | Json::Number(_) | Json::String(_) => {}
    }
}

impl Entry {
    /// The entry, as many times as it is repeated.
    fn each(&self) -> impl Iterator<Item = &Self> {
        std::iter::repeat_n(self, self.times)
    }

    /// The scope with the records, and the empty ones after it.
    fn scopes<S: Default + Clone>(&self, first: S) -> Vec<S> {
        let mut scopes = vec![S::default(); self.empty_scopes.saturating_add(1)];
        scopes[0] = first;
        scopes
    }

    /// The resource, with these records in its first scope.
    fn with<R: InScope>(&self, records: Vec<R>) -> Result<R::Resource> {
        let resource: Option<Resource> = of(self.resource.as_ref())?;
        let scope: Option<InstrumentationScope> = of(self.scope.as_ref())?;
        Ok(R::resource(resource, self.scopes(R::scope(scope, records, "")), ""))
    }

    fn logs(&self) -> Result<Vec<LogRecord>> {
        let mut records = each(self.records.otlp()?);
        for log in &self.logs {
            records.push(log.otlp()?);
        }
        Ok(records)
    }

    fn profiles(&self) -> Result<Vec<Profile>> {
        Ok(vec![Profile::default(); self.records.otlp()?.len()])
    }

    fn spans(&self) -> Result<Vec<OtlpSpan>> {
        let attributes = self.records.otlp()?.into_iter();
        let good = Span::default();
        let mut spans = attributes
            .map(|attributes| Ok(OtlpSpan { attributes, ..good.otlp()? }))
            .collect::<Result<Vec<_>>>()?;
        for span in &self.spans {
            spans.push(span.otlp()?);
        }
        Ok(spans)
    }

    fn metrics(&self) -> Result<Vec<OtlpMetric>> {
        self.metrics.iter().map(Metric::otlp).collect()
    }
}

/// The message with these attributes, if there are any.
fn of<M: Attributed>(attributes: Option<&Attributes>) -> Result<Option<M>> {
    Ok(attributes.map(Attributes::otlp).transpose()?.map(M::of))
}

impl Span {
    fn otlp(&self) -> Result<OtlpSpan> {
        Ok(OtlpSpan {
            trace_id: self.trace_id.bytes()?,
            span_id: self.span_id.bytes()?,
            parent_span_id: self.parent_span_id.bytes()?,
            links: self.links.iter().map(Link::otlp).collect::<Result<_>>()?,
            ..OtlpSpan::default()
        })
    }
}

impl Link {
    fn otlp(&self) -> Result<OtlpLink> {
        let (trace_id, span_id) = (self.trace_id.bytes()?, self.span_id.bytes()?);
        Ok(OtlpLink { trace_id, span_id, ..OtlpLink::default() })
    }
}

impl Log {
    fn otlp(&self) -> Result<LogRecord> {
        let attributes = self.attributes.as_ref().map(Attributes::otlp).transpose()?;
        Ok(LogRecord {
            trace_id: self.trace_id.bytes()?,
            span_id: self.span_id.bytes()?,
            attributes: attributes.unwrap_or_default(),
            ..LogRecord::default()
        })
    }
}

impl Exemplar {
    fn otlp(&self) -> Result<OtlpExemplar> {
        Ok(OtlpExemplar {
            trace_id: self.trace_id.bytes()?,
            span_id: self.span_id.bytes()?,
            value: self.value.map(ExemplarValue::AsDouble),
            ..OtlpExemplar::default()
        })
    }
}

impl Metric {
    fn otlp(&self) -> Result<OtlpMetric> {
        let exemplars = self.exemplars.iter().map(Exemplar::otlp).collect::<Result<Vec<_>>>()?;
        let (scale, temporality) = (self.scale, self.temporality as i32);
        let points = self.points.otlp()?.into_iter();
        let points = points
            .map(|attributes| Point { attributes, scale, exemplars: exemplars.clone() })
            .collect();
        let points = Points { points, temporality, is_monotonic: false };
        let name = self.name.as_deref().unwrap_or("metric");
        Ok(metric(name, self.kind.map(|kind| kind.data(points))))
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
            Self::Pairs(pairs) => pairs.iter().map(|(key, value)| key.with(value)).collect(),
        }
    }
}

impl Key {
    fn with(&self, value: &Yaml) -> Result<KeyValue> {
        match self {
            Self::Text(key) => key_value(key.clone(), value),
            Self::Reference { strindex } => {
                Ok(KeyValue { key_strindex: *strindex, ..key_value(String::new(), value)? })
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

/// A value: a text, number, boolean, list or map as in YAML; `~` for no value; `{$bytes: hex}` for bytes; `{$long: n}`
/// for a text of n bytes; `{$deep: n}` for n nested maps, each under the key `_`; `{$strindex: n}` for a reference into
/// the dictionary.
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
        Yaml::Mapping(map) => Some(match special(map) {
            Some(("$bytes", hex)) => {
                let hex = hex.as_str().unwrap_or_default().to_owned();
                Value::BytesValue(Bytes::Hex { hex }.bytes()?)
            }
            Some(("$long", length)) => Value::StringValue("x".repeat(number(length)?)),
            Some(("$deep", levels)) => deep(number(levels)?),
            Some(("$strindex", index)) => {
                Value::StringValueStrindex(i32::try_from(number::<i64>(index)?)?)
            }
            Some((name, _)) => bail!("{name} is no kind of value"),
            None => Value::KvlistValue(KeyValueList { values: key_values(map)? }),
        }),
        Yaml::Tagged(tagged) => bail!("{} is no type of OTLP", tagged.tag),
    };
    Ok(AnyValue { value })
}

/// Returns the only key of a map, and its value, if the key begins with `$`.
fn special(map: &serde_yaml_ng::Mapping) -> Option<(&str, &Yaml)> {
    let (key, value) = map.iter().next().filter(|_| map.len() == 1)?;
    key.as_str().filter(|key| key.starts_with('$')).map(|key| (key, value))
}

fn number<N: TryFrom<i64>>(value: &Yaml) -> Result<N> {
    let number = value.as_i64().and_then(|number| N::try_from(number).ok());
    number.ok_or_else(|| anyhow!("{value:?} is not a number that can be used here"))
}

fn deep(levels: usize) -> Value {
    let mut value = Value::KvlistValue(KeyValueList::default());
    for _ in 1..levels {
        let inner = Some(AnyValue { value: Some(value) });
        let values = vec![KeyValue { key: "_".to_owned(), value: inner, ..KeyValue::default() }];
        value = Value::KvlistValue(KeyValueList { values });
    }
    value
}
