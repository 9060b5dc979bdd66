//! OTLP values as text and as JSON.

use base64::{Engine, engine::general_purpose::STANDARD};
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};
use serde_json::json;

/// A value as text, as the collector's pdata writes it: a string unchanged, a number in decimal, bytes in base64, a
/// list or a map as JSON, no value as the empty string.
pub fn text(value: &AnyValue) -> String {
    match &value.value {
        None | Some(Value::StringValueStrindex(_)) => String::new(),
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::BoolValue(value)) => value.to_string(),
        Some(Value::IntValue(value)) => value.to_string(),
        Some(Value::DoubleValue(value)) => value.to_string(),
        Some(Value::BytesValue(bytes)) => STANDARD.encode(bytes),
        Some(Value::ArrayValue(_) | Value::KvlistValue(_)) => json_of(value).to_string(),
    }
}

/// A value as plain JSON, without OTLP's type names around it.
pub(crate) fn json_of(value: &AnyValue) -> serde_json::Value {
    match &value.value {
        None | Some(Value::StringValueStrindex(_)) => serde_json::Value::Null,
        Some(Value::BoolValue(value)) => json!(value),
        Some(Value::IntValue(value)) => json!(value),
        Some(Value::DoubleValue(value)) => json!(value),
        Some(Value::ArrayValue(list)) => list.values.iter().map(json_of).collect(),
        Some(Value::KvlistValue(map)) => attributes_json(&map.values),
        Some(Value::StringValue(_) | Value::BytesValue(_)) => json!(text(value)),
    }
}

/// Attributes as a JSON object. If a key occurs twice, the last value is used.
pub(crate) fn attributes_json(attributes: &[KeyValue]) -> serde_json::Value {
    attributes
        .iter()
        .map(|attribute| {
            let value = attribute.value.as_ref().map(json_of);
            (attribute.key.clone(), value.unwrap_or_default())
        })
        .collect::<serde_json::Map<_, _>>()
        .into()
}
