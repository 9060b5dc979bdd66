//! One export request, as both SDKs can send it.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args, ValueEnum};

/// One export: what is in it, who sends it, and where to.
#[derive(Args, Clone, Debug)]
pub struct Export {
    /// OTLP/gRPC or OTLP/HTTP with protobuf
    #[arg(long, value_enum)]
    pub protocol: Protocol,

    /// what the records are
    #[arg(long, value_enum)]
    pub signal: Signal,

    /// where the gate listens
    #[arg(long, value_name = "HOST:PORT")]
    pub endpoint: String,

    /// CA that the gate's certificate is checked against (PEM)
    #[arg(long)]
    pub cacert: PathBuf,

    /// the sender's certificate (PEM)
    #[arg(long)]
    pub cert: PathBuf,

    /// the sender's private key (PEM)
    #[arg(long)]
    pub key: PathBuf,

    /// compress the request; --no-gzip, the default, does not
    #[arg(long, overrides_with = "_no_gzip")]
    pub gzip: bool,

    #[arg(long = "no-gzip", hide = true, action = ArgAction::SetTrue)]
    _no_gzip: bool,

    /// log records, data points or spans
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub records: usize,

    /// how many of the N lack `source.name` (logs, traces: on their resource; metrics: on the data point)
    #[arg(long, value_name = "M", default_value_t = 0)]
    pub without: usize,

    /// a header to send along, may be repeated
    #[arg(long = "header", value_name = "NAME=VALUE", value_parser = parse_header)]
    pub headers: Vec<(String, String)>,

    /// put into the resource attribute `run.id`, to find the records again
    #[arg(long)]
    pub run_id: String,

    /// for the export and all its retries
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = parse_seconds)]
    pub timeout: Duration,
}

impl Export {
    /// Ten uncompressed records, each with `source.name`, ten seconds' time; the public fields change that.
    ///
    /// `identity` is the CA, the sender's certificate and the sender's key, in this order.
    pub fn new(
        protocol: Protocol,
        signal: Signal,
        endpoint: String,
        identity: [PathBuf; 3],
        run_id: String,
    ) -> Self {
        let [cacert, cert, key] = identity;
        Self {
            protocol,
            signal,
            endpoint,
            cacert,
            cert,
            key,
            gzip: false,
            _no_gzip: false,
            records: 10,
            without: 0,
            headers: Vec::new(),
            run_id,
            timeout: Duration::from_secs(10),
        }
    }
}

/// The two ways to carry OTLP that the gate takes.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, ValueEnum)]
pub enum Protocol {
    /// OTLP/gRPC.
    Grpc,
    /// OTLP/HTTP with protobuf.
    Http,
}

impl Protocol {
    /// Both of them.
    pub const ALL: [Self; 2] = [Self::Grpc, Self::Http];
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Grpc => "grpc",
            Self::Http => "http",
        })
    }
}

/// The three signals that the gate takes.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, ValueEnum)]
pub enum Signal {
    /// Log records.
    Logs,
    /// Data points.
    Metrics,
    /// Spans.
    Traces,
}

impl Signal {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Logs, Self::Metrics, Self::Traces];
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Logs => "logs",
            Self::Metrics => "metrics",
            Self::Traces => "traces",
        })
    }
}

/// Why nothing was sent. What the gate answers, and that it cannot be reached, is an
/// [`Outcome`](crate::Outcome).
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The environment with the Python SDK has not been made.
    #[error("no Python environment at {0}: run `make venv`")]
    NoVenv(PathBuf),
    /// The Python sender could not be run to its end.
    #[error("tests/e2e/python/send.py: {0}")]
    Python(String),
    /// The program with the collector's exporters has not been built.
    #[error("no collector at {0}: run `make collector`")]
    NoCollector(PathBuf),
    /// The program with the collector's exporters could not be run to its end.
    #[error("tests/e2e/collector: {0}")]
    Collector(String),
    /// A certificate or key file cannot be read or used.
    #[error("{path}: {problem}")]
    Identity {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// An exporter of the Rust SDK has one resource.
    #[error(
        "--without {without} of {records} {signal}: the Rust SDK puts one resource into a request, so either \
         none or all of its {signal} lack source.name; send them with the Python SDK"
    )]
    OneResource {
        /// What the records are.
        signal: Signal,
        /// How many lack `source.name`.
        without: usize,
        /// How many there are.
        records: usize,
    },
    /// The numbers of records do not fit each other or the SDK.
    #[error("--records {records} --without {without}: {problem}")]
    Counts {
        /// How many there are.
        records: usize,
        /// How many lack `source.name`.
        without: usize,
        /// What is wrong with that.
        problem: &'static str,
    },
    /// The Rust SDK refused what its exporter was built with.
    #[error("the Rust SDK's exporter: {0}")]
    Exporter(String),
}

fn parse_header(text: &str) -> Result<(String, String), String> {
    text.split_once('=')
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .ok_or_else(|| "write NAME=VALUE".to_owned())
}

fn parse_seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|error| format!("{error}"))?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}
