//! Who is let in.

use std::{collections::BTreeSet, fmt, time::Duration};

use der::DateTime;

use crate::{
    certificate::Certificate,
    entries::Entries,
    evidence::Evidence,
    identify::{IdentityError, IdentitySource, Shown},
    identity::{Claimed, IdentifiedBy, Identity},
    listing::Listing,
    peer::NoIdentity,
};

/// Who may send, and who may not whatever else is said.
#[derive(Debug)]
pub(crate) struct Allowlist {
    pub(crate) allow: Entries,
    pub(crate) deny: Entries,
    /// Whether a certificate can be what is denied, by itself or by whom it names.
    pub(crate) denies_certificates: bool,
    /// Whether an entry denies who has issued something.
    pub(crate) denies_issuers: bool,
}

/// The proof that nothing of what a request shows is denied. Only [`Allowlist::deny`] makes one.
#[derive(Debug)]
pub(crate) struct NotDenied(());

impl Allowlist {
    /// Looks at everything that a request shows of who sends it, before any of it counts for anything. What is denied
    /// refuses the request, whatever else is shown; so does a certificate that is there and cannot be judged.
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

    /// Refuses a certificate that an entry denies by itself.
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
            return Err(NoIdentity::IssuerUnknown.into());
        }
        Ok(())
    }

    /// Lets in a sender that has these `identities`, at `now` in seconds since the epoch. `chosen` is the one namespace
    /// that it wants to send for, if it says so and is asked.
    ///
    /// One identity must satisfy all conditions of one entry. Identities that no entry allows are ignored beside one
    /// that is allowed.
    pub(crate) fn admit(
        &self,
        _: &NotDenied,
        identities: &[Identity],
        now: u64,
        ambiguity: Ambiguity,
        chosen: Option<&str>,
    ) -> Result<Admitted, NotAdmitted> {
        let allowed: Vec<&Identity> = identities
            .iter()
            .filter(|identity| self.allow.met_by(identity).any(|entry| entry.hold_at(now)))
            .filter(|identity| chosen.is_none_or(|chosen| identity.namespace == chosen))
            .collect();
        let mut namespaces: BTreeSet<String> = namespaces(allowed.iter().copied());
        if namespaces.len() > 1 && ambiguity == Ambiguity::Refused {
            let namespaces = namespaces.into_iter().collect();
            return Err(NotAdmitted::Ambiguous { namespaces, choice: None });
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
            expiry: None,
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
        // No entry that holds is met by any identity, so each one that is met has ended, or has not begun.
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
    // Not collected: that would sort, and a sort is several kilobytes of the module.
    let mut namespaces = BTreeSet::new();
    namespaces.extend(identities.map(|identity| identity.namespace.clone()));
    namespaces
}

/// What all who state it state; `None` if nobody does or two differ.
fn agreed<'a>(mut stated: impl Iterator<Item = &'a str>) -> Option<String> {
    let first = stated.next()?;
    stated.all(|other| other == first).then(|| first.to_owned())
}

/// What becomes of a sender that names two allowed namespaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ambiguity {
    /// It is refused: nobody can say for which of the two it sends.
    Refused,
    /// It is admitted under all of them, because the tenant does not depend on the namespace.
    Tolerated,
}

/// The proof that the allowlist has let a sender in. Only [`Senders::admit`](crate::Senders::admit) makes one.
#[derive(Debug, PartialEq, Eq)]
pub struct Admitted {
    namespace: String,
    others: Vec<String>,
    service_account: Option<String>,
    trust_domain: Option<String>,
    by: IdentifiedBy,
    claimed: Claimed,
    pub(crate) expiry: Option<Expiry>,
}

/// When the certificate expires by which a sender was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expiry {
    /// The end of its validity, in seconds since the epoch.
    pub at: u64,
    /// Whether it should have been renewed by now.
    pub renewal_overdue: bool,
}

/// The moment, in RFC 3339.
impl fmt::Display for Expiry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match DateTime::from_unix_duration(Duration::from_secs(self.at)) {
            Ok(at) => at.fmt(f),
            // Later than the year 9999.
            Err(_) => f.write_str("no time that is near"),
        }
    }
}

impl Admitted {
    /// The namespace; of several ([`Ambiguity::Tolerated`]) the first in alphabetical order.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Every admitted namespace, sorted; more than one only under [`Ambiguity::Tolerated`].
    pub fn namespaces(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.namespace).chain(&self.others).map(String::as_str)
    }

    /// By what it was found.
    #[must_use]
    pub fn identified_by(&self) -> IdentifiedBy {
        self.by
    }

    /// What the token by which it was found, and no other, says of its tenant, where
    /// [`Senders::read_claim`](crate::Senders::read_claim) has asked for that.
    #[must_use]
    pub fn claimed(&self) -> &Claimed {
        &self.claimed
    }

    /// The end of the certificate that names it, if one does.
    #[must_use]
    pub fn expiry(&self) -> Option<Expiry> {
        self.expiry
    }

    /// The service account, if an admitted SAN states one and no other admitted SAN states another.
    #[must_use]
    pub fn service_account(&self) -> Option<&str> {
        self.service_account.as_deref()
    }

    /// The trust domain, if an admitted SAN states one and no other admitted SAN states another.
    #[must_use]
    pub fn trust_domain(&self) -> Option<&str> {
        self.trust_domain.as_deref()
    }
}

/// Why a sender is not let in. The texts are for the sender: they say what it has shown itself, and nothing of what the
/// allowlist holds.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAdmitted {
    /// It names several allowed namespaces.
    #[error(
        "the sender names several namespaces that may send ({namespaces}), so its tenant is not certain: use one \
         certificate or token for each namespace{}",
        choice.as_deref().map(|header| format!(", or say in {header} which one it is")).unwrap_or_default()
    )]
    Ambiguous {
        /// The allowed ones, sorted.
        namespaces: Listing,
        /// The header in which it may say which.
        choice: Option<String>,
    },
    /// A deny entry holds for the certificate, whoever it names.
    #[error("this certificate has been denied: ask the owners of this gateway why")]
    CertificateDenied,
    /// A deny entry holds for one of its names.
    #[error("namespace {namespace} has been denied: ask the owners of this gateway why")]
    Denied {
        /// The one that is denied.
        namespace: String,
    },
    /// A deny entry holds for who has issued its token, whoever that names.
    #[error("tokens of this issuer have been denied: ask the owners of this gateway why")]
    TokenDenied,
    /// The entry that allowed it has ended.
    #[error(
        "the permission of namespace {namespace} ended at {until}: ask the owners of this gateway to extend it"
    )]
    Expired {
        /// The namespace whose permission lasted longest.
        namespace: String,
        /// The first moment at which it was not allowed any more.
        until: DateTime,
    },
    /// The entry that allows it has not begun.
    #[error("the permission of namespace {namespace} begins at {from}: send again from then on")]
    NotYet {
        /// The namespace whose permission begins first.
        namespace: String,
        /// When it does.
        from: DateTime,
    },
    /// No identity source finds a sender.
    #[error(transparent)]
    NotIdentified(#[from] IdentityError),
    /// No entry allows any of its names.
    #[error(
        "what this sender shows that it is may not send here ({namespaces}): ask the owners of this gateway to allow it, \
         or check that it names the namespace and service account that they allowed"
    )]
    NotAllowed {
        /// What it names, sorted.
        namespaces: Listing,
    },
}

impl From<NoIdentity> for NotAdmitted {
    fn from(error: NoIdentity) -> Self {
        Self::NotIdentified(error.into())
    }
}
