//! Rotel, a collector in Rust: what the backends store, and what Rotel logs about it.

use std::{sync::Arc, time::Duration};

use envoy_local::SenderName;
use libtest_mimic::Trial;
use sluice_e2e::{
    Protocol, Signal, Verdict,
    rotel::{Rotel, Said},
};

use crate::{
    fixture::{Gate, Gates, Required, Setup, backend},
    ledger::{Ledger, Stored},
    request::Request,
    sdk::{RECORDS, Row, name_of, on_the_wire},
};

/// The time between two checks of a batch's result.
const PAUSE: Duration = Duration::from_millis(10);

pub(crate) fn trials(gates: &Arc<Gates>) -> Vec<Trial> {
    let trials = Protocol::ALL.map(|protocol| {
        let setup =
            Setup { hold_headers: protocol == Protocol::Grpc, required: Required::SourceName };
        let name = format!("rotel {protocol}::it_sends_again_what_may_be_and_drops_the_rest");
        gates.trial(setup, name, async move |gate: Gate<'_>| every_row(gate, protocol).await)
    });
    trials.into()
}

async fn every_row(gate: Gate<'_>, protocol: Protocol) {
    let known = start(gate, protocol, SenderName::Payments).await;
    for signal in Signal::ALL {
        for (index, row) in Row::all().into_iter().enumerate() {
            let row = as_it_is(row, protocol);
            deliver(gate, &known, protocol, signal, index, &row).await;
        }
    }
    let stranger = start(gate, protocol, SenderName::Stranger).await;
    deliver(gate, &stranger, protocol, Signal::Logs, Row::all().len(), &Row::stranger()).await;
    // After they have exited they send nothing more, so the backends have everything that they sent.
    for rotel in [known, stranger] {
        rotel.stop().await.unwrap_or_else(|error| panic!("{error}"));
    }
    for signal in Signal::ALL {
        let rows = Row::all().into_iter().map(|row| as_it_is(row, protocol));
        let sent = rows.filter(Row::reaches_its_backend).map(|row| row.attempts as usize);
        let asked = gate.store().requests(backend(on_the_wire(signal))).len();
        assert_eq!(asked, sent.sum::<usize>(), "requests of {signal} over {protocol}");
    }
}

async fn start(gate: Gate<'_>, protocol: Protocol, sender: SenderName) -> Rotel {
    let endpoint = gate.addr().to_string();
    let rotel = Rotel::start(protocol, &endpoint, &gate.identity_of(sender)).await;
    rotel.unwrap_or_else(|error| panic!("{error}"))
}

/// The same for requests where Rotel does not do what the protocol requires: `is_retryable_error` in its
/// `src/exporters/otlp/errors.rs` retries 500 and INTERNAL, and RESOURCE_EXHAUSTED with or without RetryInfo.
fn as_it_is(row: Row, protocol: Protocol) -> Row {
    match (row.answer.0, protocol) {
        (500, _) | (413, Protocol::Grpc) => row.sent_again(),
        _ => row,
    }
}

/// Sends it a batch, waits for the expected result, and asserts that nothing else happened.
async fn deliver(
    gate: Gate<'_>,
    rotel: &Rotel,
    protocol: Protocol,
    signal: Signal,
    index: usize,
    row: &Row,
) {
    let run_id = format!("rotel-{protocol}-{signal}-{index}");
    let wire = on_the_wire(signal);
    if row.reaches_its_backend() {
        row.queue(gate, backend(wire));
    }
    let before = rotel.said().len();
    let batch = Request::named(wire, &run_id, RECORDS - row.without, row.without);
    rotel.give(signal, batch.to_protobuf()).await.unwrap_or_else(|error| panic!("{error}"));

    let kept = row.kept(0);
    let stored = || Ledger::by_run(gate.store(), wire, &run_id);
    loop {
        let said = &rotel.said()[before..];
        let dropped = said.iter().any(|one| matches!(one, Said::Dropped { .. }));
        if dropped || !stored().is_empty() {
            break;
        }
        tokio::time::sleep(PAUSE).await;
    }
    let said = &rotel.said()[before..];
    let who = format!("{run_id}, {}: {said:#?}", row.name);
    let again = said.iter().filter(|one| matches!(one, Said::Again { .. })).count();
    let dropped = said.iter().filter(|one| matches!(one, Said::Dropped { .. })).count();
    let refused = usize::from(row.verdict == Verdict::Failure);
    assert_eq!((again, dropped), (row.attempts as usize - 1, refused), "{who}");
    let ledger = stored();
    assert_eq!(ledger.len(), kept.len(), "{who}");
    for number in kept {
        let found = ledger.of_record(&name_of(signal, number));
        assert_eq!(found, Stored { answered: 1, unanswered: 0 }, "{number}: {who}");
    }
}
