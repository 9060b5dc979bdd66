//! The requests that the load consists of.

use std::io::Write;

use anyhow::Result;
use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use opentelemetry_proto::tonic::collector::{
    logs::v1::ExportLogsServiceResponse, metrics::v1::ExportMetricsServiceResponse,
    trace::v1::ExportTraceServiceResponse,
};
use prost::Message;
use sluice_otlp::Signal;
use sluice_telemetry::ordinary;

/// How a body is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Encoding {
    /// Not at all.
    Plain,
    /// As the OpenTelemetry Collector sends by default: gzip, with zlib's default level.
    Gzip,
    /// Zstandard, with its default level.
    Zstd,
}

impl Encoding {
    /// The name in `content-encoding` and `grpc-encoding`; `None` for a body that is not encoded.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        match self {
            Self::Plain => None,
            Self::Gzip => Some("gzip"),
            Self::Zstd => Some("zstd"),
        }
    }

    fn encode(self, bytes: Vec<u8>) -> Result<Vec<u8>> {
        Ok(match self {
            Self::Plain => bytes,
            Self::Gzip => {
                let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
                encoder.write_all(&bytes)?;
                encoder.finish()?
            }
            Self::Zstd => zstd::encode_all(&bytes[..], zstd::DEFAULT_COMPRESSION_LEVEL)?,
        })
    }
}

/// How requests are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    /// OTLP/HTTP over HTTP/1.1.
    Http1,
    /// OTLP/HTTP over HTTP/2.
    Http2,
    /// OTLP/gRPC.
    Grpc,
}

/// What a request consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Payload {
    /// The signal.
    pub signal: Signal,
    /// Log records, data points or spans in a request.
    pub records: usize,
    /// For logs: the approximate length of a record in bytes, in resources of ten records; `None` for records of some
    /// 180 bytes on one resource.
    pub bytes: Option<usize>,
    /// For logs with a length: how many of a hundred resources lack what the rule requires.
    pub lacking: usize,
    /// The encoding of the body.
    pub encoding: Encoding,
}

/// The length of a log record that has none of its own, in bytes.
const SHORT: usize = 180;

/// A request as it is sent, time and again.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// The protocol.
    pub protocol: Protocol,
    /// The signal.
    pub signal: Signal,
    /// The encoding.
    pub encoding: Encoding,
    /// The body, in its frame if it is for gRPC.
    pub body: Bytes,
    /// The length of the message before it was encoded.
    pub message: usize,
    /// How many records the rule drops.
    pub dropped: u64,
}

impl Payload {
    /// The body of 1,000 log records that is the middle of most tables.
    #[must_use]
    pub fn logs(records: usize) -> Self {
        let signal = Signal::Logs;
        Self { signal, records, bytes: None, lacking: 0, encoding: Encoding::Plain }
    }

    /// The same in another encoding.
    #[must_use]
    pub fn encoded(self, encoding: Encoding) -> Self {
        Self { encoding, ..self }
    }

    /// Another signal.
    #[must_use]
    pub fn of(self, signal: Signal) -> Self {
        Self { signal, ..self }
    }

    /// Log records of another length, of which some lack what the rule requires, in a hundred.
    #[must_use]
    pub fn sized(self, bytes: usize, lacking: usize) -> Self {
        Self { bytes: Some(bytes), lacking, ..self }
    }

    /// Makes the request.
    ///
    /// # Errors
    /// If it cannot be encoded.
    pub fn prepare(self, protocol: Protocol) -> Result<Prepared> {
        let all = |_| true;
        let (message, dropped) = match (self.signal, self.bytes) {
            (Signal::Logs, Some(bytes)) => {
                let (lacks, lacking): (ordinary::Has, _) = match self.lacking {
                    0 => (|_| false, 0),
                    1 => (|resource| resource % 100 == 50, 1),
                    30 => (|resource| resource % 10 < 3, 30),
                    other => anyhow::bail!("no payload lacks {other} of a hundred"),
                };
                let dropped = self.records * lacking / 100;
                (ordinary::sized_logs(self.records, bytes, 10, lacks), dropped)
            }
            (Signal::Logs, None) => {
                (ordinary::sized_logs(self.records, SHORT, self.records, |_| false), 0)
            }
            (Signal::Metrics, _) => (ordinary::gauges(self.records, all), 0),
            (Signal::Traces, _) => (ordinary::traces(self.records, all), 0),
            (Signal::Profiles, _) => anyhow::bail!("there is no payload of profiles"),
        };
        let length = message.len();
        let mut body = self.encoding.encode(message)?;
        if protocol == Protocol::Grpc {
            let flag = u8::from(self.encoding != Encoding::Plain);
            let length = u32::try_from(body.len())?.to_be_bytes();
            body.splice(..0, [&[flag], &length[..]].concat());
        }
        Ok(Prepared {
            protocol,
            signal: self.signal,
            encoding: self.encoding,
            body: body.into(),
            message: length,
            dropped: dropped as u64,
        })
    }
}

/// How many records a reply says were not stored. A reply without a message says none.
///
/// # Errors
/// If the message is not the one of this signal.
pub fn rejected(signal: Signal, mut message: &[u8]) -> Result<u64> {
    let rejected = match signal {
        Signal::Logs => {
            let partial = ExportLogsServiceResponse::decode(&mut message)?.partial_success;
            partial.map_or(0, |partial| partial.rejected_log_records)
        }
        Signal::Metrics => {
            let partial = ExportMetricsServiceResponse::decode(&mut message)?.partial_success;
            partial.map_or(0, |partial| partial.rejected_data_points)
        }
        Signal::Traces => {
            let partial = ExportTraceServiceResponse::decode(&mut message)?.partial_success;
            partial.map_or(0, |partial| partial.rejected_spans)
        }
        Signal::Profiles => anyhow::bail!("there is no payload of profiles"),
    };
    Ok(u64::try_from(rejected)?)
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;

    use super::*;

    #[test]
    fn records_have_about_the_length_that_is_asked_for() {
        for bytes in [300, 1_000] {
            let prepared = Payload::logs(512).sized(bytes, 0).prepare(Protocol::Http1).unwrap();
            let each = prepared.message / 512;
            assert!((bytes * 9 / 10..=bytes * 11 / 10).contains(&each), "{bytes}: {each}");
        }
    }

    #[test]
    fn text_is_compressed_about_as_much_as_real_logs() {
        for payload in [Payload::logs(1_000), Payload::logs(512).sized(1_000, 0)] {
            let prepared = payload.encoded(Encoding::Gzip).prepare(Protocol::Http1).unwrap();
            let ratio = prepared.message as f64 / prepared.body.len() as f64;
            assert!((4.0..10.0).contains(&ratio), "{payload:?}: {ratio}");
        }
    }

    #[test]
    fn as_many_records_lack_the_attribute_as_is_said() {
        for lacking in [0, 1, 30] {
            let payload = Payload::logs(1_000).sized(300, lacking);
            let prepared = payload.prepare(Protocol::Http1).unwrap();
            let request = ExportLogsServiceRequest::decode(prepared.body).unwrap();
            let without = request.resource_logs.iter().filter(|resource| {
                let attributes = &resource.resource.as_ref().unwrap().attributes;
                !attributes.iter().any(|attribute| attribute.key == ordinary::REQUIRED)
            });
            let records = without.flat_map(|of| &of.scope_logs).map(|of| of.log_records.len());
            assert_eq!(records.sum::<usize>() as u64, prepared.dropped);
            assert_eq!(prepared.dropped, lacking as u64 * 10);
        }
    }
}
