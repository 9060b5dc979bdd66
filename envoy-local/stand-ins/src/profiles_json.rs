//! Profiles in OTLP/JSON. `opentelemetry-proto` can only read these messages if every field is present, every number is
//! a number and every text is written out. But a sender leaves out fields with default values, writes 64-bit numbers as
//! strings, and refers to texts in the dictionary. Original payloads are not read.

use opentelemetry_proto::tonic::{
    collector::profiles::v1development::ExportProfilesServiceRequest,
    common::v1::KeyValue,
    profiles::v1development::{
        Function, Line, Link, Location, Mapping, Profile, ProfilesDictionary, ResourceProfiles,
        Sample, ScopeProfiles, Stack, ValueType,
    },
};
use serde::{Serialize, de::Error as _};
use serde_json::{Error, Value};

/// Reads an export request in OTLP/JSON. A value that refers to a text in the dictionary is read as that text; a key
/// stays a reference.
///
/// # Errors
/// If the text is not such a request.
pub fn read(body: &[u8]) -> Result<ExportProfilesServiceRequest, Error> {
    let mut request: Value = serde_json::from_slice(body)?;
    let strings: Vec<String> = match request.pointer("/dictionary/stringTable") {
        Some(table) => serde_json::from_value(table.clone())?,
        None => Vec::new(),
    };
    fill(&mut request, &strings)?;
    serde_json::from_value(request)
}

/// Adds the missing fields to every message in a value, and replaces references by their texts.
fn fill(value: &mut Value, strings: &[String]) -> Result<(), Error> {
    match value {
        Value::Array(list) => list.iter_mut().try_for_each(|element| fill(element, strings)),
        Value::Object(members) => {
            if let Some(index) = members.remove("stringValueStrindex") {
                let at = index.as_u64().and_then(|index| usize::try_from(index).ok());
                let text = at.and_then(|at| strings.get(at));
                let text = text.ok_or_else(|| Error::custom(format!("no string {index}")))?;
                members.insert("stringValue".to_owned(), text.as_str().into());
            }
            for (name, member) in members {
                if OF_64_BITS.contains(&name.as_str()) {
                    to_number(member);
                }
                if let Some(whole) = default_of(name)? {
                    messages(name, member).for_each(|message| complete(message, &whole));
                }
                fill(member, strings)?;
            }
            Ok(())
        }
        Value::Bool(_) | Value::Null | Value::Number(_) | Value::String(_) => Ok(()),
    }
}

/// The messages in a member of this name, or in its list; for a map, its entries.
fn messages<'v>(name: &str, member: &'v mut Value) -> impl Iterator<Item = &'v mut Value> {
    let member = if name == "kvlistValue" { member.get_mut("values") } else { Some(member) };
    let (one, list) = match member {
        Some(Value::Array(list)) => (None, Some(list)),
        one => (one, None),
    };
    one.into_iter().chain(list.into_iter().flatten())
}

/// The 64-bit fields in the messages of profiles.
const OF_64_BITS: [&str; 12] = [
    "address",
    "column",
    "durationNano",
    "fileOffset",
    "line",
    "memoryLimit",
    "memoryStart",
    "period",
    "startLine",
    "timeUnixNano",
    "timestampsUnixNano",
    "values",
];

/// Converts a string to a number, also each string in a list.
fn to_number(value: &mut Value) {
    match value {
        Value::Array(list) => list.iter_mut().for_each(to_number),
        Value::String(digits) => {
            if let Ok(number) = digits.parse::<serde_json::Number>() {
                *value = Value::Number(number);
            }
        }
        Value::Bool(_) | Value::Null | Value::Number(_) | Value::Object(_) => {}
    }
}

fn complete(message: &mut Value, whole: &Value) {
    let (Some(fields), Some(whole)) = (message.as_object_mut(), whole.as_object()) else { return };
    for (name, default) in whole {
        fields.entry(name).or_insert_with(|| default.clone());
    }
}

/// The default of the message in a field of this name, if profiles have such a field.
fn default_of(name: &str) -> Result<Option<Value>, Error> {
    fn whole<M: Default + Serialize>() -> Result<Option<Value>, Error> {
        serde_json::to_value(M::default()).map(Some)
    }
    match name {
        "attributes" | "kvlistValue" => whole::<KeyValue>(),
        "dictionary" => whole::<ProfilesDictionary>(),
        "functionTable" => whole::<Function>(),
        "lines" => whole::<Line>(),
        "linkTable" => whole::<Link>(),
        "locationTable" => whole::<Location>(),
        "mappingTable" => whole::<Mapping>(),
        "periodType" | "sampleType" => whole::<ValueType>(),
        "profiles" => whole::<Profile>(),
        "resourceProfiles" => whole::<ResourceProfiles>(),
        "samples" => whole::<Sample>(),
        "scopeProfiles" => whole::<ScopeProfiles>(),
        "stackTable" => whole::<Stack>(),
        _ => Ok(None),
    }
}
