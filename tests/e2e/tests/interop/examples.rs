//! The JSON examples of the OpenTelemetry protocol's repository, which are in the crate `opentelemetry-proto`.
//!
//! They are from 2018 and their sums are deltas, so Loki and Mimir would reject them. Each backend is told to accept
//! them, and the test looks at what arrived.

use std::{path::PathBuf, process::Command, sync::Arc};

use http::{
    StatusCode,
    header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderValue},
};
use libtest_mimic::Trial;
use serde_json::{Value, json};
use sluice_e2e::client::{self, Alpn};
use sluice_otlp::Signal;
use sluice_stand_ins::{Answer, Backend};

use crate::{
    fixture::{Gate, Gates, Required, Setup, backend},
    request::Request,
};

const JSON: &str = "application/json";

/// The four files. An event is a log record with a name.
const EXAMPLES: [Example; 4] = [
    Example { file: "logs.json", signal: Signal::Logs },
    Example { file: "events.json", signal: Signal::Logs },
    Example { file: "metrics.json", signal: Signal::Metrics },
    Example { file: "trace.json", signal: Signal::Traces },
];

#[derive(Clone, Copy)]
struct Example {
    file: &'static str,
    signal: Signal,
}

pub(crate) fn trials(gates: &Arc<Gates>) -> Vec<Trial> {
    let mut trials = Vec::new();
    for hold_headers in [true, false] {
        let setup = Setup { hold_headers, required: Required::ServiceName };
        for example in EXAMPLES {
            let name = |what| format!("example {}::{what}", example.file);
            let whole = async move |gate: Gate<'_>| it_passes_unchanged(gate, example).await;
            trials.push(gates.trial(setup, name("it_passes_unchanged"), whole));
            let cut = async move |gate: Gate<'_>| only_what_was_added_goes(gate, example).await;
            trials.push(gates.trial(setup, name("only_what_was_added_goes"), cut));
        }
    }
    trials
}

async fn it_passes_unchanged(gate: Gate<'_>, example: Example) {
    let text = example.read();
    let told = post(gate, example.signal, text.clone()).await;
    assert_eq!(told, json!({}), "all were accepted: no partial success");
    example.assert_arrived(gate, &text);
}

async fn only_what_was_added_goes(gate: Gate<'_>, example: Example) {
    let text = example.read();
    let (larger, added) = with_a_nameless_resource(&text, example.signal);
    let told = post(gate, example.signal, larger).await;
    let partial_success = &told["partialSuccess"];
    let rejected = match example.signal {
        Signal::Logs => &partial_success["rejectedLogRecords"],
        Signal::Metrics => &partial_success["rejectedDataPoints"],
        Signal::Traces => &partial_success["rejectedSpans"],
        Signal::Profiles => &partial_success["rejectedProfiles"],
    };
    // 64-bit integers are text in protobuf's JSON.
    assert_eq!(rejected, &json!(added.to_string()), "{told}");
    let message = partial_success["errorMessage"].as_str().unwrap_or_default();
    assert!(message.contains("service.name"), "the message names the rule: {told}");
    example.assert_arrived(gate, &text);
}

impl Example {
    fn read(self) -> String {
        let path = folder().join(self.file);
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// Asserts that its backend, and no other, got its content.
    fn assert_arrived(self, gate: Gate<'_>, text: &str) {
        for each in Backend::ALL {
            let requests = gate.store().requests(each);
            let expected = usize::from(each == backend(self.signal));
            assert_eq!(requests.len(), expected, "requests to {each}: {requests:#?}");
            for request in requests {
                assert_eq!(request.header_values("content-type"), [JSON]);
                assert_eq!(request.header_values("content-encoding"), [""; 0]);
                let body = request.body.expect("a body within the backend's limit");
                let found = Request::from_json(self.signal, &body);
                found.assert_same(&Request::from_json(self.signal, text.as_bytes()));
            }
        }
    }
}

/// The example with a copy of its resource without service.name, and the number of records under that copy.
fn with_a_nameless_resource(text: &str, signal: Signal) -> (String, usize) {
    let mut request: Value = serde_json::from_str(text).expect("an example in JSON");
    let list = match signal {
        Signal::Logs => "resourceLogs",
        Signal::Metrics => "resourceMetrics",
        Signal::Traces => "resourceSpans",
        Signal::Profiles => "resourceProfiles",
    };
    let resources = request[list].as_array_mut().expect("a list of resources");
    let mut nameless = resources[0].clone();
    let attributes = nameless["resource"]["attributes"].as_array_mut().expect("attributes");
    attributes.retain(|attribute| attribute["key"] != "service.name");
    resources.insert(0, nameless.clone());
    let added = Request::from_json(signal, json!({list: [nameless]}).to_string().as_bytes());
    (request.to_string(), added.records())
}

/// Posts an export to the gate, whose backend accepts it; returns the body of the reply.
async fn post(gate: Gate<'_>, signal: Signal, body: String) -> Value {
    let backend = backend(signal);
    gate.store().answer_next(backend, accepted(backend));
    let [ca, cert, key] = gate.identity();
    let tls = client::tls(&ca, &cert, &key, Alpn::Both).expect("the sender's certificate");
    let client = reqwest::Client::builder().tls_backend_preconfigured(tls).no_proxy().build();
    let url = format!("https://{}{}", gate.addr(), signal.http_path());
    let request = client.expect("a client").post(url).header(CONTENT_TYPE, JSON).body(body);
    let reply = request.send().await.expect("a reply");
    let (status, headers) = (reply.status(), reply.headers().clone());
    let body = reply.text().await.expect("a body in UTF-8");
    assert_eq!(status, StatusCode::OK, "{body}");
    assert_eq!(headers.get(CONTENT_TYPE), Some(&HeaderValue::from_static(JSON)), "{body}");
    assert_eq!(headers.get(CONTENT_ENCODING), None);
    serde_json::from_str(&body).unwrap_or_else(|error| panic!("{error}: {body:?}"))
}

/// The answer of each backend to JSON that it has stored.
fn accepted(backend: Backend) -> Answer {
    let json = |body: &'static str| {
        Answer::new(StatusCode::OK).header(CONTENT_TYPE, HeaderValue::from_static(JSON)).body(body)
    };
    match backend {
        Backend::Loki => Answer::new(StatusCode::NO_CONTENT),
        Backend::Mimir => json("{}"),
        Backend::Tempo => json(r#"{"partialSuccess":{}}"#),
        Backend::Pyroscope => Answer::new(StatusCode::OK)
            .header(CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf")),
    }
}

/// The folder with the examples, in the sources of the crate that this was built with.
fn folder() -> PathBuf {
    let version = cargo(&["-vV"]);
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).expect("cargo's host");
    // Dependencies of other platforms have not been downloaded.
    let metadata = cargo(&[
        "metadata",
        "--offline",
        "--locked",
        "--format-version=1",
        &format!("--filter-platform={host}"),
    ]);
    let metadata: Value = serde_json::from_str(&metadata).expect("cargo's metadata");
    let packages = metadata["packages"].as_array().expect("its packages");
    let manifest = packages
        .iter()
        .find(|package| package["name"] == "opentelemetry-proto")
        .and_then(|package| package["manifest_path"].as_str())
        .expect("the tests depend on opentelemetry-proto");
    PathBuf::from(manifest).with_file_name("src/proto/opentelemetry-proto/examples")
}

/// The output of the cargo that runs this test.
fn cargo(arguments: &[&str]) -> String {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output =
        Command::new(program).args(arguments).current_dir(envoy_local::workspace_root()).output();
    let output = output.expect("cargo can be started");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cargo {}: {said}\nrun `cargo fetch`", arguments.join(" "));
    String::from_utf8(output.stdout).expect("UTF-8")
}
