//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use sluice_encodings::Encoding;
use sluice_otlp::Signal;
use sluice_reply::Protocol;

/// Try a Sluice policy, and find out what becomes of a request, without a cluster.
#[derive(Debug, Parser)]
#[command(name = "sluice", version, about, propagate_version = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show what a policy does with a request
    Simulate(SimulateArgs),
    /// Say everything that is wrong with a policy, and what is risky
    Check(CheckArgs),
    /// Explain what a policy makes of something
    #[command(subcommand)]
    Explain(ExplainCommand),
    /// Print the JSON Schema of a policy, for editors
    Schema,
    /// Print the completions for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Write the manual pages into a directory
    Man {
        /// The directory
        directory: PathBuf,
    },
}

/// `sluice check`.
#[derive(Debug, Args)]
#[command(after_help = CHECK_HELP)]
pub struct CheckArgs {
    /// Policies, or manifests with one in them; read as one configuration; - for the standard input
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// The time for which dates are checked (RFC 3339); default: now
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub at: Option<u64>,
    /// Fail on warnings too
    #[arg(long)]
    pub strict: bool,
    /// Write JSON: one object for each problem
    #[arg(long)]
    pub json: bool,
}

const CHECK_HELP: &str = "\
Exit codes:
  0  the gate takes every policy; there may be warnings
  1  it refuses one; with --strict, or there are warnings
  2  a file or the command line cannot be read, or no file has a policy";

/// `sluice explain`.
#[derive(Debug, Subcommand)]
pub enum ExplainCommand {
    /// Every SAN of a certificate, what each pattern makes of it, and which entry lets it in or not
    Cert(ExplainCertArgs),
}

/// `sluice explain cert`.
#[derive(Debug, Args)]
#[command(after_help = EXPLAIN_HELP)]
pub struct ExplainCertArgs {
    /// The certificate in PEM, or a chain that begins with it; - for the standard input
    #[arg(value_name = "PEM")]
    pub certificate: PathBuf,
    /// The policy: YAML, JSON, or a manifest with one in it
    #[arg(long, short, value_name = "FILE")]
    pub policy: PathBuf,
    /// The time for which it is explained (RFC 3339); default: now
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub at: Option<u64>,
    /// Write JSON
    #[arg(long)]
    pub json: bool,
}

const EXPLAIN_HELP: &str = "\
Exit codes:
  0  the certificate lets its holder in, under one namespace
  1  it does not
  2  the certificate, the policy or the command line cannot be read";

/// `sluice simulate`.
#[derive(Debug, Args)]
#[command(after_help = SIMULATE_HELP)]
pub struct SimulateArgs {
    /// The policy: YAML, JSON, or a manifest with one in it; - for the standard input
    #[arg(long, short, value_name = "FILE")]
    pub policy: PathBuf,
    /// Another policy: show what it would change
    #[arg(long, value_name = "FILE")]
    pub against: Option<PathBuf>,
    /// The body of the request, or a directory with several; - for the standard input
    #[arg(long, short, value_name = "FILE|DIR")]
    pub request: PathBuf,
    /// The client certificate in PEM, as Envoy would have verified it
    #[arg(long, value_name = "PEM")]
    pub cert: Option<PathBuf>,
    /// A token, or its claims in JSON, as Envoy would have verified it
    #[arg(long, value_name = "FILE")]
    pub jwt: Option<PathBuf>,
    /// An API key, sent in the header that the policy names
    #[arg(long, value_name = "KEY")]
    pub api_key: Option<String>,
    /// A header of the request, as name: value; may be repeated
    #[arg(long = "header", short = 'H', value_name = "HEADER")]
    pub headers: Vec<String>,
    /// The signal, if the content does not tell
    #[arg(long, value_enum)]
    pub signal: Option<SignalArg>,
    /// The protocol of the body, if the content does not tell
    #[arg(long, value_enum)]
    pub protocol: Option<ProtocolArg>,
    /// How the body is compressed, if the content does not tell: a name of content-encoding
    #[arg(long, value_parser = encoding)]
    pub encoding: Option<Encoding>,
    /// The time of the request (RFC 3339); default: now
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub at: Option<u64>,
    /// Write JSON: one object for each request
    #[arg(long)]
    pub json: bool,
}

const SIMULATE_HELP: &str = "\
Exit codes:
  0  every record goes on; with --against, no record is newly lost
  1  some records, or parts of records, do not; with --against, some are newly lost
  2  the policy, the request or the command line cannot be read
  3  nothing goes on";

/// A signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SignalArg {
    /// Log records.
    Logs,
    /// Metrics.
    Metrics,
    /// Spans.
    Traces,
    /// Profiles.
    Profiles,
}

impl From<SignalArg> for Signal {
    fn from(signal: SignalArg) -> Self {
        match signal {
            SignalArg::Logs => Self::Logs,
            SignalArg::Metrics => Self::Metrics,
            SignalArg::Traces => Self::Traces,
            SignalArg::Profiles => Self::Profiles,
        }
    }
}

/// A protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ProtocolArg {
    /// OTLP/gRPC: one frame with a protobuf message.
    Grpc,
    /// OTLP/HTTP with protobuf.
    Http,
    /// OTLP/HTTP with JSON.
    Json,
    /// Prometheus remote write 1.0.
    Write,
}

impl From<ProtocolArg> for Protocol {
    fn from(protocol: ProtocolArg) -> Self {
        match protocol {
            ProtocolArg::Grpc => Self::Grpc,
            ProtocolArg::Http => Self::HttpProtobuf,
            ProtocolArg::Json => Self::HttpJson,
            ProtocolArg::Write => Self::RemoteWrite,
        }
    }
}

fn encoding(name: &str) -> Result<Encoding, String> {
    let known = Encoding::ALL.into_iter().find(|encoding| encoding.as_str() == name);
    known.ok_or_else(|| format!("use one of {}", Encoding::ALL.map(Encoding::as_str).join(", ")))
}

/// Reads a time, in seconds since the epoch.
fn time(text: &str) -> Result<u64, String> {
    let format = &time::format_description::well_known::Rfc3339;
    let time = time::OffsetDateTime::parse(text, format)
        .map_err(|_| "write it as 2027-06-30T00:00:00Z".to_owned())?;
    u64::try_from(time.unix_timestamp()).map_err(|_| "before 1970".to_owned())
}
