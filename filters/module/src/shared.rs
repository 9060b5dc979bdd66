//! What the streams of a worker share.

use sluice_gate::{Budget, Worker};

use crate::{counters::Counters, waiting::Waiting};

thread_local! {
    /// A worker has one memory for all plugins in its VM.
    static BUDGET: Budget = Budget::default();
    static FORWARDED: Budget = Budget::default();
}

/// What the streams of a worker share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) worker: Worker,
    pub(crate) counters: Counters,
    pub(crate) waiting: Waiting,
}

impl Default for Shared {
    fn default() -> Self {
        Self {
            worker: Worker::new(BUDGET.with(Budget::clone), FORWARDED.with(Budget::clone)),
            counters: Counters::default(),
            waiting: Waiting::default(),
        }
    }
}
