//! No row of the refusal table without a case.

use std::{collections::BTreeSet, fs, path::Path};

use sluice_cases::plan;

/// Cannot be asked for from outside: a worker has no memory left.
const NOT_FROM_OUTSIDE: [&str; 1] = ["no_memory"];

#[test]
fn every_row_of_the_refusal_table_has_a_case() {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../filters/reply/README.md");
    let readme = fs::read_to_string(readme).unwrap();
    let rows: BTreeSet<_> = readme
        .lines()
        .skip_while(|line| !line.starts_with("| label |"))
        .skip(2)
        .map_while(|line| line.strip_prefix("| `")?.split_once('`'))
        .map(|(label, _)| label.to_owned())
        .collect();
    assert!(rows.len() > 10, "the table is not where it was: {rows:?}");
    let plans = plan::all().unwrap();
    let counted: BTreeSet<_> = plans
        .iter()
        .flat_map(|plan| plan.case.expect.counts.keys())
        .filter_map(|counter| {
            Some(counter.split_once("{outcome=")?.1.split_once(',')?.0.to_owned())
        })
        .collect();
    let missing: Vec<_> = rows
        .iter()
        .filter(|label| !counted.contains(*label) && !NOT_FROM_OUTSIDE.contains(&label.as_str()))
        .collect();
    assert!(missing.is_empty(), "no case has these outcomes: {missing:?}");
}
