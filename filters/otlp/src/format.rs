//! How a request is written.

use serde::Deserialize;
use sluice_headers::is_media_type;
use sluice_wire::push_field;

use crate::json::string;

/// The two formats of OTLP; in the configuration as `json` or `protobuf`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// JSON as OTLP has it (OTLP specification 1.11, "JSON Protobuf Encoding").
    Json,
    /// Protobuf in its binary form.
    Protobuf,
}

impl Format {
    /// The content type of OTLP/HTTP in this format, as every backend takes it: exact, no
    /// parameters (OTLP specification 1.11, "OTLP/HTTP Request").
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Protobuf => "application/x-protobuf",
        }
    }

    /// The format that a content type names, whatever its case and parameters.
    #[must_use]
    pub fn from_content_type(value: &[u8]) -> Option<Self> {
        [Self::Json, Self::Protobuf]
            .into_iter()
            .find(|format| is_media_type(value, format.content_type()))
    }

    /// An attribute with a text as its value, as it is written in this format: a `KeyValue`, in
    /// protobuf its content alone.
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
