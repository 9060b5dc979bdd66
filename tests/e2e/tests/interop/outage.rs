//! Backends that fail and recover, again and again, while senders continue: nothing is lost, and nothing is stored
//! twice except what a backend stored without answering.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use http::{
    StatusCode,
    header::{HeaderValue, RETRY_AFTER},
};
use libtest_mimic::Trial;
use sluice_e2e::{
    Encoding, Export, Outcome, Protocol, Sdk, Series, Verdict,
    collector::{self, Account, Batch, Compression, Stretch},
};
use sluice_otlp::Signal;
use sluice_stand_ins::{Answer, Backend, Reaction};
use tokio::task::JoinSet;

use crate::{
    batches::now,
    fixture::{Gate, Gates, Required, Setup, backend},
    ledger::Ledger,
};

/// The variable with the seconds that the run takes.
const SECONDS: &str = "OUTAGE_SECONDS";
/// Each fault once.
const USUAL_SECONDS: u64 = 20;
/// The time for requests that are in flight when the last fault ends.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long the backends work, and how long they then fail. The times fit the Python SDK, which gives up at its sixth
/// attempt: its second pause is longer than a fault, and ends before the next.
const UP: Duration = Duration::from_millis(2_500);
const DOWN: Duration = Duration::from_millis(1_500);

/// The time from one batch of a sender to its next.
const EVERY: Duration = Duration::from_millis(200);
/// Records in a batch of the Python SDK.
const PYTHON_RECORDS: usize = 10;

/// What happens to all backends at once.
#[derive(Clone, Copy, Debug)]
enum Fault {
    Unavailable,
    Throttling,
    Resets,
    ResetsAfterStoring,
    Refused,
}

impl Fault {
    const ALL: [Self; 5] = [
        Self::Unavailable,
        Self::ResetsAfterStoring,
        Self::Refused,
        Self::Throttling,
        Self::Resets,
    ];

    fn reaction(self) -> Option<Reaction> {
        match self {
            Self::Unavailable => Some(Answer::new(StatusCode::SERVICE_UNAVAILABLE).into()),
            Self::Throttling => {
                let answer = Answer::new(StatusCode::TOO_MANY_REQUESTS);
                Some(answer.header(RETRY_AFTER, HeaderValue::from_static("1")).into())
            }
            Self::Resets => Some(Reaction::Close),
            Self::ResetsAfterStoring => Some(Reaction::StoreAndClose),
            Self::Refused => None,
        }
    }

    async fn begin(self, gate: Gate<'_>) {
        for backend in Backend::ALL {
            match self.reaction() {
                Some(reaction) => gate.store().answer_always(backend, reaction),
                None => gate.backends().take_down(backend).await,
            }
        }
    }

    async fn end(self, gate: Gate<'_>) {
        for backend in Backend::ALL {
            gate.store().answer_as_usual(backend);
            gate.backends().bring_up(backend).await;
        }
    }
}

pub(crate) fn trials(gates: &Arc<Gates>) -> Vec<Trial> {
    let run = async move |gate: Gate<'_>| nothing_is_lost(gate, duration()).await;
    let name = "outage::nothing_is_lost_or_doubled_that_the_protocol_lets_be_saved".to_owned();
    let patience = duration() + 2 * PATIENCE;
    vec![gates.trial_within(patience, setup(false), name, run)]
}

fn setup(hold_headers: bool) -> Setup {
    Setup { hold_headers, required: Required::SourceName }
}

fn duration() -> Duration {
    let seconds = std::env::var(SECONDS).map_or(USUAL_SECONDS, |text| {
        text.parse().unwrap_or_else(|_| panic!("{SECONDS}={text}: write a number of seconds"))
    });
    assert!(seconds >= USUAL_SECONDS, "{SECONDS}={seconds}: each fault once takes {USUAL_SECONDS}");
    Duration::from_secs(seconds)
}

async fn nothing_is_lost(gate: Gate<'_>, duration: Duration) {
    let (collectors, pythons) = (Collector::all(gate), Python::all(gate));
    let mut accounts = JoinSet::new();
    for (index, sender) in collectors.iter().enumerate() {
        let batch = sender.batch.clone();
        let stretch = Stretch { duration, every: EVERY, patience: PATIENCE };
        accounts.spawn(async move { (index, collector::deliver(&batch, stretch).await) });
    }
    let mut outcomes = JoinSet::new();
    for (index, sender) in pythons.iter().enumerate() {
        let export = sender.export.clone();
        let series = Series::Lasting { duration, every: EVERY };
        outcomes.spawn(async move { (index, Sdk::Python.send_series(&export, &series).await) });
    }
    fail_again_and_again(gate, duration).await;

    let mut sent = [0; Signal::ALL.len()];
    let mut unanswered = 0;
    let mut count = |signal, records: usize, twice| {
        let place = Signal::ALL.iter().position(|one| *one == signal).expect("a signal");
        sent[place] += records;
        unanswered += twice;
    };
    for (index, account) in accounts.join_all().await {
        let account = account.unwrap_or_else(|error| panic!("{}: {error}", collectors[index].who));
        let (records, twice) = collectors[index].assert_saved(gate, &account);
        count(collectors[index].signal, records, twice);
    }
    for (index, outcomes) in outcomes.join_all().await {
        let outcomes = outcomes.unwrap_or_else(|error| panic!("{}: {error}", pythons[index].who));
        let (records, twice) = pythons[index].assert_saved(gate, &outcomes);
        count(pythons[index].signal, records, twice);
    }
    assert_ne!(unanswered, 0, "no backend stored without answering");
    for (signal, sent) in Signal::ALL.into_iter().zip(sent) {
        let everything = Ledger::all_answered(gate.store(), signal);
        assert_eq!(everything, sent, "{}: more was stored than was sent", signal.as_str());
        assert_failed(gate, backend(signal));
    }
    eprintln!(
        "outage: {sent:?} records saved; {unanswered} times one was stored without an answer"
    );
}

/// Asserts that the faults really occurred; otherwise the test has shown nothing.
fn assert_failed(gate: Gate<'_>, backend: Backend) {
    let requests = gate.store().requests(backend);
    for status in [Some(503), Some(429), None] {
        let met = requests.iter().any(|one| one.status.map(|status| status.as_u16()) == status);
        assert!(met, "{backend} was asked nothing that it answered {status:?}");
    }
}

/// One fault after the other, and none at the end. Long runs print their progress.
async fn fail_again_and_again(gate: Gate<'_>, duration: Duration) {
    let began = Instant::now();
    for fault in Fault::ALL.into_iter().cycle() {
        if began.elapsed() + UP + DOWN > duration {
            break;
        }
        tokio::time::sleep(UP).await;
        fault.begin(gate).await;
        tokio::time::sleep(DOWN).await;
        fault.end(gate).await;
        if duration.as_secs() > USUAL_SECONDS {
            let stored = Backend::ALL.map(|one| gate.store().tenants(one).values().sum::<usize>());
            let (now, all) = (began.elapsed().as_secs(), duration.as_secs());
            eprintln!("outage: {now} of {all} s, {stored:?} records stored, last fault {fault:?}");
        }
    }
    tokio::time::sleep(duration.saturating_sub(began.elapsed())).await;
}

/// An exporter of the collector with its queue and its retries.
struct Collector {
    who: String,
    signal: Signal,
    batch: Batch,
}

impl Collector {
    /// Each protocol and signal, half of them with the headers held.
    fn all(gate: Gate<'_>) -> Vec<Self> {
        let each =
            Protocol::ALL.into_iter().flat_map(|one| Signal::ALL.map(|signal| (one, signal)));
        let senders = each.enumerate().map(|(index, (protocol, signal))| {
            let hold_headers = (index + index / Signal::ALL.len()).is_multiple_of(2);
            let who = format!("the collector's {} over {protocol}", signal.as_str());
            // A second apart, because no sender has that many records, with one for each nanosecond.
            let nanos = now() - 1_000_000_000 * (index as u64 + 1);
            let batch = Batch {
                protocol,
                signal,
                compression: Compression::Gzip,
                encoding: Encoding::Protobuf,
                endpoint: gate.with(setup(hold_headers)).addr().to_string(),
                identity: gate.identity(),
                groups: 1,
                without: 0,
                nanos,
                timeout: Duration::from_secs(10),
            };
            Self { who, signal, batch }
        });
        senders.collect()
    }

    /// Asserts that its counters say that everything was sent, and that this is true. Returns the number of records,
    /// and how many times one was stored without an answer.
    fn assert_saved(&self, gate: Gate<'_>, account: &Account) -> (usize, usize) {
        let who = format!("{}: {account:#?}", self.who);
        assert_eq!(account.sent, account.given, "sent: {who}");
        let failed = account.failed_permanent + account.failed_retryable + account.enqueue_failed;
        assert_eq!((failed, &account.partial_success), (0, &None), "{who}");
        let success = if self.batch.protocol == Protocol::Http { "200" } else { "OK" };
        assert_eq!(account.attempts.get(success), Some(&account.batches), "successes: {who}");
        assert!(account.attempts.values().sum::<u64>() > account.batches, "it met no fault: {who}");

        let times = self.batch.nanos + 1..=self.batch.nanos + account.given;
        let ledger = Ledger::by_time(gate.store(), self.signal, &times);
        let twice = ledger.assert_each_once(&self.who, times);
        (ledger.len(), twice)
    }
}

/// The Python SDK, which exports one batch after the other and retries by itself.
struct Python {
    who: String,
    signal: Signal,
    export: Export,
}

impl Python {
    fn all(gate: Gate<'_>) -> Vec<Self> {
        let logs = (Protocol::Http, Signal::Logs, sluice_e2e::Signal::Logs, true);
        let spans = (Protocol::Grpc, Signal::Traces, sluice_e2e::Signal::Traces, false);
        let senders = [logs, spans].map(|(protocol, signal, sdk_signal, hold_headers)| {
            let who = format!("the Python SDK's {} over {protocol}", signal.as_str());
            let endpoint = gate.with(setup(hold_headers)).addr().to_string();
            let run_id = format!("outage-{protocol}");
            let mut export = Export::new(protocol, sdk_signal, endpoint, gate.identity(), run_id);
            (export.records, export.timeout) = (PYTHON_RECORDS, PATIENCE);
            Self { who, signal, export }
        });
        senders.into()
    }

    /// As [`Collector::assert_saved`].
    fn assert_saved(&self, gate: Gate<'_>, outcomes: &[Outcome]) -> (usize, usize) {
        for outcome in outcomes {
            assert_eq!(outcome.result, Verdict::Success, "{}: {outcome:?}", self.who);
            assert_eq!(outcome.partial_success, None, "{}: {outcome:?}", self.who);
        }
        assert!(outcomes.iter().any(|one| one.attempts > 1), "{} met no fault", self.who);
        let kind = if self.signal == Signal::Logs { "log" } else { "span" };
        let names = (0..outcomes.len() * PYTHON_RECORDS).map(|number| format!("{kind} {number}"));
        let ledger = Ledger::by_run(gate.store(), self.signal, &self.export.run_id);
        let twice = ledger.assert_each_once(&self.who, names);
        (ledger.len(), twice)
    }
}
