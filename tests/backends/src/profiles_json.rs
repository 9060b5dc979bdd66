//! Profiles in OTLP/JSON. `opentelemetry-proto` reads their messages only with every field there and
//! every number as one, while a sender leaves out what has its default value and writes a number of
//! 64 bits as a string. An original payload is not read.

use opentelemetry_proto::tonic::collector::profiles::v1development::ExportProfilesServiceRequest;
use opentelemetry_proto::tonic::profiles::v1development::{
    Function, Line, Link, Location, Mapping, Profile, ProfilesDictionary, ResourceProfiles, Sample,
    ScopeProfiles, Stack, ValueType,
};
use serde::Serialize;
use serde_json::{Error, Value};

/// An export request in OTLP/JSON, as the protocol has it.
///
/// # Errors
/// If it is none.
pub fn read(body: &[u8]) -> Result<ExportProfilesServiceRequest, Error> {
    let mut request: Value = serde_json::from_slice(body)?;
    fill(&mut request)?;
    serde_json::from_value(request)
}

/// Gives every message in a value the fields that it lacks.
fn fill(value: &mut Value) -> Result<(), Error> {
    match value {
        Value::Array(list) => list.iter_mut().try_for_each(fill),
        Value::Object(members) => members.iter_mut().try_for_each(|(name, member)| {
            if let Some(whole) = default_of(name)? {
                let messages = match &mut *member {
                    Value::Array(list) => list.iter_mut().collect(),
                    one => vec![one],
                };
                messages.into_iter().for_each(|message| complete(message, &whole));
            }
            if OF_64_BITS.contains(&name.as_str()) {
                to_number(member);
            }
            fill(member)
        }),
        Value::Bool(_) | Value::Null | Value::Number(_) | Value::String(_) => Ok(()),
    }
}

/// The fields of 64 bits in the messages of profiles.
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

/// Makes a number of a string of one, and of each in a list.
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
