//! The Python SDK, which retries for itself: it sends again what may be, once the backend takes it, and gives up
//! what may not.

use std::sync::Arc;

use http::StatusCode;
use libtest_mimic::Trial;
use sluice_backends::Reaction;
use sluice_e2e::{Export, Outcome, Protocol, SendError, Signal, Verdict, python};

use crate::answers::{in_a_second, said};
use crate::fixture::{Gate, Gates, Required, Setup, backend};
use crate::ledger::{Ledger, Stored};

/// What a backend answers to one export, and how often the SDK sends it.
struct Row {
    plays: Reaction,
    attempts: u32,
    verdict: Verdict,
}

impl Row {
    fn retried(plays: impl Into<Reaction>) -> Self {
        Self { plays: plays.into(), attempts: 2, verdict: Verdict::Success }
    }

    fn refused(status: StatusCode) -> Self {
        Self { plays: said(status).into(), attempts: 1, verdict: Verdict::Failure }
    }
}

/// The backends' answers one after the other. The signals share them, because each export takes a second or two.
fn rows(signal: Signal) -> [Row; 2] {
    match signal {
        Signal::Logs => [
            Row::retried(said(StatusCode::SERVICE_UNAVAILABLE)),
            Row::refused(StatusCode::BAD_REQUEST),
        ],
        Signal::Metrics => [
            Row::retried(in_a_second(StatusCode::TOO_MANY_REQUESTS)),
            Row::refused(StatusCode::UNAUTHORIZED),
        ],
        Signal::Traces => {
            [Row::retried(Reaction::Close), Row::refused(StatusCode::INTERNAL_SERVER_ERROR)]
        }
    }
}

pub(crate) fn trials(gates: &Arc<Gates>) -> Vec<Trial> {
    let trials = Protocol::ALL.map(|protocol| {
        let hold_headers = protocol == Protocol::Grpc;
        let setup = Setup { hold_headers, required: Required::SourceName };
        let name = format!("python {protocol}::it_sends_again_what_may_be_and_nothing_else");
        let run = async move |gate: Gate<'_>| {
            let [logs, metrics, traces] = Signal::ALL;
            let each = |signal| send(gate, protocol, signal);
            let sent = tokio::join!(each(logs), each(metrics), each(traces));
            // Only now: what still sends when a trial fails would be in the next one's way.
            for sent in <[_; 3]>::from(sent).into_iter().flatten() {
                sent.assert_sent_again_if_it_may_be(gate);
            }
        };
        gates.trial(setup, name, run)
    });
    trials.into()
}

/// An export, and what the SDK saw of it.
struct Sent {
    row: Row,
    export: Export,
    outcome: Result<Outcome, SendError>,
}

async fn send(gate: Gate<'_>, protocol: Protocol, signal: Signal) -> Vec<Sent> {
    let mut sent = Vec::new();
    for (index, row) in rows(signal).into_iter().enumerate() {
        gate.store().answer_next(backend(on_the_wire(signal)), row.plays.clone());
        let endpoint = gate.addr().to_string();
        let run_id = format!("{protocol}-{signal}-{index}");
        let export = Export::new(protocol, signal, endpoint, gate.identity(), run_id);
        let outcome = python::send(&export).await;
        sent.push(Sent { row, export, outcome });
    }
    sent
}

impl Sent {
    /// Asserts also that each record has been stored once, or none.
    fn assert_sent_again_if_it_may_be(self, gate: Gate<'_>) {
        let Self { row, export, outcome } = self;
        let outcome = outcome.unwrap_or_else(|error| panic!("{error}"));
        let who = format!("{}, {:?}: {outcome:#?}", export.run_id, row.plays);
        assert_eq!((outcome.result, outcome.attempts), (row.verdict, row.attempts), "{who}");
        let ledger = Ledger::by_run(gate.store(), on_the_wire(export.signal), &export.run_id);
        let (records, each) = match row.verdict {
            Verdict::Success => (export.records, Stored { answered: 1, unanswered: 0 }),
            Verdict::Failure => (0, Stored::default()),
        };
        assert_eq!((ledger.len(), ledger.each()), (records, each), "{who}");
    }
}

fn on_the_wire(signal: Signal) -> sluice_otlp::Signal {
    match signal {
        Signal::Logs => sluice_otlp::Signal::Logs,
        Signal::Metrics => sluice_otlp::Signal::Metrics,
        Signal::Traces => sluice_otlp::Signal::Traces,
    }
}
