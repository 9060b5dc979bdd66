//! The format of a request.

use serde::Deserialize;
use sluice_headers::is_media_type;
use sluice_wire::push_field;

use crate::json::string;

/// The two formats of OTLP. The configuration calls them `json` and `protobuf`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// OTLP's JSON (OTLP specification 1.11, "JSON Protobuf Encoding").
    Json,
    /// Binary protobuf.
    Protobuf,
}

impl Format {
    /// The content type of OTLP/HTTP in this format, in the form that every backend accepts: exact,
    /// without parameters (OTLP specification 1.11, "OTLP/HTTP Request").
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Protobuf => "application/x-protobuf",
        }
    }

    /// The format for a content type, ignoring case and parameters.
    #[must_use]
    pub fn from_content_type(value: &[u8]) -> Option<Self> {
        [Self::Json, Self::Protobuf]
            .into_iter()
            .find(|format| is_media_type(value, format.content_type()))
    }

    /// An attribute with a string value, written in this format: a `KeyValue`; in protobuf only its
    /// content.
    #[must_use]
    pub fn attribute(self, key: &str, value: &str) -> Vec<u8> {
        match self {
            Self::Json => string::attribute(key, value),
            Self::Protobuf => {
                let mut any_value = Vec::new();
                push_field(&mut any_value, 1, value.as_bytes());
                let mut attribute = Vec::new();
                push_field(&mut attribute, 1, key.as_bytes());
                push_field(&mut attribute, 2, &any_value);
                attribute
            }
        }
    }
}
