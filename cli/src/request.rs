//! A request from a file: what it is, and how a sender would send it in each protocol.

use anyhow::{Context, Result, bail};
use opentelemetry_proto::tonic::collector::{
    logs::v1::ExportLogsServiceRequest, metrics::v1::ExportMetricsServiceRequest,
    profiles::v1development::ExportProfilesServiceRequest, trace::v1::ExportTraceServiceRequest,
};
use prost::Message;
use serde::{Serialize, de::DeserializeOwned};
use sluice_encodings::{Encoding, EncodingHeader, decode, grpc, wrap};
use sluice_otlp::{Format, Signal};
use sluice_remote_write::{VERSION, VERSION_HEADER};
use sluice_reply::Protocol;
use sluice_wire::{Reader, Room, Value};

use crate::exchange::HeaderList;

/// What is known about a capture. What is `None` is found out from its bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Hints {
    /// The signal.
    pub signal: Option<Signal>,
    /// The protocol.
    pub protocol: Option<Protocol>,
    /// How the body is compressed; over gRPC, its message.
    pub encoding: Option<Encoding>,
}

/// A request that was captured: its body.
#[derive(Clone, Debug)]
pub struct Capture {
    /// The body, as it is on the wire.
    pub body: Vec<u8>,
    /// The protocol.
    pub protocol: Protocol,
    /// How the body is compressed; over gRPC, its message.
    pub encoding: Encoding,
    /// The signal.
    pub signal: Signal,
    /// The decoded message; empty if the body cannot be decoded, about which the gate has the last word.
    pub message: Vec<u8>,
}

/// The most that a capture is decoded to, in bytes: the largest `limits.decodedBytes`.
const MOST_DECODED: usize = 256 << 20;

impl Capture {
    /// Finds out what a body is.
    ///
    /// # Errors
    /// If its signal cannot be told, or is contradicted by its protocol.
    pub fn read(body: Vec<u8>, hints: Hints) -> Result<Self> {
        let is_framed = match hints.protocol {
            Some(protocol) => protocol == Protocol::Grpc,
            None => is_frame(&body),
        };
        let payload = body.get(if is_framed { grpc::HEADER } else { 0 }..).unwrap_or_default();
        let is_plain = is_framed && body.first() == Some(&0);
        let mut encoding = match hints.encoding {
            Some(encoding) => encoding,
            None if is_plain => Encoding::Identity,
            None => encoding_of(payload),
        };
        let is_write = hints.protocol == Some(Protocol::RemoteWrite);
        if hints.encoding.is_none() && encoding == Encoding::Identity && !is_framed {
            // A block of snappy has no mark of its own, so it is only tried where nothing else fits.
            let is_block = decode(Encoding::SnappyRaw, payload, MOST_DECODED).is_ok();
            if is_block && (is_write || !is_export(payload)) {
                encoding = Encoding::SnappyRaw;
            }
        }
        let decoded = if is_plain { Encoding::Identity } else { encoding };
        let message = decode(decoded, payload, MOST_DECODED);
        let message = match (message, hints.signal) {
            (Ok(message), _) => message,
            // The gate says what is wrong with it.
            (Err(_), Some(_)) => Vec::new(),
            (Err(error), None) => {
                bail!("{error}; say what it is: --signal, --encoding and --protocol")
            }
        };
        let is_json = message.trim_ascii_start().first() == Some(&b'{');
        let protocol = match hints.protocol {
            Some(protocol) => protocol,
            None if is_framed => Protocol::Grpc,
            None if is_json => Protocol::HttpJson,
            None if encoding == Encoding::SnappyRaw && is_series(&message) => Protocol::RemoteWrite,
            None => Protocol::HttpProtobuf,
        };
        let signal = match (protocol, hints.signal) {
            (Protocol::RemoteWrite, None | Some(Signal::Metrics)) => Signal::Metrics,
            (Protocol::RemoteWrite, Some(_)) => bail!("remote write has only metrics"),
            (_, Some(signal)) => signal,
            (Protocol::HttpJson, None) => signal_of_json(&message).context(WHICH_SIGNAL)?,
            (_, None) => signal_of_protobuf(&message).context(WHICH_SIGNAL)?,
        };
        Ok(Self { body, protocol, encoding, signal, message })
    }

    /// The format of the message.
    #[must_use]
    pub const fn format(&self) -> Format {
        format_of(self.protocol)
    }

    /// The same request as a sender of another protocol would send it: the body, and its encoding.
    ///
    /// # Errors
    /// If the message cannot be written in the protocol's format.
    pub fn in_protocol(&self, protocol: Protocol) -> Result<(Vec<u8>, Encoding)> {
        if protocol == self.protocol {
            return Ok((self.body.clone(), self.encoding));
        }
        let message = match (self.format(), format_of(protocol)) {
            (from, to) if from == to => self.message.clone(),
            (_, to) => convert(self.signal, &self.message, to)?,
        };
        let header = match protocol {
            Protocol::Grpc => EncodingHeader::Grpc,
            _ => EncodingHeader::Content,
        };
        let encoding = match header.write(self.encoding) {
            Some(_) => self.encoding,
            None => Encoding::Identity,
        };
        let payload = match encoding {
            Encoding::Identity => message,
            encoding => wrap(encoding, &message, Room::ANY)?,
        };
        if protocol != Protocol::Grpc {
            return Ok((payload, encoding));
        }
        let mut body = grpc::write(&payload).context("too long for a gRPC frame")?;
        if let (Some(flag), true) = (body.first_mut(), encoding != Encoding::Identity) {
            *flag = 1;
        }
        Ok((body, encoding))
    }

    /// The headers of this body in a protocol, pseudo headers first, and `more` after them.
    #[must_use]
    pub fn headers(
        &self,
        protocol: Protocol,
        encoding: Encoding,
        length: usize,
        more: &[(String, Vec<u8>)],
    ) -> HeaderList {
        let (path, content_type, header) = match protocol {
            Protocol::Grpc => (self.signal.grpc_path(), "application/grpc", EncodingHeader::Grpc),
            Protocol::HttpJson => {
                (self.signal.http_path(), "application/json", EncodingHeader::Content)
            }
            Protocol::HttpProtobuf => {
                (self.signal.http_path(), "application/x-protobuf", EncodingHeader::Content)
            }
            Protocol::RemoteWrite => {
                ("/api/v1/push", "application/x-protobuf", EncodingHeader::Content)
            }
        };
        let mut headers: HeaderList = Vec::new();
        let mut add = |name: &str, value: &str| {
            // What is given takes the place of what would be sent.
            if !more.iter().any(|(given, _)| given == name) {
                headers.push((name.to_owned(), value.as_bytes().to_vec()));
            }
        };
        add(":method", "POST");
        add(":path", path);
        add(":scheme", "https");
        add(":authority", "gate.example");
        add("content-type", content_type);
        if let Some(name) = header.write(encoding) {
            add(header.name(), name);
        }
        match protocol {
            Protocol::Grpc => add("te", "trailers"),
            Protocol::RemoteWrite => add(VERSION_HEADER, VERSION),
            Protocol::HttpJson | Protocol::HttpProtobuf => {}
        }
        if protocol != Protocol::Grpc {
            add("content-length", &length.to_string());
        }
        headers.extend(more.iter().cloned());
        headers
    }
}

const WHICH_SIGNAL: &str = "cannot tell the signal from the content: say --signal logs, metrics, \
                            traces or profiles";

const fn format_of(protocol: Protocol) -> Format {
    match protocol {
        Protocol::HttpJson => Format::Json,
        Protocol::Grpc | Protocol::HttpProtobuf | Protocol::RemoteWrite => Format::Protobuf,
    }
}

/// Whether a body is exactly one gRPC frame.
fn is_frame(body: &[u8]) -> bool {
    let Some((&[flag, a, b, c, d], payload)) = body.split_first_chunk() else { return false };
    let length = usize::try_from(u32::from_be_bytes([a, b, c, d]));
    flag <= 1 && length == Ok(payload.len())
}

/// The encoding whose mark a payload begins with; identity if there is none. One block of snappy has no mark.
fn encoding_of(payload: &[u8]) -> Encoding {
    const MARKS: [(&[u8], Encoding); 4] = [
        (&[0x1f, 0x8b], Encoding::Gzip),
        (&[0x28, 0xb5, 0x2f, 0xfd], Encoding::Zstd),
        (&[0x04, 0x22, 0x4d, 0x18], Encoding::Lz4),
        (b"\xff\x06\x00\x00sNaPpY", Encoding::SnappyFramed),
    ];
    let marked = MARKS.into_iter().find(|(mark, _)| payload.starts_with(mark));
    match (marked, payload) {
        (Some((_, encoding)), _) => encoding,
        // RFC 1950, section 2.2: method 8, and a checksum of the first two bytes.
        (None, [first, second, ..])
            if first & 0x0f == 8
                && u16::from_be_bytes([*first, *second]).is_multiple_of(31)
                && !is_export(payload) =>
        {
            Encoding::Deflate
        }
        (None, _) => Encoding::Identity,
    }
}

/// Whether this may be an export request that is not compressed: JSON, or whole protobuf fields.
fn is_export(payload: &[u8]) -> bool {
    if payload.trim_ascii_start().first() == Some(&b'{') {
        return true;
    }
    let mut reader = Reader::new(payload, 0);
    loop {
        match reader.next_field() {
            Ok(Some(field)) if matches!(field.value, Value::Nested(_)) => {}
            Ok(None) => return true,
            Ok(Some(_)) | Err(_) => return false,
        }
    }
}

/// The first nested message in each of these fields, one inside the other.
fn first_within<'a>(message: &'a [u8], path: &[u32]) -> Option<&'a [u8]> {
    let Some((&number, rest)) = path.split_first() else { return Some(message) };
    let mut reader = Reader::new(message, 0);
    while let Ok(Some(field)) = reader.next_field() {
        if let Value::Nested(nested) = field.value
            && field.number == number
            && let Some(found) = first_within(nested.bytes, rest)
        {
            return Some(found);
        }
    }
    None
}

/// Whether a message begins with a time series of remote write: labels of two texts, then samples.
fn is_series(message: &[u8]) -> bool {
    let Some(label) = first_within(message, &[1, 1]) else { return false };
    let mut reader = Reader::new(label, 0);
    let mut numbers = Vec::new();
    while let Ok(Some(field)) = reader.next_field() {
        match field.value {
            Value::Nested(nested) if std::str::from_utf8(nested.bytes).is_ok() => {
                numbers.push(field.number);
            }
            _ => return false,
        }
    }
    numbers == [1, 2]
}

/// The signal of an export request, by the fields of its first record. `None` if it has none that can be told.
fn signal_of_protobuf(message: &[u8]) -> Option<Signal> {
    // A request of profiles has a dictionary, and no other request has a second field.
    let mut reader = Reader::new(message, 0);
    while let Ok(Some(field)) = reader.next_field() {
        if field.number == 2 {
            return Some(Signal::Profiles);
        }
    }
    let record = first_within(message, &[1, 2, 2])?;
    let mut reader = Reader::new(record, 0);
    let mut is_metric = false;
    while let Ok(Some(field)) = reader.next_field() {
        match (field.number, field.value) {
            // LogRecord: time_unix_nano, severity_number, flags, observed_time_unix_nano.
            (1 | 11, Value::Fixed64) | (2, Value::Varint(_)) | (8, Value::Fixed32) => {
                return Some(Signal::Logs);
            }
            // Span: start_time_unix_nano and end_time_unix_nano, kind, span_id.
            (7 | 8, Value::Fixed64) | (6, Value::Varint(_)) => return Some(Signal::Traces),
            (2, Value::Nested(id)) if id.bytes.len() == 8 && !id.bytes.is_ascii() => {
                return Some(Signal::Traces);
            }
            // Metric: its name, and gauge, sum, histogram, exponential_histogram, summary.
            (1, Value::Nested(name)) => is_metric = std::str::from_utf8(name.bytes).is_ok(),
            (5 | 7 | 9 | 10 | 11, Value::Nested(_)) if is_metric => return Some(Signal::Metrics),
            // LogRecord: severity_text, body.
            (3 | 5, Value::Nested(_)) if !is_metric => return Some(Signal::Logs),
            _ => {}
        }
    }
    None
}

fn signal_of_json(message: &[u8]) -> Option<Signal> {
    let json: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(message).ok()?;
    let has = |camel: &str, snake: &str| json.contains_key(camel) || json.contains_key(snake);
    if has("resourceLogs", "resource_logs") {
        Some(Signal::Logs)
    } else if has("resourceMetrics", "resource_metrics") {
        Some(Signal::Metrics)
    } else if has("resourceSpans", "resource_spans") {
        Some(Signal::Traces)
    } else if has("resourceProfiles", "resource_profiles") {
        Some(Signal::Profiles)
    } else {
        None
    }
}

/// Writes a message in the other format.
fn convert(signal: Signal, message: &[u8], to: Format) -> Result<Vec<u8>> {
    match signal {
        Signal::Logs => convert_as::<ExportLogsServiceRequest>(message, to),
        Signal::Metrics => convert_as::<ExportMetricsServiceRequest>(message, to),
        Signal::Profiles => convert_as::<ExportProfilesServiceRequest>(message, to),
        Signal::Traces => convert_as::<ExportTraceServiceRequest>(message, to),
    }
}

fn convert_as<M: Message + Default + Serialize + DeserializeOwned>(
    message: &[u8],
    to: Format,
) -> Result<Vec<u8>> {
    Ok(match to {
        Format::Json => serde_json::to_vec(&M::decode(message)?)?,
        Format::Protobuf => serde_json::from_slice::<M>(message)?.encode_to_vec(),
    })
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::{
        common::v1::{AnyValue, any_value},
        logs::v1::{LogRecord, ResourceLogs, ScopeLogs},
        metrics::v1::{Gauge, Metric, ResourceMetrics, ScopeMetrics, metric::Data},
        trace::v1::{ResourceSpans, ScopeSpans, Span},
    };

    use super::*;

    fn logs() -> Vec<u8> {
        let body = Some(AnyValue { value: Some(any_value::Value::StringValue("text".into())) });
        let log_records = vec![LogRecord { body, ..Default::default() }];
        let scope_logs = vec![ScopeLogs { log_records, ..Default::default() }];
        let resource_logs = vec![ResourceLogs { scope_logs, ..Default::default() }];
        ExportLogsServiceRequest { resource_logs }.encode_to_vec()
    }

    fn metrics(name: &str) -> Vec<u8> {
        let data = Some(Data::Gauge(Gauge::default()));
        let metrics = vec![Metric { name: name.into(), data, ..Default::default() }];
        let scope_metrics = vec![ScopeMetrics { metrics, ..Default::default() }];
        let resource_metrics = vec![ResourceMetrics { scope_metrics, ..Default::default() }];
        ExportMetricsServiceRequest { resource_metrics }.encode_to_vec()
    }

    fn traces() -> Vec<u8> {
        let span = Span {
            trace_id: b"sixteen bytes id".to_vec(),
            span_id: b"8 bytes.".to_vec(),
            start_time_unix_nano: 1,
            ..Default::default()
        };
        let scope_spans = vec![ScopeSpans { spans: vec![span], ..Default::default() }];
        let resource_spans = vec![ResourceSpans { scope_spans, ..Default::default() }];
        ExportTraceServiceRequest { resource_spans }.encode_to_vec()
    }

    #[test]
    fn signal_format_and_encoding_are_told_from_the_bytes() {
        for (message, signal) in [
            (logs(), Signal::Logs),
            (metrics("a.metric"), Signal::Metrics),
            (metrics("sixteen bytes id"), Signal::Metrics),
            (traces(), Signal::Traces),
        ] {
            for encoding in Encoding::ALL {
                let body = match encoding {
                    Encoding::Identity => message.clone(),
                    encoding => wrap(encoding, &message, Room::ANY).unwrap(),
                };
                let capture = Capture::read(body.clone(), Hints::default()).unwrap();
                let found = (capture.signal, capture.encoding, capture.protocol);
                assert_eq!(found, (signal, encoding, Protocol::HttpProtobuf), "{encoding}");
                assert_eq!(capture.message, message);
                for protocol in [Protocol::Grpc, Protocol::HttpJson] {
                    let (body, _) = capture.in_protocol(protocol).unwrap();
                    let again = Capture::read(body, Hints::default()).unwrap();
                    assert_eq!((again.signal, again.protocol), (signal, protocol), "{encoding}");
                    let (body, _) = again.in_protocol(Protocol::HttpProtobuf).unwrap();
                    let back = Capture::read(body, Hints::default()).unwrap();
                    assert_eq!(back.message, message, "{protocol:?} {encoding}");
                }
            }
        }
    }

    #[test]
    fn what_cannot_be_told_is_asked_for() {
        for body in [&b""[..], b"{}", b"\x0a\x00"] {
            let error = Capture::read(body.to_vec(), Hints::default()).unwrap_err();
            assert!(format!("{error:#}").contains("--signal"), "{error:#}");
            let hints = Hints { signal: Some(Signal::Logs), ..Hints::default() };
            assert_eq!(Capture::read(body.to_vec(), hints).unwrap().signal, Signal::Logs);
        }
        let hints = Hints {
            protocol: Some(Protocol::RemoteWrite),
            signal: Some(Signal::Logs),
            ..Hints::default()
        };
        assert!(Capture::read(Vec::new(), hints).is_err());
    }
}
