//! The contract of Tempo's OTLP/HTTP port, with one test for each row. The comment above a test quotes the row that it
//! tests.

mod common;

use common::*;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use serde_json::{Value, json};
use sluice_stand_ins::{Answer, Backend};

const PATH: &str = "/v1/traces";

fn untenanted(content_type: &str) -> http::request::Builder {
    http::Request::post(PATH).header("content-type", content_type)
}

// Tempo, "path": HTTP POST /v1/traces; GET/PUT 405 text/plain; trailing slash, /otlp/v1/traces,
// /v1/logs, /v1/metrics 404
#[tokio::test]
async fn other_paths_and_methods_are_refused_in_plain_text() {
    let backends = started().await;
    for (method, path, status) in [
        ("GET", PATH, 405),
        ("PUT", PATH, 405),
        ("POST", "/v1/traces/", 404),
        ("POST", "/otlp/v1/traces", 404),
        ("POST", "/v1/logs", 404),
        ("POST", "/v1/metrics", 404),
    ] {
        let request = http::Request::builder().method(method).uri(path);
        let reply = send(backends.tempo(), request, "").await;
        assert_eq!(reply.status, status, "{method} {path}");
        let content_type = reply.header("content-type").unwrap();
        assert!(content_type.starts_with("text/plain"), "{content_type}");
    }
}

// Tempo, "content-type": Others or none: 415 text/plain
#[tokio::test]
async fn another_content_type_is_a_415_in_plain_text() {
    let backends = started().await;
    for content_type in ["application/protobuf", "text/plain", ""] {
        let reply = send(backends.tempo(), typed(PATH, content_type), one_span()).await;
        assert_eq!(reply.status, 415, "{content_type}");
        assert_eq!(reply.header("content-type"), Some("text/plain"));
    }
    let none = http::Request::post(PATH).header("x-scope-orgid", "tenant-a");
    assert_eq!(send(backends.tempo(), none, one_span()).await.status, 415);
}

// Tempo, "content-type": `application/x-protobuf`, `application/json`, any case, parameters
// allowed. "success": content-type mirrors the request
#[tokio::test]
async fn parameters_and_case_of_a_content_type_do_not_matter() {
    let backends = started().await;
    for (sent, answered) in [
        ("application/x-protobuf; charset=utf-8", PROTOBUF),
        ("Application/X-Protobuf", PROTOBUF),
        ("APPLICATION/JSON;charset=utf-8", JSON),
    ] {
        let body = if answered == JSON {
            serde_json::to_vec(&traces(vec![span("s", 1)])).unwrap()
        } else {
            one_span()
        };
        let reply = send(backends.tempo(), typed(PATH, sent), body).await;
        assert_eq!(reply.status, 200, "{sent}");
        assert_eq!(reply.header("content-type"), Some(answered));
    }
}

// Tempo, "content-encoding": identity, GZIP, br, none: 400 Status; raw deflate 400
#[tokio::test]
async fn an_encoding_that_the_receiver_does_not_know_is_a_400() {
    let backends = started().await;
    for encoding in ["identity", "GZIP", "br", "none"] {
        let request = push(PATH).header("content-encoding", encoding);
        let reply = send(backends.tempo(), request, one_span()).await;
        assert_eq!((reply.status, reply.status_message().code), (400, 3), "{encoding}");
    }
    let request = push(PATH).header("content-encoding", "deflate");
    let reply = send(backends.tempo(), request, raw_deflate(&one_span())).await;
    assert_eq!((reply.status, reply.status_message().code), (400, 3));
    assert_eq!(backends.store().spans("tenant-a").len(), 0);
}

// Tempo, "content-encoding": gzip, zstd, lz4, snappy, x-snappy-framed, deflate (= zlib format)
#[tokio::test]
async fn the_six_encodings_are_taken() {
    let backends = started().await;
    let plain = one_span();
    for (encoding, body) in [
        ("gzip", gzip(&plain)),
        ("zstd", zstd(&plain)),
        ("lz4", lz4(&plain)),
        ("snappy", snappy(&plain)),
        ("x-snappy-framed", snappy_framed(&plain)),
        ("deflate", zlib(&plain)),
    ] {
        backends.store().clear();
        let request = push(PATH).header("content-encoding", encoding);
        let reply = send(backends.tempo(), request, body).await;
        assert_eq!(reply.status, 200, "{encoding}");
        assert_eq!(backends.store().spans("tenant-a").len(), 1);
        let requests = backends.store().requests(Backend::Tempo);
        assert_eq!(requests[0].decoded.as_deref(), Some(&plain[..]));
    }
}

// Tempo, "success": 200; protobuf body `0a 00`; JSON `{"partialSuccess":{}}` (21 bytes)
#[tokio::test]
async fn success_has_an_empty_partial_success_that_is_set() {
    let backends = started().await;
    let reply = send(backends.tempo(), push(PATH), one_span()).await;
    assert_eq!((reply.status, &reply.body[..]), (200, &b"\x0a\x00"[..]));
    let json = serde_json::to_vec(&traces(vec![span("s", 2)])).unwrap();
    let reply = send(backends.tempo(), typed(PATH, JSON), json).await;
    assert_eq!((reply.status, reply.text()), (200, r#"{"partialSuccess":{}}"#));
    assert_eq!(reply.body.len(), 21);
    assert_eq!(backends.store().spans("tenant-a").len(), 2);
}

// Tempo, "error body": google.rpc.Status in the request's own format with real `code`
#[tokio::test]
async fn an_error_is_a_status_in_the_format_of_the_request() {
    let backends = started().await;
    let reply = send(backends.tempo(), push(PATH), "{ not an export").await;
    assert_eq!((reply.status, reply.status_message().code), (400, 3));
    assert_eq!(reply.header("content-type"), Some(PROTOBUF));
    let reply = send(backends.tempo(), typed(PATH, JSON), "{ not an export").await;
    assert_eq!((reply.status, &reply.json::<Value>()["code"]), (400, &json!(3)));
    assert_eq!(reply.header("content-type"), Some(JSON));
}

// Tempo, "missing tenant": HTTP 503, Status code 14 `no org id` (retryable!); empty or blank header
// value: 400 code 3 `no org id`
#[tokio::test]
async fn a_missing_tenant_is_a_503_and_an_empty_one_a_400() {
    let backends = started().await;
    let reply = send(backends.tempo(), untenanted(PROTOBUF), one_span()).await;
    let status = reply.status_message();
    assert_eq!((reply.status, status.code, status.message.as_str()), (503, 14, "no org id"));
    for blank in ["", "  "] {
        let request = untenanted(PROTOBUF).header("x-scope-orgid", blank);
        let reply = send(backends.tempo(), request, one_span()).await;
        let status = reply.status_message();
        assert_eq!((reply.status, status.code, status.message.as_str()), (400, 3, "no org id"));
    }
}

// Tempo, "two tenant headers": 503 `no org id`, even when both are equal
#[tokio::test]
async fn two_tenant_headers_are_a_503_even_when_equal() {
    let backends = started().await;
    for second in ["tenant-b", "tenant-a"] {
        let request = push(PATH).header("x-scope-orgid", second);
        let reply = send(backends.tempo(), request, one_span()).await;
        assert_eq!((reply.status, reply.status_message().code), (503, 14), "{second}");
    }
    assert!(backends.store().tenants(Backend::Tempo).is_empty());
}

// Tempo, "bad tenant": 400 / INVALID_ARGUMENT, same texts as Loki. Byte 0xE9 over HTTP: 500 JSON
// `failed to marshal error message`
#[tokio::test]
async fn a_tenant_that_is_not_allowed_is_refused() {
    let backends = started().await;
    for (tenant, message) in [
        ("a b", "tenant ID 'a b' contains unsupported character ' '"),
        ("..", "tenant ID is '.' or '..'"),
        ("a|b", "multiple org IDs present"),
    ] {
        let request = untenanted(PROTOBUF).header("x-scope-orgid", tenant);
        let reply = send(backends.tempo(), request, one_span()).await;
        let status = reply.status_message();
        assert_eq!((reply.status, status.code, status.message.as_str()), (400, 3, message));
    }
    let request = untenanted(PROTOBUF).header("x-scope-orgid", &b"caf\xe9"[..]);
    let reply = send(backends.tempo(), request, one_span()).await;
    assert_eq!((reply.status, reply.header("content-type")), (500, Some(JSON)));
    assert_eq!(reply.json::<Value>()["message"], "failed to marshal error message");
}

// Tempo, "accepted tenants / aliases": as Loki incl. `__mimir_cluster`; `a|a`,
// `tenant-a:product=k6`, `tenant-a:%%%` accepted (200)
#[tokio::test]
async fn aliases_are_stored_under_the_tenant_they_stand_for() {
    let backends = started().await;
    for (alias, tenant) in [
        ("tenant-a|tenant-a", "tenant-a"),
        ("tenant-a:product=k6", "tenant-a"),
        ("tenant-a:%%%", "tenant-a"),
        ("__mimir_cluster", "__mimir_cluster"),
    ] {
        backends.store().clear();
        let request = untenanted(PROTOBUF).header("x-scope-orgid", alias);
        assert_eq!(send(backends.tempo(), request, one_span()).await.status, 200);
        assert_eq!(backends.store().spans(tenant).len(), 1, "{alias}");
    }
}

// Tempo, "empty request": 0-byte protobuf, `{}`, no spans: 200 / OK, also with no tenant at all.
// 0-byte JSON 400
#[tokio::test]
async fn an_export_without_spans_is_a_success_even_without_a_tenant() {
    let backends = started().await;
    for (format, body) in
        [(PROTOBUF, Vec::new()), (PROTOBUF, traces(vec![]).encode_to_vec()), (JSON, b"{}".to_vec())]
    {
        let reply = send(backends.tempo(), untenanted(format), body).await;
        assert_eq!(reply.status, 200, "{format}");
    }
    let reply = send(backends.tempo(), typed(PATH, JSON), "").await;
    assert_eq!(reply.status, 400);
}

// Tempo, "bad ids": one empty/zero trace id or empty span id rejects the whole batch with 400 and
// the good span is not stored; short trace id: 400
#[tokio::test]
async fn one_bad_id_refuses_the_whole_batch() {
    let backends = started().await;
    let good = || span("good", 1);
    for bad in [
        Span { trace_id: vec![], ..good() },
        Span { trace_id: vec![0; 16], ..good() },
        Span { trace_id: vec![1; 15], ..good() },
        Span { span_id: vec![], ..good() },
        Span { span_id: vec![1; 7], ..good() },
    ] {
        let export = traces(vec![good(), bad]).encode_to_vec();
        let reply = send(backends.tempo(), push(PATH), export).await;
        assert_eq!((reply.status, reply.status_message().code), (400, 3));
    }
    assert!(backends.store().tenants(Backend::Tempo).is_empty());
}

// Tempo, "rate limit": HTTP 429, Status code 8 with RetryInfo, `Retry-After: 5`
#[tokio::test]
async fn a_rate_limit_can_be_played() {
    let backends = started().await;
    backends.store().answer_next(Backend::Tempo, Answer::rate_limited(Backend::Tempo));
    let reply = send(backends.tempo(), push(PATH), one_span()).await;
    assert_eq!((reply.status, reply.status_message().code), (429, 8));
    assert_eq!(reply.header("retry-after"), Some("5"));
    let details = reply.status_message().details;
    assert_eq!(details[0].type_url, "type.googleapis.com/google.rpc.RetryInfo");
    assert_eq!(details[0].value, b"\x0a\x02\x08\x05", "retry_delay of 5 seconds");
}

// Tempo, "size": 25 MB HTTP body: 400 (not 413) `http: request body too large`
#[tokio::test]
async fn a_body_of_25_mb_is_a_400() {
    let backends = started().await;
    let reply = send(backends.tempo(), push(PATH), vec![0; 25_000_000]).await;
    let status = reply.status_message();
    assert_eq!((reply.status, status.code), (400, 3));
    assert_eq!(status.message, "http: request body too large");
}

// Tempo, "silent loss": a 6.2 MB trace: 200, then nothing stored
#[tokio::test]
async fn a_trace_over_5_mb_is_accepted_and_lost() {
    let backends = started().await;
    let spans = (0..6000).map(|_| Span {
        attributes: vec![string("padding", &"x".repeat(1000))],
        ..span("part of a large trace", 1)
    });
    let mut spans: Vec<_> = spans.collect();
    spans.push(span("of another trace", 2));
    let export = traces(spans).encode_to_vec();
    assert_eq!(send(backends.tempo(), push(PATH), export).await.status, 200);
    let stored = backends.store().spans("tenant-a");
    let names: Vec<_> = stored.iter().map(|span| span.name()).collect();
    assert_eq!(names, ["of another trace"]);
}

// Tempo, "silent change": attribute values over 2048 bytes are cut, 200
#[tokio::test]
async fn a_long_attribute_value_is_cut() {
    let backends = started().await;
    let cases = [
        ("x".repeat(2049), 2048),
        ("x".repeat(2048), 2048),
        ("\u{e9}".repeat(1025), 2048),
        (format!("x{}", "\u{e9}".repeat(1024)), 2047),
    ];
    let spans = cases
        .iter()
        .map(|(value, _)| Span { attributes: vec![string("long", value)], ..span("s", 1) });
    let export = traces(spans.collect()).encode_to_vec();
    assert_eq!(send(backends.tempo(), push(PATH), export).await.status, 200);
    let stored = backends.store().spans("tenant-a");
    let lengths: Vec<_> = stored.iter().map(|span| span.attribute("long").unwrap().len()).collect();
    let expected: Vec<_> = cases.iter().map(|(_, length)| *length).collect();
    assert_eq!(lengths, expected);
}

// Tempo, "time": 30 days old and 1 day in the future accepted
#[tokio::test]
async fn old_and_future_spans_are_taken() {
    let backends = started().await;
    let day = 24 * 3600 * 1_000_000_000;
    for start in [now() - 30 * day, now() + day] {
        let span = Span { start_time_unix_nano: start, ..span("s", 1) };
        let export = traces(vec![span]).encode_to_vec();
        assert_eq!(send(backends.tempo(), push(PATH), export).await.status, 200);
    }
    assert_eq!(backends.store().spans("tenant-a").len(), 2);
}

// Tempo, "transport": chunked ok, HTTP/1.0 ok; Upgrade ignored
#[tokio::test]
async fn http10_and_chunked_are_served_and_an_upgrade_is_ignored() {
    let backends = started().await;
    let common = format!("x-scope-orgid: tenant-a\r\ncontent-type: {PROTOBUF}\r\n");
    let body = one_span();
    let length = format!("content-length: {}\r\n", body.len());
    let size = format!("{:x}\r\n", body.len());
    for (line, headers, before, after, answer) in [
        ("HTTP/1.0", length.as_str(), "", "", "HTTP/1.0 200"),
        (
            "HTTP/1.1",
            "host: t\r\ntransfer-encoding: chunked\r\n",
            size.as_str(),
            "\r\n0\r\n\r\n",
            "HTTP/1.1 200",
        ),
        (
            "HTTP/1.1",
            &format!("host: t\r\n{length}connection: upgrade\r\nupgrade: h2c\r\n"),
            "",
            "",
            "HTTP/1.1 200",
        ),
    ] {
        let head = format!("POST {PATH} {line}\r\n{common}{headers}\r\n{before}");
        let bytes = [head.as_bytes(), &body, after.as_bytes()].concat();
        let heard = send_raw(backends.tempo(), &bytes, "\r\n\r\n").await;
        assert!(heard.starts_with(answer), "{heard}");
    }
}

// Tempo, "transport": h2c prior knowledge on the OTLP/HTTP port: refused, connection closed
#[tokio::test]
async fn http2_without_tls_is_refused_by_closing_the_connection() {
    let backends = started().await;
    let refused = send_h2c(backends.tempo(), PATH, one_span()).await;
    assert!(refused.is_err(), "{refused:?}");
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    let heard = send_raw(backends.tempo(), preface, "HTTP/2 frames would never hold this").await;
    assert_eq!(heard, "", "closed without a word");
    assert!(backends.store().requests(Backend::Tempo).is_empty());
}
