//! The collector's exporter with its queue and its retries: what it counts as sent, failed and retried is what really
//! happened, whatever a backend answers.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use http::{
    HeaderMap, HeaderName, StatusCode,
    header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER},
};
use libtest_mimic::Trial;
use opentelemetry_proto::tonic::collector::logs::v1::{
    ExportLogsPartialSuccess, ExportLogsServiceResponse,
};
use prost::Message;
use sluice_e2e::{
    Encoding, PartialSuccess, Protocol, SendError,
    collector::{self, Account, Batch, Compression, Stretch},
};
use sluice_encodings::grpc;
use sluice_otlp::Signal;
use sluice_stand_ins::{Answer, Backend, Reaction};

use crate::{
    batches::now,
    fixture::{Gate, Gates, Required, Setup, backend},
    ledger::{Ledger, Stored},
};

const GROUPS: usize = 5;

/// A backend's answers, and the expected counts for each signal and protocol.
struct Row {
    name: &'static str,
    /// What it does with each request in turn; after these, its normal work.
    plays: Vec<Reaction>,
    /// The number of groups that the gate drops.
    without: usize,
    /// The timeout of one request.
    timeout: Duration,
    /// The answers that the exporter's client counts, in any order: over HTTP and over gRPC.
    answers: [Vec<&'static str>; 2],
    /// Whether the exporter has sent what it was given; otherwise it has failed permanently.
    sent: bool,
    /// The number that the backend has rejected according to a partial success, and its message.
    rejected: Option<(i64, &'static str)>,
    /// The number of times that the forwarded records are stored.
    stored: Stored,
    /// The time for which the backend asks the sender to wait.
    waits: Duration,
    /// The text in the backend's body that decides the status: over HTTP, this needs the head to be held.
    judged_by: Option<&'static str>,
}

/// The message of a backend where its content does not matter.
pub(crate) const WORDS: &str = "words";

/// An attempt, whatever its answer.
const ANY: &str = "*";

const ONCE: Stored = Stored { answered: 1, unanswered: 0 };
const NEVER: Stored = Stored { answered: 0, unanswered: 0 };

impl Row {
    /// The batch is accepted at once.
    fn taken(name: &'static str) -> Self {
        Self {
            name,
            plays: Vec::new(),
            without: 0,
            timeout: Duration::from_secs(10),
            answers: [vec!["200"], vec!["OK"]],
            sent: true,
            rejected: None,
            stored: ONCE,
            waits: Duration::ZERO,
            judged_by: None,
        }
    }

    /// The batch is sent again until it is accepted; these are the answers before that.
    fn retried(
        name: &'static str,
        plays: impl IntoIterator<Item = Reaction>,
        http: &[&'static str],
        grpc: &[&'static str],
    ) -> Self {
        let row = Self::taken(name);
        let [taken_http, taken_grpc] = &row.answers;
        let answers = [[http, taken_http].concat(), [grpc, taken_grpc].concat()];
        Self { plays: plays.into_iter().collect(), answers, ..row }
    }

    /// The batch is refused, and not sent again.
    fn refused(
        name: &'static str,
        plays: Option<StatusCode>,
        http: &'static str,
        grpc: &'static str,
    ) -> Self {
        let plays = plays.map(|status| said(status).into()).into_iter().collect();
        let answers = [vec![http], vec![grpc]];
        Self { plays, answers, sent: false, stored: NEVER, ..Self::taken(name) }
    }

    /// The batch is refused because of the backend's message. The status alone would make the exporter retry for ever.
    fn refused_for(
        name: &'static str,
        words: &'static str,
        http: &'static str,
        grpc: &'static str,
    ) -> Self {
        let plays = vec![saying(StatusCode::SERVICE_UNAVAILABLE, words).into()];
        Self { plays, judged_by: Some(words), ..Self::refused(name, None, http, grpc) }
    }

    /// The backend accepts the batch, and adds this.
    fn partial(name: &'static str, without: usize, rejected: i64, message: &'static str) -> Self {
        let partial_success = Some(ExportLogsPartialSuccess {
            rejected_log_records: rejected,
            error_message: message.to_owned(),
        });
        // The four responses have the same fields with the same numbers.
        let body = ExportLogsServiceResponse { partial_success }.encode_to_vec();
        let answer = Answer::new(StatusCode::OK)
            .header(CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"))
            .body(body);
        let rejected = Some((rejected, message));
        // The answer was queued, so the stand-in stores nothing.
        Self { plays: vec![answer.into()], without, rejected, stored: NEVER, ..Self::taken(name) }
    }
}

fn rows() -> Vec<Row> {
    let unavailable = |name, status: StatusCode, http| {
        Row::retried(name, [said(status).into()], &[http], &["UNAVAILABLE"])
    };
    let throttled = |name, answer: Answer, waits| {
        let row = Row::retried(name, [answer.into()], &["429"], &["RESOURCE_EXHAUSTED"]);
        Row { waits: Duration::from_secs(waits), ..row }
    };
    let overloaded = StatusCode::from_u16(529).expect("a status");
    vec![
        Row::taken("what_is_stored_is_sent"),
        Row { without: 2, ..Row::taken("what_the_gate_drops_is_sent_and_rejected") },
        Row {
            without: GROUPS,
            ..Row::refused("what_the_gate_drops_whole_has_failed", None, "400", "INVALID_ARGUMENT")
        },
        Row::partial("what_the_backend_rejects_is_sent_and_rejected", 0, 3, "out of order"),
        Row::partial("what_both_reject_is_summed", 2, 3, "out of order"),
        Row::partial("a_warning_is_no_rejection", 0, 0, "slow down"),
        Row::refused("a_400_has_failed", Some(StatusCode::BAD_REQUEST), "400", "INVALID_ARGUMENT"),
        Row::refused("a_401_has_failed", Some(StatusCode::UNAUTHORIZED), "500", "INTERNAL"),
        Row::refused("a_404_has_failed", Some(StatusCode::NOT_FOUND), "500", "INTERNAL"),
        Row::refused(
            "a_413_has_failed",
            Some(StatusCode::PAYLOAD_TOO_LARGE),
            "413",
            "RESOURCE_EXHAUSTED",
        ),
        Row::refused(
            "a_500_has_failed",
            Some(StatusCode::INTERNAL_SERVER_ERROR),
            "500",
            "INTERNAL",
        ),
        Row::refused_for(
            "a_503_over_the_backends_grpc_limit_has_failed",
            "rpc error: grpc: received message larger than max (5660039 vs. 4194304)",
            "413",
            "RESOURCE_EXHAUSTED",
        ),
        Row::refused_for("a_503_for_a_tenant_has_failed", "no org id", "500", "INTERNAL"),
        unavailable("a_408_is_retried", StatusCode::REQUEST_TIMEOUT, "503"),
        unavailable("a_502_is_retried", StatusCode::BAD_GATEWAY, "502"),
        unavailable("a_503_is_retried", StatusCode::SERVICE_UNAVAILABLE, "503"),
        unavailable("a_504_is_retried", StatusCode::GATEWAY_TIMEOUT, "504"),
        Row {
            waits: Duration::from_secs(1),
            ..Row::retried(
                "a_503_with_retry_after_is_retried_then",
                [in_a_second(StatusCode::SERVICE_UNAVAILABLE).into()],
                &["503"],
                &["UNAVAILABLE"],
            )
        },
        throttled(
            "a_429_with_retry_after_is_retried_then",
            in_a_second(StatusCode::TOO_MANY_REQUESTS),
            1,
        ),
        throttled("a_529_with_retry_after_is_retried_then", in_a_second(overloaded), 1),
        throttled(
            "a_429_without_retry_after_is_retried_in_five_seconds",
            said(StatusCode::TOO_MANY_REQUESTS),
            5,
        ),
        Row::retried(
            "one_failure_after_the_other_is_retried",
            [
                Reaction::Close,
                said(StatusCode::SERVICE_UNAVAILABLE).into(),
                said(StatusCode::BAD_GATEWAY).into(),
            ],
            &["503", "503", "502"],
            &["UNAVAILABLE"; 3],
        ),
        Row::retried("a_reset_is_retried", [Reaction::Close], &["503"], &["UNAVAILABLE"]),
        // The only case in which the protocol cannot prevent storing a record twice.
        Row {
            stored: Stored { answered: 1, unanswered: 1 },
            ..Row::retried(
                "a_reset_after_storing_is_stored_twice",
                [Reaction::StoreAndClose],
                &["503"],
                &["UNAVAILABLE"],
            )
        },
        Row {
            timeout: Duration::from_secs(2),
            waits: Duration::from_secs(2),
            ..Row::retried(
                "no_answer_in_time_is_retried",
                [Reaction::Hang],
                &["none"],
                // grpc-timeout says how long the client waits, so it is chance which side ends the call first.
                &[ANY],
            )
        },
    ]
}

/// An answer that asks the sender to wait.
pub(crate) fn in_a_second(status: StatusCode) -> Answer {
    said(status).header(RETRY_AFTER, HeaderValue::from_static("1"))
}

/// An answer with a message in its body, as backends send it.
pub(crate) fn said(status: StatusCode) -> Answer {
    saying(status, WORDS)
}

fn saying(status: StatusCode, words: &'static str) -> Answer {
    Answer::new(status)
        .header(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"))
        .body(words)
}

/// The gRPC form of a success over HTTP.
fn success_in_grpc(answer: Answer) -> Answer {
    let framed = grpc::write(&answer.body).expect("it is short");
    Answer { headers: HeaderMap::new(), ..answer }
        .header(CONTENT_TYPE, HeaderValue::from_static("application/grpc"))
        .body(framed)
        .trailer(HeaderName::from_static("grpc-status"), HeaderValue::from_static("0"))
}

pub(crate) fn trials(gates: &Arc<Gates>) -> Vec<Trial> {
    let mut trials = Vec::new();
    for hold_headers in [true, false] {
        let setup = Setup { hold_headers, required: Required::SourceName };
        for protocol in Protocol::ALL {
            // Waiting is tested once for each protocol, because holding the headers makes no difference to it.
            let waits_here = hold_headers == (protocol == Protocol::Http);
            let heads_wait = hold_headers || protocol == Protocol::Grpc;
            let rows = rows()
                .into_iter()
                .filter(|row| waits_here || row.waits.is_zero())
                .filter(|row| heads_wait || row.judged_by.is_none());
            for row in rows {
                let name = format!("answers {protocol}::{}", row.name);
                let run = async move |gate: Gate<'_>| every_signal(gate, protocol, &row).await;
                trials.push(gates.trial(setup, name, run));
            }
        }
    }
    trials
}

/// The signals run in parallel, because each has its own backend.
async fn every_signal(gate: Gate<'_>, protocol: Protocol, row: &Row) {
    let [logs, metrics, traces, profiles] = Signal::ALL;
    let each = |signal| deliver(gate, protocol, signal, row);
    let deliveries = tokio::join!(each(logs), each(metrics), each(traces), each(profiles));
    // Checked only now: if a trial failed earlier, exporters that still send would disturb the next trial.
    for delivery in <[Delivery; 4]>::from(deliveries) {
        delivery.assert_counted_as_it_happened(gate, protocol, row);
    }
    for backend in Backend::ALL {
        let asked = gate.store().requests(backend).len();
        let expected = row.requests();
        assert_eq!(asked, expected, "requests to {backend}");
    }
}

/// A batch, and what the exporter counted for it.
struct Delivery {
    signal: Signal,
    /// One less than the time of the first record.
    nanos: u64,
    account: Result<Account, SendError>,
    took: Duration,
}

async fn deliver(gate: Gate<'_>, protocol: Protocol, signal: Signal, row: &Row) -> Delivery {
    let in_grpc = protocol == Protocol::Grpc && gate.takes_on_grpc(signal);
    for reaction in &row.plays {
        let reaction = match reaction.clone() {
            Reaction::Answer(answer) if in_grpc && answer.status == StatusCode::OK => {
                Reaction::Answer(success_in_grpc(answer))
            }
            reaction => reaction,
        };
        gate.store().answer_next(backend(signal), reaction);
    }
    let nanos = now();
    let batch = Batch {
        protocol,
        signal,
        compression: Compression::Gzip,
        encoding: Encoding::Protobuf,
        endpoint: gate.addr().to_string(),
        identity: gate.identity(),
        groups: GROUPS,
        without: row.without,
        nanos,
        timeout: row.timeout,
    };
    let once = Stretch {
        duration: Duration::ZERO,
        every: Duration::ZERO,
        patience: Duration::from_secs(30),
    };
    let began = Instant::now();
    let account = collector::deliver(&batch, once).await;
    Delivery { signal, nanos, account, took: began.elapsed() }
}

impl Delivery {
    fn assert_counted_as_it_happened(self, gate: Gate<'_>, protocol: Protocol, row: &Row) {
        let Self { signal, nanos, account, took } = self;
        let account = account.unwrap_or_else(|error| panic!("{}: {error}", signal.as_str()));
        let who = format!("{} over {protocol}: {account:#?}", signal.as_str());

        row.assert_counted(&account, protocol, &who);
        assert!(took >= row.waits, "not again before {:?}, but after {took:?}: {who}", row.waits);

        let given = usize::try_from(account.given).expect("a number of records");
        let kept = given / GROUPS * (GROUPS - row.without);
        let ledger = Ledger::by_time(gate.store(), signal, &(nanos + 1..=nanos + account.given));
        assert_eq!(ledger.each(), row.stored, "{who}");
        assert_eq!(ledger.len(), if row.stored == NEVER { 0 } else { kept }, "{who}");
    }
}

impl Row {
    /// The number of requests that the backend gets.
    fn requests(&self) -> usize {
        if self.without == GROUPS { 0 } else { self.answers[0].len() }
    }

    fn assert_counted(&self, account: &Account, protocol: Protocol, who: &str) {
        let failed = if self.sent { 0 } else { account.given };
        assert!(account.given > 0, "{who}");
        assert_eq!(account.sent, account.given - failed, "sent: {who}");
        assert_eq!(account.failed_permanent, failed, "failed for good: {who}");
        assert_eq!(account.failed_retryable, 0, "given up: {who}");
        assert_eq!(account.enqueue_failed, 0, "not enqueued: {who}");

        let [http, grpc] = &self.answers;
        let answers = if protocol == Protocol::Http { http } else { grpc };
        assert_eq!(account.attempts.values().sum::<u64>(), answers.len() as u64, "attempts: {who}");
        let mut attempts = BTreeMap::<&str, u64>::new();
        for answer in answers.iter().filter(|answer| **answer != ANY) {
            *attempts.entry(answer).or_default() += 1;
        }
        for (answer, count) in attempts {
            assert_eq!(account.attempts.get(answer), Some(&count), "answered {answer}: {who}");
        }

        let dropped = account.given / GROUPS as u64 * self.without as u64;
        let dropped = i64::try_from(dropped).expect("a number of records");
        let (rejected, words) = self.rejected.unwrap_or_default();
        if !self.sent || (dropped == 0 && self.rejected.is_none()) {
            assert_eq!(account.partial_success, None, "{who}");
        } else {
            let Some(PartialSuccess { rejected: told, message }) = &account.partial_success else {
                panic!("nothing was said of what was rejected: {who}");
            };
            assert_eq!(*told, dropped + rejected, "rejected: {who}");
            assert!(message.contains(words), "the backend's words: {who}");
            let rule = dropped == 0 || message.contains("source.name");
            assert!(rule, "the message names the rule: {who}");
        }
        // An error says what was refused; after a success there is none.
        assert_eq!(account.last_error.is_empty(), self.sent, "{who}");
        if let (false, [Reaction::Answer(_)]) = (self.sent, &self.plays[..]) {
            let words = self.judged_by.unwrap_or(WORDS);
            assert!(account.last_error.contains(words), "the backend's words: {who}");
        }
    }
}
