//! A row, natively.

use std::{convert::Infallible, hint::black_box, time::Duration};

use sluice_bench_work::{Outcome, Work};

use crate::timing::Effort;

/// What a run costs.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// The median time.
    pub time: Duration,
    /// How often memory was asked for.
    pub allocations: u64,
    /// The most bytes that were held at once, without the request itself.
    pub peak: u64,
}

/// Runs `work` on a request, and says what came of it and what it costs.
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
