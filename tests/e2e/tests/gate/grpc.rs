//! gRPC calls: well-formed ones with tonic, others by hand.

use bytes::Bytes;
use envoy_local::SenderName;
use opentelemetry_proto::tonic::collector::{
    logs::v1::{
        ExportLogsServiceRequest, ExportLogsServiceResponse, logs_service_client::LogsServiceClient,
    },
    metrics::v1::{
        ExportMetricsServiceRequest, ExportMetricsServiceResponse,
        metrics_service_client::MetricsServiceClient,
    },
    trace::v1::{
        ExportTraceServiceRequest, ExportTraceServiceResponse,
        trace_service_client::TraceServiceClient,
    },
};
use sluice_e2e::{Protocol, Signal};
use tonic::{
    Code, Status,
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity},
};
use tonic_types::StatusExt;

use crate::{
    fixture::Gate,
    http::{Call, Version},
};

pub(crate) async fn export_logs(
    gate: &Gate,
    request: ExportLogsServiceRequest,
) -> Result<ExportLogsServiceResponse, Status> {
    let mut client = LogsServiceClient::new(channel(gate, SenderName::Payments));
    client.export(request).await.map(tonic::Response::into_inner)
}

pub(crate) async fn export_metrics(
    gate: &Gate,
    request: ExportMetricsServiceRequest,
) -> Result<ExportMetricsServiceResponse, Status> {
    let mut client = MetricsServiceClient::new(channel(gate, SenderName::Payments));
    client.export(request).await.map(tonic::Response::into_inner)
}

pub(crate) async fn export_traces(
    gate: &Gate,
    request: ExportTraceServiceRequest,
) -> Result<ExportTraceServiceResponse, Status> {
    let mut client = TraceServiceClient::new(channel(gate, SenderName::Payments));
    client.export(request).await.map(tonic::Response::into_inner)
}

/// A connection of this sender to the OTLP/gRPC port, opened on first use.
pub(crate) fn channel(gate: &Gate, sender: SenderName) -> Channel {
    let read = |path: &std::path::Path| {
        std::fs::read(path).unwrap_or_else(|error| panic!("{path:?}: {error}"))
    };
    let files = gate.pki().sender(sender);
    let tls = ClientTlsConfig::new()
        .ca_certificate(Certificate::from_pem(read(gate.pki().ca_pem())))
        .identity(Identity::from_pem(read(&files.cert), read(&files.key)));
    let endpoint = Endpoint::from_shared(format!("https://{}", gate.addr(Protocol::Grpc)))
        .expect("an endpoint");
    endpoint.tls_config(tls).expect("a TLS client").connect_lazy()
}

/// A call to the OTLP/gRPC port whose body is sent unchanged, including its frame.
pub(crate) fn call(signal: Signal, body: impl Into<Bytes>) -> Call {
    let mut call = Call::export(Version::Http2, signal, body)
        .only("content-type", "application/grpc")
        .header("te", "trailers");
    call.protocol = Protocol::Grpc;
    call.path = path(signal).to_owned();
    call
}

fn path(signal: Signal) -> &'static str {
    match signal {
        Signal::Logs => "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
        Signal::Metrics => "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
        Signal::Traces => "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    }
}

/// A message in its frame (gRPC over HTTP2, "Length-Prefixed-Message").
pub(crate) fn frame(message: &[u8], compressed: bool) -> Vec<u8> {
    let length = u32::try_from(message.len()).expect("a message below 4 GiB");
    [&[u8::from(compressed)], length.to_be_bytes().as_slice(), message].concat()
}

/// Sends a call by hand. The status is in the trailers, or in the headers if the reply has nothing else.
pub(crate) async fn status_of(call: Call, gate: &Gate) -> Status {
    let reply = call.send(gate).await;
    Status::from_header_map(&reply.trailers)
        .or_else(|| Status::from_header_map(&reply.headers))
        .unwrap_or_else(|| panic!("no grpc-status: {reply:?}"))
}

/// Asserts this code, and these words in the message.
#[track_caller]
pub(crate) fn assert_refused(status: &Status, code: Code, words: &str) {
    assert_eq!(status.code(), code, "{status:?}");
    assert!(status.message().contains(words), "expected {words:?} in {:?}", status.message());
}

/// Returns whether a sender may retry after this status (OTLP specification, "OTLP/gRPC Response").
pub(crate) fn is_retryable(status: &Status) -> bool {
    match status.code() {
        Code::Cancelled
        | Code::DeadlineExceeded
        | Code::Aborted
        | Code::OutOfRange
        | Code::Unavailable
        | Code::DataLoss => true,
        Code::ResourceExhausted => status.get_details_retry_info().is_some(),
        _ => false,
    }
}
