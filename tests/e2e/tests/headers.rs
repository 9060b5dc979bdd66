//! Whether Envoy keeps a map of headers as it is if a filter sets the whole map (`proxy_set_header_map_pairs`), as the
//! gate does. A filter that sets each map to what it has read must change nothing, whatever the headers are.

use std::{collections::BTreeMap, sync::Arc};

use anyhow::{Context, Result};
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use envoy_local::{Listener, Options, Stack};
use http_body_util::{BodyExt, Full};
use hyper::{
    HeaderMap, Request, Response, StatusCode, Version,
    body::Incoming,
    client::conn::{http1, http2},
    header::HeaderValue,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use proptest::{
    collection::vec,
    prelude::{Just, Strategy, prop_oneof},
    sample::select,
    strategy::ValueTree,
    test_runner::TestRunner,
};
use rustls::pki_types::ServerName;
use serde_json::{Value, json};
use sluice_e2e::client::{self, Alpn};
use sluice_stand_ins::{Answer, Backend};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Sets the map of a request's headers, and that of a reply's, to what it has read: at once, or when the body is there.
const FILTER: &str = r#"(module
  (import "env" "proxy_get_header_map_pairs" (func $get (param i32 i32 i32) (result i32)))
  (import "env" "proxy_set_header_map_pairs" (func $set (param i32 i32 i32) (result i32)))
  (memory (export "memory") 16)
  (global $next (mut i32) (i32.const 1024))
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "malloc") (param $size i32) (result i32)
    (local $at i32)
    (local.set $at (global.get $next))
    (global.set $next (i32.and (i32.add (i32.add (local.get $at) (local.get $size)) (i32.const 7)) (i32.const -8)))
    (local.get $at))
  (func $keep (param $map i32)
    (global.set $next (i32.const 1024))
    (if (call $get (local.get $map) (i32.const 0) (i32.const 4)) (then unreachable))
    (if (call $set (local.get $map) (i32.load (i32.const 0)) (i32.load (i32.const 4))) (then unreachable)))
  (func (export "proxy_on_request_headers") (param i32 i32) (param $end i32) (result i32)
    (if (i32.or (i32.eqz (i32.const HOLD)) (local.get $end))
      (then (call $keep (i32.const 0)) (return (i32.const 0))))
    (i32.const 1))
  (func (export "proxy_on_request_body") (param i32 i32) (param $end i32) (result i32)
    (if (i32.eqz (i32.const HOLD)) (then (return (i32.const 0))))
    (if (local.get $end) (then (call $keep (i32.const 0)) (return (i32.const 0))))
    (i32.const 1))
  (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)
    (call $keep (i32.const 2))
    (i32.const 0)))"#;

const NOBODY: &str = "without the filter";
const LISTENERS: [&str; 3] = [NOBODY, "at once", "held"];
const RUNS: usize = 40;

fn filter(hold: bool) -> Result<Value> {
    let module = wat::parse_str(FILTER.replace("HOLD", if hold { "1" } else { "0" }))?;
    let name = format!("keep {hold}");
    Ok(json!({
        "name": name,
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
            "config": {
                "name": name,
                "allow_on_headers_stop_iteration": hold,
                "vm_config": {
                    "vm_id": name,
                    "runtime": "envoy.wasm.runtime.v8",
                    "code": { "local": { "inline_bytes": STANDARD.encode(module) } },
                },
            },
        },
    }))
}

fn listener(name: &str) -> Result<Listener> {
    Ok(Listener {
        name: name.to_owned(),
        gate: json!({ "tenant": { "fixed": "e2e" } }),
        certificate_required: false,
        header_only_filter: false,
        timeout: None,
        filters_before: match name {
            NOBODY => Vec::new(),
            name => vec![filter(name == "held")?],
        },
        other_paths: Some("loki".to_owned()),
    })
}

type Headers = Vec<(&'static str, Vec<u8>)>;

/// Headers that Envoy treats in ways of their own, and others; values that are empty or not UTF-8; copies.
fn headers() -> impl Strategy<Value = Headers> {
    let name = select(vec![
        "accept",
        "accept-encoding",
        "authorization",
        "cache-control",
        "content-encoding",
        "cookie",
        "etag",
        "expires",
        "forwarded",
        "grpc-status",
        "origin",
        "pragma",
        "referer",
        "set-cookie",
        "user-agent",
        "vary",
        "via",
        "warning",
        "x-b3-traceid",
        "x-custom",
        "x-envoy-max-retries",
        "x-envoy-original-path",
        "x-envoy-upstream-rq-timeout-alt-response",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-proto",
        "x-other",
        "x-request-id",
        "x-scope-orgid",
    ]);
    let value = prop_oneof![
        Just(Vec::new()),
        Just(b"http".to_vec()),
        Just(b"a, b".to_vec()),
        Just(b"\xff\xfe caf\xe9".to_vec()),
        vec(select((b'!'..=b'~').collect::<Vec<u8>>()), 1..40),
        (1_000_usize..3_000).prop_map(|length| vec_of(b'x', length)),
    ];
    vec((name, value), 0..14)
}

fn vec_of(byte: u8, length: usize) -> Vec<u8> {
    std::iter::repeat_n(byte, length).collect()
}

/// What of a head does not differ by itself: the values of each name, in their order.
fn comparable(headers: &HeaderMap) -> BTreeMap<String, Vec<Vec<u8>>> {
    let mut all: BTreeMap<String, Vec<Vec<u8>>> = BTreeMap::new();
    for (name, value) in headers {
        let differs = ["date", "x-envoy-upstream-service-time"].contains(&name.as_str());
        // Envoy makes one if the request has none, or one that it does not accept.
        let is_made = name == "x-request-id" && value.len() == 36;
        let value = if differs || is_made { Vec::new() } else { value.as_bytes().to_vec() };
        all.entry(name.to_string()).or_default().push(value);
    }
    all
}

struct Gateway {
    stack: Stack,
    _folder: tempfile::TempDir,
}

impl Gateway {
    async fn start() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let listeners = LISTENERS.into_iter().map(listener).collect::<Result<_>>()?;
        let options =
            Options { run_dir: folder.path().to_owned(), listeners, ..Options::default() };
        Ok(Self { stack: Stack::start(options).await?, _folder: folder })
    }

    /// What the backend gets and what the sender gets, or `None` if Envoy refuses it.
    async fn exchange(
        &self,
        listener: &str,
        version: Version,
        headers: &Headers,
        of_reply: &Headers,
    ) -> Result<(Option<String>, String)> {
        let store = self.stack.backends().store();
        store.clear();
        let mut answer = Answer::new(StatusCode::OK);
        for (name, value) in of_reply {
            answer = answer.header(name.parse()?, HeaderValue::from_bytes(value)?);
        }
        store.answer_next(Backend::Loki, answer.body(b"stored".to_vec()));
        let address = self.stack.listener(listener).context("no such listener")?;
        let alpn = if version == Version::HTTP_2 { Alpn::Http2 } else { Alpn::Http1 };
        let config = client::tls_without_certificate(self.stack.pki().ca_pem(), alpn)?;
        let stream = TcpStream::connect(address).await?;
        let name = ServerName::try_from("localhost")?;
        let tls = TokioIo::new(TlsConnector::from(Arc::new(config)).connect(name, stream).await?);
        let uri = match version {
            Version::HTTP_2 => "https://localhost/otlp/v1/logs?a=b",
            _ => "/otlp/v1/logs?a=b",
        };
        let mut request = Request::post(uri).header("content-type", "application/x-protobuf");
        if version != Version::HTTP_2 {
            request = request.header("host", "localhost");
        }
        for (name, value) in headers {
            request = request.header(*name, HeaderValue::from_bytes(value)?);
        }
        let request = request.body(Full::new(Bytes::from_static(b"body")))?;
        let reply: Response<Incoming> = match version {
            Version::HTTP_2 => {
                let (mut sender, connection) = http2::handshake(TokioExecutor::new(), tls).await?;
                tokio::spawn(connection);
                sender.send_request(request).await?
            }
            _ => {
                let (mut sender, connection) = http1::handshake(tls).await?;
                tokio::spawn(connection);
                sender.send_request(request).await?
            }
        };
        let (head, body) = reply.into_parts();
        let body = body.collect().await?.to_bytes();
        let forwarded = store
            .requests(Backend::Loki)
            .into_iter()
            .next()
            .map(|got| format!("{} {} {:?}", got.method, got.path, comparable(&got.headers)));
        let received = format!("{} {:?} {body:?}", head.status, comparable(&head.headers));
        Ok((forwarded, received))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_map_that_is_set_as_a_whole_stays_as_it_is() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let gateway = Gateway::start().await.unwrap();
    let mut runner = TestRunner::deterministic();
    let mut forwarded = 0;
    for run in 0..RUNS {
        let mut generated = || headers().new_tree(&mut runner).unwrap().current();
        let (request, mut reply) = (generated(), generated());
        // hyper frames a reply by these itself.
        reply.retain(|(name, _)| *name != "grpc-status");
        for version in [Version::HTTP_11, Version::HTTP_2] {
            let mut expected = None;
            for listener in LISTENERS {
                let got = gateway.exchange(listener, version, &request, &reply).await.unwrap();
                forwarded += usize::from(got.0.is_some());
                let expected = expected.get_or_insert_with(|| got.clone());
                assert_eq!(
                    got, *expected,
                    "{listener}, run {run}, {version:?}: {request:?}, {reply:?}"
                );
            }
        }
    }
    assert!(forwarded > RUNS * 5, "Envoy has refused too many: {forwarded} were forwarded");
}
