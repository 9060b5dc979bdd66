//! Real stores that a test starts and stops: Prometheus and single-node VictoriaMetrics, from Debian's packages of
//! these names or from `PROMETHEUS` and `VICTORIA_METRICS` (`tests/e2e/stores/fetch-stores.sh`).

mod agent;
mod query;

use std::{
    fs::File,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

pub use agent::{Agent, Target};
pub use query::{QueryError, Series};
use tokio::process::{Child, Command};

/// How long a store may take until it answers. On an idle machine it takes less than a second.
const PATIENCE: Duration = Duration::from_secs(60);

/// The time between two attempts.
const GLANCE: Duration = Duration::from_millis(50);

/// How many other ports are tried if another program takes the free port in the meantime.
const PORTS: usize = 3;

/// The kind of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Prometheus, as a receiver of remote write, and of OTLP if it supports it (2.47 and newer).
    Prometheus,
    /// VictoriaMetrics, a single node, without tenants. It supports OTLP from 1.92 on.
    VictoriaMetrics,
}

impl Kind {
    /// The name of its package and of its program.
    #[must_use]
    pub const fn package(self) -> &'static str {
        match self {
            Self::Prometheus => "prometheus",
            Self::VictoriaMetrics => "victoria-metrics",
        }
    }

    /// The path that answers 200 when the store accepts requests.
    const fn ready(self) -> &'static str {
        match self {
            Self::Prometheus => "/-/ready",
            Self::VictoriaMetrics => "/health",
        }
    }

    /// The path for remote write.
    #[must_use]
    pub const fn remote_write_path(self) -> &'static str {
        "/api/v1/write"
    }

    /// The path for OTLP metrics, if it supports them.
    #[must_use]
    pub const fn otlp_path(self) -> &'static str {
        match self {
            Self::Prometheus => "/api/v1/otlp/v1/metrics",
            Self::VictoriaMetrics => "/opentelemetry/v1/metrics",
        }
    }
}

/// Why a store did not start.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Its program could not be found or downloaded.
    #[error("{0}")]
    NotFound(String),
    /// A part of it could not be started or written.
    #[error("cannot start {program}: {source}")]
    Start {
        /// Its program.
        program: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// It runs or has exited, but was never ready.
    #[error("{program} is not ready after {} s. The last of its log:\n{last_lines}", PATIENCE.as_secs())]
    NotReady {
        /// Its program.
        program: String,
        /// The end of its log.
        last_lines: String,
    },
}

/// A running store, which is empty at the start. Dropping it kills it.
#[derive(Debug)]
pub struct Store {
    kind: Kind,
    address: SocketAddr,
    takes_otlp: bool,
    client: reqwest::Client,
    process: Child,
}

impl Store {
    /// Starts a store on a free port of 127.0.0.1 and waits until it accepts requests. Its data and its log are below
    /// `folder`, which the caller must remove afterwards.
    ///
    /// # Errors
    /// [`StoreError`] says what is missing, or what the store said last.
    pub async fn start(kind: Kind, folder: &Path) -> Result<Self, StoreError> {
        Self::configured(kind, "global: {}\n", folder).await
    }

    /// Starts Prometheus in the same way. It scrapes one target twice a second, under this name of a job.
    ///
    /// # Errors
    /// As above.
    pub async fn scraping(
        job: &str,
        target: SocketAddr,
        path: &str,
        folder: &Path,
    ) -> Result<Self, StoreError> {
        let job = serde_json::json!({
            "job_name": job, "metrics_path": path, "static_configs": [{ "targets": [target.to_string()] }],
        });
        let global = serde_json::json!({ "scrape_interval": "500ms", "scrape_timeout": "400ms" });
        // JSON is YAML.
        let config = serde_json::json!({ "global": global, "scrape_configs": [job] });
        Self::configured(Kind::Prometheus, &config.to_string(), folder).await
    }

    async fn configured(kind: Kind, config: &str, folder: &Path) -> Result<Self, StoreError> {
        let program = find(kind).await?;
        let started = |source| StoreError::Start { program: program.display().to_string(), source };
        let folder = folder.join(kind.package());
        std::fs::create_dir_all(&folder).map_err(started)?;
        let takes_otlp = takes_otlp(kind, &program).await.map_err(started)?;
        let client = reqwest::Client::builder().no_proxy().build();
        let client = client.map_err(|error| started(std::io::Error::other(error)))?;
        for _ in 0..PORTS {
            let address = free_address().map_err(started)?;
            let process =
                spawn(kind, &program, &folder, address, takes_otlp, config).map_err(started)?;
            let client = client.clone();
            let mut store = Self { kind, address, takes_otlp, client, process };
            if store.becomes_ready().await {
                return Ok(store);
            }
        }
        let log = std::fs::read(folder.join("log")).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<_> = log.lines().collect();
        let last_lines = lines[lines.len().saturating_sub(20)..].join("\n");
        Err(StoreError::NotReady { program: program.display().to_string(), last_lines })
    }

    /// The kind of this store.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// The address for HTTP.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns whether this version supports OTLP. The versions of Debian 12 do not: Prometheus 2.42, VictoriaMetrics
    /// 1.79.
    #[must_use]
    pub const fn takes_otlp(&self) -> bool {
        self.takes_otlp
    }

    /// Stops it and waits until it has exited.
    pub async fn stop(mut self) {
        // Only fails for a process that has already exited.
        let _ = self.process.kill().await;
    }

    /// Returns false if its process exits first, or if the time is over.
    async fn becomes_ready(&mut self) -> bool {
        let url = format!("http://{}{}", self.address, self.kind.ready());
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if !matches!(self.process.try_wait(), Ok(None)) {
                return false;
            }
            let reply = self.client.get(&url).send().await;
            if reply.is_ok_and(|reply| reply.status().is_success()) {
                return true;
            }
            tokio::time::sleep(GLANCE).await;
        }
        false
    }
}

/// The path of a store's program, which is downloaded if necessary.
async fn find(kind: Kind) -> Result<PathBuf, StoreError> {
    let script = envoy_local::workspace_root().join("tests/e2e/stores/fetch-stores.sh");
    let output = Command::new(&script).arg(kind.package()).output().await;
    let output = output
        .map_err(|source| StoreError::Start { program: script.display().to_string(), source })?;
    if output.status.success() {
        Ok(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim_end()))
    } else {
        Err(StoreError::NotFound(String::from_utf8_lossy(&output.stderr).trim_end().to_owned()))
    }
}

/// The path of promtool, which checks and tests Prometheus' rules. Debian's package has it beside Prometheus; beside
/// the one in the variable `PROMETHEUS` it must be there too.
///
/// # Errors
/// [`StoreError`] if there is no Prometheus, or no promtool beside it.
pub async fn promtool() -> Result<PathBuf, StoreError> {
    let promtool = find(Kind::Prometheus).await?.with_file_name("promtool");
    if promtool.is_file() {
        Ok(promtool)
    } else {
        Err(StoreError::NotFound(format!("{} not found", promtool.display())))
    }
}

/// Returns whether a program supports OTLP, according to its list of flags.
async fn takes_otlp(kind: Kind, program: &Path) -> std::io::Result<bool> {
    let (argument, flag) = match kind {
        Kind::Prometheus => ("--help-long", "web.enable-otlp-receiver"),
        Kind::VictoriaMetrics => ("--help", "-opentelemetry."),
    };
    let output = Command::new(program).arg(argument).output().await?;
    let said = [output.stdout, output.stderr].concat();
    Ok(String::from_utf8_lossy(&said).contains(flag))
}

fn free_address() -> std::io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

fn spawn(
    kind: Kind,
    program: &Path,
    folder: &Path,
    address: SocketAddr,
    takes_otlp: bool,
    prometheus: &str,
) -> std::io::Result<Child> {
    let log = File::create(folder.join("log"))?;
    let data = folder.join("data").display().to_string();
    let mut command = Command::new(program);
    match kind {
        Kind::Prometheus => {
            let config = folder.join("prometheus.yml");
            std::fs::write(&config, prometheus)?;
            command.arg(format!("--config.file={}", config.display()));
            command.arg(format!("--storage.tsdb.path={data}"));
            command.arg(format!("--web.listen-address={address}"));
            command.arg("--web.enable-remote-write-receiver");
            if takes_otlp {
                command.arg("--web.enable-otlp-receiver");
            }
        }
        Kind::VictoriaMetrics => {
            command.arg(format!("-storageDataPath={data}"));
            command.arg(format!("-httpListenAddr={address}"));
            // Data must be readable immediately after it was written.
            command.args(["-search.latencyOffset=0s", "-search.disableCache"]);
        }
    }
    command.current_dir(folder);
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).kill_on_drop(true);
    command.spawn()
}
