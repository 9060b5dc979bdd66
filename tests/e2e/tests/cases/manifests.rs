//! Envoy as the manifests in `istio/` configure it: runs the cases again, and tests the purpose of each manifest.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    time::Duration,
};

use anyhow::{Context, Result};
use envoy_local::{Options, SenderFiles, Stack};
use serde_json::{Value, json};
use sluice_cases::{
    case::{Protocol, Sender},
    outcome::Reply,
    plan::{self, Plan},
    wire::WireRequest,
};
use sluice_e2e::token;
use sluice_otlp::Signal;
use sluice_stand_ins::Backend;
use tempfile::TempDir;
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
};

use crate::{
    client::exchange,
    runner::{every_case_holds, identity},
};

/// As istiod configures a gateway whose plugin is an `EnvoyFilter`, which is the only way in Istio to hold the head.
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

/// As Envoy Gateway configures it: the filters are off until a route enables them.
#[tokio::test(flavor = "multi_thread")]
async fn every_case_without_the_head_holds_in_envoy_as_envoy_gateway_configures_it() {
    let through = "in Envoy, from istio/envoy-gateway";
    every_case_holds(through, Some(ENVOY_GATEWAY.to_owned()), |plan| !plan.hold).await.unwrap();
}

/// The overlays whose senders show the certificate of a case.
const OVERLAYS: [&str; 5] = [
    "base",
    "overlays-gateway-chain-management",
    "overlays-hold-headers",
    "overlays-remote-write",
    "overlays-trafficextension",
];

/// Envoy's own limit is above the gate's limit there too, although no route matches before the gate has decided.
#[tokio::test(flavor = "multi_thread")]
async fn a_large_body_passes_in_every_manifest() {
    let mut configurations = OVERLAYS.map(|name| (name, generated(name), 3 << 20)).to_vec();
    // Envoy Gateway has no setting for how much of a body Envoy holds, other than a connection's buffer, which is 1
    // MiB.
    configurations.push(("envoy-gateway", ENVOY_GATEWAY.to_owned(), 900 << 10));
    for (name, envoy, bytes) in configurations {
        let folder = tempfile::tempdir().unwrap();
        let mut gateway = Gateway::start(envoy, &folder).await.unwrap();
        gateway.send(&Sender::default(), bytes, &[]).await.unwrap().is(Ok("payments"), name);
        gateway.stack.stop().await;
    }
}

/// A gateway without its plugin lets nothing pass, whatever a sender sends.
#[tokio::test(flavor = "multi_thread")]
async fn without_the_gate_nothing_passes_in_any_manifest() {
    let others = ["overlays-gateway-chain-worker", "overlays-jwt"];
    let mut configurations: Vec<_> =
        OVERLAYS.into_iter().chain(others).map(|name| (name, generated(name), 503)).collect();
    // The answer of Envoy Gateway for a route without backends.
    configurations.push(("envoy-gateway", ENVOY_GATEWAY.to_owned(), 500));
    for (name, envoy, status) in configurations {
        // Without the settings of each route: the plugin is disabled there too.
        let envoy = envoy.replace("                  sluice:\n", "                  gone:\n");
        let mut envoy: Value = serde_yaml_ng::from_str(&envoy).unwrap();
        let filters = "/filter_chains/0/filters/0/typed_config/http_filters";
        for listener in envoy["static_resources"]["listeners"].as_array_mut().unwrap() {
            let filters = listener.pointer_mut(filters).and_then(|all| all.as_array_mut()).unwrap();
            filters.iter_mut().find(|filter| filter["name"] == "sluice").unwrap()["disabled"] =
                true.into();
        }
        let folder = tempfile::tempdir().unwrap();
        let mut gateway = Gateway::start(envoy.to_string(), &folder).await.unwrap();
        for backend in ["loki", "management"] {
            let claim = [("x-sluice-backend", backend), ("x-scope-orgid", "victim")];
            let sent = gateway.send(&Sender::default(), 1, &claim).await.unwrap();
            // Envoy's own reply, which is not an OTLP reply.
            let told = sent.reply.unwrap_err().to_string();
            assert_eq!(told, format!("{status} with content type None"), "{name}");
            assert_eq!(sent.stored, 0, "{name}");
        }
        gateway.stack.stop().await;
    }
}

/// Without a certificate, with a token that Envoy has verified as Istio configures it.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_says_who_sends_in_the_overlay_for_tokens() {
    let nobody = Sender { certificate: false, ..Sender::default() };
    let claims = |changed: Value| {
        let mut claims = json!({
            "iss": "https://keycloak.example/realms/telemetry",
            "aud": "sluice",
            "groups": ["/payments/root/writers"],
        });
        for (name, value) in changed.as_object().into_iter().flatten() {
            claims[name] = value.clone();
        }
        Some(claims)
    };
    let two = json!({ "groups": ["/payments/root/writers", "/team-a/root/writers"] });
    let role = json!({ "groups": [], "realm_access": { "roles": ["writer:team-search"] } });
    let reader = json!({ "groups": ["/payments/root/readers"] });
    let folder = tempfile::tempdir().unwrap();
    let mut gateway = Gateway::start(generated("overlays-jwt"), &folder).await.unwrap();
    for (what, claims, chosen, expected) in [
        ("a group", claims(json!({})), None, Ok("payments")),
        ("a role", claims(role), None, Ok("team-search")),
        ("one of two", claims(two), Some("team-a"), Ok("team-a")),
        ("not its own", claims(json!({})), Some("team-a"), Err("403")),
        ("a group that may not write", claims(reader), None, Err("401")),
        ("no token", None, None, Err("401")),
        ("another issuer's", claims(json!({ "iss": "https://idp.example" })), None, Err("401")),
        ("another service's", claims(json!({ "aud": "grafana" })), None, Err("403")),
        ("one that has ended", claims(json!({ "exp": 1_000_000_000 })), None, Err("401")),
    ] {
        let token = claims.map(|claims| format!("Bearer {}", token::signed(&claims)));
        let token = token.iter().map(|token| ("authorization", token.as_str()));
        let chosen = chosen.map(|namespace| ("x-scope-orgid", namespace));
        let headers: Vec<_> = token.chain(chosen).collect();
        gateway.send(&nobody, 1, &headers).await.unwrap().is(expected, what);
    }
    gateway.stack.stop().await;
}

/// A worker cluster's gate can name its own senders to the management cluster's gate, but no others.
#[tokio::test(flavor = "multi_thread")]
async fn a_gate_names_the_senders_of_its_own_cluster_in_the_chain() {
    let gate = Sender { dns: vec!["gate.worker-1.example".to_owned()], ..Sender::default() };
    let folder = tempfile::tempdir().unwrap();
    let envoy = generated("overlays-gateway-chain-management");
    let mut gateway = Gateway::start(envoy, &folder).await.unwrap();
    for (what, sender, named, expected) in [
        ("a gate", &gate, "payments", Ok("payments")),
        ("a gate, of another's", &gate, "team-search", Err("403")),
        ("no gate speaks for itself alone", &Sender::default(), "team-search", Ok("payments")),
    ] {
        let headers = [("x-scope-orgid", named)];
        gateway.send(sender, 1, &headers).await.unwrap().is(expected, what);
    }
    gateway.stack.stop().await;
}

/// Behind a load balancer that sends the client's address. A client that goes around the load balancer is refused.
#[tokio::test(flavor = "multi_thread")]
async fn the_overlay_for_an_api_gateway_speaks_proxy_protocol() {
    let folder = tempfile::tempdir().unwrap();
    let envoy = generated("overlays-api-gateway");
    let mut gateway = Gateway::start(envoy, &folder).await.unwrap();
    let (sender, key) = (Sender::default(), [("x-api-key", "of nobody")]);
    let around = gateway.send(&sender, 1, &[]).await.unwrap();
    assert!(around.reply.is_err(), "{:?}", around.reply);
    assert_eq!(around.stored, 0);

    let balancer = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = std::mem::replace(&mut gateway.address, balancer.local_addr().unwrap());
    let balancer = tokio::spawn(async move {
        loop {
            let (mut from, _) = balancer.accept().await.unwrap();
            let mut to = TcpStream::connect(address).await.unwrap();
            to.write_all(b"PROXY TCP4 192.0.2.7 192.0.2.1 50000 4318\r\n").await.unwrap();
            // An error of one side is reported by the sender or by Envoy.
            drop(tokio::io::copy_bidirectional(&mut from, &mut to).await);
        }
    });
    gateway.send(&sender, 1, &[]).await.unwrap().is(Ok("payments"), "by its own certificate");
    gateway.send(&sender, 1, &key).await.unwrap().is(Ok("payments"), "with a key from elsewhere");
    let edge = Sender { dns: vec!["gateway.edge.example".to_owned()], ..Sender::default() };
    gateway.send(&edge, 1, &key).await.unwrap().is(Err("401"), "with a key of nobody's");
    gateway.send(&edge, 1, &[]).await.unwrap().is(Err("401"), "without a key");
    let forged = [("x-forwarded-for", "198.51.100.1")];
    gateway.send(&sender, 1, &forged).await.unwrap().is(Ok("payments"), "with a forged address");
    // Not the load balancer's address, nor the header's.
    let addresses = logged_addresses(&gateway.stack, 5).await;
    assert!(addresses.iter().all(|address| address == "192.0.2.7:50000"), "{addresses:?}");
    balancer.abort();
    gateway.stack.stop().await;
}

/// The addresses in the access log, when it has a line for each of this many requests. Envoy writes them late.
async fn logged_addresses(stack: &Stack, requests: usize) -> Vec<String> {
    for _ in 0..150 {
        let log = stack.envoy_log().await;
        let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let addresses: Vec<_> = lines
            .filter(|line| line["code"].as_u64().is_some_and(|code| code != 0))
            .map(|line| line["address"].as_str().unwrap_or_default().to_owned())
            .collect();
        if addresses.len() >= requests {
            return addresses;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("fewer than {requests} lines: {}", stack.envoy_log().await)
}

/// A mesh that denies everything lets the gateway's requests reach the gate with the patch for such a mesh, and not
/// without it.
#[tokio::test(flavor = "multi_thread")]
async fn a_mesh_that_denies_everything_leaves_the_decision_to_the_gate() {
    let stranger = Sender { dns: vec!["*.stranger".to_owned()], ..Sender::default() };
    let folder = tempfile::tempdir().unwrap();
    let mut gateway = Gateway::start(generated("with-default-deny"), &folder).await.unwrap();
    gateway.send(&Sender::default(), 1, &[]).await.unwrap().is(Ok("payments"), "an allowed sender");
    gateway.send(&stranger, 1, &[]).await.unwrap().is(Err("403"), "another");
    gateway.stack.stop().await;

    let mut envoy: Value = serde_json::from_str(&generated("with-default-deny")).unwrap();
    for listener in envoy["static_resources"]["listeners"].as_array_mut().unwrap() {
        let filters = "/filter_chains/0/filters/0/typed_config/http_filters";
        let filters = listener.pointer_mut(filters).and_then(|all| all.as_array_mut()).unwrap();
        let rbac = filters.iter_mut().find(|filter| filter["name"] == "envoy.filters.http.rbac");
        let policies = rbac.unwrap().pointer_mut("/typed_config/rules/policies").unwrap();
        policies.as_object_mut().unwrap().retain(|name, _| !name.starts_with("ns[sluice]"));
    }
    let folder = tempfile::tempdir().unwrap();
    let mut gateway = Gateway::start(envoy.to_string(), &folder).await.unwrap();
    let sent = gateway.send(&Sender::default(), 1, &[]).await.unwrap();
    // Envoy's own reply, which is not an OTLP reply.
    assert!(sent.reply.unwrap_err().to_string().starts_with("403"));
    assert_eq!(sent.stored, 0);
    gateway.stack.stop().await;
}

/// Real Envoy becomes ready with every configuration that istiod's own code generated from the manifests, with the
/// module.
#[tokio::test(flavor = "multi_thread")]
async fn envoy_takes_every_configuration_that_istiod_makes() {
    let folder = envoy_local::workspace_root().join(".cache/manifests");
    let files = std::fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}: run `make manifests`", folder.display()));
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    let names: BTreeSet<_> =
        names.filter_map(|name| name.strip_suffix(".envoy.json").map(str::to_owned)).collect();
    assert!(OVERLAYS.iter().all(|name| names.contains(*name)), "{names:?}");
    assert!(names.len() > OVERLAYS.len(), "{names:?}");
    for name in names {
        let folder = tempfile::tempdir().unwrap();
        let gateway = Gateway::start(generated(&name), &folder).await;
        gateway.unwrap_or_else(|error| panic!("{name}: {error}")).stack.stop().await;
    }
}

/// The outcome of a request.
struct Sent {
    /// The sender's reading of the reply. A reply that is not OTLP's is an error that begins with its status.
    reply: Result<Reply>,
    /// The number of requests that Loki got.
    stored: usize,
    /// Their tenants.
    tenants: Vec<String>,
}

impl Sent {
    /// Compares it with the expected tenant, or with the expected status of a refusal.
    fn is(&self, expected: Result<&str, &str>, what: &str) {
        let told = match &self.reply {
            Ok(reply) => format!("{} {}", reply.status, reply.message),
            Err(error) => error.to_string(),
        };
        assert!(told.starts_with(expected.err().unwrap_or("200")), "{what}: {told}");
        assert_eq!(self.tenants, Vec::from_iter(expected.ok()), "{what}: {told}");
        assert_eq!(self.stored, self.tenants.len(), "{what}: {told}");
    }
}

/// An Envoy with a manifest's configuration.
struct Gateway {
    stack: Stack,
    /// The address.
    address: SocketAddr,
    senders: BTreeMap<Sender, SenderFiles>,
    /// Log records that the manifest's own policy accepts, over HTTP/1.1.
    request: WireRequest,
}

impl Gateway {
    async fn start(envoy: String, folder: &TempDir) -> Result<Self> {
        let taken = |plan: &Plan| {
            plan.request.protocol == Protocol::Http
                && plan.request.signal == Signal::Logs
                && plan.case.name == "request/logs_go_to_loki"
        };
        let request = plan::all()?.into_iter().find(taken).context("the case is gone")?.request;
        let options = Options {
            run_dir: folder.path().to_owned(),
            hold_headers: envoy.contains(r#""allow_on_headers_stop_iteration": true"#),
            envoy: Some(envoy),
            ..Options::default()
        };
        let stack = Stack::start(options).await?;
        Ok(Self { address: stack.http_addr(), stack, senders: BTreeMap::new(), request })
    }

    /// Sends at least this many bytes of the records, with more headers.
    async fn send(
        &mut self,
        sender: &Sender,
        bytes: usize,
        headers: &[(&str, &str)],
    ) -> Result<Sent> {
        let mut request = self.request.clone();
        // Concatenated protobuf messages are one message with the fields of both.
        request.body = request.body.repeat(bytes.div_ceil(request.body.len()));
        for (name, value) in headers {
            request.headers.push(((*name).to_owned(), value.as_bytes().to_vec()));
        }
        let store = self.stack.backends().store();
        store.clear();
        let sender = identity(&self.stack, &mut self.senders, sender)?;
        let reply = exchange(&self.stack, self.address, sender, &request).await;
        let stored = store.requests(Backend::Loki);
        let tenants = stored.iter().flat_map(|request| request.headers.get_all("x-scope-orgid"));
        let tenants = tenants.map(|tenant| String::from_utf8_lossy(tenant.as_bytes()).into_owned());
        Ok(Sent { reply, stored: stored.len(), tenants: tenants.collect() })
    }
}

/// What Envoy Gateway generates from its manifests; the file says how it was made.
const ENVOY_GATEWAY: &str = include_str!("../../../manifests/envoy-gateway.yaml");

/// What istiod's own code generated in `make manifests`.
fn generated(name: &str) -> String {
    let path = envoy_local::workspace_root().join(format!(".cache/manifests/{name}.envoy.json"));
    std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}: run `make manifests`", path.display()))
}
