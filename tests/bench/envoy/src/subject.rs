//! The programs under test: Envoy with and without the gate, all from the one `envoy-local/envoy.yaml` that is shipped,
//! and other programs that hold to the same rule about records.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use envoy_local::{Options, Pki, Stack, workspace_root};
use serde_json::{Value, json};
use tokio::{
    net::TcpStream,
    process::{Child, Command},
};

use crate::{payload::Encoding, process::Process, sink::Sink};

/// What is measured, one column each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Variant {
    /// Envoy with the same listener, TLS and route, and without a filter.
    Bare,
    /// The same without the access log.
    NoLog,
    /// Bare Envoy with its own filter that holds head and body until the body has arrived.
    Buffer,
    /// The gate as shipped.
    Gate,
    /// The gate without the Lua filter after it.
    NoLua,
    /// The gate with `holdHeaders: false`.
    NotHeld,
    /// The gate with `senders` and `tenant` alone: it reads no body.
    TenantAlone,
    /// The gate without `senders`, and with one tenant for all.
    SendersOff,
    /// The gate without `records`.
    RecordsOff,
    /// The OpenTelemetry Collector with the same rule about records.
    Collector,
    /// Rotel, without TLS and without rules.
    Rotel,
}

impl Variant {
    /// The name in tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Bare => "bare Envoy",
            Self::NoLog => "bare, no access log",
            Self::Buffer => "bare + buffer",
            Self::Gate => "gate, head held",
            Self::NoLua => "without Lua",
            Self::NotHeld => "head not held",
            Self::TenantAlone => "tenant alone",
            Self::SendersOff => "senders off",
            Self::RecordsOff => "records off",
            Self::Collector => "Collector",
            Self::Rotel => "Rotel",
        }
    }

    /// Whether the rule about records is in force.
    #[must_use]
    pub fn checks_records(self) -> bool {
        matches!(
            self,
            Self::Gate | Self::NoLua | Self::NotHeld | Self::SendersOff | Self::Collector
        )
    }

    /// Whether it tells senders how many records it has dropped.
    #[must_use]
    pub fn tells_of_drops(self) -> bool {
        self.checks_records() && self != Self::Collector
    }
}

/// How a program under test is set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Setup {
    /// What is measured.
    pub variant: Variant,
    /// Whether senders need a certificate. Rotel supports none.
    pub tls: bool,
    /// Envoy's worker threads; for others the number of cores.
    pub workers: usize,
    /// The entries of the allowlist; `None` for the list that is shipped.
    pub allow: Option<usize>,
    /// Whether a collector forwards in gzip.
    pub compresses: bool,
}

impl Setup {
    /// One worker, and mutual TLS where there is any.
    #[must_use]
    pub fn new(variant: Variant, encoding: Encoding) -> Self {
        let peer = matches!(variant, Variant::Collector | Variant::Rotel);
        Self {
            variant,
            tls: variant != Variant::Rotel,
            workers: 1,
            allow: None,
            compresses: peer && encoding != Encoding::Plain,
        }
    }

    /// A name for its folder, and for messages.
    #[must_use]
    pub fn name(&self) -> String {
        let mut name = self.variant.name().replace([',', '+'], "").replace(' ', "-");
        name.extend((!self.tls && self.variant != Variant::Rotel).then_some("-plain"));
        name.extend(self.compresses.then_some("-gzip"));
        name.extend(self.allow.map(|entries| format!("-{entries}-entries")));
        name.extend((self.workers != 1).then(|| format!("-{}-workers", self.workers)));
        name
    }
}

/// A running program under test. Dropping it ends it.
#[derive(Debug)]
pub struct Subject {
    /// Its process.
    pub process: Process,
    /// The address for OTLP over HTTP, and over gRPC too unless `grpc` is another.
    pub http: SocketAddr,
    /// The address for OTLP over gRPC.
    pub grpc: SocketAddr,
    /// The time from its start until it accepted requests.
    pub ready_after: Duration,
    program: Program,
}

#[derive(Debug)]
enum Program {
    Envoy(Box<Stack>),
    Peer { child: Box<Child>, log: PathBuf },
}

impl Subject {
    /// Starts it and waits until it accepts connections. Everything it forwards goes to the sink.
    ///
    /// # Errors
    /// Says what is missing and how to get it, or why the program does not start.
    pub async fn start(setup: Setup, pki: &Pki, sink: &Sink, folder: &Path) -> Result<Self> {
        let folder = folder.join(setup.name());
        let from = Instant::now();
        let mut subject = match setup.variant {
            Variant::Collector => collector(setup, pki, sink, &folder).await,
            Variant::Rotel => rotel(setup, sink, &folder).await,
            _ => envoy(setup, pki, sink, folder).await,
        }
        .with_context(|| format!("{} does not start", setup.name()))?;
        subject.ready_after = from.elapsed();
        Ok(subject)
    }

    /// Empties the log, which has a line for every request.
    ///
    /// # Errors
    /// If the log cannot be written.
    pub fn empty_log(&self) -> Result<()> {
        let log = self.log();
        let file = std::fs::File::options().write(true).open(log);
        file.and_then(|file| file.set_len(0)).with_context(|| log.display().to_string())
    }

    /// The file with its log.
    #[must_use]
    pub fn log(&self) -> &Path {
        match &self.program {
            Program::Envoy(stack) => stack.envoy_log_path(),
            Program::Peer { log, .. } => log,
        }
    }

    /// Ends it.
    ///
    /// # Errors
    /// If the process cannot be ended.
    pub async fn stop(self) -> Result<()> {
        match self.program {
            Program::Envoy(stack) => stack.stop().await,
            Program::Peer { mut child, .. } => child.kill().await?,
        }
        Ok(())
    }
}

async fn envoy(setup: Setup, pki: &Pki, sink: &Sink, folder: PathBuf) -> Result<Subject> {
    let options = Options {
        run_dir: folder,
        hold_headers: setup.variant != Variant::NotHeld,
        gate: Some(gate(setup)),
        concurrency: u32::try_from(setup.workers)?,
        patch: serde_json::from_value(patch(setup, pki.folder(), sink))?,
        ..Options::default()
    };
    let stack = Stack::start(options).await?;
    Ok(Subject {
        process: Process::new(stack.envoy_pid()),
        http: stack.http_addr(),
        grpc: stack.grpc_addr(),
        ready_after: Duration::ZERO,
        program: Program::Envoy(Box::new(stack)),
    })
}

/// What differs from the gate's configuration in `envoy.yaml` (RFC 7396).
fn gate(setup: Setup) -> Value {
    let mut gate = match setup.variant {
        Variant::TenantAlone => json!({ "records": null, "backends": null }),
        Variant::RecordsOff => json!({ "records": null }),
        Variant::SendersOff => without_senders(),
        // Without TLS there is no certificate to identify a sender by.
        _ if !setup.tls => without_senders(),
        _ => json!({}),
    };
    if let Some(entries) = setup.allow {
        gate["senders"] = json!({ "allow": allowlist(entries) });
    }
    gate
}

fn without_senders() -> Value {
    json!({ "senders": null, "tenant": { "fromNamespace": null, "fixed": "payments" } })
}

/// An allowlist with entries of three kinds, of which the last allows the sender of the load.
fn allowlist(entries: usize) -> Vec<Value> {
    let other = |entry: usize| match entry % 3 {
        0 => json!({ "namespace": format!("group{entry:05}-*") }),
        1 => json!({ "namespace": format!("shop-{entry}"), "until": "2035-01-01T00:00:00Z" }),
        _ => json!({ "namespace": format!("shop-{entry}"), "serviceAccount": "otel-*" }),
    };
    let payments = json!({ "namespace": "payments" });
    (1..entries).map(other).chain([payments]).collect()
}

/// What differs from `envoy.yaml` besides (RFC 6902). The operation `test` makes the benchmark fail if the file has
/// changed its order, so that no column measures something else than it says.
fn patch(setup: Setup, certificates: &Path, sink: &Sink) -> Value {
    let mut operations = Vec::new();
    let mut test = |path: &str, value: &str| {
        operations.push(json!({ "op": "test", "path": path, "value": value }));
    };
    for (index, cluster) in CLUSTERS.iter().enumerate() {
        test(&format!("/static_resources/clusters/{index}/name"), cluster);
    }
    for listener in LISTENERS {
        test(&format!("{listener}{FILTERS}/0/name"), "sluice");
        test(&format!("{listener}{FILTERS}/1/name"), "header_only");
    }
    let mut replace = |path: &str, value: Value| {
        operations.push(json!({ "op": "replace", "path": path, "value": value }));
    };
    for (index, cluster) in CLUSTERS.iter().enumerate() {
        let address = if *cluster == "tempo-grpc" { sink.grpc() } else { sink.http() };
        let path = format!("/static_resources/clusters/{index}{PORT}");
        replace(&path, address.port().into());
    }
    for listener in LISTENERS {
        for (pointer, file) in [
            ("tls_certificates/0/certificate_chain", "server.pem"),
            ("tls_certificates/0/private_key", "server.key"),
            ("validation_context/trusted_ca", "ca.pem"),
        ] {
            let path =
                format!("{listener}{TLS}/typed_config/common_tls_context/{pointer}/filename");
            replace(&path, certificates.join(file).to_string_lossy().into());
        }
        // Without the gate's header, the path decides: gRPC is forwarded as gRPC, the rest to one cluster.
        if is_bare(setup.variant) || setup.variant == Variant::TenantAlone {
            let routes = format!("{listener}{ROUTES}");
            let to = |cluster: &str, prefix: &str| json!({ "match": { "prefix": prefix }, "route": { "cluster": cluster, "timeout": "30s" } });
            let both = json!([to("tempo-grpc", "/opentelemetry."), to("loki", "/")]);
            replace(&routes, both);
        }
    }
    if setup.variant == Variant::Buffer {
        let buffer = json!({
            "name": "buffer",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.http.buffer.v3.Buffer",
                "max_request_bytes": 83_886_080,
            },
        });
        for listener in LISTENERS {
            replace(&format!("{listener}{FILTERS}/0"), buffer.clone());
        }
    }
    let mut remove = |path: String| operations.push(json!({ "op": "remove", "path": path }));
    for listener in LISTENERS {
        if is_bare(setup.variant) || setup.variant == Variant::NoLua {
            remove(format!("{listener}{FILTERS}/1"));
        }
        if is_bare(setup.variant) && setup.variant != Variant::Buffer {
            remove(format!("{listener}{FILTERS}/0"));
        }
        if setup.variant == Variant::NoLog {
            remove(format!("{listener}{LOG}"));
        }
        if !setup.tls {
            remove(format!("{listener}{TLS}"));
        }
    }
    operations.into()
}

/// Whether the gate and its Lua filter are taken out.
fn is_bare(variant: Variant) -> bool {
    matches!(variant, Variant::Bare | Variant::NoLog | Variant::Buffer)
}

const CLUSTERS: [&str; 5] = ["loki", "mimir", "tempo", "tempo-grpc", "pyroscope"];

const PORT: &str =
    "/load_assignment/endpoints/0/lb_endpoints/0/endpoint/address/socket_address/port_value";

const LISTENERS: [&str; 2] = [
    "/static_resources/listeners/0/filter_chains/0",
    "/static_resources/listeners/1/filter_chains/0",
];

const TLS: &str = "/transport_socket";

const FILTERS: &str = "/filters/0/typed_config/http_filters";

const LOG: &str = "/filters/0/typed_config/access_log";

const ROUTES: &str = "/filters/0/typed_config/route_config/virtual_hosts/0/routes";

/// Where `make bench-envoy` builds the Collector.
#[must_use]
pub fn collector_program() -> PathBuf {
    workspace_root().join(".cache/bench/collector")
}

/// Where `make rotel` puts Rotel.
#[must_use]
pub fn rotel_program() -> PathBuf {
    workspace_root().join(".cache/rotel/rotel/rotel-agent")
}

async fn collector(setup: Setup, pki: &Pki, sink: &Sink, folder: &Path) -> Result<Subject> {
    let program = collector_program();
    ensure!(program.is_file(), "{} not found: build it with `make bench-envoy`", program.display());
    let [grpc, http] = free_addresses()?;
    let tls = json!({
        "cert_file": pki.folder().join("server.pem"),
        "key_file": pki.folder().join("server.key"),
        "client_ca_file": pki.ca_pem(),
    });
    let receiver = |address: SocketAddr| json!({ "endpoint": address.to_string(), "tls": tls });
    let endpoint = |path: &str| format!("http://{}{path}", sink.http());
    let lacks = |what: &str| format!("{what} == nil or {what} == \"\"");
    let pipeline =
        json!({ "receivers": ["otlp"], "processors": ["filter"], "exporters": ["otlp_http"] });
    let config = json!({
        "receivers": { "otlp": { "protocols": { "grpc": receiver(grpc), "http": receiver(http) } } },
        "processors": { "filter": {
            "error_mode": "ignore",
            "logs": { "log_record": [lacks("resource.attributes[\"source.name\"]")] },
            "metrics": { "datapoint": [lacks("attributes[\"source.name\"]")] },
            "traces": { "span": [lacks("resource.attributes[\"source.name\"]")] },
        } },
        "exporters": { "otlp_http": {
            "logs_endpoint": endpoint("/otlp/v1/logs"),
            "metrics_endpoint": endpoint("/otlp/v1/metrics"),
            "traces_endpoint": endpoint("/v1/traces"),
            "compression": if setup.compresses { "gzip" } else { "none" },
            "headers": { "X-Scope-OrgID": "payments" },
            // The sender waits until the backend has answered, as with the gate.
            "sending_queue": { "enabled": false },
            "retry_on_failure": { "enabled": false },
        } },
        "service": {
            "telemetry": { "metrics": { "level": "none" }, "logs": { "level": "warn" } },
            "pipelines": { "logs": pipeline, "metrics": pipeline, "traces": pipeline },
        },
    });
    std::fs::create_dir_all(folder)?;
    let path = folder.join("collector.yaml");
    // JSON is YAML.
    std::fs::write(&path, format!("{config:#}"))?;
    let mut command = Command::new(program);
    command.arg("--config").arg(path).env("GOMAXPROCS", setup.workers.to_string());
    peer(command, [grpc, http], folder).await
}

async fn rotel(setup: Setup, sink: &Sink, folder: &Path) -> Result<Subject> {
    let program = rotel_program();
    ensure!(program.is_file(), "{} not found: download it with `make rotel`", program.display());
    let [grpc, http] = free_addresses()?;
    let compression = if setup.compresses { "gzip" } else { "none" };
    let mut command = Command::new(program);
    command.args(["start", "--disable-batching", "--exporter", "otlp"]);
    for (name, value) in [
        ("--otlp-grpc-endpoint", grpc.to_string()),
        ("--otlp-http-endpoint", http.to_string()),
        ("--otlp-exporter-protocol", "http".to_owned()),
        ("--otlp-exporter-endpoint", format!("http://{}", sink.http())),
        ("--otlp-exporter-compression", compression.to_owned()),
    ] {
        command.arg(name).arg(value);
    }
    std::fs::create_dir_all(folder)?;
    peer(command, [grpc, http], folder).await
}

/// Starts a program and waits until it listens.
async fn peer(
    mut command: Command,
    [grpc, http]: [SocketAddr; 2],
    folder: &Path,
) -> Result<Subject> {
    // Settings in the environment would make it another program than the configuration says.
    for (name, _) in std::env::vars_os() {
        let decides = ["OTEL_", "ROTEL_", "RUST_LOG", "GOGC", "GOMEMLIMIT", "GODEBUG"];
        if decides.iter().any(|one| name.to_string_lossy().starts_with(one)) {
            command.env_remove(name);
        }
    }
    let log = folder.join("log");
    // Emptied while the program writes to it, so it must write at the end, wherever that is.
    std::fs::write(&log, "")?;
    let file = std::fs::File::options().append(true).open(&log)?;
    command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
    // Ctrl-C is for this process, which then ends the other.
    let mut child = command.process_group(0).kill_on_drop(true).spawn()?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        let said =
            || String::from_utf8_lossy(&std::fs::read(&log).unwrap_or_default()).into_owned();
        if let Some(status) = child.try_wait()? {
            bail!("it has ended ({status}):\n{}", said());
        }
        if TcpStream::connect(http).await.is_ok() && TcpStream::connect(grpc).await.is_ok() {
            break;
        }
        ensure!(Instant::now() < deadline, "it does not listen after {PATIENCE:?}:\n{}", said());
        tokio::time::sleep(GLANCE).await;
    }
    let process = Process::new(child.id().context("it has just ended")?);
    let program = Program::Peer { child: Box::new(child), log };
    Ok(Subject { process, http, grpc, ready_after: Duration::ZERO, program })
}

/// How long a program may take until it listens.
const PATIENCE: Duration = Duration::from_secs(60);

/// The time between two looks.
const GLANCE: Duration = Duration::from_millis(20);

/// Two ports that were free a moment ago: neither of the programs supports port 0.
fn free_addresses() -> std::io::Result<[SocketAddr; 2]> {
    let listen = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    let listeners = [listen()?, listen()?];
    let [grpc, http] = listeners.each_ref().map(TcpListener::local_addr);
    Ok([grpc?, http?])
}
