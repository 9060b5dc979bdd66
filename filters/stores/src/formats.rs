//! The formats that a store accepts.

use std::fmt;

use sluice_otlp::Format;

/// A set of formats that is not empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Formats {
    json: bool,
    protobuf: bool,
}

impl Formats {
    /// Both formats.
    pub const ALL: Self = Self { json: true, protobuf: true };

    /// Only protobuf.
    pub const PROTOBUF: Self = Self { json: false, protobuf: true };

    /// The set of these formats; `None` if there are none.
    #[must_use]
    pub fn listed(formats: &[Format]) -> Option<Self> {
        let json = formats.contains(&Format::Json);
        let protobuf = formats.contains(&Format::Protobuf);
        (json || protobuf).then_some(Self { json, protobuf })
    }

    /// Whether the set contains this format.
    #[must_use]
    pub const fn contains(self, format: Format) -> bool {
        match format {
            Format::Json => self.json,
            Format::Protobuf => self.protobuf,
        }
    }
}

impl fmt::Display for Formats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = [Format::Protobuf, Format::Json];
        for (index, format) in all.into_iter().filter(|format| self.contains(*format)).enumerate() {
            let separator = if index == 0 { "" } else { " or " };
            write!(f, "{separator}{}", format.content_type())?;
        }
        Ok(())
    }
}
