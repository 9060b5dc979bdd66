//! Who is let in.

use std::collections::BTreeSet;

use der::DateTime;

use crate::{entries::Entries, listing::Listing, sender::Sender};

/// Who may send, and who may not whatever else is said.
#[derive(Debug)]
pub(crate) struct Allowlist {
    pub(crate) allow: Entries,
    pub(crate) deny: Entries,
}

impl Allowlist {
    /// Lets in a sender whose certificate states `names`, at `now` in seconds since the epoch.
    ///
    /// One name must satisfy all conditions of one entry. Names that no entry allows are ignored beside one that is
    /// allowed; one that is denied refuses them all.
    pub(crate) fn admit(
        &self,
        names: &[Sender],
        now: u64,
        ambiguity: Ambiguity,
    ) -> Result<Admitted, NotAdmitted> {
        if let Some(name) = names.iter().find(|name| self.deny.met_by(name).next().is_some()) {
            return Err(NotAdmitted::Denied { namespace: name.namespace.clone() });
        }
        let allowed: Vec<&Sender> = names
            .iter()
            .filter(|name| self.allow.met_by(name).any(|entry| entry.hold_at(now)))
            .collect();
        let mut namespaces: BTreeSet<String> = namespaces(allowed.iter().copied());
        if namespaces.len() > 1 && ambiguity == Ambiguity::Refused {
            return Err(NotAdmitted::Ambiguous { namespaces: namespaces.into_iter().collect() });
        }
        let Some(namespace) = namespaces.pop_first() else {
            return Err(self.why_nobody_is_allowed(names));
        };
        Ok(Admitted {
            namespace,
            others: namespaces.into_iter().collect(),
            service_account: agreed(allowed.iter().filter_map(|name| name.service_account())),
            trust_domain: agreed(allowed.iter().filter_map(|name| name.trust_domain())),
        })
    }

    fn why_nobody_is_allowed(&self, names: &[Sender]) -> NotAdmitted {
        // No entry that holds is met by any name, so each one that is met has ended.
        let ended = |name| {
            let entries = self.allow.met_by(name);
            entries.filter_map(|entry| entry.until).max().map(|until| (until, name))
        };
        match names.iter().filter_map(ended).max_by_key(|&(until, _)| until) {
            Some((until, name)) => {
                NotAdmitted::Expired { namespace: name.namespace.clone(), until }
            }
            None => NotAdmitted::NotAllowed {
                namespaces: namespaces(names.iter()).into_iter().collect(),
            },
        }
    }
}

fn namespaces<'a>(names: impl Iterator<Item = &'a Sender>) -> BTreeSet<String> {
    // Not collected: that would sort, and a sort is several kilobytes of the module.
    let mut namespaces = BTreeSet::new();
    namespaces.extend(names.map(|name| name.namespace.clone()));
    namespaces
}

/// What all who state it state; `None` if nobody does or two differ.
fn agreed<'a>(mut stated: impl Iterator<Item = &'a str>) -> Option<String> {
    let first = stated.next()?;
    stated.all(|other| other == first).then(|| first.to_owned())
}

/// What becomes of a certificate that names two allowed namespaces.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Ambiguity {
    /// It is refused: nobody can say for which of the two it sends.
    Refused,
    /// It is admitted under all of them, because the tenant does not depend on the namespace.
    Tolerated,
}

/// The proof that the allowlist has let a sender in. Only [`Senders::admit`](crate::Senders::admit) makes one.
#[derive(Debug, Eq, PartialEq)]
pub struct Admitted {
    namespace: String,
    others: Vec<String>,
    service_account: Option<String>,
    trust_domain: Option<String>,
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

/// Why a sender is not let in. The texts are for the sender: they say what its own certificate names, and nothing of
/// what the allowlist holds.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NotAdmitted {
    /// Its certificate names several allowed namespaces.
    #[error(
        "the client certificate names several namespaces that may send ({namespaces}), so its tenant is not certain: \
         use one certificate for each namespace"
    )]
    Ambiguous {
        /// The allowed ones, sorted.
        namespaces: Listing,
    },
    /// A deny entry holds for one of its names.
    #[error("namespace {namespace} has been denied: ask the owners of this gateway why")]
    Denied {
        /// The one that is denied.
        namespace: String,
    },
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
    /// None of its SANs matches a pattern.
    #[error(
        "no SAN of the client certificate names a namespace by the rules of this gateway; its DNS and URI SANs: {sans}"
    )]
    NamesNobody {
        /// Its DNS and URI SANs.
        sans: Listing,
    },
    /// No entry allows any of its names.
    #[error(
        "what the client certificate names may not send here ({namespaces}): ask the owners of this gateway to allow it, \
         or check that the certificate names the namespace and service account that they allowed"
    )]
    NotAllowed {
        /// What it names, sorted.
        namespaces: Listing,
    },
}
