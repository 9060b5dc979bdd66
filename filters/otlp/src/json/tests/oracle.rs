//! JSON and protobuf give the same result for the same request and policy.
//!
//! The policy decides by a sequence of numbers and records everything that it is shown. The texts are
//! [odd](odd_json).

use std::fmt::Write;

use opentelemetry_proto::tonic::collector::{
    logs::v1::ExportLogsServiceRequest, metrics::v1::ExportMetricsServiceRequest,
    profiles::v1development::ExportProfilesServiceRequest, trace::v1::ExportTraceServiceRequest,
};
use proptest::{collection::vec, prelude::*, sample::select};
use prost::Message;
use serde::de::IgnoredAny;
use serde_json::Value;
use sluice_telemetry::{
    odd_json::{self, Dice, HALF, UNKNOWN_NAME},
    strategies::Requests,
};
use sluice_wire::{Fault, Malformed, Unreadable};

use super::{LIMITS, rewritten::Marked};
use crate::{
    AnyValue, AttributeEdits, Attributes, Descend, Format, Interest, Metric, Put, Record,
    RecordPolicy, Request, Signal, splice_export,
};

/// A policy that decides by throwing dice.
struct Thrown {
    format: Format,
    reads: Interest,
    dice: Dice,
    seen: String,
}

impl Thrown {
    fn new(format: Format, seed: u64) -> Self {
        let mut dice = Dice::new(seed);
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
        self.dice.of(&[
            Descend::CountOnly,
            Descend::Drop,
            Descend::KeepAll,
            Descend::Inspect,
            Descend::Inspect,
            Descend::Inspect,
        ])
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

/// Removes unknown members and members that count as unset, and writes integers as strings.
fn plain(value: Value) -> Value {
    match value {
        Value::Array(elements) => elements.into_iter().map(plain).collect(),
        Value::Object(members) => {
            let members = members.into_iter().filter(|(name, _)| name != UNKNOWN_NAME);
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

fn requests() -> Requests {
    let keys = select(vec!["source.name", "skipped", "-", "take", "", "\u{e4}\"\n"]);
    Requests::with_keys(keys.prop_map(str::to_owned)).for_json()
}

macro_rules! is_one {
    ($name:ident, $request:expr, $export:ident, $signal:expr) => {
        proptest! {
            #![proptest_config(ProptestConfig::with_cases(512))]

            #[test]
            fn $name(request in $request, seed in any::<u64>()) {
                let text = odd_json::write(&serde_json::to_value(&request).unwrap(), seed);
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

is_one!(logs_are_one, requests().logs(), ExportLogsServiceRequest, Signal::Logs);
is_one!(metrics_are_one, requests().metrics(), ExportMetricsServiceRequest, Signal::Metrics);
is_one!(profiles_are_one, requests().profiles(), ExportProfilesServiceRequest, Signal::Profiles);
is_one!(traces_are_one, requests().traces(), ExportTraceServiceRequest, Signal::Traces);

proptest! {
    /// For any text: no panic, and what is left can be read again and loses nothing more.
    #[test]
    fn no_text_makes_it_panic(
        request in requests().logs(), seed in any::<u64>(),
        spoiled in vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
    ) {
        let mut bytes =
            odd_json::write(&serde_json::to_value(&request).unwrap(), seed).into_bytes();
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
