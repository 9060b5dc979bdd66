//! Attributes, and the messages that have them.

use opentelemetry_proto::tonic::{
    common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value::Value},
    logs::v1::LogRecord,
    metrics::v1::{
        ExponentialHistogramDataPoint, HistogramDataPoint, NumberDataPoint, SummaryDataPoint,
    },
    resource::v1::Resource,
    trace::v1::Span,
};

/// A message that has attributes of its own.
pub trait Attributed: Default {
    /// The message with these attributes and nothing else.
    #[must_use]
    fn of(attributes: Vec<KeyValue>) -> Self;
}

macro_rules! attributed {
    ($($message:ident)*) => {
        $(impl Attributed for $message {
            fn of(attributes: Vec<KeyValue>) -> Self {
                Self { attributes, ..Self::default() }
            }
        })*
    };
}

attributed!(Resource InstrumentationScope LogRecord Span);
attributed!(NumberDataPoint HistogramDataPoint ExponentialHistogramDataPoint SummaryDataPoint);

/// A message for each list of attributes.
pub fn each<M: Attributed>(lists: impl IntoIterator<Item = Vec<KeyValue>>) -> Vec<M> {
    lists.into_iter().map(M::of).collect()
}

/// An attribute with this value, which may be an empty `AnyValue`.
#[must_use]
pub fn attribute(key: &str, value: Option<Value>) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value }), ..KeyValue::default() }
}

/// An attribute with a text.
#[must_use]
pub fn text(key: &str, value: &str) -> KeyValue {
    attribute(key, Some(Value::StringValue(value.to_owned())))
}

/// An attribute with an integer.
#[must_use]
pub fn int(key: &str, value: i64) -> KeyValue {
    attribute(key, Some(Value::IntValue(value)))
}

/// A text as a value.
#[must_use]
pub fn string(value: &str) -> AnyValue {
    AnyValue { value: Some(Value::StringValue(value.to_owned())) }
}
