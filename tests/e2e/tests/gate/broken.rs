//! Malformed requests: they are refused, and the worker keeps running.

use hyper::StatusCode;
use prost::Message;
use sluice_e2e::{Protocol, Signal};
use sluice_stand_ins::Backend;
use tokio::io::AsyncWriteExt;
use tonic::Code;

use crate::{
    bodies::gzip,
    fixture::Gate,
    grpc,
    http::{self, Call, Version},
    limits::assert_served,
    sdks::assert_tenants,
    telemetry,
};

pub(crate) async fn bytes_that_are_no_protobuf_are_400_and_the_next_request_is_served(gate: &Gate) {
    for version in Version::ALL {
        for signal in Signal::ALL {
            let reply = Call::export(version, signal, vec![0xff; 1_000]).send(gate).await;
            reply.assert_refused(400, Code::InvalidArgument, "");
            assert_served(gate).await;
        }
    }
}

pub(crate) async fn a_message_that_ends_early_is_400_and_the_next_request_is_served(gate: &Gate) {
    let whole = telemetry::logs(2, 0).encode_to_vec();
    for version in Version::ALL {
        for length in [1, whole.len() / 2, whole.len() - 1] {
            let reply =
                Call::export(version, Signal::Logs, whole[..length].to_vec()).send(gate).await;
            reply.assert_refused(400, Code::InvalidArgument, "");
        }
        assert_tenants(gate, Backend::Loki, &[]);
        assert_served(gate).await;
    }
}

pub(crate) async fn gzip_that_is_none_is_400_and_the_next_request_is_served(gate: &Gate) {
    let body = telemetry::logs(2, 0).encode_to_vec();
    let mut damaged = gzip(&body);
    let checksum = damaged.len() - 8;
    damaged[checksum] ^= 0xff;
    let early = gzip(&body)[..20].to_vec();
    for version in Version::ALL {
        for broken in [&body, &damaged, &early] {
            let call = Call::export(version, Signal::Logs, broken.clone())
                .header("content-encoding", "gzip");
            call.send(gate).await.assert_refused(400, Code::InvalidArgument, "");
        }
        assert_tenants(gate, Backend::Loki, &[]);
        assert_served(gate).await;
    }
}

pub(crate) async fn a_grpc_frame_of_the_wrong_length_is_invalid_argument_and_the_next_request_is_served(
    gate: &Gate,
) {
    let message = telemetry::logs(2, 0).encode_to_vec();
    let frame = grpc::frame(&message, false);
    let too_long = [&frame[..], b"more"].concat();
    let two = [&frame[..], &frame[..]].concat();
    let mut huge = frame.clone();
    huge[1..5].copy_from_slice(&u32::MAX.to_be_bytes());
    let cut = frame[..frame.len() - 1].to_vec();
    for broken in [frame[..3].to_vec(), cut, too_long, two, huge] {
        let status = grpc::status_of(grpc::call(Signal::Logs, broken), gate).await;
        grpc::assert_refused(&status, Code::InvalidArgument, "");
        assert_tenants(gate, Backend::Loki, &[]);
        assert_served(gate).await;
    }
}

pub(crate) async fn a_grpc_message_that_is_no_protobuf_is_invalid_argument(gate: &Gate) {
    for signal in Signal::ALL {
        let body = grpc::frame(&[0xff; 1_000], false);
        let status = grpc::status_of(grpc::call(signal, body), gate).await;
        grpc::assert_refused(&status, Code::InvalidArgument, "");
    }
    assert_served(gate).await;
}

pub(crate) async fn a_header_that_is_not_utf_8_does_no_harm(gate: &Gate) {
    let body = telemetry::logs(1, 0).encode_to_vec();
    for version in Version::ALL {
        for name in ["x-note", "x-scope-orgid", "user-agent", "content-encoding", "accept"] {
            gate.store().clear();
            let call =
                Call::export(version, Signal::Logs, body.clone()).header(name, [0xff, 0xfe, b'a']);
            let status = call.send(gate).await.status;
            let allowed = if name == "content-encoding" { [415, 400] } else { [200, 400] };
            assert!(allowed.contains(&status.as_u16()), "{version:?}, {name}: {status}");
            if status == StatusCode::OK {
                assert_tenants(gate, Backend::Loki, &[("payments", 1)]);
            }
            assert_served(gate).await;
        }
    }
    let call =
        grpc::call(Signal::Logs, grpc::frame(&body, false)).header("x-scope-orgid", [0xff, 0xfe]);
    let reply = call.send(gate).await;
    assert_eq!(reply.status, StatusCode::OK, "{reply:?}");
    assert_served(gate).await;
}

pub(crate) async fn a_sender_that_hangs_up_half_way_does_no_harm(gate: &Gate) {
    for _ in 0..3 {
        let sender = envoy_local::SenderName::Payments;
        let mut stream = http::connect(gate, sender, Protocol::Http, Version::Http1)
            .await
            .expect("a connection");
        let head = "POST /v1/logs HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/x-protobuf\r\n\
                    content-length: 1000\r\n\r\n";
        stream.write_all(head.as_bytes()).await.expect("the head is sent");
        stream.write_all(&[0x0a; 100]).await.expect("some of the body is sent");
        stream.flush().await.expect("all of that is out");
        drop(stream);
        assert_served(gate).await;
    }
}
