//! One export request, as each of the SDKs can send it.

use std::{fmt, path::PathBuf, time::Duration};

use clap::{Args, ValueEnum};

use crate::Sdk;

/// One export: its content, its sender, and its destination.
#[derive(Clone, Debug, Args)]
pub struct Export {
    /// OTLP/gRPC or OTLP/HTTP
    #[arg(long, value_enum)]
    pub protocol: Protocol,

    /// protobuf, or JSON over HTTP where the SDK has it
    #[arg(long, value_enum, default_value_t = Encoding::Protobuf)]
    pub encoding: Encoding,

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

    /// compress the request
    #[arg(long)]
    pub gzip: bool,

    /// log records, data points or spans
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub records: usize,

    /// the number of the first record
    #[arg(skip)]
    pub(crate) first: usize,

    /// how many of the N lack `source.name` (logs, traces: on their resource; metrics: on the data point)
    #[arg(long, value_name = "M", default_value_t = 0)]
    pub without: usize,

    /// a header to send along, may be repeated
    #[arg(long = "header", value_name = "NAME=VALUE", value_parser = parse_header)]
    pub headers: Vec<(String, String)>,

    /// put into the resource attribute `run.id`, to find the records again
    #[arg(long)]
    pub run_id: String,

    /// the size of a resource attribute that makes the request large; none if 0
    #[arg(long, value_name = "BYTES", default_value_t = 0)]
    pub padding: usize,

    /// for the export and all its retries
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = parse_seconds)]
    pub timeout: Duration,
}

impl Export {
    /// Ten uncompressed records in protobuf, each with `source.name`, and a timeout of ten seconds. Change the public
    /// fields for anything else.
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
            encoding: Encoding::Protobuf,
            signal,
            endpoint,
            cacert,
            cert,
            key,
            gzip: false,
            records: 10,
            first: 0,
            without: 0,
            headers: Vec::new(),
            run_id,
            padding: 0,
            timeout: Duration::from_secs(10),
        }
    }
}

/// The two OTLP protocols that the gate supports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ValueEnum)]
pub enum Protocol {
    /// OTLP/gRPC.
    Grpc,
    /// OTLP/HTTP.
    Http,
}

impl Protocol {
    /// Both protocols.
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

/// The format of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ValueEnum)]
pub enum Encoding {
    /// Protobuf, which the collector's HTTP exporter calls `proto`.
    #[value(name = "proto")]
    Protobuf,
    /// JSON, only over HTTP.
    Json,
}

impl Encoding {
    /// The formats of a protocol.
    #[must_use]
    pub fn of(protocol: Protocol) -> &'static [Self] {
        match protocol {
            Protocol::Grpc => &[Self::Protobuf],
            Protocol::Http => &[Self::Protobuf, Self::Json],
        }
    }
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Protobuf => "proto",
            Self::Json => "json",
        })
    }
}

/// The three signals of the SDKs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ValueEnum)]
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

/// Why nothing was sent. An answer of the gate, or no connection to it, is an [`Outcome`](crate::Outcome) instead.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// A sender has not been built, or something that it needs has not been installed.
    #[error("{path} is missing: run `make {target}`")]
    Missing {
        /// What is missing.
        path: PathBuf,
        /// The command that makes it.
        target: &'static str,
    },
    /// A sender did not run to its end.
    #[error("{sender}: {problem}")]
    Sender {
        /// Where its source is.
        sender: &'static str,
        /// What is wrong, and the last lines of its output.
        problem: String,
    },
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
    /// The numbers of records contradict each other, or the SDK does not support them.
    #[error("--records {records} --without {without}: {problem}")]
    Counts {
        /// How many there are.
        records: usize,
        /// How many lack `source.name`.
        without: usize,
        /// What is wrong with these numbers.
        problem: &'static str,
    },
    /// An SDK has no such exporter.
    #[error("the {sdk} SDK cannot export {signal} over {protocol} in {encoding}")]
    NoExporter {
        /// The SDK.
        sdk: Sdk,
        /// What the records are.
        signal: Signal,
        /// The protocol.
        protocol: Protocol,
        /// The format.
        encoding: Encoding,
    },
    /// The Rust SDK rejected the settings of its exporter.
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
