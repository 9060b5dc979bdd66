//! How long something takes.

use std::time::{Duration, Instant};

/// How carefully to measure.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// How many samples the median is of, at the most.
    samples: usize,
    /// How long a sample lasts at the least: what is short is run several times in each.
    sample: Duration,
}

impl Effort {
    /// For figures to go by. The samples are short: what else the machine does then falls between
    /// most of them, and the median does not see it.
    pub const FULL: Self = Self { samples: 101, sample: Duration::from_millis(2) };
    /// Once, to see that it runs at all.
    pub const ONCE: Self = Self { samples: 1, sample: Duration::ZERO };

    /// The median time of one run. `run` is given how many times to run.
    ///
    /// # Errors
    /// What `run` fails with.
    pub fn median<E>(self, mut run: impl FnMut(u32) -> Result<(), E>) -> Result<Duration, E> {
        let mut time = |times: u32| {
            let start = Instant::now();
            run(times).map(|()| start.elapsed())
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
