//! What a row of the benchmark runs on its request: the same code natively and in wasm. This file has every call into
//! the filters that is measured.

use std::{cell::RefCell, fmt};

use serde::{Deserialize, Serialize};
use sluice_config::check;
use sluice_gate::{BodyStep, Certificates, Count, Gate, HeadStep, RequestHead, Worker};
use sluice_headers::Headers;
use sluice_otlp::{Format, Request, Signal};
use sluice_records::{RecordsConfig, RuleSet, Unfit, Verdict};
use sluice_route::{BackendsConfig, Context};
use sluice_senders::{Ambiguity, Connection, Evidence, Senders, SendersConfig};
use sluice_wire::ReadLimits;
use thiserror::Error;

/// A task to run on a request, as the host gives it to the guest.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub enum Task {
    /// Read every byte and decide nothing, which is the minimum cost of a body.
    Read,
    /// Only check the rules, on a decoded message.
    Rules {
        /// The path of the message's signal under OTLP/HTTP.
        path: String,
        /// The message's content type.
        content_type: String,
        /// The section `records` of the gate's configuration.
        records: serde_json::Value,
        /// The section `backends`.
        backends: serde_json::Value,
    },
    /// Only identify the sender. The request is a certificate in PEM that the gate has seen before.
    Senders {
        /// The section `senders` of the gate's configuration.
        senders: serde_json::Value,
    },
    /// Run the whole gate on a copy of a body, as the module gets it from Envoy: decode, check, cut.
    Gate {
        /// The gate's configuration.
        configuration: serde_json::Value,
        /// The request's headers.
        headers: Vec<(String, String)>,
    },
}

/// A [`Task`] that is ready to run.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "there is one at a time")]
pub enum Work {
    /// [`Task::Read`].
    Read,
    /// [`Task::Rules`].
    Rules {
        /// The message's signal.
        signal: Signal,
        /// The format.
        format: Format,
        /// The compiled rules.
        rules: RuleSet,
    },
    /// [`Task::Senders`].
    Senders {
        /// The compiled section.
        senders: Senders,
        /// The certificates that were seen before.
        certificates: RefCell<Certificates>,
    },
    /// [`Task::Gate`].
    Gate {
        /// The configured gate.
        gate: Gate,
        /// The request's headers.
        headers: Vec<(String, Vec<u8>)>,
    },
}

/// Why a task cannot be run.
#[derive(Debug, Error)]
pub enum TaskError {
    /// The gate rejects its configuration, or the section `records`.
    #[error("the task's configuration is refused: {0}")]
    Configuration(String),
    /// The text is not a task, or not a section `records`.
    #[error("the task cannot be read: {0}")]
    Json(#[from] serde_json::Error),
    /// There is no such content type.
    #[error("{0:?} is not a content type of OTLP/HTTP")]
    ContentType(String),
    /// There is no such path.
    #[error("{0:?} is not a path of OTLP/HTTP: take one of `Signal::http_path`")]
    Path(String),
}

/// The outcome of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// This many records were dropped, and some were kept.
    Dropped(u64),
    /// The sender is allowed.
    Admitted,
    /// Every record was kept.
    Kept,
    /// The request was empty.
    Nothing,
    /// The bytes were read; this is their sum.
    Read(u64),
    /// The request was refused, with this label of the refusal table.
    Refused(&'static str),
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dropped(records) => write!(f, "{records} dropped"),
            Self::Admitted => f.write_str("admitted"),
            Self::Kept => f.write_str("all kept"),
            Self::Nothing => f.write_str("nothing in it"),
            Self::Read(sum) => write!(f, "sum {sum:x}"),
            Self::Refused(label) => write!(f, "refused: {label}"),
        }
    }
}

impl Task {
    /// Prepares the task, with all its allocations.
    ///
    /// # Errors
    /// [`TaskError`] if the filters do not accept it.
    pub fn prepare(self) -> Result<Work, TaskError> {
        match self {
            Self::Read => Ok(Work::Read),
            Self::Rules { path, content_type, records, backends } => {
                let signal = Signal::from_http_path(path.as_bytes());
                let signal = signal.ok_or(TaskError::Path(path))?;
                let format = Format::from_content_type(content_type.as_bytes());
                let format = format.ok_or(TaskError::ContentType(content_type))?;
                let section: RecordsConfig = serde_json::from_value(records)?;
                let backends: BackendsConfig = serde_json::from_value(backends)?;
                let routes = check("backends", |place| backends.compile(place, Context::default()));
                let routes = routes.map_err(|e| refused(&e))?;
                let backend = |signal| routes.pick(signal).map(|backend| backend.traits().clone());
                let rules = check("records", |place| section.compile(place, false, backend));
                Ok(Work::Rules { signal, format, rules: rules.map_err(|e| refused(&e))? })
            }
            Self::Senders { senders } => {
                let section: SendersConfig = serde_json::from_value(senders)?;
                let senders =
                    check("senders", |place| section.compile(place)).map_err(|e| refused(&e))?;
                Ok(Work::Senders { senders, certificates: RefCell::default() })
            }
            Self::Gate { configuration, headers } => {
                let gate = Gate::from_json(&serde_json::to_vec(&configuration)?);
                let bytes = |(name, value): (String, String)| (name, value.into_bytes());
                let headers = headers.into_iter().map(bytes).collect();
                Ok(Work::Gate { gate: gate.map_err(|e| refused(&e))?, headers })
            }
        }
    }
}

fn refused(problems: &[impl ToString]) -> TaskError {
    let problems: Vec<_> = problems.iter().map(ToString::to_string).collect();
    TaskError::Configuration(problems.join("; "))
}

impl Work {
    /// Runs the task once on a request.
    #[must_use]
    pub fn run(&self, request: &[u8]) -> Outcome {
        match self {
            Self::Read => Outcome::Read(sum(request)),
            Self::Rules { signal, format, rules } => {
                let request = Request {
                    message: request,
                    at: 0,
                    signal: *signal,
                    format: *format,
                    limits: LIMITS,
                };
                match rules.check(&request, None) {
                    Ok(checked) => match checked.verdict() {
                        Verdict::Kept(None) => Outcome::Kept,
                        Verdict::Nothing(_) => Outcome::Nothing,
                        Verdict::Kept(Some(violations)) => Outcome::Dropped(violations.dropped()),
                        Verdict::AllDropped(_) => Outcome::Refused("all_dropped"),
                    },
                    Err(Unfit::Refused(_)) => Outcome::Refused("violation"),
                    Err(Unfit::Unreadable(_)) => Outcome::Refused("malformed"),
                }
            }
            Self::Senders { senders, certificates } => admit(senders, certificates, request),
            Self::Gate { gate, headers } => through_gate(gate, headers, request),
        }
    }
}

/// Limits that no row of the rules alone reaches.
const LIMITS: ReadLimits = ReadLimits {
    attributes: 1024,
    bytes: 64 << 20,
    depth: 100,
    records: 1 << 20,
    room: usize::MAX,
};

/// The sum of the request's bytes, eight at a time. Its time is bounded by memory.
fn sum(request: &[u8]) -> u64 {
    let (words, rest) = request.as_chunks::<8>();
    let words = words.iter().fold(0_u64, |sum, word| sum.wrapping_add(u64::from_le_bytes(*word)));
    rest.iter().fold(words, |sum, byte| sum.wrapping_add(u64::from(*byte)))
}

/// The time of every run, in seconds since the epoch: 2026-11-18.
const NOW: u64 = 1_795_000_000;

fn admit(senders: &Senders, certificates: &RefCell<Certificates>, pem: &[u8]) -> Outcome {
    let connection = Connection {
        certificate: Some(pem),
        certificate_valid: Some(&[1]),
        presented: Some(&[1]),
        ..Connection::default()
    };
    let mut certificates = certificates.borrow_mut();
    let mut evidence = Evidence {
        certificate: &mut || certificates.read(&connection, &[]),
        header: &|_| Vec::new(),
        metadata: None,
        now: NOW,
    };
    match senders.admit(&mut evidence, Ambiguity::Refused) {
        Ok(_) => Outcome::Admitted,
        Err(_) => Outcome::Refused("not_allowed"),
    }
}

fn through_gate(gate: &Gate, headers: &[(String, Vec<u8>)], request: &[u8]) -> Outcome {
    let connection = &Connection::default();
    let metadata = None;
    let headers = Headers(headers);
    let head = RequestHead { headers, connection, metadata, end_of_stream: false, now: NOW };
    let (step, _) = gate.on_head(&head, &Worker::default());
    let step = match step {
        HeadStep::Body { pending, .. } => gate.on_body(*pending, request.to_vec(), usize::MAX),
        HeadStep::Decided(step) => step,
        HeadStep::LocalReply(reply) => BodyStep::LocalReply(reply),
        HeadStep::Pass(_) => return Outcome::Kept,
    };
    match step {
        BodyStep::Forward(forward) => match dropped(forward.counts()) {
            0 => Outcome::Kept,
            records => Outcome::Dropped(records),
        },
        BodyStep::LocalReply(reply) => {
            reply.counts.iter().find_map(refusal).unwrap_or(Outcome::Nothing)
        }
    }
}

fn dropped(counts: &[Count]) -> u64 {
    let of = |count: &Count| match count {
        Count::RecordsDropped { records, .. } => *records,
        Count::CertificateEnding
        | Count::PartsCut { .. }
        | Count::PartsWouldCut { .. }
        | Count::Request { .. }
        | Count::RecordsWouldDrop { .. } => 0,
    };
    counts.iter().map(of).fold(0, u64::saturating_add)
}

fn refusal(count: &Count) -> Option<Outcome> {
    match count {
        Count::CertificateEnding
        | Count::PartsCut { .. }
        | Count::PartsWouldCut { .. }
        | Count::Request { outcome: "nothing", .. }
        | Count::RecordsDropped { .. }
        | Count::RecordsWouldDrop { .. } => None,
        Count::Request { outcome, .. } => Some(Outcome::Refused(outcome)),
    }
}
