//! Bodies on their way through: untouched, compressed, large.

use bytes::Bytes;
use hyper::StatusCode;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceResponse;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceResponse;
use prost::Message;
use sluice_backends::Backend;
use sluice_e2e::Signal;

use crate::fixture::Gate;
use crate::http::{Call, Version};
use crate::sdks::assert_tenants;
use crate::{grpc, telemetry};

/// Each record below is about this large; Loki's own limit of 4 MiB is kept clear of.
const KIBIBYTE: usize = 1_024;

pub(crate) async fn what_is_not_touched_arrives_byte_for_byte(gate: &Gate) {
    let body = with_unknown_fields(telemetry::logs(3, 0).encode_to_vec());
    for version in Version::ALL {
        gate.store().clear();
        let reply = Call::export(version, Signal::Logs, body.clone()).send(gate).await;
        assert_eq!(reply.status, StatusCode::OK, "{reply:?}");
        assert_eq!(received(gate, Backend::Loki), body, "{version:?}");
    }
    gate.store().clear();
    let status = grpc::status_of(grpc::call(Signal::Logs, grpc::frame(&body, false)), gate).await;
    assert_eq!(status.code(), tonic::Code::Ok, "{status:?}");
    assert_eq!(received(gate, Backend::Loki), body, "gRPC");
}

pub(crate) async fn what_is_not_touched_stays_as_it_was_compressed_where_headers_are_held(
    gate: &Gate,
) {
    let body = with_unknown_fields(telemetry::logs(50, 0).encode_to_vec());
    let compressed = gzip(&body);
    let call = Call::export(Version::Http1, Signal::Logs, compressed.clone())
        .header("content-encoding", "gzip");
    let reply = call.send(gate).await;
    assert_eq!(reply.status, StatusCode::OK, "{reply:?}");
    assert_eq!(received(gate, Backend::Loki), body);
    let [request] = gate.store().requests(Backend::Loki).try_into().expect("one request");
    if gate.holds_headers() {
        assert_eq!(request.body.as_deref(), Some(compressed.as_slice()), "not compressed anew");
        assert_eq!(request.header_values("content-encoding"), ["gzip"]);
    }
}

pub(crate) async fn what_is_kept_of_a_compressed_request_is_stored(gate: &Gate) {
    for version in Version::ALL {
        gate.store().clear();
        let body = gzip(&telemetry::logs(4, 2).encode_to_vec());
        let call = Call::export(version, Signal::Logs, body).header("content-encoding", "gzip");
        let response: ExportLogsServiceResponse = call.send(gate).await.message();
        assert_eq!(response.partial_success.map(|partial| partial.rejected_log_records), Some(2));
        assert_tenants(gate, Backend::Loki, &[("payments", 4)]);
    }
}

pub(crate) async fn three_megabytes_pass_untouched(gate: &Gate) {
    let request = telemetry::logs_of_size(3_000, 0, KIBIBYTE);
    let body = request.encode_to_vec();
    assert!(body.len() > 3_000_000);
    for version in Version::ALL {
        gate.store().clear();
        let reply = Call::export(version, Signal::Logs, body.clone()).send(gate).await;
        assert_eq!(reply.status, StatusCode::OK, "{version:?}: {reply:?}");
        assert!(received(gate, Backend::Loki) == body, "{version:?}: other bytes arrived");
    }
    gate.store().clear();
    let response =
        grpc::export_logs(gate, request).await.unwrap_or_else(|status| panic!("{status:?}"));
    assert_eq!(response.partial_success, None);
    assert!(received(gate, Backend::Loki) == body, "gRPC: other bytes arrived");
}

pub(crate) async fn three_megabytes_pass_less_what_is_dropped(gate: &Gate) {
    let request = telemetry::logs_of_size(2_500, 500, KIBIBYTE);
    for version in Version::ALL {
        gate.store().clear();
        let call = Call::export(version, Signal::Logs, request.encode_to_vec());
        let response: ExportLogsServiceResponse = call.send(gate).await.message();
        assert_eq!(
            response.partial_success.map(|partial| partial.rejected_log_records),
            Some(500),
            "{version:?}"
        );
        assert_tenants(gate, Backend::Loki, &[("payments", 2_500)]);
    }
    gate.store().clear();
    let response =
        grpc::export_logs(gate, request).await.unwrap_or_else(|status| panic!("{status:?}"));
    assert_eq!(
        response.partial_success.map(|partial| partial.rejected_log_records),
        Some(500),
        "gRPC"
    );
    assert_tenants(gate, Backend::Loki, &[("payments", 2_500)]);
}

pub(crate) async fn three_megabytes_without_a_content_length_pass(gate: &Gate) {
    let body = telemetry::logs_of_size(3_000, 0, KIBIBYTE).encode_to_vec();
    for version in Version::ALL {
        gate.store().clear();
        let reply = Call::export(version, Signal::Logs, "").in_pieces(&body).send(gate).await;
        assert_eq!(reply.status, StatusCode::OK, "{version:?}: {reply:?}");
        assert!(received(gate, Backend::Loki) == body, "{version:?}: other bytes arrived");
    }
}

pub(crate) async fn fifteen_megabytes_pass(gate: &Gate) {
    let body = telemetry::metrics_of_size(13_000, 1_000, KIBIBYTE).encode_to_vec();
    assert!((15_000_000..16_777_216).contains(&body.len()), "{}", body.len());
    for version in Version::ALL {
        gate.store().clear();
        let response: ExportMetricsServiceResponse =
            Call::export(version, Signal::Metrics, body.clone()).send(gate).await.message();
        assert_eq!(
            response.partial_success.map(|partial| partial.rejected_data_points),
            Some(1_000),
            "{version:?}"
        );
        assert_tenants(gate, Backend::Mimir, &[("payments", 13_000)]);
    }
}

/// The one body that this backend was given, decoded.
fn received(gate: &Gate, backend: Backend) -> Bytes {
    let [request] = gate.store().requests(backend).try_into().expect("one request");
    request.decoded.unwrap_or_else(|| panic!("{backend} could not decode its request"))
}

/// A request with a field that no version of OTLP knows, at its end: number 999, length-delimited.
fn with_unknown_fields(mut body: Vec<u8>) -> Vec<u8> {
    body.extend_from_slice(&[0xba, 0x3e, 0x03, b'n', b'e', b'w']);
    body
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("gzip into memory")
}
