//! What the streams of a worker share.

use std::cell::Cell;

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
    /// How many streams there are.
    streams: Cell<usize>,
}

impl Shared {
    /// A stream begins.
    pub(crate) fn begin(&self) {
        self.streams.set(self.streams.get().saturating_add(1));
    }

    /// The stream with this id has ended.
    pub(crate) fn end(&self, context: u32) {
        self.waiting.forget(context);
        self.streams.set(self.streams.get().saturating_sub(1));
        if self.streams.get() == 0 {
            self.counters.hand_over();
        }
    }
}

impl Default for Shared {
    fn default() -> Self {
        Self {
            worker: Worker::new(BUDGET.with(Budget::clone), FORWARDED.with(Budget::clone)),
            counters: Counters::default(),
            waiting: Waiting::default(),
            streams: Cell::new(0),
        }
    }
}
