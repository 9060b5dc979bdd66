//! Counts the steps that reading takes, for a fuzzer that looks for more than a few steps per byte.
//!
//! A step is a byte looked at, a field read, or an entry passed. Steps are counted only with the
//! feature `count-work`, which the module is built without.

#[cfg(feature = "count-work")]
thread_local! {
    static STEPS: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

/// Adds this many steps to the count.
#[inline(always)]
pub fn done(steps: usize) {
    #[cfg(feature = "count-work")]
    STEPS.with(|all| all.set(all.get().saturating_add(steps as u64)));
    #[cfg(not(feature = "count-work"))]
    let _: usize = steps;
}

/// The steps that `run` takes on this thread.
#[cfg(feature = "count-work")]
pub fn count(run: impl FnOnce()) -> u64 {
    let before = STEPS.with(std::cell::Cell::get);
    run();
    STEPS.with(std::cell::Cell::get).saturating_sub(before)
}
