//! Every case through real Envoy, with the head held and with it gone; and once more in the configuration that istiod makes of
//! the manifests in `istio/`.
//!
//! One Envoy runs them all: each configuration that a case asks for has a listener of its own.

use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    net::SocketAddr,
    sync::Arc,
};

use anyhow::{Context, Result};
use bytes::Bytes;
use envoy_local::{Cluster, Listener, Options, SenderFiles, SenderName, Stack};
use http_body_util::{BodyExt, Full, combinators::BoxBody};
use hyper::{
    HeaderMap, Request, StatusCode,
    client::conn::{http1, http2},
    header::{AUTHORIZATION, HeaderName, HeaderValue},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::ServerName;
use serde_json::Value;
use sluice_backends::{Answer, Backend};
use sluice_cases::{
    case::{Protocol, Sender},
    outcome::{Forwarded, Outcome, Reply, counter},
    plan::{self, Plan, Report},
    wire::{HeaderList, WireReply, WireRequest},
};
use sluice_e2e::{
    client::{self, Alpn},
    token,
};
use sluice_otlp::Signal;
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

#[tokio::test(flavor = "multi_thread")]
async fn every_case_holds_in_envoy() {
    every_case_holds("in Envoy", None, |_| true).await.unwrap();
}

/// As istiod configures a gateway whose plugin is an `EnvoyFilter`, which is the one way there to have the head held.
#[tokio::test(flavor = "multi_thread")]
async fn every_case_holds_in_envoy_as_istiod_configures_it() {
    let envoy = generated("overlays-hold-headers");
    every_case_holds("in Envoy, from istio/overlays/hold-headers", Some(envoy), |_| true)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn every_case_without_the_head_holds_in_envoy_as_istiod_configures_a_wasm_plugin() {
    let envoy = generated("base");
    every_case_holds("in Envoy, from istio/base", Some(envoy), |plan| !plan.hold).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn every_case_without_the_head_holds_in_envoy_as_istiod_configures_a_traffic_extension() {
    let envoy = generated("overlays-trafficextension");
    let through = "in Envoy, from istio/overlays/trafficextension";
    every_case_holds(through, Some(envoy), |plan| !plan.hold).await.unwrap();
}

/// As Envoy Gateway configures it: the filters are off until a route has switched them on.
#[tokio::test(flavor = "multi_thread")]
async fn every_case_without_the_head_holds_in_envoy_as_envoy_gateway_configures_it() {
    let through = "in Envoy, from istio/envoy-gateway";
    every_case_holds(through, Some(ENVOY_GATEWAY.to_owned()), |plan| !plan.hold).await.unwrap();
}

/// Envoy's own limit is above the gate's there too, although no route matches before the gate has decided.
#[tokio::test(flavor = "multi_thread")]
async fn a_large_body_passes_in_every_manifest() {
    let names = ["base", "overlays-hold-headers", "overlays-trafficextension"];
    let mut configurations = names.map(|name| (name, generated(name), 3 << 20)).to_vec();
    // Envoy Gateway has no setting for what Envoy holds of a body beside a connection's buffer, which is 1 MiB.
    configurations.push(("envoy-gateway", ENVOY_GATEWAY.to_owned(), 900 << 10));
    for (name, envoy, bytes) in configurations {
        let (reply, stored) = exchange_with(name, envoy, bytes, |_| {}).await.unwrap();
        let reply = reply.unwrap();
        assert_eq!(reply.status, 200, "{name}: {}", reply.message);
        assert_eq!(stored, 1, "{name}");
    }
}

/// A gateway that has lost its plugin lets nothing through, whatever a sender asks for.
#[tokio::test(flavor = "multi_thread")]
async fn without_the_gate_nothing_passes_in_any_manifest() {
    for (name, envoy, status) in [
        ("base", generated("base"), 503),
        ("overlays-hold-headers", generated("overlays-hold-headers"), 503),
        // What Envoy Gateway answers for a route without backends.
        ("envoy-gateway", ENVOY_GATEWAY.to_owned(), 500),
    ] {
        // Without what each route says of it: disabled there too.
        let envoy = envoy.replace("                  sluice:\n", "                  gone:\n");
        let mut envoy: serde_json::Value = serde_yaml_ng::from_str(&envoy).unwrap();
        let filters = "/filter_chains/0/filters/0/typed_config/http_filters";
        for listener in envoy["static_resources"]["listeners"].as_array_mut().unwrap() {
            let filters = listener.pointer_mut(filters).and_then(|all| all.as_array_mut()).unwrap();
            filters.iter_mut().find(|filter| filter["name"] == "sluice").unwrap()["disabled"] =
                true.into();
        }
        let claim = |headers: &mut HeaderList| {
            for (name, value) in [("x-sluice-backend", "loki"), ("x-scope-orgid", "victim")] {
                headers.push((name.to_owned(), value.as_bytes().to_vec()));
            }
        };
        let (reply, stored) = exchange_with(name, envoy.to_string(), 1, claim).await.unwrap();
        // Envoy's own, which is no reply of OTLP.
        let told = reply.unwrap_err().to_string();
        assert_eq!(told, format!("{status} with content type None"), "{name}");
        assert_eq!(stored, 0, "{name}");
    }
}

/// Sends log records that the manifest's own policy takes, at least so many bytes of them, over HTTP/1.1. Returns the reply
/// and how many requests Loki got.
async fn exchange_with(
    name: &str,
    envoy: String,
    bytes: usize,
    edit: impl Fn(&mut HeaderList),
) -> Result<(Result<Reply>, usize)> {
    let plans = plan::all()?;
    let taken = |plan: &&Plan| {
        let Plan { case, request, .. } = plan;
        request.protocol == Protocol::Http
            && request.signal == Signal::Logs
            && case.name == "request/logs_go_to_loki"
    };
    let mut request = plans.iter().find(taken).context("the case is gone")?.request.clone();
    // Messages of protobuf one behind the other are one message with the fields of both.
    request.body = request.body.repeat(bytes.div_ceil(request.body.len()));
    edit(&mut request.headers);
    let run_dir = tempfile::tempdir()?;
    let options = Options {
        run_dir: run_dir.path().to_owned(),
        hold_headers: name.contains("hold-headers"),
        envoy: Some(envoy),
        ..Options::default()
    };
    let stack = Stack::start(options).await?;
    let sender = stack.pki().sender(SenderName::Payments);
    let reply = exchange(&stack, stack.http_addr(), Some(sender), &request).await;
    let stored = stack.backends().store().requests(Backend::Loki).len();
    stack.stop().await;
    Ok((reply, stored))
}

/// What Envoy Gateway makes of its manifests: the file says how it came to be.
const ENVOY_GATEWAY: &str = include_str!("../../manifests/envoy-gateway.yaml");

/// What `make manifests` had istiod's own code generate.
fn generated(name: &str) -> String {
    let path = envoy_local::workspace_root().join(format!(".cache/manifests/{name}.envoy.json"));
    std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}: run `make manifests`", path.display()))
}

/// Runs the plans to `keep` through an Envoy of this configuration; `envoy.yaml` if there is none.
async fn every_case_holds(
    through: &str,
    envoy: Option<String>,
    keep: fn(&Plan) -> bool,
) -> Result<()> {
    // For the admin client, which wants one even where nothing is encrypted.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut plans = plan::all()?;
    plans.retain(keep);
    let of_manifests = envoy.is_some();
    if of_manifests {
        // A cluster of one's own, or a path that is not OTLP's, needs a route that the manifests leave to whoever has it.
        plans.retain(|plan| {
            let gate = Gate::of(plan);
            !gate.lets_pass() && clusters(&BTreeSet::from([gate])).is_empty()
        });
    }
    let gates: BTreeSet<_> = plans.iter().map(Gate::of).collect();
    let listeners = gates.iter().map(|gate| Listener {
        name: gate.name(),
        gate: gate.parsed(),
        certificate_required: false,
        header_only_filter: gate.header_only_filter,
        filters_before: vec![token::filter()],
        other_paths: gate.lets_pass().then(|| "loki".to_owned()),
    });
    let run_dir = tempfile::tempdir()?;
    let options = Options {
        run_dir: run_dir.path().to_owned(),
        envoy,
        listeners: listeners.collect(),
        clusters: clusters(&gates),
        ..Options::default()
    };
    let stack = Stack::start(options).await?;
    let admin = reqwest::Client::new();
    let mut senders = BTreeMap::new();
    let mut report = Report::default();
    for plan in &plans {
        let sender = identity(&stack, &mut senders, &plan.case.sender)?;
        let mut outcome = run(&stack, &admin, plan, sender).await;
        if of_manifests && let Ok(Outcome { forwarded: Some(forwarded), .. }) = &mut outcome {
            // Istio's routes have a `max_grpc_timeout`: Envoy's router tells a backend how long it waits.
            forwarded.headers.retain(|(name, _)| name != "grpc-timeout");
        }
        report.add(plan, "", outcome);
    }
    if report.has_failed() {
        println!("{}", stack.envoy_last_lines().await);
    }
    stack.stop().await;
    report.finish(through);
    Ok(())
}

/// What a listener is made from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Gate {
    configuration: String,
    header_only_filter: bool,
}

impl Gate {
    fn of(plan: &Plan) -> Self {
        Self {
            configuration: plan.configuration.to_string(),
            header_only_filter: plan.case.header_only_filter,
        }
    }

    fn parsed(&self) -> Value {
        serde_json::from_str(&self.configuration).expect("a case's configuration is JSON")
    }

    /// Whether it lets pass what is not telemetry.
    fn lets_pass(&self) -> bool {
        self.parsed()["otherPaths"] == "pass"
    }

    /// A listener's name.
    fn name(&self) -> String {
        format!("{} {}", self.configuration, self.header_only_filter)
    }
}

/// Every cluster that a configuration names for a backend, and `envoy.yaml` does not have: the
/// signal's stand-in, by its port for HTTP or for gRPC. Those of copies are none, so that Envoy makes
/// no copies here.
fn clusters(gates: &BTreeSet<Gate>) -> Vec<Cluster> {
    const STAND_INS: [(&str, &str); 4] =
        [("logs", "loki"), ("metrics", "mimir"), ("profiles", "pyroscope"), ("traces", "tempo")];
    let mut found = BTreeMap::new();
    for gate in gates {
        let configuration = gate.parsed();
        for (signal, stand_in) in STAND_INS {
            let backend = &configuration["backends"][signal];
            let cells = backend["cells"].as_array().into_iter().flatten();
            for place in cells.chain([backend, &backend["canary"]]) {
                for (key, like) in [("cluster", stand_in), ("grpcCluster", "tempo-grpc")] {
                    if let Some(name) = place[key].as_str() {
                        let before = found.insert(name.to_owned(), like);
                        assert!(
                            before.is_none_or(|before| before == like),
                            "{name} is two clusters"
                        );
                    }
                }
            }
        }
    }
    let of_envoy_yaml = ["loki", "mimir", "pyroscope", "tempo", "tempo-grpc"];
    found.retain(|name, _| !of_envoy_yaml.contains(&name.as_str()));
    let cluster =
        |(name, like): (String, &str)| Cluster { name, like: like.to_owned(), address: None };
    found.into_iter().map(cluster).collect()
}

/// The files of a sender's certificate, issued when it is first asked for; `None` for a sender
/// without one.
fn identity<'s>(
    stack: &Stack,
    senders: &'s mut BTreeMap<Sender, SenderFiles>,
    sender: &Sender,
) -> Result<Option<&'s SenderFiles>> {
    if !sender.certificate {
        return Ok(None);
    }
    if !senders.contains_key(sender) {
        let name = format!("case-{}", senders.len());
        let files = stack.pki().issue(&name, &sender.dns, &sender.uri)?;
        senders.insert(sender.clone(), files);
    }
    Ok(senders.get(sender))
}

async fn run(
    stack: &Stack,
    admin: &reqwest::Client,
    plan: &Plan,
    sender: Option<&SenderFiles>,
) -> Result<Outcome> {
    let Plan { case, request, reply, .. } = plan;
    let backend = match request.signal {
        Signal::Logs => Backend::Loki,
        Signal::Metrics => Backend::Mimir,
        Signal::Profiles => Backend::Pyroscope,
        Signal::Traces => Backend::Tempo,
    };
    let store = stack.backends().store();
    store.clear();
    if case.expect.forwarded.is_some() {
        store.answer_next(backend, answer(reply)?);
    }
    let before = counters(stack, admin).await?;
    let address = stack.listener(&Gate::of(plan).name()).context("the gate has no listener")?;
    let reply = exchange(stack, address, sender, request).await?;
    let mut counts = counters(stack, admin).await?;
    for (name, count) in before {
        *counts.entry(name).or_default() -= count;
    }
    counts.retain(|_, count| *count > 0);
    let mut forwarded =
        Backend::ALL.into_iter().flat_map(|backend| store.requests(backend)).map(|request| {
            let mut headers = list(&request.headers);
            headers.push((":path".to_owned(), request.path.into_bytes()));
            headers.push((":method".to_owned(), request.method.as_str().as_bytes().to_vec()));
            Forwarded { headers, body: request.body.unwrap_or_default().to_vec() }
        });
    Ok(Outcome { forwarded: forwarded.next(), reply, counts })
}

fn answer(reply: &WireReply) -> Result<Answer> {
    let mut answer = Answer::new(StatusCode::from_u16(reply.status)?);
    for (name, value) in &reply.headers {
        answer = answer.header(name.parse()?, HeaderValue::from_bytes(value)?);
    }
    for (name, value) in &reply.trailers {
        answer = answer.trailer(name.parse()?, HeaderValue::from_bytes(value)?);
    }
    Ok(answer.body(reply.body.clone().unwrap_or_default()))
}

/// The gate's counters, by name.
async fn counters(stack: &Stack, admin: &reqwest::Client) -> Result<BTreeMap<String, u64>> {
    let url = format!("http://{}/stats?filter=sluice_.*_total", stack.admin_addr());
    let text = admin.get(url).send().await?.error_for_status()?.text().await?;
    let counters = text.lines().filter_map(|line| {
        let (stat, value) = line.rsplit_once(": ")?;
        Some((counter(stat.strip_prefix("wasmcustom.")?)?, value.parse().ok()?))
    });
    Ok(counters.collect())
}

/// Sends a request over a connection of its own: HTTP/2 for gRPC, HTTP/1.1 for the rest.
async fn exchange(
    stack: &Stack,
    address: SocketAddr,
    sender: Option<&SenderFiles>,
    request: &WireRequest,
) -> Result<Reply> {
    let grpc = request.protocol == Protocol::Grpc;
    let alpn = if grpc { Alpn::Http2 } else { Alpn::Http1 };
    let io = TokioIo::new(connect(stack, address, sender, alpn).await?);
    let response = if grpc {
        let (mut client, connection) = http2::handshake(TokioExecutor::new(), io).await?;
        tokio::spawn(connection);
        client.send_request(http_request(request, "https://gate.example")?).await?
    } else {
        let (mut client, connection) = http1::handshake(io).await?;
        tokio::spawn(connection);
        client.send_request(http_request(request, "")?).await?
    };
    let (head, body) = response.into_parts();
    let body = body.collect().await?;
    let headers = list(&head.headers);
    let trailers = body.trailers().map(list);
    let body = body.to_bytes();
    if grpc {
        Reply::from_grpc(&body, &trailers.unwrap_or(headers))
    } else {
        Reply::from_protocol(request.protocol, head.status.as_u16(), &headers, &body)
    }
}

async fn connect(
    stack: &Stack,
    address: SocketAddr,
    sender: Option<&SenderFiles>,
    alpn: Alpn,
) -> Result<TlsStream<TcpStream>> {
    let ca = stack.pki().ca_pem();
    let tls = match sender {
        Some(files) => client::tls(ca, &files.cert, &files.key, alpn)?,
        None => client::tls_without_certificate(ca, alpn)?,
    };
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let name = ServerName::try_from("localhost")?;
    Ok(TlsConnector::from(Arc::new(tls)).connect(name, stream).await?)
}

fn http_request(
    request: &WireRequest,
    origin: &str,
) -> Result<Request<BoxBody<Bytes, Infallible>>> {
    let mut trailers = HeaderMap::new();
    for (name, value) in &request.trailers {
        trailers.append(HeaderName::from_bytes(name.as_bytes())?, HeaderValue::from_bytes(value)?);
    }
    let trailers = (!trailers.is_empty()).then_some(trailers);
    let body = Full::new(Bytes::from(request.body.clone()));
    let body = match trailers {
        Some(trailers) => body.with_trailers(std::future::ready(Some(Ok(trailers)))).boxed(),
        None => body.boxed(),
    };
    let mut built = Request::new(body);
    for (name, value) in &request.headers {
        match name.as_str() {
            ":method" => *built.method_mut() = std::str::from_utf8(value)?.parse()?,
            ":path" => {
                *built.uri_mut() = format!("{origin}{}", std::str::from_utf8(value)?).parse()?;
            }
            ":authority" if origin.is_empty() => {
                built.headers_mut().insert("host", HeaderValue::from_bytes(value)?);
            }
            // The client writes the others itself.
            ":authority" | ":scheme" | "content-length" => {}
            name => {
                let name: HeaderName = name.parse()?;
                built.headers_mut().append(name, HeaderValue::from_bytes(value)?);
            }
        }
    }
    if let Some(claims) = &request.token {
        let bearer = format!("Bearer {}", token::signed(claims));
        built.headers_mut().insert(AUTHORIZATION, HeaderValue::from_str(&bearer)?);
    }
    Ok(built)
}

fn list(headers: &HeaderMap) -> HeaderList {
    let pair = |(name, value): (&HeaderName, &HeaderValue)| {
        (name.as_str().to_owned(), value.as_bytes().to_vec())
    };
    headers.iter().map(pair).collect()
}
