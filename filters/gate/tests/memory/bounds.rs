//! How much memory a request may take, whatever it contains: no more than the limits say, and no
//! more than the room that is left for it.

#![expect(clippy::arithmetic_side_effects, reason = "sizes of a test, which are small")]

use proptest::{collection::vec, prelude::*, sample::select};
use sluice_encodings::{Encoding, encode_block, grpc, wrap};
use sluice_gate::{BodyStep, Gate, HeadStep, RequestHead, Worker};
use sluice_headers::Headers;
use sluice_senders::Connection;
use sluice_wire::{Room, push_field};

/// The limits of the gates here.
const BODY: usize = 320 << 10;
const DECODED: usize = 256 << 10;
const RECORDS: usize = 2000;
const ATTRIBUTES: usize = 64;

/// Memory for replies, headers, and lists whose length the configuration sets.
const SMALL: usize = 64 << 10;

/// The limit that `Limits` documents for the memory beside the body, on a 64-bit platform.
fn bound(encoding: Encoding) -> usize {
    let decoder = match encoding {
        Encoding::Zstd => 30 << 20,
        Encoding::Lz4 => 4 << 20,
        _ => 256 << 10,
    };
    3 * DECODED + 192 * RECORDS + 256 * ATTRIBUTES + decoder + SMALL
}

/// Names and values, as Envoy gives them.
type HeaderMap = Vec<(String, Vec<u8>)>;

/// How a request is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Grpc,
    Json,
    Protobuf,
    RemoteWrite,
}

/// The shape of a request: how many children each level has, and how long the attributes are.
#[derive(Clone, Debug)]
struct Shape {
    signal: &'static str,
    resources: usize,
    scopes: usize,
    records: usize,
    /// Attributes of the resource: the key, and the length of the value.
    attributes: Vec<(&'static str, usize)>,
    /// Whether resources and scopes exist at all.
    owners: bool,
    /// Strings of the dictionary.
    strings: usize,
}

const SIGNALS: [&str; 4] = ["logs", "metrics", "traces", "v1development/profiles"];

/// Keys that the gates here require, index, replace, and ignore.
const KEYS: [&str; 8] = ["source.name", "source_name", "a", "b", "c", "s", "t.u", "other"];

fn shapes() -> impl Strategy<Value = Shape> {
    let attribute = (select(&KEYS[..]), prop_oneof![0..40_usize, 0..20_000_usize]);
    let counts = (
        prop_oneof![0..4_usize, 0..2500_usize],
        prop_oneof![0..4_usize, 0..600_usize],
        prop_oneof![0..4_usize, 0..100_usize],
    );
    (select(&SIGNALS[..]), counts, vec(attribute, 0..40), any::<bool>(), 0..3000_usize).prop_map(
        |(signal, (resources, scopes, records), attributes, owners, strings)| Shape {
            signal,
            resources,
            scopes,
            records,
            attributes,
            owners,
            strings,
        },
    )
}

fn field(number: u32, content: &[u8]) -> Vec<u8> {
    let mut field = Vec::new();
    push_field(&mut field, number, content);
    field
}

impl Shape {
    /// As many repetitions of a piece as fit into the limit for decoded bodies.
    fn repeat(piece: &[u8], times: usize) -> Vec<u8> {
        piece.repeat(times.min((DECODED + DECODED / 8) / piece.len().max(1)))
    }

    fn protobuf(&self) -> Vec<u8> {
        let attribute = |(key, length): &(&str, usize)| {
            let value = field(1, &vec![b'x'; *length]);
            field(1, &[field(1, key.as_bytes()), field(2, &value)].concat())
        };
        let attributes: Vec<u8> = self.attributes.iter().flat_map(attribute).collect();
        let record = match self.signal {
            "metrics" => field(2, &field(5, &field(1, b"").repeat(2))),
            "traces" => field(2, &[field(1, &[7; 16]), field(2, &[8; 8])].concat()),
            _ => field(2, b""),
        };
        let records = Self::repeat(&record, self.records);
        let scope = if self.owners { field(1, b"") } else { Vec::new() };
        let scopes = Self::repeat(&field(2, &[scope, records].concat()), self.scopes);
        let resource = if self.owners { field(1, &attributes) } else { Vec::new() };
        let mut all = Self::repeat(&field(1, &[resource, scopes].concat()), self.resources);
        if self.signal.ends_with("profiles") {
            all.extend(field(2, &Self::repeat(&field(5, b""), self.strings)));
        }
        all
    }

    fn json(&self) -> Vec<u8> {
        let [resources, scopes, records] = match self.signal {
            "logs" => ["resourceLogs", "scopeLogs", "logRecords"],
            "metrics" => ["resourceMetrics", "scopeMetrics", "metrics"],
            "traces" => ["resourceSpans", "scopeSpans", "spans"],
            _ => ["resourceProfiles", "scopeProfiles", "profiles"],
        };
        let attribute = |(key, length): &(&str, usize)| {
            // With an escape, so that reading it takes memory.
            let text = "\\u0078".repeat(length / 6);
            let (first, rest) = key.split_at(1);
            let first = u32::from(first.as_bytes()[0]);
            format!(r#"{{"key":"\u{first:04x}{rest}","value":{{"stringValue":"{text}"}}}}"#)
        };
        let attributes: Vec<_> = self.attributes.iter().map(attribute).collect();
        let list = |name: &str, element: &str, times: usize| {
            let most = (DECODED + DECODED / 8) / (element.len() + 1);
            format!("\"{name}\":[{}]", vec![element; times.min(most)].join(","))
        };
        let owner = if self.owners { "{}" } else { "null" };
        let scope = format!(r#"{{"scope":{owner},{}}}"#, list(records, "{}", self.records));
        let resource = match self.owners {
            true => format!(r#""resource":{{"attributes":[{}]}},"#, attributes.join(",")),
            false => String::new(),
        };
        let entry = format!("{{{resource}{}}}", list(scopes, &scope, self.scopes));
        let strings = list("stringTable", "\"\"", self.strings);
        let dictionary = match self.signal.ends_with("profiles") {
            true => format!(r#""dictionary":{{{strings}}},"#),
            false => String::new(),
        };
        format!("{{{dictionary}{}}}", list(resources, &entry, self.resources)).into_bytes()
    }

    fn series(&self) -> Vec<u8> {
        let label = |(key, length): &(&str, usize)| {
            field(1, &[field(1, key.as_bytes()), field(2, &vec![b'x'; *length])].concat())
        };
        let labels: Vec<u8> = self.attributes.iter().flat_map(label).collect();
        let samples = Self::repeat(&field(2, b""), self.records);
        Self::repeat(&field(1, &[labels, samples].concat()), self.resources)
    }

    /// The headers and the body of a request.
    fn request(&self, way: Way, encoding: Encoding) -> (HeaderMap, Vec<u8>, Encoding) {
        let (path, content_type) = match way {
            Way::RemoteWrite => ("/api/v1/push".to_owned(), "application/x-protobuf"),
            Way::Grpc => {
                let service = match self.signal {
                    "logs" => "logs.v1.LogsService",
                    "metrics" => "metrics.v1.MetricsService",
                    "traces" => "trace.v1.TraceService",
                    _ => "profiles.v1development.ProfilesService",
                };
                let path = format!("/opentelemetry.proto.collector.{service}/Export");
                (path, "application/grpc")
            }
            Way::Json => (self.path(), "application/json"),
            Way::Protobuf => (self.path(), "application/x-protobuf"),
        };
        let message = match way {
            Way::Grpc | Way::Protobuf => self.protobuf(),
            Way::Json => self.json(),
            Way::RemoteWrite => self.series(),
        };
        // In gRPC, snappy is always framed, and LZ4 does not exist.
        let encoding = match (way, encoding) {
            (Way::RemoteWrite, _) => Encoding::SnappyRaw,
            (Way::Grpc, Encoding::SnappyRaw | Encoding::SnappyFramed | Encoding::Lz4) => {
                Encoding::Gzip
            }
            _ => encoding,
        };
        let mut body = match encoding {
            Encoding::SnappyRaw => encode_block(&message, Room::ANY).unwrap(),
            _ => wrap(encoding, &message, Room::ANY).unwrap(),
        };
        let compressed = u8::from(encoding != Encoding::Identity);
        if way == Way::Grpc {
            grpc::frame(&mut body, Room::ANY).unwrap();
            body[0] = compressed;
        }
        let mut headers = vec![
            (":method", "POST".to_owned()),
            (":path", path),
            ("content-type", content_type.to_owned()),
        ];
        if encoding != Encoding::Identity {
            let name = if way == Way::Grpc { "grpc-encoding" } else { "content-encoding" };
            headers.push((name, encoding.as_str().to_owned()));
        }
        let headers = headers.into_iter();
        let headers = headers.map(|(name, value)| (name.to_owned(), value.into_bytes()));
        (headers.collect(), body, encoding)
    }

    fn path(&self) -> String {
        match self.signal {
            "v1development/profiles" => "/v1development/profiles".to_owned(),
            signal => format!("/v1/{signal}"),
        }
    }
}

/// A gate that stamps, moves labels, weighs traces and checks every level, or one that only drops.
fn gate(stamps: usize, hold: bool, drops: bool) -> Gate {
    let long = "x".repeat(50);
    let stamp = |index| format!(r#"{{"attribute": "s{index}", "value": "{long}"}}"#);
    let stamps: Vec<_> = (0..stamps).map(stamp).collect();
    let stamps = [vec![r#"{"attribute": "s", "value": "v"}"#.to_owned()], stamps].concat();
    let require = match drops {
        true => {
            r#"[{"attribute": "source.name", "logs": "record", "metrics": "datapoint", "traces": "span"}]"#
        }
        false => "null",
    };
    let json = format!(
        r#"{{
            "tenant": {{"fixed": "t"}},
            "records": {{"require": {require}, "stamp": [{}]}},
            "backends": {{
                "logs": {{"kind": "loki", "cluster": "l",
                    "labels": {{"max": 2, "names": ["a", "b", "c", "t.u"]}}}},
                "metrics": {{"kind": "mimir", "cluster": "m"}},
                "profiles": {{"kind": "pyroscope", "cluster": "p"}},
                "traces": {{"kind": "tempo", "cluster": "t", "maxTraceBytes": 1000}}
            }},
            "limits": {{"bodyBytes": {BODY}, "decodedBytes": {DECODED}, "records": {RECORDS},
                "attributes": {ATTRIBUTES}}},
            "holdHeaders": {hold}
        }}"#,
        stamps.join(",")
    );
    Gate::from_json(json.as_bytes()).unwrap_or_else(|problems| panic!("{problems:?}"))
}

/// The result of a request: the most memory that was taken beside its body, and the gate's
/// decision.
fn peak(gate: &Gate, headers: &[(String, Vec<u8>)], body: &[u8], room: usize) -> (usize, String) {
    let head = RequestHead {
        headers: Headers(headers),
        connection: &Connection::default(),
        metadata: None,
        end_of_stream: false,
        now: 0,
    };
    let HeadStep::Body { pending, .. } = gate.on_head(&head, &Worker::default()).0 else {
        panic!("{headers:?} has a body");
    };
    let mut outcome = String::new();
    let memory = allocation_counter::measure(|| {
        let step = gate.on_body(*pending, body.to_vec(), room);
        outcome = match &step {
            BodyStep::Forward(forward) => format!("forward {}", forward.body().len()),
            BodyStep::LocalReply(reply) => format!("{:?}", reply.counts),
        };
    });
    let peak = usize::try_from(memory.bytes_max).unwrap_or(usize::MAX);
    (peak.saturating_sub(body.len()), outcome)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..Default::default() })]

    #[test]
    fn no_request_takes_more_than_its_limits_say(
        shape in shapes(),
        way in select(&[Way::Grpc, Way::Json, Way::Protobuf, Way::RemoteWrite][..]),
        encoding in select(&Encoding::ALL[..]),
        stamps in 0..13_usize,
        hold in any::<bool>(),
        drops in any::<bool>(),
        share in 0..100_usize,
    ) {
        let gate = gate(stamps, hold, drops);
        let (headers, body, encoding) = shape.request(way, encoding);
        let (free, outcome) = peak(&gate, &headers, &body, usize::MAX);
        let bound = bound(encoding);
        prop_assert!(free <= bound, "{} bytes where {} are allowed: {}", free, bound, outcome);

        // With less room, the result is the same, or the request is refused because of it.
        let room = bound * share / 100;
        let (taken, in_room) = peak(&gate, &headers, &body, room);
        prop_assert!(taken <= room + SMALL, "{} bytes in room for {}: {}", taken, room, in_room);
        prop_assert!(in_room == outcome || in_room.contains("no_memory"), "{} {}", in_room, outcome);
    }
}

/// Shapes that have crashed a worker in the past.
#[test]
fn what_has_ended_a_worker_takes_no_more_either() {
    let labels = [("a", 10), ("b", 10), ("c", 20_000)].to_vec();
    let moved = Shape {
        signal: "logs",
        resources: 1,
        scopes: 500,
        records: 0,
        attributes: labels,
        owners: true,
        strings: 0,
    };
    let stamped = Shape {
        signal: "metrics",
        resources: 1900,
        scopes: 0,
        attributes: Vec::new(),
        owners: false,
        ..moved.clone()
    };
    let profiles = Shape { signal: "v1development/profiles", ..stamped.clone() };
    for (shape, stamps) in [(moved, 0), (stamped, 12), (profiles, 12)] {
        for way in [Way::Grpc, Way::Json, Way::Protobuf] {
            let gate = gate(stamps, true, false);
            let (headers, body, encoding) = shape.request(way, Encoding::Identity);
            let (taken, outcome) = peak(&gate, &headers, &body, usize::MAX);
            assert!(outcome.contains("grown_too_large"), "{way:?} {shape:?}: {outcome}");
            assert!(taken <= bound(encoding), "{way:?} {shape:?}: {taken} bytes");
        }
    }
}

/// If there is no memory for a request, the answer allows a retry.
#[test]
fn without_room_a_request_is_refused_to_be_sent_again() {
    let shape = Shape {
        signal: "logs",
        resources: 10,
        scopes: 10,
        records: 10,
        attributes: vec![("source.name", 10)],
        owners: true,
        strings: 0,
    };
    for way in [Way::Grpc, Way::Json, Way::Protobuf] {
        let gate = gate(1, true, false);
        let (headers, body, _) = shape.request(way, Encoding::Gzip);
        let (taken, outcome) = peak(&gate, &headers, &body, 1000);
        assert!(outcome.contains("no_memory"), "{way:?}: {outcome}");
        assert!(taken <= SMALL, "{way:?}: {taken} bytes");
    }
}
