//! What the system says of a process, and on which cores it runs.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};

/// A process under test.
#[derive(Clone, Copy, Debug)]
pub struct Process(u32);

/// The memory of a process, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    /// Resident now.
    pub resident: u64,
    /// The most that was resident since the last [`Process::forget_peak`].
    pub peak: u64,
}

impl Process {
    /// The process with this id.
    #[must_use]
    pub fn new(pid: u32) -> Self {
        Self(pid)
    }

    fn file(self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/{name}", self.0))
    }

    /// The CPU time of all its threads so far, in user and in kernel mode: `utime` and `stime` of /proc/PID/stat
    /// (proc_pid_stat(5)), with a resolution of a tick, mostly 10 ms.
    ///
    /// # Errors
    /// If the process has ended.
    pub fn cpu(self) -> Result<Duration> {
        let path = self.file("stat");
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("{}: the process has ended", path.display()))?;
        // The name of the program stands in brackets and may have any character; `utime` and `stime` are the 12th and
        // the 13th field after it.
        let fields = text.rsplit(')').next().unwrap_or_default();
        let mut fields = fields.split_ascii_whitespace().skip(11);
        let mut ticks = || fields.next().and_then(|field| field.parse::<u64>().ok());
        let (user, kernel) = ticks().zip(ticks()).context("an unknown form of /proc/PID/stat")?;
        Ok(Duration::from_secs_f64((user + kernel) as f64 / ticks_per_second()))
    }

    /// Its memory: `VmRSS` and `VmHWM` of /proc/PID/status.
    ///
    /// # Errors
    /// If the process has ended.
    pub fn memory(self) -> Result<Memory> {
        let path = self.file("status");
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("{}: the process has ended", path.display()))?;
        let kibibytes = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            let number = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
            number.with_context(|| format!("no {name} in {}", path.display()))
        };
        Ok(Memory { resident: kibibytes("VmRSS:")? << 10, peak: kibibytes("VmHWM:")? << 10 })
    }

    /// Lets the peak start anew from what is resident now (proc_pid_clear_refs(5)).
    ///
    /// # Errors
    /// If the process has ended, or the system does not allow it.
    pub fn forget_peak(self) -> Result<()> {
        let path = self.file("clear_refs");
        std::fs::write(&path, "5").with_context(|| path.display().to_string())
    }

    /// Lets all its threads run on these cores only. Threads that it starts later inherit that.
    ///
    /// # Errors
    /// If the process has ended, or there is no taskset(1), which is a part of util-linux.
    pub fn pin(self, cores: &[usize]) -> Result<()> {
        let cores: Vec<_> = cores.iter().map(ToString::to_string).collect();
        let mut taskset = Command::new("taskset");
        taskset.args(["--all-tasks", "--cpu-list", "--pid", &cores.join(",")]);
        let output = taskset.arg(self.0.to_string()).stdin(Stdio::null()).output();
        let output = output.context("cannot run taskset, which is a part of util-linux")?;
        ensure!(output.status.success(), "taskset: {}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    }
}

/// Which cores the process under test has, and which the load.
#[derive(Clone, Debug)]
pub struct Cores {
    under_test: Vec<usize>,
    load: Vec<usize>,
}

impl Cores {
    /// The last core that this process may use for what is tested, and the others for the load.
    ///
    /// # Errors
    /// If the system does not say which cores there are.
    pub fn of_this_machine() -> Result<Self> {
        let path = Path::new("/proc/self/status");
        let status = std::fs::read_to_string(path)?;
        let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
        let all = list.and_then(cores).filter(|cores| !cores.is_empty());
        let all = all.with_context(|| format!("no Cpus_allowed_list in {}", path.display()))?;
        let (load, under_test) = all.split_at(all.len() - 1);
        let load = if load.is_empty() { under_test } else { load };
        Ok(Self { under_test: under_test.to_vec(), load: load.to_vec() })
    }

    /// Whether the load has cores of its own, for a process under test with so many workers.
    #[must_use]
    pub fn apart(&self, workers: usize) -> bool {
        self.load != self.under_test && self.load.len() >= workers
    }

    /// How many cores there are.
    #[must_use]
    pub fn count(&self) -> usize {
        if self.load == self.under_test { 1 } else { self.load.len() + 1 }
    }

    /// The cores for a process under test with so many workers. If there are two workers, it shares the second core
    /// with the load.
    #[must_use]
    pub fn under_test(&self, workers: usize) -> Vec<usize> {
        let more = self.load.iter().rev().take(workers.saturating_sub(1));
        self.under_test.iter().chain(more).copied().collect()
    }

    /// How many cores the load has.
    #[must_use]
    pub fn for_load(&self) -> usize {
        self.load.len()
    }

    /// Lets this process, with all threads that it starts from now on, run on the cores for the load.
    ///
    /// # Errors
    /// As [`Process::pin`].
    pub fn keep_to_load(&self) -> Result<()> {
        Process::new(std::process::id()).pin(&self.load)
    }
}

/// The numbers in a list such as `0-2,5`.
fn cores(list: &str) -> Option<Vec<usize>> {
    let mut cores = Vec::new();
    for part in list.trim().split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        cores.extend(first.parse::<usize>().ok()?..=last.parse().ok()?);
    }
    Some(cores)
}

fn ticks_per_second() -> f64 {
    rustix::param::clock_ticks_per_second() as f64
}

/// How long the cores of the machine have been busy with processes so far, or taken away from it: `user`, `nice`,
/// `system` and `steal` of the first line of /proc/stat (proc_stat(5)). Interrupts are left out, because the system
/// also charges no process for them; those of the loopback interface come with the load.
fn busy() -> Duration {
    let text = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let line = text.lines().next().unwrap_or_default();
    let fields = line.split_ascii_whitespace().skip(1).map(|field| field.parse().unwrap_or(0));
    let fields: Vec<u64> = fields.collect();
    let ticks = [0, 1, 2, 7].map(|index| fields.get(index).copied().unwrap_or(0));
    Duration::from_secs_f64(ticks.iter().sum::<u64>() as f64 / ticks_per_second())
}

/// A span of time in which a process is watched.
#[derive(Debug)]
pub struct Watch {
    process: Process,
    from: Instant,
    cpu: Duration,
    ours: Duration,
    busy: Duration,
}

/// What was seen.
#[derive(Clone, Copy, Debug)]
pub struct Watched {
    /// The time that went by.
    pub wall: Duration,
    /// The CPU time of the process.
    pub cpu: Duration,
    /// How many cores, on average, were busy with something that is neither the process nor the load.
    pub others: f64,
}

impl Watch {
    /// Starts to watch.
    ///
    /// # Errors
    /// If the process has ended.
    pub fn start(process: Process) -> Result<Self> {
        let ours = Process::new(std::process::id()).cpu()?;
        Ok(Self { process, from: Instant::now(), cpu: process.cpu()?, ours, busy: busy() })
    }

    /// Ends it.
    ///
    /// # Errors
    /// If the process has ended.
    pub fn end(self) -> Result<Watched> {
        let cpu = self.process.cpu()?.saturating_sub(self.cpu);
        let wall = self.from.elapsed();
        let ours = Process::new(std::process::id()).cpu()?.saturating_sub(self.ours);
        let others = busy().saturating_sub(self.busy).saturating_sub(cpu + ours);
        Ok(Watched { wall, cpu, others: others.as_secs_f64() / wall.as_secs_f64() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_seen_as_cpu_time_and_memory_as_memory() {
        let this = Process::new(std::process::id());
        let before = this.cpu().unwrap();
        let held = vec![1_u8; 64 << 20];
        let sum = || held.iter().map(|&byte| u64::from(byte)).sum::<u64>();
        assert_eq!(sum(), 64 << 20);
        while this.cpu().unwrap() < before + Duration::from_millis(30) {
            std::hint::black_box(sum());
        }
        let memory = this.memory().unwrap();
        assert!(memory.resident > 64 << 20 && memory.peak >= memory.resident, "{memory:?}");
    }

    #[test]
    fn one_worker_never_shares_its_core_with_the_load_unless_there_is_only_one() {
        let two = Cores { under_test: vec![1], load: vec![0] };
        assert_eq!((two.under_test(1), two.apart(1), two.count()), (vec![1], true, 2));
        assert_eq!((two.under_test(2), two.apart(2)), (vec![1, 0], false));
        let one = Cores { under_test: vec![0], load: vec![0] };
        assert_eq!((one.under_test(1), one.apart(1), one.count()), (vec![0], false, 1));
    }

    #[test]
    fn lists_of_cores_are_read() {
        assert_eq!(cores("\t0-2,5\n"), Some(vec![0, 1, 2, 5]));
        assert_eq!(cores("3"), Some(vec![3]));
        assert_eq!(cores(""), None);
    }

    #[test]
    fn a_process_is_kept_to_its_cores() {
        let mut sleep = Command::new("sleep").arg("60").spawn().unwrap();
        let last = *Cores::of_this_machine().unwrap().under_test.last().unwrap();
        Process::new(sleep.id()).pin(&[last]).unwrap();
        let status = std::fs::read_to_string(format!("/proc/{}/status", sleep.id())).unwrap();
        sleep.kill().unwrap();
        sleep.wait().unwrap();
        assert!(status.contains(&format!("Cpus_allowed_list:\t{last}\n")), "{status}");
    }
}
