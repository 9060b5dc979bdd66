//! What the gate counts.

use sluice_otlp::Signal;
use sluice_records::{Fate, Violations};

/// A step of one counter. Tags have few values by design: none of them is a text from a sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Count {
    /// A sender has used a certificate that should have been renewed, for the first time.
    CertificateEnding,
    /// Parts of stored records were cut out: attributes, ids, exemplars.
    PartsCut {
        /// The signal of the records.
        signal: &'static str,
        /// What is wrong with the parts.
        reason: &'static str,
        /// How many parts.
        parts: u64,
    },
    /// Parts were kept because of audit mode, and would otherwise be cut out.
    PartsWouldCut {
        /// The signal of the records.
        signal: &'static str,
        /// What is wrong with the parts.
        reason: &'static str,
        /// How many parts.
        parts: u64,
    },
    /// A request has been answered.
    Request {
        /// Its signal, if it was known.
        signal: Option<&'static str>,
        /// The result: `stored`, `partial`, `nothing`, `failed` (by the backend), or the label of
        /// its refusal.
        outcome: &'static str,
    },
    /// Records were dropped.
    RecordsDropped {
        /// The signal of the records.
        signal: &'static str,
        /// How they broke their rule.
        reason: &'static str,
        /// How many records.
        records: u64,
    },
    /// Records were kept because of audit mode, and would otherwise be dropped.
    RecordsWouldDrop {
        /// The signal of the records.
        signal: &'static str,
        /// How they broke their rule.
        reason: &'static str,
        /// How many records.
        records: u64,
    },
}

impl Count {
    pub(crate) fn request(signal: Option<Signal>, outcome: &'static str) -> Self {
        Self::Request { signal: signal.map(Signal::as_str), outcome }
    }

    /// The counts for the records of one request that broke a rule.
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
                // The request is counted as refused.
                Fate::Refused => None,
            }
        })
    }

    /// By how much the counter increases.
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

    /// The counter's name in Envoy. The ABI has no tags, so they are written in the form that
    /// Istio's `extraStatTags` reads (`(signal\.=\.(.*?);\.;)`).
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

    /// The name of the counter that counts the same for one sender, if there is one. A namespace is a DNS label, so it
    /// can be in a name without escapes.
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

/// The name of the gauge for when a sender's certificate expires, in seconds since the epoch.
#[must_use]
pub fn certificate_end_stat(sender: &str) -> String {
    format!("sender=.={sender};.;sluice_sender_certificate_end_seconds")
}
