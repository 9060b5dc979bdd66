//! Every row of a behaviour table has a case, and every case of records has a row.

use std::{collections::BTreeSet, fs, io, path::Path};

use sluice_cases::plan;

/// No request can provoke this: a worker has no memory left.
const NOT_FROM_OUTSIDE: [&str; 1] = ["no_memory"];

fn file(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Returns the rows of every table in a README as cells, without table heads and separator lines.
fn rows(readme: &str) -> Vec<Vec<&str>> {
    let mut rows = Vec::new();
    let mut lines = readme.lines().peekable();
    while let Some(line) = lines.next() {
        let is_head = lines.peek().is_some_and(|next| next.starts_with("|---"));
        if line.starts_with('|') && !line.starts_with("|---") && !is_head {
            rows.push(line.trim_matches('|').split(" | ").map(str::trim).collect());
        }
    }
    rows
}

/// Returns the text under a heading of a README.
fn under<'a>(readme: &'a str, heading: &str) -> &'a str {
    let rest = readme.split_once(heading).unwrap_or_else(|| panic!("there is no {heading:?}")).1;
    rest.split("\n## ").next().unwrap_or_default()
}

/// Returns the text between backquotes, if the cell has nothing else.
fn code(cell: &str) -> Option<&str> {
    cell.strip_prefix('`')?.strip_suffix('`')
}

#[test]
fn every_row_of_the_refusal_table_has_a_case() {
    let readme = file("filters/reply/README.md");
    let rows = rows(under(&readme, "## What the gate refuses"));
    let labels: BTreeSet<_> = rows.iter().filter_map(|cells| code(cells.first()?)).collect();
    assert!(labels.len() > 10, "the table is not where it was: {labels:?}");
    let source = file("filters/reply/src/refusal.rs");
    let refused: BTreeSet<_> =
        source.split("row(").filter_map(|row| row.split_once(')')?.0.rsplit('"').nth(1)).collect();
    assert_eq!(labels, refused, "the README and the table that it shows");
    let plans = plan::all().unwrap();
    let counted: BTreeSet<_> = plans
        .iter()
        .flat_map(|plan| plan.case.expect.counts.keys())
        .filter_map(|counter| Some(counter.split_once("{outcome=")?.1.split_once(',')?.0))
        .collect();
    let missing: Vec<_> = labels
        .iter()
        .filter(|label| !counted.contains(*label) && !NOT_FROM_OUTSIDE.contains(label))
        .collect();
    assert!(missing.is_empty(), "no case has these outcomes: {missing:?}");
}

#[test]
fn every_row_of_the_table_of_records_names_its_case_and_every_case_has_a_row() {
    let readme = file("filters/records/README.md");
    // A test of `sluice-stores` compares this section with the code.
    let (before, known) = readme.split_once("\n## What the gate knows of backends").unwrap();
    let behind = known.split_once("\n## ").map_or("", |(_, behind)| behind);
    let rows = [rows(before), rows(behind)].concat();
    let nameless: Vec<_> =
        rows.iter().filter(|cells| cells.last().copied().and_then(code).is_none()).collect();
    assert!(nameless.is_empty(), "these rows name no case: {nameless:?}");
    let named: BTreeSet<_> = rows.iter().filter_map(|cells| code(cells.last()?)).collect();
    let plans = plan::all().unwrap();
    let cases: BTreeSet<_> =
        plans.iter().filter_map(|plan| plan.case.name.strip_prefix("records/")).collect();
    let missing: Vec<_> = named.difference(&cases).collect();
    assert!(missing.is_empty(), "the README names cases that are not there: {missing:?}");
    let unnamed: Vec<_> = cases.difference(&named).collect();
    assert!(unnamed.is_empty(), "no row of the README names these cases: {unnamed:?}");
}

/// Every case in the tables of remote write exists, and every case has a row in one of them.
#[test]
fn every_case_of_remote_write_has_a_row_and_every_row_that_names_one_its_case() {
    let readme = file("filters/remote-write/README.md");
    let replies = file("filters/reply/README.md");
    let replies = under(&replies, "## Prometheus remote write");
    let rows = [rows(&readme), rows(replies)].concat();
    let named: BTreeSet<_> = rows
        .iter()
        .flat_map(|cells| cells.last().copied().unwrap_or_default().split(", "))
        .filter_map(code)
        .filter(|name| name.contains('_'))
        .collect();
    let plans = plan::all().unwrap();
    let cases: BTreeSet<_> =
        plans.iter().filter_map(|plan| plan.case.name.strip_prefix("remote-write/")).collect();
    assert_eq!(named, cases);
}

/// Names of tests that are not cases: unit tests, and tests in Envoy.
fn tests_in(folder: &str) -> io::Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let source = fs::read_to_string(&path)?;
                let names = source.split("fn ").skip(1).filter_map(|rest| rest.split('(').next());
                found.extend(names.map(str::to_owned));
            }
        }
    }
    Ok(found)
}

#[test]
fn every_row_of_the_conformance_table_names_what_holds_it() {
    let readme = file("filters/reply/README.md");
    let rows = rows(under(&readme, "## OTLP 1.11, requirement by requirement"));
    assert!(rows.len() > 20, "the table is not where it was: {rows:?}");
    let plans = plan::all().unwrap();
    let mut known: BTreeSet<_> = plans
        .iter()
        .filter_map(|plan| Some(plan.case.name.rsplit_once('/')?.1.to_owned()))
        .collect();
    known.extend(tests_in("filters").unwrap());
    known.extend(tests_in("tests/e2e/tests").unwrap());
    for cells in rows {
        let last = cells.last().copied().unwrap_or_default();
        assert!(cells.len() == 4 && !last.is_empty(), "nothing holds {cells:?}");
        if last.starts_with('`') {
            for name in last.split(", ") {
                let name = code(name).unwrap_or_else(|| panic!("{last}: names, or a reason"));
                assert!(known.contains(name), "{cells:?}: there is no {name}");
            }
        }
    }
}

/// Every label of a counter must be expected by a case; otherwise nobody has seen it.
#[test]
fn every_reason_has_a_case() {
    let sources = ["filters/records/src/violation.rs", "filters/stores/src/defects.rs"].map(file);
    let labels = sources.iter().flat_map(|source| {
        let label = source.split("fn label(self)").nth(1)?.split("\n    }\n").next()?;
        Some(label.split('"').skip(1).step_by(2))
    });
    let reasons: BTreeSet<_> = labels.flatten().collect();
    assert!(reasons.len() > 10, "the labels are not where they were: {reasons:?}");
    let plans = plan::all().unwrap();
    let counted: BTreeSet<_> = plans
        .iter()
        .flat_map(|plan| plan.case.expect.counts.keys())
        .filter_map(|counter| Some(counter.split_once("{reason=")?.1.split_once(',')?.0))
        .collect();
    assert_eq!(counted, reasons);
}
