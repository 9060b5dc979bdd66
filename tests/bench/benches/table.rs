//! Measures every row natively and in wasm, and prints the table. An argument names a part of the
//! rows' names: only those are run.

use std::path::Path;

use sluice_bench::{
    guest::Guest,
    native,
    row::{self, Row},
    table::{Line, table},
    timing::Effort,
};
use sluice_bench_work::Work;
use wasmtime::{Result, ensure, error::Context};

fn main() -> Result<()> {
    let wanted: Vec<_> = std::env::args().skip(1).filter(|text| text != "--bench").collect();
    let wanted = |row: &Row| wanted.is_empty() || wanted.iter().any(|text| row.name.contains(text));
    let module = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../dist/sluice-bench-guest.wasm");
    let guest = Guest::from_file(&module)?;
    let mut groups = Vec::new();
    for (heading, rows) in row::all(1) {
        let lines = rows.into_iter().filter(wanted).map(|row| {
            eprintln!("{}", row.name);
            measure(&guest, &row).with_context(|| row.name.clone())
        });
        groups.push((heading, lines.collect::<Result<Vec<_>>>()?));
    }
    groups.retain(|(_, lines)| !lines.is_empty());
    println!("{}", table(&groups));
    Ok(())
}

fn measure(guest: &Guest, row: &Row) -> Result<Line> {
    let request = row.request();
    let work = row.task.clone().prepare()?;
    let (_, reading) = native::measure(&Work::Read, &request, Effort::FULL);
    let (outcome, native) = native::measure(&work, &request, Effort::FULL);
    let (in_wasm, wasm) = guest.measure(&row.task, &request, Effort::FULL)?;
    let expected = row.expected.unwrap_or(outcome);
    ensure!(outcome == expected, "natively it is {outcome}, and {expected} is expected");
    ensure!(in_wasm == expected.to_string(), "in wasm it is {in_wasm}, and {expected} is expected");
    Ok(Line {
        name: row.name.clone(),
        request: request.len(),
        reading: reading.time,
        native,
        wasm,
        outcome: if row.expected.is_some() { in_wasm } else { "-".into() },
    })
}
