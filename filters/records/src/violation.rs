//! What broke a rule and what happened to it, in the words that the sender is told.

use std::fmt;

use sluice_otlp::Signal;
use sluice_stores::Defect;

use crate::Level;

/// How a record breaks a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The attribute occurs more than once, in one spelling or in several that the backend reads as
    /// the same. The gate must not guess which value counts.
    Ambiguous,
    /// The attribute is empty.
    Empty,
    /// The attribute is missing.
    Missing,
    /// The backend writes an attribute of another level over the one that the rule checks.
    Overridden,
    /// The backend cannot store it.
    Unstorable(Defect),
    /// The rule does not allow the attribute's value.
    Value,
}

impl Reason {
    /// The reason's name in the metrics.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Ambiguous => "ambiguous",
            Self::Empty => "empty",
            Self::Missing => "missing",
            Self::Overridden => "overridden",
            Self::Unstorable(defect) => defect.label(),
            Self::Value => "value",
        }
    }

    /// What is wrong, in the words of messages.
    #[must_use]
    pub const fn clause(self) -> &'static str {
        match self {
            Self::Ambiguous => "occurs more than once",
            Self::Empty => "is empty",
            Self::Missing => "is missing",
            Self::Overridden => "is overridden",
            Self::Unstorable(defect) => defect.clause(),
            Self::Value => "has a value that is not allowed",
        }
    }

    /// What is counted: records, except for reasons that concern something without records.
    const fn counts(self, signal: Signal) -> &'static str {
        match self {
            Self::Unstorable(Defect::Labels) => "resource attribute",
            Self::Unstorable(Defect::NoDataPoints) => "metric",
            _ => signal.record_name(),
        }
    }

    /// What is cut out of a record or a resource that is kept.
    const fn part(self) -> &'static str {
        match self {
            Self::Unstorable(Defect::Exemplar) => "exemplar",
            Self::Unstorable(Defect::InvalidId) => "id",
            _ => "attribute",
        }
    }

    const fn counts_records(self) -> bool {
        !matches!(self, Self::Unstorable(Defect::Labels | Defect::NoDataPoints))
    }
}

/// What happened to the records that broke a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// They were kept, but the parts that broke the rule were cut out. Counts parts, not records.
    Cut,
    /// They were dropped.
    Dropped,
    /// They were kept, because the rule is in audit mode.
    Passed,
    /// The request was refused because of the first of them.
    Refused,
    /// They were kept unchanged, because cuts are in audit mode. Counts parts, not records.
    Uncut,
}

impl Fate {
    const fn clause(self) -> &'static str {
        match self {
            Self::Cut => "cut",
            Self::Dropped => "dropped",
            Self::Passed => "accepted in audit mode that would be dropped",
            Self::Refused => "rejected",
            Self::Uncut => "accepted in audit mode that would be cut",
        }
    }
}

/// The records that broke one rule in the same way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The attribute that the rule requires; `None` if the backend is the reason.
    pub attribute: Option<String>,
    /// Where the rule looks for it.
    pub level: Level,
    /// How they broke it.
    pub reason: Reason,
    /// What happened to them.
    pub fate: Fate,
    /// What the reason does not say: which value was expected (`is not "payments"`), or which
    /// backend refuses it.
    pub detail: Option<String>,
    /// The number of records.
    pub records: u64,
}

impl Violation {
    /// The place, for programs: `resource.attributes["source.name"]`, or `record` if the rule does
    /// not concern an attribute.
    #[must_use]
    pub fn field(&self) -> String {
        let level = match self.level {
            Level::Series => "series",
            Level::Resource => "resource",
            Level::Scope => "scope",
            Level::Record => "record",
        };
        match &self.attribute {
            Some(label) if self.level == Level::Series => format!("{level}.labels[{label:?}]"),
            Some(attribute) => format!("{level}.attributes[{attribute:?}]"),
            None => level.to_owned(),
        }
    }

    /// The violation, for people:
    /// `3 log records dropped: resource attribute "source.name" is missing`.
    #[must_use]
    pub const fn clause(&self, signal: Signal) -> Clause<'_> {
        Clause { violation: self, signal }
    }
}

/// One violation in a message about a signal.
#[derive(Clone, Copy, Debug)]
pub struct Clause<'v> {
    violation: &'v Violation,
    signal: Signal,
}

impl fmt::Display for Clause<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Violation { attribute, level, reason, fate, detail, records } = self.violation;
        let plural = if *records == 1 { "" } else { "s" };
        let counted = match (level, fate) {
            (Level::Series, _) => "sample",
            (_, Fate::Cut | Fate::Uncut) => reason.part(),
            _ => reason.counts(self.signal),
        };
        if *records == 0 {
            // A series may have no samples.
            write!(f, "series without {counted}s {}: ", fate.clause())?;
        } else {
            write!(f, "{records} {counted}{plural} {}: ", fate.clause())?;
        }
        match attribute {
            Some(label) if *level == Level::Series => write!(f, "label {label:?} ")?,
            Some(attribute) => write!(f, "{} attribute {attribute:?} ", level.owner(self.signal))?,
            None => {}
        }
        f.write_str(detail.as_deref().unwrap_or_else(|| reason.clause()))
    }
}

/// Everything in one request that broke a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violations {
    pub(crate) signal: Signal,
    pub(crate) by_rule: Vec<Violation>,
    /// The first record or series that broke a rule.
    pub(crate) example: Option<Example>,
}

/// Identifies what broke a rule by the name that its sender knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Example {
    /// The `__name__` of a series.
    Metric(String),
    /// The `service.name` of a resource.
    Service(String),
}

impl Violations {
    /// The signal of the records.
    #[must_use]
    pub const fn signal(&self) -> Signal {
        self.signal
    }

    /// The violations, in the order in which they first occurred.
    #[must_use]
    pub fn by_rule(&self) -> &[Violation] {
        &self.by_rule
    }

    /// Whether series were dropped. They may have no samples that could be counted.
    pub(crate) fn drops_series(&self) -> bool {
        let mut violations = self.by_rule.iter();
        violations
            .any(|violation| violation.level == Level::Series && violation.fate == Fate::Dropped)
    }

    /// How many records were dropped.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        let dropped = self.by_rule.iter().filter(|violation| {
            violation.fate == Fate::Dropped && violation.reason.counts_records()
        });
        dropped.fold(0, |sum, violation| sum.saturating_add(violation.records))
    }
}

/// One clause for each rule, and the first example:
/// `3 log records dropped: resource attribute "source.name" is missing (first at resource service.name="cart")`.
impl fmt::Display for Violations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, violation) in self.by_rule.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}{}", violation.clause(self.signal))?;
        }
        match &self.example {
            Some(Example::Service(name)) => {
                write!(f, " (first at resource service.name={name:?})")
            }
            Some(Example::Metric(name)) => write!(f, " (first at series __name__={name:?})"),
            None => Ok(()),
        }
    }
}

/// A sender's text, cut short for messages to it.
pub(crate) fn excerpt(text: &[u8]) -> String {
    const MAX_CHARS: usize = 64;
    String::from_utf8_lossy(text.get(..MAX_CHARS.saturating_mul(4)).unwrap_or(text))
        .chars()
        .take(MAX_CHARS)
        .collect()
}
