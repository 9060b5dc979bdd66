//! The ways in which a sender is found.

mod api_key;
mod forwarded;
mod jwt;
mod proxy;

use std::rc::Rc;

use crate::{
    allowlist::NotAdmitted,
    certificate::Certificate,
    evidence::Evidence,
    pattern::NamePattern,
    sender::{IdentifiedBy, Sender},
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
                let names = certificate.names.get_or_init(|| names(patterns, &certificate).into());
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
    names.iter_mut().for_each(|name| name.by = by);
    if names.is_empty() { Err(NotAdmitted::Disagree) } else { Ok(names.into()) }
}
