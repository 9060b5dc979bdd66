//! The table at the end of the demo.

use comfy_table::{
    Cell, CellAlignment, ColumnConstraint, Table, Width, presets::UTF8_FULL_CONDENSED,
};

use super::{
    check,
    plan::{RECORDS, Row},
    read_back::Stored,
};
use crate::Outcome;

const HEADER: [&str; 12] = [
    "", "sender", "sdk", "signal", "protocol", "gzip", "sent", "stored", "dropped", "reply",
    "tenant", "backend",
];
const NUMBERS: std::ops::Range<usize> = 6..9;
const REPLY: usize = 9;

/// The result of one row.
#[derive(Debug)]
pub struct Line {
    /// What was sent.
    pub row: Row,
    /// What the sender got.
    pub outcome: Outcome,
    /// The places of its records.
    pub stored: Vec<Stored>,
    /// What is wrong, in sentences.
    pub problems: Vec<String>,
}

/// All lines as one table. The replies are wrapped, so that the table fits on a wide screen.
pub fn table(lines: &[Line]) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED).set_header(HEADER);
    for line in lines {
        table.add_row(cells(line));
    }
    for column in NUMBERS {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    if let Some(replies) = table.column_mut(REPLY) {
        replies.set_constraint(ColumnConstraint::UpperBoundary(Width::Fixed(64)));
    }
    table
}

fn cells(Line { row, outcome, stored, problems }: &Line) -> Vec<Cell> {
    let each = |text: fn(&Stored) -> String| stored.iter().map(text).collect::<Vec<_>>().join("\n");
    let sender = match row.claims {
        Some(tenant) => format!("{}, claims {tenant}", row.sender.as_str()),
        None => row.sender.as_str().to_owned(),
    };
    let records: usize = stored.iter().map(|stored| stored.records).sum();
    let mut reply = outcome.reply.to_string();
    if let Some(partial) = &outcome.partial_success {
        reply = format!("{reply}, partial success: {}", partial.message);
    }
    [
        if problems.is_empty() { "ok" } else { "WRONG" }.to_owned(),
        sender,
        row.sdk.to_string(),
        row.signal.to_string(),
        row.protocol.to_string(),
        if row.gzip { "gzip" } else { "" }.to_owned(),
        RECORDS.to_string(),
        records.to_string(),
        check::told(row, outcome).to_string(),
        shortened(&reply),
        each(|stored| stored.tenant.clone()),
        each(|stored| stored.backend.to_string()),
    ]
    .into_iter()
    .map(Cell::new)
    .collect()
}

/// The libraries' messages about a failed handshake are long, but the table is for the messages of refusals.
fn shortened(reply: &str) -> String {
    const MOST: usize = 120;
    if reply.chars().count() <= MOST {
        return reply.to_owned();
    }
    reply.chars().take(MOST).chain("...".chars()).collect()
}
