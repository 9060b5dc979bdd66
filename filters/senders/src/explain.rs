//! What becomes of each SAN of a certificate, for programs that explain it to a person.

use crate::{
    Certificate, San, entries::Conditions, identify::IdentitySource, identity::Identity,
    senders::Senders,
};

/// What the patterns of `clientCertificate` make of one SAN.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SanReading<'c> {
    /// The SAN.
    pub san: &'c San,
    /// For each pattern, in the order of the configuration, the identity that the SAN states by it.
    pub by_pattern: Vec<Option<Identity>>,
}

/// What the lists say about one identity by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// An allow entry that is valid now matches it, and no deny entry.
    Allowed,
    /// A deny entry matches it.
    Denied,
    /// The allow entries that match it are not valid any more.
    Expired,
    /// The allow entries that match it are not valid yet.
    NotYet,
    /// No entry matches it.
    Unlisted,
}

impl Senders {
    /// What the patterns for certificates make of each SAN; no pattern if the configuration has no `clientCertificate`.
    #[must_use]
    pub fn readings<'c>(&self, certificate: &'c Certificate) -> Vec<SanReading<'c>> {
        let read = |san| SanReading { san, by_pattern: self.source.readings(certificate, san) };
        certificate.sans().iter().map(read).collect()
    }

    /// What the lists say about one identity by itself, at `now` in seconds since the epoch. An entry of `deny` without
    /// a namespace counts too, because it denies the certificate or token that the identity is from.
    #[must_use]
    pub fn standing(&self, identity: &Identity, now: u64) -> Standing {
        if self.allowlist.deny.met_by(identity).next().is_some() {
            return Standing::Denied;
        }
        let met: Vec<&Conditions> = self.allowlist.allow.met_by(identity).collect();
        if met.is_empty() {
            Standing::Unlisted
        } else if met.iter().any(|entry| entry.hold_at(now)) {
            Standing::Allowed
        } else if met.iter().any(|entry| !entry.has_begun(now)) {
            Standing::NotYet
        } else {
            Standing::Expired
        }
    }
}

impl IdentitySource {
    fn readings(&self, certificate: &Certificate, san: &San) -> Vec<Option<Identity>> {
        match self {
            Self::AllOf(sources) | Self::AnyOf(sources) => {
                sources.iter().flat_map(|source| source.readings(certificate, san)).collect()
            }
            Self::ClientCertificate(patterns) => patterns.readings(certificate, san),
            Self::ApiKeys(_) | Self::Forwarded(_) | Self::Jwt(_) => Vec::new(),
        }
    }
}
