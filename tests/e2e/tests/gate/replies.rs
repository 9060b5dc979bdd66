//! A backend's answers, and the sender's reaction: whether it retries.

use std::time::{Duration, Instant};

use hyper::{
    StatusCode,
    header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER},
};
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsPartialSuccess, ExportMetricsServiceResponse,
};
use prost::Message;
use sluice_e2e::Signal;
use sluice_stand_ins::{Answer, Backend, Reaction};
use tonic_types::StatusExt;

use crate::{
    fixture::Gate,
    grpc,
    http::{Call, PROTOBUF, Reply, Version},
    telemetry,
};

const PASSING: [u16; 4] = [429, 502, 503, 504];
const LASTING: [u16; 5] = [400, 413, 415, 422, 500];

pub(crate) async fn what_can_be_sent_again_stays_so_over_http(gate: &Gate) {
    for answer in answers(&PASSING) {
        for version in Version::ALL {
            let reply = over_http(gate, version, &answer).await;
            assert!(PASSING.contains(&reply.status.as_u16()), "{answer:?}: {reply:?}");
            reply.error();
        }
    }
}

pub(crate) async fn what_can_be_sent_again_stays_so_over_grpc(gate: &Gate) {
    for answer in answers(&PASSING) {
        let status = over_grpc(gate, &answer).await;
        assert!(grpc::is_retryable(&status), "{answer:?}: {status:?}");
    }
}

/// The SDK for Java before 1.67 only looks for `grpc-status` in the headers, and does not retry without it.
pub(crate) async fn a_failure_over_grpc_stands_in_the_headers(gate: &Gate) {
    for answer in answers(&PASSING) {
        gate.store().answer_next(Backend::Mimir, answer.clone());
        let body = grpc::frame(&telemetry::metrics(1, 0).encode_to_vec(), false);
        let reply = grpc::call(Signal::Metrics, body).send(gate).await;
        let (in_headers, in_trailers) =
            (reply.headers.contains_key("grpc-status"), reply.trailers.contains_key("grpc-status"));
        assert_eq!((in_headers, in_trailers), (true, false), "{answer:?}: {reply:?}");
    }
}

pub(crate) async fn what_can_not_be_sent_again_stays_so_over_http(gate: &Gate) {
    for answer in answers(&LASTING) {
        for version in Version::ALL {
            let reply = over_http(gate, version, &answer).await;
            let status = reply.status.as_u16();
            assert!(status >= 400 && !PASSING.contains(&status), "{answer:?}: {reply:?}");
            reply.error();
        }
    }
}

pub(crate) async fn what_can_not_be_sent_again_stays_so_over_grpc(gate: &Gate) {
    for answer in answers(&LASTING) {
        let status = over_grpc(gate, &answer).await;
        assert_ne!(status.code(), tonic::Code::Ok, "{answer:?}");
        assert!(!grpc::is_retryable(&status), "{answer:?}: {status:?}");
    }
}

pub(crate) async fn retry_after_reaches_the_sender(gate: &Gate) {
    let answer = Answer::rate_limited(Backend::Mimir);
    let said = answer.headers.get(RETRY_AFTER).cloned();
    assert!(said.is_some());
    gate.store().answer_next(Backend::Mimir, answer.clone());
    let call =
        Call::export(Version::Http1, Signal::Metrics, telemetry::metrics(1, 0).encode_to_vec());
    let reply = call.send(gate).await;
    assert_eq!(reply.status, StatusCode::TOO_MANY_REQUESTS, "{reply:?}");
    assert_eq!(reply.headers.get(RETRY_AFTER).cloned(), said);

    gate.store().answer_next(Backend::Mimir, answer);
    let status = grpc::export_metrics(gate, telemetry::metrics(1, 0)).await.expect_err("it is 429");
    let delay = status.get_details_retry_info().and_then(|info| info.retry_delay);
    assert_eq!(delay.map(|delay| delay.as_secs()), Some(6), "{status:?}");
}

pub(crate) async fn a_partial_success_of_the_backend_is_added_to_the_gates_own(gate: &Gate) {
    let partial_success = Some(ExportMetricsPartialSuccess {
        rejected_data_points: 5,
        error_message: "out of order".to_owned(),
    });
    let body = ExportMetricsServiceResponse { partial_success }.encode_to_vec();
    let answer = Answer::new(StatusCode::OK)
        .header(CONTENT_TYPE, HeaderValue::from_static(PROTOBUF))
        .body(body);
    for version in Version::ALL {
        gate.store().answer_next(Backend::Mimir, answer.clone());
        let call = Call::export(version, Signal::Metrics, telemetry::metrics(7, 3).encode_to_vec());
        assert_both_told(call.send(gate).await.message());
    }
    gate.store().answer_next(Backend::Mimir, answer);
    assert_both_told(grpc::export_metrics(gate, telemetry::metrics(7, 3)).await.expect("it is OK"));
}

pub(crate) async fn a_backend_that_hangs_up_can_be_asked_again(gate: &Gate) {
    for version in Version::ALL {
        gate.store().answer_next(Backend::Loki, Reaction::Close);
        let call = Call::export(version, Signal::Logs, telemetry::logs(1, 0).encode_to_vec());
        let reply = call.send(gate).await;
        assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE, "{reply:?}");
    }
    gate.store().answer_next(Backend::Loki, Reaction::Close);
    let status = grpc::export_logs(gate, telemetry::logs(1, 0)).await.expect_err("Loki hung up");
    assert!(grpc::is_retryable(&status), "{status:?}");
}

pub(crate) async fn a_grpc_sender_is_not_waited_for_longer_than_it_waits(gate: &Gate) {
    gate.store().answer_next(Backend::Loki, Reaction::Hang);
    let body = grpc::frame(&telemetry::logs(1, 0).encode_to_vec(), false);
    // By hand, because a client that knows the deadline would end the call itself.
    let call = grpc::call(Signal::Logs, body).header("grpc-timeout", "300m");
    let began = Instant::now();
    let status = grpc::status_of(call, gate).await;
    // The route's own timeout is 30 s.
    assert!(began.elapsed() < Duration::from_secs(15), "{status:?}");
    assert!(grpc::is_retryable(&status), "{status:?}");
    let requests = gate.store().requests(Backend::Loki);
    let expected = requests[0].headers.get("x-envoy-expected-rq-timeout-ms");
    assert_eq!(expected.map(HeaderValue::as_bytes), Some(&b"300"[..]), "the backend knows, too");
}

fn assert_both_told(response: ExportMetricsServiceResponse) {
    let told = response.partial_success.expect("a partial success");
    assert_eq!(told.rejected_data_points, 8, "three by the gate, five by Mimir: {told:?}");
    assert!(told.error_message.contains("source.name"), "{told:?}");
    assert!(told.error_message.contains("out of order"), "{told:?}");
}

/// Each status as a backend sends it: without and with text.
fn answers(statuses: &[u16]) -> Vec<Answer> {
    let each = statuses.iter().flat_map(|status| {
        let answer = Answer::new(StatusCode::from_u16(*status).expect("a status"));
        let text = answer
            .clone()
            .header(CONTENT_TYPE, HeaderValue::from_static("text/plain"))
            .body("words\n");
        [answer, text]
    });
    each.chain(statuses.contains(&429).then(|| Answer::rate_limited(Backend::Loki))).collect()
}

async fn over_http(gate: &Gate, version: Version, answer: &Answer) -> Reply {
    gate.store().answer_next(Backend::Loki, answer.clone());
    Call::export(version, Signal::Logs, telemetry::logs(2, 1).encode_to_vec()).send(gate).await
}

async fn over_grpc(gate: &Gate, answer: &Answer) -> tonic::Status {
    gate.store().answer_next(Backend::Loki, answer.clone());
    grpc::export_logs(gate, telemetry::logs(2, 1)).await.expect_err("the backend refused")
}
