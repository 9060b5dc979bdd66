//! Tokens, with the payload stored as Envoy's JWT filter stores it.

use std::collections::HashMap;

use prost::Message;
use prost_types::{ListValue, Struct, Value, value::Kind};
use serde_json::{Value as Json, json};

/// Envoy's filter that verifies tokens.
pub(crate) const FILTER: &str = "envoy.filters.http.jwt_authn";

/// The part of `envoy.config.core.v3.Metadata` that filters write.
#[derive(Clone, PartialEq, Message)]
struct Metadata {
    #[prost(map = "string, message", tag = "1")]
    filter_metadata: HashMap<String, Struct>,
}

/// The attribute `metadata` with these payloads, each under its key in the filter's metadata.
pub(crate) fn metadata(payloads: &[(&str, Json)]) -> Vec<u8> {
    let fields = payloads.iter().map(|(key, claims)| ((*key).to_owned(), value(claims)));
    let of_filter = Struct { fields: fields.collect() };
    // Metadata of another filter.
    let others = [("envoy.filters.http.other", json!({"payload": {"tenant": "victim"}}))];
    let others = others.map(|(name, value)| (name.to_owned(), object(&value)));
    let filter_metadata = others.into_iter().chain([(FILTER.to_owned(), of_filter)]).collect();
    Metadata { filter_metadata }.encode_to_vec()
}

fn object(json: &Json) -> Struct {
    let members = json.as_object().into_iter().flatten();
    Struct { fields: members.map(|(name, json)| (name.clone(), value(json))).collect() }
}

fn value(json: &Json) -> Value {
    let kind = match json {
        Json::Null => Kind::NullValue(0),
        Json::Bool(value) => Kind::BoolValue(*value),
        Json::Number(number) => Kind::NumberValue(number.as_f64().unwrap()),
        Json::String(text) => Kind::StringValue(text.clone()),
        Json::Array(items) => {
            Kind::ListValue(ListValue { values: items.iter().map(value).collect() })
        }
        Json::Object(_) => Kind::StructValue(object(json)),
    };
    Value { kind: Some(kind) }
}
