//! Prometheus remote write through the gate in real Envoy: a real Prometheus sends, real stores are read back, and
//! requests to Amazon are signed.

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use anyhow::{Context, Result, ensure};
use aws_credential_types::Credentials;
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SigningSettings, sign},
    sign::v4,
};
use bytes::Bytes;
use envoy_local::{Cluster, Options, SenderName, Stack};
use http_body_util::{BodyExt, Full};
use hyper::{Request, StatusCode, client::conn::http1};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use serde_json::{Value, json};
use sluice_e2e::{
    client::{self, Alpn},
    stores::{Agent, Kind, Store, Target},
};
use sluice_prompb::{Label, Message, Sample, TimeSeries, WriteRequest};
use sluice_stand_ins::{Answer, Backend};
use time::{PrimitiveDateTime, macros::format_description};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// How long anything may take that happens several times a second.
const PATIENCE: Duration = Duration::from_secs(60);

/// The target that may be stored, and the target without the label.
const TARGETS: [Target<'static>; 2] = [
    Target { job: "named", labels: &[("source_name", "cart")] },
    Target { job: "nameless", labels: &[] },
];

/// Waits for something that happens soon.
async fn soon(what: &str, mut happens: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !happens().await {
        assert!(Instant::now() < deadline, "{what}: not within {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn agent(stack: &Stack, targets: &[Target<'_>], folder: &std::path::Path) -> Agent {
    let (pki, gate) = (stack.pki(), stack.http_addr());
    let sender = pki.sender(SenderName::Payments);
    Agent::start(gate, pki.ca_pem(), sender, targets, folder).await.expect("the agent starts")
}

/// What an agent scrapes is in either store if it has the label. The agent is told what was dropped, and does not
/// retry.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_prometheus_sends_is_read_back_from_a_prometheus_and_a_victoriametrics() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    for (kind, name) in
        [(Kind::Prometheus, "prometheus"), (Kind::VictoriaMetrics, "victoriametrics")]
    {
        for hold_headers in [true, false] {
            let folder = tempfile::tempdir().unwrap();
            let store = Store::start(kind, folder.path()).await.unwrap();
            let cluster =
                Cluster { name: name.into(), like: "mimir".into(), address: Some(store.address()) };
            let backend = json!({
                "kind": name, "cluster": name, "path": kind.otlp_path(), "remoteWritePath": kind.remote_write_path(),
            });
            let stamp = json!([{ "attribute": "sender.namespace", "value": "{namespace}" }]);
            let gate = json!({ "backends": { "metrics": backend }, "records": { "stamp": stamp } });
            let stack = Stack::start(Options {
                run_dir: folder.path().join("run"),
                gate: Some(gate),
                clusters: vec![cluster],
                hold_headers,
                ..Options::default()
            })
            .await
            .unwrap();
            let agent = agent(&stack, &TARGETS, folder.path()).await;

            let found = async |job: &str| {
                store.query(&format!("go_goroutines{{job=\"{job}\"}}")).await.unwrap()
            };
            soon("the series with its label is stored", async || !found("named").await.is_empty())
                .await;
            let named = found("named").await;
            let label = |name: &str| named[0].labels.get(name).map(String::as_str);
            assert_eq!(
                (label("source_name"), label("sender_namespace")),
                (Some("cart"), Some("payments"))
            );
            assert_eq!(found("nameless").await, [], "{kind:?}, holdHeaders {hold_headers}");
            let failed = async || {
                agent.counter("prometheus_remote_storage_samples_failed_total").await > 0.0
            };
            soon("the agent counts what it lost", failed).await;
            assert_eq!(agent.counter("prometheus_remote_storage_samples_retried_total").await, 0.0);
            agent.stop().await;
            stack.stop().await;
            store.stop().await;
        }
    }
}

/// After a temporary failure of the backend, the same request is sent again, and nothing is lost.
#[tokio::test(flavor = "multi_thread")]
async fn a_prometheus_tries_again_what_its_backend_could_not_take() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let folder = tempfile::tempdir().unwrap();
    let run_dir = folder.path().join("run");
    let stack = Stack::start(Options { run_dir, ..Options::default() }).await.unwrap();
    let store = stack.backends().store();
    for status in [500, 503] {
        store.answer_next(Backend::Mimir, Answer::new(StatusCode::from_u16(status).unwrap()));
    }
    store.answer_always(Backend::Mimir, Answer::new(StatusCode::OK));
    let agent = agent(&stack, &TARGETS[..1], folder.path()).await;
    soon("four requests", async || store.requests(Backend::Mimir).len() >= 4).await;
    let requests = store.requests(Backend::Mimir);
    let bodies: Vec<_> = requests.iter().map(|request| &request.body).collect();
    assert!(bodies[0] == bodies[1] && bodies[1] == bodies[2], "the same is sent until it is taken");
    assert_ne!(bodies[2], bodies[3]);
    for request in &requests {
        assert_eq!(request.path, "/api/v1/push");
        assert_eq!(request.header_values("x-scope-orgid"), ["payments"]);
    }
    assert!(agent.counter("prometheus_remote_storage_samples_retried_total").await > 0.0);
    assert_eq!(agent.counter("prometheus_remote_storage_samples_failed_total").await, 0.0);
    agent.stop().await;
    stack.stop().await;
}

/// The credentials with which Envoy signs in this test.
const KEY: (&str, &str) = ("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY");
const REGION: &str = "eu-central-1";
const HOST: &str = "aps-workspaces.eu-central-1.amazonaws.com";

/// The shipped cluster and its name, with credentials, and without TLS, because the stand-in has none.
fn amazon() -> (String, Value) {
    let file = envoy_local::workspace_root().join("envoy-local/amazon-managed-prometheus.yaml");
    let shipped = std::fs::read_to_string(file).expect("the file is there");
    let mut settings: Value = serde_yaml_ng::from_str(&shipped).expect("it is YAML");
    let shipped = settings.as_object_mut().expect("it is a cluster");
    assert!(shipped.remove("transport_socket").is_some(), "it is encrypted as it is shipped");
    let options = &mut shipped["typed_extension_protocol_options"]["envoy.extensions.upstreams.http.v3.HttpProtocolOptions"];
    let signing = &mut options["http_filters"][0]["typed_config"];
    assert_eq!((&signing["region"], &signing["host_rewrite"]), (&json!(REGION), &json!(HOST)));
    let (access_key_id, secret_access_key) = KEY;
    signing["credential_provider"] = json!({
        "inline_credential": { "access_key_id": access_key_id, "secret_access_key": secret_access_key },
    });
    let name = shipped["name"].as_str().expect("it has a name").to_owned();
    (name, settings)
}

/// Requests to Amazon are signed by its rules: a library of Amazon computes the same signature.
#[tokio::test(flavor = "multi_thread")]
async fn what_goes_to_amazon_is_signed() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let amazons =
        sluice_stand_ins::Backends::start(sluice_stand_ins::Ports::default()).await.unwrap();
    let path = "/workspaces/ws-example/api/v1/remote_write";
    let backend = json!({ "kind": "prometheus", "cluster": "amazon-managed-prometheus", "remoteWritePath": path });
    for hold_headers in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let stack = Stack::start(Options {
            run_dir: folder.path().join("run"),
            gate: Some(json!({ "backends": { "metrics": backend } })),
            clusters: vec![Cluster {
                name: "amazon-managed-prometheus".into(),
                like: "mimir".into(),
                address: Some(amazons.mimir()),
            }],
            cluster_settings: [amazon()].into(),
            hold_headers,
            ..Options::default()
        })
        .await
        .unwrap();
        amazons.store().answer_always(Backend::Mimir, Answer::new(StatusCode::OK));
        // Once unchanged, and once with dropped series.
        for (names, expected) in
            [(&["a"][..], StatusCode::OK), (&["a", ""], StatusCode::BAD_REQUEST)]
        {
            amazons.store().clear_backend(Backend::Mimir);
            amazons.store().answer_always(Backend::Mimir, Answer::new(StatusCode::OK));
            assert_eq!(push(&stack, names).await.unwrap(), expected, "holdHeaders {hold_headers}");
            let requests = amazons.store().requests(Backend::Mimir);
            let [request] = &requests[..] else { panic!("{} requests", requests.len()) };
            assert_eq!(request.path, path);
            verify(request).unwrap();
        }
        stack.stop().await;
    }
    amazons.stop().await;
}

/// Sends a series for each `source_name`; returns the status of the reply.
async fn push(stack: &Stack, names: &[&str]) -> Result<StatusCode> {
    let label = |name: &str, value: &str| Label { name: name.to_owned(), value: value.to_owned() };
    let series = |source: &&str| TimeSeries {
        labels: vec![label("__name__", "up"), label("source_name", source)],
        samples: vec![Sample { value: 1.0, timestamp: 1_795_000_000_000 }],
        ..TimeSeries::default()
    };
    let request =
        WriteRequest { timeseries: names.iter().map(series).collect(), ..WriteRequest::default() };
    let body = snap::raw::Encoder::new().compress_vec(&request.encode_to_vec())?;
    let files = stack.pki().sender(SenderName::Payments);
    let tls = client::tls(stack.pki().ca_pem(), &files.cert, &files.key, Alpn::Http1)?;
    let stream = TcpStream::connect(stack.http_addr()).await?;
    let name = ServerName::try_from("localhost")?;
    let stream = TlsConnector::from(Arc::new(tls)).connect(name, stream).await?;
    let (mut client, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let request = Request::post("/api/v1/write")
        .header("host", "gate.example")
        .header("content-type", "application/x-protobuf")
        .header("content-encoding", "snappy")
        .header("authorization", "Bearer of-the-sender")
        .header("x-amz-date", "20200101T000000Z")
        .body(Full::new(Bytes::from(body)))?;
    let response = client.send_request(request).await?;
    let status = response.status();
    response.into_body().collect().await?;
    Ok(status)
}

/// Signs the received request again, with the same key, time and headers, and compares the signatures.
fn verify(request: &sluice_stand_ins::Request) -> Result<()> {
    let one = |name: &str| match &request.header_values(name)[..] {
        [value] => Ok(value.clone()),
        values => anyhow::bail!("{name}: {values:?}"),
    };
    let authorization = one("authorization")?;
    let part = |name: &str| {
        let rest = authorization.split_once(&format!("{name}=")).map(|(_, rest)| rest);
        rest.and_then(|rest| rest.split(", ").next())
            .with_context(|| format!("{name} in {authorization}"))
    };
    let scope = format!("{}/{}/{REGION}/aps/aws4_request", KEY.0, &one("x-amz-date")?[..8]);
    ensure!(part("Credential")? == scope, "{authorization}");
    let signed = part("SignedHeaders")?;
    for header in ["host", "x-amz-date", "content-type", "content-encoding"] {
        ensure!(signed.split(';').any(|name| name == header), "{header} is not signed: {signed}");
    }
    let format = format_description!("[year][month][day]T[hour][minute][second]Z");
    let time = PrimitiveDateTime::parse(&one("x-amz-date")?, &format)?.assume_utc();
    let identity = Credentials::new(KEY.0, KEY.1, None, None, "test").into();
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(REGION)
        .name("aps")
        .time(SystemTime::from(time))
        .settings(SigningSettings::default())
        .build()?;
    // The library adds the date itself.
    let names = signed.split(';').filter(|name| *name != "x-amz-date");
    let headers = names.map(|name| Ok((name, one(name)?))).collect::<Result<Vec<_>>>()?;
    let body = request.body.as_deref().context("the body was too large")?;
    let signable = SignableRequest::new(
        request.method.as_str(),
        format!("https://{HOST}{}", request.path),
        headers.iter().map(|(name, value)| (*name, value.as_str())),
        SignableBody::Bytes(body),
    )?;
    let (_, signature) = sign(signable, &params.into())?.into_parts();
    ensure!(part("Signature")? == signature, "Amazon would come to another signature: {signature}");
    Ok(())
}
