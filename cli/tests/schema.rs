//! The committed schema is that of the types that read a policy, and every policy here keeps to it.

#![expect(clippy::unwrap_used, reason = "a test fails by it")]

use std::{fs, path::Path};

use serde_json::Value as Json;
use sluice_cli::{find, located, schema, shape};
use sluice_gate::Gate;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/policy.schema.json");

/// Descriptions are comments of the code; links to code mean nothing to who reads a schema.
fn plain(value: &mut Json) {
    match value {
        Json::Object(members) => {
            if let Some(Json::String(text)) = members.get_mut("description") {
                let links = text.replace("[`", "`").replace("`]", "`");
                *text = links.replace("\n\n", "\u{0}").replace('\n', " ").replace('\u{0}', "\n\n");
            }
            // The widths of Rust's numbers are no formats of JSON Schema.
            members.remove("format");
            members.values_mut().for_each(plain);
        }
        Json::Array(items) => items.iter_mut().for_each(plain),
        _ => {}
    }
}

#[test]
fn the_committed_schema_is_that_of_the_types() {
    let mut generated = serde_json::to_value(Gate::schema()).unwrap();
    plain(&mut generated);
    let members = generated.as_object_mut().unwrap();
    members.insert("title".into(), "Sluice policy".into());
    let generated = format!("{generated:#}\n");
    if std::env::var_os("BLESS").is_some() {
        fs::write(FILE, &generated).unwrap();
    }
    let committed = fs::read_to_string(FILE).unwrap();
    assert!(committed == generated, "run BLESS=1 cargo test -p sluice-cli --test schema");
    assert_eq!(schema::SCHEMA, committed);
}

/// Every YAML file below a folder.
fn files(folder: &Path, to: &mut Vec<std::path::PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, to);
        } else if path.extension().is_some_and(|ending| ending == "yaml") {
            to.push(path);
        }
    }
}

#[test]
fn every_policy_that_is_shipped_keeps_to_it() {
    let schema: Json = serde_json::from_str(schema::SCHEMA).unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut paths = vec![root.join("envoy-local/envoy.yaml")];
    files(&root.join("istio"), &mut paths);
    let mut policies = 0;
    for path in paths {
        let text = fs::read_to_string(&path).unwrap();
        let documents =
            located::documents(&text).unwrap_or_else(|faults| panic!("{path:?}: {faults:?}"));
        let (found, faults) = find::policies(&text, &documents);
        assert_eq!(faults, [], "{path:?}");
        for found in found.iter().filter(|found| found.holder.is_some()) {
            policies += 1;
            assert_eq!(shape::mistakes(&schema, &found.policy), [], "{path:?}");
        }
    }
    assert!(policies >= 8, "only {policies} policies");
}

/// A policy with every section and most kinds of values.
const FULL: &str = r#"
senders:
  identify:
    - clientCertificate: {names: [{dns: "*.{namespace}"}], warnBeforeEnd: 4h}
    - jwt: {names: [{claim: groups, within: [a], pattern: "/{namespace}/x"}]}
    - apiKey: {header: x-key, from: [{dns: a}], keys: [{sha256: "ab", namespace: a}]}
    - forwarded: {from: [{uri: "spiffe://a", namespaces: [a]}]}
    - allOf: [{clientCertificate: {names: []}}]
  allow: [{namespace: a, from: "x", until: "y"}]
  deny: [{issuer: CN=a}]
tenant: {map: {a: b}, ids: account, fromNamespace: {prefix: a}}
records:
  require: [{attribute: a, logs: record, metrics: datapoint, value: {oneOf: [a]}, onViolation: audit}]
  stamp: [{attribute: a, value: b}]
  unstorable: pass
backends:
  logs: {kind: loki, cluster: a, formats: [json], labels: {max: 1, names: [a], overflow: move}, scopeAttributes: kept}
  metrics: {kind: mimir, cluster: a, cells: [{tenants: [a], cluster: b}], canary: {cluster: b, percent: 5, by: tenant}}
  traces: {kind: tempo, cluster: a, spelling: exact, precedence: any, maxTraceBytes: 1, takesDelta: true}
limits: {bodyBytes: 1, depth: 2}
otherPaths: [{exact: /a}]
holdHeaders: true
"#;

/// Every place in a document, as JSON pointers.
fn pointers(json: &Json, at: &str, to: &mut Vec<String>) {
    to.push(at.to_owned());
    match json {
        Json::Object(members) => {
            members.iter().for_each(|(key, value)| pointers(value, &format!("{at}/{key}"), to));
        }
        Json::Array(items) => {
            let items = items.iter().enumerate();
            items.for_each(|(index, value)| pointers(value, &format!("{at}/{index}"), to));
        }
        _ => {}
    }
}

/// Whether the types refuse the structure of a policy, whatever the gate thinks of its content: only then the message
/// has a line.
fn is_refused_by_types(policy: &Json) -> bool {
    let problems = Gate::from_json(policy.to_string().as_bytes()).err().unwrap_or_default();
    problems.iter().any(|problem| problem.message.contains(" at line "))
}

#[test]
fn the_schema_refuses_what_the_types_refuse_and_nothing_else() {
    let schema: Json = serde_json::from_str(schema::SCHEMA).unwrap();
    let full = located::documents(FULL).unwrap().remove(0).json();
    assert!(!is_refused_by_types(&full));
    let mut places = Vec::new();
    pointers(&full, "", &mut places);
    let values =
        ["null", "true", "7", "-7", "1.5", "\"text\"", "[]", "{}", "[[]]", "[7]", "{\"odd\": 1}"];
    let mut changed = Vec::new();
    for place in &places {
        for value in values {
            let mut policy = full.clone();
            *policy.pointer_mut(place).unwrap() = serde_json::from_str(value).unwrap();
            changed.push((format!("{place} = {value}"), policy));
        }
        let mut policy = full.clone();
        if let Some(Json::Object(members)) = policy.pointer_mut(place) {
            members.insert("odd".into(), Json::Null);
            changed.push((format!("{place} + odd"), policy));
        }
        if let Some((parent, key)) = place.rsplit_once('/') {
            let mut policy = full.clone();
            if let Some(Json::Object(members)) = policy.pointer_mut(parent) {
                members.remove(key);
                changed.push((format!("{place} is left out"), policy));
            }
        }
    }
    let mut refused = 0;
    for (what, policy) in changed {
        let document = located::documents(&policy.to_string()).unwrap().remove(0);
        let (mended, mistakes, _) = shape::mended(&schema, &document);
        let by_types = is_refused_by_types(&policy);
        assert!(mistakes.is_empty() != by_types, "{what}: {mistakes:?}");
        assert!(!is_refused_by_types(&mended), "{what} is mended: {mended}");
        refused += usize::from(by_types);
    }
    assert!(refused > 500, "only {refused} are refused");
}
