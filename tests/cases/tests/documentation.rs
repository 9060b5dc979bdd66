//! The gate accepts the configurations in the documentation.

use std::{fs, path::Path};

use serde_json::Value;
use sluice_gate::Gate;

/// The YAML blocks of a file, each read as one configuration.
fn configurations(file: &str) -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(file);
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{file}: {error}"));
    let blocks = text.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next());
    blocks
        .map(|block| {
            serde_yaml_ng::from_str(block).unwrap_or_else(|error| panic!("{file}: {error}"))
        })
        .collect()
}

#[test]
fn a_whole_configuration_in_the_documentation_is_accepted() {
    for file in ["README.md", "filters/gate/README.md"] {
        let found = configurations(file);
        assert!(!found.is_empty(), "{file} shows no configuration");
        for configuration in found {
            if let Err(problems) = Gate::from_json(configuration.to_string().as_bytes()) {
                panic!("{file}: {problems:?}");
            }
        }
    }
}

#[test]
fn a_section_in_the_documentation_of_a_stage_is_accepted_beside_the_others() {
    let gate = configurations("filters/gate/README.md").remove(0);
    for stage in ["senders", "tenant", "records", "route", "remote-write"] {
        let file = format!("filters/{stage}/README.md");
        let found = configurations(&file);
        assert!(!found.is_empty(), "{file} shows no configuration");
        for section in found {
            let mut whole = gate.clone();
            for (key, value) in section.as_object().into_iter().flatten() {
                whole[key] = value.clone();
            }
            if let Err(problems) = Gate::from_json(whole.to_string().as_bytes()) {
                panic!("{file}: {problems:?}");
            }
        }
    }
}
