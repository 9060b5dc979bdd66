//! Prometheus scrapes Envoy with the gate, with Envoy's own names and with those of the bootstrap that Istio's agent
//! makes. Every panel of the dashboard shows something, and every metric of an alert is there.

use std::{collections::BTreeMap, path::Path, time::Duration};

use envoy_local::{Options, Pki, SenderFiles, SenderName, Stack, workspace_root};
use serde::{Deserialize, de::DeserializeOwned};
use sluice_e2e::stores::Store;

/// A metric in an expression, as `make manifests` has parsed it.
#[derive(Deserialize)]
struct Selector {
    expression: String,
    metric: String,
    selector: String,
    values: BTreeMap<String, Vec<String>>,
}

/// An expression of a panel, with everything chosen.
#[derive(Deserialize)]
struct Shown {
    panel: String,
    expression: String,
}

fn read<T: DeserializeOwned>(file: &str) -> T {
    let path = workspace_root().join(".cache/manifests").join(file);
    let text = std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}: run `make manifests`", path.display()));
    serde_json::from_str(&text).unwrap()
}

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

/// A log record on a resource with `source.name`, and one without.
fn logs() -> Vec<u8> {
    let good = br#"{"resource":{"attributes":[{"key":"source.name","value":{"stringValue":"a"}}]},"scopeLogs":[{"logRecords":[{}]}]}"#;
    let bad = br#"{"scopeLogs":[{"logRecords":[{}]}]}"#;
    [br#"{"resourceLogs":["#.as_slice(), good, b",", bad, b"]}"].concat()
}

/// Sends what is stored in part, what is refused for its sender and for its content, and what has no certificate.
async fn send(stack: &Stack) {
    let url = format!("https://localhost:{}/v1/logs", stack.http_addr().port());
    let pki = stack.pki();
    let [payments, stranger, nobody] =
        [Some(pki.sender(SenderName::Payments)), Some(pki.sender(SenderName::Stranger)), None]
            .map(|sender| client(pki, sender));
    for (client, kind, status) in [
        (&payments, "application/json", Some(200)),
        (&payments, "text/plain", Some(415)),
        (&stranger, "application/json", Some(403)),
        (&nobody, "application/json", None),
    ] {
        let sent = client.post(&url).header("content-type", kind).body(logs()).send().await;
        assert_eq!(sent.ok().map(|reply| reply.status().as_u16()), status, "{kind}");
    }
}

/// Starts the gate, sends while Prometheus scrapes it, and returns what is missing.
async fn missing(envoy: Option<String>, folder: &Path) -> Vec<String> {
    // Two rules, so that one request has dropped records and records that would be dropped.
    let gate = serde_json::json!({ "records": { "require": [
        { "attribute": "source.name", "logs": "resource" },
        { "attribute": "region", "logs": "resource", "onViolation": "audit" },
    ] } });
    let options =
        Options { run_dir: folder.join("run"), gate: Some(gate), envoy, ..Options::default() };
    let stack = Stack::start(options).await.unwrap();
    let prometheus =
        Store::scraping("sluice-gateway", stack.admin_addr(), "/stats/prometheus", folder);
    let prometheus = prometheus.await.unwrap();
    // A rate needs two scrapes, and Envoy's histograms are flushed every five seconds.
    for _ in 0..16 {
        send(&stack).await;
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let mut found = Vec::new();
    for Shown { panel, expression } in read::<Vec<Shown>>("monitoring.panels.json") {
        if prometheus.query(&expression).await.unwrap().is_empty() {
            found.push(format!("the panel {panel:?} is empty: {expression}"));
        }
    }
    for Selector { expression, selector, .. } in read::<Vec<Selector>>("monitoring.selectors.json")
    {
        if prometheus.query(&selector).await.unwrap().is_empty() {
            found.push(format!("no {selector}, in {expression}"));
        }
    }
    prometheus.stop().await;
    stack.stop().await;
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn every_panel_is_full_and_every_metric_is_there_with_envoys_names_and_with_istios() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let istio = std::fs::read_to_string(
        workspace_root().join(".cache/manifests/overlays-hold-headers.envoy.json"),
    )
    .unwrap_or_else(|error| panic!("{error}: run `make manifests`"));
    for (names, envoy) in [("Envoy", None), ("Istio", Some(istio.clone()))] {
        let folder = tempfile::tempdir().unwrap();
        let missing = missing(envoy, folder.path()).await;
        assert!(missing.is_empty(), "as {names} names them: {missing:#?}");
    }
    // Without the manifests' annotation, Istio lets most of them out.
    let mut envoy: serde_json::Value = serde_json::from_str(&istio).unwrap();
    let patterns = envoy.pointer_mut("/stats_config/stats_matcher/inclusion_list/patterns");
    patterns.unwrap().as_array_mut().unwrap().retain(|pattern| pattern.get("safe_regex").is_none());
    let folder = tempfile::tempdir().unwrap();
    let missing = missing(Some(envoy.to_string()), folder.path()).await;
    assert!(missing.len() > 8, "{missing:#?}");
}

/// The values of the gate's own labels must be in the gate's tables.
#[test]
fn every_outcome_that_is_matched_on_is_in_the_gates_tables() {
    let root = workspace_root().join("filters");
    let tables = ["README.md", "reply/README.md"]
        .map(|file| std::fs::read_to_string(root.join(file)).unwrap())
        .concat();
    let mut compared = 0;
    for Selector { expression, metric, values, .. } in
        read::<Vec<Selector>>("monitoring.selectors.json")
    {
        if metric.starts_with("sluice_") {
            for value in values.get("outcome").into_iter().flatten() {
                assert!(tables.contains(&format!("`{value}`")), "{expression}: no {value}");
                compared += 1;
            }
        }
    }
    assert!(compared > 10, "only {compared} values");
}
