//! Gates that forward for many senders.

use super::Proxy;
use crate::{
    allowlist::NotAdmitted,
    entries::NAMESPACE,
    evidence::Evidence,
    name::NameGlob,
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
    pub(crate) namespaces: Vec<NameGlob>,
}

impl Forwarded {
    pub(super) fn find(&self, evidence: &mut Evidence<'_>) -> Result<Sender, NotAdmitted> {
        let certificate = evidence.certificate()?;
        let gates = || self.from.iter().filter(|gate| gate.certificate.is(&certificate));
        let named = evidence.only(&self.header).filter(|name| NAMESPACE.is_name(name.as_bytes()));
        let (Some(_), Some(namespace)) = (gates().next(), named) else {
            return Err(NoIdentity::NotForwarded { header: self.header.clone() }.into());
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
}
