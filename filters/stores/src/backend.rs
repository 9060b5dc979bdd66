//! What is known about one backend: its store, and how that is configured.

use crate::{Defect, LabelLimit, Overflow, Precedence, Refusal, Spelling, Store};

/// How a backend reads records, and which ones it refuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackendTraits {
    /// The store's name in messages.
    pub name: &'static str,
    /// How it compares attribute names.
    pub spelling: Spelling,
    /// Whether the attributes of record, resource and scope share one set of names, and which
    /// override which.
    pub precedence: Precedence,
    /// What makes it refuse a whole batch, or lose records.
    pub refuses: Refuses,
    /// How many resource attributes it accepts as labels, if there is a limit.
    pub labels: Option<LabelLimit>,
}

/// Things that OTLP allows, or that senders send anyway, but that a backend cannot store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refuses {
    /// Everything that is known.
    pub refusals: Vec<Refusal>,
    /// Whether it accepts spans without ids, and refuses only those with ids of the wrong length.
    pub accepts_unset_ids: bool,
    /// Whether it keeps names as they are instead of turning them into labels.
    pub keeps_names: bool,
    /// The largest trace in one request, in bytes.
    pub trace_over: Option<u64>,
}

impl BackendTraits {
    /// A backend of which nothing is known, so the strictest rule of any store applies.
    #[must_use]
    pub const fn strictest() -> Self {
        Self {
            name: "the backend",
            spelling: Spelling::Flattened,
            precedence: Precedence::Any,
            refuses: Refuses::NOTHING,
            labels: None,
        }
    }

    /// A backend of this store with its default configuration.
    #[must_use]
    pub fn of(store: &Store) -> Self {
        let refusals =
            store.refuses.iter().map(|(site, outcome)| Refusal { site: *site, outcome: *outcome });
        Self {
            name: store.name,
            spelling: store.spelling,
            precedence: store.precedence,
            refuses: Refuses {
                refusals: refusals.collect(),
                accepts_unset_ids: store.accepts_unset_ids,
                keeps_names: false,
                trace_over: None,
            },
            labels: store.labels.map(|labels| LabelLimit {
                max: labels.max,
                names: labels.names.iter().copied().map(str::to_owned).collect(),
                overflow: Overflow::Move,
            }),
        }
    }
}

impl Refuses {
    /// Nothing is known.
    pub const NOTHING: Self = Self {
        refusals: Vec::new(),
        accepts_unset_ids: false,
        keeps_names: false,
        trace_over: None,
    };

    /// The same, without refusals because of this defect.
    #[must_use]
    pub fn without(mut self, defect: Defect) -> Self {
        self.refusals.retain(|refusal| refusal.site.defect != defect);
        self
    }

    /// The same, with one more refusal.
    #[must_use]
    pub fn with(mut self, refusal: Refusal) -> Self {
        self.refusals.push(refusal);
        self
    }
}
