//! The whole gate, from a request's head to the reply to its sender.

use std::{array, sync::LazyLock};

use prost::Message;
use sluice_encodings::{
    Encoding, EncodingHeader, decode,
    grpc::{self, Frame},
};
use sluice_gate::Gate;
use sluice_headers::Headers;
use sluice_otlp::{Format, Signal};
use sluice_prompb::{TimeSeries, WriteRequest};
use sluice_reply::{ExportResponse, LocalResponse, Protocol, ReplyPayload, Status};
use sluice_stores::Spelling;

use crate::{
    exchange::{self, Exchange, Forwarded, HeaderList, Outcome, Told, is_clean},
    plain::{self, Rules},
    splice::RULES,
};

/// The input is an [`Exchange`] with one of [`GATES`].
pub fn run(data: &[u8]) {
    let exchange = Exchange::read(data);
    let index = exchange.configuration(GATES);
    let gate = &CONFIGURED[index][usize::from(exchange.holds_head())];
    match exchange::run(gate, &exchange) {
        Outcome::Passed(head) => {
            assert_eq!(index, PASSING, "only a gate without backends lets a body pass");
            has_one_tenant(&head);
        }
        Outcome::Refused(reply) => is_an_answer(&exchange, &reply),
        Outcome::Interrupted(told) => {
            assert!(is_a_failure(&told), "nothing was stored, and the sender is told {told:?}");
            tells_the_sender(&exchange, &told, 0);
        }
        Outcome::Forwarded(forwarded) => {
            assert_ne!(index, PASSING, "a gate without backends has nowhere to forward to");
            has_one_tenant(&forwarded.head);
            is_what_a_backend_takes(&forwarded);
            tells_the_sender(&exchange, &forwarded.reply, forwarded.dropped);
        }
    }
}

/// Sends the exchange through its gate.
pub fn read(data: &[u8]) {
    let exchange = Exchange::read(data);
    let gate = &CONFIGURED[exchange.configuration(GATES)][usize::from(exchange.holds_head())];
    let _: Outcome = exchange::run(gate, &exchange);
}

/// The number of configurations, each with the head held and not held: every stage; every stage except `senders`; only
/// `senders` and `tenant`.
pub const GATES: usize = 3;
/// The configuration that does not check bodies.
const PASSING: usize = 2;

static CONFIGURED: LazyLock<[[Gate; 2]; GATES]> =
    LazyLock::new(|| array::from_fn(|index| [false, true].map(|hold| configured(index, hold))));

fn configured(index: usize, hold: bool) -> Gate {
    let senders = serde_json::json!({
        "identify": [{"clientCertificate": {"names": [
            {"dns": "*.{namespace}"},
            {"uri": "spiffe://{trustDomain}/ns/{namespace}/sa/{serviceAccount}"},
        ]}}],
        "allow": [{"namespace": "payments"}, {"namespace": "team-*"}],
        "deny": [{"namespace": "team-rogue"}],
    });
    let mut config = serde_json::json!({
        "tenant": {"fixed": "e2e"},
        "limits": {"bodyBytes": 16384, "decodedBytes": 65536},
        "holdHeaders": hold,
    });
    if index != 1 {
        config["senders"] = senders;
        config["tenant"] = serde_json::json!({"map": {"payments": "payments", "team-a": "e2e"}});
    }
    if index != PASSING {
        config["records"] = serde_json::json!({"require": [{
            "attribute": "source.name",
            "logs": "resource",
            "metrics": "datapoint",
            "traces": "scope",
        }]});
        config["backends"] = serde_json::json!({
            "logs": {"kind": "loki", "cluster": "loki"},
            "metrics": {"kind": "mimir", "cluster": "mimir"},
            "traces": {"kind": "tempo", "cluster": "tempo", "grpcCluster": "tempo-grpc", "maxTraceBytes": 256},
        });
        if hold {
            config["backends"]["traces"]["canary"] = serde_json::json!({
                "cluster": "tempo-next", "grpcCluster": "tempo-next-grpc", "percent": 50,
            });
        } else {
            let cell = serde_json::json!({"tenants": ["pay*"], "cluster": "mimir-b"});
            config["backends"]["metrics"]["cells"] = serde_json::json!([cell]);
        }
    }
    Gate::from_json(config.to_string().as_bytes()).expect("the configuration is right")
}

/// Headers that change what a backend does with a request, in addition to the tenant's and Mimir's own.
const STEERING: [&str; 6] = [
    "x-scope-userid",
    "x-loki-backfill-shard",
    "x-loki-ingestion-policy",
    "accountid",
    "projectid",
    "x-sluice-mirror",
];

/// Prefixes of the names of other such headers.
const STEERING_STARTS: [&str; 3] = ["x-mimir-", "vl-", "signoz-"];

/// Checks that there is one tenant, which the platform has, and no other header that steers a backend.
fn has_one_tenant(head: &HeaderList) {
    let tenants: Vec<_> = Headers(head).all("x-scope-orgid").collect();
    assert!(matches!(tenants[..], [b"payments" | b"e2e"]), "{tenants:?}");
    for (name, _) in head {
        let steers = STEERING.contains(&name.as_str())
            || STEERING_STARTS.into_iter().any(|start| name.starts_with(start));
        assert!(!steers, "{name} was forwarded");
    }
}

/// Checks that the head names one backend and describes the body, and that every record in the body meets the rules.
fn is_what_a_backend_takes(Forwarded { head, body, .. }: &Forwarded) {
    let headers = Headers(head);
    let only = |name: &str| match headers.all(name).collect::<Vec<_>>()[..] {
        [value] => value,
        ref values => panic!("{name} is there {} times", values.len()),
    };
    let (signal, rules, spelling, path) = match only("x-sluice-backend") {
        b"loki" => (Signal::Logs, RULES[0], Spelling::Folded, &b"/otlp/v1/logs"[..]),
        b"mimir" | b"mimir-b" => {
            (Signal::Metrics, RULES[2], Spelling::Folded, &b"/otlp/v1/metrics"[..])
        }
        b"tempo" | b"tempo-next" => (Signal::Traces, RULES[1], Spelling::Exact, &b"/v1/traces"[..]),
        b"tempo-grpc" | b"tempo-next-grpc" => {
            (Signal::Traces, RULES[1], Spelling::Exact, Signal::Traces.grpc_path().as_bytes())
        }
        cluster => panic!("no backend is called {cluster:?}"),
    };
    let is_write = only(":path") == b"/api/v1/push";
    assert!(is_write && signal == Signal::Metrics || only(":path") == path);
    if headers.first("content-length").is_some() {
        assert_eq!(only("content-length"), body.len().to_string().as_bytes());
    }
    if only("x-sluice-backend").ends_with(b"-grpc") {
        assert_eq!(
            (only("content-type"), only("te")),
            (&b"application/grpc"[..], &b"trailers"[..])
        );
        let Frame { compressed, message } = grpc::read(body).expect("it is one frame");
        let message = if compressed {
            let encoding = EncodingHeader::Grpc.read(only("grpc-encoding"));
            decode(encoding.expect("the gate knows it"), message, 1 << 20).expect("it is so")
        } else {
            message.to_vec()
        };
        lets_nothing_through(signal, &message, rules, spelling);
        return;
    }
    let format = Format::from_content_type(only("content-type")).expect("one of OTLP's formats");
    assert_eq!(only("content-type"), format.content_type().as_bytes());
    for name in ["te", "accept-encoding", "grpc-encoding", "x-forwarded-client-cert"] {
        assert_eq!(headers.first(name), None, "{name}");
    }
    if is_write {
        assert_eq!((format, only("content-encoding")), (Format::Protobuf, &b"snappy"[..]));
        let message = decode(Encoding::SnappyRaw, body, 1 << 20).expect("it is one block");
        assert!(message.len() <= 65536);
        if let Ok(request) = WriteRequest::decode(&message[..]) {
            let named =
                |series: &TimeSeries| series.label("source_name").is_some_and(|v| !v.is_empty());
            assert!(request.timeseries.iter().all(named), "{request:?} was forwarded");
        }
        return;
    }
    let message = match headers.first("content-encoding") {
        None => body.clone(),
        Some(_) => {
            let encoding = EncodingHeader::Content.read(only("content-encoding"));
            let encoding = encoding.expect("the gate knows what it says");
            decode(encoding, body, 1 << 20).expect("it is what its head says")
        }
    };
    if format == Format::Json {
        assert!(message.len() <= 65536);
        serde_json::from_slice::<serde_json::Value>(&message).expect("it is JSON");
        return;
    }
    lets_nothing_through(signal, &message, rules, spelling);
}

/// Compares a protobuf message that a backend got with the result of the simple filter.
fn lets_nothing_through(signal: Signal, message: &[u8], rules: &Rules, spelling: Spelling) {
    assert!(message.len() <= 65536);
    if let Ok(plain) = plain::filter(signal, message, rules, spelling) {
        assert_eq!(plain.dropped, [], "these should not have been forwarded");
    }
}

/// Returns whether the sender treats the reply as a failure.
fn is_a_failure(told: &Told) -> bool {
    let fails = |head: &[(String, Vec<u8>)]| match Headers(head).first("grpc-status") {
        Some(code) => code != b"0",
        None => Headers(head).number(":status").is_some_and(|status| status >= 400),
    };
    match told {
        Told::Local(LocalResponse::Http { status, .. }) => *status >= 400,
        Told::Local(LocalResponse::Grpc { status, .. }) => status.code != 0,
        Told::Head(head) => fails(head),
        Told::Written(head, ReplyPayload { trailers, .. }) => {
            fails(head) || trailers.iter().any(|(name, code)| *name == "grpc-status" && code != "0")
        }
    }
}

/// Checks that the sender gets a reply in its own protocol, whatever the backend answered, and the number of dropped
/// records if the others were stored.
fn tells_the_sender(exchange: &Exchange, told: &Told, dropped: u64) {
    let dropped = i64::try_from(dropped).expect("the body is small");
    if exchange::protocol(exchange) == Protocol::RemoteWrite {
        let (status, body) = match told {
            Told::Local(LocalResponse::Http { status, body, .. }) => {
                (u64::from(*status), &body[..])
            }
            Told::Local(LocalResponse::Grpc { .. }) => panic!("remote write is no gRPC"),
            Told::Head(head) => (Headers(head).number(":status").expect("a status"), &[][..]),
            Told::Written(head, written) => {
                assert!(written.trailers.is_empty());
                (Headers(head).number(":status").expect("a status"), &written.body[..])
            }
        };
        assert!(status != 200 || dropped == 0, "{dropped} samples were dropped without a word");
        is_a_text(status, body);
        return;
    }
    let rejected = |message: &[u8]| {
        let response = response(format_of(exchange), message);
        response.partial_success.map_or(0, |partial| partial.rejected)
    };
    match told {
        Told::Local(reply) => {
            is_an_answer(exchange, reply);
            if let LocalResponse::Http { status: 200, body, .. } = reply {
                assert!(rejected(body) >= dropped);
            }
        }
        // Envoy's own gRPC error, or a success without a message.
        Told::Head(head) => assert!(Headers(head).first("grpc-status").is_some() || dropped == 0),
        Told::Written(_, ReplyPayload { body, trailers }) if speaks_grpc(exchange) => {
            assert!(trailers.iter().all(|(_, value)| is_clean(value.as_bytes())), "{trailers:?}");
            match &trailers[..] {
                [("grpc-status", code)] if code == "0" => {
                    let Frame { compressed, message } = grpc::read(body).expect("it is one frame");
                    assert!(!compressed && rejected(message) >= dropped);
                }
                [("grpc-status", code), ("grpc-message", _), ..] => {
                    assert!(code != "0" && body.is_empty());
                }
                _ => panic!("{trailers:?}"),
            }
        }
        Told::Written(head, ReplyPayload { body, trailers }) => {
            assert!(trailers.is_empty(), "{trailers:?}");
            match Headers(head).number(":status") {
                Some(200) => assert!(rejected(body) >= dropped),
                Some(400..600) => is_a_status(format_of(exchange), body),
                status => panic!("the sender is told {status:?}"),
            }
        }
    }
}

fn speaks_grpc(exchange: &Exchange) -> bool {
    exchange::protocol(exchange) == Protocol::Grpc
}

/// The format of a reply over HTTP.
fn format_of(exchange: &Exchange) -> Format {
    match exchange::protocol(exchange) {
        Protocol::HttpJson => Format::Json,
        Protocol::Grpc | Protocol::HttpProtobuf | Protocol::RemoteWrite => Format::Protobuf,
    }
}

fn response(format: Format, message: &[u8]) -> ExportResponse {
    let response = match format {
        Format::Json => ExportResponse::from_json(message),
        Format::Protobuf => ExportResponse::decode(message).ok(),
    };
    response.expect("it is an export's response")
}

/// Checks that the reply is small and printable, and that it is an error unless it says that there was nothing to
/// store.
fn is_an_answer(exchange: &Exchange, reply: &LocalResponse) {
    match reply {
        LocalResponse::Http { status, headers, body }
            if exchange::protocol(exchange) == Protocol::RemoteWrite =>
        {
            assert!(headers.iter().all(|(_, value)| is_clean(value.as_bytes())), "{headers:?}");
            is_a_text(u64::from(*status), body);
        }
        LocalResponse::Grpc { status, .. } => {
            assert_ne!(status.code, 0);
            assert!(is_short(&status.message), "{status:?}");
        }
        LocalResponse::Http { .. } if speaks_grpc(exchange) => panic!("it is as the sender speaks"),
        LocalResponse::Http { status: 200, body, .. } => {
            response(format_of(exchange), body);
        }
        LocalResponse::Http { status, headers, body } => {
            assert!((400..600).contains(status), "{status}");
            assert!(headers.iter().all(|(_, value)| is_clean(value.as_bytes())), "{headers:?}");
            let json = headers.contains(&("content-type", "application/json".to_owned()));
            assert_eq!(json, format_of(exchange) == Format::Json, "it is as the sender speaks");
            is_a_status(format_of(exchange), body);
        }
    }
}

/// The reply to a sender of remote write: a success without a body, or a text.
fn is_a_text(status: u64, body: &[u8]) {
    let text = str::from_utf8(body).expect("it is a text");
    match status {
        200 => assert_eq!(text, ""),
        400..600 => assert!(!text.is_empty() && is_short(text), "{status}: {text:?}"),
        _ => panic!("the sender is told {status}"),
    }
}

fn is_a_status(format: Format, body: &[u8]) {
    if format == Format::Json {
        let status: serde_json::Value = serde_json::from_slice(body).expect("it is JSON");
        assert!(status["code"] != 0 && is_short(status["message"].as_str().expect("a message")));
        return;
    }
    let status = Status::decode(body).expect("it is a Status");
    assert!(status.code != 0 && is_short(&status.message), "{status:?}");
}

fn is_short(message: &str) -> bool {
    message.len() <= 2048 && !message.contains(char::is_control)
}
