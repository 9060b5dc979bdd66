//! The rows of the table: requests, and what is run on them.

use std::io::Write;

use flate2::{Compression, write::GzEncoder};
use serde_json::json;
use sluice_bench_work::{Outcome, Task};
use sluice_otlp::Signal;

use crate::telemetry::{self, REQUIRED};

/// A row of the table.
pub struct Row {
    /// What it is called.
    pub name: String,
    /// What is run.
    pub task: Task,
    /// What must come of it; `None` if any will do. A row that does something else measures
    /// something else.
    pub expected: Option<Outcome>,
    request: Box<dyn Fn() -> Vec<u8>>,
}

impl Row {
    /// Makes the request. It may be large: the rows do not keep theirs.
    #[must_use]
    pub fn request(&self) -> Vec<u8> {
        (self.request)()
    }
}

/// The rows in groups, with their headings.
pub type Groups = [(&'static str, Vec<Row>); 3];

/// A content encoding under which a bomb is sent: its name, and how bytes are encoded.
type Encoder = (&'static str, fn(&[u8]) -> std::io::Result<Vec<u8>>);

/// Every encoding that the gate takes.
const ENCODERS: [Encoder; 1] = [("gzip", gzip)];

fn gzip(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes)?;
    encoder.finish()
}

const MIB: usize = 1 << 20;

/// All rows. `shrink` divides what there is much of: 1 for figures to go by, more to see that the
/// rows run at all.
#[must_use]
pub fn all(shrink: usize) -> Groups {
    let few = |count: usize| (count / shrink).max(6);
    [
        ("telemetry: the rules alone", telemetry_rows(&few)),
        ("many and large: the whole gate, from the head to the cut body", large_rows(&few)),
        ("bombs: the whole gate", ENCODERS.iter().map(|encoder| bomb(encoder, &few)).collect()),
    ]
}

fn every(_: usize) -> bool {
    true
}

fn two_in_three(index: usize) -> bool {
    !index.is_multiple_of(3)
}

fn every_other(index: usize) -> bool {
    index.is_multiple_of(2)
}

fn telemetry_rows(few: &dyn Fn(usize) -> usize) -> Vec<Row> {
    let mut rows = vec![Row {
        name: "every byte read once, nothing decided".into(),
        task: Task::Read,
        expected: None,
        request: points(few(1_000)),
    }];
    rows.extend([10, 100, 1_000, 10_000].map(few).map(|records| {
        let name = format!("logs at the resource, {}", counted(records, "record"));
        let rules = rules(Signal::Logs, json!({"logs": "resource"}));
        row(name, rules, Outcome::Kept, move || telemetry::logs(records, every))
    }));
    let n = few(1_000);
    let thirds = Outcome::Dropped(n.div_ceil(3) as u64);
    rows.extend([
        row(
            format!("logs at the record, {}", counted(n, "record")),
            rules(Signal::Logs, json!({"logs": "record"})),
            Outcome::Kept,
            move || telemetry::logs(n, every),
        ),
        row(
            format!("metrics at the data point, {}", counted(n, "gauge point")),
            rules(Signal::Metrics, json!({"metrics": "datapoint"})),
            Outcome::Kept,
            points(n),
        ),
        row(
            "the same, one in three dropped".into(),
            rules(Signal::Metrics, json!({"metrics": "datapoint"})),
            thirds,
            move || telemetry::gauges(n, two_in_three),
        ),
        row(
            format!("metrics at the data point, {}", counted(n, "histogram point")),
            rules(Signal::Metrics, json!({"metrics": "datapoint"})),
            Outcome::Kept,
            move || telemetry::histograms(n, every),
        ),
        row(
            format!("traces at the resource, {}", counted(n, "span")),
            rules(Signal::Traces, json!({"traces": "resource"})),
            Outcome::Kept,
            move || telemetry::traces(n, every),
        ),
        row(
            format!("traces at the span, {}", counted(n, "span")),
            rules(Signal::Traces, json!({"traces": "span"})),
            Outcome::Kept,
            move || telemetry::traces(n, every),
        ),
    ]);
    rows
}

fn large_rows(few: &dyn Fn(usize) -> usize) -> Vec<Row> {
    let million = few(1_000_000);
    // As many as fit 64 MiB.
    let (records, data_points) = (few(395_000), few(665_000));
    let (nested, levels) = (few(1_000), 100);
    vec![
        row(
            "64 MiB of log records, at the record".into(),
            gate(Signal::Logs, json!({"logs": "record"}), None, 64 * MIB),
            Outcome::Kept,
            move || telemetry::logs(records, every),
        ),
        row(
            "64 MiB of gauge points, at the data point".into(),
            gate(Signal::Metrics, json!({}), None, 64 * MIB),
            Outcome::Kept,
            points(data_points),
        ),
        row(
            format!("{}, at the resource", counted(million, "empty log record")),
            gate(Signal::Logs, json!({}), None, 64 * MIB),
            Outcome::Kept,
            move || telemetry::tiny_logs(million),
        ),
        row(
            counted(million, "tiny data point"),
            gate(Signal::Metrics, json!({}), None, 64 * MIB),
            Outcome::Kept,
            move || telemetry::tiny_points(million, every),
        ),
        row(
            "the same, every other dropped".into(),
            gate(Signal::Metrics, json!({}), None, 64 * MIB),
            Outcome::Dropped(million as u64 / 2),
            move || telemetry::tiny_points(million, every_other),
        ),
        row(
            format!("{}, value nested {levels} levels", counted(nested, "data point")),
            gate(Signal::Metrics, json!({}), None, 64 * MIB),
            Outcome::Kept,
            move || telemetry::nested_points(nested, levels),
        ),
    ]
}

/// Zeros that decode to a mebibyte more than the gate decodes.
fn bomb(&(encoding, encode): &Encoder, few: &dyn Fn(usize) -> usize) -> Row {
    let limit = few(64 * MIB);
    row(
        format!("{encoding} of zeros, over the limit"),
        gate(Signal::Logs, json!({}), Some(encoding), limit),
        Outcome::Refused("decoded_too_large"),
        move || encode(&vec![0; limit + MIB]).expect("a Vec takes every byte"),
    )
}

fn row(
    name: String,
    task: Task,
    expected: Outcome,
    request: impl Fn() -> Vec<u8> + 'static,
) -> Row {
    Row { name, task, expected: Some(expected), request: Box::new(request) }
}

fn points(points: usize) -> Box<dyn Fn() -> Vec<u8>> {
    Box::new(move || telemetry::gauges(points, every))
}

/// The rules alone; `levels` are the levels at which they look, as in `records.require`.
fn rules(signal: Signal, levels: serde_json::Value) -> Task {
    Task::Rules { path: signal.http_path().into(), records: section(levels) }
}

/// The whole gate over HTTP, with a limit on the decoded body.
fn gate(
    signal: Signal,
    levels: serde_json::Value,
    encoding: Option<&str>,
    decoded_bytes: usize,
) -> Task {
    let mut headers = vec![
        (":method".into(), "POST".into()),
        (":path".into(), signal.http_path().into()),
        ("content-type".into(), "application/x-protobuf".into()),
    ];
    headers.extend(encoding.map(|encoding| ("content-encoding".into(), encoding.into())));
    let configuration = json!({
        "records": section(levels),
        "backends": {
            "logs": {"kind": "loki", "cluster": "loki"},
            "metrics": {"kind": "mimir", "cluster": "mimir"},
            "traces": {"kind": "tempo", "cluster": "tempo"},
        },
        "limits": {"bodyBytes": 64 * MIB, "decodedBytes": decoded_bytes},
        "holdHeaders": true,
    });
    Task::Gate { configuration, headers }
}

fn section(levels: serde_json::Value) -> serde_json::Value {
    let mut require = levels;
    require["attribute"] = REQUIRED.into();
    json!({"require": [require]})
}

/// `1,000 spans`.
fn counted(count: usize, noun: &str) -> String {
    let digits = count.to_string();
    let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy).collect();
    format!("{} {noun}s", groups.join(","))
}
