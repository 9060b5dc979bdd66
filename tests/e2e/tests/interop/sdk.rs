//! The SDKs, which retry by themselves: they retry retryable errors until the records are stored, give up at once after
//! other errors, and the replies that they get are true.

use std::{ops::Range, sync::Arc, time::Duration};

use envoy_local::SenderName;
use http::StatusCode;
use libtest_mimic::Trial;
use sluice_e2e::{
    Encoding, Export, Outcome, PartialSuccess, Protocol, Reply, Sdk, SendError, Series, Signal,
    Verdict,
};
use sluice_stand_ins::{Backend, Reaction};

use crate::{
    answers::{WORDS, in_a_second, said},
    fixture::{Gate, Gates, PATIENCE, Required, Setup, backend},
    ledger::{Ledger, Stored},
};

/// The number of records in each export.
pub(crate) const RECORDS: usize = 10;

/// One export: its backend's answer, and the expected result.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    /// The answer to the first attempt; later ones get the backend's normal work.
    plays: Option<Reaction>,
    /// The number of records that lack `source.name`.
    pub(crate) without: usize,
    pub(crate) attempts: u32,
    pub(crate) verdict: Verdict,
    /// The last answer: over HTTP and over gRPC.
    pub(crate) answer: (u16, &'static str),
    /// The time that the backend has asked to wait between the first attempt and the second.
    waits: Duration,
}

impl Row {
    fn taken(name: &'static str, without: usize) -> Self {
        Self {
            name,
            plays: None,
            without,
            attempts: 1,
            verdict: Verdict::Success,
            answer: (200, "OK"),
            waits: Duration::ZERO,
        }
    }

    fn retried(name: &'static str, plays: impl Into<Reaction>) -> Self {
        Self { plays: Some(plays.into()), attempts: 2, ..Self::taken(name, 0) }
    }

    fn refused(name: &'static str, plays: StatusCode, answer: (u16, &'static str)) -> Self {
        let plays = Some(said(plays).into());
        Self { plays, answer, verdict: Verdict::Failure, ..Self::taken(name, 0) }
    }

    /// One after the other, because they share a backend.
    pub(crate) fn all() -> Vec<Self> {
        vec![
            Self::taken("what is named is stored", 0),
            Self::taken("what is not named is dropped", 3),
            Self {
                verdict: Verdict::Failure,
                answer: (400, "INVALID_ARGUMENT"),
                ..Self::taken("nothing is named", RECORDS)
            },
            Self::retried("503, then back", said(StatusCode::SERVICE_UNAVAILABLE)),
            Self::retried("a reset, then back", Reaction::Close),
            Self {
                waits: Duration::from_secs(1),
                ..Self::retried("429", in_a_second(StatusCode::TOO_MANY_REQUESTS))
            },
            Self::refused("400", StatusCode::BAD_REQUEST, (400, "INVALID_ARGUMENT")),
            Self::refused("401", StatusCode::UNAUTHORIZED, (500, "INTERNAL")),
            Self::refused("413", StatusCode::PAYLOAD_TOO_LARGE, (413, "RESOURCE_EXHAUSTED")),
            Self::refused("500", StatusCode::INTERNAL_SERVER_ERROR, (500, "INTERNAL")),
        ]
    }

    /// An export of a sender whose certificate the gate does not know; it reaches no backend.
    pub(crate) fn stranger() -> Self {
        Self {
            verdict: Verdict::Failure,
            answer: (403, "PERMISSION_DENIED"),
            ..Self::taken("a stranger", 0)
        }
    }

    /// Given up although it may be retried.
    fn lost(self) -> Self {
        let answer = match &self.plays {
            Some(Reaction::Answer(answer)) if answer.status == StatusCode::TOO_MANY_REQUESTS => {
                (429, "RESOURCE_EXHAUSTED")
            }
            _ => (503, "UNAVAILABLE"),
        };
        Self { answer, attempts: 1, verdict: Verdict::Failure, waits: Duration::ZERO, ..self }
    }

    /// Retried although it must not be; the backend then accepts it.
    pub(crate) fn sent_again(self) -> Self {
        Self { answer: (200, "OK"), attempts: 2, verdict: Verdict::Success, ..self }
    }

    pub(crate) fn reaches_its_backend(&self) -> bool {
        self.without < RECORDS && self.answer.0 != 403
    }

    /// Queues the backend's answers to its attempts.
    pub(crate) fn queue(&self, gate: Gate<'_>, backend: Backend) {
        let played = self.plays.clone();
        let usual = self.attempts as usize - usize::from(played.is_some());
        if let Some(played) = played {
            gate.store().answer_next(backend, played);
        }
        for _ in 0..usual {
            gate.store().answer_next_as_usual(backend);
        }
    }

    /// The numbers of the stored records, among those that begin with this one.
    pub(crate) fn kept(&self, first: usize) -> Range<usize> {
        let gets_through = matches!(self.answer, (200, _));
        first..first + if gets_through { RECORDS - self.without } else { 0 }
    }
}

/// An SDK, and its protocol.
#[derive(Clone, Copy, Debug)]
struct Client {
    sdk: Sdk,
    protocol: Protocol,
    encoding: Encoding,
}

impl Client {
    fn all() -> impl Iterator<Item = Self> {
        let encodings = |protocol| Encoding::of(protocol).iter().map(move |one| (protocol, *one));
        let ways = Protocol::ALL.into_iter().flat_map(encodings);
        let of_all = ways
            .flat_map(|(protocol, encoding)| Sdk::ALL.map(|sdk| Self { sdk, protocol, encoding }));
        of_all.filter(|client| client.signals().next().is_some())
    }

    fn signals(self) -> impl Iterator<Item = Signal> {
        let Self { sdk, protocol, encoding } = self;
        Signal::ALL.into_iter().filter(move |signal| sdk.exports(*signal, protocol, encoding))
    }

    /// Its exports, and their expected results.
    fn rows(self, signal: Signal) -> Vec<Row> {
        let one_resource = self.sdk == Sdk::Rust && signal != Signal::Metrics;
        let rows = Row::all().into_iter();
        let rows = rows.filter(|row| !one_resource || [0, RECORDS].contains(&row.without));
        rows.map(|row| self.as_it_is(row)).collect()
    }

    /// The same for exports where the SDK does not do what the protocol requires.
    fn as_it_is(self, mut row: Row) -> Row {
        let refused = row.verdict == Verdict::Failure;
        match (self.sdk, self.protocol) {
            // A partial success is returned to the application as an error: `UploadTraces` in otlptracegrpc/client.go
            // and its siblings join it to their result.
            (Sdk::Go, _) if !refused && row.without > 0 => row.verdict = Verdict::Failure,
            // Nothing is retried over gRPC: every error is `failure`, and none `retryable`, in
            // otlp-grpc-exporter-base/src/grpc-exporter-transport.ts.
            (Sdk::JavaScript, Protocol::Grpc) if row.attempts > 1 => row = row.lost(),
            // RESOURCE_EXHAUSTED is retried with and without RetryInfo, after the SDK's own pause:
            // exporter/internal/RetryUtil.java has it among the codes, and OkHttpGrpcSender.java reads no details.
            (Sdk::Java, Protocol::Grpc) => {
                row.waits = Duration::ZERO;
                if row.answer.1 == "RESOURCE_EXHAUSTED" {
                    row = row.sent_again();
                }
            }
            (Sdk::Python, Protocol::Grpc) => {
                // RetryInfo is read from a separate trailer, google.rpc.retryinfo-bin, and not from the status'
                // details: `_export` in exporter.py. The pause is about a second, as the first always is.
                row.waits = row.waits.min(Duration::from_millis(800));
                // RESOURCE_EXHAUSTED is retried with and without RetryInfo here too.
                if row.answer.1 == "RESOURCE_EXHAUSTED" {
                    row = row.sent_again();
                }
            }
            _ => {}
        }
        row
    }
}

pub(crate) fn trials(gates: &Arc<Gates>) -> Vec<Trial> {
    let trials = Client::all().map(|client| {
        let Client { sdk, protocol, encoding } = client;
        let hold_headers = (protocol, encoding) != (Protocol::Http, Encoding::Protobuf);
        let setup = Setup { hold_headers, required: Required::SourceName };
        let name = format!("sdk {sdk} {protocol} {encoding}::it_is_told_what_happened_and_does_so");
        gates.trial(setup, name, async move |gate: Gate<'_>| every_signal(gate, client).await)
    });
    trials.collect()
}

/// Whatever the size of a request that is refused by its head, its sender reads the reason and does not retry. With
/// `REFUSALS=20`, each is sent twenty times.
pub(crate) fn refusals(gates: &Arc<Gates>) -> Vec<Trial> {
    let modes = Client::all().flat_map(|client| [true, false].map(|held| (client, held)));
    let trials = modes.map(|(client, hold_headers)| {
        let Client { sdk, protocol, encoding } = client;
        let setup = Setup { hold_headers, required: Required::SourceName };
        let name = format!("sdk {sdk} {protocol} {encoding}::it_sees_a_refusal_of_any_size");
        gates.trial_within(PATIENCE * 5, setup, name, async move |gate: Gate<'_>| {
            every_size(gate, client).await;
        })
    });
    trials.collect()
}

async fn every_size(gate: Gate<'_>, client: Client) {
    let tries = std::env::var("REFUSALS").map_or(2, |tries| tries.parse().expect("a number"));
    let Client { sdk, protocol, encoding } = client;
    let signal = client.signals().next().expect("it exports something");
    for padding in [0, 100_000, 20_000_000] {
        let run_id = format!("{sdk}-{protocol}-{encoding}-{padding}");
        let identity = gate.identity_of(SenderName::Stranger);
        let mut export =
            Export::new(protocol, signal, gate.addr().to_string(), identity, run_id.clone());
        (export.encoding, export.padding) = (encoding, padding);
        export.timeout = PATIENCE;
        let outcomes = sdk.send_series(&export, &Series::Without(vec![0; tries])).await;
        let outcomes = outcomes.unwrap_or_else(|error| panic!("{run_id}: {error}"));
        assert_eq!(outcomes.len(), tries, "{run_id}: {outcomes:#?}");
        for outcome in &outcomes {
            Row::stranger().assert_told(outcome, protocol, &format!("{run_id}: {outcome:#?}"));
        }
    }
    gate.assert_stored(backend(on_the_wire(signal)), 0);
}

/// The signals run in parallel, because each has its own backend.
async fn every_signal(gate: Gate<'_>, client: Client) {
    let each = async |signal| {
        if client.signals().any(|one| one == signal) {
            Some(tokio::join!(
                send(gate, client, signal, SenderName::Payments, client.rows(signal)),
                send(gate, client, signal, SenderName::Stranger, vec![Row::stranger()]),
            ))
        } else {
            None
        }
    };
    let [logs, metrics, traces] = Signal::ALL;
    let sent = tokio::join!(each(logs), each(metrics), each(traces));
    // Checked only now: if a trial failed earlier, exporters that still send would disturb the next trial.
    for (known, stranger) in <[_; 3]>::from(sent).into_iter().flatten() {
        known.assert_told_what_happened(gate, client);
        stranger.assert_told_what_happened(gate, client);
    }
}

/// The exports of one signal, and the SDK's result of each.
struct Sent {
    signal: Signal,
    run_id: String,
    rows: Vec<Row>,
    outcomes: Result<Vec<Outcome>, SendError>,
}

async fn send(
    gate: Gate<'_>,
    client: Client,
    signal: Signal,
    sender: SenderName,
    rows: Vec<Row>,
) -> Sent {
    for row in rows.iter().filter(|row| row.reaches_its_backend()) {
        row.queue(gate, backend(on_the_wire(signal)));
    }
    let Client { sdk, protocol, encoding } = client;
    let run_id = format!("{sdk}-{protocol}-{encoding}-{signal}-{}", sender.as_str());
    let (endpoint, identity) = (gate.addr().to_string(), gate.identity_of(sender));
    let mut export = Export::new(protocol, signal, endpoint, identity, run_id.clone());
    (export.encoding, export.records) = (encoding, RECORDS);
    let series = Series::Without(rows.iter().map(|row| row.without).collect());
    let outcomes = sdk.send_series(&export, &series).await;
    Sent { signal, run_id, rows, outcomes }
}

impl Sent {
    fn assert_told_what_happened(self, gate: Gate<'_>, client: Client) {
        let Self { signal, run_id, rows, outcomes } = self;
        let outcomes = outcomes.unwrap_or_else(|error| panic!("{run_id}: {error}"));
        assert_eq!(outcomes.len(), rows.len(), "{run_id}: {outcomes:#?}");
        let ledger = Ledger::by_run(gate.store(), on_the_wire(signal), &run_id);
        let mut stored = 0;
        for (index, (row, outcome)) in rows.iter().zip(&outcomes).enumerate() {
            let who = format!("{run_id}, {}: {outcome:#?}", row.name);
            row.assert_told(outcome, client.protocol, &who);

            let first = index * RECORDS;
            let kept = row.kept(first);
            for number in first..first + RECORDS {
                let times = usize::from(kept.contains(&number));
                let found = ledger.of_record(&name_of(signal, number));
                assert_eq!(found, Stored { answered: times, unanswered: 0 }, "{number}: {who}");
            }
            stored += kept.len();
        }
        assert_eq!(ledger.len(), stored, "{run_id}: more was stored than was sent");
    }
}

impl Row {
    fn assert_told(&self, outcome: &Outcome, protocol: Protocol, who: &str) {
        assert_eq!((outcome.result, outcome.attempts), (self.verdict, self.attempts), "{who}");
        let waited = Duration::from_millis(outcome.milliseconds);
        assert!(waited >= self.waits, "again after {waited:?}: {who}");

        let message = match (&outcome.reply, protocol) {
            (Reply::Grpc { code, message }, Protocol::Grpc) => {
                assert_eq!(code, self.answer.1, "{who}");
                Some(message)
            }
            (Reply::Http { status, error, .. }, Protocol::Http) => {
                assert_eq!(*status, self.answer.0, "{who}");
                error.as_ref().map(|error| &error.message)
            }
            _ => panic!("no reply of the protocol: {who}"),
        };
        if let (Some(Reaction::Answer(_)), 400..) = (&self.plays, self.answer.0) {
            let told = message.is_some_and(|message| message.contains(WORDS));
            assert!(told, "the backend's words: {who}");
        }

        let partial = self.answer.0 == 200 && self.without > 0;
        match &outcome.partial_success {
            None => assert!(!partial, "nothing was said of what was dropped: {who}"),
            Some(PartialSuccess { rejected, message }) => {
                assert!(partial, "partial success of what was stored whole: {who}");
                assert_eq!(usize::try_from(*rejected), Ok(self.without), "{who}");
                assert!(message.contains("source.name"), "the message names the rule: {who}");
            }
        }
    }
}

/// The name that the senders give a record; see [`crate::request::Request::names`].
pub(crate) fn name_of(signal: Signal, number: usize) -> String {
    match signal {
        Signal::Logs => format!("log {number}"),
        Signal::Metrics => number.to_string(),
        Signal::Traces => format!("span {number}"),
    }
}

pub(crate) fn on_the_wire(signal: Signal) -> sluice_otlp::Signal {
    match signal {
        Signal::Logs => sluice_otlp::Signal::Logs,
        Signal::Metrics => sluice_otlp::Signal::Metrics,
        Signal::Traces => sluice_otlp::Signal::Traces,
    }
}
