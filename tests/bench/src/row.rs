//! The rows of the table: requests, and the tasks that run on them.

use std::io::Write;

use flate2::{
    Compression,
    write::{GzEncoder, ZlibEncoder},
};
use serde_json::json;
use sluice_bench_work::{Outcome, Task};
use sluice_otlp::{Format, Signal};
use sluice_telemetry::{
    hostile,
    ordinary::{self as telemetry, REQUIRED},
};

/// A row of the table.
pub struct Row {
    /// The name.
    pub name: String,
    /// The task.
    pub task: Task,
    /// The expected outcome; `None` if any will do. With another outcome, the row would measure something else.
    pub expected: Option<Outcome>,
    request: Box<dyn Fn() -> Vec<u8>>,
}

impl Row {
    /// Makes the request. It may be large, so the rows do not keep their requests.
    #[must_use]
    pub fn request(&self) -> Vec<u8> {
        (self.request)()
    }
}

/// The rows in groups, with their headings.
pub type Groups = [(&'static str, Vec<Row>); 5];

/// A content encoding of a bomb: its name, and its encoder.
type Encoder = (&'static str, fn(&[u8]) -> std::io::Result<Vec<u8>>);

/// Every encoding that the gate supports over HTTP, by its name there.
const ENCODERS: [Encoder; 6] = [
    ("deflate", deflate),
    ("gzip", gzip),
    ("lz4", lz4),
    ("snappy", snappy),
    ("x-snappy-framed", snappy_framed),
    ("zstd", zstd),
];

fn deflate(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes)?;
    encoder.finish()
}

fn gzip(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes)?;
    encoder.finish()
}

fn lz4(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::new());
    encoder.write_all(bytes)?;
    encoder.finish().map_err(std::io::Error::other)
}

fn snappy(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    snap::raw::Encoder::new().compress_vec(bytes).map_err(std::io::Error::other)
}

fn snappy_framed(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = snap::write::FrameEncoder::new(Vec::new());
    encoder.write_all(bytes)?;
    encoder.into_inner().map_err(std::io::Error::other)
}

fn zstd(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    zstd::encode_all(bytes, 19)
}

const MIB: usize = 1 << 20;

/// All rows. `shrink` divides the numbers: 1 to measure, more to check that the rows run.
#[must_use]
pub fn all(shrink: usize) -> Groups {
    let few = |count: usize| (count / shrink).max(6);
    [
        ("telemetry: the rules alone", telemetry_rows(&few)),
        (
            "who sends: a certificate that returns, from its text to the allowlist",
            sender_rows(&few),
        ),
        ("many and large: the whole gate, from the head to the cut body", large_rows(&few)),
        ("hostile shapes: the whole gate", hostile_rows(&few)),
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
        let task = without_scopes(rules(Signal::Logs, json!({"logs": "resource"})));
        row(name, task, Outcome::Kept, move || telemetry::logs(records, every))
    }));
    rows.extend([100, 1_000, 10_000].map(few).map(|records| {
        let name = format!("the same, scopes read too, {}", counted(records, "record"));
        let task = rules(Signal::Logs, json!({"logs": "resource"}));
        row(name, task, Outcome::Kept, move || telemetry::logs(records, every))
    }));
    let n = few(1_000);
    let thirds = Outcome::Dropped(n.div_ceil(3) as u64);
    rows.extend([
        row(
            format!("logs at the record, {}", counted(n, "record")),
            rules(Signal::Logs, of_record()),
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
            format!("traces at the resource, ids unread, {}", counted(n, "span")),
            with_unstorable(rules(Signal::Traces, json!({"traces": "resource"}))),
            Outcome::Kept,
            move || telemetry::traces(n, every),
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
        row(
            format!("logs in JSON at the resource, {}", counted(n, "record")),
            in_json(rules(Signal::Logs, json!({"logs": "resource"}))),
            Outcome::Kept,
            move || telemetry::json_of_logs(&telemetry::logs(n, every)),
        ),
        row(
            format!("metrics in JSON at the data point, {}", counted(n, "gauge point")),
            in_json(rules(Signal::Metrics, json!({"metrics": "datapoint"}))),
            Outcome::Kept,
            move || telemetry::json_of_metrics(&telemetry::gauges(n, every)),
        ),
    ]);
    rows
}

fn setting(task: Task, set: impl FnOnce(&mut serde_json::Value, &mut serde_json::Value)) -> Task {
    let Task::Rules { path, content_type, mut records, mut backends } = task else { return task };
    set(&mut records, &mut backends);
    Task::Rules { path, content_type, records, backends }
}

/// For a Loki that drops the attributes of scopes, so that none can override the resource's.
fn without_scopes(task: Task) -> Task {
    setting(task, |_, backends| backends["logs"]["scopeAttributes"] = "dropped".into())
}

/// Without a check for records for which the backend fails the whole batch.
fn with_unstorable(task: Task) -> Task {
    setting(task, |records, _| records["unstorable"] = "pass".into())
}

fn in_json(task: Task) -> Task {
    let Task::Rules { path, records, backends, .. } = task else { return task };
    let content_type = Format::Json.content_type().to_owned();
    Task::Rules { path, content_type, records, backends }
}

/// A certificate as Vault issues it, with few entries and with many.
fn sender_rows(few: &dyn Fn(usize) -> usize) -> Vec<Row> {
    [10, 10_000]
        .map(few)
        .map(|entries| {
            let others = (1..entries).map(|entry| match entry % 3 {
                0 => json!({"namespace": format!("group{entry:05}-*")}),
                1 => json!({"namespace": format!("team-{entry}"), "until": "2030-01-01T00:00:00Z"}),
                _ => json!({"namespace": format!("shop-{entry}"), "serviceAccount": "otel-*"}),
            });
            let allow: Vec<_> = others.chain([json!({"namespace": "payments"})]).collect();
            let names = json!([
                {"dns": "*.{namespace}"},
                {"dns": "{serviceAccount}.{namespace}.svc"},
                {"uri": "spiffe://{trustDomain}/ns/{namespace}/sa/{serviceAccount}"},
            ]);
            let identify = json!([{"clientCertificate": {"names": names}}]);
            let task = Task::Senders { senders: json!({"identify": identify, "allow": allow}) };
            row(
                counted(entries, "entry").replace("entrys", "entries"),
                task,
                Outcome::Admitted,
                certificate,
            )
        })
        .into()
}

fn certificate() -> Vec<u8> {
    let names = ["*.payments".to_owned(), "otel.payments.svc".to_owned()];
    let key = rcgen::KeyPair::generate().expect("a key");
    let params = rcgen::CertificateParams::new(names).expect("DNS names");
    params.self_signed(&key).expect("a certificate").pem().into_bytes()
}

fn large_rows(few: &dyn Fn(usize) -> usize) -> Vec<Row> {
    let million = few(1_000_000);
    // As many as fit into 64 MiB.
    let (records, data_points) = (few(395_000), few(665_000));
    let (nested, levels) = (few(1_000), 100);
    // Not in small runs, which only check that the rows run.
    let refused_if_whole = match million {
        1_000_000.. => Outcome::Refused("too_many_records"),
        _ => Outcome::Kept,
    };
    vec![
        row(
            "64 MiB of log records, at the record".into(),
            gate(Signal::Logs, of_record(), None, 64 * MIB, Some(2 * MIB)),
            Outcome::Kept,
            move || telemetry::logs(records, every),
        ),
        row(
            "64 MiB of gauge points, at the data point".into(),
            gate(Signal::Metrics, json!({}), None, 64 * MIB, Some(2 * MIB)),
            Outcome::Kept,
            points(data_points),
        ),
        row(
            format!("{}, at the resource", counted(million, "empty log record")),
            gate(Signal::Logs, json!({}), None, 64 * MIB, Some(2 * MIB)),
            Outcome::Kept,
            move || telemetry::tiny_logs(million),
        ),
        row(
            counted(million, "tiny data point"),
            gate(Signal::Metrics, json!({}), None, 64 * MIB, Some(2 * MIB)),
            Outcome::Kept,
            move || telemetry::tiny_points(million, every),
        ),
        row(
            "the same, with the default limit on records".into(),
            gate(Signal::Metrics, json!({}), None, 64 * MIB, None),
            refused_if_whole,
            move || telemetry::tiny_points(million, every),
        ),
        row(
            "the same, every other dropped".into(),
            gate(Signal::Metrics, json!({}), None, 64 * MIB, Some(2 * MIB)),
            Outcome::Dropped(million as u64 / 2),
            move || telemetry::tiny_points(million, every_other),
        ),
        row(
            format!("{}, value nested {levels} levels", counted(nested, "data point")),
            gate(Signal::Metrics, json!({}), None, 64 * MIB, Some(2 * MIB)),
            Outcome::Kept,
            move || telemetry::nested_points(nested, levels),
        ),
    ]
}

/// A byte here may cost at most a small factor more than a byte in the rows of ordinary telemetry.
fn hostile_rows(few: &dyn Fn(usize) -> usize) -> Vec<Row> {
    let (attributes, bytes) = (few(1_000), few(2 * MIB));
    let gate = |signal, encoding| gate(signal, json!({}), encoding, 64 * MIB, None);
    vec![
        row(
            format!("{} in JSON, maps 22 deep around arrays", counted(attributes, "attribute")),
            gate_of_json(gate(Signal::Logs, None)),
            Outcome::Kept,
            move || hostile::maps_in_json(attributes, 22),
        ),
        row(
            format!("the same in JSON, {} deep", LEVELS),
            gate_of_json(gate(Signal::Logs, None)),
            Outcome::Kept,
            move || hostile::maps_in_json(attributes, LEVELS),
        ),
        row(
            format!("{}, maps {LEVELS} deep around arrays", counted(attributes, "attribute")),
            gate(Signal::Logs, None),
            Outcome::Kept,
            move || hostile::maps_in_protobuf(attributes, LEVELS),
        ),
        row(
            format!("{} of underscores", counted(attributes, "attribute")),
            gate(Signal::Logs, None),
            Outcome::Kept,
            move || hostile::underscores(attributes),
        ),
        row(
            format!("{} of escapes in JSON", counted(attributes, "attribute")),
            gate_of_json(gate(Signal::Logs, None)),
            Outcome::Kept,
            move || hostile::escapes_in_json(attributes),
        ),
        row(
            "arrays in JSON, 9,000 deep".into(),
            gate_of_json(gate(Signal::Logs, None)),
            Outcome::Kept,
            move || hostile::deep_json(bytes),
        ),
        row(
            "a profile that refers to one long text".into(),
            gate(Signal::Profiles, None),
            match attributes {
                1_000.. => Outcome::Refused("grown_too_large"),
                _ => Outcome::Kept,
            },
            move || hostile::references(attributes, 64 * bytes / 4),
        ),
        row(
            "gzip members without content".into(),
            gate(Signal::Logs, Some("gzip")),
            Outcome::Nothing,
            move || hostile::empty_gzip(bytes),
        ),
        row(
            "gzip blocks without content, each with its table".into(),
            gate(Signal::Logs, Some("gzip")),
            Outcome::Nothing,
            move || hostile::tables_in_gzip(bytes),
        ),
        row(
            "zstd frames without content".into(),
            gate(Signal::Logs, Some("zstd")),
            Outcome::Nothing,
            move || hostile::empty_zstd(bytes),
        ),
        row(
            "lz4 frames without content".into(),
            gate(Signal::Logs, Some("lz4")),
            Outcome::Nothing,
            move || hostile::empty_lz4(bytes),
        ),
    ]
}

/// Levels of maps: as many as the gate searches.
const LEVELS: usize = 100;

/// The same gate for a body in JSON.
fn gate_of_json(task: Task) -> Task {
    let Task::Gate { configuration, mut headers } = task else { return task };
    headers.retain(|(name, _)| name != "content-type");
    headers.push(("content-type".into(), Format::Json.content_type().to_owned()));
    Task::Gate { configuration, headers }
}

/// Zeros that decode to one mebibyte more than the gate decodes.
fn bomb(&(encoding, encode): &Encoder, few: &dyn Fn(usize) -> usize) -> Row {
    let limit = few(64 * MIB);
    row(
        format!("{encoding} of zeros, over the limit"),
        gate(Signal::Logs, json!({}), Some(encoding), limit, None),
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

/// The rules alone; `levels` are the levels of the rules, as in `records.require`.
fn rules(signal: Signal, levels: serde_json::Value) -> Task {
    Task::Rules {
        path: signal.http_path().into(),
        content_type: Format::Protobuf.content_type().to_owned(),
        records: section(levels),
        backends: backends(),
    }
}

/// The whole gate over HTTP, with a limit on the decoded body and, if not the default, on records.
fn gate(
    signal: Signal,
    levels: serde_json::Value,
    encoding: Option<&str>,
    decoded_bytes: usize,
    records: Option<usize>,
) -> Task {
    let mut headers = vec![
        (":method".into(), "POST".into()),
        (":path".into(), signal.http_path().into()),
        ("content-type".into(), "application/x-protobuf".into()),
    ];
    headers.extend(encoding.map(|encoding| ("content-encoding".into(), encoding.into())));
    let mut limits = json!({"bodyBytes": 64 * MIB, "decodedBytes": decoded_bytes});
    if let Some(records) = records {
        limits["records"] = records.into();
    }
    let configuration = json!({
        "records": section(levels),
        "backends": backends(),
        "limits": limits,
        "holdHeaders": true,
    });
    Task::Gate { configuration, headers }
}

/// Logs at the record: an attribute that the resource does not have, because it would override the record's.
fn of_record() -> serde_json::Value {
    json!({"attribute": "url.path", "logs": "record"})
}

fn backends() -> serde_json::Value {
    json!({
        "logs": {"kind": "loki", "cluster": "loki"},
        "metrics": {"kind": "mimir", "cluster": "mimir"},
        "profiles": {"kind": "pyroscope", "cluster": "pyroscope"},
        "traces": {"kind": "tempo", "cluster": "tempo"},
    })
}

fn section(levels: serde_json::Value) -> serde_json::Value {
    let mut require = levels;
    if require["attribute"].is_null() {
        require["attribute"] = REQUIRED.into();
    }
    json!({"require": [require]})
}

/// `1,000 spans`.
fn counted(count: usize, noun: &str) -> String {
    let digits = count.to_string();
    let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy).collect();
    format!("{} {noun}s", groups.join(","))
}
