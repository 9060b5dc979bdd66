//! A gate under attack: one Envoy with one worker, and its visible state.

use std::{
    fmt,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use envoy_local::{Cluster, Options, SenderFiles, SenderName, Stack};
use http_body_util::{BodyExt, Full};
use hyper::{Request, StatusCode, client::conn::http1};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use serde_json::Value;
use sluice_e2e::client::{self, Alpn};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

/// The limit for Envoy's resident memory with one worker: Envoy itself, the module's code and memory
/// (`limits.workerBytes`), what waits in Envoy, and what its allocator keeps. `filters/README.md` has the figure.
const MEMORY: u64 = 1 << 30;

/// The configuration's `holdHeaders`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Held,
    Sent,
}

impl Mode {
    pub(crate) const ALL: [Self; 2] = [Self::Held, Self::Sent];
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Held => "held headers",
            Self::Sent => "sent headers",
        })
    }
}

pub(crate) struct Gate {
    stack: Stack,
    _run_dir: tempfile::TempDir,
}

impl Gate {
    /// The shipped gate, with this merged over its configuration.
    pub(crate) async fn start(mode: Mode, gate: Option<Value>, clusters: Vec<Cluster>) -> Self {
        let run_dir = tempfile::tempdir().expect("a folder for the run");
        let options = Options {
            run_dir: run_dir.path().to_owned(),
            hold_headers: mode == Mode::Held,
            gate,
            clusters,
            ..Options::default()
        };
        let stack = Stack::start(options).await.unwrap_or_else(|error| panic!("{error}"));
        Self { stack, _run_dir: run_dir }
    }

    pub(crate) async fn stop(self) {
        self.stack.stop().await;
    }

    pub(crate) fn http_addr(&self) -> SocketAddr {
        self.stack.http_addr()
    }

    /// Issues a certificate for one more namespace, which the configuration must allow.
    pub(crate) fn issue(&self, namespace: &str) -> SenderFiles {
        let issued = self.stack.pki().issue(namespace, &[format!("*.{namespace}")], &[]);
        issued.expect("a certificate")
    }

    /// A TLS connection with this sender's certificate.
    pub(crate) async fn connect(&self, sender: SenderName, alpn: Alpn) -> TlsStream<TcpStream> {
        self.connect_as(self.stack.pki().sender(sender), alpn).await
    }

    /// A TLS connection with this certificate.
    pub(crate) async fn connect_as(&self, files: &SenderFiles, alpn: Alpn) -> TlsStream<TcpStream> {
        let pki = self.stack.pki();
        let tls = client::tls(pki.ca_pem(), &files.cert, &files.key, alpn).expect("our own files");
        let stream = TcpStream::connect(self.http_addr()).await.expect("Envoy listens");
        stream.set_nodelay(true).expect("a TCP option");
        let name = ServerName::try_from("localhost").expect("a DNS name");
        let connector = TlsConnector::from(Arc::new(tls));
        connector.connect(name, stream).await.expect("a handshake with our own certificate")
    }

    /// Sends a small request of this sender over a new connection; returns the reply and how long it took.
    pub(crate) async fn ask(&self, sender: SenderName) -> (StatusCode, Duration) {
        self.ask_as(self.stack.pki().sender(sender)).await
    }

    /// The same with this certificate.
    pub(crate) async fn ask_as(&self, sender: &SenderFiles) -> (StatusCode, Duration) {
        let io = TokioIo::new(self.connect_as(sender, Alpn::Http1).await);
        let (mut client, connection) = http1::handshake(io).await.expect("HTTP/1.1");
        tokio::spawn(connection);
        let request = Request::post("/v1/logs")
            .header("host", "localhost")
            .header("content-type", "application/x-protobuf")
            .body(Full::new(small_logs()))
            .expect("a request");
        let began = Instant::now();
        let response = client.send_request(request).await.expect("a reply");
        let status = response.status();
        response.into_body().collect().await.expect("a whole reply");
        (status, began.elapsed())
    }

    /// The median time of this many requests of this sender, all of which must succeed.
    pub(crate) async fn served(&self, sender: SenderName, requests: usize) -> Duration {
        let mut times = Vec::new();
        for at in 0..requests {
            let (status, time) = self.ask(sender).await;
            assert_eq!(status, StatusCode::OK, "request {at} of {}", sender.as_str());
            times.push(time);
        }
        times.sort();
        times[times.len() / 2]
    }

    /// Asserts that the worker's VM is running and was not restarted, and that Envoy has stayed below its memory limit.
    pub(crate) async fn assert_whole(&self) {
        let url = format!("http://{}/stats?filter=wasm", self.stack.admin_addr());
        let asked = reqwest::get(url).await.and_then(reqwest::Response::error_for_status);
        let stats = asked.expect("Envoy's admin interface").text().await.expect("its counters");
        let reloads = stats.lines().filter(|line| line.contains("vm_reload"));
        let reloads: Vec<_> = reloads.filter(|line| !line.ends_with(": 0")).collect();
        assert!(reloads.is_empty(), "the worker's VM was lost: {reloads:?}");
        let log = self.stack.envoy_log().await;
        let failed: Vec<_> = log
            .lines()
            .filter(|line| line.contains("Function: proxy_on") || line.contains("panicked"))
            .collect();
        assert!(failed.is_empty(), "the module failed: {failed:?}");
        let peak = self.memory("VmHWM");
        assert!(peak <= MEMORY, "Envoy has had {} MiB resident", peak >> 20);
    }

    /// The number of requests with this outcome.
    pub(crate) async fn count(&self, outcome: &str) -> u64 {
        let url = format!("http://{}/stats?filter=sluice_requests_total", self.stack.admin_addr());
        let asked = reqwest::get(url).await.and_then(reqwest::Response::error_for_status);
        let stats = asked.expect("Envoy's admin interface").text().await.expect("its counters");
        let outcome = format!("outcome=.={outcome};");
        let ours = stats.lines().filter(|line| line.contains(&outcome));
        ours.filter_map(|line| line.rsplit_once(": ")?.1.parse::<u64>().ok()).sum()
    }

    /// Envoy's memory in bytes, from a field of `/proc/PID/status` (proc_pid_status(5)).
    pub(crate) fn memory(&self, field: &str) -> u64 {
        let path = format!("/proc/{}/status", self.stack.envoy_pid());
        let status = std::fs::read_to_string(&path).expect("the status of a running Envoy");
        let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        kibibytes.unwrap_or_else(|| panic!("{path} has no {field}:\n{status}")) * 1024
    }
}

/// One log record with `source.name`.
fn small_logs() -> bytes::Bytes {
    use opentelemetry_proto::tonic::{
        collector::logs::v1::ExportLogsServiceRequest,
        common::v1::{AnyValue, KeyValue, any_value::Value},
        logs::v1::{LogRecord, ResourceLogs, ScopeLogs},
        resource::v1::Resource,
    };
    use prost::Message;

    let text = |text: &str| AnyValue { value: Some(Value::StringValue(text.to_owned())) };
    let name = KeyValue {
        key: "source.name".to_owned(),
        value: Some(text("checkout")),
        ..KeyValue::default()
    };
    let record = LogRecord { body: Some(text("a line")), ..LogRecord::default() };
    let request = ExportLogsServiceRequest {
        resource_logs: vec![ResourceLogs {
            resource: Some(Resource { attributes: vec![name], ..Resource::default() }),
            scope_logs: vec![ScopeLogs { log_records: vec![record], ..ScopeLogs::default() }],
            ..ResourceLogs::default()
        }],
    };
    request.encode_to_vec().into()
}
