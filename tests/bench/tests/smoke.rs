//! Runs every row once, small and natively, to check that the benchmark still runs and still measures what it says.

use sluice_bench::{native, row, timing::Effort};

#[test]
fn every_row_comes_to_what_it_says() {
    for row in row::all(1_000).into_iter().flat_map(|(_, rows)| rows) {
        let work = row.task.clone().prepare().unwrap_or_else(|e| panic!("{}: {e}", row.name));
        let (outcome, _) = native::measure(&work, &row.request(), Effort::ONCE);
        assert_eq!(outcome, row.expected.unwrap_or(outcome), "{}", row.name);
    }
}
