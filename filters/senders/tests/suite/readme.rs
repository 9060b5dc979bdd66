//! Checks the README's tables and example against the code.

use serde_json::Value;
use sluice_config::check;
use sluice_senders::SendersConfig;

const README: &str = include_str!("../../README.md");
const TESTS: &[&str] = &[
    include_str!("admission.rs"),
    include_str!("certificates.rs"),
    include_str!("configuration.rs"),
    include_str!("denied.rs"),
    include_str!("issuers.rs"),
    include_str!("peers.rs"),
    include_str!("ways.rs"),
    include_str!("../../src/pattern/tests.rs"),
];

/// The last cell of each row of each table whose last column is `test`.
fn tests_in_tables() -> Vec<&'static str> {
    let tables = README.split("\n\n").filter(|block| {
        let header = block.lines().next().unwrap_or_default();
        header.ends_with("| test |")
    });
    tables
        .flat_map(|table| table.lines().skip(2))
        .map(|row| row.trim_end_matches("` |").rsplit('`').next().unwrap())
        .collect()
}

#[test]
fn every_row_of_the_behaviour_table_is_a_test() {
    let rows = tests_in_tables();
    assert!(rows.len() > 20, "the tables were not found: {rows:?}");
    for name in rows {
        let test = format!("fn {name}(");
        assert!(TESTS.iter().any(|file| file.contains(&test)), "no test is named {name}");
    }
}

#[test]
fn every_test_of_admission_peers_and_ways_is_a_row() {
    let rows = tests_in_tables();
    for file in [include_str!("admission.rs"), include_str!("peers.rs"), include_str!("ways.rs")] {
        for test in file.split("#[test]\nfn ").skip(1) {
            let name = test.split_once('(').unwrap().0;
            assert!(rows.contains(&name), "no row names {name}");
        }
    }
}

#[test]
fn the_example_compiles() {
    let json = README.split("```json\n").nth(1).unwrap().split("```").next().unwrap();
    let mut config: Value = serde_json::from_str(json).unwrap();
    let config: SendersConfig = serde_json::from_value(config["senders"].take()).unwrap();
    assert!(check("senders", |place| config.compile(place)).is_ok());
}
