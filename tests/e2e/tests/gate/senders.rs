//! Which senders are allowed, and under which tenant their data is stored.

use std::time::{SystemTime, UNIX_EPOCH};

use envoy_local::SenderName;
use hyper::StatusCode;
use prost::Message;
use serde_json::{Value, json};
use sluice_e2e::{Protocol, Signal};
use sluice_stand_ins::Backend;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tonic::Code;

use crate::{
    fixture::{Gate, until},
    grpc,
    http::{self, Call, Version},
    sdks::assert_tenants,
    telemetry,
};

pub(crate) async fn a_stranger_is_denied_over_http_by_name(gate: &Gate) {
    for version in Version::ALL {
        for signal in Signal::ALL {
            let call = Call::export(version, signal, telemetry::logs(1, 0).encode_to_vec());
            let reply = call.from(SenderName::Stranger).send(gate).await;
            reply.assert_refused(403, Code::PermissionDenied, "stranger");
        }
    }
    assert_tenants(gate, Backend::Loki, &[]);
}

pub(crate) async fn a_stranger_is_denied_over_grpc_by_name(gate: &Gate) {
    for signal in Signal::ALL {
        let body = grpc::frame(&telemetry::logs(1, 0).encode_to_vec(), false);
        let status =
            grpc::status_of(grpc::call(signal, body).from(SenderName::Stranger), gate).await;
        grpc::assert_refused(&status, Code::PermissionDenied, "stranger");
    }
    assert_tenants(gate, Backend::Loki, &[]);
}

pub(crate) async fn an_outsider_gets_no_handshake(gate: &Gate) {
    let failed = || gate.envoy_counters("ssl.fail_verify_error");
    for protocol in Protocol::ALL {
        for version in Version::ALL {
            let before = failed().await;
            let body = telemetry::logs(1, 0).encode_to_vec();
            let mut call = Call::export(version, Signal::Logs, body);
            call.protocol = protocol;
            let answered = call.from(SenderName::Outsider).try_send(gate).await;
            assert!(answered.is_err(), "{answered:?}");
            until("Envoy turned the certificate down", async || failed().await > before).await;
        }
    }
    assert_tenants(gate, Backend::Loki, &[]);
}

pub(crate) async fn a_client_without_a_certificate_gets_no_handshake(gate: &Gate) {
    let failed = || gate.envoy_counters("ssl.fail_verify_no_cert");
    for protocol in Protocol::ALL {
        let before = failed().await;
        let stream = TcpStream::connect(gate.addr(protocol)).await.expect("a connection");
        // In TLS 1.3 the client has finished its handshake before the server has checked the certificate.
        if let Ok(mut stream) = http::handshake_without_certificate(gate, stream).await {
            let asked = stream.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
            let mut answer = Vec::new();
            let read = stream.read_to_end(&mut answer).await;
            assert!(asked.is_err() || read.is_err(), "{:?}", String::from_utf8_lossy(&answer));
            assert_eq!(answer, b"", "{:?}", String::from_utf8_lossy(&answer));
        }
        until("Envoy missed a certificate", async || failed().await > before).await;
    }
}

pub(crate) async fn the_tenant_that_a_sender_claims_is_replaced(gate: &Gate) {
    let body = telemetry::traces(2, 0).encode_to_vec();
    let reply = Call::export(Version::Http2, Signal::Traces, body)
        .header("x-scope-orgid", "victim")
        .send(gate)
        .await;
    assert_eq!(reply.status, StatusCode::OK, "{reply:?}");
    assert_tenants(gate, Backend::Tempo, &[("payments", 2)]);
    assert_only_tenant_header(gate, Backend::Tempo);
}

pub(crate) async fn of_two_claimed_tenants_neither_reaches_a_backend(gate: &Gate) {
    for version in Version::ALL {
        gate.store().clear();
        let body = telemetry::logs(2, 0).encode_to_vec();
        let call = Call::export(version, Signal::Logs, body);
        let reply = call
            .header("x-scope-orgid", "victim")
            .header("x-scope-orgid", "payments|victim")
            .send(gate)
            .await;
        assert_eq!(reply.status, StatusCode::OK, "{reply:?}");
        assert_tenants(gate, Backend::Loki, &[("payments", 2)]);
        assert_only_tenant_header(gate, Backend::Loki);
    }
}

pub(crate) async fn headers_that_steer_a_backend_are_taken_off(gate: &Gate) {
    let steering = [
        "x-scope-userid",
        "x-loki-backfill-shard",
        "x-loki-ingestion-policy",
        "x-mimir-otlp-addsuffixes",
    ];
    for (signal, backend) in [
        (Signal::Logs, Backend::Loki),
        (Signal::Metrics, Backend::Mimir),
        (Signal::Traces, Backend::Tempo),
    ] {
        let body = match signal {
            Signal::Logs => telemetry::logs(1, 0).encode_to_vec(),
            Signal::Metrics => telemetry::metrics(1, 0).encode_to_vec(),
            Signal::Traces => telemetry::traces(1, 0).encode_to_vec(),
        };
        let mut call = Call::export(Version::Http1, signal, body);
        for name in steering {
            call = call.header(name, "mine");
        }
        let reply = call.send(gate).await;
        assert_eq!(reply.status, StatusCode::OK, "{reply:?}");
        let [request] = gate.store().requests(backend).try_into().expect("one request");
        for name in steering {
            assert_eq!(request.header_values(name), [""; 0], "{backend} was given {name}");
        }
    }
}

pub(crate) async fn whose_a_request_is_stands_in_the_access_log(gate: &Gate) {
    // Envoy writes its log from time to time, so lines of earlier tests may still come. No other test sends a body
    // of this length.
    let body = telemetry::logs(41, 0).encode_to_vec();
    let length = body.len();
    for sender in [SenderName::TeamBlue, SenderName::Stranger] {
        let call = Call::export(Version::Http1, Signal::Logs, body.clone());
        call.from(sender).send(gate).await;
    }
    let mut lines = Vec::new();
    until("both requests are logged", async || {
        let log = gate.access_log().await.into_iter();
        lines = log.filter(|line| line["received"] == length).collect();
        lines.len() >= 2
    })
    .await;
    let shown = ["sender", "identified_by", "tenant", "backend", "code"];
    let lines: Vec<_> = lines.iter().map(|line| shown.map(|key| line[key].clone())).collect();
    let stored = [
        json!("team-blue"),
        json!("clientCertificate"),
        json!("team-blue"),
        json!("loki"),
        json!(200),
    ];
    let refused = [Value::Null, Value::Null, Value::Null, Value::Null, json!(403)];
    assert_eq!(lines, [stored, refused]);
}

#[expect(clippy::disallowed_methods, reason = "the certificates of a run end by the real time")]
pub(crate) async fn what_is_counted_is_counted_for_its_sender_too(gate: &Gate) {
    let count = async || {
        let dropped = "sender=.=team-blue;.;signal=.=logs;.;reason=.=missing;.;sluice_sender_records_dropped_total";
        let asked =
            "sender=.=team-blue;.;signal=.=logs;.;outcome=.=partial;.;sluice_sender_requests_total";
        (gate.envoy_counters(dropped).await, gate.envoy_counters(asked).await)
    };
    let before = count().await;
    let call = Call::export(Version::Http1, Signal::Logs, telemetry::logs(3, 2).encode_to_vec());
    call.from(SenderName::TeamBlue).send(gate).await;
    until("both counters are handed over", async || count().await == (before.0 + 2, before.1 + 1))
        .await;
    let end = gate.envoy_gauge("sluice_sender_certificate_end_seconds").await;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time after 1970").as_secs();
    assert!(end > now && end <= now + 31 * 86_400, "{end}");
}

pub(crate) async fn a_backend_that_a_sender_names_is_not_where_its_records_go(gate: &Gate) {
    let body = telemetry::logs(2, 0).encode_to_vec();
    let call = Call::export(Version::Http1, Signal::Logs, body);
    let reply = call
        .header("x-sluice-backend", "tempo")
        .header("x-sluice-backend", "mimir")
        .send(gate)
        .await;
    assert_eq!(reply.status, StatusCode::OK, "{reply:?}");
    assert_tenants(gate, Backend::Loki, &[("payments", 2)]);
}

fn assert_only_tenant_header(gate: &Gate, backend: Backend) {
    for request in gate.store().requests(backend) {
        assert_eq!(request.header_values("x-scope-orgid"), ["payments"], "{request:?}");
    }
}
