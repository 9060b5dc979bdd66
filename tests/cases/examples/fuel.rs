//! Prints how many instructions the module takes for a request, with the configuration of `envoy-local/envoy.yaml`.
//!
//! ```sh
//! cargo run --example fuel -- before.wasm dist/sluice.wasm     # each module is a column; default: dist/sluice.wasm
//! ```
//!
//! Unlike a time, the count is the same in every run, whatever else the machine does. It is the count of the module's
//! own instructions, before an engine optimises them, so a ratio is a hint, and `tests/bench` has the proof.

use std::{env, fs, path::Path, time::Duration};

use anyhow::{Context, Result, ensure};
use envoy_harness::{Attributes, HeaderMap, Module, PluginConfig, Vm};
use serde_yaml_ng::Value;
use sluice_cases::{case::Sender, compress, native, pki::Authority};
use sluice_encodings::Encoding;
use sluice_otlp::{Format, Signal};
use sluice_telemetry::ordinary;

fn main() -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut files: Vec<_> = env::args().skip(1).map(Into::into).collect();
    if files.is_empty() {
        files.push(root.join("dist/sluice.wasm"));
    }
    let modules = files.iter().map(Module::from_file).collect::<Result<Vec<_>, _>>()?;
    let yaml = fs::read_to_string(root.join("envoy-local/envoy.yaml"))?;
    let configuration = configuration(&serde_yaml_ng::from_str(&yaml)?)
        .context("envoy-local/envoy.yaml has no configuration of a plugin")?;
    let certificate = Authority::new()?.certificate(&Sender::default())?;
    let certificate = certificate.context("the default sender has no certificate")?;
    println!("{:28} {:>9}  head, body and reply of each module", "request", "bytes");
    for row in rows()? {
        print!("{:28} {:>9}", row.name, row.body.len());
        for module in &modules {
            let [head, body, reply] = row.fuel(module, &configuration, &certificate)?;
            print!("  {head:>7} {body:>9} {reply:>6}");
        }
        println!();
    }
    Ok(())
}

/// A request that is stored.
struct Row {
    name: &'static str,
    signal: Signal,
    format: Format,
    gzip: bool,
    body: Vec<u8>,
}

fn rows() -> Result<Vec<Row>> {
    use {
        Format::{Json, Protobuf},
        Signal::{Logs, Metrics, Traces},
    };
    let all = |_| true;
    let logs = ordinary::logs(1000, all);
    let gauges = ordinary::gauges(1000, all);
    let row = |name, signal, format, body| Row { name, signal, format, gzip: false, body };
    let zipped = compress::encode(Encoding::Gzip, logs.clone())?;
    Ok(vec![
        row("10 logs", Logs, Protobuf, ordinary::logs(10, all)),
        row("1,000 logs", Logs, Protobuf, logs.clone()),
        Row { gzip: true, ..row("1,000 logs, gzip", Logs, Protobuf, zipped) },
        row("1,000 logs, JSON", Logs, Json, ordinary::json_of_logs(&logs)),
        row("1,000 spans", Traces, Protobuf, ordinary::traces(1000, all)),
        row("1,000 gauge points", Metrics, Protobuf, gauges.clone()),
        row("1,000 gauge points, JSON", Metrics, Json, ordinary::json_of_metrics(&gauges)),
        row("1,000 histogram points", Metrics, Protobuf, ordinary::histograms(1000, all)),
    ])
}

impl Row {
    /// The instructions for the head, the body and the reply of a sender's second request. The first one also reads
    /// the certificate.
    fn fuel(&self, module: &Module, configuration: &str, certificate: &str) -> Result<[u64; 3]> {
        let vm = Vm::new(module)?;
        vm.set_time(Duration::from_secs(native::NOW));
        let plugin = PluginConfig::new("sluice")
            .configuration(configuration)
            .allow_on_headers_stop_iteration(true);
        let plugin = vm.start_plugin(plugin)?;
        let length = self.body.len().to_string();
        let mut headers = vec![
            (":method", "POST"),
            (":scheme", "https"),
            (":authority", "sluice.example:4318"),
            (":path", self.signal.http_path()),
            ("content-type", self.format.content_type()),
            ("content-length", length.as_str()),
        ];
        if self.gzip {
            headers.push(("content-encoding", "gzip"));
        }
        let mut fuel = [0; 3];
        for _ in 0..2 {
            let attributes = Attributes::new()
                .with(["connection", "mtls"], true)
                .with(["connection", "peer_certificate"], certificate)
                .with(["connection", "peer_certificate_valid"], true);
            let mut stream = vm.stream(plugin, attributes)?;
            stream.set_buffer_limit(17 << 20);
            stream.request_headers(headers.iter().copied().collect::<HeaderMap>(), false)?;
            let head = stream.fuel();
            stream.request_body(&self.body, true)?;
            let body = stream.fuel();
            ensure!(stream.forwarded().complete, "{} is not forwarded", self.name);
            stream.response_headers([(":status", "200")], false)?;
            stream.response_body([], true)?;
            stream.finish()?;
            let status = stream.received().status();
            ensure!(status == Some(200), "{} is answered with {status:?}", self.name);
            fuel = [head, body - head, stream.fuel() - body];
        }
        Ok(fuel)
    }
}

/// The configuration of the first plugin that has one.
fn configuration(yaml: &Value) -> Option<String> {
    match yaml {
        Value::Mapping(mapping) => mapping.iter().find_map(|(key, value)| {
            let text = (key == "configuration").then(|| value.get("value")?.as_str());
            text.flatten().map(str::to_owned).or_else(|| configuration(value))
        }),
        Value::Sequence(sequence) => sequence.iter().find_map(configuration),
        _ => None,
    }
}
