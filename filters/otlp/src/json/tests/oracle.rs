//! JSON and protobuf give the same result for the same request and policy.
//!
//! The policy decides by a sequence of numbers and records everything that it is shown. The texts
//! have members in any order, white space, escapes and unknown members.

use std::fmt::Write;

use opentelemetry_proto::tonic::{
    collector::{
        logs::v1::ExportLogsServiceRequest, metrics::v1::ExportMetricsServiceRequest,
        profiles::v1development::ExportProfilesServiceRequest,
        trace::v1::ExportTraceServiceRequest,
    },
    common::v1::{
        self as common, ArrayValue, InstrumentationScope, KeyValue, KeyValueList, any_value,
    },
    logs::v1::{LogRecord, ResourceLogs, ScopeLogs},
    metrics::v1::{
        self as metrics, ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram,
        HistogramDataPoint, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, Summary,
        SummaryDataPoint, metric::Data,
    },
    profiles::v1development::{Profile, ProfilesDictionary, ResourceProfiles, ScopeProfiles},
    resource::v1::Resource,
    trace::v1::{ResourceSpans, ScopeSpans, Span, span::Link},
};
use proptest::{collection::vec, option, prelude::*, sample::select};
use prost::Message;
use serde::de::IgnoredAny;
use serde_json::{Map, Value};
use sluice_wire::{Fault, Malformed, Unreadable};

use super::{LIMITS, rewritten::Marked};
use crate::{
    AnyValue, AttributeEdits, Attributes, Descend, Format, Interest, Metric, Put, Record,
    RecordPolicy, Request, Signal, splice_export,
};

/// A sequence of numbers determined by a seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, count: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ mixed >> 31) % count
    }
}

/// A policy that decides by throwing dice.
struct Thrown {
    format: Format,
    reads: Interest,
    dice: Dice,
    seen: String,
}

impl Thrown {
    fn new(format: Format, seed: u64) -> Self {
        let mut dice = Dice(seed);
        let reads = Interest { scopes: dice.below(2) == 0, metrics: dice.below(2) == 0 };
        Self { format, reads, dice, seen: String::new() }
    }

    fn see<'a>(
        &mut self,
        mut attributes: Attributes<'a>,
        mut attribute_edits: Option<&mut AttributeEdits<'a>>,
    ) -> Result<(), Unreadable> {
        while let Some(attribute) = attributes.next_where(|key| key != b"skipped")? {
            write!(self.seen, " {}=", String::from_utf8_lossy(attribute.key())).unwrap();
            match attribute.value()? {
                AnyValue::String(text) => self.seen += &String::from_utf8_lossy(&text),
                AnyValue::KeyValues { empty, entries } => {
                    write!(self.seen, "map {empty} (").unwrap();
                    self.see(entries, None)?;
                    self.seen.push(')');
                }
                other => write!(self.seen, "{other:?}").unwrap(),
            }
            if let Some(attribute_edits) = &mut attribute_edits {
                match self.dice.below(6) {
                    0 => attribute_edits.take(&attribute)?,
                    1 => attribute_edits.put(Put::Moved(attribute.written()))?,
                    2 => {
                        let stamp = self.format.attribute("stamp\n\"", "\\ \u{1} \u{e4}");
                        attribute_edits.put(Put::Made(stamp.into()))?;
                    }
                    _ => {}
                }
            }
        }
        self.seen.push('\n');
        Ok(())
    }

    fn below(&mut self) -> Descend {
        [
            Descend::CountOnly,
            Descend::Drop,
            Descend::KeepAll,
            Descend::Inspect,
            Descend::Inspect,
            Descend::Inspect,
        ][usize::try_from(self.dice.below(6)).unwrap()]
    }
}

impl<'a> RecordPolicy<'a> for Thrown {
    type Error = Unreadable;
    fn interest(&self) -> Interest {
        self.reads
    }
    fn resource(
        &mut self,
        attributes: Attributes<'a>,
        attribute_edits: &mut AttributeEdits<'a>,
    ) -> Result<Descend, Unreadable> {
        self.seen += "resource";
        self.see(attributes, Some(attribute_edits))?;
        Ok(self.below())
    }
    fn left_resource(&mut self, kept: u64) {
        writeln!(self.seen, "left resource {kept}").unwrap();
    }
    fn scope(
        &mut self,
        attributes: Attributes<'a>,
        attribute_edits: &mut AttributeEdits<'a>,
    ) -> Result<Descend, Unreadable> {
        self.seen += "scope";
        self.see(attributes, Some(attribute_edits))?;
        Ok(self.below())
    }
    fn left_scope(&mut self, kept: u64) {
        writeln!(self.seen, "left scope {kept}").unwrap();
    }
    fn metric(&mut self, metric: &Metric<'_>) -> Result<bool, Unreadable> {
        writeln!(self.seen, "{metric:?}").unwrap();
        Ok(self.dice.below(4) > 0)
    }
    fn record(&mut self, record: &Record<'_, 'a>) -> Result<bool, Unreadable> {
        writeln!(self.seen, "record {} {:?}", record.has_valid_ids(false)?, record.scale()?)
            .unwrap();
        self.see(record.attributes(), None)?;
        Ok(self.dice.below(3) > 0)
    }
    fn dropped(&mut self, records: u64) {
        writeln!(self.seen, "dropped {records}").unwrap();
    }
}

/// The result: what the policy saw, how many records were dropped, whether any is kept, and what is
/// left of the text.
type Outcome = Result<(String, u64, bool, Vec<u8>), Fault>;

fn outcome(message: &[u8], format: Format, signal: Signal, seed: u64) -> Outcome {
    let mut policy = Thrown::new(format, seed);
    match splice_export(&Request { message, at: 0, signal, format, limits: LIMITS }, &mut policy) {
        Ok(spliced) => {
            let mut left = message.to_vec();
            spliced.edits.apply(&mut left, 0).unwrap();
            Ok((policy.seen, spliced.dropped, spliced.kept, left))
        }
        Err(Unreadable::Malformed(Malformed { fault, .. })) => Err(fault),
        Err(other) => panic!("{other}"),
    }
}

/// Writes requests in unusual but valid forms.
struct Scribe {
    dice: Dice,
    text: String,
}

/// Members in which backends do not read escapes.
const VERBATIM: [&str; 4] = ["traceId", "spanId", "parentSpanId", "bytesValue"];

impl Scribe {
    fn write(value: &Value, seed: u64) -> String {
        let mut scribe = Self { dice: Dice(seed), text: String::new() };
        scribe.value(value, "");
        scribe.text
    }

    fn space(&mut self) {
        let space = ["", "", "", "", " ", "\n  ", "\r\n\t"];
        self.text += space[usize::try_from(self.dice.below(7)).unwrap()];
    }

    fn value(&mut self, value: &Value, name: &str) {
        self.space();
        match value {
            Value::Object(members) => self.object(members, name),
            Value::Array(elements) => {
                self.text.push('[');
                for (index, element) in elements.iter().enumerate() {
                    self.text += if index > 0 { "," } else { "" };
                    self.value(element, name);
                }
                self.space();
                self.text.push(']');
            }
            Value::String(text) if name == "intValue" && self.dice.below(2) == 0 => {
                self.text += text
            }
            Value::String(text) if VERBATIM.contains(&name) => self.text += &format!("\"{text}\""),
            Value::String(text) => self.string(text, name == "stringValue"),
            other => self.text += &other.to_string(),
        }
        self.space();
    }

    fn object(&mut self, members: &Map<String, Value>, called: &str) {
        let mut members: Vec<_> =
            members.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        for _ in 0..self.dice.below(8).saturating_sub(5) {
            let unknown =
                [r#"{"key":["]",{"values":[{}]}]}"#, r#""\"}""#, "null", "-1.5e+3", "[[],[{}]]"];
            let unknown = match unknown[usize::try_from(self.dice.below(5)).unwrap()] {
                // An unknown object in a metric could count as its data.
                object if object.starts_with('{') && called == "metrics" => "true",
                unknown => unknown,
            };
            members.push(("zz".to_owned(), serde_json::from_str(unknown).unwrap()));
        }
        for index in (1..members.len()).rev() {
            members.swap(index, usize::try_from(self.dice.below(index as u64 + 1)).unwrap());
        }
        self.text.push('{');
        for (index, (name, value)) in members.iter().enumerate() {
            self.text += if index > 0 { "," } else { "" };
            self.space();
            self.string(name, false);
            self.space();
            self.text.push(':');
            self.value(value, name);
        }
        self.space();
        self.text.push('}');
    }

    /// Writes a string. U+FFFD may be written as [half a surrogate pair](HALF).
    fn string(&mut self, text: &str, halves: bool) {
        self.text.push('"');
        for character in text.chars() {
            let behind_half = self.text.ends_with(HALF);
            if halves && character == '\u{fffd}' && self.dice.below(2) == 0 {
                self.text += HALF;
            } else if behind_half && character > '\u{ffff}' {
                // If it were escaped, readers would combine its first half with the half before it.
                self.text.push(character);
            } else if self.dice.below(16) == 0 || character < ' ' || "\"\\".contains(character) {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    write!(self.text, "\\u{unit:04X}").unwrap();
                }
            } else {
                self.text.push(character);
            }
        }
        self.text.push('"');
    }
}

/// An escape that the backends' readers read as U+FFFD, and that a plain JSON reader refuses.
const HALF: &str = r"\uDFFF";

/// Removes unknown members and members that count as unset, and writes integers as strings.
fn plain(value: Value) -> Value {
    match value {
        Value::Array(elements) => elements.into_iter().map(plain).collect(),
        Value::Object(members) => {
            let members = members.into_iter().filter(|(name, _)| name != "zz");
            let members = members.map(|(name, value)| match (name.as_str(), value) {
                ("intValue", Value::Number(number)) => (name, Value::String(number.to_string())),
                (_, value) => (name, plain(value)),
            });
            Value::Object(members.filter(|(_, value)| !is_default(value)).collect())
        }
        other => other,
    }
}

fn is_default(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(set) => !set,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty() || text == "0",
        Value::Array(elements) => elements.is_empty(),
        Value::Object(members) => members.is_empty(),
    }
}

fn any_value() -> impl Strategy<Value = common::AnyValue> {
    let text = || "[a-z\"\\\\\n\u{e4}\u{fffd}\u{1f600}]{0,5}";
    let leaf = prop_oneof![
        Just(None),
        text().prop_map(|text| Some(any_value::Value::StringValue(text))),
        any::<i64>().prop_map(|number| Some(any_value::Value::IntValue(number))),
        any::<bool>().prop_map(|set| Some(any_value::Value::BoolValue(set))),
        any::<i16>()
            .prop_map(|number| Some(any_value::Value::DoubleValue(f64::from(number) / 8.0))),
        vec(any::<u8>(), 0..4).prop_map(|bytes| Some(any_value::Value::BytesValue(bytes))),
        (0..5).prop_map(|index| Some(any_value::Value::StringValueStrindex(index))),
    ];
    let leaf = leaf.prop_map(|value| common::AnyValue { value });
    leaf.prop_recursive(3, 8, 3, |inner| {
        let pair = ("[a-z]{0,3}", option::of(inner.clone())).prop_map(|(key, value)| KeyValue {
            key,
            value,
            key_strindex: 0,
        });
        prop_oneof![
            vec(inner, 0..3).prop_map(|values| any_value::Value::ArrayValue(ArrayValue { values })),
            vec(pair, 0..3)
                .prop_map(|values| any_value::Value::KvlistValue(KeyValueList { values })),
        ]
        .prop_map(|value| common::AnyValue { value: Some(value) })
    })
}

fn attributes() -> impl Strategy<Value = Vec<KeyValue>> {
    let key = select(vec!["source.name", "skipped", "-", "take", "", "\u{e4}\"\n"]);
    let attribute =
        (key, option::weighted(0.9, any_value()), (0..40_i32)).prop_map(|(key, value, index)| {
            // Both together are refused for profiles; another test covers that.
            let key_strindex = if key.is_empty() && index < 4 { index } else { 0 };
            KeyValue { key: key.to_owned(), value, key_strindex }
        });
    vec(attribute, 0..4)
}

fn resource() -> impl Strategy<Value = Option<Resource>> {
    option::of(attributes().prop_map(|attributes| Resource { attributes, ..Resource::default() }))
}

fn scope() -> impl Strategy<Value = Option<InstrumentationScope>> {
    option::of((attributes(), "[a-z]{0,9}").prop_map(|(attributes, name)| InstrumentationScope {
        name,
        attributes,
        ..InstrumentationScope::default()
    }))
}

/// Makes the resource entries of an export request, with scope entries in each, and in each of these what `$record`
/// makes.
macro_rules! export {
    ($resource:ident.$scopes:ident, $scope:ident.$records:ident,
     $record:expr) => {{
        let scopes = (scope(), vec($record, 0..4)).prop_map(|(scope, $records)| $scope {
            scope,
            $records,
            ..$scope::default()
        });
        let entry = (resource(), vec(scopes, 0..3)).prop_map(|(resource, $scopes)| $resource {
            resource,
            $scopes,
            ..$resource::default()
        });
        vec(entry, 0..4)
    }};
}

fn logs() -> impl Strategy<Value = ExportLogsServiceRequest> {
    let record = (attributes(), option::of(any_value())).prop_map(|(attributes, body)| LogRecord {
        attributes,
        body,
        time_unix_nano: u64::MAX,
        ..LogRecord::default()
    });
    export!(ResourceLogs.scope_logs, ScopeLogs.log_records, record)
        .prop_map(|resource_logs| ExportLogsServiceRequest { resource_logs })
}

fn id(length: usize) -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        8 => vec(any::<u8>(), length),
        1 => vec(any::<u8>(), 0..20),
        1 => Just(vec![0; length]),
        1 => Just(Vec::new()),
    ]
}

fn traces() -> impl Strategy<Value = ExportTraceServiceRequest> {
    let link = (id(16), id(8)).prop_map(|(trace_id, span_id)| Link {
        trace_id,
        span_id,
        ..Link::default()
    });
    let span = (attributes(), id(16), id(8), id(8), vec(link, 0..2)).prop_map(
        |(attributes, trace_id, span_id, parent_span_id, links)| Span {
            attributes,
            trace_id,
            span_id,
            parent_span_id,
            links,
            ..Span::default()
        },
    );
    export!(ResourceSpans.scope_spans, ScopeSpans.spans, span)
        .prop_map(|resource_spans| ExportTraceServiceRequest { resource_spans })
}

fn data() -> impl Strategy<Value = Data> {
    let points = vec((attributes(), any::<i32>()), 0..4);
    (points, 0..5, -1..3).prop_map(|(points, kind, aggregation_temporality)| {
        /// Makes data points that have attributes and nothing else.
        macro_rules! made {
            ($point:ident) => {
                points
                    .into_iter()
                    .map(|(attributes, _)| $point { attributes, ..$point::default() })
                    .collect()
            };
        }
        match kind {
            0 => Data::Gauge(Gauge { data_points: made!(NumberDataPoint) }),
            1 => Data::Sum(Sum {
                data_points: made!(NumberDataPoint),
                aggregation_temporality,
                is_monotonic: true,
            }),
            2 => Data::Histogram(Histogram {
                data_points: made!(HistogramDataPoint),
                aggregation_temporality,
            }),
            3 => Data::Summary(Summary { data_points: made!(SummaryDataPoint) }),
            _ => Data::ExponentialHistogram(ExponentialHistogram {
                data_points: points
                    .into_iter()
                    .map(|(attributes, scale)| ExponentialHistogramDataPoint {
                        attributes,
                        scale,
                        ..Default::default()
                    })
                    .collect(),
                aggregation_temporality,
            }),
        }
    })
}

fn metrics() -> impl Strategy<Value = ExportMetricsServiceRequest> {
    let metric = (option::weighted(0.9, data()), "[a-z]{0,9}")
        .prop_map(|(data, name)| metrics::Metric { name, data, ..metrics::Metric::default() });
    export!(ResourceMetrics.scope_metrics, ScopeMetrics.metrics, metric)
        .prop_map(|resource_metrics| ExportMetricsServiceRequest { resource_metrics })
}

fn profiles() -> impl Strategy<Value = ExportProfilesServiceRequest> {
    let profile = any::<u32>().prop_map(|dropped_attributes_count| Profile {
        dropped_attributes_count,
        ..Profile::default()
    });
    let entries = export!(ResourceProfiles.scope_profiles, ScopeProfiles.profiles, profile);
    let strings = vec("[a-z\n\"\u{e4}]{0,4}", 4..6).prop_map(|mut strings| {
        strings[0].clear();
        ProfilesDictionary { string_table: strings, ..ProfilesDictionary::default() }
    });
    (entries, option::weighted(0.9, strings)).prop_map(|(resource_profiles, dictionary)| {
        ExportProfilesServiceRequest { resource_profiles, dictionary }
    })
}

macro_rules! is_one {
    ($name:ident, $request:expr, $export:ident, $signal:expr) => {
        proptest! {
            #![proptest_config(ProptestConfig::with_cases(512))]

            #[test]
            fn $name(request in $request, seed in any::<u64>()) {
                let text = Scribe::write(&serde_json::to_value(&request).unwrap(), seed);
                let protobuf = outcome(&request.encode_to_vec(), Format::Protobuf, $signal, seed);
                let json = outcome(text.as_bytes(), Format::Json, $signal, seed);
                let (protobuf, json) = match (protobuf, json) {
                    (Ok(protobuf), Ok(json)) => (protobuf, json),
                    (protobuf, json) => {
                        prop_assert_eq!(protobuf, json);
                        return Ok(());
                    }
                };
                prop_assert_eq!(&protobuf.0, &json.0, "{}", text);
                prop_assert_eq!((protobuf.1, protobuf.2), (json.1, json.2));
                let left = $export::decode(protobuf.3.as_slice()).unwrap();
                let expected = plain(serde_json::to_value(&left).unwrap());
                let left = String::from_utf8(json.3).unwrap().replace(HALF, r"\uFFFD");
                let left = serde_json::from_str(&left)
                    .unwrap_or_else(|error| panic!("{error}: {left}"));
                prop_assert_eq!(plain(left), expected, "{}", text);
            }
        }
    };
}

is_one!(logs_are_one, logs(), ExportLogsServiceRequest, Signal::Logs);
is_one!(metrics_are_one, metrics(), ExportMetricsServiceRequest, Signal::Metrics);
is_one!(profiles_are_one, profiles(), ExportProfilesServiceRequest, Signal::Profiles);
is_one!(traces_are_one, traces(), ExportTraceServiceRequest, Signal::Traces);

proptest! {
    /// For any text: no panic, and what is left can be read again and loses nothing more.
    #[test]
    fn no_text_makes_it_panic(
        request in logs(), seed in any::<u64>(),
        spoiled in vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
    ) {
        let mut bytes =
            Scribe::write(&serde_json::to_value(&request).unwrap(), seed).into_bytes();
        for (at, with) in spoiled {
            let at = at.index(bytes.len());
            bytes[at] = with;
        }
        for signal in Signal::ALL {
            let format = Format::Json;
            let request = Request { message: &bytes, at: 0, signal, format, limits: LIMITS };
            let Ok(spliced) = splice_export(&request, &mut Marked::default()) else { continue };
            let mut left = bytes.clone();
            spliced.edits.apply(&mut left, 0).unwrap();
            prop_assert!(serde_json::from_slice::<IgnoredAny>(&left).is_ok());
            let request = Request { message: &left, ..request };
            let again = splice_export(&request, &mut Marked::default()).unwrap();
            prop_assert_eq!((again.dropped, again.kept), (0, spliced.kept));
            prop_assert!(again.edits.is_empty());
        }
    }
}
