//! What makes a backend refuse a whole batch, or lose records, although the rest of the batch is
//! valid.

use sluice_otlp::Signal;
use sluice_stores::{Defect, Element, Outcome, Refusal, Refuses, Remedy};

use crate::OnViolation;

/// What has to be looked for in the records of one signal, because of the backend.
#[derive(Clone, Debug)]
pub(crate) struct Unstorable {
    refusals: Vec<Refusal>,
    pub(crate) on_violation: OnViolation,
    pub(crate) accepts_unset_ids: bool,
    pub(crate) trace_over: Option<u64>,
    keeps_names: bool,
    /// Attributes of the resource, the scope and the record with names that cannot become labels.
    pub(crate) resource_names: bool,
    pub(crate) scope_names: bool,
    pub(crate) record_names: bool,
    /// Whether such attributes are cut out of records.
    pub(crate) cuts_names: bool,
    /// Any parts that may be cut out of records.
    pub(crate) parts: bool,
    /// Index labels with values that labels cannot have.
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
        let of_signal = refuses.refusals.iter().filter(|refusal| refusal.site.signal == signal);
        let refusals: Vec<_> = of_signal.copied().collect();
        let find = |element, defect| find(&refusals, element, defect);
        let looks = |element, defect| find(element, defect).is_some();
        let record_names = find(Element::Record, Defect::AttributeName);
        let is_trace = signal == Signal::Traces;
        Self {
            on_violation,
            accepts_unset_ids: refuses.accepts_unset_ids,
            trace_over: refuses.trace_over.filter(|_| is_trace),
            keeps_names: refuses.keeps_names,
            resource_names: looks(Element::Resource, Defect::AttributeName),
            scope_names: scopes && looks(Element::Scope, Defect::AttributeName),
            record_names: record_names.is_some(),
            cuts_names: record_names.is_some_and(|refusal| refusal.site.remedy == Remedy::Cut),
            parts: record_names.is_some()
                || looks(Element::Exemplar, Defect::Exemplar)
                || !is_trace && looks(Element::Record, Defect::InvalidId),
            label_values: looks(Element::Resource, Defect::LabelValue),
            metrics: refusals.iter().any(|refusal| refusal.site.element == Element::Metric),
            scale: looks(Element::Record, Defect::Scale),
            span_ids: is_trace && looks(Element::Record, Defect::InvalidId),
            refusals,
        }
    }

    /// What to do about a defect in an element, if the backend refuses it.
    pub(crate) fn find(&self, element: Element, defect: Defect) -> Option<Refusal> {
        find(&self.refusals, element, defect)
    }

    /// What the backend would do about a defect, in whatever element.
    pub(crate) fn outcome(&self, defect: Defect) -> Option<Outcome> {
        let mut refusals = self.refusals.iter();
        refusals.find(|refusal| refusal.site.defect == defect).map(|refusal| refusal.outcome)
    }

    /// Whether each record has to be checked.
    pub(crate) const fn looks_at_records(&self) -> bool {
        self.parts || self.metrics || self.scale || self.span_ids || self.trace_over.is_some()
    }

    /// Whether an attribute's name cannot become a label.
    #[inline(always)]
    pub(crate) fn is_odd_name(&self, name: &[u8]) -> bool {
        // Nearly every name starts with a letter.
        !name.first().is_some_and(u8::is_ascii_alphanumeric) && self.is_odd_whole(name)
    }

    /// Whether a metric's name cannot be stored. It may have colons.
    pub(crate) fn is_odd_metric_name(&self, name: &[u8]) -> bool {
        self.is_odd_whole(name) && (self.keeps_names || !name.contains(&b':'))
    }

    /// `otlptranslator`, `LabelNamer` and `MetricNamer`: if names become labels, a name must contain an ASCII letter or
    /// digit; if names are kept, it must not be empty or consist only of underscores.
    #[inline(never)]
    fn is_odd_whole(&self, name: &[u8]) -> bool {
        if self.keeps_names {
            name.iter().all(|byte| *byte == b'_')
        } else {
            !name.iter().any(u8::is_ascii_alphanumeric)
        }
    }
}

fn find(refusals: &[Refusal], element: Element, defect: Defect) -> Option<Refusal> {
    let mut refusals = refusals.iter();
    refusals.find(|known| known.site.element == element && known.site.defect == defect).copied()
}
