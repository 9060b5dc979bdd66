//! Requests that are too large are refused: at once, with little memory, and permanently.

use std::{
    io::Write,
    time::{Duration, Instant},
};

use flate2::{Compress, Compression, Crc, FlushCompress};
use hyper::StatusCode;
use prost::Message;
use sluice_e2e::Signal;
use sluice_stand_ins::Backend;
use tonic::Code;

use crate::{
    bodies::gzip,
    fixture::{Gate, SMALL},
    grpc,
    http::{Call, Version},
    sdks::assert_tenants,
    telemetry,
};

/// The default `limits.bodyBytes`.
const USUAL: usize = 16_777_216;

pub(crate) async fn a_body_over_the_usual_limit_is_413(gate: &Gate) {
    let body = vec![0; USUAL + 1];
    for version in Version::ALL {
        let reply = Call::export(version, Signal::Logs, body.clone()).send(gate).await;
        reply.assert_refused(413, Code::ResourceExhausted, "16777216");
        let reply = Call::export(version, Signal::Logs, "").in_pieces(&body).send(gate).await;
        reply.assert_refused(413, Code::ResourceExhausted, "16777216");
        assert_served(gate).await;
    }
}

pub(crate) async fn a_message_over_the_usual_limit_is_resource_exhausted(gate: &Gate) {
    let body = grpc::frame(&vec![0; USUAL + 1], false);
    let status = grpc::status_of(grpc::call(Signal::Logs, body), gate).await;
    assert_too_large(&status, "16777216");
    assert_served(gate).await;
}

pub(crate) async fn ten_megabytes_that_inflate_to_ten_gigabytes_are_refused_at_once_and_in_little_memory(
    gate: &Gate,
) {
    const ALLOWED_TIME: Duration = Duration::from_secs(3);
    const ALLOWED_MEMORY: u64 = 200_000_000;
    for (shape, bomb) in
        [("one stream", one_stream_of_zeros()), ("many members", many_members_of_zeros())]
    {
        assert!((9_000_000..11_000_000).contains(&bomb.len()), "{shape}: {}", bomb.len());
        gate.reset_envoy_peak();
        let before = gate.envoy_memory("VmRSS");

        for version in Version::ALL {
            let call = Call::export(version, Signal::Logs, bomb.clone())
                .header("content-encoding", "gzip");
            let started = Instant::now();
            let reply = call.send(gate).await;
            assert!(
                started.elapsed() < ALLOWED_TIME,
                "{shape}, {version:?}: {:?}",
                started.elapsed()
            );
            reply.assert_refused(413, Code::ResourceExhausted, "67108864");
        }
        let call =
            grpc::call(Signal::Logs, grpc::frame(&bomb, true)).header("grpc-encoding", "gzip");
        let started = Instant::now();
        let status = grpc::status_of(call, gate).await;
        assert!(started.elapsed() < ALLOWED_TIME, "{shape}, gRPC: {:?}", started.elapsed());
        assert_too_large(&status, "67108864");

        let grown = gate.envoy_memory("VmHWM").saturating_sub(before);
        assert!(grown < ALLOWED_MEMORY, "{shape}: Envoy took {grown} bytes more");
        assert_served(gate).await;
    }
}

pub(crate) async fn a_body_within_a_small_limit_is_served(gate: &Gate) {
    let body = telemetry::logs_of_size(60, 0, 1_000).encode_to_vec();
    assert!(body.len() < SMALL.0);
    for version in Version::ALL {
        gate.store().clear();
        let reply = Call::export(version, Signal::Logs, body.clone()).send(gate).await;
        assert_eq!(reply.status, StatusCode::OK, "{reply:?}");
        assert_tenants(gate, Backend::Loki, &[("payments", 60)]);
    }
}

pub(crate) async fn a_body_over_a_small_limit_is_413(gate: &Gate) {
    let body = telemetry::logs_of_size(70, 0, 1_000).encode_to_vec();
    assert!(body.len() > SMALL.0);
    for version in Version::ALL {
        let reply = Call::export(version, Signal::Logs, body.clone()).send(gate).await;
        reply.assert_refused(413, Code::ResourceExhausted, "65536");
        let reply = Call::export(version, Signal::Logs, "").in_pieces(&body).send(gate).await;
        reply.assert_refused(413, Code::ResourceExhausted, "65536");
    }
    assert_tenants(gate, Backend::Loki, &[]);
}

pub(crate) async fn a_message_over_a_small_limit_is_resource_exhausted(gate: &Gate) {
    let error = grpc::export_logs(gate, telemetry::logs_of_size(70, 0, 1_000))
        .await
        .expect_err("it is too large");
    assert_too_large(&error, "65536");
    assert_tenants(gate, Backend::Loki, &[]);
}

pub(crate) async fn a_body_that_inflates_to_more_than_the_decoded_limit_is_413(gate: &Gate) {
    let body = gzip(&telemetry::logs_of_size(300, 0, 1_000).encode_to_vec());
    assert!(body.len() < SMALL.0);
    for version in Version::ALL {
        let call =
            Call::export(version, Signal::Logs, body.clone()).header("content-encoding", "gzip");
        call.send(gate).await.assert_refused(413, Code::ResourceExhausted, "262144");
    }
    let call = grpc::call(Signal::Logs, grpc::frame(&body, true)).header("grpc-encoding", "gzip");
    assert_too_large(&grpc::status_of(call, gate).await, "262144");
    assert_tenants(gate, Backend::Loki, &[]);
}

#[track_caller]
fn assert_too_large(status: &tonic::Status, limit: &str) {
    grpc::assert_refused(status, Code::ResourceExhausted, limit);
    assert!(!grpc::is_retryable(status), "it will not be smaller the next time: {status:?}");
}

/// Asserts that the only worker still serves requests.
pub(crate) async fn assert_served(gate: &Gate) {
    gate.store().clear();
    let body = telemetry::logs(1, 0).encode_to_vec();
    let reply = Call::export(Version::Http1, Signal::Logs, body).send(gate).await;
    assert_eq!(reply.status, StatusCode::OK, "the next request: {reply:?}");
    assert_tenants(gate, Backend::Loki, &[("payments", 1)]);
    gate.store().clear();
}

const PIECE: usize = 100_000_000;
const PIECES: usize = 100;
/// RFC 1952: magic, deflate, no flags, no time, no extra flags, unknown system.
const GZIP_HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];

/// One member of 10 GB. A full flush makes blocks independent of what came before, so the blocks of one piece can be
/// repeated.
fn one_stream_of_zeros() -> Vec<u8> {
    let blocks = zeros(FlushCompress::Full);
    let empty_last_block = [0x03, 0x00];
    // The checksum is checked at the end of the stream, which is never reached.
    [&GZIP_HEADER, blocks.repeat(PIECES).as_slice(), &empty_last_block, &[0; 8]].concat()
}

/// A hundred members of 100 MB, each with a valid checksum.
fn many_members_of_zeros() -> Vec<u8> {
    let mut crc = Crc::new();
    let megabyte = vec![0; 1_000_000];
    for _ in 0..PIECE / megabyte.len() {
        crc.update(&megabyte);
    }
    let mut member = GZIP_HEADER.to_vec();
    member.extend(zeros(FlushCompress::Finish));
    member.write_all(&crc.sum().to_le_bytes()).expect("into memory");
    member.write_all(&crc.amount().to_le_bytes()).expect("into memory");
    member.repeat(PIECES)
}

/// [`PIECE`] zeros, compressed with deflate, with `flush` at the end.
fn zeros(flush: FlushCompress) -> Vec<u8> {
    let mut compress = Compress::new(Compression::best(), false);
    let megabyte = vec![0; 1_000_000];
    let mut deflated = Vec::with_capacity(1_000_000);
    for turn in 1..=PIECE / megabyte.len() {
        let last = turn == PIECE / megabyte.len();
        let flush = if last { flush } else { FlushCompress::None };
        let taken = compress.total_in();
        compress.compress_vec(&megabyte, &mut deflated, flush).expect("deflate into memory");
        assert_eq!(compress.total_in() - taken, 1_000_000, "the output has room for all");
    }
    deflated
}
