//! The contract of Tempo's OTLP/gRPC port, tested with tonic's client. The comment above a test quotes the row that it
//! tests.

mod common;

use common::*;
use opentelemetry_proto::tonic::collector::{
    logs::v1::{ExportLogsServiceRequest, logs_service_client::LogsServiceClient},
    trace::v1::{
        ExportTraceServiceRequest, ExportTraceServiceResponse,
        trace_service_client::TraceServiceClient,
    },
};
use sluice_stand_ins::{Backend, Backends};
use tonic::{Code, Request, Status, codec::CompressionEncoding, transport::Channel};

async fn channel(backends: &Backends) -> Channel {
    let address = format!("http://{}", backends.tempo_grpc());
    Channel::from_shared(address).expect("an address").connect().await.expect("a port")
}

async fn export(
    backends: &Backends,
    tenants: &[&'static str],
    encoding: Option<CompressionEncoding>,
    request: ExportTraceServiceRequest,
) -> Result<ExportTraceServiceResponse, Status> {
    let mut client = TraceServiceClient::new(channel(backends).await);
    if let Some(encoding) = encoding {
        client = client.send_compressed(encoding);
    }
    let mut request = Request::new(request);
    for tenant in tenants {
        request.metadata_mut().append("x-scope-orgid", tenant.parse().expect("metadata"));
    }
    client.export(request).await.map(tonic::Response::into_inner)
}

// Tempo, "gRPC encodings": none, gzip; "gRPC metadata key": x-scope-orgid
#[tokio::test]
async fn what_comes_plain_or_in_gzip_is_stored_under_its_tenant() {
    let backends = started().await;
    for (index, encoding) in [None, Some(CompressionEncoding::Gzip)].into_iter().enumerate() {
        let request = traces(vec![span("checkout", u8::try_from(index + 1).unwrap())]);
        export(&backends, &["tenant-a"], encoding, request).await.expect("stored");
        assert_eq!(backends.store().records(Backend::Tempo, "tenant-a").len(), index + 1);
    }
}

// Tempo, "gRPC encodings": deflate UNIMPLEMENTED
#[tokio::test]
async fn another_encoding_is_unimplemented() {
    let backends = started().await;
    let deflate = Some(CompressionEncoding::Deflate);
    let request = traces(vec![span("checkout", 1)]);
    let refused = export(&backends, &["tenant-a"], deflate, request).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unimplemented);
    assert!(refused.message().contains("Decompressor is not installed"), "{refused}");
}

// Tempo, "path": LogsService UNIMPLEMENTED
#[tokio::test]
async fn another_service_is_unimplemented() {
    let backends = started().await;
    let mut client = LogsServiceClient::new(channel(&backends).await);
    let refused = client.export(ExportLogsServiceRequest::default()).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unimplemented);
}

// Tempo, "missing tenant": gRPC: UNAVAILABLE; empty value INVALID_ARGUMENT; "two tenant headers": UNAVAILABLE;
// "bad tenant": INVALID_ARGUMENT
#[tokio::test]
async fn exactly_one_tenant_is_asked_for() {
    let backends = started().await;
    for (tenants, code, message) in [
        (&[][..], Code::Unavailable, "no org id"),
        (&["a", "a"], Code::Unavailable, "no org id"),
        (&[""], Code::InvalidArgument, "no org id"),
        (&["a b"], Code::InvalidArgument, "tenant ID"),
    ] {
        let request = traces(vec![span("checkout", 1)]);
        let refused = export(&backends, tenants, None, request).await.unwrap_err();
        assert_eq!(refused.code(), code, "{tenants:?}: {refused}");
        assert!(refused.message().contains(message), "{tenants:?}: {refused}");
    }
}

// Tempo, "empty request": no spans: OK, also with no tenant at all
#[tokio::test]
async fn nothing_is_a_success_for_anybody() {
    let backends = started().await;
    export(&backends, &[], None, ExportTraceServiceRequest::default()).await.expect("a success");
}

// Tempo, "bad ids": one empty trace id rejects the whole batch; short trace id: INTERNAL
#[tokio::test]
async fn one_bad_id_refuses_the_batch() {
    let backends = started().await;
    for (trace_id, code) in [(vec![], Code::InvalidArgument), (vec![1, 2, 3], Code::Internal)] {
        let mut bad = span("bad", 1);
        bad.trace_id = trace_id;
        let request = traces(vec![span("good", 1), bad]);
        let refused = export(&backends, &["tenant-a"], None, request).await.unwrap_err();
        assert_eq!(refused.code(), code, "{refused}");
        assert!(backends.store().records(Backend::Tempo, "tenant-a").is_empty());
    }
}

// Tempo, "gRPC encodings": > 4 MiB: RESOURCE_EXHAUSTED without RetryInfo
#[tokio::test]
async fn a_message_over_its_limit_is_final() {
    let backends = started().await;
    for encoding in [None, Some(CompressionEncoding::Gzip)] {
        let request = traces(vec![span(&"x".repeat(5 << 20), 1)]);
        let refused = export(&backends, &["tenant-a"], encoding, request).await.unwrap_err();
        assert_eq!(refused.code(), Code::ResourceExhausted, "{refused}");
        assert!(refused.message().contains("received message larger than max"), "{refused}");
        assert!(refused.details().is_empty());
    }
}
