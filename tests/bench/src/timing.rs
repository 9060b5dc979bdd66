//! Measures how long something takes, in the thread's CPU time, which does not include other work on the machine.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// How carefully to measure.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// The maximum number of samples for the median.
    samples: usize,
    /// The minimum time of a sample: a short run is repeated in each sample.
    sample: Duration,
}

impl Effort {
    /// To measure.
    pub const FULL: Self = Self { samples: 101, sample: Duration::from_millis(2) };
    /// To check that it runs: once.
    pub const ONCE: Self = Self { samples: 1, sample: Duration::ZERO };

    /// The median time of one run. `run` gets the number of repetitions.
    ///
    /// # Errors
    /// If `run` fails.
    pub fn median<E>(self, mut run: impl FnMut(u32) -> Result<(), E>) -> Result<Duration, E> {
        let mut time = |times: u32| {
            let start = cpu_time();
            run(times).map(|()| cpu_time().saturating_sub(start))
        };
        let mut times = 1;
        let mut took = time(times)?;
        while took < self.sample {
            times *= 2;
            took = time(times)?;
        }
        // A long run is repeated less often, so that a row takes about a second.
        let affordable = Duration::from_secs(1).as_nanos() / took.as_nanos().max(1);
        let samples = usize::try_from(affordable).unwrap_or(usize::MAX).max(5).min(self.samples);
        let mut each = (0..samples).map(|_| time(times)).collect::<Result<Vec<_>, _>>()?;
        each.sort_unstable();
        Ok(each[each.len() / 2] / times)
    }
}

/// The CPU time that this thread has used.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(time).expect("a clock that counts from zero is not negative")
}
