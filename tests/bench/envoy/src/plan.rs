//! What is measured, in which order, and how long that takes.

use std::time::Duration;

use sluice_otlp::Signal;

use crate::{
    payload::{Encoding, Payload, Protocol},
    subject::{Setup, Variant},
};

/// The table that a row belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// What each part of the gate costs.
    Gates,
    /// Protocols, encodings, lengths of records, drops.
    Bodies,
    /// Other programs under the same rule.
    Peers,
    /// More and more records in a request.
    Records,
    /// The same, compressed.
    RecordsGzip,
    /// More and more connections.
    Connections,
    /// More and more senders.
    Senders,
    /// Longer and longer allowlists.
    Allow,
    /// More workers.
    Workers,
}

impl Group {
    /// All, in the order in which they are measured.
    pub const ALL: [Self; 9] = [
        Self::Gates,
        Self::Bodies,
        Self::Peers,
        Self::Records,
        Self::RecordsGzip,
        Self::Connections,
        Self::Senders,
        Self::Allow,
        Self::Workers,
    ];

    /// The heading of its table.
    #[must_use]
    pub fn heading(self) -> &'static str {
        match self {
            Self::Gates => "What each part of the gate costs",
            Self::Bodies => "Protocols, encodings, lengths, drops",
            Self::Peers => "Other programs under the same rule",
            Self::Records => "Growth with records",
            Self::RecordsGzip => "Growth with records, in gzip",
            Self::Connections => "Growth with connections",
            Self::Senders => "Growth with senders",
            Self::Allow => "Growth with the allowlist",
            Self::Workers => "Growth with workers",
        }
    }
}

/// A row: one kind of load on some programs.
#[derive(Clone, Debug)]
pub struct Row {
    /// Its table.
    pub group: Group,
    /// Its name.
    pub name: String,
    /// What grows along the rows of its table, for tables of growth.
    pub size: usize,
    /// The request.
    pub payload: Payload,
    /// How it is sent.
    pub protocol: Protocol,
    /// The programs.
    pub setups: Vec<Setup>,
    /// Connections of the load, each with one request at a time.
    pub connections: usize,
    /// If not `None`, a connection is closed after so many requests, and the next sender opens another.
    pub per_connection: Option<usize>,
    /// Senders, each with its own certificate.
    pub senders: usize,
}

impl Row {
    fn new(group: Group, name: impl Into<String>, payload: Payload, variants: &[Variant]) -> Self {
        let setup = |&variant| Setup::new(variant, payload.encoding);
        Self {
            group,
            name: name.into(),
            size: 0,
            payload,
            protocol: Protocol::Http1,
            setups: variants.iter().map(setup).collect(),
            connections: 4,
            per_connection: None,
            senders: 1,
        }
    }
}

/// A row of latencies in the open loop.
#[derive(Clone, Debug)]
pub struct LatencyRow {
    /// Its name.
    pub name: String,
    /// The request.
    pub payload: Payload,
    /// The load, as a part of what the gate can take on its core.
    pub load: f64,
    /// Whether it is a point of the curve and not a row of the table.
    pub curve: bool,
}

/// How long is measured.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// The name in the results.
    pub name: &'static str,
    /// Load that is not measured, before each program's first measurement in a row: V8 optimises what runs often.
    pub warm: Duration,
    /// One measurement.
    pub slice: Duration,
    /// One measurement where senders come and go, and one of latencies.
    pub long: Duration,
    /// How long a program is left alone before its memory is looked at: it gives back what is free bit by bit.
    pub settle: Duration,
    /// Measurements of each cell, in turns with those of the row's other cells.
    pub rounds: usize,
    /// The most senders with certificates of their own.
    pub senders: usize,
}

impl Effort {
    /// For figures to publish.
    pub const FULL: Self = Self {
        name: "full",
        warm: Duration::from_millis(800),
        slice: Duration::from_millis(1_500),
        long: Duration::from_secs(4),
        settle: Duration::from_secs(8),
        rounds: 3,
        senders: 10_000,
    };

    /// For a first look.
    pub const QUICK: Self = Self {
        name: "quick",
        warm: Duration::from_millis(300),
        slice: Duration::from_millis(400),
        long: Duration::from_millis(800),
        settle: Duration::from_secs(3),
        rounds: 3,
        senders: 1_000,
    };

    /// For a test that everything runs: the figures say nothing.
    pub const SMOKE: Self = Self {
        name: "smoke",
        warm: Duration::ZERO,
        slice: Duration::from_millis(5),
        long: Duration::from_millis(20),
        settle: Duration::ZERO,
        rounds: 1,
        senders: 3,
    };
}

/// Everything that is to be measured.
#[derive(Clone, Debug)]
pub struct Plan {
    /// How long.
    pub effort: Effort,
    /// The rows of CPU time.
    pub rows: Vec<Row>,
    /// The rows of latencies.
    pub latencies: Vec<LatencyRow>,
    /// The programs whose memory is measured.
    pub memory: Vec<Setup>,
}

/// The name under which the measurement of memory can be chosen.
const MEMORY: &str = "memory";

impl Plan {
    /// Everything.
    #[must_use]
    pub fn new(effort: Effort) -> Self {
        let latency = |name: &str, payload, load, curve| LatencyRow {
            name: format!("latency, {name}"),
            payload,
            load,
            curve,
        };
        let thousand = Payload::logs(1_000);
        let mut latencies = vec![
            latency("logs, 10", Payload::logs(10), 0.5, false),
            latency("logs, 1,000", thousand, 0.5, false),
            latency("logs, 1,000, gzip", thousand.encoded(Encoding::Gzip), 0.5, false),
        ];
        latencies.extend([10, 25, 50, 75, 90].map(|percent| {
            let name = format!("curve: logs, 1,000, at {percent} %");
            latency(&name, thousand, f64::from(percent) / 100.0, true)
        }));
        let memory = [Variant::Bare, Variant::Gate, Variant::Collector, Variant::Rotel];
        Self {
            effort,
            rows: rows(effort),
            latencies,
            memory: memory.map(|variant| Setup::new(variant, Encoding::Plain)).into(),
        }
    }

    /// Only what has this text in the heading of its table or in its name.
    pub fn only(&mut self, text: &str) {
        self.rows.retain(|row| row.name.contains(text) || row.group.heading().contains(text));
        self.latencies.retain(|row| row.name.contains(text));
        self.memory.retain(|_| MEMORY.contains(text));
    }

    /// Only these variants.
    pub fn only_variants(&mut self, variants: &[Variant]) {
        let keep = |setup: &Setup| variants.contains(&setup.variant);
        self.rows.iter_mut().for_each(|row| row.setups.retain(keep));
        self.rows.retain(|row| !row.setups.is_empty());
        self.memory.retain(keep);
    }

    /// Whether there is nothing to measure.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.latencies.is_empty() && self.memory.is_empty()
    }

    /// About how long it takes.
    #[must_use]
    pub fn takes(&self) -> Duration {
        let Effort { warm, slice, long, settle, rounds, .. } = self.effort;
        let rounds = u32::try_from(rounds).unwrap_or(u32::MAX);
        let rows = self.rows.iter().map(|row| {
            let cells = u32::try_from(row.setups.len()).unwrap_or(u32::MAX);
            (warm + rounds * row.slice(self.effort) + CELL) * cells
        });
        let latencies = self.latencies.iter().map(|_| 2 * (warm + rounds * long) + slice);
        let memory = self.memory.iter().map(|_| START + 2 * long + 3 * settle);
        let mut setups: Vec<_> = self.rows.iter().flat_map(|row| row.setups.clone()).collect();
        setups.sort();
        setups.dedup();
        let starts = setups.iter().map(|_| START);
        rows.chain(latencies).chain(memory).chain(starts).sum()
    }
}

impl Row {
    /// How long one measurement of this row takes.
    #[must_use]
    pub fn slice(&self, effort: Effort) -> Duration {
        if self.per_connection.is_some() { effort.long } else { effort.slice }
    }
}

/// How long a program takes to start, about.
const START: Duration = Duration::from_secs(1);

/// What a cell takes besides its measurements, about.
const CELL: Duration = Duration::from_millis(50);

fn rows(effort: Effort) -> Vec<Row> {
    use Encoding::{Gzip, Zstd};
    use Variant::{
        Bare, Buffer, Collector, Gate, NoLog, NoLua, NotHeld, RecordsOff, Rotel, SendersOff,
        TenantAlone,
    };

    let logs = Payload::logs;
    let both = &[Bare, Gate];
    let gates = &[Bare, NoLog, Buffer, Gate, NoLua, NotHeld, TenantAlone, SendersOff, RecordsOff];
    let peers = &[Bare, Gate, Collector, Rotel];
    let metrics = logs(1_000).of(Signal::Metrics);
    let traces = logs(1_000).of(Signal::Traces);

    let gate = |name: &str, payload| Row::new(Group::Gates, name, payload, gates);
    let mut rows = vec![
        gate("logs, 10", logs(10)),
        gate("logs, 1,000", logs(1_000)),
        gate("logs, 1,000, gzip", logs(1_000).encoded(Gzip)),
        gate("metrics, 1,000", metrics),
        gate("traces, 1,000", traces),
        gate("traces, 1,000, gzip", traces.encoded(Gzip)),
    ];

    let body = |name: &str, payload| Row::new(Group::Bodies, name, payload, both);
    for bytes in [300, 1_000] {
        let sized = logs(512).sized(bytes, 0);
        for (suffix, encoding) in [("", Encoding::Plain), (", gzip", Gzip), (", zstd", Zstd)] {
            let name = format!("logs of {} B, 512{suffix}", thousands(bytes));
            rows.push(body(&name, sized.encoded(encoding)));
        }
    }
    for lacking in [0, 1, 30] {
        let sized = logs(1_000).sized(300, lacking);
        rows.push(body(&format!("logs of 300 B, 1,000, {lacking} % dropped"), sized));
    }
    rows.push(body(
        "logs of 300 B, 1,000, 30 % dropped, gzip",
        logs(1_000).sized(300, 30).encoded(Gzip),
    ));
    rows.push(body("logs, 1,000, zstd", logs(1_000).encoded(Zstd)));
    rows.push(body("metrics, 1,000, gzip", metrics.encoded(Gzip)));
    let over = |name: &str, protocol, payload| Row { protocol, ..body(name, payload) };
    rows.extend([
        over("logs, 1,000, HTTP/2", Protocol::Http2, logs(1_000)),
        over("logs, 10, HTTP/2", Protocol::Http2, logs(10)),
        over("logs, 1,000, gRPC", Protocol::Grpc, logs(1_000)),
        over("logs, 1,000, gRPC, gzip", Protocol::Grpc, logs(1_000).encoded(Gzip)),
    ]);
    let mut plain = body("logs, 1,000, without TLS (and senders)", logs(1_000));
    plain.setups.iter_mut().for_each(|setup| setup.tls = false);
    rows.push(plain);

    let peer = |name: &str, payload| Row::new(Group::Peers, name, payload, peers);
    rows.extend([
        peer("logs, 1,000, beside others", logs(1_000)),
        peer("logs, 1,000, gzip, beside others", logs(1_000).encoded(Gzip)),
        peer("logs of 1,000 B, 512, beside others", logs(512).sized(1_000, 0)),
        peer("logs of 300 B, 1,000, 30 % dropped, beside others", logs(1_000).sized(300, 30)),
        peer("metrics, 1,000, beside others", metrics),
        peer("traces, 1,000, beside others", traces),
    ]);

    for records in [10, 100, 512, 1_000, 10_000] {
        let name = format!("{} records", thousands(records));
        let plain = Row::new(Group::Records, name.clone(), logs(records), peers);
        let gzip = logs(records).encoded(Gzip);
        let gzip = Row::new(Group::RecordsGzip, format!("{name}, gzip"), gzip, both);
        rows.extend([plain, gzip].map(|row| Row { size: records, ..row }));
    }

    for connections in [1, 4, 16, 64, 256] {
        let name = counted(connections, "connection");
        let row = Row::new(Group::Connections, name, logs(10), both);
        rows.push(Row { size: connections, connections, ..row });
    }

    for senders in [1, 100, effort.senders] {
        let name = counted(senders, "sender");
        let row = Row::new(Group::Senders, name, logs(10), both);
        rows.push(Row { size: senders, connections: 16, per_connection: Some(4), senders, ..row });
    }

    for entries in [2, 100, 10_000] {
        let mut row =
            Row::new(Group::Allow, format!("{} entries", thousands(entries)), logs(10), &[Gate]);
        row.setups.iter_mut().for_each(|setup| setup.allow = Some(entries));
        rows.push(Row { size: entries, ..row });
    }

    for workers in [1, 2] {
        let mut row = Row::new(Group::Workers, counted(workers, "worker"), logs(1_000), both);
        row.setups.iter_mut().for_each(|setup| setup.workers = workers);
        rows.push(Row { size: workers, connections: 16, ..row });
    }
    rows.sort_by_key(|row| row.group);
    rows
}

/// `1 sender`, `100 senders`.
fn counted(number: usize, noun: &str) -> String {
    format!("{} {noun}{}", thousands(number), if number == 1 { "" } else { "s" })
}

/// `10,000`.
#[must_use]
pub fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy).collect();
    groups.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_takes_about_twenty_minutes_and_a_look_a_few() {
        let minutes = |effort| Plan::new(effort).takes().as_secs() / 60;
        assert!((15..=22).contains(&minutes(Effort::FULL)), "{}", minutes(Effort::FULL));
        assert!(minutes(Effort::QUICK) <= 6, "{}", minutes(Effort::QUICK));
    }

    #[test]
    fn no_two_rows_of_a_table_have_one_name() {
        let rows = Plan::new(Effort::FULL).rows;
        let mut names: Vec<_> = rows.iter().map(|row| (row.group, &row.name)).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), rows.len());
    }

    #[test]
    fn rows_are_chosen_by_a_part_of_their_names() {
        let mut plan = Plan::new(Effort::QUICK);
        plan.only("senders");
        assert!(plan.rows.iter().any(|row| row.name.contains("senders")));
        assert!(plan.memory.is_empty() && plan.latencies.is_empty() && !plan.is_empty());
        plan.only("nothing has this name");
        assert!(plan.is_empty());
    }
}
