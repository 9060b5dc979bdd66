//! The alerts, by Prometheus' own tool: each fires when it should, and stops; each leads to its section of the runbook.

use std::collections::BTreeSet;

use envoy_local::workspace_root;
use serde_json::Value;
use sluice_e2e::stores;
use tokio::process::Command;

fn read(file: &str) -> String {
    let path = workspace_root().join("istio/monitoring").join(file);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The rules, as Prometheus has them.
fn rules() -> Vec<Value> {
    let resource: Value = serde_yaml_ng::from_str(&read("alerts.yaml")).unwrap();
    let groups = resource["spec"]["groups"].as_array().unwrap();
    groups.iter().flat_map(|group| group["rules"].as_array().unwrap().clone()).collect()
}

/// Runs the tests over these rules, without annotations, which promtool would compare word for word.
async fn promtool_tests(rules: &[Value]) -> (bool, String) {
    let mut rules = rules.to_vec();
    for rule in &mut rules {
        rule.as_object_mut().unwrap().remove("annotations");
    }
    let folder = tempfile::tempdir().unwrap();
    let groups = serde_json::json!({ "groups": [{ "name": "sluice", "rules": rules }] });
    // JSON is YAML.
    std::fs::write(folder.path().join("rules.yaml"), groups.to_string()).unwrap();
    std::fs::write(folder.path().join("alerts-test.yaml"), read("alerts-test.yaml")).unwrap();
    let mut promtool = Command::new(stores::promtool().await.unwrap());
    promtool.args(["test", "rules", "alerts-test.yaml"]).current_dir(folder.path());
    let output = promtool.output().await.unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}

#[tokio::test]
async fn each_alert_fires_when_it_should_and_stops() {
    let (passed, said) = promtool_tests(&rules()).await;
    assert!(passed, "{said}");
}

/// The tests notice when an alert never fires, and when one never stops.
#[tokio::test]
async fn an_alert_that_never_fires_or_never_stops_is_seen() {
    for broken in ["vector(1) > 1", "vector(1)"] {
        let mut rules = rules();
        for rule in &mut rules {
            rule["expr"] = broken.into();
        }
        let (passed, said) = promtool_tests(&rules).await;
        assert!(!passed);
        for rule in rules {
            let name = rule["alert"].as_str().unwrap();
            assert!(said.contains(&format!("alertname: {name},")), "{broken}: {name}: {said}");
        }
    }
}

#[test]
fn each_alert_has_its_section_in_the_runbook() {
    let runbook = read("RUNBOOK.md");
    let sections: BTreeSet<_> =
        runbook.split("\n## ").skip(1).map(|text| text.split_once('\n').unwrap()).collect();
    let mut alerts = BTreeSet::new();
    for rule in rules() {
        let alert = rule["alert"].as_str().unwrap().to_owned();
        let url = rule["annotations"]["runbook_url"].as_str().unwrap();
        let (page, anchor) = url.split_once('#').unwrap();
        assert!(page.ends_with("/istio/monitoring/RUNBOOK.md"), "{url}");
        // As forges make it from a heading of one word.
        assert_eq!(anchor, alert.to_lowercase(), "{url}");
        assert!(rule["annotations"]["summary"].is_string(), "{alert} has no summary");
        alerts.insert(alert);
    }
    let named: BTreeSet<_> = sections.iter().map(|(heading, _)| (*heading).to_owned()).collect();
    assert_eq!(named, alerts);
    for (heading, text) in sections {
        for part in ["**What it means.**", "**What to look at.**", "**What to do.**"] {
            assert!(text.contains(part), "{heading}: {part}");
        }
    }
}
