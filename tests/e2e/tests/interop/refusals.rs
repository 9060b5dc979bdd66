//! Requests that the gate refuses by their heads, sent by the OpenTelemetry Collector's exporters and by Rotel:
//! whatever the size, the sender reads the reason and gives up. The SDKs are in `sdk.rs`, curl and Python's client in
//! the suite `gate`. With `REFUSALS=20`, each is sent twenty times.

use std::{sync::Arc, time::Duration};

use envoy_local::SenderName;
use libtest_mimic::Trial;
use sluice_e2e::{
    Encoding, Protocol, Signal,
    collector::{self, Batch, Compression, ExportError},
    rotel::{Rotel, Said},
};
use sluice_otlp::Signal as WireSignal;

use crate::{
    batches::now,
    fixture::{Gate, Gates, Required, Setup, backend},
    request::Request,
};

/// The timeout for all requests of one client.
const PATIENCE: Duration = Duration::from_secs(180);

pub(crate) fn trials(gates: &Arc<Gates>) -> Vec<Trial> {
    let mut trials = Vec::new();
    for hold_headers in [true, false] {
        let setup = Setup { hold_headers, required: Required::SourceName };
        for protocol in Protocol::ALL {
            for &encoding in Encoding::of(protocol) {
                let name =
                    format!("collector {protocol} {encoding}::it_sees_a_refusal_of_any_size");
                let run = async move |gate: Gate<'_>| by_collector(gate, protocol, encoding).await;
                trials.push(gates.trial_within(PATIENCE, setup, name, run));
            }
            let name = format!("rotel {protocol}::it_sees_a_refusal_of_any_size");
            let run = async move |gate: Gate<'_>| by_rotel(gate, protocol).await;
            trials.push(gates.trial_within(PATIENCE, setup, name, run));
        }
    }
    trials
}

fn tries() -> usize {
    std::env::var("REFUSALS").map_or(2, |tries| tries.parse().expect("REFUSALS is a number"))
}

async fn by_collector(gate: Gate<'_>, protocol: Protocol, encoding: Encoding) {
    let told = match protocol {
        Protocol::Grpc => "code = PermissionDenied",
        Protocol::Http => "HTTP Status Code 403",
    };
    // Some 2 kB each: a packet or two, more than a connection holds, more than a body may have.
    for groups in [1, 50, 10_000] {
        let batch = Batch {
            protocol,
            signal: WireSignal::Logs,
            compression: Compression::None,
            encoding,
            endpoint: gate.addr().to_string(),
            identity: gate.identity_of(SenderName::Stranger),
            groups,
            without: 0,
            nanos: now(),
            timeout: Duration::from_secs(30),
        };
        for attempt in 0..tries() {
            let delivery = collector::send(&batch).await.unwrap_or_else(|error| panic!("{error}"));
            let who = format!("{} bytes, attempt {attempt}", delivery.sent.len());
            match delivery.error {
                Some(ExportError { message, permanent: true }) => {
                    assert!(message.contains(told), "{who}: {message}");
                }
                other => panic!("{who}: the collector was to give it up: {other:?}"),
            }
        }
    }
    gate.assert_stored(backend(WireSignal::Logs), 0);
}

async fn by_rotel(gate: Gate<'_>, protocol: Protocol) {
    let told = match protocol {
        Protocol::Grpc => "PermissionDenied",
        Protocol::Http => "403",
    };
    let identity = gate.identity_of(SenderName::Stranger);
    let rotel = Rotel::start(protocol, &gate.addr().to_string(), &identity).await;
    let rotel = rotel.unwrap_or_else(|error| panic!("{error}"));
    let mut given = 0;
    for padding in [1, 100_000, 20_000_000] {
        let batch = Request::named(WireSignal::Logs, &"x".repeat(padding), 1, 0).to_protobuf();
        for _ in 0..tries() {
            given += 1;
            rotel.give(Signal::Logs, batch.clone()).await.unwrap_or_else(|error| panic!("{error}"));
            // One at a time. The trial's own timeout ends this.
            while dropped(&rotel).len() < given {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    }
    let said = rotel.stop().await.unwrap_or_else(|error| panic!("{error}"));
    let again = said.iter().filter(|one| matches!(one, Said::Again { .. })).count();
    let answers: Vec<_> = said.iter().filter_map(answer_to_dropped).collect();
    assert_eq!((again, answers.len()), (0, given), "{said:?}");
    assert!(answers.iter().all(|answer| answer.contains(told)), "{answers:?}");
    gate.assert_stored(backend(WireSignal::Logs), 0);
}

fn dropped(rotel: &Rotel) -> Vec<String> {
    rotel.said().iter().filter_map(answer_to_dropped).collect()
}

fn answer_to_dropped(said: &Said) -> Option<String> {
    match said {
        Said::Dropped { answer } => Some(answer.clone()),
        Said::Again { .. } | Said::Other(_) => None,
    }
}
