//! A token as Envoy's JWT filter leaves it for the filters behind.

use envoy_harness::{Attributes, Value};

/// The attribute in which the payload is.
pub const PAYLOAD: [&str; 4] =
    ["metadata", "filter_metadata", "envoy.filters.http.jwt_authn", "payload"];

/// A value of a token, as Envoy hands it to a module; `None` for `null`, which CEL hands out as nothing.
#[must_use]
pub fn attribute(value: &serde_json::Value) -> Option<Value> {
    use serde_json::Value as Json;
    Some(match value {
        Json::Null => return None,
        Json::Bool(value) => (*value).into(),
        Json::Number(number) => number.as_f64()?.into(),
        Json::String(text) => text.as_str().into(),
        Json::Array(items) => Value::list(items.iter().filter_map(attribute)),
        Json::Object(members) => Value::map(
            members.iter().filter_map(|(name, value)| Some((name.as_str(), attribute(value)?))),
        ),
    })
}

/// The attributes of a request with a token of these claims: each claim, and each within another.
#[must_use]
pub fn attributes(attributes: Attributes, token: Option<&serde_json::Value>) -> Attributes {
    let [metadata, filters, filter, payload] = PAYLOAD;
    let mut attributes = attributes;
    let claims = token.and_then(serde_json::Value::as_object);
    for (name, value) in claims.into_iter().flatten() {
        if let Some(value) = attribute(value) {
            attributes = attributes.with([metadata, filters, filter, payload, name], value);
        }
        for (inner, value) in value.as_object().into_iter().flatten() {
            if let Some(value) = attribute(value) {
                attributes =
                    attributes.with([metadata, filters, filter, payload, name, inner], value);
            }
        }
    }
    attributes
}
