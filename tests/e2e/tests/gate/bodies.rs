//! Bodies that pass through the gate: unchanged, compressed, large.

use bytes::Bytes;
use hyper::StatusCode;
use opentelemetry_proto::tonic::collector::{
    logs::v1::ExportLogsServiceResponse, metrics::v1::ExportMetricsServiceResponse,
};
use prost::Message;
use sluice_cases::compress::encode;
use sluice_e2e::Signal;
use sluice_encodings::{Encoding, EncodingHeader};
use sluice_stand_ins::{Backend, Reaction};

use crate::{
    fixture::{Gate, until},
    grpc,
    http::{Call, Version},
    sdks::assert_tenants,
    telemetry,
};

/// The size of each record below. The sum stays well below Loki's own limit of 4 MiB.
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

/// Bodies that decode to more than Envoy would hold by default, by hundreds of KiB and by tens of MiB. Mimir accepts up
/// to 100 MiB; Loki and Tempo less.
const LARGE: [usize; 5] = [2 << 20, 18 << 20, 20 << 20, 40 << 20, 63 << 20];

/// Every size in every encoding, each over one of the protocols.
pub(crate) async fn a_large_body_with_one_bad_data_point_is_stored_without_it(gate: &Gate) {
    for (nth, size) in LARGE.into_iter().enumerate() {
        let body = large_metrics(size, 1);
        for (number, encoding) in compressed().into_iter().enumerate() {
            let compressed = encode(encoding, body.clone()).expect("compressing into memory");
            gate.store().clear();
            let what = format!("{size} bytes in {encoding}");
            let told: ExportMetricsServiceResponse = match (nth + number) % 3 {
                0 if EncodingHeader::Grpc.write(encoding).is_some() => {
                    told_over_grpc(gate, encoding, &compressed, &what).await
                }
                1 => told_over_http(gate, Version::Http1, encoding, compressed).await,
                _ => told_over_http(gate, Version::Http2, encoding, compressed).await,
            };
            let rejected = told.partial_success.map(|partial| partial.rejected_data_points);
            assert_eq!(rejected, Some(1), "{what}");
            assert_tenants(gate, Backend::Mimir, &[("payments", size / POINT)]);
        }
    }
}

/// The largest size over every protocol, in the encoding that every sender supports.
pub(crate) async fn the_largest_body_with_one_bad_data_point_is_stored_over_every_protocol(
    gate: &Gate,
) {
    let [.., size] = LARGE;
    let body = encode(Encoding::Gzip, large_metrics(size, 1)).expect("compressing into memory");
    for version in Version::ALL {
        gate.store().clear();
        let told = told_over_http(gate, version, Encoding::Gzip, body.clone()).await;
        let rejected = told.partial_success.map(|partial| partial.rejected_data_points);
        assert_eq!(rejected, Some(1), "{version:?}");
        assert_tenants(gate, Backend::Mimir, &[("payments", size / POINT)]);
    }
    gate.store().clear();
    let told = told_over_grpc(gate, Encoding::Gzip, &body, "gRPC").await;
    assert_eq!(told.partial_success.map(|partial| partial.rejected_data_points), Some(1));
    assert_tenants(gate, Backend::Mimir, &[("payments", size / POINT)]);
}

/// Mimir does not support deflate, so a body without dropped records is forwarded decoded too.
pub(crate) async fn a_large_body_in_an_encoding_that_the_backend_does_not_take_is_stored(
    gate: &Gate,
) {
    for size in LARGE {
        let body = encode(Encoding::Deflate, large_metrics(size, 0)).expect("into memory");
        for version in Version::ALL {
            gate.store().clear();
            let told = told_over_http(gate, version, Encoding::Deflate, body.clone()).await;
            assert_eq!(told.partial_success, None, "{size} bytes");
            assert_tenants(gate, Backend::Mimir, &[("payments", size / POINT)]);
        }
    }
}

/// Data that waits in Envoy for a slow backend counts: one body of this size is the sender's whole share, and the next
/// sender of one is told to retry.
pub(crate) async fn a_large_body_waits_for_a_backend_that_hangs_and_the_next_is_to_be_sent_again(
    gate: &Gate,
) {
    let body = encode(Encoding::Gzip, large_metrics(40 << 20, 1)).expect("into memory");
    let call = || {
        Call::export(Version::Http1, Signal::Metrics, body.clone())
            .header("content-encoding", "gzip")
    };
    gate.store().answer_always(Backend::Mimir, Reaction::Hang);
    let hanging = call().try_send(gate);
    let next = async {
        until("the first has reached Mimir", async || {
            !gate.store().requests(Backend::Mimir).is_empty()
        })
        .await;
        call().send(gate).await
    };
    tokio::select! {
        first = hanging => panic!("a backend that hangs has answered: {first:?}"),
        next = next => {
            next.assert_refused(503, tonic::Code::Unavailable, "Send it again later");
            assert_eq!(next.header("retry-after"), "5");
        }
    }
    // The first sender has closed its connection, which releases what its request held.
    gate.store().answer_as_usual(Backend::Mimir);
    gate.store().clear();
    until("there is room again", async || call().send(gate).await.status == StatusCode::OK).await;
    assert_tenants(gate, Backend::Mimir, &[("payments", (40 << 20) / POINT)]);
}

/// The size of a data point's attribute, in bytes.
const POINT: usize = 16 << 10;

/// Data points with this many bytes in total, and `unnamed` ones that are dropped. Every encoding reduces them to less
/// than a fourth, so that they are accepted, and to more than a thousandth, so that they are not a bomb.
fn large_metrics(size: usize, unnamed: usize) -> Vec<u8> {
    // A linear congruential generator (Knuth's MMIX), whose high bits are as good as random.
    let mut state = 1_u64;
    let mut letter = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(b'a' + u8::try_from(state >> 60).expect("four bits"))
    };
    let note = |_| (0..1 << 10).map(|_| letter()).collect::<String>().repeat(POINT >> 10);
    let notes = (0..size / POINT + unnamed).map(note).collect();
    let body = telemetry::metrics_with_notes(notes, size / POINT).encode_to_vec();
    assert!((size..=64 << 20).contains(&body.len()), "{} of {size}", body.len());
    body
}

fn compressed() -> Vec<Encoding> {
    Encoding::ALL.into_iter().filter(|encoding| *encoding != Encoding::Identity).collect()
}

async fn told_over_http(
    gate: &Gate,
    version: Version,
    encoding: Encoding,
    body: Vec<u8>,
) -> ExportMetricsServiceResponse {
    let call = Call::export(version, Signal::Metrics, body)
        .header("content-encoding", encoding.as_str().as_bytes());
    call.send(gate).await.message()
}

async fn told_over_grpc(
    gate: &Gate,
    encoding: Encoding,
    message: &[u8],
    what: &str,
) -> ExportMetricsServiceResponse {
    let name = EncodingHeader::Grpc.write(encoding).expect("one of gRPC's");
    let call = grpc::call(Signal::Metrics, grpc::frame(message, true))
        .header("grpc-encoding", name.as_bytes());
    let reply = call.send(gate).await;
    let status = tonic::Status::from_header_map(&reply.trailers)
        .unwrap_or_else(|| panic!("{what}: no grpc-status in trailers: {reply:?}"));
    assert_eq!(status.code(), tonic::Code::Ok, "{what}: {status:?}");
    let message = reply.body.get(5..).expect("a frame");
    ExportMetricsServiceResponse::decode(message).expect("a response")
}

/// The only body that this backend got, decoded.
fn received(gate: &Gate, backend: Backend) -> Bytes {
    let [request] = gate.store().requests(backend).try_into().expect("one request");
    request.decoded.unwrap_or_else(|| panic!("{backend} could not decode its request"))
}

/// A request with an unknown field at its end: number 999, length-delimited.
fn with_unknown_fields(mut body: Vec<u8>) -> Vec<u8> {
    body.extend_from_slice(&[0xba, 0x3e, 0x03, b'n', b'e', b'w']);
    body
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("gzip into memory")
}
