//! Gates that forward for many senders.

use sluice_config::Glob;

use super::Proxy;
use crate::{
    allowlist::NotAdmitted,
    entries::NAMESPACE,
    evidence::Evidence,
    peer::NoIdentity,
    sender::{IdentifiedBy, Sender},
};

/// The gates, and the header in which they name the sender.
#[derive(Debug)]
pub(crate) struct Forwarded {
    pub(crate) header: String,
    pub(crate) from: Vec<Gate>,
}

/// One gate.
#[derive(Debug)]
pub(crate) struct Gate {
    pub(crate) certificate: Proxy,
    pub(crate) namespaces: Vec<Glob>,
}

impl Forwarded {
    pub(super) fn find(&self, evidence: &mut Evidence<'_>) -> Result<Sender, NotAdmitted> {
        let certificate = evidence.certificate()?;
        let gates = || self.from.iter().filter(|gate| gate.certificate.is(&certificate));
        let said = (evidence.header)(&self.header);
        if gates().next().is_none() || said.is_empty() {
            return Err(NoIdentity::NotForwarded { header: self.header.clone() }.into());
        }
        let named = evidence.only(&self.header).filter(|name| NAMESPACE.is_name(name.as_bytes()));
        let Some(namespace) = named else {
            let said = said.into_iter().map(|value| format!("\"{}\"", value.escape_ascii()));
            let (header, said) = (self.header.clone(), said.collect());
            return Err(NotAdmitted::ForwardedForNobody { header, said });
        };
        if !gates().flat_map(|gate| &gate.namespaces).any(|glob| glob.matches(namespace)) {
            let namespaces = [namespace].into_iter().collect();
            return Err(NotAdmitted::NotForwardable { namespaces });
        }
        Ok(Sender {
            issuer: certificate.issuer_key(),
            fingerprint: Some(certificate.fingerprint_key()),
            ..Sender::of(namespace, IdentifiedBy::FORWARDED)
        })
    }

    /// Whom a gate names, and be it twice, in its list or not.
    pub(super) fn shown(
        &self,
        evidence: &mut Evidence<'_>,
        names: &mut Vec<Sender>,
    ) -> Result<(), NoIdentity> {
        let mut said = evidence
            .texts(&self.header)
            .filter(|name| NAMESPACE.is_name(name.as_bytes()))
            .peekable();
        if said.peek().is_some()
            && let Some(certificate) = evidence.presented()?
            && self.from.iter().any(|gate| gate.certificate.is(&certificate))
        {
            names.extend(said.map(|namespace| Sender {
                issuer: certificate.issuer_key(),
                fingerprint: Some(certificate.fingerprint_key()),
                ..Sender::of(namespace, IdentifiedBy::FORWARDED)
            }));
        }
        Ok(())
    }
}
