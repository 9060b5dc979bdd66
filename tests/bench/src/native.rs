//! Runs a row natively.

use std::{convert::Infallible, hint::black_box, time::Duration};

use sluice_bench_work::{Outcome, Work};

use crate::timing::Effort;

/// The cost of a run.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// The median time.
    pub time: Duration,
    /// The number of allocations.
    pub allocations: u64,
    /// The most bytes of memory at once, without the request itself.
    pub peak: u64,
}

/// Runs `work` on a request, and returns the outcome and the cost.
#[must_use]
pub fn measure(work: &Work, request: &[u8], effort: Effort) -> (Outcome, Cost) {
    let mut outcome = Outcome::Nothing;
    let memory = allocation_counter::measure(|| outcome = work.run(request));
    let timed = effort.median(|times| {
        for _ in 0..times {
            black_box(work.run(black_box(request)));
        }
        Ok::<_, Infallible>(())
    });
    let Ok(time) = timed;
    let cost = Cost { time, allocations: memory.count_total, peak: memory.bytes_max };
    (outcome, cost)
}
