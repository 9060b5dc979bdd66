//! What reading costs in steps, for a fuzzer that looks for more than a few for each byte.
//!
//! A step is a byte that is looked at, a field that is read, or an entry that is passed. Steps are
//! counted with the feature `count-work` alone, which the module is not built with.

#[cfg(feature = "count-work")]
thread_local! {
    static STEPS: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

/// So many steps more have been done.
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
