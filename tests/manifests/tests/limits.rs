//! Compares how much of a body Envoy can hold with what the gate accepts and forwards, in every configuration of Envoy:
//! `envoy-local/envoy.yaml`, what istiod's code generated from the manifests (`make manifests`), and what Envoy Gateway
//! generates from its own. If Envoy can hold less, it answers 413 in place of the backend, and nothing is stored.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sluice_gate::{Gate, PendingRequest};

/// What Envoy adds to a buffer at once, before it checks the limit (one read of a connection).
const PIECE: u64 = 64 << 10;

/// Envoy's defaults of `per_connection_buffer_limit_bytes` and of `initial_stream_window_size`.
const CONNECTION: u64 = 1 << 20;
const WINDOW: u64 = 16 << 20;

/// Every configuration, by its name.
fn configurations() -> BTreeMap<String, Value> {
    let mut all = BTreeMap::new();
    for (name, yaml) in [
        ("envoy-local/envoy.yaml", include_str!("../../../envoy-local/envoy.yaml")),
        ("istio/envoy-gateway", include_str!("../envoy-gateway.yaml")),
    ] {
        all.insert(name.to_owned(), serde_yaml_ng::from_str(yaml).unwrap());
    }
    let folder = envoy_local::workspace_root().join(".cache/manifests");
    let files = std::fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}: run `make manifests`", folder.display()));
    for file in files {
        let path = file.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if let Some(name) = name.strip_suffix(".envoy.json") {
            let text = std::fs::read_to_string(&path).unwrap();
            all.insert(format!("istio/{name}"), serde_json::from_str(&text).unwrap());
        }
    }
    all
}

/// The values of a key at any place.
fn all<'v>(value: &'v Value, key: &str) -> Vec<&'v Value> {
    let mut found = Vec::new();
    match value {
        Value::Object(map) => {
            for (name, below) in map {
                if name == key {
                    found.push(below);
                }
                found.extend(all(below, key));
            }
        }
        Value::Array(items) => found.extend(items.iter().flat_map(|item| all(item, key))),
        _ => {}
    }
    found
}

/// A number, or a number as text, which protobuf's JSON uses for 64 bits.
fn number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

/// Returns what is wrong with a configuration, and how many gates it has.
fn problems(name: &str, envoy: &Value) -> (Vec<String>, usize) {
    let mut found = Vec::new();
    let mut gates = 0;
    for listener in envoy["static_resources"]["listeners"].as_array().unwrap() {
        let at = format!("{name}, {}", listener["name"]);
        let connection = number(&listener["per_connection_buffer_limit_bytes"]);
        let window = all(listener, "initial_stream_window_size").into_iter().filter_map(number);
        let alone = connection.unwrap_or(CONNECTION).min(window.min().unwrap_or(WINDOW));
        let hosts: Vec<_> = all(listener, "virtual_hosts")
            .into_iter()
            .filter_map(Value::as_array)
            .flatten()
            .collect();
        assert!(!hosts.is_empty(), "{at}: no virtual host");
        for plugin in all(listener, "config") {
            let Some(text) = plugin["configuration"]["value"].as_str() else { continue };
            let Ok(gate) = Gate::from_json(text.as_bytes()) else { continue };
            gates += 1;
            let held = plugin["allow_on_headers_stop_iteration"] == true;
            if held != gate.holds_headers() {
                found.push(format!("{at}: Envoy lets heads be held: {held}, the gate holds them"));
            }
            let needed = if gate.holds_headers() {
                let taken = gate.limits().body_bytes as u64 + PIECE;
                taken.max(gate.longest_forwarded() as u64)
            } else {
                // Envoy does not buffer bodies that can grow.
                PendingRequest::BUFFERED_BY_ENVOY as u64 + PIECE
            };
            for host in &hosts {
                let holds = number(&host["request_body_buffer_limit"]).unwrap_or(alone);
                if holds < needed {
                    let host = &host["name"];
                    found.push(format!("{at}, {host}: Envoy holds {holds} bytes, {needed} needed"));
                }
                for route in host["routes"].as_array().into_iter().flatten() {
                    if let Some(holds) = number(&route["request_body_buffer_limit"])
                        && holds < needed
                    {
                        found.push(format!("{at}, a route: {holds} bytes, {needed} needed"));
                    }
                }
            }
        }
    }
    (found, gates)
}

#[test]
fn envoy_holds_whatever_the_gate_takes_and_lets_go_on() {
    let mut found = Vec::new();
    let configurations = configurations();
    for (name, envoy) in &configurations {
        let (problems, gates) = problems(name, envoy);
        assert!(gates > 0, "{name}: no gate in it");
        found.extend(problems);
    }
    assert!(found.is_empty(), "{found:#?}");
    assert!(configurations.len() > 9, "{:?}", configurations.keys());
}

/// The test above notices when any of Envoy's limits is lowered, and when a limit of the gate is raised.
#[test]
fn a_limit_that_is_too_low_is_seen() {
    fn changed(value: &mut Value, key: &str, to: &Value) -> usize {
        match value {
            Value::Object(map) => {
                let mut count = 0;
                for (name, below) in map {
                    if name == key {
                        *below = to.clone();
                        count += 1;
                    } else {
                        count += changed(below, key, to);
                    }
                }
                count
            }
            Value::Array(items) => items.iter_mut().map(|item| changed(item, key, to)).sum(),
            _ => 0,
        }
    }
    for (name, envoy) in configurations() {
        let mut lowered = 0;
        for key in [
            "request_body_buffer_limit",
            "per_connection_buffer_limit_bytes",
            "initial_stream_window_size",
        ] {
            let mut envoy = envoy.clone();
            let listeners = &mut envoy["static_resources"]["listeners"];
            if changed(listeners, key, &json!(PendingRequest::BUFFERED_BY_ENVOY)) > 0
                && !problems(&name, &envoy).0.is_empty()
            {
                lowered += 1;
            }
        }
        assert!(lowered > 0, "{name}: no limit of it counts");
    }
}
