//! What a record must have.

use sluice_otlp::Signal;

use crate::{Spelling, value::ValueRule};

/// Where a rule looks for its attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// On the resource.
    Resource,
    /// On the instrumentation scope.
    Scope,
    /// On the log record, span or data point itself.
    Record,
}

impl Level {
    /// What owns an attribute of this level, in a message about `signal`.
    #[must_use]
    pub const fn owner(self, signal: Signal) -> &'static str {
        match (self, signal) {
            (Self::Resource, _) => "resource",
            (Self::Scope, _) => "scope",
            (Self::Record, Signal::Logs) => "log record",
            (Self::Record, Signal::Metrics) => "data point",
            (Self::Record, Signal::Traces) => "span",
        }
    }
}

/// A rule, as it stands for one signal.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    pub(crate) attribute: String,
    pub(crate) value: ValueRule,
}

/// The rules of one signal, level by level.
#[derive(Clone, Debug)]
pub(crate) struct SignalRules {
    pub(crate) spelling: Spelling,
    pub(crate) resource: Vec<Rule>,
    pub(crate) scope: Vec<Rule>,
    pub(crate) record: Vec<Rule>,
}

/// Every rule, compiled from [`RecordsConfig`](crate::RecordsConfig).
#[derive(Clone, Debug)]
pub struct RuleSet {
    pub(crate) logs: SignalRules,
    pub(crate) metrics: SignalRules,
    pub(crate) traces: SignalRules,
}

impl RuleSet {
    pub(crate) const fn of(&self, signal: Signal) -> &SignalRules {
        match signal {
            Signal::Logs => &self.logs,
            Signal::Metrics => &self.metrics,
            Signal::Traces => &self.traces,
        }
    }
}
