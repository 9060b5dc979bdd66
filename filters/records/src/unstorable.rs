//! What a backend refuses a whole batch for, or loses, though the rest of the batch is in order.

use sluice_otlp::Signal;

use crate::{OnViolation, Reason};

/// What a backend does with something that it cannot store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It stores the rest, and answers the whole batch with an error.
    FailsAnswer,
    /// It says nothing, and does not store it.
    Loses,
    /// It says nothing, and stores none of the records beneath it.
    LosesRecords,
    /// It refuses the whole batch.
    RefusesBatch,
    /// It refuses the whole batch, in releases before this one.
    RefusesBatchBefore(&'static str),
}

/// Where a backend finds what it cannot store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// An exemplar of a data point.
    Exemplar,
    /// A metric.
    Metric,
    /// A log record, span or data point.
    Record,
    /// A resource.
    Resource,
    /// An instrumentation scope.
    Scope,
}

/// What the gate does about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// It cuts that part out of what stays.
    Cut,
    /// It drops the record, or the metric with its records.
    Drop,
}

/// Something that a backend cannot store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What is sent.
    pub signal: Signal,
    /// Where it is.
    pub place: Place,
    /// What it is.
    pub reason: Reason,
    /// What the gate does.
    pub remedy: Remedy,
    /// What the backend would do.
    pub outcome: Outcome,
}

/// What a backend cannot store of what OTLP allows to be sent, or of what senders send all the same.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refuses {
    /// Each thing.
    pub refusals: Vec<Refusal>,
    /// Whether it takes spans without ids, and refuses those alone whose ids have another length.
    pub takes_unset_ids: bool,
    /// Whether it keeps names as they are, and makes no labels of them.
    pub keeps_names: bool,
    /// The most bytes of one trace in one request.
    pub trace_over: Option<u64>,
}

impl Refuses {
    /// Nothing is known of it.
    pub const NOTHING: Self =
        Self { refusals: Vec::new(), takes_unset_ids: false, keeps_names: false, trace_over: None };

    /// The least scale of an exponential histogram that becomes a native histogram of Prometheus
    /// (`otlptranslator` and Mimir's `pkg/distributor/otlp`).
    pub const MIN_SCALE: i64 = -4;

    /// The same, and one thing more.
    #[must_use]
    pub fn with(mut self, refusal: Refusal) -> Self {
        self.refusals.push(refusal);
        self
    }
}

/// What is looked for in the records of one signal, for the backend's sake.
#[derive(Clone, Debug)]
pub(crate) struct Unstorable {
    refusals: Vec<Refusal>,
    pub(crate) on_violation: OnViolation,
    pub(crate) takes_unset_ids: bool,
    pub(crate) trace_over: Option<u64>,
    keeps_names: bool,
    /// Attributes of the resource, the scope and the record of whose names no labels can be made.
    pub(crate) resource_names: bool,
    pub(crate) scope_names: bool,
    pub(crate) record_names: bool,
    /// Whether those of a record are cut out of it.
    pub(crate) cuts_names: bool,
    /// Anything that may be cut out of records.
    pub(crate) parts: bool,
    /// Index labels whose value no label has.
    pub(crate) label_values: bool,
    pub(crate) metrics: bool,
    pub(crate) scale: bool,
    pub(crate) span_ids: bool,
}

impl Unstorable {
    /// `scopes` says whether the backend reads the attributes of scopes.
    pub(crate) fn new(
        refuses: &Refuses,
        on_violation: OnViolation,
        signal: Signal,
        scopes: bool,
    ) -> Self {
        let of_signal = refuses.refusals.iter().filter(|refusal| refusal.signal == signal);
        let refusals: Vec<_> = of_signal.copied().collect();
        let find = |place, reason| find(&refusals, place, reason);
        let looks = |place, reason| find(place, reason).is_some();
        let record_names = find(Place::Record, Reason::AttributeName);
        let is_trace = signal == Signal::Traces;
        Self {
            on_violation,
            takes_unset_ids: refuses.takes_unset_ids,
            trace_over: refuses.trace_over.filter(|_| is_trace),
            keeps_names: refuses.keeps_names,
            resource_names: looks(Place::Resource, Reason::AttributeName),
            scope_names: scopes && looks(Place::Scope, Reason::AttributeName),
            record_names: record_names.is_some(),
            cuts_names: record_names.is_some_and(|refusal| refusal.remedy == Remedy::Cut),
            parts: record_names.is_some()
                || looks(Place::Exemplar, Reason::Exemplar)
                || !is_trace && looks(Place::Record, Reason::InvalidId),
            label_values: looks(Place::Resource, Reason::LabelValue),
            metrics: refusals.iter().any(|refusal| refusal.place == Place::Metric),
            scale: looks(Place::Record, Reason::Scale),
            span_ids: is_trace && looks(Place::Record, Reason::InvalidId),
            refusals,
        }
    }

    /// What is to be done about something at a place, if the backend refuses it.
    pub(crate) fn find(&self, place: Place, reason: Reason) -> Option<Refusal> {
        find(&self.refusals, place, reason)
    }

    /// What the backend would do about something, wherever it is.
    pub(crate) fn outcome(&self, reason: Reason) -> Option<Outcome> {
        let mut refusals = self.refusals.iter();
        refusals.find(|refusal| refusal.reason == reason).map(|refusal| refusal.outcome)
    }

    /// Whether records have to be looked at one by one.
    pub(crate) const fn looks_at_records(&self) -> bool {
        self.parts || self.metrics || self.scale || self.span_ids || self.trace_over.is_some()
    }

    /// Whether no label can be made of an attribute's name.
    #[inline(always)]
    pub(crate) fn is_odd_name(&self, name: &[u8]) -> bool {
        // Next to every name begins with a letter.
        !name.first().is_some_and(u8::is_ascii_alphanumeric) && self.is_odd_whole(name)
    }

    /// The same of a metric's name, which may have colons.
    pub(crate) fn is_odd_metric_name(&self, name: &[u8]) -> bool {
        self.is_odd_whole(name) && (self.keeps_names || !name.contains(&b':'))
    }

    /// `otlptranslator`, `LabelNamer` and `MetricNamer`: where names become labels, an ASCII letter or
    /// digit must be left of one; where they are kept, it must not be empty, nor underscores alone.
    #[inline(never)]
    fn is_odd_whole(&self, name: &[u8]) -> bool {
        if self.keeps_names {
            name.iter().all(|byte| *byte == b'_')
        } else {
            !name.iter().any(u8::is_ascii_alphanumeric)
        }
    }
}

fn find(refusals: &[Refusal], place: Place, reason: Reason) -> Option<Refusal> {
    let mut refusals = refusals.iter();
    refusals.find(|known| known.place == place && known.reason == reason).copied()
}
