//! How long something takes, in the thread's CPU time: what else the machine does is not in it.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// How carefully to measure.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// How many samples the median is of, at the most.
    samples: usize,
    /// How long a sample lasts at the least: what is short is run several times in each.
    sample: Duration,
}

impl Effort {
    /// For figures to go by.
    pub const FULL: Self = Self { samples: 101, sample: Duration::from_millis(2) };
    /// Once, to see that it runs at all.
    pub const ONCE: Self = Self { samples: 1, sample: Duration::ZERO };

    /// The median time of one run. `run` is given how many times to run.
    ///
    /// # Errors
    /// What `run` fails with.
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
        // What takes long is run less often: a row is to be done within a second or so.
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
