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

/// The time for the program to start and exit, in addition to the export's own time.
const START_UP: Duration = Duration::from_secs(30);

/// One batch, and the exporter that sends it.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Which of the two exporters: `otlp_grpc` or `otlp_http`.
    pub protocol: Protocol,
    /// The signal of the batch.
    pub signal: Signal,
    /// The exporter's `compression`.
    pub compression: Compression,
    /// The exporter's `encoding`; over gRPC only protobuf.
    pub encoding: Encoding,
    /// The gate's address, as `HOST:PORT`.
    pub endpoint: String,
    /// The CA, the sender's certificate and the sender's key, in this order; all PEM.
    pub identity: [PathBuf; 3],
    /// The number of resources (each with four log records or spans, or one profile), or the number of data points of
    /// each of its ten metrics.
    pub groups: usize,
    /// The number of these that lack `source.name`.
    pub without: usize,
    /// The time of the first record, in nanoseconds since 1970.
    pub nanos: u64,
    /// The timeout of the export.
    pub timeout: Duration,
}

/// The exporters' setting `compression` (config/configcompression in the collector).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// `none`.
    None,
    /// `gzip`, the default of both exporters.
    Gzip,
    /// `zstd`.
    Zstd,
    /// `snappy`: over HTTP one raw block, over gRPC the framed format under the same name.
    Snappy,
    /// `x-snappy-framed`.
    SnappyFramed,
    /// `deflate`: the zlib format of RFC 1950, as in RFC 9110.
    Deflate,
    /// `zlib`: the same bytes, announced as `content-encoding: zlib`, which is in no RFC.
    Zlib,
    /// `lz4`: the frame format.
    Lz4,
}

impl Compression {
    /// The compressions that the exporter of a protocol supports.
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

/// The result of one batch in an exporter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// The export request in protobuf, in whatever format it was sent.
    pub sent: Vec<u8>,
    /// The error that the exporter returned to the collector; `None` if the exporter considers the batch delivered.
    pub error: Option<ExportError>,
    /// The partial success that it logged.
    pub partial_success: Option<PartialSuccess>,
}

/// An exporter's error.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct ExportError {
    /// Its text.
    pub message: String,
    /// Whether the collector drops the batch; otherwise it retries.
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

/// How long an exporter gets batches.
#[derive(Clone, Copy, Debug)]
pub struct Stretch {
    /// From the first batch to the last; zero for one batch.
    pub duration: Duration,
    /// From one batch to the next.
    pub every: Duration,
    /// How long the exporter then has to empty its queue.
    pub patience: Duration,
}

/// What an exporter with queue and retries counted, in the metrics of a collector. All numbers except batches and
/// attempts are numbers of log records, data points, spans or samples.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Account {
    /// The number of batches that it was given.
    pub batches: u64,
    /// The number of records in these batches.
    pub given: u64,
    /// `otelcol_exporter_sent_*`, including the records that a partial success rejected.
    pub sent: u64,
    /// `otelcol_exporter_send_failed_*` with `error.permanent`.
    pub failed_permanent: u64,
    /// `otelcol_exporter_send_failed_*` without.
    pub failed_retryable: u64,
    /// `otelcol_exporter_enqueue_failed_*`.
    pub enqueue_failed: u64,
    /// Requests by the HTTP status or the gRPC code of the answer; `none` without an answer. From
    /// `http.client.request.duration` and `rpc.client.call.duration`.
    pub attempts: BTreeMap<String, u64>,
    /// The partial successes that it logged: the sum of all, and the message of the last one.
    pub partial_success: Option<PartialSuccess>,
    /// The last line that it logged at level error; empty if there is none.
    pub last_error: String,
}

/// Sends a batch once, without the collector's queue and retries.
///
/// # Errors
///
/// [`SendError::Missing`] if the program has not been built; [`SendError::Sender`] with the last lines of its output if
/// it sent nothing, was killed, or printed nothing readable.
pub async fn send(batch: &Batch) -> Result<Delivery, SendError> {
    read(&output(arguments(batch), batch.timeout).await?)
}

/// Sends a batch and further ones like it, with increasing record numbers, through the collector's queue and with its
/// retries, which continue until the batch is accepted or permanently rejected.
///
/// # Errors
///
/// As for [`send`]; also if the exporter did not empty its queue in time.
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

/// Runs the program, with this much time after its start.
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
