//! The gate itself reads the plugin configuration of every manifest, as `make manifests` has built them.

use std::{collections::BTreeSet, path::PathBuf};

use serde::Deserialize;
use serde_json::Value;
use sluice_gate::Gate;

/// What Envoy passes to the gate: JSON as text.
struct Plugin {
    /// The manifest, and the resource in it.
    place: String,
    configuration: Value,
    /// Whether the resource lets the gate hold a request's head; `None` if no resource says so.
    holds: Option<bool>,
}

fn folder() -> PathBuf {
    envoy_local::workspace_root().join(".cache/manifests")
}

/// Every document of every manifest, with the manifest's name.
fn documents() -> Vec<(String, Value)> {
    let folder = folder();
    let files = std::fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}: run `make manifests`", folder.display()));
    let mut documents = Vec::new();
    for file in files {
        let path = file.unwrap().path();
        if path.extension().is_some_and(|ending| ending == "yaml") {
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            let text = std::fs::read_to_string(&path).unwrap();
            let all = serde_yaml_ng::Deserializer::from_str(&text).map(Value::deserialize);
            documents.extend(all.map(|document| (name.clone(), document.unwrap())));
        }
    }
    documents
}

/// The plugins of a document, at the place where its kind has them.
fn plugins(manifest: &str, document: &Value) -> Vec<Plugin> {
    let kind = document["kind"].as_str().unwrap_or_default();
    let plugin = |configuration: Value, holds| Plugin {
        place: format!("{manifest}: {kind} {}", document["metadata"]["name"]),
        configuration,
        holds,
    };
    match kind {
        "WasmPlugin" => vec![plugin(document["spec"]["pluginConfig"].clone(), None)],
        "TrafficExtension" if document["spec"].get("wasm").is_some() => {
            vec![plugin(document["spec"]["wasm"]["pluginConfig"].clone(), None)]
        }
        "EnvoyExtensionPolicy" => {
            let wasm = document["spec"]["wasm"].as_array().into_iter().flatten();
            wasm.map(|wasm| plugin(wasm["config"].clone(), None)).collect()
        }
        "EnvoyFilter" => {
            let patches = document["spec"]["configPatches"].as_array().into_iter().flatten();
            let configs =
                patches.filter_map(|patch| patch.pointer("/patch/value/typed_config/config"));
            configs
                .map(|config| {
                    let text = config["configuration"]["value"].as_str().unwrap();
                    let holds = config["allow_on_headers_stop_iteration"].as_bool();
                    plugin(serde_json::from_str(text).unwrap(), Some(holds.unwrap_or(false)))
                })
                .collect()
        }
        _ => Vec::new(),
    }
}

#[test]
fn the_gate_reads_every_plugin_configuration() {
    let mut kinds = BTreeSet::new();
    for (manifest, document) in documents() {
        for plugin in plugins(&manifest, &document) {
            kinds.insert(document["kind"].as_str().unwrap().to_owned());
            let json = serde_json::to_vec(&plugin.configuration).unwrap();
            let gate = Gate::from_json(&json)
                .unwrap_or_else(|problems| panic!("{}: {problems:?}", plugin.place));
            // Envoy only holds a head if it is configured to, and then the gate must wait for the body.
            if let Some(holds) = plugin.holds {
                assert_eq!(gate.holds_headers(), holds, "{}", plugin.place);
            } else if document["kind"] != "EnvoyExtensionPolicy" {
                assert!(!gate.holds_headers(), "{}: nothing lets it hold heads", plugin.place);
            }
        }
    }
    let expected = ["EnvoyExtensionPolicy", "EnvoyFilter", "TrafficExtension", "WasmPlugin"];
    assert_eq!(kinds, expected.map(str::to_owned).into());
}

/// The file with what Envoy Gateway generates from its manifests has the same plugin configuration as the manifests.
#[test]
fn envoy_gateways_envoy_has_the_plugin_configuration_of_its_manifest() {
    let documents = documents();
    let policy = documents.iter().find(|(_, found)| found["kind"] == "EnvoyExtensionPolicy");
    let policy = &policy.expect("the policy").1["spec"]["wasm"][0]["config"];
    let envoy: Value = serde_yaml_ng::from_str(include_str!("../envoy-gateway.yaml")).unwrap();
    let listeners = envoy["static_resources"]["listeners"].as_array().unwrap();
    assert_eq!(listeners.len(), 2);
    for listener in listeners {
        let filters = "/filter_chains/0/filters/0/typed_config/http_filters";
        let filters = listener.pointer(filters).unwrap().as_array().unwrap();
        assert_eq!(filters[0]["name"], "sluice");
        let text = filters[0]["typed_config"]["config"]["configuration"]["value"].as_str().unwrap();
        assert_eq!(&serde_json::from_str::<Value>(text).unwrap(), policy);
    }
}

#[test]
fn a_key_that_the_gate_does_not_know_is_refused() {
    let documents = documents();
    let plugins: Vec<_> =
        documents.iter().flat_map(|(manifest, document)| plugins(manifest, document)).collect();
    assert!(!plugins.is_empty());
    for Plugin { place, mut configuration, .. } in plugins {
        configuration["limits"]["bodyBites"] = 1.into();
        let json = serde_json::to_vec(&configuration).unwrap();
        assert!(Gate::from_json(&json).is_err(), "{place}");
    }
}

/// A cluster in the plugin's configuration is the value of a header, so some route must match on it.
#[test]
fn every_backend_of_a_plugin_has_a_route() {
    let documents = documents();
    let mut compared = 0;
    for (manifest, document) in &documents {
        let routes: BTreeSet<&str> = documents
            .iter()
            .filter(|(other, _)| other == manifest)
            .flat_map(|(_, document)| matched(document))
            .collect();
        for plugin in plugins(manifest, document) {
            let backends = plugin.configuration["backends"].as_object().unwrap();
            for backend in backends.values() {
                for key in ["cluster", "grpcCluster"] {
                    if let Some(cluster) = backend.get(key).and_then(Value::as_str) {
                        assert!(
                            routes.contains(cluster),
                            "{}: no route to {cluster}",
                            plugin.place
                        );
                        compared += 1;
                    }
                }
            }
        }
    }
    assert!(compared > 0);
}

/// The values of `x-sluice-backend` on which a VirtualService, HTTPRoute or GRPCRoute matches.
fn matched(document: &Value) -> Vec<&str> {
    match document["kind"].as_str() {
        Some("VirtualService") => {
            let routes = document["spec"]["http"].as_array().into_iter().flatten();
            let matches = routes.flat_map(|route| route["match"].as_array().into_iter().flatten());
            matches
                .filter_map(|found| found["headers"]["x-sluice-backend"]["exact"].as_str())
                .collect()
        }
        Some("HTTPRoute" | "GRPCRoute") => {
            let rules = document["spec"]["rules"].as_array().into_iter().flatten();
            let matches = rules.flat_map(|rule| rule["matches"].as_array().into_iter().flatten());
            let headers =
                matches.flat_map(|found| found["headers"].as_array().into_iter().flatten());
            headers
                .filter(|header| header["name"] == "x-sluice-backend")
                .filter_map(|header| header["value"].as_str())
                .collect()
        }
        _ => Vec::new(),
    }
}

/// Envoy holds the body, or the start of it, and must be able to hold more than the gate accepts and forwards.
/// `limits.rs` compares the generated configuration with the gate's limits.
#[test]
fn istios_envoy_holds_more_of_a_body_than_the_gate_lets_go_on() {
    let documents = documents();
    let mut compared = 0;
    for (manifest, document) in &documents {
        // Envoy Gateway has no setting for it.
        for plugin in plugins(manifest, document) {
            if document["kind"] == "EnvoyExtensionPolicy" {
                continue;
            }
            let patches = documents
                .iter()
                .filter(|(other, _)| other == manifest)
                .flat_map(|(_, other)| other["spec"]["configPatches"].as_array())
                .flatten();
            let limit = patches
                .filter_map(|patch| patch.pointer("/patch/value/request_body_buffer_limit"))
                .find_map(Value::as_u64);
            let json = serde_json::to_vec(&plugin.configuration).unwrap();
            let longest = Gate::from_json(&json).unwrap().longest_forwarded() as u64;
            assert!(limit.unwrap_or(0) >= longest, "{}: {limit:?}, not {longest}", plugin.place);
            compared += 1;
        }
    }
    assert!(compared >= 4, "only {compared} plugins");
}

/// The Lua filter is tested in `envoy-local`, so every manifest must have the same one.
#[test]
fn every_copy_of_the_lua_filter_is_the_one_that_is_tested() {
    let root = envoy_local::workspace_root();
    let read = |file: &str| std::fs::read_to_string(root.join(file)).unwrap();
    let script = read("envoy-local/header-only.lua");
    for (file, indent) in [
        ("istio/base/header-only.yaml", 16),
        ("istio/envoy-gateway/plugin.yaml", 8),
        ("istio/overlays/trafficextension/plugin.yaml", 6),
    ] {
        let line = |line: &str| match line {
            "" => "\n".to_owned(),
            _ => format!("{:indent$}{line}\n", ""),
        };
        let indented: String = script.lines().map(line).collect();
        assert!(read(file).contains(&indented), "{file} has another script");
    }
}
