//! The formats that a backend takes.

use serde::Deserialize;
use sluice_otlp::Format;

/// A set of formats that is not empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Formats {
    json: bool,
    protobuf: bool,
}

/// A format by its name in the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum FormatName {
    Json,
    Protobuf,
}

impl Formats {
    /// Both.
    pub const ALL: Self = Self { json: true, protobuf: true };

    /// Protobuf alone.
    pub const PROTOBUF: Self = Self { json: false, protobuf: true };

    /// The set of these; `None` if there are none.
    pub(crate) fn listed(names: &[FormatName]) -> Option<Self> {
        let json = names.contains(&FormatName::Json);
        let protobuf = names.contains(&FormatName::Protobuf);
        (json || protobuf).then_some(Self { json, protobuf })
    }

    /// Whether the set has this format.
    #[must_use]
    pub const fn contains(self, format: Format) -> bool {
        match format {
            Format::Json => self.json,
            Format::Protobuf => self.protobuf,
        }
    }
}
