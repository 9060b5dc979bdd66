//! The SANs of the connection's client certificate.

use std::rc::Rc;

use serde::Deserialize;
use sluice_config::Place;

use super::{Facts, Failure, IdentityError};
use crate::{
    certificate::Certificate,
    evidence::Evidence,
    identity::Identity,
    listing::Listing,
    pattern::{NamePattern, SanKind, check_clash},
    peer::NoIdentity,
    values::parse_duration,
};

/// How SANs name a sender.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct ClientCertificateConfig {
    /// The patterns; at least one. Every SAN is held against each.
    names: Vec<SanPatternConfig>,
    /// How long before its end a certificate is warned about (`4h`, `30m`, `2d`); when a sixth of its time is left, if
    /// left out.
    warn_before_end: Option<String>,
}

/// A pattern for one kind of SAN: exactly one key.
///
/// A struct of options, and not an enum, because YAML readers write enums in ways of their own.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct SanPatternConfig {
    /// For DNS SANs: `*.{namespace}`.
    dns: Option<String>,
    /// For URI SANs: `spiffe://{trustDomain}/ns/{namespace}/sa/{serviceAccount}`.
    uri: Option<String>,
}

/// The patterns by which SANs name a sender.
#[derive(Debug)]
pub(crate) struct ClientCertificate {
    patterns: Vec<NamePattern>,
}

/// Why no sender was found by a certificate that can be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientCertificateError {
    /// None of its SANs matches a pattern.
    #[error(
        "no SAN of the client certificate names a namespace by the rules of this gateway; its DNS and URI SANs: {sans}"
    )]
    NamesNobody {
        /// Its DNS and URI SANs.
        sans: Listing,
    },
}

impl ClientCertificateError {
    pub(super) const fn failure(&self) -> Failure {
        match self {
            Self::NamesNobody { .. } => Failure::NamesNobody,
        }
    }
}

impl ClientCertificateConfig {
    pub(super) fn compile(&self, place: &Place<'_>, facts: &mut Facts) -> ClientCertificate {
        facts.states_certificate = true;
        if let Some(text) = &self.warn_before_end {
            facts.warn_before_end = place.at("warnBeforeEnd").take(parse_duration(text));
        }
        let place = place.at("names");
        if self.names.is_empty() {
            let message = "it is empty: say how a SAN names a sender, as {dns: \"*.{namespace}\"}";
            place.add(message);
        }
        let mut patterns: Vec<NamePattern> = Vec::new();
        for (index, name) in self.names.iter().enumerate() {
            let place = place.index(index);
            if let Some(pattern) = name.compile(&place) {
                check_clash(&pattern, &patterns, &place);
                facts.state(&pattern);
                patterns.push(pattern);
            }
        }
        ClientCertificate { patterns }
    }
}

impl SanPatternConfig {
    fn compile(&self, place: &Place<'_>) -> Option<NamePattern> {
        let (text, kind, key) = match self {
            Self { dns: Some(text), uri: None } => (text, SanKind::Dns, "dns"),
            Self { dns: None, uri: Some(text) } => (text, SanKind::Uri, "uri"),
            Self { dns: Some(_), uri: Some(_) } | Self { dns: None, uri: None } => {
                place.add("it must have exactly one of dns and uri");
                return None;
            }
        };
        place.at(key).take(NamePattern::compile(text, kind))
    }
}

impl ClientCertificate {
    pub(super) fn find(
        &self,
        evidence: &mut Evidence<'_>,
    ) -> Result<Rc<[Identity]>, IdentityError> {
        let certificate = evidence.certificate()?;
        let identities = self.kept_identities(&certificate);
        if identities.is_empty() {
            let sans = certificate.sans().iter().collect();
            return Err(ClientCertificateError::NamesNobody { sans }.into());
        }
        Ok(Rc::clone(identities))
    }

    /// Whom the certificate names that was presented, its time over or not.
    pub(super) fn shown(
        &self,
        evidence: &mut Evidence<'_>,
        identities: &mut Vec<Identity>,
    ) -> Result<(), NoIdentity> {
        if let Some(certificate) = evidence.presented()? {
            identities.extend_from_slice(self.kept_identities(&certificate));
        }
        Ok(())
    }

    /// The identities of a certificate, which stay with it: a configuration reads certificates by one list of patterns.
    fn kept_identities<'c>(&self, certificate: &'c Certificate) -> &'c Rc<[Identity]> {
        certificate.identities.get_or_init(|| self.identities(certificate).into())
    }

    /// What the SANs of a certificate say: one identity for each pattern that a SAN matches.
    pub(super) fn identities(&self, certificate: &Certificate) -> Vec<Identity> {
        let read =
            |san| self.patterns.iter().filter_map(move |pattern: &NamePattern| pattern.read(san));
        let identities = certificate.sans().iter().flat_map(read);
        identities
            .map(|identity| Identity {
                issuer: certificate.issuer_key(),
                fingerprint: Some(certificate.fingerprint_key()),
                ..identity
            })
            .collect()
    }
}
