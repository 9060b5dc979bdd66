//! The OpenTelemetry Collector as a sender: its own exporters, in the program that `make collector` builds from
//! `tests/e2e/collector/`.

use std::{
    collections::BTreeMap,
    fmt,
    path::PathBuf,
    process::{Output, Stdio},
    time::Duration,
};

use base64::{Engine, prelude::BASE64_STANDARD};
use serde::{Deserialize, de::DeserializeOwned};
use sluice_otlp::Signal;
use tokio::process::Command;

use crate::{Encoding, PartialSuccess, Protocol, SendError};

/// For the program to start and end, on top of the export's own time.
const START_UP: Duration = Duration::from_secs(30);

/// One batch, and the exporter that sends it.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Which of the two exporters: `otlp_grpc` or `otlp_http`.
    pub protocol: Protocol,
    /// What is in the batch.
    pub signal: Signal,
    /// The exporter's `compression`.
    pub compression: Compression,
    /// The exporter's `encoding`; over gRPC protobuf alone.
    pub encoding: Encoding,
    /// Where the gate listens, as `HOST:PORT`.
    pub endpoint: String,
    /// The CA, the sender's certificate and the sender's key, in this order; all PEM.
    pub identity: [PathBuf; 3],
    /// How many resources are in it (each with four log records or spans, or one profile), or how many data
    /// points each of its ten metrics has.
    pub groups: usize,
    /// How many of these lack `source.name`.
    pub without: usize,
    /// The time of the first record, in nanoseconds since 1970.
    pub nanos: u64,
    /// For the export.
    pub timeout: Duration,
}

/// The exporters' setting `compression` (config/configcompression in the collector).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// `none`.
    None,
    /// `gzip`, which both use if nothing else is said.
    Gzip,
    /// `zstd`.
    Zstd,
    /// `snappy`: over HTTP one raw block, over gRPC the framed format under the same name.
    Snappy,
    /// `x-snappy-framed`.
    SnappyFramed,
    /// `deflate`: the zlib format of RFC 1950, as RFC 9110 has it.
    Deflate,
    /// `zlib`: the same bytes, announced as `content-encoding: zlib`, which no RFC knows.
    Zlib,
    /// `lz4`: the frame format.
    Lz4,
}

impl Compression {
    /// What the exporter of a protocol can be configured to do.
    #[must_use]
    pub fn of(protocol: Protocol) -> &'static [Self] {
        match protocol {
            Protocol::Grpc => &[Self::None, Self::Gzip, Self::Zstd, Self::Snappy],
            Protocol::Http => &[
                Self::None,
                Self::Gzip,
                Self::Zstd,
                Self::Snappy,
                Self::SnappyFramed,
                Self::Deflate,
                Self::Zlib,
                Self::Lz4,
            ],
        }
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Snappy => "snappy",
            Self::SnappyFramed => "x-snappy-framed",
            Self::Deflate => "deflate",
            Self::Zlib => "zlib",
            Self::Lz4 => "lz4",
        })
    }
}

/// What an exporter made of one batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// The export request in protobuf, whatever it was sent as.
    pub sent: Vec<u8>,
    /// The error that the exporter gave back to the collector; `None` where it took the batch as delivered.
    pub error: Option<ExportError>,
    /// The partial success that it logged.
    pub partial_success: Option<PartialSuccess>,
}

/// An exporter's error.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct ExportError {
    /// Its text.
    pub message: String,
    /// Whether the collector gives the batch up; it sends it again otherwise.
    pub permanent: bool,
}

/// [`Delivery`] as the program prints it.
#[derive(Deserialize)]
struct Printed {
    /// In base64.
    sent: String,
    error: Option<ExportError>,
    partial_success: Option<PartialSuccess>,
}

/// For how long an exporter gets batches.
#[derive(Clone, Copy, Debug)]
pub struct Stretch {
    /// From the first batch to the last; zero for one batch.
    pub duration: Duration,
    /// From one batch to the next.
    pub every: Duration,
    /// How long the exporter then has to be done with what is in its queue.
    pub patience: Duration,
}

/// What an exporter with its queue and its retries says became of what it was given, in the metrics that a
/// collector exposes. All but the batches and the attempts are log records, data points, spans or samples.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Account {
    /// How many batches it was given.
    pub batches: u64,
    /// What was in them.
    pub given: u64,
    /// `otelcol_exporter_sent_*`; what a partial success rejected is among them.
    pub sent: u64,
    /// `otelcol_exporter_send_failed_*` with `error.permanent`.
    pub failed_permanent: u64,
    /// `otelcol_exporter_send_failed_*` without.
    pub failed_retryable: u64,
    /// `otelcol_exporter_enqueue_failed_*`.
    pub enqueue_failed: u64,
    /// Requests by the HTTP status or the gRPC code that they were answered with; `none` without an answer. From
    /// `http.client.request.duration` and `rpc.client.call.duration`.
    pub attempts: BTreeMap<String, u64>,
    /// The partial successes that it logged: the sum of all, and the last one's message.
    pub partial_success: Option<PartialSuccess>,
    /// What it logged last at level error; empty for nothing.
    pub last_error: String,
}

/// Sends a batch once: without the collector's queue and its retries.
///
/// # Errors
///
/// [`SendError::Missing`] where the program has not been built, [`SendError::Sender`] with its last words where it
/// sent nothing, was cut off, or said nothing that can be read.
pub async fn send(batch: &Batch) -> Result<Delivery, SendError> {
    read(&output(arguments(batch), batch.timeout).await?)
}

/// Sends a batch and others like it, its records numbered on, through the collector's queue and with its retries,
/// which do not end before the batch is taken or refused for good.
///
/// # Errors
///
/// As [`send`]; also where the exporter was not done with its queue in time.
pub async fn deliver(batch: &Batch, stretch: Stretch) -> Result<Account, SendError> {
    let mut arguments = arguments(batch);
    let milliseconds = |time: Duration| format!("{}ms", time.as_millis());
    arguments.extend([
        "-retry".to_owned(),
        format!("-for={}", milliseconds(stretch.duration)),
        format!("-every={}", milliseconds(stretch.every)),
        format!("-patience={}", milliseconds(stretch.patience)),
    ]);
    printed(&output(arguments, batch.timeout + stretch.duration + stretch.patience).await?)
}

/// Runs the program, for which this should be time enough once it has started.
async fn output(arguments: Vec<String>, time: Duration) -> Result<Output, SendError> {
    let program = envoy_local::workspace_root().join(".cache/collector/collector");
    if !program.exists() {
        return Err(SendError::Missing { path: program, target: "collector" });
    }
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).kill_on_drop(true);
    let limit = START_UP + time;
    tokio::time::timeout(limit, command.output())
        .await
        .map_err(|_| stopped(format!("not done after {limit:?}")))?
        .map_err(|error| stopped(error.to_string()))
}

fn read(output: &Output) -> Result<Delivery, SendError> {
    let printed: Printed = printed(output)?;
    Ok(Delivery {
        sent: BASE64_STANDARD.decode(printed.sent).map_err(|error| failed(output, &error))?,
        error: printed.error,
        partial_success: printed.partial_success,
    })
}

fn printed<T: DeserializeOwned>(output: &Output) -> Result<T, SendError> {
    if !output.status.success() {
        return Err(failed(output, &output.status));
    }
    serde_json::from_slice(&output.stdout).map_err(|error| failed(output, &error))
}

fn failed(output: &Output, problem: &dyn fmt::Display) -> SendError {
    let said = String::from_utf8_lossy(&output.stderr);
    stopped(format!("{problem}: {}", said.trim()))
}

fn stopped(problem: String) -> SendError {
    SendError::Sender { sender: "tests/e2e/collector", problem }
}

fn arguments(batch: &Batch) -> Vec<String> {
    let [ca, cert, key] = batch.identity.each_ref().map(|path| path.display().to_string());
    [
        ("-protocol", batch.protocol.to_string()),
        ("-signal", batch.signal.as_str().to_owned()),
        ("-compression", batch.compression.to_string()),
        ("-encoding", batch.encoding.to_string()),
        ("-endpoint", batch.endpoint.clone()),
        ("-cacert", ca),
        ("-cert", cert),
        ("-key", key),
        ("-groups", batch.groups.to_string()),
        ("-without", batch.without.to_string()),
        ("-time", batch.nanos.to_string()),
        ("-timeout", format!("{}ms", batch.timeout.as_millis())),
    ]
    .into_iter()
    .flat_map(|(name, value)| [name.to_owned(), value])
    .collect()
}

#[cfg(test)]
mod tests {
    use std::{os::unix::process::ExitStatusExt, process::ExitStatus};

    use super::*;

    fn output(status: i32, stdout: &str, stderr: &str) -> Output {
        let status = ExitStatus::from_raw(status);
        Output { status, stdout: stdout.into(), stderr: stderr.into() }
    }

    #[test]
    fn a_run_that_failed_is_an_error_with_its_last_words() {
        let printed = r#"{"sent": "", "error": null, "partial_success": null}"#;
        let error = read(&output(1 << 8, printed, "-signal \"\": write logs\n")).expect_err("1");
        assert!(error.to_string().ends_with("exit status: 1: -signal \"\": write logs"), "{error}");
    }

    #[test]
    fn what_cannot_be_read_is_an_error() {
        for printed in ["", "{}", r#"{"sent": "no base64", "error": null}"#] {
            read(&output(0, printed, "")).expect_err(printed);
        }
    }

    #[test]
    fn an_error_and_a_partial_success_are_read() {
        let printed = r#"{"sent": "AP8=", "error": {"message": "no", "permanent": true},
                          "partial_success": {"rejected": 3, "message": "why"}}"#;
        let delivery = read(&output(0, printed, "")).expect("a delivery");
        let expected = Delivery {
            sent: vec![0, 0xff],
            error: Some(ExportError { message: "no".to_owned(), permanent: true }),
            partial_success: Some(PartialSuccess { rejected: 3, message: "why".to_owned() }),
        };
        assert_eq!(delivery, expected);
    }
}
