//! What is known of one backend: its store, and how that is set up.

use crate::{Defect, LabelLimit, Overflow, Precedence, Refusal, Spelling, Store};

/// How a backend reads records, and which ones it refuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackendTraits {
    /// Its name in messages.
    pub name: &'static str,
    /// How it tells attribute names apart.
    pub spelling: Spelling,
    /// Whether it writes the attributes of record, resource and scope into one set of names, and
    /// which of them over which.
    pub precedence: Precedence,
    /// What it refuses a whole batch for, or loses.
    pub refuses: Refuses,
    /// How many resource attributes it takes as labels, if there is such a limit.
    pub labels: Option<LabelLimit>,
}

/// What a backend cannot store of what OTLP allows to be sent, or of what senders send all the same.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refuses {
    /// Each thing.
    pub refusals: Vec<Refusal>,
    /// Whether it accepts spans without ids, and refuses those alone whose ids have another length.
    pub accepts_unset_ids: bool,
    /// Whether it keeps names as they are, and makes no labels of them.
    pub keeps_names: bool,
    /// The most bytes of one trace in one request.
    pub trace_over: Option<u64>,
}

impl BackendTraits {
    /// A backend of which nothing is known: whatever any of them reads as one, it may.
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

    /// A backend of this store, set up as the store comes.
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
    /// Nothing is known of it.
    pub const NOTHING: Self = Self {
        refusals: Vec::new(),
        accepts_unset_ids: false,
        keeps_names: false,
        trace_over: None,
    };

    /// The same, without what is wrong by this defect.
    #[must_use]
    pub fn without(mut self, defect: Defect) -> Self {
        self.refusals.retain(|refusal| refusal.site.defect != defect);
        self
    }

    /// The same, and one thing more.
    #[must_use]
    pub fn with(mut self, refusal: Refusal) -> Self {
        self.refusals.push(refusal);
        self
    }
}
