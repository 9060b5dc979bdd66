//! A reply that the gate makes itself instead of a backend. Envoy calls it a local reply.

use log::Level;
use sluice_otlp::Signal;
use sluice_reply::{LocalResponse, Protocol, Refusal};

use crate::{Count, Discard, Rest};

/// A reply that the gate makes itself instead of a backend.
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct LocalReply {
    /// The reply itself.
    pub response: LocalResponse,
    /// When it is sent.
    pub delivery: Delivery,
    /// What to count.
    pub counts: Vec<Count>,
    /// What to log.
    pub log: Option<(Level, String)>,
}

/// When a local reply is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// At once.
    Now,
    /// After the filter has received and discarded the rest of the request.
    AfterBody(Discard),
    /// After Envoy has discarded the rest of the request. While the head of a request is stopped, there are no
    /// callbacks for its body, and it must not be released. So the reply is made at once, and held back on its way out.
    HeldBack(Rest),
}

impl LocalReply {
    /// A local reply that is sent at once.
    pub(crate) const fn new(response: LocalResponse, counts: Vec<Count>) -> Self {
        Self { response, delivery: Delivery::Now, counts, log: None }
    }

    /// Refuses a request; the local reply is sent at once.
    pub(crate) fn refuse(protocol: Protocol, signal: Option<Signal>, refusal: &Refusal) -> Self {
        let label = refusal.label();
        let mut counts = vec![Count::request(signal, label)];
        if let Refusal::AllDropped(violations) = refusal {
            counts.extend(Count::of_violations(violations));
        }
        // A log line for each refused request would let a sender fill the disk. The counters show
        // all refusals, and the debug level shows the reasons.
        let log = Some((Level::Debug, format!("refused: {label}: {refusal}")));
        Self { log, ..Self::new(protocol.refuse(refusal), counts) }
    }

    /// The same reply at the head of a request, of which `rest` is still to come. `hold_headers` says whether the
    /// filter receives the rest.
    pub(crate) fn at_head(self, rest: Option<Rest>, hold_headers: bool) -> Self {
        let delivery = match rest {
            None => Delivery::Now,
            Some(rest) if hold_headers => Delivery::AfterBody(Discard::new(rest, 0)),
            Some(rest) => Delivery::HeldBack(rest),
        };
        Self { delivery, ..self }
    }

    /// The same reply while the body arrives: `came` bytes have arrived, and `rest` is still to come.
    pub(crate) fn in_body(self, rest: Option<Rest>, came: usize) -> Self {
        let delivery =
            rest.map_or(Delivery::Now, |rest| Delivery::AfterBody(Discard::new(rest, came)));
        Self { delivery, ..self }
    }
}
