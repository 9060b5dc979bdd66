//! Loki's contract, with one test for each row. The comment above a test quotes the row that it tests.

mod common;

use common::*;
use opentelemetry_proto::tonic::{
    common::v1::{AnyValue, KeyValue, KeyValueList, any_value::Value},
    logs::v1::LogRecord,
};
use prost::Message;
use sluice_stand_ins::{Answer, Backend};

const PATH: &str = "/otlp/v1/logs";
const HOUR: u64 = 3600 * 1_000_000_000;
const DAY: u64 = 24 * HOUR;

fn untenanted() -> http::request::Builder {
    http::Request::post(PATH).header("content-type", PROTOBUF)
}

fn tenanted(tenant: &[u8]) -> http::request::Builder {
    untenanted().header("x-scope-orgid", tenant)
}

// Loki, "path": POST /otlp/v1/logs. GET 404, PUT 405, trailing slash 404, /v1/logs 404,
// `/otlp//v1/logs` 301, `?x=1` ok
#[tokio::test]
async fn other_paths_and_methods_are_refused_before_a_tenant_is_asked_for() {
    let backends = started().await;
    for (method, path, status) in [
        ("GET", PATH, 404),
        ("PUT", PATH, 405),
        ("POST", "/otlp/v1/logs/", 404),
        ("POST", "/v1/logs", 404),
        ("POST", "/otlp/v1/metrics", 404),
        ("POST", "/otlp//v1/logs", 301),
        ("POST", "/otlp/v1/logs?x=1", 401),
    ] {
        let request = http::Request::builder().method(method).uri(path);
        let reply = send(backends.loki(), request, "").await;
        assert_eq!(reply.status, status, "{method} {path}");
        match status {
            301 => assert_eq!(reply.header("location"), Some(PATH)),
            404 => assert_eq!(reply.header("content-type"), Some("text/plain; charset=utf-8")),
            _ => {}
        }
    }
}

// Loki, "content-type": exactly `application/x-protobuf` or `application/json`. With any
// parameter, other case, `application/protobuf`, none: 400
#[tokio::test]
async fn a_content_type_that_is_not_exact_is_refused() {
    let backends = started().await;
    for content_type in [
        "application/x-protobuf; charset=utf-8",
        "application/json; charset=utf-8",
        "Application/X-Protobuf",
        "application/protobuf",
        "text/plain",
    ] {
        let reply = send(backends.loki(), typed(PATH, content_type), one_log()).await;
        assert_eq!(reply.status, 400, "{content_type}");
    }
    let none = http::Request::post(PATH).header("x-scope-orgid", "tenant-a");
    assert_eq!(send(backends.loki(), none, one_log()).await.status, 400);
    assert_eq!(backends.store().logs("tenant-a").len(), 0);
}

// Loki, "content-encoding": snappy, x-snappy-framed, deflate, br, none, identity, `GZIP`: 400.
// Broken gzip: 400
#[tokio::test]
async fn an_encoding_that_loki_does_not_know_is_refused() {
    let backends = started().await;
    for encoding in ["snappy", "x-snappy-framed", "deflate", "br", "none", "identity", "GZIP"] {
        let request = push(PATH).header("content-encoding", encoding);
        let reply = send(backends.loki(), request, one_log()).await;
        assert_eq!(reply.status, 400, "{encoding}");
    }
    let request = push(PATH).header("content-encoding", "gzip");
    let mut broken = gzip(&one_log());
    broken.truncate(broken.len() - 9);
    assert_eq!(send(backends.loki(), request, broken).await.status, 400);
    assert_eq!(backends.store().logs("tenant-a").len(), 0);
}

// Loki, "content-encoding": absent, gzip, zstd, lz4 (frame) for both formats
#[tokio::test]
async fn the_four_encodings_are_taken_in_both_formats() {
    let backends = started().await;
    let mut sent = 0;
    for format in [PROTOBUF, JSON] {
        for encoding in ["", "gzip", "zstd", "lz4"] {
            sent += 1;
            let export = logs(vec![log(&format!("log {sent}"))]);
            let plain = match format {
                PROTOBUF => export.encode_to_vec(),
                _ => serde_json::to_vec(&export).unwrap(),
            };
            let body = match encoding {
                "gzip" => gzip(&plain),
                "zstd" => zstd(&plain),
                "lz4" => lz4(&plain),
                _ => plain.clone(),
            };
            let mut request = typed(PATH, format);
            if !encoding.is_empty() {
                request = request.header("content-encoding", encoding);
            }
            let reply = send(backends.loki(), request, body.clone()).await;
            assert_eq!(reply.status, 204, "{format} {encoding}: {}", reply.status);
            assert_eq!(backends.store().logs("tenant-a").len(), sent);
            let requests = backends.store().requests(Backend::Loki);
            let request = requests.last().unwrap();
            assert_eq!(request.body.as_deref(), Some(&body[..]), "as it came");
            assert_eq!(request.decoded.as_deref(), Some(&plain[..]), "inflated");
        }
    }
}

// Loki, "content-encoding": gzip. A gzip body may have several members, and Go reads them all.
#[tokio::test]
async fn every_member_of_a_gzip_body_is_read() {
    let backends = started().await;
    let mut body = gzip(&logs(vec![log("one")]).encode_to_vec());
    body.extend(gzip(&logs(vec![log("two")]).encode_to_vec()));
    let request = push(PATH).header("content-encoding", "gzip");
    assert_eq!(send(backends.loki(), request, body).await.status, 204);
    assert_eq!(backends.store().logs("tenant-a").len(), 2);
}

// Loki, "success": 204, no body, no content-type, same for protobuf and JSON
#[tokio::test]
async fn success_is_a_204_without_body_or_content_type() {
    let backends = started().await;
    let json = serde_json::to_vec(&logs(vec![log("in JSON")])).unwrap();
    for (format, body) in [(PROTOBUF, one_log()), (JSON, json)] {
        let reply = send(backends.loki(), typed(PATH, format), body).await;
        assert_eq!(reply.status, 204, "{format}");
        assert!(reply.body.is_empty());
        assert_eq!(reply.header("content-type"), None);
    }
}

// Loki, "error body": google.rpc.Status protobuf, also for JSON requests, field `code` always 0,
// content-type application/octet-stream
#[tokio::test]
async fn an_error_is_a_protobuf_status_without_code_also_for_json() {
    let backends = started().await;
    for format in [PROTOBUF, JSON] {
        let reply = send(backends.loki(), typed(PATH, format), "{ not an export").await;
        assert_eq!(reply.status, 400, "{format}");
        assert_eq!(reply.header("content-type"), Some("application/octet-stream"));
        assert_eq!(reply.status_message().code, 0);
        assert_ne!(reply.status_message().message, "");
    }
}

// Loki, "no X-Scope-OrgID, empty, blanks only": 401 text/plain `no org id\n`
#[tokio::test]
async fn a_missing_tenant_is_a_401_in_plain_text() {
    let backends = started().await;
    for request in [untenanted(), tenanted(b""), tenanted(b"  ")] {
        let reply = send(backends.loki(), request, one_log()).await;
        assert_eq!(reply.status, 401);
        assert_eq!(reply.text(), "no org id\n");
        let content_type = reply.header("content-type").unwrap();
        assert!(content_type.starts_with("text/plain"), "{content_type}");
    }
}

// Loki, "bad tenant": 400 Status with the texts below
#[tokio::test]
async fn a_tenant_that_is_not_allowed_is_a_400_that_says_why() {
    let backends = started().await;
    let too_long = "a".repeat(151);
    for (tenant, message) in [
        (too_long.as_str(), "tenant ID is too long: max 150 characters"),
        ("a b", "tenant ID 'a b' contains unsupported character ' '"),
        ("a/b", "tenant ID 'a/b' contains unsupported character '/'"),
        ("a\\b", "tenant ID 'a\\b' contains unsupported character '\\'"),
        ("a@b", "tenant ID 'a@b' contains unsupported character '@'"),
        ("a,b", "tenant ID 'a,b' contains unsupported character ','"),
        ("a%b", "tenant ID 'a%b' contains unsupported character '%'"),
        (".", "tenant ID is '.' or '..'"),
        ("..", "tenant ID is '.' or '..'"),
        ("a|b", "multiple org IDs present"),
        ("a|", "multiple org IDs present"),
    ] {
        let reply = send(backends.loki(), tenanted(tenant.as_bytes()), one_log()).await;
        assert_eq!(reply.status, 400, "{tenant}");
        assert_eq!(reply.status_message().message, message);
    }
    assert!(backends.store().tenants(Backend::Loki).is_empty());
}

// Loki, "bad tenant": Byte 0xE9: 400, Status code 13 `failed to marshal error response`
#[tokio::test]
async fn a_tenant_that_is_not_utf8_makes_loki_stumble_over_its_own_error() {
    let backends = started().await;
    let reply = send(backends.loki(), tenanted(b"caf\xe9"), one_log()).await;
    assert_eq!(reply.status, 400);
    assert_eq!(reply.status_message().code, 13);
    assert_eq!(reply.status_message().message, "failed to marshal error response");
}

// Loki, "accepted tenants": 150 chars, `a!-_.*'()Z9`, `...`, `__mimir_cluster`, `fake`, `anonymous`
#[tokio::test]
async fn unusual_but_allowed_tenants_are_taken() {
    let backends = started().await;
    let longest = "a".repeat(150);
    for tenant in [&longest, "a!-_.*'()Z9", "...", "__mimir_cluster", "fake", "anonymous"] {
        let reply = send(backends.loki(), tenanted(tenant.as_bytes()), one_log()).await;
        assert_eq!(reply.status, 204, "{tenant}");
        assert_eq!(backends.store().logs(tenant).len(), 1);
    }
}

// Loki, "aliases of tenant-a": `tenant-a|tenant-a`, `tenant-a:product=k6`, even `tenant-a:%%%` are
// accepted and stored under tenant-a
#[tokio::test]
async fn aliases_are_stored_under_the_tenant_they_stand_for() {
    let backends = started().await;
    for alias in ["tenant-a|tenant-a", "tenant-a:product=k6", "tenant-a:%%%"] {
        backends.store().clear();
        let reply = send(backends.loki(), tenanted(alias.as_bytes()), one_log()).await;
        assert_eq!(reply.status, 204, "{alias}");
        let tenants = backends.store().tenants(Backend::Loki);
        assert_eq!(tenants.into_iter().collect::<Vec<_>>(), [("tenant-a".to_owned(), 1)]);
    }
}

// Loki, "two X-Scope-OrgID headers": 204, first one wins
#[tokio::test]
async fn of_two_tenant_headers_the_first_wins() {
    let backends = started().await;
    let request = tenanted(b"tenant-a").header("x-scope-orgid", "tenant-b");
    assert_eq!(send(backends.loki(), request, one_log()).await.status, 204);
    assert_eq!(backends.store().logs("tenant-a").len(), 1);
    assert_eq!(backends.store().logs("tenant-b").len(), 0);
    let requests = backends.store().requests(Backend::Loki);
    let both = requests[0].header_values("x-scope-orgid");
    assert_eq!(both, ["tenant-a", "tenant-b"], "both are on record");
}

// Loki, "empty request": 0-byte protobuf, `{}`, resource without records, unknown JSON field only:
// 422 `error at least one valid stream is required for ingestion`. 0-byte JSON: 400
#[tokio::test]
async fn an_export_without_records_is_a_422() {
    let backends = started().await;
    for (format, body) in [
        (PROTOBUF, Vec::new()),
        (PROTOBUF, logs(vec![]).encode_to_vec()),
        (JSON, b"{}".to_vec()),
        (JSON, br#"{"unheardOf": 1}"#.to_vec()),
    ] {
        let reply = send(backends.loki(), typed(PATH, format), body).await;
        assert_eq!(reply.status, 422, "{format}");
        let message = reply.status_message().message;
        assert_eq!(message, "error at least one valid stream is required for ingestion");
    }
    let reply = send(backends.loki(), typed(PATH, JSON), "").await;
    assert_eq!(reply.status, 400);
}

// Loki, "partial reject": No partial_success. 400 for the whole request, yet the good records ARE
// stored. The error names one rejected record and no count
#[tokio::test]
async fn one_bad_record_is_a_400_although_the_good_ones_are_stored() {
    let backends = started().await;
    let mut old = log("old");
    old.time_unix_nano -= 8 * DAY;
    let export = logs(vec![log("good among old"), old, log("good too")]);
    let reply = send(backends.loki(), push(PATH), export.encode_to_vec()).await;
    assert_eq!(reply.status, 400);
    let names: Vec<_> = backends.store().logs("tenant-a").iter().map(|log| log.name()).collect();
    assert_eq!(names, ["good among old", "good too"]);
}

// Loki 3.7: 400 for all for a key of which no label can be made, wherever it is, and for an id that is
// neither of its length nor empty
#[tokio::test]
async fn one_name_or_id_that_is_none_is_a_400_and_nothing_is_stored() {
    let backends = started().await;
    let named = |key: &str| vec![string("service.name", "probe"), string(key, "x")];
    let with = |key: &str| LogRecord { attributes: named(key), ..log("bad") };
    let both = |record| vec![log("good"), record];
    let good = || vec![string("service.name", "probe")];
    for (what, export) in [
        ("no name", logs(both(with("")))),
        ("underscores", logs(both(with("_")))),
        ("letters that are not ASCII", logs(both(with("ключ")))),
        ("of the resource", logs_of(named("日本"), vec![], vec![log("good")])),
        ("of the scope", logs_of(good(), named("-"), vec![log("good")])),
        ("a trace id of text", logs(both(LogRecord { trace_id: vec![b'5'; 32], ..log("bad") }))),
        ("a short span id", logs(both(LogRecord { span_id: vec![1; 4], ..log("bad") }))),
    ] {
        let reply = send(backends.loki(), push(PATH), export.encode_to_vec()).await;
        assert_eq!(reply.status, 400, "{what}");
        assert!(backends.store().logs("tenant-a").is_empty(), "{what}");
    }
    for key in ["9", "_n", "ключ1", "naïve"] {
        let reply = send(backends.loki(), push(PATH), logs(vec![with(key)]).encode_to_vec()).await;
        assert_eq!(reply.status, 204, "{key}");
    }
}

// Loki, "reject reasons, all 400": 8 d old (limit 1w); 1 h in the future (limit 10m); 6 d old in a
// live stream, > 1 h behind the stream's newest; line > 256 KB; > 128 structured-metadata labels
#[tokio::test]
async fn records_over_a_limit_are_refused_and_records_at_it_are_not() {
    let backends = started().await;
    let moved = |by: i64| LogRecord {
        time_unix_nano: now().checked_add_signed(by).unwrap(),
        ..log("moved")
    };
    let labelled = |count: usize| LogRecord {
        attributes: (0..count).map(|n| string(&format!("k{n}"), "v")).collect(),
        ..log("labelled")
    };
    let hour = HOUR as i64;
    for (record, after, refusal) in [
        (moved(-8 * 24 * hour), None, Some("too old")),
        (moved(-6 * 24 * hour), None, None),
        (moved(hour), None, Some("too new")),
        (moved(hour / 12), None, None),
        (moved(-6 * 24 * hour), Some(log("live")), Some("entry too far behind")),
        (moved(-hour / 2), Some(log("live")), None),
        (log(&"x".repeat((256 << 10) + 1)), None, Some("max entry size")),
        (log(&"x".repeat(256 << 10)), None, None),
        (labelled(129), None, Some("structured metadata")),
        (labelled(128), None, None),
        (LogRecord { time_unix_nano: 0, ..log("no time") }, None, None),
    ] {
        backends.store().clear();
        if let Some(live) = after {
            let export = logs(vec![live]).encode_to_vec();
            assert_eq!(send(backends.loki(), push(PATH), export).await.status, 204);
        }
        let export = logs(vec![record]).encode_to_vec();
        let reply = send(backends.loki(), push(PATH), export).await;
        match refusal {
            None => assert_eq!(reply.status, 204),
            Some(reason) => {
                assert_eq!(reply.status, 400, "{reason}");
                let message = reply.status_message().message;
                assert!(message.contains(reason), "{message}");
            }
        }
    }
}

// Loki, "exact duplicate": 204 both times, stored once
#[tokio::test]
async fn an_exact_duplicate_is_accepted_and_stored_once() {
    let backends = started().await;
    let export = one_log();
    for _ in 0..2 {
        let reply = send(backends.loki(), push(PATH), export.clone()).await;
        assert_eq!(reply.status, 204);
    }
    assert_eq!(backends.store().logs("tenant-a").len(), 1);
    assert_eq!(backends.store().requests(Backend::Loki).len(), 2);
}

// Loki, "rate limit": 429 Status, no Retry-After
#[tokio::test]
async fn a_rate_limit_can_be_played() {
    let backends = started().await;
    backends.store().answer_next(Backend::Loki, Answer::rate_limited(Backend::Loki));
    let reply = send(backends.loki(), push(PATH), one_log()).await;
    assert_eq!(reply.status, 429);
    assert_eq!(reply.header("retry-after"), None);
    assert_eq!(reply.status_message().code, 0);
    assert_eq!(backends.store().logs("tenant-a").len(), 0);
}

// Loki, "size": > 100 MiB body: 413 Status (with or without content-length)
#[tokio::test]
async fn a_body_over_100_mib_is_a_413_announced_or_not() {
    let backends = started().await;
    let body = vec![0; (100 << 20) + 1];
    let reply = send(backends.loki(), push(PATH), body.clone()).await;
    assert_eq!(reply.status, 413);
    assert_eq!(reply.status_message().code, 0);

    let head = format!(
        "POST {PATH} HTTP/1.1\r\nhost: loki\r\nx-scope-orgid: tenant-a\r\n\
         content-type: {PROTOBUF}\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n",
        body.len()
    );
    let mut chunked = head.into_bytes();
    chunked.extend(body);
    chunked.extend(b"\r\n0\r\n\r\n");
    let heard = send_raw(backends.loki(), &chunked, "\r\n\r\n").await;
    assert!(heard.starts_with("HTTP/1.1 413"), "{heard}");
}

// Loki, "size": the limit holds for what a body inflates to as well, or a bomb would end the
// stand-in.
#[tokio::test]
async fn a_body_that_inflates_to_over_100_mib_is_a_413() {
    let backends = started().await;
    let bomb = gzip(&vec![0; (100 << 20) + 1]);
    let request = push(PATH).header("content-encoding", "gzip");
    assert_eq!(send(backends.loki(), request, bomb).await.status, 413);
}

// Loki, "size trap": a 5 MB push (below every rate limit): 503 `grpc: received message larger than
// max (5660039 vs. 4194304)`. Also when it is small on the wire.
#[tokio::test]
async fn a_push_over_4_mib_expanded_is_a_503_that_will_never_succeed() {
    let backends = started().await;
    let line = "x".repeat(200 << 10);
    let records = (0..25).map(|n| log(&format!("{n}{line}"))).collect();
    let export = logs(records).encode_to_vec();
    assert!(export.len() > 4 << 20);
    let expected = format!("grpc: received message larger than max ({} vs. 4194304)", export.len());
    for encoding in [None, Some("gzip")] {
        let request = match encoding {
            None => push(PATH),
            Some(name) => push(PATH).header("content-encoding", name),
        };
        let body = if encoding.is_some() { gzip(&export) } else { export.clone() };
        let reply = send(backends.loki(), request, body).await;
        assert_eq!(reply.status, 503);
        assert_eq!(reply.status_message().message, expected);
    }
    assert_eq!(backends.store().logs("tenant-a").len(), 0);
}

// Loki, "transport": chunked without content-length ok; HTTP/1.0 ok; `Expect: 100-continue`
// honoured; `Upgrade: h2c` ignored, served as 1.1
#[tokio::test]
async fn chunked_http10_expect_and_upgrade_are_served_over_http1() {
    let backends = started().await;
    let common = format!("x-scope-orgid: tenant-a\r\ncontent-type: {PROTOBUF}\r\n");

    let body = one_log();
    let mut chunked = format!(
        "POST {PATH} HTTP/1.1\r\nhost: l\r\n{common}transfer-encoding: chunked\r\n\r\n{:x}\r\n",
        body.len()
    )
    .into_bytes();
    chunked.extend(&body);
    chunked.extend(b"\r\n0\r\n\r\n");
    let heard = send_raw(backends.loki(), &chunked, "\r\n\r\n").await;
    assert!(heard.starts_with("HTTP/1.1 204"), "{heard}");

    let length = format!("content-length: {}\r\n", body.len());
    let mut http10 = format!("POST {PATH} HTTP/1.0\r\n{common}{length}\r\n").into_bytes();
    http10.extend(&body);
    let heard = send_raw(backends.loki(), &http10, "\r\n\r\n").await;
    assert!(heard.starts_with("HTTP/1.0 204"), "{heard}");

    let mut upgrade = format!(
        "POST {PATH} HTTP/1.1\r\nhost: l\r\n{common}{length}connection: upgrade, http2-settings\r\n\
         upgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__\r\n\r\n"
    )
    .into_bytes();
    upgrade.extend(&body);
    let heard = send_raw(backends.loki(), &upgrade, "\r\n\r\n").await;
    assert!(heard.starts_with("HTTP/1.1 204"), "{heard}");

    let expect =
        format!("POST {PATH} HTTP/1.1\r\nhost: l\r\n{common}{length}expect: 100-continue\r\n\r\n");
    let mut stream = tokio::net::TcpStream::connect(backends.loki()).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut stream, expect.as_bytes()).await.unwrap();
    let heard = read_until(&mut stream, "\r\n\r\n").await;
    assert!(heard.starts_with("HTTP/1.1 100"), "{heard}");
    tokio::io::AsyncWriteExt::write_all(&mut stream, &body).await.unwrap();
    let heard = read_until(&mut stream, "\r\n\r\n").await;
    assert!(heard.starts_with("HTTP/1.1 204"), "{heard}");
}

// Loki, "transport": h2c prior knowledge ok (204 over HTTP/2)
#[tokio::test]
async fn http2_without_tls_is_served() {
    let backends = started().await;
    let reply = send_h2c(backends.loki(), PATH, one_log()).await.unwrap();
    assert_eq!((reply.status, reply.version), (204, http::Version::HTTP_2));
    assert_eq!(backends.store().logs("tenant-a").len(), 1);
    let requests = backends.store().requests(Backend::Loki);
    assert_eq!(requests[0].version, http::Version::HTTP_2);
    assert_eq!(requests[0].path, PATH);
}

// Loki, "client-settable headers": `X-Loki-Backfill-Shard`, `X-Loki-Ingestion-Policy`. A gateway
// should not forward them
#[tokio::test]
async fn the_headers_that_steer_loki_are_on_record() {
    let backends = started().await;
    let request =
        push(PATH).header("x-loki-backfill-shard", "s1").header("x-loki-ingestion-policy", "p1");
    assert_eq!(send(backends.loki(), request, one_log()).await.status, 204);
    let requests = backends.store().requests(Backend::Loki);
    assert_eq!(requests[0].header_values("x-loki-backfill-shard"), ["s1"]);
    assert_eq!(requests[0].header_values("x-loki-ingestion-policy"), ["p1"]);
}

// Loki, text: `source.name` resource attribute in a log -> structured metadata `source_name`, not
// an index label. No service.name: `service_name="unknown_service"`
#[tokio::test]
async fn source_name_is_structured_metadata_and_service_name_a_stream_label() {
    let backends = started().await;
    let source = || string("source.name", "src-1");
    let named = logs_of(vec![string("service.name", "probe"), source()], vec![], vec![log("a")]);
    let unnamed = logs_of(vec![source()], vec![], vec![log("b")]);
    for export in [named, unnamed] {
        let reply = send(backends.loki(), push(PATH), export.encode_to_vec()).await;
        assert_eq!(reply.status, 204);
    }
    let stored = backends.store().logs("tenant-a");
    for (record, service) in stored.iter().zip(["probe", "unknown_service"]) {
        let labels: Vec<_> = record.stream_labels().into_iter().collect();
        assert_eq!(labels, [("service_name".to_owned(), service.to_owned())]);
        assert_eq!(record.structured_metadata()["source_name"], "src-1");
    }
    assert_eq!(stored.len(), 2);
}

// Loki, "Spoofing of a stamped source.name": every spelling becomes `source_name`; the LAST one
// wins, and order is log attrs < resource attrs (in order) < scope attrs
#[tokio::test]
async fn of_the_spellings_of_source_name_the_last_one_wins_and_scope_is_last() {
    let backends = started().await;
    let map = KeyValue {
        key: "source".to_owned(),
        value: Some(AnyValue {
            value: Some(Value::KvlistValue(KeyValueList { values: vec![string("name", "map")] })),
        }),
        ..KeyValue::default()
    };
    let stamp = || string("source.name", "stamp");
    for (of_log, of_resource, of_scope, wins) in [
        (string("source.name", "log"), vec![stamp()], vec![], "stamp"),
        (string("x", "y"), vec![stamp(), string("source_name", "fake")], vec![], "fake"),
        (string("x", "y"), vec![string("source-name", "fake"), stamp()], vec![], "stamp"),
        (string("x", "y"), vec![stamp(), map], vec![], "map"),
        (string("x", "y"), vec![stamp()], vec![string("source.name", "scope")], "scope"),
    ] {
        backends.store().clear();
        let record = LogRecord { attributes: vec![of_log], ..log("spoof") };
        let export = logs_of(of_resource, of_scope, vec![record]).encode_to_vec();
        assert_eq!(send(backends.loki(), push(PATH), export).await.status, 204);
        let stored = backends.store().logs("tenant-a");
        assert_eq!(stored[0].structured_metadata()["source_name"], wins);
    }
}
