//! What the gate counts.

use sluice_otlp::Signal;
use sluice_records::{Fate, Violations};

/// A step of one counter. Tags are few by construction: none of them is a sender's own text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Count {
    /// A sender has come with a certificate that should have been renewed, for the first time.
    CertificateEnding,
    /// Parts of what is stored were cut out: attributes, ids, exemplars.
    PartsCut {
        /// What they were cut out of.
        signal: &'static str,
        /// What is wrong with them.
        reason: &'static str,
        /// How many.
        parts: u64,
    },
    /// Parts passed that would be cut out if that were not only watched.
    PartsWouldCut {
        /// What they are in.
        signal: &'static str,
        /// What is wrong with them.
        reason: &'static str,
        /// How many.
        parts: u64,
    },
    /// A request has got its reply.
    Request {
        /// What it carried, as far as that was known.
        signal: Option<&'static str>,
        /// What became of it: `stored`, `partial`, `nothing`, `failed` (by the backend), or the
        /// label of its refusal.
        outcome: &'static str,
    },
    /// Records were dropped.
    RecordsDropped {
        /// What they are.
        signal: &'static str,
        /// How they broke their rule.
        reason: &'static str,
        /// How many.
        records: u64,
    },
    /// Records passed that would be dropped if their rule were not only watched.
    RecordsWouldDrop {
        /// What they are.
        signal: &'static str,
        /// How they broke their rule.
        reason: &'static str,
        /// How many.
        records: u64,
    },
}

impl Count {
    pub(crate) fn request(signal: Option<Signal>, outcome: &'static str) -> Self {
        Self::Request { signal: signal.map(Signal::as_str), outcome }
    }

    /// What is counted of the records of one request that broke a rule.
    pub(crate) fn of_violations(violations: &Violations) -> impl Iterator<Item = Self> {
        let signal = violations.signal().as_str();
        let counted = violations.by_rule().iter().filter(|violation| violation.records > 0);
        counted.filter_map(move |violation| {
            let (reason, records) = (violation.reason.label(), violation.records);
            match violation.fate {
                Fate::Cut => Some(Self::PartsCut { signal, reason, parts: records }),
                Fate::Uncut => Some(Self::PartsWouldCut { signal, reason, parts: records }),
                Fate::Dropped => Some(Self::RecordsDropped { signal, reason, records }),
                Fate::Passed => Some(Self::RecordsWouldDrop { signal, reason, records }),
                // The request counts as refused.
                Fate::Refused => None,
            }
        })
    }

    /// By how much the counter grows.
    #[must_use]
    pub const fn step(self) -> u64 {
        match self {
            Self::CertificateEnding | Self::Request { .. } => 1,
            Self::RecordsDropped { records, .. } | Self::RecordsWouldDrop { records, .. } => {
                records
            }
            Self::PartsCut { parts, .. } | Self::PartsWouldCut { parts, .. } => parts,
        }
    }

    /// The counter's name in Envoy. A tag is written as Istio's `extraStatTags` takes it out again
    /// (`(signal=\.=(.*?);\.;)`), as the ABI has no tags.
    #[must_use]
    pub fn stat_name(self) -> String {
        match self {
            Self::CertificateEnding => "sluice_certificates_ending_total".to_owned(),
            Self::Request { signal, outcome } => {
                let signal = signal.unwrap_or("none");
                format!("signal=.={signal};.;outcome=.={outcome};.;sluice_requests_total")
            }
            Self::PartsCut { signal, reason, .. } => {
                format!("signal=.={signal};.;reason=.={reason};.;sluice_parts_cut_total")
            }
            Self::PartsWouldCut { signal, reason, .. } => {
                format!("signal=.={signal};.;reason=.={reason};.;sluice_parts_would_cut_total")
            }
            Self::RecordsWouldDrop { signal, reason, .. } => {
                format!("signal=.={signal};.;reason=.={reason};.;sluice_records_would_drop_total")
            }
            Self::RecordsDropped { signal, reason, .. } => {
                format!("signal=.={signal};.;reason=.={reason};.;sluice_records_dropped_total")
            }
        }
    }

    /// The name of the counter that counts the same for one sender, if there is one. A namespace is a DNS label, which
    /// can stand in a name as it is.
    #[must_use]
    pub fn stat_name_of(self, sender: &str) -> Option<String> {
        match self {
            Self::CertificateEnding
            | Self::PartsCut { .. }
            | Self::PartsWouldCut { .. }
            | Self::RecordsWouldDrop { .. } => None,
            Self::Request { .. } | Self::RecordsDropped { .. } => {
                let name = self.stat_name().replace(";sluice_", ";sluice_sender_");
                Some(format!("sender=.={sender};.;{name}"))
            }
        }
    }
}

/// The name of the gauge that says when a sender's certificate ends, in seconds since the epoch.
#[must_use]
pub fn certificate_end_stat(sender: &str) -> String {
    format!("sender=.={sender};.;sluice_sender_certificate_end_seconds")
}
