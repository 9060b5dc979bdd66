//! A reply that the gate makes itself, in a backend's place. Envoy calls it a local reply.

use log::Level;
use sluice_otlp::Signal;
use sluice_reply::{LocalResponse, Protocol, Refusal};

use crate::{Count, Discard, Rest};

/// A reply that the gate makes itself, in a backend's place.
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct LocalReply {
    /// What it says.
    pub response: LocalResponse,
    /// When it goes.
    pub delivery: Delivery,
    /// What to count.
    pub counts: Vec<Count>,
    /// What to log.
    pub log: Option<(Level, String)>,
}

/// When a local reply goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// At once.
    Now,
    /// When the filter has taken the rest of the request and thrown it away.
    AfterBody(Discard),
    /// When Envoy has thrown the rest of the request away. While its head is stopped there are no callbacks of the
    /// body, and let go it must not be: so the reply is made at once, and held back on its way out.
    HeldBack(Rest),
}

impl LocalReply {
    /// A local reply that goes at once.
    pub(crate) const fn new(response: LocalResponse, counts: Vec<Count>) -> Self {
        Self { response, delivery: Delivery::Now, counts, log: None }
    }

    /// Refuses a request; the local reply goes at once.
    pub(crate) fn refuse(protocol: Protocol, signal: Option<Signal>, refusal: &Refusal) -> Self {
        let label = refusal.label();
        let mut counts = vec![Count::request(signal, label)];
        if let Refusal::AllDropped(violations) = refusal {
            counts.extend(Count::of_violations(violations));
        }
        // One line for each refused request would let a stranger fill the disk; the counters show
        // them all, and the debug level shows why.
        let log = Some((Level::Debug, format!("refused: {label}: {refusal}")));
        Self { log, ..Self::new(protocol.refuse(refusal), counts) }
    }

    /// The same, at the head of a request of which this much is still to come; `hold_headers` says whether the
    /// filter gets it.
    pub(crate) fn at_head(self, rest: Option<Rest>, hold_headers: bool) -> Self {
        let delivery = match rest {
            None => Delivery::Now,
            Some(rest) if hold_headers => Delivery::AfterBody(Discard::new(rest, 0)),
            Some(rest) => Delivery::HeldBack(rest),
        };
        Self { delivery, ..self }
    }

    /// The same, while the body comes: of it so many bytes have come, and this much is still to come.
    pub(crate) fn in_body(self, rest: Option<Rest>, came: usize) -> Self {
        let delivery =
            rest.map_or(Delivery::Now, |rest| Delivery::AfterBody(Discard::new(rest, came)));
        Self { delivery, ..self }
    }
}
