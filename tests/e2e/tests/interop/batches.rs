//! The collector's own batches: each exporter, signal, encoding and compression that can be configured.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use libtest_mimic::Trial;
use sluice_e2e::{
    Encoding, PartialSuccess, Protocol,
    collector::{self, Batch, Compression, Delivery, ExportError},
};
use sluice_otlp::Signal;

use crate::{
    fixture::{Gate, Gates, Required, Setup, backend},
    request::Request,
};

/// About 150 KiB: more than a chunk of framed snappy (64 KiB) and more than a block of zstd (128 KiB).
const USUAL: usize = 70;
/// About 1 MiB of logs: if the headers are not held, a body above 512 KiB moves into the module.
const LARGE: usize = 500;

/// An exporter's configuration and the signal that it exports.
#[derive(Clone, Copy)]
struct Exporter {
    protocol: Protocol,
    encoding: Encoding,
    compression: Compression,
    signal: Signal,
}

impl Exporter {
    /// All configurations.
    fn all() -> impl Iterator<Item = Self> {
        Protocol::ALL.into_iter().flat_map(|protocol| {
            Encoding::of(protocol).iter().flat_map(move |&encoding| {
                Compression::of(protocol).iter().flat_map(move |&compression| {
                    Signal::ALL.map(|signal| Self { protocol, encoding, compression, signal })
                })
            })
        })
    }

    fn batch(self, gate: Gate<'_>, groups: usize, without: usize) -> Batch {
        Batch {
            protocol: self.protocol,
            signal: self.signal,
            compression: self.compression,
            encoding: self.encoding,
            endpoint: gate.addr().to_string(),
            identity: gate.identity(),
            groups,
            without,
            nanos: now(),
            timeout: Duration::from_secs(10),
        }
    }
}

impl fmt::Display for Exporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { protocol, encoding, compression, signal } = self;
        write!(f, "{protocol} {encoding} {compression} {}", signal.as_str())
    }
}

/// The kind of a batch, and the expected result.
#[derive(Clone, Copy)]
struct Expectation {
    name: &'static str,
    groups: usize,
    without: usize,
    check: fn(&Delivery, &Outcome<'_>),
}

const ALL_IS_STORED: Expectation = Expectation {
    name: "all_of_it_is_stored",
    groups: USUAL,
    without: 0,
    check: all_of_it_is_stored,
};

const SOME_IS_DROPPED: Expectation = Expectation {
    name: "what_lacks_a_name_is_dropped",
    groups: USUAL,
    without: USUAL * 3 / 10,
    check: what_lacks_a_name_is_dropped,
};

const SOME_OF_A_LARGE_ONE_IS_DROPPED: Expectation = Expectation {
    name: "what_lacks_a_name_is_dropped_from_a_large_one",
    groups: LARGE,
    without: LARGE / 10,
    check: what_lacks_a_name_is_dropped,
};

const ALL_IS_DROPPED: Expectation = Expectation {
    name: "without_any_name_it_is_refused",
    groups: USUAL,
    without: USUAL,
    check: without_any_name_it_is_refused,
};

/// Each exporter with each expectation, except where one exporter can represent all.
fn expected(exporter: Exporter) -> impl Iterator<Item = Expectation> {
    let large = (exporter.signal == Signal::Logs).then_some(SOME_OF_A_LARGE_ONE_IS_DROPPED);
    let refused = (exporter.compression == Compression::Gzip).then_some(ALL_IS_DROPPED);
    [ALL_IS_STORED, SOME_IS_DROPPED].into_iter().chain(large).chain(refused)
}

pub(crate) fn trials(gates: &Arc<Gates>) -> Vec<Trial> {
    let mut trials = Vec::new();
    for hold_headers in [true, false] {
        let setup = Setup { hold_headers, required: Required::SourceName };
        for exporter in Exporter::all() {
            for expectation in expected(exporter) {
                let name = format!("collector {exporter}::{}", expectation.name);
                let run = async move |gate: Gate<'_>| exports(gate, exporter, expectation).await;
                trials.push(gates.trial(setup, name, run));
            }
        }
    }
    trials
}

async fn exports(gate: Gate<'_>, exporter: Exporter, expectation: Expectation) {
    let Expectation { groups, without, check, .. } = expectation;
    let delivery = collector::send(&exporter.batch(gate, groups, without)).await;
    let delivery = delivery.unwrap_or_else(|error| panic!("{error}"));
    check(&delivery, &Outcome::of(gate, exporter, &delivery));
}

/// The result of a batch, other than the reply to the collector.
struct Outcome<'s> {
    gate: Gate<'s>,
    exporter: Exporter,
    /// What was sent, without the records that lack a name.
    named: Request,
    /// The number of records that lack a name.
    unnamed: usize,
}

impl<'s> Outcome<'s> {
    fn of(gate: Gate<'s>, exporter: Exporter, delivery: &Delivery) -> Self {
        let sent = Request::from_protobuf(exporter.signal, &delivery.sent);
        let all = sent.records();
        let named = sent.named_only();
        let unnamed = all - named.records();
        Self { gate, exporter, named, unnamed }
    }

    /// Asserts that the tenant has the named records, unchanged, and that no other tenant has anything.
    fn assert_stored(&self) {
        let backend = backend(self.exporter.signal);
        let requests = self.gate.store().requests(backend);
        let [request] = &requests[..] else {
            panic!("{backend} was to get one request: {requests:#?}");
        };
        let decoded = request.decoded.as_deref();
        let decoded = decoded.unwrap_or_else(|| panic!("{backend} did not read {request:#?}"));
        let signal = self.exporter.signal;
        let found = match self.exporter.encoding {
            Encoding::Protobuf => Request::from_protobuf(signal, decoded),
            Encoding::Json => Request::from_json(signal, decoded),
        };
        found.assert_same(&self.named);
        self.gate.assert_stored(backend, self.named.records());
    }
}

fn all_of_it_is_stored(delivery: &Delivery, outcome: &Outcome<'_>) {
    assert_eq!(outcome.unnamed, 0, "the collector was to name all of them");
    assert_eq!((&delivery.error, &delivery.partial_success), (&None, &None));
    outcome.assert_stored();
}

fn what_lacks_a_name_is_dropped(delivery: &Delivery, outcome: &Outcome<'_>) {
    assert_ne!(outcome.unnamed, 0, "the collector was to leave out some names");
    assert_eq!(delivery.error, None);
    let Some(PartialSuccess { rejected, message }) = &delivery.partial_success else {
        panic!("the collector was not told of {} that were dropped", outcome.unnamed);
    };
    assert_eq!(usize::try_from(*rejected), Ok(outcome.unnamed));
    assert!(message.contains("source.name"), "the message names the rule: {message:?}");
    outcome.assert_stored();
}

fn without_any_name_it_is_refused(delivery: &Delivery, outcome: &Outcome<'_>) {
    assert_eq!(outcome.named.records(), 0, "the collector was to leave out all names");
    assert_eq!(delivery.partial_success, None);
    let error = permanent_error(delivery);
    let status = match outcome.exporter.protocol {
        Protocol::Grpc => "code = InvalidArgument",
        Protocol::Http => "HTTP Status Code 400",
    };
    assert!(error.contains(status), "{error}");
    // A collector that sends JSON still reads the Status of an error as protobuf, and so shows none.
    if outcome.exporter.encoding == Encoding::Protobuf {
        assert!(error.contains("source.name"), "the message names the rule: {error}");
    }
    outcome.gate.assert_stored(backend(outcome.exporter.signal), 0);
}

fn permanent_error(delivery: &Delivery) -> &str {
    match &delivery.error {
        Some(ExportError { message, permanent: true }) => message,
        other => panic!("the collector was to give it up: {other:?}"),
    }
}

/// Nanoseconds since 1970: Loki rejects everything that is older than a week.
#[expect(clippy::disallowed_methods, reason = "a test program has a clock")]
pub(crate) fn now() -> u64 {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970");
    u64::try_from(since_1970.as_nanos()).expect("a clock before 2554")
}
