//! Everything together: backends, certificates, configuration, Envoy.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitStatus,
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

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

/// How long Envoy may take to be ready. It is there within two seconds; a machine that builds at the same time is
/// slower.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often Envoy is asked whether it is ready.
const GLANCE: Duration = Duration::from_millis(25);

/// How much of Envoy's log an error carries, in lines.
const LAST_LINES: usize = 30;

/// What to start, and where.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where certificates, configuration and log go; made if it is not there. Another run must not use it at the same
    /// time.
    pub run_dir: PathBuf,
    /// Envoy's configuration for containers, as YAML or JSON, in place of `envoy.yaml`. It must have that file's paths,
    /// and its names of listeners, clusters and filters.
    pub envoy: Option<String>,
    /// The wasm module.
    pub module: PathBuf,
    /// OTLP/gRPC; 0 takes a free port, on 127.0.0.1 alone.
    pub grpc_port: u16,
    /// OTLP/HTTP; 0 as above.
    pub http_port: u16,
    /// Envoy's admin interface; 0 as above.
    pub admin_port: u16,
    /// The backends' ports.
    pub backends: Ports,
    /// Whether the gate holds the headers until it has read the body.
    pub hold_headers: bool,
    /// Merged over the gate's configuration in `envoy.yaml` (RFC 7396, so null removes).
    pub gate: Option<Value>,
    /// Envoy's worker threads.
    pub concurrency: u32,
    /// Listeners beside the two, each on a free port of 127.0.0.1.
    pub listeners: Vec<Listener>,
    /// Clusters beside those of `envoy.yaml`.
    pub clusters: Vec<Cluster>,
    /// Merged over those of these names (RFC 7396), beneath their addresses.
    pub cluster_settings: BTreeMap<String, Value>,
}

impl Default for Options {
    /// Free ports, headers held, one worker, `dist/sluice.wasm`, and a run folder of its own under `.run/`.
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

/// The folder of the workspace that this was built from.
#[must_use]
pub fn workspace_root() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here)
}

/// Why the gate did not start. Whatever had been started by then has been ended.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Some of the ports cannot be had.
    #[error(transparent)]
    Ports(#[from] PortsTaken),
    /// The module has not been built.
    #[error("{} is not there: build it with `make wasm`", .0.display())]
    NoModule(PathBuf),
    /// No Envoy.
    #[error(transparent)]
    Envoy(#[from] EnvoyError),
    /// A backend did not start.
    #[error(transparent)]
    Backends(#[from] sluice_stand_ins::StartError),
    /// No certificates.
    #[error(transparent)]
    Pki(#[from] PkiError),
    /// No configuration for this machine.
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
    /// Envoy ended instead of getting ready: most often it refused the configuration, the gate's part included.
    #[error("Envoy ended before it was ready ({status}). The last of {}:\n{last_lines}", log.display())]
    Ended {
        /// How it ended.
        status: String,
        /// Its log.
        log: PathBuf,
        /// The end of the log.
        last_lines: String,
    },
    /// Envoy runs but does not get ready.
    #[error("Envoy is not ready after {} s. The last of {}:\n{last_lines}", PATIENCE.as_secs(), log.display())]
    NotReady {
        /// Its log.
        log: PathBuf,
        /// The end of the log.
        last_lines: String,
    },
    /// Envoy does not say where it listens.
    #[error(transparent)]
    Admin(#[from] AdminError),
}

/// The running gate. Dropping it ends everything at once; [`Stack::stop`] does it in order.
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
    /// Starts the backends in this process and Envoy beside it, and waits until Envoy takes requests.
    ///
    /// # Errors
    /// [`StartError`] says what is missing or in the way, and what to do. Nothing is left running then.
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

    /// Where OTLP/gRPC is taken. Like all of them an IPv4 loopback address; fixed ports are open on the IPv6 one too.
    #[must_use]
    pub fn grpc_addr(&self) -> SocketAddr {
        self.grpc
    }

    /// Where OTLP/HTTP is taken.
    #[must_use]
    pub fn http_addr(&self) -> SocketAddr {
        self.http
    }

    /// Where the listener of [`Options::listeners`] with this name listens.
    #[must_use]
    pub fn listener(&self, name: &str) -> Option<SocketAddr> {
        self.listeners.get(name).copied()
    }

    /// Where Envoy's admin interface listens.
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

    /// What Envoy, and the module in it, has logged so far.
    pub async fn envoy_log(&self) -> String {
        read(&self.log).await
    }

    /// The file that Envoy logs to.
    #[must_use]
    pub fn envoy_log_path(&self) -> &Path {
        &self.log
    }

    /// The end of Envoy's log: what to show a person when it has ended by itself.
    pub async fn envoy_last_lines(&self) -> String {
        last_lines(&self.log).await
    }

    /// Envoy's process.
    #[must_use]
    pub fn envoy_pid(&self) -> u32 {
        self.envoy.pid()
    }

    /// Waits until Envoy has ended by itself, and says how, where that is known.
    pub async fn envoy_ended(&self) -> Option<ExitStatus> {
        self.envoy.ended().await
    }

    /// Ends Envoy, then the backends.
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
        // An earlier run's address must not be taken for this one's.
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
            status: status.map_or_else(|| "how is not known".to_owned(), |status| status.to_string()),
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

/// A file that is not there (yet) reads as empty; a log may hold whatever a sender sent.
async fn read(path: &Path) -> String {
    let bytes = tokio::fs::read(path).await.unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

fn write(path: &Path, text: &str) -> Result<(), StartError> {
    std::fs::write(path, text).map_err(|source| StartError::Write { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests;
