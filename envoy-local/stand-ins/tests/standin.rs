//! The stand-ins' own features: starting and stopping, the query interface, answers on demand.

mod common;

use std::{
    process::{Command, Stdio},
    time::Instant,
};

use common::*;
use http::{Request, StatusCode};
use serde_json::{Value, json};
use sluice_stand_ins::{Addresses, Answer, Backend, Backends, Ports, Reaction, StartError};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    time::{Duration, timeout},
};

const LOGS: &str = "/otlp/v1/logs";

#[tokio::test]
async fn a_port_in_use_is_named_with_its_backend_and_nothing_is_left_running() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let loki = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let free = loki.local_addr().unwrap();
    drop(loki);
    let ports = Ports { loki: free.port(), tempo: port, ..Ports::default() };
    let error = Backends::start(ports).await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains(&port.to_string()) && text.contains("Tempo"), "{text}");
    std::net::TcpListener::bind(free).unwrap();
}

#[tokio::test]
async fn an_address_that_is_not_loopback_is_refused() {
    let at = Addresses { mimir: "0.0.0.0:0".parse().unwrap(), ..Addresses::from(Ports::default()) };
    let error = Backends::start(at).await.unwrap_err();
    assert!(matches!(error, StartError::NotLoopback { backend: Backend::Mimir, .. }), "{error}");
}

#[tokio::test]
async fn stopping_frees_the_ports_and_ends_open_connections() {
    let backends = started().await;
    let loki = backends.loki();
    backends.store().answer_next(Backend::Loki, Reaction::Hang);
    let hanging = tokio::spawn(async move { try_send(loki, push(LOGS), one_log()).await });
    arrived(&backends, 1).await;
    backends.stop().await;
    std::net::TcpListener::bind(loki).unwrap();
    let ended = timeout(Duration::from_secs(10), hanging).await.unwrap().unwrap();
    assert!(ended.is_err(), "{ended:?}");
}

#[tokio::test]
async fn dropping_frees_the_ports_too() {
    let backends = started().await;
    let loki = backends.loki();
    drop(backends);
    let deadline = Instant::now() + Duration::from_secs(10);
    while std::net::TcpListener::bind(loki).is_err() {
        assert!(Instant::now() < deadline, "{loki} is still in use");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn records_are_shown_by_tenant_and_can_be_forgotten() {
    let backends = started().await;
    for tenant in ["tenant-a", "tenant-b"] {
        let request =
            Request::post(LOGS).header("content-type", PROTOBUF).header("x-scope-orgid", tenant);
        assert_eq!(send(backends.loki(), request, one_log()).await.status, 204);
    }
    let get = |path: &str| send(backends.loki(), Request::get(path.to_owned()), "");

    let tenants = get("/standin/tenants").await.json::<Value>();
    assert_eq!(tenants, json!({"tenant-a": 1, "tenant-b": 1}));
    let shown = json!([{
        "resource": {"service.name": "probe"},
        "scope": {"name": "", "version": "", "attributes": {}},
        "record": "hello",
        "attributes": {},
    }]);
    let all = get("/standin/records").await.json::<Value>();
    assert_eq!(all, json!({"tenant-a": shown, "tenant-b": shown}));
    let one = get("/standin/records?tenant=tenant-b").await.json::<Value>();
    assert_eq!(one, json!({"tenant-b": shown}));
    let none = get("/standin/records?tenant=victim").await.json::<Value>();
    assert_eq!(none, json!({"victim": []}));
    assert_eq!(get("/standin/records?tennant=x").await.status, 400);

    let forget = Request::delete("/standin/records");
    assert_eq!(send(backends.loki(), forget, "").await.status, 204);
    assert_eq!(get("/standin/records").await.json::<Value>(), json!({}));
    assert_eq!(get("/standin/requests").await.json::<Value>(), json!([]));
}

#[tokio::test]
async fn requests_are_shown_with_their_headers_and_the_status_they_got() {
    let backends = started().await;
    let body = gzip(&one_span());
    let request = push("/v1/traces?x=1")
        .header("content-encoding", "gzip")
        .header("x-forwarded-client-cert", "Hash=1");
    send(backends.tempo(), request, body.clone()).await;
    let untenanted = Request::post("/v1/traces").header("content-type", PROTOBUF);
    send(backends.tempo(), untenanted, one_span()).await;

    let shown = send(backends.tempo(), Request::get("/standin/requests"), "").await;
    let shown = shown.json::<Value>();
    assert_eq!(shown.as_array().unwrap().len(), 2, "its own requests are not among them");
    assert_eq!(shown[0]["method"], "POST");
    assert_eq!(shown[0]["path"], "/v1/traces?x=1");
    assert_eq!(shown[0]["version"], "HTTP/1.1");
    assert_eq!(shown[0]["tenant"], "tenant-a");
    assert_eq!(shown[0]["status"], 200);
    assert_eq!(shown[0]["bytes"], body.len());
    assert_eq!(shown[0]["decodedBytes"], one_span().len());
    let headers = shown[0]["headers"].as_array().unwrap();
    assert!(headers.contains(&json!(["x-forwarded-client-cert", "Hash=1"])));
    assert_eq!(shown[1]["status"], 503);
    assert_eq!(shown[1]["tenant"], Value::Null);
}

#[tokio::test]
async fn a_queued_answer_is_given_once_in_order_and_nothing_is_stored() {
    let backends = started().await;
    let teapot = Answer::new(StatusCode::IM_A_TEAPOT)
        .header(http::header::RETRY_AFTER, "7".parse().unwrap())
        .body("short and stout");
    backends.store().answer_next(Backend::Loki, teapot);
    backends.store().answer_next(Backend::Loki, Answer::new(StatusCode::BAD_GATEWAY));

    let reply = send(backends.loki(), push(LOGS), one_log()).await;
    assert_eq!((reply.status, reply.text()), (418, "short and stout"));
    assert_eq!(reply.header("retry-after"), Some("7"));
    assert_eq!(send(backends.loki(), push(LOGS), one_log()).await.status, 502);
    assert!(backends.store().tenants(Backend::Loki).is_empty());
    let requests = backends.store().requests(Backend::Loki);
    let statuses: Vec<_> = requests.iter().map(|one| one.status.unwrap().as_u16()).collect();
    assert_eq!(statuses, [418, 502]);

    assert_eq!(send(backends.loki(), push(LOGS), one_log()).await.status, 204);
}

#[tokio::test]
async fn a_queued_answer_is_for_its_backend_alone() {
    let backends = started().await;
    backends.store().answer_next(Backend::Mimir, Answer::rate_limited(Backend::Mimir));
    assert_eq!(send(backends.loki(), push(LOGS), one_log()).await.status, 204);
    assert_eq!(send(backends.mimir(), push("/otlp/v1/metrics"), one_point()).await.status, 429);
}

#[tokio::test]
async fn a_delayed_answer_is_pending_until_its_time() {
    let backends = started().await;
    let loki = backends.loki();
    let late = Answer::new(StatusCode::NO_CONTENT).after(Duration::from_millis(300));
    backends.store().answer_next(Backend::Loki, late);
    let asked = Instant::now();
    let waiting = tokio::spawn(async move { send(loki, push(LOGS), one_log()).await });
    arrived(&backends, 1).await;
    assert_eq!(backends.store().requests(Backend::Loki)[0].status, None);
    assert_eq!(waiting.await.unwrap().status, 204);
    assert!(asked.elapsed() >= Duration::from_millis(300));
    let requests = backends.store().requests(Backend::Loki);
    assert_eq!(requests[0].status, Some(StatusCode::NO_CONTENT));
}

#[tokio::test]
async fn a_hang_and_a_close_give_no_answer() {
    let backends = started().await;
    backends.store().answer_next(Backend::Tempo, Reaction::Close);
    let closed = try_send(backends.tempo(), push("/v1/traces"), one_span()).await;
    assert!(closed.is_err(), "{closed:?}");

    backends.store().answer_next(Backend::Tempo, Reaction::Hang);
    let hang = try_send(backends.tempo(), push("/v1/traces"), one_span());
    assert!(timeout(Duration::from_millis(200), hang).await.is_err());

    let requests = backends.store().requests(Backend::Tempo);
    assert_eq!(requests.iter().filter(|one| one.status.is_none()).count(), 2);
    let next = send(backends.tempo(), push("/v1/traces"), one_span()).await;
    assert_eq!(next.status, 200, "the backend itself goes on");
}

#[tokio::test]
async fn its_own_work_takes_its_turn_among_what_is_queued() {
    let backends = started().await;
    backends.store().answer_next_as_usual(Backend::Tempo);
    backends.store().answer_next(Backend::Tempo, Answer::new(StatusCode::SERVICE_UNAVAILABLE));
    backends.store().answer_next_as_usual(Backend::Tempo);
    for expected in [200, 503, 200] {
        let answer = send(backends.tempo(), push("/v1/traces"), one_span()).await;
        assert_eq!(answer.status, expected);
    }
    assert_eq!(backends.store().spans("tenant-a").len(), 2);
}

#[tokio::test]
async fn what_is_stored_and_then_closed_is_stored_without_a_status() {
    let backends = started().await;
    backends.store().answer_next(Backend::Tempo, Reaction::StoreAndClose);
    let closed = try_send(backends.tempo(), push("/v1/traces"), one_span()).await;
    assert!(closed.is_err(), "{closed:?}");
    assert_eq!(backends.store().spans("tenant-a").len(), 1);
    let requests = backends.store().requests(Backend::Tempo);
    assert_eq!((requests.len(), requests[0].status), (1, None));
    assert!(requests[0].decoded.is_some());
}

#[tokio::test]
async fn a_standing_answer_is_given_after_what_is_queued_until_told_otherwise() {
    let backends = started().await;
    let store = backends.store();
    store.answer_always(Backend::Loki, Answer::new(StatusCode::SERVICE_UNAVAILABLE));
    store.answer_next(Backend::Loki, Answer::new(StatusCode::BAD_GATEWAY));
    for status in [502, 503, 503] {
        assert_eq!(send(backends.loki(), push(LOGS), one_log()).await.status, status);
    }
    assert!(store.tenants(Backend::Loki).is_empty());
    store.answer_as_usual(Backend::Loki);
    assert_eq!(send(backends.loki(), push(LOGS), one_log()).await.status, 204);
}

#[tokio::test]
async fn a_backend_that_is_down_refuses_and_comes_back_with_what_it_had() {
    let backends = started().await;
    assert_eq!(send(backends.loki(), push(LOGS), one_log()).await.status, 204);
    for _ in 0..2 {
        backends.take_down(Backend::Loki).await;
        let refused = tokio::net::TcpStream::connect(backends.loki()).await;
        let refused = refused.expect_err("nothing listens").kind();
        assert_eq!(refused, std::io::ErrorKind::ConnectionRefused);
        let mimir = send(backends.mimir(), push("/otlp/v1/metrics"), one_point()).await;
        assert_eq!(mimir.status, 200, "the others go on");
        backends.bring_up(Backend::Loki).await;
        assert_eq!(send(backends.loki(), push(LOGS), one_log()).await.status, 204);
    }
    assert_eq!(backends.store().requests(Backend::Loki).len(), 3);
}

#[tokio::test]
async fn what_was_asked_before_it_went_down_is_answered() {
    let backends = started().await;
    let loki = backends.loki();
    let late = Answer::new(StatusCode::NO_CONTENT).after(Duration::from_millis(200));
    backends.store().answer_next(Backend::Loki, late);
    let waiting = tokio::spawn(async move { send(loki, push(LOGS), one_log()).await });
    arrived(&backends, 1).await;
    backends.take_down(Backend::Loki).await;
    assert_eq!(waiting.await.unwrap().status, 204);
}

#[tokio::test]
async fn a_close_resets_an_http2_stream() {
    let backends = started().await;
    backends.store().answer_next(Backend::Loki, Reaction::Close);
    let closed = send_h2c(backends.loki(), LOGS, one_log()).await;
    assert!(closed.is_err(), "{closed:?}");
}

#[tokio::test]
async fn an_order_that_cannot_be_played_is_refused_with_its_reason() {
    let backends = started().await;
    for (order, reason) in [
        ("nonsense", "not an order"),
        (r#"{"do": "sulk"}"#, "sulk"),
        (r#"{"do": "answer"}"#, "status"),
        (r#"{"do": "answer", "status": 99}"#, "status: 99"),
        (r#"{"do": "answer", "status": 200, "delay": 1}"#, "delay"),
        (r#"{"do": "answer", "status": 200, "headers": {"a b": "c"}}"#, "headers.a b"),
        (r#"{"do": "answer", "status": 200, "bodyBase64": "*"}"#, "bodyBase64"),
        (r#"{"do": "answer", "status": 200, "body": "x", "bodyBase64": "eA=="}"#, "one of them"),
    ] {
        let reply = send(backends.loki(), Request::post("/standin/answers"), order).await;
        assert_eq!(reply.status, 400, "{order}");
        assert!(reply.text().contains(reason), "{order}: {}", reply.text());
    }
    assert_eq!(send(backends.loki(), push(LOGS), one_log()).await.status, 204);
}

#[tokio::test]
async fn answers_can_be_queued_over_http() {
    let backends = started().await;
    for order in [
        json!({"do": "answer", "status": 200, "headers": {"x-a": "b"}, "bodyBase64": "CgA=", "delayMs": 1}),
        json!({"do": "answer", "status": 503, "body": "later"}),
        json!({"do": "close"}),
        json!({"do": "storeAndClose"}),
    ] {
        let request = Request::post("/standin/answers");
        let reply = send(backends.loki(), request, order.to_string()).await;
        assert_eq!(reply.status, 204, "{order}: {}", reply.text());
    }
    let first = send(backends.loki(), push(LOGS), one_log()).await;
    assert_eq!((first.status, &first.body[..]), (200, &b"\x0a\x00"[..]));
    assert_eq!(first.header("x-a"), Some("b"));
    let second = send(backends.loki(), push(LOGS), one_log()).await;
    assert_eq!((second.status, second.text()), (503, "later"));
    for stored in [0, 1] {
        assert!(try_send(backends.loki(), push(LOGS), one_log()).await.is_err());
        assert_eq!(backends.store().logs("tenant-a").len(), stored);
    }
}

#[tokio::test]
async fn the_program_prints_its_addresses_and_ends_on_sigterm() {
    let mut program = tokio::process::Command::new(env!("CARGO_BIN_EXE_stand-ins"))
        .args(["--loki", "127.0.0.1:0", "--mimir", "127.0.0.1:0", "--tempo", "127.0.0.1:0"])
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(program.stdout.take().unwrap()).lines();
    for name in ["Loki", "Mimir", "Tempo"] {
        let line = timeout(Duration::from_secs(30), lines.next_line()).await.unwrap();
        let line = line.unwrap().unwrap();
        let address = line.strip_prefix(&format!("{name} http://")).unwrap();
        let reply = send(address.parse().unwrap(), Request::get("/standin/tenants"), "").await;
        assert_eq!((reply.status, reply.text()), (200, "{}"));
    }
    let pid = program.id().unwrap().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    let ended = timeout(Duration::from_secs(10), program.wait()).await.unwrap().unwrap();
    assert!(ended.success(), "{ended}");
}

#[tokio::test]
async fn the_program_names_the_port_in_use_and_fails() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_stand-ins"))
        .args(["--loki", &address.to_string()])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains(&address.port().to_string()) && said.contains("Loki"), "{said}");
}

/// Waits until Loki has received this many requests.
async fn arrived(backends: &Backends, count: usize) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while backends.store().requests(Backend::Loki).len() < count {
        assert!(Instant::now() < deadline, "no {count} requests within 10 s");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
