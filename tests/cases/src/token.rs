//! A token as Envoy's JWT filter passes it to the filters after it.

use std::collections::HashMap;

use envoy_harness::Attributes;
use prost::Message;
use prost_types::{ListValue, Struct, Value, value::Kind};
use serde_json::Value as Json;

/// The place of the payload: the filter that stores it, and its key.
const PAYLOAD: [&str; 2] = ["envoy.filters.http.jwt_authn", "payload"];

/// `envoy.config.core.v3.Metadata`, as far as filters write it.
#[derive(Clone, PartialEq, Message)]
struct Metadata {
    #[prost(map = "string, message", tag = "1")]
    filter_metadata: HashMap<String, Struct>,
}

/// The attribute `metadata` of a request with a token with these claims, as Envoy passes it to a module: the encoded
/// message.
#[must_use]
pub fn metadata(token: Option<&Json>) -> Vec<u8> {
    let [filter, payload] = PAYLOAD.map(str::to_owned);
    let kept = token.map(|claims| {
        (filter, Struct { fields: [(payload, value(claims))].into_iter().collect() })
    });
    Metadata { filter_metadata: kept.into_iter().collect() }.encode_to_vec()
}

/// The attributes of a request with a token with these claims.
#[must_use]
pub fn attributes(attributes: Attributes, token: Option<&Json>) -> Attributes {
    attributes.with(["metadata"], metadata(token))
}

fn value(json: &Json) -> Value {
    let kind = match json {
        Json::Null => Kind::NullValue(0),
        Json::Bool(value) => Kind::BoolValue(*value),
        Json::Number(number) => Kind::NumberValue(number.as_f64().unwrap_or(f64::NAN)),
        Json::String(text) => Kind::StringValue(text.clone()),
        Json::Array(items) => {
            Kind::ListValue(ListValue { values: items.iter().map(value).collect() })
        }
        Json::Object(members) => {
            let fields = members.iter().map(|(name, json)| (name.clone(), value(json)));
            Kind::StructValue(Struct { fields: fields.collect() })
        }
    };
    Value { kind: Some(kind) }
}
