//! `RESULTS.md`, and the lines of other files that have figures from it.

use std::{fmt::Write as _, path::Path, path::PathBuf, time::Duration};

use anyhow::{Context, Result};

use crate::{
    machine::Machine,
    payload::Encoding,
    plan::{Effort, Group, thousands},
    run::{Latency, Measured, Results},
    subject::Variant,
};

/// The value in the middle; 0 if there is none.
#[must_use]
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

/// Half of what lies between the least and the most.
fn spread(values: &[f64]) -> f64 {
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if values.is_empty() { 0.0 } else { (most - least) / 2.0 }
}

impl Measured {
    fn us(&self, variant: Variant) -> Option<f64> {
        let index = self.row.setups.iter().position(|setup| setup.variant == variant)?;
        let us = median(&self.cells.get(index)?.us);
        (us > 0.0).then_some(us)
    }

    fn ratio(&self, of: Variant, to: Variant) -> Option<f64> {
        Some(self.us(of)? / self.us(to)?)
    }

    /// Records a second on one core.
    fn records_a_second(&self, variant: Variant) -> Option<f64> {
        Some(self.row.payload.records as f64 * 1e6 / self.us(variant)?)
    }
}

impl Results {
    /// Whether the machine was too busy with something else for figures to publish.
    #[must_use]
    pub fn too_busy(&self) -> bool {
        median(&self.others) > BUSY
    }

    fn row(&self, group: Group, name: &str) -> Option<&Measured> {
        self.rows.iter().find(|row| row.row.group == group && row.row.name == name)
    }

    fn latency(&self, name: &str) -> Option<&Latency> {
        self.latencies.iter().find(|row| row.row.name == name)
    }

    fn idle(&self, variant: Variant) -> Option<f64> {
        let row = self.memory.iter().find(|row| row.setup.variant == variant)?;
        Some(mebibytes(row.idle.resident))
    }
}

/// More cores than this that are busy with something else: then latencies, at least, are not the program's alone.
const BUSY: f64 = 0.15;

fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

fn milliseconds(all: &[Duration]) -> Vec<f64> {
    all.iter().map(|one| one.as_secs_f64() * 1e3).collect()
}

/// A figure to reach.
struct Figure {
    what: &'static str,
    unit: &'static str,
    target: f64,
    /// Whether more is better.
    at_least: bool,
    value: Option<f64>,
    /// How far apart measurements of the value are. If that is more than the target, they cannot tell.
    spread: f64,
}

fn figures(results: &Results) -> Vec<Figure> {
    let gates = |name| results.row(Group::Gates, name);
    let peers = |name| results.row(Group::Peers, name);
    let of_bare = |name| gates(name).and_then(|row| row.ratio(Variant::Gate, Variant::Bare));
    let of_gate = |name| peers(name).and_then(|row| row.ratio(Variant::Collector, Variant::Gate));
    let most = |what, target, value| Figure {
        what,
        unit: "x bare",
        target,
        at_least: false,
        value,
        spread: 0.0,
    };
    let least = |what, value| Figure {
        what,
        unit: "x the gate",
        target: 7.0,
        at_least: true,
        value,
        spread: 0.0,
    };
    let gzip = gates("logs, 1,000, gzip");
    let added = gzip.and_then(|row| Some(row.us(Variant::Gate)? - row.us(Variant::Bare)?));
    let memory = results.idle(Variant::Gate).zip(results.idle(Variant::Bare));
    vec![
        most("10 log records", 1.4, of_bare("logs, 10")),
        most("1,000 log records", 1.4, of_bare("logs, 1,000")),
        most("1,000 spans, at the resource", 1.45, of_bare("traces, 1,000")),
        most("1,000 data points, at the data point", 1.9, of_bare("metrics, 1,000")),
        Figure { unit: "us over bare", ..most("1,000 log records in gzip", 260.0, added) },
        least("the Collector, 1,000 log records", of_gate("logs, 1,000, beside others")),
        least("the Collector, the same in gzip", of_gate("logs, 1,000, gzip, beside others")),
        Figure {
            unit: "ms over bare",
            spread: results.latency("latency, logs, 1,000").map_or(0.0, spread_of_p99),
            ..most(
                "p99 at half of the capacity, 1,000 log records",
                0.5,
                results.latency("latency, logs, 1,000").map(added_p99),
            )
        },
        Figure {
            unit: "MiB over bare",
            ..most("memory, idle, one worker", 30.0, memory.map(|(gate, bare)| gate - bare))
        },
    ]
}

fn added_p99(row: &Latency) -> f64 {
    median(&milliseconds(&row.gate.p99)) - median(&milliseconds(&row.bare.p99))
}

fn spread_of_p99(row: &Latency) -> f64 {
    spread(&milliseconds(&row.gate.p99)).max(spread(&milliseconds(&row.bare.p99)))
}

fn added_p50(row: &Latency) -> f64 {
    median(&milliseconds(&row.gate.p50)) - median(&milliseconds(&row.bare.p50))
}

/// The whole of `RESULTS.md`.
#[must_use]
pub fn markdown(
    results: &Results,
    machine: &Machine,
    effort: Effort,
    plots: &[(PathBuf, &'static str)],
) -> String {
    let mut text = String::new();
    head(&mut text, results, machine, effort);
    let summary = summary(results);
    if !summary.is_empty() {
        text.push('\n');
    }
    for line in summary {
        let _ = writeln!(text, "{}", wrapped(&line, "* ", "  "));
    }
    let reached = figures(results).into_iter().map(|figure| {
        let bound = if figure.at_least { "at least" } else { "at most" };
        let unit = figure.unit;
        let met = |value: f64| match figure.at_least {
            true => value >= figure.target,
            false => value <= figure.target,
        };
        let (value, met) = match figure.value {
            Some(value) if figure.spread > figure.target => {
                (format!("{} ±{} {unit}", short(value), short(figure.spread)), "cannot be told")
            }
            Some(value) => {
                (format!("{} {unit}", short(value)), if met(value) { "yes" } else { "no" })
            }
            None => ("not measured".into(), ""),
        };
        vec![figure.what.into(), format!("{bound} {} {unit}", figure.target), value, met.into()]
    });
    let header = ["what", "target", "measured", "reached"];
    table(&mut text, "Figures to reach", &header.map(str::to_owned), reached.collect());

    let failed = results
        .failed
        .iter()
        .map(|(name, reason)| vec![name.clone(), reason.replace('\n', " ").replace('|', "\\|")]);
    let header = ["what", "why"].map(str::to_owned);
    table(&mut text, "Not measured", &header, failed.collect());

    for (file, what) in plots {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let _ = writeln!(text, "\n![{what}](plots/{name})");
    }
    gates(&mut text, results);
    with_columns(&mut text, results, Group::Bodies, &[BODY]);
    with_columns(&mut text, results, Group::Peers, &[BODY]);
    latencies(&mut text, results);
    memory(&mut text, results);
    with_columns(&mut text, results, Group::Records, &[BODY]);
    with_columns(&mut text, results, Group::RecordsGzip, &[BODY]);
    with_columns(&mut text, results, Group::Connections, &[PER_SECOND, MEMORY]);
    with_columns(&mut text, results, Group::Senders, &[CERTIFICATES, MEMORY]);
    with_columns(&mut text, results, Group::Allow, &[MEMORY]);
    with_columns(&mut text, results, Group::Workers, &[PER_SECOND, MEMORY]);
    text
}

fn head(text: &mut String, results: &Results, machine: &Machine, effort: Effort) {
    let Effort { slice, rounds, .. } = effort;
    let _ = writeln!(text, "# What the gate costs in Envoy\n");
    let made = "`make bench-envoy` has written this file; [envoy/README.md](envoy/README.md) says what is measured and how.";
    let _ = writeln!(text, "{}\n", wrapped(made, "", ""));
    let others = median(&results.others);
    let most = results.others.iter().copied().fold(0.0, f64::max);
    let took = results.took.as_secs();
    let busy = format!(
        "A {} run of {} min {} s: each figure is the median of {rounds} measurements of {:.1} s, in turns with the \
         others of its row; ± is half of what lies between the least and the most. Meanwhile something else kept \
         {others:.2} cores busy (the median over all measurements; {most:.2} at most).{}",
        effort.name,
        took / 60,
        took % 60,
        slice.as_secs_f64(),
        if results.too_busy() {
            " **That is too busy a machine for figures to publish: run it again.**"
        } else {
            ""
        },
    );
    let _ = writeln!(text, "{}\n\n| machine | |\n|---|---|", wrapped(&busy, "", ""));
    for (name, value) in &machine.lines {
        let _ = writeln!(text, "| {name} | {value} |");
    }
}

/// `| a | b |`.
fn line(cells: &[String]) -> String {
    format!("| {} |", cells.join(" | "))
}

fn table(text: &mut String, heading: &str, header: &[String], rows: Vec<Vec<String>>) {
    if rows.is_empty() {
        return;
    }
    let rule = vec!["---".to_owned(); header.len()];
    let _ = writeln!(text, "\n## {heading}\n\n{}\n|{}|", line(header), rule.join("|"));
    for row in rows {
        let _ = writeln!(text, "{}", line(&row));
    }
}

fn with_spread(values: &[f64]) -> String {
    let (median, spread) = (median(values), spread(values));
    // With as many digits after the point as the median.
    let spread = if median < 10.0 { short(spread) } else { thousands(spread.round() as usize) };
    format!("{} ±{spread}", short(median))
}

/// Three digits that mean something.
fn short(value: f64) -> String {
    match value.abs() {
        1e6.. => format!("{:.2} million", value / 1e6),
        100.0.. => {
            let sign = if value < 0.0 { "-" } else { "" };
            format!("{sign}{}", thousands(value.abs().round() as usize))
        }
        10.0.. => format!("{value:.0}"),
        1.0.. => format!("{value:.2}"),
        _ => format!("{value:.2}"),
    }
}

fn times(ratio: Option<f64>) -> String {
    ratio.map_or_else(|| "-".into(), |ratio| format!("{ratio:.2} x"))
}

fn gates(text: &mut String, results: &Results) {
    let rows: Vec<_> = results.rows.iter().filter(|row| row.row.group == Group::Gates).collect();
    let Some(first) = rows.first() else { return };
    let variants: Vec<_> = first.row.setups.iter().map(|setup| setup.variant).collect();
    let mut header = vec!["us of CPU a request".to_owned(), "body".into()];
    header.extend(variants.iter().map(|variant| variant.name().to_owned()));
    let cells = |row: &&Measured| {
        let mut cells = vec![row.row.name.clone(), bytes(row.body)];
        cells.extend(row.cells.iter().map(|cell| with_spread(&cell.us)));
        cells
    };
    table(text, Group::Gates.heading(), &header, rows.iter().map(cells).collect());
    let ratios = |row: &&Measured| {
        let mut cells = vec![row.row.name.clone()];
        cells.extend(variants.iter().map(|&variant| times(row.ratio(variant, Variant::Bare))));
        cells
    };
    header[0] = "the same, of bare Envoy".into();
    header.remove(1);
    let rule = vec!["---".to_owned(); header.len()];
    let _ = writeln!(text, "\n{}\n|{}|", line(&header), rule.join("|"));
    for row in &rows {
        let _ = writeln!(text, "{}", line(&ratios(row)));
    }
}

/// A column besides the CPU time, for some tables.
type Column = (&'static str, fn(&Measured) -> String);

const BODY: Column = ("body", |row| match row.row.payload.encoding {
    Encoding::Plain => bytes(row.body),
    Encoding::Gzip | Encoding::Zstd => {
        format!("{} ({} decoded)", bytes(row.body), bytes(row.message))
    }
});

const CERTIFICATES: Column = ("certificates shown", |row| thousands(row.certificates));

const PER_SECOND: Column = ("requests a second", |row| {
    let each = row.cells.iter().map(|cell| short(median(&cell.per_second)));
    each.collect::<Vec<_>>().join(" / ")
});

const MEMORY: Column = ("MiB resident", |row| {
    let each = row.cells.iter().map(|cell| format!("{:.0}", mebibytes(cell.resident)));
    each.collect::<Vec<_>>().join(" / ")
});

/// A table with a column for each program, with ratios, and with more columns.
fn with_columns(text: &mut String, results: &Results, group: Group, more: &[Column]) {
    let rows: Vec<_> = results.rows.iter().filter(|row| row.row.group == group).collect();
    let Some(first) = rows.first() else { return };
    let variants: Vec<_> = first.row.setups.iter().map(|setup| setup.variant).collect();
    let has = |variant| variants.contains(&variant);
    let mut header = vec!["us of CPU a request".to_owned()];
    header.extend(variants.iter().map(|variant| variant.name().to_owned()));
    let mut pairs = Vec::new();
    for (of, to, name) in [
        (Variant::Gate, Variant::Bare, "gate / bare"),
        (Variant::Collector, Variant::Gate, "Collector / gate"),
        (Variant::Rotel, Variant::Gate, "Rotel / gate"),
    ] {
        if has(of) && has(to) {
            header.push(name.into());
            pairs.push((of, to));
        }
    }
    header.push("records a second on one core, gate".into());
    header.extend(more.iter().map(|(name, _)| (*name).to_owned()));
    let cells = |row: &&Measured| {
        let mut cells = vec![row.row.name.trim_end_matches(", beside others").to_owned()];
        cells.extend(row.cells.iter().map(|cell| with_spread(&cell.us)));
        cells.extend(pairs.iter().map(|&(of, to)| times(row.ratio(of, to))));
        cells.push(row.records_a_second(Variant::Gate).map_or_else(|| "-".into(), short));
        cells.extend(more.iter().map(|(_, value)| value(row)));
        cells
    };
    table(text, group.heading(), &header, rows.iter().map(cells).collect());
}

fn latencies(text: &mut String, results: &Results) {
    let header = [
        "ms, from when a request was due",
        "requests a second",
        "bare p50",
        "gate p50",
        "added",
        "bare p99",
        "gate p99",
        "added",
        "bare p99.9",
        "gate p99.9",
        "added",
    ];
    let cells = |row: &Latency| {
        let name = row.row.name.trim_start_matches("latency, ");
        let name = if row.row.curve { name.to_owned() } else { format!("{name}, at 50 %") };
        let behind = if row.fell_behind { " (fell behind)" } else { "" };
        let name = format!("{name}{behind}");
        let mut cells = vec![name, short(row.rate)];
        for (bare, gate) in [
            (&row.bare.p50, &row.gate.p50),
            (&row.bare.p99, &row.gate.p99),
            (&row.bare.p999, &row.gate.p999),
        ] {
            let (bare, gate) = (milliseconds(bare), milliseconds(gate));
            cells.extend([with_spread(&bare), with_spread(&gate)]);
            cells.push(format!("{:.2}", median(&gate) - median(&bare)));
        }
        cells
    };
    let rows = results.latencies.iter().map(cells).collect();
    table(
        text,
        "Latency in the open loop, at a part of the gate's capacity",
        &header.map(str::to_owned),
        rows,
    );
}

fn memory(text: &mut String, results: &Results) {
    let header = [
        "MiB resident",
        "idle",
        "after load",
        "at most in a burst",
        "after the burst",
        "ready after",
    ];
    let cells = |row: &crate::run::MemoryRow| {
        let figures = [row.idle.resident, row.load.resident, row.burst.peak, row.burst.resident];
        let mut cells = vec![row.setup.variant.name().to_owned()];
        cells.extend(figures.map(|bytes| format!("{:.0}", mebibytes(bytes))));
        cells.push(format!("{:.2} s", row.ready_after.as_secs_f64()));
        cells
    };
    let rows = results.memory.iter().map(cells).collect();
    table(text, "Memory, with one worker", &header.map(str::to_owned), rows);
}

/// `183 KB`.
fn bytes(bytes: usize) -> String {
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..10_000 => format!("{:.1} KB", bytes as f64 / 1e3),
        10_000..1_000_000 => format!("{:.0} KB", bytes as f64 / 1e3),
        _ => format!("{:.1} MB", bytes as f64 / 1e6),
    }
}

/// The three sentences that say the most, as far as they were measured.
#[must_use]
pub fn summary(results: &Results) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(row) = results.row(Group::Gates, "logs, 1,000")
        && let (Some(bare), Some(gate), Some(records)) =
            (row.us(Variant::Bare), row.us(Variant::Gate), row.records_a_second(Variant::Gate))
    {
        lines.push(format!(
            "A request with 1,000 log records over mutual TLS takes {} us of CPU through the gate and {} us through \
             Envoy alone, {:.1} times as much: {} records a second on one core.",
            short(gate),
            short(bare),
            gate / bare,
            short(records),
        ));
    }
    let others = |name| {
        let row = results.row(Group::Peers, name)?;
        row.ratio(Variant::Collector, Variant::Gate).zip(row.ratio(Variant::Rotel, Variant::Gate))
    };
    if let (Some((collector, rotel)), Some((collector_gzip, _))) =
        (others("logs, 1,000, beside others"), others("logs, 1,000, gzip, beside others"))
    {
        lines.push(format!(
            "The OpenTelemetry Collector with the same rule takes {collector:.1} times the gate's CPU, and \
             {collector_gzip:.1} times for gzip; Rotel, without TLS and without rules, takes {rotel:.1} times as much.",
        ));
    }
    if let Some(row) = results.latency("latency, logs, 1,000")
        && let Some((gate, bare)) = results.idle(Variant::Gate).zip(results.idle(Variant::Bare))
    {
        let p99 = match (added_p99(row), spread_of_p99(row)) {
            (added, spread) if added > spread => format!("{added:.2} ms to its 99th percentile"),
            (_, spread) => {
                format!(
                    "to its 99th percentile less than what measurements differ by ({spread:.1} ms)"
                )
            }
        };
        lines.push(format!(
            "At half of its capacity the gate adds {:.2} ms to the median of the latency, and {p99}. With one worker, it \
             adds {:.0} MiB of memory to Envoy's {bare:.0}.",
            added_p50(row),
            gate - bare,
        ));
    }
    lines
}

/// What an operator needs to size a gateway.
#[must_use]
pub fn sizing(results: &Results) -> Vec<String> {
    let mut lines = Vec::new();
    let each: Vec<_> = ["logs, 1,000", "logs, 1,000, gzip", "metrics, 1,000", "traces, 1,000"]
        .into_iter()
        .filter_map(|name| {
            let row = results.row(Group::Gates, name)?;
            let records = row.records_a_second(Variant::Gate)?;
            let ratio = row.ratio(Variant::Gate, Variant::Bare)?;
            Some(format!("{} ({}; {ratio:.1} times Envoy alone)", short(records), row.row.name))
        })
        .collect();
    if !each.is_empty() {
        lines.push(format!(
            "**Measured CPU.** Records a second on one core, with 1,000 in a request: {}.",
            each.join(", ")
        ));
    }
    if let Some(row) = results.memory.iter().find(|row| row.setup.variant == Variant::Gate) {
        lines.push(format!(
            "**Measured memory.** With one worker {:.0} MiB idle, {:.0} MiB after load, {:.0} MiB at most while 64 senders sent \
             bodies of 10,000 records.",
            mebibytes(row.idle.resident),
            mebibytes(row.load.resident),
            mebibytes(row.burst.peak),
        ));
    }
    lines
}

/// Puts the lines, as a list, between the marks of a file.
///
/// # Errors
/// If the file cannot be written, or has no marks.
pub fn fill_in(path: &Path, lines: &[String]) -> Result<()> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let filled = filled(&text, lines)
        .with_context(|| format!("{} has no {BEGIN} .. {END}", path.display()))?;
    std::fs::write(path, filled).with_context(|| path.display().to_string())
}

const BEGIN: &str = "<!-- make bench-envoy writes: -->";
const END: &str = "<!-- until here -->";

fn filled(text: &str, lines: &[String]) -> Option<String> {
    let (before, rest) = text.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    let list: Vec<_> = lines.iter().map(|line| wrapped(line, "* ", "  ")).collect();
    Some(format!("{before}{BEGIN}\n{}\n{END}{after}", list.join("\n")))
}

/// The text in lines of at most 120 characters.
fn wrapped(text: &str, first: &str, others: &str) -> String {
    let mut lines = vec![first.to_owned()];
    let mut empty = true;
    for word in text.split_whitespace() {
        let Some(line) = lines.last_mut() else { break };
        if !empty && line.chars().count() + 1 + word.chars().count() > 120 {
            lines.push(format!("{others}{word}"));
        } else {
            line.extend((!empty).then_some(' '));
            line.push_str(word);
        }
        empty = false;
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_between_the_marks_is_replaced_and_nothing_else() {
        let text = format!("before\n{BEGIN}\n* old\n{END}\nafter\n");
        let new = filled(&text, &["one".into(), "word ".repeat(40)]).unwrap();
        assert!(new.starts_with(&format!("before\n{BEGIN}\n* one\n* word ")), "{new}");
        assert!(new.ends_with(&format!("word\n{END}\nafter\n")), "{new}");
        assert!(!new.contains("old") && new.lines().all(|line| line.len() <= 120), "{new}");
        assert_eq!(filled("no marks", &[]), None);
    }

    #[test]
    fn a_median_is_a_value_that_was_measured_and_a_spread_is_half_of_the_range() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(spread(&[3.0, 1.0, 2.0]), 1.0);
        assert_eq!((median(&[]), spread(&[])), (0.0, 0.0));
    }

    #[test]
    fn figures_have_three_digits_that_mean_something() {
        let all = [0.123, 1.234, 12.3, 431.4, 1_234.4, 2_325_581.0].map(short);
        assert_eq!(all, ["0.12", "1.23", "12", "431", "1,234", "2.33 million"]);
    }
}
