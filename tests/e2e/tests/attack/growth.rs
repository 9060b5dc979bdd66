//! Short requests that would become large in the gate, or that would cost much memory or time: contents that grow, that
//! are numerous, or that are hard to parse.

use std::io::Write;

use bytes::Bytes;
use envoy_local::SenderName;
use http_body_util::{BodyExt, Full};
use hyper::{
    Request,
    client::conn::{http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::json;
use sluice_e2e::client::Alpn;
use sluice_telemetry::{hostile, ordinary};

use crate::gate::{Gate, Mode};

/// The protocol and format of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Http1,
    Http2,
    Json,
    Grpc,
}

/// What is sent, and the row of the refusal table with the answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) name: &'static str,
    signal: &'static str,
    protobuf: fn() -> Vec<u8>,
    /// Whether the body is already gzip of protobuf.
    packed: bool,
    json: Option<fn() -> Vec<u8>>,
    http: u16,
    grpc: &'static str,
    outcome: &'static str,
    /// Whether the gate has twelve stamps.
    stamps: bool,
    /// How often it is sent in each way.
    times: usize,
}

const GROWN: Shape = Shape {
    name: "labels_move_to_500_scopes",
    signal: "logs",
    protobuf: moved,
    packed: false,
    json: Some(moved_json),
    http: 413,
    grpc: "8",
    outcome: "grown_too_large",
    stamps: false,
    times: 3,
};

/// Hard to read, and within the gate's limits: it is forwarded, and its backend refuses it.
const HARD: Shape = Shape { http: 400, grpc: "3", outcome: "failed", times: 1, ..GROWN };

/// Hard to read, and not refused.
const PASSED: Shape = Shape { http: 200, grpc: "0", outcome: "stored", ..HARD };

pub(crate) const SHAPES: [Shape; 18] = [
    GROWN,
    Shape {
        name: "stamps_on_many_resources_of_metrics",
        signal: "metrics",
        protobuf: || b"\x0a\x00".repeat(500_000),
        json: Some(|| empty_json("resourceMetrics", 500_000)),
        stamps: true,
        ..GROWN
    },
    Shape {
        name: "stamps_on_many_resources_of_profiles",
        signal: "v1development/profiles",
        protobuf: || b"\x0a\x00".repeat(500_000),
        json: Some(|| empty_json("resourceProfiles", 500_000)),
        stamps: true,
        ..GROWN
    },
    Shape {
        name: "stamps_on_many_resources_of_traces",
        signal: "traces",
        protobuf: || b"\x0a\x00".repeat(500_000),
        json: Some(|| empty_json("resourceSpans", 500_000)),
        stamps: true,
        ..GROWN
    },
    Shape {
        name: "30_million_resources",
        protobuf: || b"\x0a\x00".repeat(30_000_000),
        json: Some(|| empty_json("resourceLogs", 20_000_000)),
        outcome: "too_many_records",
        ..GROWN
    },
    Shape {
        name: "30_million_scopes",
        protobuf: || field(1, &b"\x12\x00".repeat(30_000_000)),
        json: None,
        outcome: "too_many_records",
        ..GROWN
    },
    Shape {
        name: "30_million_attributes",
        protobuf: || field(1, &field(1, &b"\x0a\x00".repeat(30_000_000))),
        json: None,
        http: 400,
        grpc: "3",
        outcome: "too_many_attributes",
        ..GROWN
    },
    Shape {
        name: "a_profile_refers_to_one_long_text",
        signal: "v1development/profiles",
        protobuf: || hostile::references(1_000, 30_000_000),
        json: None,
        ..GROWN
    },
    Shape {
        name: "maps_22_deep_around_arrays",
        protobuf: || hostile::maps_in_protobuf(1_000, 22),
        json: Some(|| hostile::maps_in_json(1_000, 22)),
        ..HARD
    },
    Shape {
        name: "maps_100_deep_around_arrays",
        protobuf: || hostile::maps_in_protobuf(1_000, 100),
        json: Some(|| hostile::maps_in_json(1_000, 100)),
        ..HARD
    },
    Shape {
        name: "a_thousand_names_of_underscores",
        protobuf: || hostile::underscores(1_000),
        json: Some(|| hostile::escapes_in_json(1_000)),
        ..HARD
    },
    Shape {
        name: "a_name_of_60_megabytes_of_underscores",
        protobuf: || hostile::long_key(60_000_000),
        json: Some(|| hostile::long_key_of_escapes_in_json(60_000_000)),
        // Over what Loki reads at once.
        http: 413,
        grpc: "8",
        ..HARD
    },
    Shape {
        name: "every_other_of_150000_records_is_dropped",
        protobuf: || hostile::every_other(150_000),
        json: Some(|| hostile::every_other_in_json(150_000)),
        outcome: "partial",
        ..PASSED
    },
    Shape {
        name: "a_member_of_arrays_9000_deep",
        protobuf: || hostile::underscores(1),
        json: Some(|| hostile::deep_json(60_000_000)),
        ..PASSED
    },
    Shape {
        name: "a_million_gzip_members_without_content",
        protobuf: || hostile::empty_gzip(16_000_000),
        packed: true,
        json: None,
        outcome: "nothing",
        ..PASSED
    },
    Shape {
        name: "a_million_gzip_blocks_with_a_table_each",
        protobuf: || hostile::tables_in_gzip(16_000_000),
        packed: true,
        json: None,
        outcome: "nothing",
        ..PASSED
    },
    Shape {
        name: "500000_data_points_with_and_without",
        signal: "metrics",
        protobuf: || ordinary::tiny_points(500_000, |index| index % 2 == 0),
        json: None,
        outcome: "partial",
        ..PASSED
    },
    Shape {
        name: "data_points_nested_100_deep",
        signal: "metrics",
        protobuf: || ordinary::nested_points(100_000, 100),
        json: None,
        ..HARD
    },
];

fn field(number: u32, content: &[u8]) -> Vec<u8> {
    let mut field = Vec::with_capacity(content.len() + 11);
    sluice_wire::push_field(&mut field, number, content);
    field
}

fn attribute(key: &str, value: &[u8]) -> Vec<u8> {
    field(1, &[field(1, key.as_bytes()), field(2, &field(1, value))].concat())
}

/// The attributes of which Loki makes labels by default.
const LABELS: [&str; 16] = [
    "service.name",
    "service.namespace",
    "service.instance.id",
    "deployment.environment",
    "deployment.environment.name",
    "cloud.region",
    "cloud.availability_zone",
    "k8s.cluster.name",
    "k8s.namespace.name",
    "k8s.pod.name",
    "k8s.container.name",
    "container.name",
    "k8s.replicaset.name",
    "k8s.deployment.name",
    "k8s.statefulset.name",
    "k8s.daemonset.name",
];
const LAST_LABELS: [&str; 2] = ["k8s.cronjob.name", "k8s.job.name"];

fn moved() -> Vec<u8> {
    let mut attributes = attribute("source.name", b"x");
    LABELS.iter().for_each(|name| attributes.extend(attribute(name, b"v")));
    LAST_LABELS.iter().for_each(|name| attributes.extend(attribute(name, &vec![b'x'; 3_000_000])));
    field(1, &[field(1, &attributes), b"\x12\x00".repeat(500)].concat())
}

fn moved_json() -> Vec<u8> {
    let attribute = |key: &str, value: &str| {
        format!(r#"{{"key":"{key}","value":{{"stringValue":"{value}"}}}}"#)
    };
    let mut attributes = vec![attribute("source.name", "x")];
    attributes.extend(LABELS.iter().map(|name| attribute(name, "v")));
    attributes.extend(LAST_LABELS.iter().map(|name| attribute(name, &"x".repeat(3_000_000))));
    format!(
        r#"{{"resourceLogs":[{{"resource":{{"attributes":[{}]}},"scopeLogs":[{}]}}]}}"#,
        attributes.join(","),
        vec!["{}"; 500].join(",")
    )
    .into_bytes()
}

fn empty_json(name: &str, times: usize) -> Vec<u8> {
    format!("{{\"{name}\":[{}{{}}]}}", "{},".repeat(times - 1)).into_bytes()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("gzip into memory")
}

pub(crate) async fn run(mode: Mode, shape: Shape) {
    let stamp = |index| json!({"attribute": format!("stamp.{index}"), "value": "x".repeat(100)});
    let stamps: Vec<_> = (0..12).map(stamp).collect();
    let records = json!({"records": {"require": null, "stamp": stamps}});
    let gate = Gate::start(mode, shape.stamps.then_some(records), Vec::new()).await;
    let before = gate.memory("VmRSS");
    let usual = gate.served(SenderName::TeamBlue, 20).await;
    let mut slowest = usual;
    let protobuf = (shape.protobuf)();
    let protobuf = Bytes::from(if shape.packed { protobuf } else { gzip(&protobuf) });
    let json = shape.json.map(|json| Bytes::from(gzip(&json())));
    for times in 0..shape.times {
        for way in [Way::Http1, Way::Http2, Way::Json, Way::Grpc] {
            let body = match (way, &json) {
                (Way::Json, None) => continue,
                (Way::Json, Some(json)) => json.clone(),
                _ => protobuf.clone(),
            };
            let (answer, served) = tokio::join!(
                send(&gate, way, shape.signal, body),
                gate.served(SenderName::TeamBlue, 20)
            );
            slowest = slowest.max(served);
            let expected = match way {
                Way::Grpc => format!("200 {}", shape.grpc),
                _ => format!("{} ", shape.http),
            };
            let (answer, told) = answer;
            assert_eq!(answer, expected, "{way:?}, for the {times}. time: {told}");
        }
    }
    gate.assert_whole().await;
    let ways = if json.is_some() { 4 } else { 3 };
    assert!(gate.count(shape.outcome).await >= (ways * shape.times) as u64, "{}", shape.outcome);
    println!(
        "{mode}: {}: {} bytes; another sender's requests take at most {:.1} times their time ({usual:?}, medians); \
         {} MiB resident before, {} at most",
        shape.name,
        protobuf.len(),
        slowest.as_secs_f64() / usual.as_secs_f64(),
        before >> 20,
        gate.memory("VmHWM") >> 20
    );
    gate.stop().await;
}

/// The status of an answer, over gRPC with its own, and what its body says.
async fn send(gate: &Gate, way: Way, signal: &str, body: Bytes) -> (String, String) {
    let alpn = if matches!(way, Way::Http1 | Way::Json) { Alpn::Http1 } else { Alpn::Http2 };
    let io = TokioIo::new(gate.connect(SenderName::Payments, alpn).await);
    let service = match signal {
        "logs" => "logs.v1.LogsService",
        "metrics" => "metrics.v1.MetricsService",
        "traces" => "trace.v1.TraceService",
        _ => "profiles.v1development.ProfilesService",
    };
    let (path, content_type, encoding) = match way {
        Way::Grpc => (
            format!("/opentelemetry.proto.collector.{service}/Export"),
            "application/grpc",
            "grpc-encoding",
        ),
        Way::Json => (http_path(signal), "application/json", "content-encoding"),
        Way::Http1 | Way::Http2 => {
            (http_path(signal), "application/x-protobuf", "content-encoding")
        }
    };
    let body = match way {
        Way::Grpc => {
            let length = u32::try_from(body.len()).expect("it is short").to_be_bytes();
            Bytes::from([&[1][..], &length, &body].concat())
        }
        _ => body,
    };
    let uri = if alpn == Alpn::Http1 { path } else { format!("https://localhost{path}") };
    let mut request =
        Request::post(uri).header("content-type", content_type).header(encoding, "gzip");
    if alpn == Alpn::Http1 {
        request = request.header("host", "localhost");
    }
    if way == Way::Grpc {
        request = request.header("te", "trailers");
    }
    let request = request.body(Full::new(body)).expect("a request");
    let response = if alpn == Alpn::Http1 {
        let (mut client, connection) = http1::handshake(io).await.expect("HTTP/1.1");
        tokio::spawn(connection);
        client.send_request(request).await
    } else {
        let (mut client, connection) =
            http2::handshake(TokioExecutor::new(), io).await.expect("HTTP/2");
        tokio::spawn(connection);
        client.send_request(request).await
    };
    let (head, body) = response.expect("an answer").into_parts();
    let body = body.collect().await.expect("a whole answer");
    let status = |headers: &hyper::HeaderMap| {
        headers.get("grpc-status").map(|status| String::from_utf8_lossy(status.as_bytes()).into())
    };
    let grpc: Option<String> = status(&head.headers).or_else(|| body.trailers().and_then(status));
    let answer = format!("{} {}", head.status.as_u16(), grpc.unwrap_or_default());
    (answer, String::from_utf8_lossy(&body.to_bytes()).into_owned())
}

fn http_path(signal: &str) -> String {
    if signal.starts_with('v') { format!("/{signal}") } else { format!("/v1/{signal}") }
}
