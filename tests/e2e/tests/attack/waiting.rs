//! Hundreds of bodies that never end.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use envoy_local::{SenderFiles, SenderName};
use hyper::{
    Request, StatusCode,
    client::conn::{http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::json;
use sluice_e2e::client::Alpn;
use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::{
    gate::{Gate, Mode},
    upload::{Then, Upload},
};

const MIB: usize = 1 << 20;

/// The protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Http1,
    Http2,
    Grpc,
}

/// The same request, many times.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attack {
    pub(crate) name: &'static str,
    protocol: Protocol,
    /// The senders, each over its own connections.
    senders: usize,
    /// The number of connections of each sender.
    connections: usize,
    /// The number of requests on each connection.
    requests: usize,
    /// The bytes that are sent of each body.
    bytes: usize,
    /// The value of `content-length`, if there is one.
    announced: Option<usize>,
    /// The size of the pieces.
    piece: usize,
    then: Then,
    /// Whether some exceed a sender's share, so that the gate must refuse them.
    over: bool,
}

const NEVER_ENDS: Attack = Attack {
    name: "63_streams_on_a_connection_never_end",
    protocol: Protocol::Http2,
    senders: 1,
    connections: 1,
    requests: 63,
    bytes: 159 * MIB / 10,
    announced: None,
    piece: 16_384,
    then: Then::Hang,
    over: true,
};

const ONE_SHORT: Attack = Attack {
    name: "120_bodies_stop_a_byte_short",
    connections: 2,
    requests: 60,
    bytes: 16 * MIB - 1,
    announced: Some(16 * MIB),
    ..NEVER_ENDS
};

pub(crate) const ATTACKS: [Attack; 16] = [
    NEVER_ENDS,
    Attack { name: "12_senders_never_end", senders: 12, requests: 10, ..NEVER_ENDS },
    Attack { name: "12_senders_stop_a_byte_short", senders: 12, requests: 10, ..ONE_SHORT },
    Attack {
        name: "30_connections_never_end",
        protocol: Protocol::Http1,
        connections: 30,
        requests: 1,
        ..NEVER_ENDS
    },
    Attack { name: "63_grpc_calls_never_end", protocol: Protocol::Grpc, ..NEVER_ENDS },
    ONE_SHORT,
    Attack {
        name: "120_connections_stop_a_byte_short",
        protocol: Protocol::Http1,
        connections: 120,
        requests: 1,
        ..ONE_SHORT
    },
    Attack {
        name: "120_grpc_calls_stop_a_byte_short",
        protocol: Protocol::Grpc,
        announced: None,
        ..ONE_SHORT
    },
    Attack {
        name: "10_connections_of_100_bodies_of_half_a_mebibyte",
        connections: 10,
        requests: 100,
        bytes: 500_000,
        ..NEVER_ENDS
    },
    Attack {
        name: "10000_heads_without_a_body",
        connections: 100,
        requests: 100,
        bytes: 0,
        ..NEVER_ENDS
    },
    Attack {
        name: "90_bodies_come_byte_by_byte",
        requests: 90,
        bytes: 2_000,
        piece: 1,
        over: false,
        ..NEVER_ENDS
    },
    Attack {
        name: "300_bodies_are_reset_half_way",
        connections: 3,
        requests: 100,
        bytes: 8 * MIB,
        then: Then::Reset,
        over: false,
        ..NEVER_ENDS
    },
    Attack {
        name: "100_connections_hang_up_half_way",
        protocol: Protocol::Http1,
        connections: 100,
        requests: 1,
        bytes: 8 * MIB,
        then: Then::Reset,
        over: false,
        ..NEVER_ENDS
    },
    Attack {
        name: "90_bodies_are_longer_than_they_say",
        requests: 90,
        bytes: MIB,
        announced: Some(1000),
        over: false,
        ..NEVER_ENDS
    },
    Attack {
        name: "90_bodies_end_before_they_say",
        requests: 90,
        bytes: MIB,
        announced: Some(2 * MIB),
        then: Then::End,
        over: false,
        ..NEVER_ENDS
    },
    Attack {
        name: "60_bodies_of_zeros_end",
        requests: 60,
        then: Then::End,
        over: false,
        ..NEVER_ENDS
    },
];

/// The answers to the requests.
#[derive(Debug, Default)]
struct Answers {
    /// Refused temporarily, with a time to retry.
    later: usize,
    other: usize,
    /// Reset, or the connection was closed.
    broken: usize,
}

pub(crate) async fn run(mode: Mode, attack: Attack) {
    let namespaces: Vec<_> =
        (0..attack.senders).map(|number| format!("hostile-{number}")).collect();
    let allowed = namespaces.iter().map(String::as_str).chain(["payments", "team-blue"]);
    let allow: Vec<_> = allowed.map(|namespace| json!({"namespace": namespace})).collect();
    let gate = Gate::start(mode, Some(json!({"senders": {"allow": allow}})), Vec::new()).await;
    let senders: Vec<_> = namespaces.iter().map(|namespace| gate.issue(namespace)).collect();
    let before = gate.memory("VmRSS");
    let usual = gate.served(SenderName::TeamBlue, 20).await;
    let sent = Arc::new(AtomicUsize::new(0));
    let mut requests = JoinSet::new();
    for sender in &senders {
        for _ in 0..attack.connections {
            connect(&gate, sender, attack, &sent, &mut requests).await;
        }
    }
    let all = attack.senders * attack.connections * attack.requests;
    let mut answers = Answers::default();
    // Until each has sent everything, or has been answered.
    let mut quiet = 0;
    let mut seen = (0, 0);
    while quiet < 10 {
        if let Ok(Some(answer)) = timeout(Duration::from_millis(100), requests.join_next()).await {
            answers.add(answer.expect("a request does not panic"));
        }
        let now = (sent.load(Ordering::Relaxed), answers.sum());
        quiet = if now == seen { quiet + 1 } else { 0 };
        seen = now;
        if answers.sum() == all {
            break;
        }
    }
    let during = gate.served(SenderName::TeamBlue, 20).await;
    println!(
        "{mode}: {}: {all} requests: {answers:?}, {} wait; another sender's requests take {:.1} times \
         their time ({during:?}); {} MiB resident before, {} now, {} at most",
        attack.name,
        requests.len(),
        during.as_secs_f64() / usual.as_secs_f64(),
        before >> 20,
        gate.memory("VmRSS") >> 20,
        gate.memory("VmHWM") >> 20,
    );
    gate.assert_whole().await;
    if attack.over {
        // Counts are handed over within a second.
        let mut tries = 0;
        while gate.count("no_memory").await == 0 {
            tries += 1;
            assert!(tries < 30, "nothing was refused: {answers:?}");
            sleep(Duration::from_millis(100)).await;
        }
    }
    // What they held has been released.
    requests.shutdown().await;
    let mut tries = 0;
    for sender in &senders {
        while gate.ask_as(sender).await.0 != StatusCode::OK {
            tries += 1;
            assert!(tries < 50, "the sender is never served again");
            sleep(Duration::from_millis(100)).await;
        }
    }
    gate.assert_whole().await;
    println!(
        "{mode}: {}: {} MiB resident when all is over",
        attack.name,
        gate.memory("VmRSS") >> 20
    );
    gate.stop().await;
}

impl Answers {
    fn add(&mut self, answer: Option<(StatusCode, bool)>) {
        match answer {
            Some((StatusCode::SERVICE_UNAVAILABLE, true)) => self.later += 1,
            Some((StatusCode::SERVICE_UNAVAILABLE, false)) => panic!("503 without Retry-After"),
            Some(_) => self.other += 1,
            None => self.broken += 1,
        }
    }

    const fn sum(&self) -> usize {
        self.later + self.other + self.broken
    }
}

type Answer = Option<(StatusCode, bool)>;

async fn connect(
    gate: &Gate,
    sender: &SenderFiles,
    attack: Attack,
    sent: &Arc<AtomicUsize>,
    requests: &mut JoinSet<Answer>,
) {
    let alpn = if attack.protocol == Protocol::Http1 { Alpn::Http1 } else { Alpn::Http2 };
    let io = TokioIo::new(gate.connect_as(sender, alpn).await);
    let request = || {
        let (path, content_type) = match attack.protocol {
            Protocol::Grpc => {
                ("/opentelemetry.proto.collector.logs.v1.LogsService/Export", "application/grpc")
            }
            Protocol::Http1 | Protocol::Http2 => ("/v1/logs", "application/x-protobuf"),
        };
        let uri = match attack.protocol {
            Protocol::Http1 => path.to_owned(),
            _ => format!("https://localhost{path}"),
        };
        let mut request = Request::post(uri).header("content-type", content_type);
        if attack.protocol == Protocol::Http1 {
            request = request.header("host", "localhost");
        }
        if attack.protocol == Protocol::Grpc {
            request = request.header("te", "trailers");
        }
        if let Some(length) = attack.announced {
            request = request.header("content-length", length);
        }
        let body = Upload::new(attack.bytes, attack.piece, attack.then, sent);
        request.body(body).expect("a request")
    };
    match attack.protocol {
        Protocol::Http1 => {
            let (mut client, connection) = http1::handshake(io).await.expect("HTTP/1.1");
            let response = client.send_request(request());
            requests.spawn(async move {
                tokio::pin!(connection);
                let response = tokio::select! {
                    response = response => response,
                    _ = &mut connection => return None,
                };
                answer(response)
            });
        }
        Protocol::Http2 | Protocol::Grpc => {
            let (client, connection) =
                http2::handshake(TokioExecutor::new(), io).await.expect("HTTP/2");
            tokio::spawn(connection);
            for _ in 0..attack.requests {
                let mut client = client.clone();
                let request = request();
                requests.spawn(async move {
                    client.ready().await.ok()?;
                    answer(client.send_request(request).await)
                });
            }
        }
    }
}

fn answer<B>(response: Result<hyper::Response<B>, hyper::Error>) -> Answer {
    let response = response.ok()?;
    let header = |name| response.headers().get(name).is_some();
    // UNAVAILABLE.
    if response.headers().get("grpc-status").is_some_and(|status| status == "14") {
        return Some((StatusCode::SERVICE_UNAVAILABLE, header("grpc-status-details-bin")));
    }
    Some((response.status(), header("retry-after")))
}
