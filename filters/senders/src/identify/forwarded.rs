//! Other gateways that forward requests of many senders.

use serde::Deserialize;
use sluice_config::{Glob, Place};
use sluice_headers::names::SCOPE_ORG_ID;

use super::{Facts, Failure, IdentityError, Proxy, proxy::ProxyConfig};
use crate::{
    certificate::Certificate,
    entries::NAMESPACE,
    evidence::Evidence,
    identity::{IdentifiedBy, Identity},
    listing::Listing,
    peer::PeerError,
};

/// The `forwarded` source: gateways that forward requests of many senders.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct ForwardedConfig {
    /// The header with the sender's namespace. The default is `X-Scope-OrgID`, which a gate sets.
    header: Option<String>,
    /// The forwarding gateways; at least one.
    from: Vec<ForwarderConfig>,
}

/// One forwarding gateway: its certificate, given by exactly one of three keys, and the namespaces
/// that it may name.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct ForwarderConfig {
    /// A DNS SAN.
    dns: Option<String>,
    /// A URI SAN.
    uri: Option<String>,
    /// The certificate's SHA-256, in hex.
    fingerprint: Option<String>,
    /// The namespaces, or prefixes of namespaces, that it may name; at least one.
    namespaces: Vec<String>,
}

/// The forwarding gateways, and the header in which they name the sender.
#[derive(Debug)]
pub(crate) struct Forwarded {
    header: String,
    from: Vec<Forwarder>,
}

/// One forwarding gateway.
#[derive(Debug)]
struct Forwarder {
    certificate: Proxy,
    namespaces: Vec<Glob>,
}

/// Why no forwarding gateway names the sender.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ForwardedError {
    /// The request was not forwarded, or not by a trusted gateway.
    #[error(
        "this connection's certificate is not that of a trusted forwarding gateway, or {header} is not set"
    )]
    NotForwarded {
        /// The header in which a gateway names the sender.
        header: String,
    },
    /// A trusted gateway has not named exactly one namespace.
    #[error(
        "a forwarding gateway must set {header} once, to one namespace, spelled as in Kubernetes; \
         received: {said}"
    )]
    ForNobody {
        /// The header in which a gateway names the sender.
        header: String,
        /// What the header contains.
        said: Listing,
    },
    /// A gateway has named a sender for which it may not forward.
    #[error(
        "this forwarding gateway is not allowed to send on behalf of namespace {namespaces}. Ask \
         the operators of the gateway that it forwards to"
    )]
    NotAllowed {
        /// The namespaces that it has named.
        namespaces: Listing,
    },
}

impl ForwardedError {
    pub(super) const fn failure(&self) -> Failure {
        match self {
            Self::NotForwarded { .. } => Failure::Absent,
            Self::ForNobody { .. } | Self::NotAllowed { .. } => Failure::Forbidden,
        }
    }
}

impl ForwardedConfig {
    pub(super) fn compile(&self, place: &Place<'_>, facts: &mut Facts) -> Forwarded {
        let header = self.header.as_deref().unwrap_or(SCOPE_ORG_ID);
        let header = facts.take_header(header, &place.at("header"));
        facts.states_certificate = true;
        let place = place.at("from");
        if self.from.is_empty() {
            place.add(
                "empty list: add the certificate of at least one forwarding gateway, or remove \
                 forwarded",
            );
        }
        let from = self.from.iter().enumerate();
        let from = from.filter_map(|(index, forwarder)| forwarder.compile(&place.index(index)));
        Forwarded { header, from: from.collect() }
    }
}

impl ForwarderConfig {
    fn compile(&self, place: &Place<'_>) -> Option<Forwarder> {
        let Self { dns, uri, fingerprint, namespaces } = self;
        let (dns, uri, fingerprint) = (dns.clone(), uri.clone(), fingerprint.clone());
        let certificate = ProxyConfig { dns, uri, fingerprint }.compile(place);
        let place = place.at("namespaces");
        if namespaces.is_empty() {
            place.add(
                "empty list: add at least one namespace on whose behalf this gateway may send",
            );
        }
        let globs = namespaces.iter().enumerate();
        let globs = globs.filter_map(|(index, name)| place.index(index).take(NAMESPACE.glob(name)));
        let namespaces = globs.collect();
        Some(Forwarder { certificate: certificate?, namespaces })
    }
}

impl Forwarded {
    pub(super) fn find(&self, evidence: &mut Evidence<'_>) -> Result<Identity, IdentityError> {
        let certificate = evidence.certificate()?;
        let forwarders = || self.from.iter().filter(|gate| gate.certificate.is(&certificate));
        let said = (evidence.header)(&self.header);
        if forwarders().next().is_none() || said.is_empty() {
            return Err(ForwardedError::NotForwarded { header: self.header.clone() }.into());
        }
        let named = evidence.only(&self.header).filter(|name| NAMESPACE.is_name(name.as_bytes()));
        let Some(namespace) = named else {
            let said = said.into_iter().map(|value| format!("\"{}\"", value.escape_ascii()));
            let (header, said) = (self.header.clone(), said.collect());
            return Err(ForwardedError::ForNobody { header, said }.into());
        };
        if !forwarders().flat_map(|gate| &gate.namespaces).any(|glob| glob.matches(namespace)) {
            let namespaces = [namespace].into_iter().collect();
            return Err(ForwardedError::NotAllowed { namespaces }.into());
        }
        Ok(identity(namespace, &certificate))
    }

    /// Adds the namespaces that a forwarding gateway names, even if there are several, and even if
    /// they are not in its list.
    pub(super) fn shown(
        &self,
        evidence: &mut Evidence<'_>,
        identities: &mut Vec<Identity>,
    ) -> Result<(), PeerError> {
        let mut said = evidence
            .texts(&self.header)
            .filter(|name| NAMESPACE.is_name(name.as_bytes()))
            .peekable();
        if said.peek().is_some()
            && let Some(certificate) = evidence.presented()?
            && self.from.iter().any(|gate| gate.certificate.is(&certificate))
        {
            identities.extend(said.map(|namespace| identity(namespace, &certificate)));
        }
        Ok(())
    }
}

/// The identity of a sender that is named by the gateway with this certificate.
fn identity(namespace: &str, certificate: &Certificate) -> Identity {
    Identity {
        issuer: certificate.issuer_key(),
        fingerprint: Some(certificate.fingerprint_key()),
        ..Identity::of(namespace, IdentifiedBy::FORWARDED)
    }
}
