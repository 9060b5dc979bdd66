//! The access log, as Envoy really writes it with `envoy-local/envoy.yaml` and with the configuration that istiod
//! makes: a line of JSON for each request and for each handshake that fails, and nothing in it that a sender could
//! forge.

use std::time::Duration;

use envoy_local::{Options, Pki, SenderFiles, SenderName, Stack, workspace_root};
use serde_json::{Value, json};

/// A client that shows this certificate, or none.
fn client(pki: &Pki, sender: Option<&SenderFiles>) -> reqwest::Client {
    let ca = std::fs::read(pki.ca_pem()).unwrap();
    let mut client =
        reqwest::Client::builder().tls_certs_only([reqwest::Certificate::from_pem(&ca).unwrap()]);
    if let Some(sender) = sender {
        let pem = [&sender.cert, &sender.key].map(|file| std::fs::read(file).unwrap()).concat();
        client = client.identity(reqwest::Identity::from_pem(&pem).unwrap());
    }
    client.build().unwrap()
}

/// Sends logs, with more headers, and returns the status; `None` if there was no reply.
async fn send(
    stack: &Stack,
    sender: Option<&SenderFiles>,
    query: &str,
    headers: &[(&str, &str)],
) -> Option<u16> {
    let url = format!("https://localhost:{}/v1/logs{query}", stack.http_addr().port());
    let mut request =
        client(stack.pki(), sender).post(url).header("content-type", "application/json");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let body = r#"{"resourceLogs":[{"resource":{"attributes":[{"key":"source.name","value":{"stringValue":"a"}}]},"scopeLogs":[{"logRecords":[{}]}]}]}"#;
    request.body(body).send().await.ok().map(|reply| reply.status().as_u16())
}

/// The lines of the access log, when there are this many. Every line of Envoy's output that is not Envoy's own must be
/// JSON.
async fn lines(stack: &Stack, count: usize) -> Vec<Value> {
    for _ in 0..100 {
        let log = stack.envoy_log().await;
        // Envoy's own lines begin with their time in brackets, and some go on in indented lines.
        let lines = log.lines().filter(|line| !line.starts_with(['[', ' ']) && !line.is_empty());
        let lines: Vec<Value> = lines
            .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("forged: {line}")))
            .collect();
        if lines.len() >= count {
            assert_eq!(lines.len(), count, "{lines:#?}");
            return lines;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{}", stack.envoy_log().await)
}

async fn stacks() -> Vec<(&'static str, Stack, tempfile::TempDir)> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let path = workspace_root().join(".cache/manifests/overlays-hold-headers.envoy.json");
    let istio = std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}: run `make manifests`", path.display()));
    let mut stacks = Vec::new();
    for (name, envoy) in [("envoy.yaml", None), ("istiod", Some(istio))] {
        let folder = tempfile::tempdir().unwrap();
        let options = Options { run_dir: folder.path().join("run"), envoy, ..Options::default() };
        stacks.push((name, Stack::start(options).await.unwrap(), folder));
    }
    stacks
}

/// From one line: whose a request was, or what was shown in vain; what came of it, from where, and for how long.
#[tokio::test(flavor = "multi_thread")]
async fn a_line_says_who_was_let_in_and_what_was_shown_in_vain() {
    for (name, stack, _folder) in stacks().await {
        let pki = stack.pki();
        let [payments, stranger] =
            [SenderName::Payments, SenderName::Stranger].map(|sender| pki.sender(sender));
        assert_eq!(send(&stack, Some(payments), "", &[]).await, Some(200), "{name}");
        assert_eq!(send(&stack, Some(stranger), "", &[]).await, Some(403), "{name}");
        let lines = lines(&stack, 2).await;
        let shown = ["sender", "identified_by", "tenant", "code", "flags"];
        let [stored, refused] =
            [0, 1].map(|index| shown.map(|key: &str| lines[index][key].clone()).to_vec());
        let identity = json!(["payments", "clientCertificate", "payments", 200, "-"]);
        assert_eq!(json!(stored), identity, "{name}");
        assert_eq!(json!(refused), json!([null, null, null, 403, "-"]), "{name}");
        // Istio names it by port, host and domain.
        assert!(lines[0]["backend"].as_str().unwrap().contains("loki"), "{name}: {}", lines[0]);
        assert_eq!(lines[1]["backend"], Value::Null, "{name}");
        let names = lines[1]["certificate"]["dns"].as_str().unwrap_or_default().to_owned()
            + lines[1]["certificate"]["uri"].as_str().unwrap_or_default();
        assert!(!names.is_empty(), "{name}: {}", lines[1]);
        for line in &lines {
            for known in ["start", "address", "request_id", "protocol", "method", "path"] {
                assert!(line[known].is_string(), "{name}: {known} in {line}");
            }
            for known in ["received", "sent", "milliseconds"] {
                assert!(line[known].is_u64(), "{name}: {known} in {line}");
            }
            for known in ["subject", "issuer", "sha256", "ends"] {
                assert!(line["certificate"][known].is_string(), "{name}: {known} in {line}");
            }
        }
        stack.stop().await;
    }
}

/// The same over OTLP, as Envoy's own logger sends it with the patch for that: to a collector that answers as one does.
#[tokio::test(flavor = "multi_thread")]
async fn a_collector_gets_the_same_over_otlp() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (collector, mut records) = collector::start().await;
    let path = workspace_root().join(".cache/manifests/with-access-log-otlp.collector.json");
    let text = std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}: run `make manifests`", path.display()));
    let mut envoy: Value = serde_json::from_str(&text).unwrap();
    let name = "outbound|4317||otel-collector.observability.svc.cluster.local";
    assert!(text.contains(name));
    let address = json!({ "address": "127.0.0.1", "port_value": collector.port() });
    let endpoint = json!({ "endpoint": { "address": { "socket_address": address } } });
    let http2 = json!({
        "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        "explicit_http_config": { "http2_protocol_options": {} },
    });
    envoy["static_resources"]["clusters"].as_array_mut().unwrap().push(json!({
        "name": name, "type": "STATIC", "connect_timeout": "5s",
        "load_assignment": { "cluster_name": name, "endpoints": [{ "lb_endpoints": [endpoint] }] },
        "typed_extension_protocol_options":
            { "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": http2 },
    }));
    let folder = tempfile::tempdir().unwrap();
    let options = Options {
        run_dir: folder.path().join("run"),
        envoy: Some(envoy.to_string()),
        ..Options::default()
    };
    let stack = Stack::start(options).await.unwrap();
    let hostile = r#"x"},"sender":"victim","#;
    for (sender, status) in [(SenderName::Payments, 200), (SenderName::Stranger, 403)] {
        let sender = stack.pki().sender(sender);
        let sent = send(&stack, Some(sender), "?key=secret", &[("user-agent", hostile)]).await;
        assert_eq!(sent, Some(status));
        let record = tokio::time::timeout(Duration::from_secs(20), records.recv());
        let record = record.await.expect("a log record").unwrap();
        let attributes = collector::texts(&record.attributes);
        let has = |name: &str| attributes.get(name).map(String::as_str);
        let (namespace, code) = match status {
            200 => (Some("payments"), "200"),
            _ => (Some("-"), "403"),
        };
        assert_eq!(has("sluice.sender"), namespace, "{attributes:?}");
        assert_eq!(has("sluice.code"), Some(code), "{attributes:?}");
        assert_eq!(has("sluice.user_agent"), Some(hostile), "{attributes:?}");
        let address = has("sluice.address").unwrap();
        assert!(address.starts_with("127.0.0.1:"), "{attributes:?}");
        assert!(!format!("{record:?}").contains("secret"), "{record:?}");
    }
    stack.stop().await;
}

/// A collector: takes logs over OTLP/gRPC and hands their records out.
mod collector {
    use std::{collections::BTreeMap, net::SocketAddr};

    use bytes::{Bytes, BytesMut};
    use http::{HeaderMap, HeaderValue, Request, Response};
    use http_body_util::{BodyExt, Full};
    use hyper::{body::Incoming, server::conn::http2, service::service_fn};
    use hyper_util::rt::{TokioExecutor, TokioIo};
    use opentelemetry_proto::tonic::{
        collector::logs::v1::ExportLogsServiceRequest,
        common::v1::{KeyValue, any_value::Value},
        logs::v1::LogRecord,
    };
    use prost::Message;
    use tokio::{
        net::TcpListener,
        sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    };

    pub(super) async fn start() -> (SocketAddr, UnboundedReceiver<LogRecord>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (given, taken) = unbounded_channel();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let given = given.clone();
                let service = service_fn(move |request| export(request, given.clone()));
                let http = http2::Builder::new(TokioExecutor::new());
                tokio::spawn(http.serve_connection(TokioIo::new(stream), service));
            }
        });
        (address, taken)
    }

    type Reply = Response<http_body_util::combinators::BoxBody<Bytes, std::convert::Infallible>>;

    async fn export(
        request: Request<Incoming>,
        given: UnboundedSender<LogRecord>,
    ) -> Result<Reply, hyper::Error> {
        let path = request.uri().path().to_owned();
        assert_eq!(path, "/opentelemetry.proto.collector.logs.v1.LogsService/Export");
        let body = request.into_body().collect().await?.to_bytes();
        // The frame of a gRPC message: not compressed, and its length.
        assert_eq!(body[0], 0);
        let export = ExportLogsServiceRequest::decode(&body[5..]).unwrap();
        for resource in export.resource_logs {
            let named = texts(&resource.resource.unwrap().attributes);
            assert_eq!(named["service.name"], "sluice-gateway");
            for record in resource.scope_logs.into_iter().flat_map(|scope| scope.log_records) {
                given.send(record).unwrap();
            }
        }
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from_static("0"));
        // An empty message.
        let reply = Full::new(BytesMut::zeroed(5).freeze())
            .with_trailers(async move { Some(Ok(trailers)) });
        let reply = Response::builder().header("content-type", "application/grpc").body(reply);
        Ok(reply.unwrap().map(BodyExt::boxed))
    }

    pub(super) fn texts(attributes: &[KeyValue]) -> BTreeMap<String, String> {
        let text = |value: &Value| match value {
            Value::StringValue(text) => text.clone(),
            other => format!("{other:?}"),
        };
        let value = |attribute: &KeyValue| {
            let value = attribute.value.as_ref().and_then(|value| value.value.as_ref());
            (attribute.key.clone(), value.map(text).unwrap_or_default())
        };
        attributes.iter().map(value).collect()
    }
}

/// What a sender chooses itself is in its own field, escaped and cut, and no other field believes it. A key in the
/// query is not logged.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_in_a_line_can_be_forged() {
    let quotes = r#"x"},"sender":"victim","#;
    let names = ["*.payments".to_owned(), format!("a\n{{\"sender\":\"victim\"}}\n{quotes}")];
    for (name, stack, _folder) in stacks().await {
        let evil = stack.pki().issue("evil", &names, &["spiffe://a/\r\n{}".to_owned()]).unwrap();
        let long = "u".repeat(5_000);
        let headers = [
            ("user-agent", quotes),
            ("x-request-id", "forged\"}"),
            ("x-envoy-original-path", "/forged"),
            ("x-forwarded-for", "203.0.113.9"),
            ("x-forwarded-client-cert", "Hash=00;Subject=\"CN=victim\""),
            ("x-scope-orgid", "victim"),
            ("x-envoy-external-address", "203.0.113.9"),
        ];
        let status = send(&stack, Some(&evil), "?key=secret&a=%0a%7b%22", &headers).await;
        assert_eq!(status, Some(200), "{name}");
        let payments = stack.pki().sender(SenderName::Payments);
        assert_eq!(send(&stack, Some(payments), "", &[("user-agent", &long)]).await, Some(200));
        let lines = lines(&stack, 2).await;
        let line = &lines[0];
        assert_eq!(line["sender"], "payments", "{name}: {line}");
        assert_eq!(line["tenant"], "payments", "{name}: {line}");
        assert_eq!(line["certificate"]["subject"], "CN=evil", "{name}: {line}");
        assert_eq!(line["user_agent"], quotes, "{name}: {line}");
        assert!(line["address"].as_str().unwrap().starts_with("127.0.0.1:"), "{name}: {line}");
        let text = line.to_string();
        for forged in ["forged", "203.0.113.9", "secret", "%0a"] {
            assert!(!text.contains(forged), "{name}: {forged} in {text}");
        }
        assert_eq!(lines[1]["user_agent"].as_str().unwrap().len(), 128, "{name}");
        assert!(lines.iter().all(|line| line.to_string().len() < 3_000), "{name}");
        stack.stop().await;
    }
}

/// No certificate, an unknown authority's and an expired one are three visible things.
#[tokio::test(flavor = "multi_thread")]
async fn a_handshake_that_fails_has_a_line_with_the_reason() {
    for (name, stack, _folder) in stacks().await {
        let pki = stack.pki();
        let expired = pki.issue_briefly("expired", "*.payments", 0).unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
        for sender in [None, Some(pki.sender(SenderName::Outsider)), Some(&expired)] {
            assert_eq!(send(&stack, sender, "", &[]).await, None, "{name}");
        }
        let lines = lines(&stack, 3).await;
        let reasons: Vec<_> =
            lines.iter().map(|line| line["tls_failure"].as_str().unwrap()).collect();
        for (reason, expected) in reasons.iter().zip([
            "peer_did_not_provide_required_client_certificate",
            "unable_to_get_local_issuer_certificate",
            "certificate_has_expired",
        ]) {
            assert!(reason.contains(expected), "{name}: {reason} is not {expected}");
        }
        let subjects: Vec<_> = lines.iter().map(|line| &line["certificate"]["subject"]).collect();
        assert_eq!(json!(subjects), json!([null, "CN=outsider", "CN=expired"]), "{name}");
        for line in &lines {
            assert!(line["address"].as_str().unwrap().starts_with("127.0.0.1:"), "{name}: {line}");
        }
        stack.stop().await;
    }
}
