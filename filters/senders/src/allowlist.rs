//! Decides which senders are admitted.

use std::{collections::BTreeSet, fmt, time::Duration};

use der::DateTime;

use crate::{
    certificate::Certificate,
    entries::Entries,
    evidence::Evidence,
    identify::{IdentityError, IdentitySource, Shown},
    identity::{Claimed, IdentifiedBy, Identity},
    listing::Listing,
    peer::PeerError,
};

/// The allow entries, and the deny entries, which take precedence.
#[derive(Debug)]
pub(crate) struct Allowlist {
    pub(crate) allow: Entries,
    pub(crate) deny: Entries,
    /// Whether a certificate can be denied: by its fingerprint or issuer, or through the names in
    /// it.
    pub(crate) denies_certificates: bool,
    /// Whether an entry denies an issuer.
    pub(crate) denies_issuers: bool,
}

/// What decides about a request besides its sender's identities.
#[derive(Debug)]
pub(crate) struct Terms<'a> {
    /// In seconds since the epoch.
    pub(crate) now: u64,
    pub(crate) ambiguity: Ambiguity,
    /// If `chooseBy` is configured.
    pub(crate) choice: Option<Choice<'a>>,
}

/// How a sender chooses one of several namespaces.
#[derive(Debug)]
pub(crate) struct Choice<'a> {
    /// The header of `chooseBy`.
    pub(crate) header: &'a str,
    /// The namespace in it, if the request has the header.
    pub(crate) namespace: Option<String>,
}

/// Proof that a request shows nothing that is denied. Only [`Allowlist::deny`] makes one.
#[derive(Debug)]
pub(crate) struct NotDenied(());

impl Allowlist {
    /// Checks everything in a request that identifies its sender, before any of it is used. If one thing is denied, the
    /// request is refused, whatever else it shows. It is also refused if a certificate was presented but cannot be
    /// checked.
    pub(crate) fn deny(
        &self,
        source: &IdentitySource,
        evidence: &mut Evidence<'_>,
    ) -> Result<NotDenied, NotAdmitted> {
        if self.deny.is_empty() {
            return Ok(NotDenied(()));
        }
        if self.denies_certificates
            && let Some(certificate) = evidence.presented()?
        {
            self.check_certificate(&certificate)?;
        }
        let mut shown = Shown::default();
        source.show(evidence, &mut shown)?;
        let denied = |identity: &Identity| self.deny.met_by(identity).next().is_some();
        if let Some(identity) = shown.identities.into_iter().find(denied) {
            return Err(NotAdmitted::Denied { namespace: identity.namespace });
        }
        for issuer in shown.token_issuers {
            let bare = Identity { issuer: Some(issuer), ..Identity::of("", IdentifiedBy::JWT) };
            if denied(&bare) {
                return Err(NotAdmitted::TokenDenied);
            }
        }
        Ok(NotDenied(()))
    }

    /// Refuses a certificate that an entry denies by fingerprint or issuer.
    fn check_certificate(&self, certificate: &Certificate) -> Result<(), NotAdmitted> {
        let bare = Identity {
            issuer: certificate.issuer_key(),
            fingerprint: Some(certificate.fingerprint_key()),
            ..Identity::of("", IdentifiedBy::CLIENT_CERTIFICATE)
        };
        if self.deny.met_by(&bare).next().is_some() {
            return Err(NotAdmitted::CertificateDenied);
        }
        if self.denies_issuers && bare.issuer.is_none() {
            return Err(PeerError::IssuerUnknown.into());
        }
        Ok(())
    }

    /// Admits a sender with these `identities`. `expiry` returns when the certificate expires, if that is among what
    /// identified the sender.
    ///
    /// One identity must satisfy all conditions of one entry. If one identity is allowed, identities that no entry
    /// allows are ignored.
    pub(crate) fn admit(
        &self,
        _: &NotDenied,
        identities: &[Identity],
        terms: &Terms<'_>,
        expiry: impl FnOnce(IdentifiedBy) -> Result<Option<Expiry>, PeerError>,
    ) -> Result<Admitted, NotAdmitted> {
        let Terms { now, ambiguity, ref choice } = *terms;
        let chosen = choice.as_ref().and_then(|choice| choice.namespace.as_deref());
        let allowed: Vec<&Identity> = identities
            .iter()
            .filter(|identity| self.allow.met_by(identity).any(|entry| entry.hold_at(now)))
            .filter(|identity| chosen.is_none_or(|chosen| identity.namespace == chosen))
            .collect();
        let mut namespaces: BTreeSet<String> = namespaces(allowed.iter().copied());
        if namespaces.len() > 1 && ambiguity == Ambiguity::Refused {
            return Err(NotAdmitted::Ambiguous {
                namespaces: namespaces.into_iter().collect(),
                choice: choice.as_ref().map(|choice| choice.header.to_owned()),
            });
        }
        let Some(namespace) = namespaces.pop_first() else {
            return Err(self.why_nobody_is_allowed(identities, now, chosen));
        };
        let by = allowed.iter().fold(IdentifiedBy::default(), |by, identity| by.and(identity.by));
        Ok(Admitted {
            namespace,
            others: namespaces.into_iter().collect(),
            service_account: agreed(
                allowed.iter().filter_map(|identity| identity.service_account()),
            ),
            trust_domain: agreed(allowed.iter().filter_map(|identity| identity.trust_domain())),
            claimed: allowed
                .iter()
                .fold(Claimed::Nothing, |said, identity| said.and(&identity.claimed)),
            by,
            expiry: expiry(by)?,
        })
    }

    fn why_nobody_is_allowed(
        &self,
        identities: &[Identity],
        now: u64,
        chosen: Option<&str>,
    ) -> NotAdmitted {
        if let Some(chosen) = chosen {
            return NotAdmitted::NotAllowed { namespaces: [chosen].into_iter().collect() };
        }
        // No identity matches an entry that is valid now, so each entry that matches has expired or has not started.
        let to_begin = identities.iter().flat_map(|identity| {
            let entries = self.allow.met_by(identity).filter(|entry| !entry.has_begun(now));
            entries.filter_map(move |entry| entry.from.map(|from| (from, identity)))
        });
        if let Some((from, identity)) = to_begin.min_by_key(|&(from, _)| from) {
            return NotAdmitted::NotYet { namespace: identity.namespace.clone(), from };
        }
        let ended = |identity| {
            let entries = self.allow.met_by(identity);
            entries.filter_map(|entry| entry.until).max().map(|until| (until, identity))
        };
        match identities.iter().filter_map(ended).max_by_key(|&(until, _)| until) {
            Some((until, identity)) => {
                NotAdmitted::Expired { namespace: identity.namespace.clone(), until }
            }
            None => NotAdmitted::NotAllowed {
                namespaces: namespaces(identities.iter()).into_iter().collect(),
            },
        }
    }
}

fn namespaces<'a>(identities: impl Iterator<Item = &'a Identity>) -> BTreeSet<String> {
    // Do not collect into the set: that would sort, and a sort adds several kilobytes to the
    // module.
    let mut namespaces = BTreeSet::new();
    namespaces.extend(identities.map(|identity| identity.namespace.clone()));
    namespaces
}

/// The value on which all agree; `None` if there is no value, or two differ.
fn agreed<'a>(mut stated: impl Iterator<Item = &'a str>) -> Option<String> {
    let first = stated.next()?;
    stated.all(|other| other == first).then(|| first.to_owned())
}

/// What to do with a sender that has several allowed namespaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ambiguity {
    /// Refuse it, because it is not certain for which of them it sends.
    Refused,
    /// Admit it under all of them, because the tenant does not depend on the namespace.
    Tolerated,
}

/// Proof that the allowlist has admitted a sender. Only [`Senders::admit`](crate::Senders::admit) makes one.
#[derive(Debug, PartialEq, Eq)]
pub struct Admitted {
    namespace: String,
    others: Vec<String>,
    service_account: Option<String>,
    trust_domain: Option<String>,
    by: IdentifiedBy,
    claimed: Claimed,
    expiry: Option<Expiry>,
}

/// When the certificate that identified a sender expires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expiry {
    /// The end of its validity, in seconds since the epoch.
    pub at: u64,
    /// Whether it should have been renewed by now.
    pub renewal_overdue: bool,
}

/// The expiry in RFC 3339.
impl fmt::Display for Expiry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match DateTime::from_unix_duration(Duration::from_secs(self.at)) {
            Ok(at) => at.fmt(f),
            // After the year 9999.
            Err(_) => f.write_str("a time after the year 9999"),
        }
    }
}

impl Admitted {
    /// The namespace. If there are several ([`Ambiguity::Tolerated`]), the first in alphabetical
    /// order.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// All admitted namespaces, sorted; more than one only with [`Ambiguity::Tolerated`].
    pub fn namespaces(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.namespace).chain(&self.others).map(String::as_str)
    }

    /// What identified the sender.
    #[must_use]
    pub fn identified_by(&self) -> IdentifiedBy {
        self.by
    }

    /// The tenant claim of the token that identified the sender, if
    /// [`Senders::read_claim`](crate::Senders::read_claim) has requested one. Other tokens are not
    /// read for it.
    #[must_use]
    pub fn claimed(&self) -> &Claimed {
        &self.claimed
    }

    /// When the certificate expires that identified the sender; `None` if no certificate did.
    #[must_use]
    pub fn expiry(&self) -> Option<Expiry> {
        self.expiry
    }

    /// The service account, if an admitted SAN states one and no other admitted SAN states a
    /// different one.
    #[must_use]
    pub fn service_account(&self) -> Option<&str> {
        self.service_account.as_deref()
    }

    /// The trust domain, if an admitted SAN states one and no other admitted SAN states a different
    /// one.
    #[must_use]
    pub fn trust_domain(&self) -> Option<&str> {
        self.trust_domain.as_deref()
    }
}

/// Why a sender is not admitted. The texts are for the sender: they name what the sender itself has shown, and nothing
/// from the lists of the configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAdmitted {
    /// The sender has several allowed namespaces.
    #[error(
        "ambiguous sender: it is allowed for several namespaces ({namespaces}). Use one \
         certificate or token per namespace{}",
        choice.as_deref().map(|header| format!(", or name one of them in {header}")).unwrap_or_default()
    )]
    Ambiguous {
        /// The allowed ones, sorted.
        namespaces: Listing,
        /// The header in which the sender can choose one.
        choice: Option<String>,
    },
    /// A deny entry matches the certificate, whatever names are in it.
    #[error("the client certificate is denied by this gateway. Ask its operators why")]
    CertificateDenied,
    /// A deny entry matches one of the sender's names.
    #[error("namespace {namespace} is denied by this gateway. Ask its operators why")]
    Denied {
        /// The denied namespace.
        namespace: String,
    },
    /// A deny entry matches the issuer of a token, whatever names are in it.
    #[error("tokens of this issuer are denied by this gateway. Ask its operators why")]
    TokenDenied,
    /// The entry that allowed the sender has expired.
    #[error(
        "access for namespace {namespace} expired at {until}. Ask the operators of this gateway to extend it"
    )]
    Expired {
        /// The namespace whose entry expired last.
        namespace: String,
        /// The first moment at which it was no longer allowed.
        until: DateTime,
    },
    /// The entry that allows the sender has not started.
    #[error("access for namespace {namespace} starts at {from}. Send again from then on")]
    NotYet {
        /// The namespace whose entry starts first.
        namespace: String,
        /// The moment at which it starts.
        from: DateTime,
    },
    /// No identity source identifies the sender.
    #[error(transparent)]
    NotIdentified(#[from] IdentityError),
    /// No entry allows any of the sender's names.
    #[error(
        "not on this gateway's allowlist: {namespaces}. Ask its operators to add it, or check that \
         the certificate or token carries the namespace and service account they allowed"
    )]
    NotAllowed {
        /// The sender's namespaces, sorted.
        namespaces: Listing,
    },
}

impl From<PeerError> for NotAdmitted {
    fn from(error: PeerError) -> Self {
        Self::NotIdentified(error.into())
    }
}
