//! Limits for the cost of reading an input: steps and memory for each of its bytes.
//!
//! Steps are what `sluice_wire::work` counts: bytes looked at, fields read, entries passed. They are the same on every
//! machine, so `cargo test` finds an input again that takes too many. Steps do not include the work of libraries; for
//! that there is a limit on CPU time, which is so high that noise cannot reach it.

use std::time::Duration;

use allocation_counter::measure;
use rustix::time::{ClockId, clock_gettime};
use sluice_wire::work;

use crate::Target;

/// The highest cost of one input.
#[derive(Clone, Copy, Debug)]
pub struct Most {
    /// Steps for each byte of the input.
    pub steps: u64,
    /// Steps for any input: for what is decoded from it, and for what the target adds itself.
    pub steps_always: u64,
    /// Bytes of memory at once, for each byte of the input.
    pub memory: u64,
    /// Bytes of memory at once, for any input.
    pub memory_always: u64,
}

impl Most {
    /// For a parser of input that is not decoded first.
    pub(crate) const fn plain(steps: u64, memory: u64) -> Self {
        Self { steps, steps_always: 4096, memory, memory_always: 256 << 10 }
    }

    /// For a parser of input that is first decoded, to at most 64 KiB. The memory of the decoders does not grow with
    /// the input: zstd's window in a buffer that doubles, or lz4's block.
    pub(crate) const fn decoding(steps: u64) -> Self {
        const DECODED: u64 = 64 << 10;
        Self { steps, steps_always: steps * DECODED, memory: 64, memory_always: 48 << 20 }
    }
}

/// CPU time for each byte, and for any input: a thousand times what a parser takes.
const TIME_A_BYTE: Duration = Duration::from_micros(50);
const TIME_ALWAYS: Duration = Duration::from_millis(200);

/// The cost of reading an input.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// Steps.
    pub steps: u64,
    /// The most bytes of memory at once.
    pub memory: u64,
    /// CPU time.
    pub time: Duration,
}

/// Reads an input as the gate does, without checking the result.
#[must_use]
pub fn of(target: &Target, data: &[u8]) -> Cost {
    let mut steps = 0;
    let start = clock_gettime(ClockId::ThreadCPUTime);
    let memory = measure(|| steps = work::count(|| (target.read)(data))).bytes_max;
    let end = clock_gettime(ClockId::ThreadCPUTime);
    let nanos = |time: rustix::time::Timespec| time.tv_sec * 1_000_000_000 + time.tv_nsec;
    let time = Duration::from_nanos(u64::try_from(nanos(end) - nanos(start)).unwrap_or_default());
    Cost { steps, memory, time }
}

/// Compares the cost of reading an input with its limit.
///
/// # Panics
/// If the cost exceeds the limit.
pub fn is_bounded(target: &Target, data: &[u8]) {
    let length = data.len() as u64;
    let Most { steps, steps_always, memory, memory_always } = target.most;
    let cost = of(target, data);
    let most = steps_always + steps * length;
    assert!(cost.steps <= most, "{}: {cost:?} for {length} bytes, of {most} steps", target.name);
    let most = memory_always + memory * length;
    assert!(cost.memory <= most, "{}: {cost:?} for {length} bytes, of {most} held", target.name);
    let most = TIME_ALWAYS + TIME_A_BYTE * u32::try_from(length).unwrap_or(u32::MAX);
    // Other work on the machine can make one run slow, but not three.
    let is_slow = |time: Duration| time > most;
    assert!(
        !(is_slow(cost.time) && (0..2).all(|_| is_slow(of(target, data).time))),
        "{}: {cost:?} for {length} bytes, of {most:?}",
        target.name
    );
}
