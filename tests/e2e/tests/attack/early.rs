//! Backends that answer before they have received the body.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use envoy_local::{Cluster, SenderName};
use http_body_util::BodyExt;
use hyper::{
    Request,
    client::conn::{http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use serde_json::json;
use sluice_e2e::client::Alpn;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    time::{sleep, timeout},
};
use tokio_rustls::client::TlsStream;

use crate::{
    gate::{Gate, Mode},
    upload::Pieces,
};

/// A backend's answer as soon as it has the head, and the reply to the sender.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EarlyAnswer {
    pub(crate) name: &'static str,
    wire: &'static str,
    told: u16,
}

pub(crate) const ANSWERS: [EarlyAnswer; 6] = [
    EarlyAnswer { name: "stored", wire: "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", told: 503 },
    EarlyAnswer {
        name: "stored_with_a_body",
        wire: "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
        told: 503,
    },
    EarlyAnswer {
        name: "a_head_and_no_more",
        wire: "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n",
        told: 503,
    },
    EarlyAnswer { name: "no_content", wire: "HTTP/1.1 204 No Content\r\n\r\n", told: 503 },
    EarlyAnswer {
        name: "too_many",
        wire: "HTTP/1.1 429 Too Many Requests\r\nretry-after: 7\r\ncontent-length: 4\r\n\r\nslow",
        told: 429,
    },
    EarlyAnswer {
        name: "unavailable",
        wire: "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 4\r\n\r\nfull",
        told: 503,
    },
];

/// A text that must not reach a backend; it is in the body of every request here.
const SECRET: &str = "without source.name";

pub(crate) async fn run(mode: Mode, answer: EarlyAnswer) {
    let got = Arc::new(Mutex::new(Vec::new()));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let backend = tokio::spawn(serve(listener, answer.wire, Arc::clone(&got)));
    let cluster =
        Cluster { name: "early".to_owned(), like: "loki".to_owned(), address: Some(address) };
    let gate = json!({"backends": {"logs": {"cluster": "early"}}});
    let gate = Gate::start(mode, Some(gate), vec![cluster]).await;
    for alpn in [Alpn::Http1, Alpn::Http2] {
        got.lock().expect("nobody panics").clear();
        let (body, pieces) = mpsc::channel(8);
        let request =
            tokio::spawn(send(gate.connect(SenderName::Payments, alpn).await, alpn, pieces));
        // Nine records that must be dropped; the backend has answered long before the last.
        for _ in 0..9 {
            let _gone = body.send(record()).await;
            sleep(Duration::from_millis(30)).await;
        }
        let reached = !got.lock().expect("nobody panics").is_empty();
        assert_eq!(reached, mode == Mode::Sent, "where the head is held no backend is asked");
        drop(body);
        let (status, headers, said) = timeout(Duration::from_secs(10), request)
            .await
            .expect("an answer in time")
            .expect("no panic")
            .unwrap_or_else(|error| panic!("{alpn:?}: no answer: {error}"));
        let got = got.lock().expect("nobody panics").clone();
        let got = String::from_utf8_lossy(&got);
        assert!(!got.contains(SECRET), "it went on: {got}");
        let said = String::from_utf8_lossy(&said).into_owned();
        match mode {
            Mode::Held => assert!(status == 400 && got.is_empty(), "{status}: {said}"),
            Mode::Sent => {
                assert_eq!(status, answer.told, "{alpn:?}: {said}");
                assert!(said.contains("loki answered"), "{said}");
                if status == 429 {
                    assert_eq!(
                        headers.get("retry-after").map(|value| value.as_bytes()),
                        Some(&b"7"[..])
                    );
                }
            }
        }
    }
    gate.assert_whole().await;
    backend.abort();
    gate.stop().await;
}

type Told = (u16, hyper::HeaderMap, Bytes);

async fn send(
    io: TlsStream<TcpStream>,
    alpn: Alpn,
    pieces: mpsc::Receiver<Bytes>,
) -> Result<Told, hyper::Error> {
    let io = TokioIo::new(io);
    let uri = if alpn == Alpn::Http1 { "/v1/logs" } else { "https://localhost/v1/logs" };
    let request = Request::post(uri).header("content-type", "application/x-protobuf");
    let request = match alpn {
        Alpn::Http1 => request.header("host", "localhost"),
        _ => request,
    };
    let request = request.body(Pieces(pieces)).expect("a request");
    let response = if alpn == Alpn::Http1 {
        let (mut client, connection) = http1::handshake(io).await?;
        tokio::spawn(connection);
        client.send_request(request).await?
    } else {
        let (mut client, connection) = http2::handshake(TokioExecutor::new(), io).await?;
        tokio::spawn(connection);
        client.send_request(request).await?
    };
    let (head, body) = response.into_parts();
    let body = body.collect().await?.to_bytes();
    Ok((head.status.as_u16(), head.headers, body))
}

/// A request with one log record without `source.name`. Several of these in a row are also one request.
fn record() -> Bytes {
    use opentelemetry_proto::tonic::{
        collector::logs::v1::ExportLogsServiceRequest,
        common::v1::{AnyValue, any_value::Value},
        logs::v1::{LogRecord, ResourceLogs, ScopeLogs},
    };

    let body = Some(AnyValue { value: Some(Value::StringValue(SECRET.to_owned())) });
    let record = LogRecord { body, ..LogRecord::default() };
    let request = ExportLogsServiceRequest {
        resource_logs: vec![ResourceLogs {
            scope_logs: vec![ScopeLogs { log_records: vec![record], ..ScopeLogs::default() }],
            ..ResourceLogs::default()
        }],
    };
    request.encode_to_vec().into()
}

/// Answers each connection as soon as it has a head, and records everything that it receives.
async fn serve(listener: TcpListener, answer: &'static str, got: Arc<Mutex<Vec<u8>>>) {
    loop {
        let Ok((mut stream, _)) = listener.accept().await else { return };
        let got = Arc::clone(&got);
        tokio::spawn(async move {
            let mut buffer = vec![0; 65_536];
            let mut head = Vec::new();
            let mut answered = false;
            loop {
                let Ok(size @ 1..) = stream.read(&mut buffer).await else { return };
                got.lock().expect("nobody panics").extend_from_slice(&buffer[..size]);
                head.extend_from_slice(&buffer[..size]);
                if !answered && head.windows(4).any(|window| window == b"\r\n\r\n") {
                    answered = stream.write_all(answer.as_bytes()).await.is_ok();
                }
            }
        });
    }
}
