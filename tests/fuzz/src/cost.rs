//! What reading an input may cost: so many steps, and so much memory, for each of its bytes.
//!
//! Steps are what `sluice_wire::work` counts: bytes looked at, fields read, entries passed. They are
//! the same on every machine, so an input that takes too many is found again by `cargo test`. What
//! libraries do is not among them; processor time stands for it, far from where noise could reach.

use std::time::Duration;

use allocation_counter::measure;
use rustix::time::{ClockId, clock_gettime};
use sluice_wire::work;

use crate::Target;

/// The most that one input may cost.
#[derive(Clone, Copy, Debug)]
pub struct Most {
    /// Steps for each byte of the input.
    pub steps: u64,
    /// Steps whatever the input is: what is decoded from it, and what the target itself adds.
    pub steps_always: u64,
    /// Bytes that are held at once, for each byte of the input.
    pub memory: u64,
    /// Bytes that are held whatever the input is.
    pub memory_always: u64,
}

impl Most {
    /// For a reader of what is not decoded first.
    pub(crate) const fn plain(steps: u64, memory: u64) -> Self {
        Self { steps, steps_always: 4096, memory, memory_always: 256 << 10 }
    }

    /// For a reader of what is decoded first, to 64 KiB. What decoders hold beside it does not grow
    /// with the input: zstd's window in a buffer that doubles, or lz4's block.
    pub(crate) const fn decoding(steps: u64) -> Self {
        const DECODED: u64 = 64 << 10;
        Self { steps, steps_always: steps * DECODED, memory: 64, memory_always: 48 << 20 }
    }
}

/// Processor time for each byte, and whatever the input is: a thousand times what a reader takes.
const TIME_A_BYTE: Duration = Duration::from_micros(50);
const TIME_ALWAYS: Duration = Duration::from_millis(200);

/// What reading an input has cost.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// In steps.
    pub steps: u64,
    /// The most bytes that were held at once.
    pub memory: u64,
    /// Of processor time.
    pub time: Duration,
}

/// Reads an input as the gate does, without holding what comes of it against anything.
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

/// Holds what reading an input costs against what it may.
///
/// # Panics
/// If it is more.
pub fn is_bounded(target: &Target, data: &[u8]) {
    let length = data.len() as u64;
    let Most { steps, steps_always, memory, memory_always } = target.most;
    let cost = of(target, data);
    let most = steps_always + steps * length;
    assert!(cost.steps <= most, "{}: {cost:?} for {length} bytes, of {most} steps", target.name);
    let most = memory_always + memory * length;
    assert!(cost.memory <= most, "{}: {cost:?} for {length} bytes, of {most} held", target.name);
    let most = TIME_ALWAYS + TIME_A_BYTE * u32::try_from(length).unwrap_or(u32::MAX);
    // What else the machine does makes a run slow, but not three of them.
    let is_slow = |time: Duration| time > most;
    assert!(
        !(is_slow(cost.time) && (0..2).all(|_| is_slow(of(target, data).time))),
        "{}: {cost:?} for {length} bytes, of {most:?}",
        target.name
    );
}
