//! Shared by the contract tests: a client over real sockets, and small exports.

#![allow(dead_code, reason = "each test binary uses its own part")]

use std::{
    io::Write,
    net::SocketAddr,
    time::{SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use http::{HeaderMap, Request, Version, request::Builder};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use opentelemetry_proto::tonic::{
    collector::{
        logs::v1::ExportLogsServiceRequest, metrics::v1::ExportMetricsServiceRequest,
        trace::v1::ExportTraceServiceRequest,
    },
    common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value::Value},
    logs::v1::{LogRecord, ResourceLogs, ScopeLogs},
    metrics::v1::{
        AggregationTemporality, Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum,
        metric::Data,
    },
    resource::v1::Resource,
    trace::v1::{ResourceSpans, ScopeSpans, Span},
};
use prost::Message;
use serde::de::DeserializeOwned;
use sluice_stand_ins::{Backends, Ports};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Duration, timeout},
};

/// The timeout of a single exchange in these tests.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) const PROTOBUF: &str = "application/x-protobuf";
pub(crate) const JSON: &str = "application/json";

pub(crate) async fn started() -> Backends {
    Backends::start(Ports::default()).await.expect("free loopback ports")
}

/// A push to `path` for tenant-a, in protobuf.
pub(crate) fn push(path: &str) -> Builder {
    typed(path, PROTOBUF)
}

/// A push to `path` for tenant-a, with this content type.
pub(crate) fn typed(path: &str, content_type: &str) -> Builder {
    Request::post(path).header("x-scope-orgid", "tenant-a").header("content-type", content_type)
}

/// The answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) version: Version,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("the backends' headers are ASCII"))
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("a text body")
    }

    /// The body as a protobuf google.rpc.Status.
    pub(crate) fn status_message(&self) -> RpcStatus {
        RpcStatus::decode(self.body.clone()).expect("a Status in protobuf")
    }

    pub(crate) fn json<T: DeserializeOwned>(&self) -> T {
        serde_json::from_slice(&self.body).expect("a JSON body")
    }
}

/// google.rpc.Status, declared here again so that the tests do not depend on the crate's own.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct RpcStatus {
    #[prost(int32, tag = "1")]
    pub(crate) code: i32,
    #[prost(string, tag = "2")]
    pub(crate) message: String,
    #[prost(message, repeated, tag = "3")]
    pub(crate) details: Vec<RpcDetail>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct RpcDetail {
    #[prost(string, tag = "1")]
    pub(crate) type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    pub(crate) value: Vec<u8>,
}

/// Sends over HTTP/1.1 on a new connection.
pub(crate) async fn send(to: SocketAddr, request: Builder, body: impl Into<Bytes>) -> Reply {
    try_send(to, request, body).await.expect("an answer")
}

/// The same, but the connection may end without an answer.
pub(crate) async fn try_send(
    to: SocketAddr,
    request: Builder,
    body: impl Into<Bytes>,
) -> Result<Reply, hyper::Error> {
    let exchange = async {
        let stream = TcpStream::connect(to).await.expect("a listening backend");
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let connection = tokio::spawn(connection);
        let request = request.header("host", to.to_string());
        let request = request.body(Full::new(body.into())).expect("a request");
        let reply = collect(sender.send_request(request).await?).await;
        connection.abort();
        reply
    };
    timeout(PATIENCE, exchange).await.expect("within a minute")
}

/// Sends over HTTP/2 without TLS and without an upgrade.
pub(crate) async fn send_h2c(
    to: SocketAddr,
    path: &str,
    body: impl Into<Bytes>,
) -> Result<Reply, hyper::Error> {
    let exchange = async {
        let stream = TcpStream::connect(to).await.expect("a listening backend");
        let io = TokioIo::new(stream);
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await?;
        let connection = tokio::spawn(connection);
        let request = push(&format!("http://{to}{path}"));
        let request = request.body(Full::new(body.into())).expect("a request");
        let reply = collect(sender.send_request(request).await?).await;
        connection.abort();
        reply
    };
    timeout(PATIENCE, exchange).await.expect("within a minute")
}

async fn collect(response: http::Response<hyper::body::Incoming>) -> Result<Reply, hyper::Error> {
    let (head, body) = response.into_parts();
    Ok(Reply {
        status: head.status.as_u16(),
        version: head.version,
        headers: head.headers,
        body: body.collect().await?.to_bytes(),
    })
}

/// Writes these bytes and reads until the backend closes or `enough` has arrived.
pub(crate) async fn send_raw(to: SocketAddr, bytes: &[u8], enough: &str) -> String {
    let exchange = async {
        let mut stream = TcpStream::connect(to).await.expect("a listening backend");
        stream.write_all(bytes).await.expect("an open connection");
        read_until(&mut stream, enough).await
    };
    timeout(PATIENCE, exchange).await.expect("within a minute")
}

/// Reads until the other side closes or `enough` has arrived.
pub(crate) async fn read_until(stream: &mut TcpStream, enough: &str) -> String {
    let mut heard = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&heard).into_owned();
        if text.contains(enough) {
            return text;
        }
        match timeout(PATIENCE, stream.read(&mut buffer)).await {
            Ok(Ok(0) | Err(_)) => return text,
            Ok(Ok(read)) => heard.extend_from_slice(&buffer[..read]),
            Err(_) => panic!("neither {enough:?} nor a close within a minute, but {text:?}"),
        }
    }
}

pub(crate) fn string(key: &str, value: &str) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(text(value)), ..KeyValue::default() }
}

pub(crate) fn text(value: &str) -> AnyValue {
    AnyValue { value: Some(Value::StringValue(value.to_owned())) }
}

pub(crate) fn resource(attributes: Vec<KeyValue>) -> Option<Resource> {
    Some(Resource { attributes, ..Resource::default() })
}

/// Nanoseconds since 1970.
#[expect(clippy::disallowed_methods, reason = "Loki compares with the clock")]
pub(crate) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    u64::try_from(since.expect("after 1970").as_nanos()).expect("before 2554")
}

/// A log record with this body and the current time.
pub(crate) fn log(body: &str) -> LogRecord {
    LogRecord { time_unix_nano: now(), body: Some(text(body)), ..LogRecord::default() }
}

pub(crate) fn logs(records: Vec<LogRecord>) -> ExportLogsServiceRequest {
    logs_of(vec![string("service.name", "probe")], vec![], records)
}

pub(crate) fn logs_of(
    of_resource: Vec<KeyValue>,
    of_scope: Vec<KeyValue>,
    log_records: Vec<LogRecord>,
) -> ExportLogsServiceRequest {
    ExportLogsServiceRequest {
        resource_logs: vec![ResourceLogs {
            resource: resource(of_resource),
            scope_logs: vec![ScopeLogs {
                scope: Some(InstrumentationScope {
                    attributes: of_scope,
                    ..InstrumentationScope::default()
                }),
                log_records,
                ..ScopeLogs::default()
            }],
            ..ResourceLogs::default()
        }],
    }
}

/// A protobuf export of one log record.
pub(crate) fn one_log() -> Vec<u8> {
    logs(vec![log("hello")]).encode_to_vec()
}

pub(crate) fn point(attributes: Vec<KeyValue>) -> NumberDataPoint {
    NumberDataPoint { attributes, time_unix_nano: now(), ..NumberDataPoint::default() }
}

pub(crate) fn gauge(name: &str, data_points: Vec<NumberDataPoint>) -> Metric {
    Metric {
        name: name.to_owned(),
        data: Some(Data::Gauge(Gauge { data_points })),
        ..Metric::default()
    }
}

pub(crate) fn sum(name: &str, temporality: AggregationTemporality) -> Metric {
    Metric {
        name: name.to_owned(),
        data: Some(Data::Sum(Sum {
            data_points: vec![point(vec![])],
            aggregation_temporality: temporality as i32,
            is_monotonic: true,
        })),
        ..Metric::default()
    }
}

pub(crate) fn metrics(metrics: Vec<Metric>) -> ExportMetricsServiceRequest {
    ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics {
            resource: resource(vec![string("service.name", "probe")]),
            scope_metrics: vec![ScopeMetrics { metrics, ..ScopeMetrics::default() }],
            ..ResourceMetrics::default()
        }],
    }
}

/// A protobuf export of one data point.
pub(crate) fn one_point() -> Vec<u8> {
    let point = point(vec![string("source.name", "dp-a")]);
    metrics(vec![gauge("map.test", vec![point])]).encode_to_vec()
}

pub(crate) fn span(name: &str, trace: u8) -> Span {
    Span {
        trace_id: vec![trace; 16],
        span_id: vec![7; 8],
        name: name.to_owned(),
        ..Span::default()
    }
}

pub(crate) fn traces(spans: Vec<Span>) -> ExportTraceServiceRequest {
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: resource(vec![string("source.name", "src-a")]),
            scope_spans: vec![ScopeSpans { spans, ..ScopeSpans::default() }],
            ..ResourceSpans::default()
        }],
    }
}

/// A protobuf export of one span.
pub(crate) fn one_span() -> Vec<u8> {
    traces(vec![span("checkout", 1)]).encode_to_vec()
}

pub(crate) fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(body).expect("memory");
    encoder.finish().expect("memory")
}

pub(crate) fn zlib(body: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(body).expect("memory");
    encoder.finish().expect("memory")
}

pub(crate) fn raw_deflate(body: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(body).expect("memory");
    encoder.finish().expect("memory")
}

pub(crate) fn zstd(body: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(body, ruzstd::encoding::CompressionLevel::Fastest)
}

pub(crate) fn lz4(body: &[u8]) -> Vec<u8> {
    let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::new());
    encoder.write_all(body).expect("memory");
    encoder.finish().expect("memory")
}

pub(crate) fn snappy(body: &[u8]) -> Vec<u8> {
    snap::raw::Encoder::new().compress_vec(body).expect("memory")
}

pub(crate) fn snappy_framed(body: &[u8]) -> Vec<u8> {
    let mut encoder = snap::write::FrameEncoder::new(Vec::new());
    encoder.write_all(body).expect("memory");
    encoder.into_inner().expect("memory")
}
