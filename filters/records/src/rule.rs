//! The rules for records.

use sluice_otlp::Signal;
use sluice_stores::{BackendTraits, Precedence};

use crate::{
    OnViolation, labels::Labels, spelling::Name, stamp::Stamp, unstorable::Unstorable,
    value::ValueRule,
};

/// The level at which a rule looks for its attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// On the resource.
    Resource,
    /// On the instrumentation scope.
    Scope,
    /// On the log record, span or data point itself.
    Record,
    /// In the labels of a remote write series, which has no other attributes.
    Series,
}

impl Level {
    /// What has the attributes of this level, for a message about `signal`.
    #[must_use]
    pub const fn owner(self, signal: Signal) -> &'static str {
        match self {
            Self::Resource => "resource",
            Self::Scope => "scope",
            Self::Record => signal.record_name(),
            Self::Series => "series",
        }
    }
}

/// A rule for one signal.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    pub(crate) name: Name,
    pub(crate) level: Level,
    pub(crate) value: ValueRule,
    pub(crate) on_violation: OnViolation,
}

impl Rule {
    /// Whether the backend writes attributes of `level` over those that this rule checks.
    pub(crate) const fn is_overridden_by(&self, level: Level, precedence: Precedence) -> bool {
        match (self.level, level) {
            (Level::Resource | Level::Scope, Level::Record) => {
                matches!(precedence, Precedence::Record | Precedence::Any)
            }
            (Level::Record, Level::Resource) => {
                matches!(precedence, Precedence::Resource | Precedence::Scope | Precedence::Any)
            }
            (Level::Record | Level::Resource, Level::Scope) => {
                matches!(precedence, Precedence::Scope | Precedence::Any)
            }
            (Level::Scope, Level::Resource) => matches!(precedence, Precedence::Any),
            _ => false,
        }
    }
}

/// All rules and stamps for the records of one signal.
#[derive(Clone, Debug)]
pub(crate) struct SignalRules {
    pub(crate) required: Vec<Rule>,
    pub(crate) stamps: Vec<Stamp>,
    pub(crate) precedence: Precedence,
    /// What the backend refuses, and what happens to such records; `None` leaves them to the
    /// backend.
    pub(crate) unstorable: Option<Unstorable>,
    pub(crate) labels: Option<Labels>,
    pub(crate) backend: &'static str,
}

/// Every rule, compiled from [`RecordsConfig`](crate::RecordsConfig).
#[derive(Clone, Debug)]
pub struct RuleSet {
    logs: SignalRules,
    metrics: SignalRules,
    profiles: SignalRules,
    traces: SignalRules,
    /// For metrics that arrive by remote write.
    pub(crate) series: SignalRules,
}

impl RuleSet {
    pub(crate) fn new(rules: impl Fn(Signal) -> SignalRules, series: SignalRules) -> Self {
        Self {
            series,
            logs: rules(Signal::Logs),
            metrics: rules(Signal::Metrics),
            profiles: rules(Signal::Profiles),
            traces: rules(Signal::Traces),
        }
    }

    /// Whether something is inserted into every export of `signal`, so that it may become much longer. Attributes that
    /// are moved to scopes do not count, because in real telemetry they are too few.
    #[must_use]
    pub const fn stamps(&self, signal: Signal) -> bool {
        !self.of(signal).stamps.is_empty()
    }

    pub(crate) const fn of(&self, signal: Signal) -> &SignalRules {
        match signal {
            Signal::Logs => &self.logs,
            Signal::Metrics => &self.metrics,
            Signal::Profiles => &self.profiles,
            Signal::Traces => &self.traces,
        }
    }
}

impl SignalRules {
    /// Whether a rule requires an attribute with this key on the resource.
    pub(crate) fn requires(&self, key: &[u8]) -> bool {
        let mut at_resource = self.required.iter().filter(|rule| rule.level == Level::Resource);
        at_resource.any(|rule| rule.name.is_label(key))
    }

    pub(crate) fn new(
        signal: Signal,
        required: Vec<Rule>,
        stamps: Vec<Stamp>,
        unstorable: Option<OnViolation>,
        backend: &BackendTraits,
    ) -> Self {
        Self {
            required,
            stamps,
            precedence: backend.precedence,
            unstorable: unstorable.map(|on_violation| {
                // If resource attributes override record attributes, the backend discards those of
                // the scope.
                let scopes = backend.precedence != Precedence::Resource;
                Unstorable::new(&backend.refuses, on_violation, signal, scopes)
            }),
            labels: backend.labels.as_ref().map(|limit| Labels::new(limit, backend.spelling)),
            backend: backend.name,
        }
    }
}
