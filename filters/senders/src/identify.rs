//! The ways in which a sender is found.

mod api_key;
mod forwarded;
mod jwt;
mod proxy;

use std::{rc::Rc, sync::Arc};

use crate::{
    allowlist::NotAdmitted,
    certificate::Certificate,
    evidence::Evidence,
    pattern::NamePattern,
    peer::NoIdentity,
    sender::{Claimed, IdentifiedBy, Sender},
};

pub(crate) use api_key::{ApiKey, ApiKeys};
pub(crate) use forwarded::{Forwarded, Gate};
pub(crate) use jwt::{ClaimName, Jwt};
pub(crate) use proxy::Proxy;

/// One way to find out who sends.
#[derive(Debug)]
pub(crate) enum Way {
    AllOf(Vec<Self>),
    AnyOf(Vec<Self>),
    ApiKeys(ApiKeys),
    ClientCertificate(Vec<NamePattern>),
    Forwarded(Forwarded),
    Jwt(Jwt),
}

impl Way {
    /// Everything that names the sender, at least one name.
    ///
    /// # Errors
    /// [`NotAdmitted`] if nothing does: of several ways, why the first one that had something to read found nobody.
    pub(crate) fn find(&self, evidence: &mut Evidence<'_>) -> Result<Rc<[Sender]>, NotAdmitted> {
        match self {
            Self::AllOf(ways) => all(ways, evidence),
            Self::AnyOf(ways) => any(ways, evidence),
            Self::ApiKeys(keys) => Ok([keys.find(evidence)?].into()),
            Self::ClientCertificate(patterns) => {
                let certificate = evidence.certificate()?;
                let names = names_of(patterns, &certificate);
                if names.is_empty() {
                    let sans = certificate.sans().iter().collect();
                    return Err(NotAdmitted::NamesNobody { sans });
                }
                Ok(Rc::clone(names))
            }
            Self::Forwarded(forwarded) => Ok([forwarded.find(evidence)?].into()),
            Self::Jwt(jwt) => Ok(jwt.find(evidence)?.into()),
        }
    }

    /// Adds everything that the request shows of who sends it to what was `shown`, whoever is found by it in the end.
    ///
    /// # Errors
    /// What of it cannot be read.
    pub(crate) fn show(
        &self,
        evidence: &mut Evidence<'_>,
        shown: &mut Shown,
    ) -> Result<(), NoIdentity> {
        match self {
            Self::AllOf(ways) | Self::AnyOf(ways) => {
                for way in ways {
                    way.show(evidence, shown)?;
                }
            }
            Self::ApiKeys(keys) => keys.shown(evidence, &mut shown.names)?,
            Self::ClientCertificate(patterns) => {
                if let Some(certificate) = evidence.presented()? {
                    shown.names.extend_from_slice(names_of(patterns, &certificate));
                }
            }
            Self::Forwarded(forwarded) => forwarded.shown(evidence, &mut shown.names)?,
            Self::Jwt(jwt) => {
                if let Some(token) = jwt.token(evidence)? {
                    shown.names.extend(token.names);
                    shown.token_issuers.extend(token.issuer);
                }
            }
        }
        Ok(())
    }

    /// Has every token asked for the claim that names the tenant. Whether there is a token to ask.
    pub(crate) fn read_claim(&mut self, claim: &str) -> bool {
        match self {
            Self::AllOf(ways) | Self::AnyOf(ways) => {
                // Each of them is asked, also behind one that is a token.
                ways.iter_mut().filter_map(|way| way.read_claim(claim).then_some(())).count() > 0
            }
            Self::Jwt(jwt) => {
                jwt.tenant = Some(claim.to_owned());
                true
            }
            Self::ApiKeys(_) | Self::ClientCertificate(_) | Self::Forwarded(_) => false,
        }
    }
}

/// What a request shows of who sends it, by whatever way.
#[derive(Debug, Default)]
pub(crate) struct Shown {
    /// Every name.
    pub(crate) names: Vec<Sender>,
    /// Who has issued a token, whether the token names somebody or not.
    pub(crate) token_issuers: Vec<Arc<str>>,
}

/// The names of a certificate, which stay with it: a configuration reads certificates in one way.
fn names_of<'c>(patterns: &[NamePattern], certificate: &'c Certificate) -> &'c Rc<[Sender]> {
    certificate.names.get_or_init(|| names(patterns, certificate).into())
}

/// What the SANs of a certificate say: one name for each pattern that a SAN matches.
pub(crate) fn names(patterns: &[NamePattern], certificate: &Certificate) -> Vec<Sender> {
    let read = |san| patterns.iter().filter_map(move |pattern: &NamePattern| pattern.read(san));
    let names = certificate.sans().iter().flat_map(read);
    names
        .map(|name| Sender {
            issuer: certificate.issuer_key(),
            fingerprint: Some(certificate.fingerprint_key()),
            ..name
        })
        .collect()
}

fn any(ways: &[Way], evidence: &mut Evidence<'_>) -> Result<Rc<[Sender]>, NotAdmitted> {
    let mut why: Option<NotAdmitted> = None;
    for way in ways {
        match way.find(evidence) {
            Ok(names) => return Ok(names),
            Err(error) if error.decides() => return Err(error),
            Err(error) => {
                if why.as_ref().is_none_or(|why| why.is_absence() && !error.is_absence()) {
                    why = Some(error);
                }
            }
        }
    }
    // No list of ways is empty.
    Err(why.unwrap_or(NotAdmitted::Disagree))
}

/// The names whose namespace every way has found.
fn all(ways: &[Way], evidence: &mut Evidence<'_>) -> Result<Rc<[Sender]>, NotAdmitted> {
    let mut found: Option<Vec<Sender>> = None;
    for way in ways {
        let mut names = way.find(evidence)?.to_vec();
        if let Some(before) = found {
            let both = |one: &Sender, others: &[Sender]| {
                others.iter().any(|other| other.namespace == one.namespace)
            };
            let mut agreed: Vec<_> =
                before.iter().filter(|name| both(name, &names)).cloned().collect();
            names.retain(|name| both(name, &before));
            agreed.append(&mut names);
            names = agreed;
        }
        found = Some(names);
    }
    let mut names = found.unwrap_or_default();
    let by = names.iter().fold(IdentifiedBy::default(), |by, name| by.and(name.by));
    // A name that is found twice is one sender: what any of its tokens says of the tenant, they say together.
    let claimed: Vec<Claimed> = names
        .iter()
        .map(|name| {
            let same = names.iter().filter(|other| other.namespace == name.namespace);
            same.fold(Claimed::Nothing, |said, name| said.and(&name.claimed))
        })
        .collect();
    for (name, claimed) in names.iter_mut().zip(claimed) {
        name.by = by;
        name.claimed = claimed;
    }
    if names.is_empty() { Err(NotAdmitted::Disagree) } else { Ok(names.into()) }
}
