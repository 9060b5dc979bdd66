//! The table that the benchmark prints.

use std::time::Duration;

use comfy_table::{Cell, CellAlignment, Table, presets::UTF8_FULL_CONDENSED};

use crate::{guest, native};

const HEADER: [&str; 12] = [
    "",
    "request",
    "native",
    "GB/s",
    "of reading",
    "allocs",
    "peak",
    "wasm",
    "GB/s",
    "of native",
    "memory",
    "outcome",
];
const NUMBERS: std::ops::Range<usize> = 1..11;

/// The results of a row.
#[derive(Debug)]
pub struct Line {
    /// The row's name.
    pub name: String,
    /// The request's length in bytes.
    pub request: usize,
    /// The time to read every byte of it, natively.
    pub reading: Duration,
    /// The cost natively.
    pub native: native::Cost,
    /// The cost in wasm.
    pub wasm: guest::Cost,
    /// The outcome.
    pub outcome: String,
}

/// The lines of each group under its heading, as one table.
#[must_use]
pub fn table(groups: &[(&str, Vec<Line>)]) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED).set_header(HEADER);
    for (heading, lines) in groups {
        table.add_row([Cell::new(heading.to_uppercase())]);
        for line in lines {
            table.add_row(cells(line));
        }
    }
    for column in NUMBERS {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

fn cells(Line { name, request, reading, native, wasm, outcome }: &Line) -> Vec<Cell> {
    [
        name.clone(),
        bytes(*request as f64),
        time(native.time),
        rate(*request, native.time),
        ratio(native.time, *reading),
        native.allocations.to_string(),
        bytes(native.peak as f64),
        time(wasm.time),
        rate(*request, wasm.time),
        ratio(wasm.time, native.time),
        bytes(wasm.memory as f64),
        outcome.clone(),
    ]
    .into_iter()
    .map(Cell::new)
    .collect()
}

/// Three digits for every size.
fn digits(value: f64) -> String {
    match value {
        10_000.0.. => format!("{:.0}k", value / 1_000.0),
        100.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}"),
        0.1.. => format!("{value:.2}"),
        _ => format!("{value:.4}"),
    }
}

fn bytes(count: f64) -> String {
    match count {
        1e6.. => format!("{} MB", digits(count / 1e6)),
        1e3.. => format!("{} KB", digits(count / 1e3)),
        _ => format!("{count} B"),
    }
}

fn time(time: Duration) -> String {
    let nanos = time.as_secs_f64() * 1e9;
    match nanos {
        1e6.. => format!("{} ms", digits(nanos / 1e6)),
        1e3.. => format!("{} µs", digits(nanos / 1e3)),
        _ => format!("{nanos:.0} ns"),
    }
}

fn rate(bytes: usize, time: Duration) -> String {
    digits(bytes as f64 / time.as_secs_f64() / 1e9)
}

fn ratio(time: Duration, to: Duration) -> String {
    digits(time.as_secs_f64() / to.as_secs_f64()) + "x"
}
