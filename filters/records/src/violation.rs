//! What was dropped and why, as the sender is told.

use std::fmt;

use sluice_otlp::Signal;

use crate::Level;

/// How a record breaks a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The attribute is there more than once, in one spelling or in several that the backend reads
    /// as one: which value would count is not for the gate to guess.
    Ambiguous,
    /// The attribute is there, with nothing in it.
    Empty,
    /// The attribute is not there.
    Missing,
    /// The attribute's value is not what its rule asks for.
    Value,
}

impl Reason {
    /// The reason as the metrics name it.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Ambiguous => "ambiguous",
            Self::Empty => "empty",
            Self::Missing => "missing",
            Self::Value => "value",
        }
    }

    const fn clause(self) -> &'static str {
        match self {
            Self::Ambiguous => "is there more than once",
            Self::Empty => "is empty",
            Self::Missing => "is missing",
            Self::Value => "has a value that is not allowed",
        }
    }
}

/// The records that broke one rule in one way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The attribute that the rule asks for.
    pub attribute: String,
    /// Where the rule looks for it.
    pub level: Level,
    /// How they broke it.
    pub reason: Reason,
    /// What their value is not, for [`Reason::Value`]: `is not "payments"`.
    pub expected: Option<String>,
    /// How many they are.
    pub records: u64,
}

/// Everything that was dropped from one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violations {
    pub(crate) signal: Signal,
    pub(crate) by_rule: Vec<Violation>,
    /// The `service.name` of the first resource that lost a record.
    pub(crate) example: Option<String>,
}

impl Violations {
    /// The signal of the records.
    #[must_use]
    pub const fn signal(&self) -> Signal {
        self.signal
    }

    /// Rule by rule, in the order in which they first occurred.
    #[must_use]
    pub fn by_rule(&self) -> &[Violation] {
        &self.by_rule
    }

    /// How many records were dropped.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.by_rule.iter().fold(0, |sum, violation| sum.saturating_add(violation.records))
    }
}

/// One clause a rule and the first example, such as `3 log records dropped: resource attribute
/// "source.name" is missing (first at resource service.name="cart")`.
impl fmt::Display for Violations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, violation) in self.by_rule.iter().enumerate() {
            let Violation { attribute, level, reason, expected, records } = violation;
            let separator = if index == 0 { "" } else { "; " };
            let plural = if *records == 1 { "" } else { "s" };
            let (record, owner) = (self.signal.record_name(), level.owner(self.signal));
            let clause = expected.as_deref().unwrap_or_else(|| reason.clause());
            write!(
                f,
                "{separator}{records} {record}{plural} dropped: {owner} attribute {attribute:?} {clause}"
            )?;
        }
        match &self.example {
            Some(name) => write!(f, " (first at resource service.name={name:?})"),
            None => Ok(()),
        }
    }
}

/// A sender's text, short enough to be repeated to it.
pub(crate) fn excerpt(text: &[u8]) -> String {
    const MAX_CHARS: usize = 64;
    String::from_utf8_lossy(text.get(..MAX_CHARS.saturating_mul(4)).unwrap_or(text))
        .chars()
        .take(MAX_CHARS)
        .collect()
}
