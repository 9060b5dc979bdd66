//! Every metric in the dashboard and the alerts is one that Envoy with the gate really has.

use std::collections::{BTreeMap, BTreeSet};

use envoy_local::{Options, SenderName, Stack, workspace_root};
use serde::Deserialize;

/// A metric in an expression, as `make manifests` has parsed it.
#[derive(Deserialize)]
struct Selector {
    expression: String,
    metric: String,
    labels: Vec<String>,
    values: BTreeMap<String, Vec<String>>,
}

fn selectors() -> Vec<Selector> {
    let path = workspace_root().join(".cache/manifests/monitoring.selectors.json");
    let text = std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}: run `make manifests`", path.display()));
    serde_json::from_str(&text).unwrap()
}

/// The labels of every metric in Prometheus' text format, by the metric's name.
fn read(text: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut metrics: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let Some((name, rest)) = line.split_once('{') else { continue };
        let labels = rest.rsplit_once('}').map_or("", |(labels, _)| labels);
        let names = labels.split("\",").filter_map(|label| label.split_once('='));
        metrics.entry(name.to_owned()).or_default().extend(names.map(|(name, _)| name.to_owned()));
    }
    metrics
}

#[tokio::test]
async fn every_metric_and_label_that_is_asked_for_is_there() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let run_dir = tempfile::tempdir().unwrap();
    // Two rules, so that one request has dropped records and records that would be dropped.
    let gate = serde_json::json!({ "records": { "require": [
        { "attribute": "source.name", "logs": "resource" },
        { "attribute": "region", "logs": "resource", "onViolation": "audit" },
    ] } });
    let options =
        Options { run_dir: run_dir.path().to_owned(), gate: Some(gate), ..Options::default() };
    let stack = Stack::start(options).await.unwrap();
    // One resource with `source.name` and one without, a log record each.
    let good = br#"{"resource":{"attributes":[{"key":"source.name","value":{"stringValue":"a"}}]},"scopeLogs":[{"logRecords":[{}]}]}"#;
    let bad = br#"{"scopeLogs":[{"logRecords":[{}]}]}"#;
    let body = [br#"{"resourceLogs":["#.as_slice(), good, b",", bad, b"]}"].concat();
    let sender = stack.pki().sender(SenderName::Payments);
    let pem = [std::fs::read(&sender.cert).unwrap(), std::fs::read(&sender.key).unwrap()].concat();
    let client = reqwest::Client::builder()
        .identity(reqwest::Identity::from_pem(&pem).unwrap())
        .tls_certs_only([reqwest::Certificate::from_pem(
            &std::fs::read(stack.pki().ca_pem()).unwrap(),
        )
        .unwrap()])
        .build()
        .unwrap();
    let url = format!("https://localhost:{}/v1/logs", stack.http_addr().port());
    let request = client.post(url).header("content-type", "application/json").body(body);
    assert_eq!(request.send().await.unwrap().status(), 200);

    let url = format!("http://{}/stats/prometheus", stack.admin_addr());
    let text = reqwest::get(url).await.unwrap().text().await.unwrap();
    stack.stop().await;
    let metrics = read(&text);
    for Selector { expression, metric, labels, .. } in selectors() {
        let there = metrics.get(&metric).unwrap_or_else(|| panic!("{expression}: no {metric}"));
        for label in labels {
            // `le` is the histogram's own label.
            assert!(there.contains(&label) || label == "le", "{expression}: no label {label}");
        }
    }
}

/// The values of the gate's own labels must be in the gate's tables.
#[test]
fn every_outcome_that_is_matched_on_is_in_the_gates_tables() {
    let root = workspace_root().join("filters");
    let tables = ["README.md", "reply/README.md"]
        .map(|file| std::fs::read_to_string(root.join(file)).unwrap())
        .concat();
    let mut compared = 0;
    for Selector { expression, metric, values, .. } in selectors() {
        if metric.starts_with("sluice_") {
            for value in values.values().flatten() {
                assert!(tables.contains(&format!("`{value}`")), "{expression}: no {value}");
                compared += 1;
            }
        }
    }
    assert!(compared > 10, "only {compared} values");
}
