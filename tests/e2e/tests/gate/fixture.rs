//! The gates that the cases share, one case at a time.

use std::{
    collections::HashMap,
    fmt,
    future::Future,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use envoy_local::{Options, SenderName, Stack};
use serde_json::{Value, json};
use sluice_e2e::{Export, Protocol, Signal};
use sluice_stand_ins::Store;
use tokio::{runtime::Runtime, sync::Mutex};

/// The limits of [`Limits::Small`], in bytes: for a body, and for a decoded body.
pub(crate) const SMALL: (usize, usize) = (65_536, 262_144);

/// The timeout of one case: longer than the slowest takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(180);

/// A way to run the gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Setup {
    pub(crate) headers: Headers,
    pub(crate) limits: Limits,
}

/// The configuration's `holdHeaders`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Headers {
    Held,
    Sent,
}

impl Headers {
    pub(crate) const ALL: [Self; 2] = [Self::Held, Self::Sent];
}

impl fmt::Display for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Held => "held headers",
            Self::Sent => "sent headers",
        })
    }
}

/// The configuration's `limits`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Limits {
    Usual,
    Small,
}

/// The gates that have been started, and their runtime.
pub(crate) struct Gates {
    runtime: Runtime,
    started: Mutex<HashMap<Setup, Result<Arc<Gate>, String>>>,
}

impl Gates {
    pub(crate) fn new() -> Self {
        // The admin client needs a crypto provider even if nothing is encrypted.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
        Self { runtime: runtime.expect("a tokio runtime"), started: Mutex::default() }
    }

    /// Runs a case when its gate is free, with empty backends.
    pub(crate) fn run(
        &self,
        setup: Setup,
        case: for<'g> fn(&'g Gate) -> Pin<Box<dyn Future<Output = ()> + 'g>>,
    ) -> Result<(), String> {
        self.runtime.block_on(async {
            let gate = self.started(setup).await?;
            let _turn = gate.turn.lock().await;
            gate.store().clear();
            let case = tokio::time::timeout(PATIENCE, case(&gate)).await;
            case.map_err(|_| format!("not done after {PATIENCE:?}"))
        })
    }

    /// A gate that failed to start is not tried again: each of its cases fails with the reason.
    async fn started(&self, setup: Setup) -> Result<Arc<Gate>, String> {
        let mut started = self.started.lock().await;
        match started.get(&setup) {
            Some(gate) => gate.clone(),
            None => started
                .entry(setup)
                .insert_entry(Gate::start(setup).await.map(Arc::new))
                .get()
                .clone(),
        }
    }

    /// Stops all gates. After a failure, it prints the last warnings and errors of each Envoy.
    pub(crate) fn stop(&self, failed: bool) {
        self.runtime.block_on(async {
            for (setup, gate) in self.started.lock().await.drain() {
                let Ok(gate) = gate else { continue };
                if failed {
                    eprintln!("{}, {:?} limits:", setup.headers, setup.limits);
                    gate.complaints().await.iter().for_each(|line| eprintln!("{line}"));
                }
                match Arc::try_unwrap(gate) {
                    Ok(gate) => gate.stack.stop().await,
                    Err(_) => {
                        eprintln!("a case still has its gate: its Envoy ends with this process");
                    }
                }
            }
        });
    }
}

/// A gate in Envoy, with its backends and senders.
pub(crate) struct Gate {
    setup: Setup,
    stack: Stack,
    turn: Mutex<()>,
    runs: AtomicU32,
    _run_dir: tempfile::TempDir,
}

impl Gate {
    async fn start(setup: Setup) -> Result<Self, String> {
        let run_dir = tempfile::tempdir().map_err(|error| error.to_string())?;
        let gate = match setup.limits {
            Limits::Usual => None,
            Limits::Small => {
                Some(json!({"limits": {"bodyBytes": SMALL.0, "decodedBytes": SMALL.1}}))
            }
        };
        let options = Options {
            run_dir: run_dir.path().to_owned(),
            hold_headers: setup.headers == Headers::Held,
            gate,
            ..Options::default()
        };
        let stack = Stack::start(options).await.map_err(|error| error.to_string())?;
        Ok(Self {
            setup,
            stack,
            turn: Mutex::default(),
            runs: AtomicU32::new(0),
            _run_dir: run_dir,
        })
    }

    /// Whether this gate holds the headers until it has seen the body.
    pub(crate) fn holds_headers(&self) -> bool {
        self.setup.headers == Headers::Held
    }

    /// The store of the backends.
    pub(crate) fn store(&self) -> &Store {
        self.stack.backends().store()
    }

    pub(crate) fn addr(&self, protocol: Protocol) -> SocketAddr {
        match protocol {
            Protocol::Grpc => self.stack.grpc_addr(),
            Protocol::Http => self.stack.http_addr(),
        }
    }

    pub(crate) fn pki(&self) -> &envoy_local::Pki {
        self.stack.pki()
    }

    /// An export of this sender with a new run id.
    pub(crate) fn export(&self, sender: SenderName, protocol: Protocol, signal: Signal) -> Export {
        let files = self.pki().sender(sender);
        let identity = [self.pki().ca_pem().to_owned(), files.cert.clone(), files.key.clone()];
        let run = self.runs.fetch_add(1, Ordering::Relaxed);
        Export::new(
            protocol,
            signal,
            self.addr(protocol).to_string(),
            identity,
            format!("run-{run}"),
        )
    }

    /// Envoy's memory in bytes, from a field of `/proc/PID/status` (proc_pid_status(5)).
    pub(crate) fn envoy_memory(&self, field: &str) -> u64 {
        let path = format!("/proc/{}/status", self.stack.envoy_pid());
        let status = std::fs::read_to_string(&path).expect("the status of a running Envoy");
        let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        kibibytes.unwrap_or_else(|| panic!("{path} has no {field}:\n{status}")) * 1024
    }

    /// The last lines of Envoy's log above level info, including those of the module.
    async fn complaints(&self) -> Vec<String> {
        let log = self.stack.envoy_log().await;
        let serious = |line: &&str| {
            ["[warning]", "[error]", "[critical]"].iter().any(|level| line.contains(level))
        };
        let mut lines: Vec<_> = log.lines().rev().filter(serious).take(20).collect();
        lines.reverse();
        lines.into_iter().map(str::to_owned).collect()
    }

    /// The lines of Envoy's access log.
    pub(crate) async fn access_log(&self) -> Vec<Value> {
        let log = self.stack.envoy_log().await;
        log.lines()
            .filter(|line| line.starts_with('{'))
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect()
    }

    /// The first of Envoy's gauges whose name has this ending.
    pub(crate) async fn envoy_gauge(&self, ending: &str) -> u64 {
        let url = format!("http://{}/stats?type=Gauges", self.stack.admin_addr());
        let asked = reqwest::get(url).await.and_then(reqwest::Response::error_for_status);
        let gauges = asked.expect("Envoy's admin interface").text().await.expect("its gauges");
        let mut ours = gauges.lines().filter_map(|line| line.rsplit_once(": "));
        let found = ours.find(|(name, _)| name.ends_with(ending));
        found.and_then(|(_, value)| value.parse().ok()).unwrap_or_else(|| panic!("no {ending}"))
    }

    /// The sum of Envoy's counters whose names have this ending.
    pub(crate) async fn envoy_counters(&self, ending: &str) -> u64 {
        let url = format!("http://{}/stats?type=Counters", self.stack.admin_addr());
        let asked = reqwest::get(url).await.and_then(reqwest::Response::error_for_status);
        let counters = asked.expect("Envoy's admin interface").text().await.expect("its counters");
        let ours = counters.lines().filter_map(|line| line.rsplit_once(": "));
        let ours = ours.filter(|(name, _)| name.ends_with(ending));
        ours.map(|(_, value)| value.parse::<u64>().expect("a number")).sum()
    }

    /// Resets `VmHWM` (proc_pid_clear_refs(5), value 5).
    pub(crate) fn reset_envoy_peak(&self) {
        let path = format!("/proc/{}/clear_refs", self.stack.envoy_pid());
        std::fs::write(path, "5").expect("the peak of our own Envoy can be reset");
    }
}

/// Waits until a condition is true, up to a limit.
pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    const WAIT: Duration = Duration::from_secs(5);
    let asked = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    if tokio::time::timeout(WAIT, asked).await.is_err() {
        panic!("still not so after {WAIT:?}: {what}");
    }
}
