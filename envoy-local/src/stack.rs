//! Starts everything together: backends, certificates, configuration, Envoy.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitStatus,
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use json_patch::Patch;
use serde_json::Value;
use sluice_stand_ins::{Backends, Ports};

use crate::{
    AdminError, ConfigError, EnvoyError, Pki, PkiError, PortsTaken, admin, config,
    config::{Cluster, ENVOY_YAML, HEADER_ONLY_LUA, Listener, Local},
    envoy,
    envoy::{Envoy, Start},
    ports,
    ports::Wanted,
};

/// How long Envoy may take to be ready. It needs less than two seconds, and more on a machine that builds at the same
/// time.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often Envoy is asked whether it is ready.
const GLANCE: Duration = Duration::from_millis(25);

/// How many lines of Envoy's log an error contains.
const LAST_LINES: usize = 30;

/// What to start, and where.
#[derive(Clone, Debug)]
pub struct Options {
    /// The folder for certificates, configuration and log; created if it does not exist. Two runs must not use it at
    /// the same time.
    pub run_dir: PathBuf,
    /// Envoy's configuration for containers, as YAML or JSON, instead of `envoy.yaml`. It must have the same paths, and
    /// the same names of listeners, clusters and filters.
    pub envoy: Option<String>,
    /// The wasm module.
    pub module: PathBuf,
    /// The port for OTLP/gRPC; 0 means a free port, on 127.0.0.1 only.
    pub grpc_port: u16,
    /// The port for OTLP/HTTP; 0 as above.
    pub http_port: u16,
    /// The port for Envoy's admin interface; 0 as above.
    pub admin_port: u16,
    /// The backends' ports.
    pub backends: Ports,
    /// Whether the gate holds the headers until it has read the body.
    pub hold_headers: bool,
    /// Merged over the gate's configuration in `envoy.yaml` (RFC 7396, so null removes a key).
    pub gate: Option<Value>,
    /// Envoy's worker threads.
    pub concurrency: u32,
    /// Listeners in addition to the two, each on a free port of 127.0.0.1.
    pub listeners: Vec<Listener>,
    /// Clusters in addition to those of `envoy.yaml`.
    pub clusters: Vec<Cluster>,
    /// Merged over the clusters of these names (RFC 7396); their addresses stay.
    pub cluster_settings: BTreeMap<String, Value>,
    /// Applied to the finished configuration of Envoy (RFC 6902).
    pub patch: Patch,
}

impl Default for Options {
    /// Free ports, headers held, one worker, `dist/sluice.wasm`, and a new run folder under `.run/`.
    fn default() -> Self {
        static RUNS: AtomicU32 = AtomicU32::new(0);
        let run = RUNS.fetch_add(1, Ordering::Relaxed);
        let root = workspace_root();
        Self {
            run_dir: root.join(".run").join(format!("{}-{run}", std::process::id())),
            envoy: None,
            module: root.join("dist/sluice.wasm"),
            grpc_port: 0,
            http_port: 0,
            admin_port: 0,
            backends: Ports::default(),
            hold_headers: true,
            gate: None,
            concurrency: 1,
            listeners: Vec::new(),
            clusters: Vec::new(),
            cluster_settings: BTreeMap::new(),
            patch: Patch::default(),
        }
    }
}

impl Options {
    fn ports(&self) -> [Wanted; 8] {
        let wanted = |port, purpose, variable| Wanted { port, purpose, variable };
        [
            wanted(self.grpc_port, "OTLP/gRPC", "GRPC_PORT"),
            wanted(self.http_port, "OTLP/HTTP", "HTTP_PORT"),
            wanted(self.admin_port, "Envoy's admin interface", "ADMIN_PORT"),
            wanted(self.backends.loki, "Loki's stand-in", "LOKI_PORT"),
            wanted(self.backends.mimir, "Mimir's stand-in", "MIMIR_PORT"),
            wanted(self.backends.tempo, "Tempo's stand-in", "TEMPO_PORT"),
            wanted(self.backends.tempo_grpc, "Tempo's stand-in (gRPC)", "TEMPO_GRPC_PORT"),
            wanted(self.backends.pyroscope, "Pyroscope's stand-in", "PYROSCOPE_PORT"),
        ]
    }
}

/// The folder of the workspace from which this was built.
#[must_use]
pub fn workspace_root() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here)
}

/// Why the gate did not start. Everything that had been started has been stopped again.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Some of the ports are not free.
    #[error(transparent)]
    Ports(#[from] PortsTaken),
    /// The module has not been built.
    #[error("{} not found: build it with `make wasm`", .0.display())]
    NoModule(PathBuf),
    /// Envoy could not be found or started.
    #[error(transparent)]
    Envoy(#[from] EnvoyError),
    /// A backend did not start.
    #[error(transparent)]
    Backends(#[from] sluice_stand_ins::StartError),
    /// The certificates could not be made.
    #[error(transparent)]
    Pki(#[from] PkiError),
    /// The configuration for this machine could not be made.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A file of the run could not be written.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Envoy exited before it was ready: in most cases it rejected the configuration, or the gate rejected its part.
    #[error("Envoy exited before it was ready ({status}). The last lines of {}:\n{last_lines}", log.display())]
    Ended {
        /// The exit status.
        status: String,
        /// Its log.
        log: PathBuf,
        /// The end of the log.
        last_lines: String,
    },
    /// Envoy runs, but does not become ready.
    #[error("Envoy is not ready after {} s. The last lines of {}:\n{last_lines}", PATIENCE.as_secs(), log.display())]
    NotReady {
        /// Its log.
        log: PathBuf,
        /// The end of the log.
        last_lines: String,
    },
    /// Envoy's admin interface does not report the listeners.
    #[error(transparent)]
    Admin(#[from] AdminError),
}

/// The running gate. Dropping it stops everything at once; [`Stack::stop`] stops it in order.
#[derive(Debug)]
pub struct Stack {
    listeners: BTreeMap<String, SocketAddr>,
    grpc: SocketAddr,
    http: SocketAddr,
    admin: SocketAddr,
    log: PathBuf,
    pki: Pki,
    envoy: Envoy,
    backends: Backends,
}

impl Stack {
    /// Starts the backends in this process and Envoy as another process, and waits until Envoy accepts requests.
    ///
    /// # Errors
    /// [`StartError`] says what is missing or in the way, and what to do. Nothing keeps running after an error.
    pub async fn start(options: Options) -> Result<Self, StartError> {
        ports::check(&options.ports())?;
        if !options.module.is_file() {
            return Err(StartError::NoModule(options.module));
        }
        let program = envoy::find().await?;
        let files = Files::create(&options.run_dir)?;
        let backends = Backends::start(options.backends).await?;
        let pki = Pki::create(&files.certificates)?;

        let loopback: Vec<_> = ports::loopback().collect();
        let config = config::envoy(&Local {
            envoy: options.envoy.as_deref().unwrap_or(ENVOY_YAML),
            module: &options.module,
            header_only: &files.header_only,
            certificates: &files.certificates,
            loopback: &loopback,
            grpc_port: options.grpc_port,
            http_port: options.http_port,
            admin_port: options.admin_port,
            backends: [
                ("loki", backends.loki()),
                ("mimir", backends.mimir()),
                ("tempo", backends.tempo()),
                ("tempo-grpc", backends.tempo_grpc()),
                ("pyroscope", backends.pyroscope()),
            ],
            hold_headers: options.hold_headers,
            gate: options.gate.as_ref(),
            more: &options.listeners,
            clusters: &options.clusters,
            cluster_settings: &options.cluster_settings,
            patch: &options.patch,
        })?;
        write(&files.config, &format!("{config:#}"))?;

        let envoy = Envoy::start(Start {
            program: &program,
            config: &files.config,
            admin_address: &files.admin_address,
            log: &files.log,
            concurrency: options.concurrency,
        })
        .await?;
        let admin = ready(&envoy, &files).await?;
        let more = options.listeners.iter().map(|listener| listener.name.as_str());
        let names = ["otlp_grpc", "otlp_http"].into_iter().chain(more);
        let listeners = admin::listeners(admin, names).await?;
        let (grpc, http) = (listeners["otlp_grpc"], listeners["otlp_http"]);
        Ok(Self { listeners, grpc, http, admin, log: files.log, pki, envoy, backends })
    }

    /// The address for OTLP/gRPC. Like all addresses here, it is an IPv4 loopback address; fixed ports are open on the
    /// IPv6 loopback address too.
    #[must_use]
    pub fn grpc_addr(&self) -> SocketAddr {
        self.grpc
    }

    /// The address for OTLP/HTTP.
    #[must_use]
    pub fn http_addr(&self) -> SocketAddr {
        self.http
    }

    /// The address of the listener of [`Options::listeners`] with this name.
    #[must_use]
    pub fn listener(&self, name: &str) -> Option<SocketAddr> {
        self.listeners.get(name).copied()
    }

    /// The address of Envoy's admin interface.
    #[must_use]
    pub fn admin_addr(&self) -> SocketAddr {
        self.admin
    }

    /// The stand-in backends.
    #[must_use]
    pub fn backends(&self) -> &Backends {
        &self.backends
    }

    /// The certificates.
    #[must_use]
    pub fn pki(&self) -> &Pki {
        &self.pki
    }

    /// What Envoy and the module in it have logged so far.
    pub async fn envoy_log(&self) -> String {
        read(&self.log).await
    }

    /// The file with Envoy's log.
    #[must_use]
    pub fn envoy_log_path(&self) -> &Path {
        &self.log
    }

    /// The end of Envoy's log, to show to the user when Envoy has exited by itself.
    pub async fn envoy_last_lines(&self) -> String {
        last_lines(&self.log).await
    }

    /// Envoy's process.
    #[must_use]
    pub fn envoy_pid(&self) -> u32 {
        self.envoy.pid()
    }

    /// Waits until Envoy has exited by itself, and returns how, if that is known.
    pub async fn envoy_ended(&self) -> Option<ExitStatus> {
        self.envoy.ended().await
    }

    /// Stops Envoy, then the backends.
    pub async fn stop(self) {
        self.envoy.stop().await;
        self.backends.stop().await;
    }
}

/// The files of one run.
struct Files {
    certificates: PathBuf,
    header_only: PathBuf,
    config: PathBuf,
    admin_address: PathBuf,
    log: PathBuf,
}

impl Files {
    fn create(run_dir: &Path) -> Result<Self, StartError> {
        let files = Self {
            certificates: run_dir.join("tls"),
            header_only: run_dir.join("header-only.lua"),
            config: run_dir.join("envoy.json"),
            admin_address: run_dir.join("admin-address"),
            log: run_dir.join("envoy.log"),
        };
        let made = std::fs::create_dir_all(&files.certificates);
        made.map_err(|source| StartError::Write { path: files.certificates.clone(), source })?;
        write(&files.header_only, HEADER_ONLY_LUA)?;
        // The address from an earlier run must not be mistaken for this run's.
        write(&files.admin_address, "")?;
        Ok(files)
    }
}

/// Waits until Envoy is ready and returns the address of its admin interface.
async fn ready(envoy: &Envoy, files: &Files) -> Result<SocketAddr, StartError> {
    let poll = async {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Ok(admin) = read(&files.admin_address).await.trim().parse()
                && admin::is_ready(admin).await
            {
                return Some(admin);
            }
            tokio::time::sleep(GLANCE).await;
        }
        None
    };
    let log = || files.log.clone();
    tokio::select! {
        status = envoy.ended() => Err(StartError::Ended {
            status: status.map_or_else(|| "unknown status".to_owned(), |status| status.to_string()),
            log: log(),
            last_lines: last_lines(&files.log).await,
        }),
        admin = poll => match admin {
            Some(admin) => Ok(admin),
            None => Err(StartError::NotReady { log: log(), last_lines: last_lines(&files.log).await }),
        },
    }
}

async fn last_lines(log: &Path) -> String {
    let text = read(log).await;
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(LAST_LINES)..].join("\n")
}

/// A missing file reads as empty text, because it may not have been written yet. The log may contain any bytes that a
/// sender sent.
async fn read(path: &Path) -> String {
    let bytes = tokio::fs::read(path).await.unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

fn write(path: &Path, text: &str) -> Result<(), StartError> {
    std::fs::write(path, text).map_err(|source| StartError::Write { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests;
