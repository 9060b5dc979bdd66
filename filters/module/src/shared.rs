//! What the streams of a worker share.

use std::cell::RefCell;

use sluice_gate::{Budget, Certificates};

use crate::{counters::Counters, waiting::Waiting};

thread_local! {
    /// A worker's memory is one, for all plugins in its VM.
    static BUDGET: Budget = Budget::default();
    static FORWARDED: Budget = Budget::default();
}

/// What the streams of a worker share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) budget: Budget,
    /// Of bodies that have gone on, and wait in Envoy until their backends have taken them.
    pub(crate) forwarded: Budget,
    pub(crate) certificates: RefCell<Certificates>,
    pub(crate) counters: Counters,
    pub(crate) waiting: Waiting,
}

impl Default for Shared {
    fn default() -> Self {
        Self {
            budget: BUDGET.with(Budget::clone),
            forwarded: FORWARDED.with(Budget::clone),
            certificates: RefCell::default(),
            counters: Counters::default(),
            waiting: Waiting::default(),
        }
    }
}
