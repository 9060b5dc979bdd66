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
    peer::PeerError,
    san::San,
    values::parse_duration,
};

/// The `clientCertificate` source: how SANs identify a sender.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct ClientCertificateConfig {
    /// The patterns; at least one. Every SAN is compared with each.
    names: Vec<SanPatternConfig>,
    /// How long before a certificate expires a warning is given (`4h`, `30m`, `2d`). The default is a sixth of the
    /// certificate's lifetime.
    warn_before_end: Option<String>,
}

/// A pattern for one kind of SAN: exactly one key.
///
/// A struct of options instead of an enum, because YAML readers write enums in different ways.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct SanPatternConfig {
    /// For DNS SANs: `*.{namespace}`.
    #[cfg_attr(feature = "schema", schemars(example = &"*.{namespace}"))]
    dns: Option<String>,
    /// For URI SANs: `spiffe://{trustDomain}/ns/{namespace}/sa/{serviceAccount}`.
    #[cfg_attr(feature = "schema", schemars(example = &"spiffe://{trustDomain}/ns/{namespace}/sa/{serviceAccount}"))]
    uri: Option<String>,
}

/// The patterns for the SANs of a sender.
#[derive(Debug)]
pub(crate) struct ClientCertificate {
    patterns: Vec<NamePattern>,
}

/// Why a readable certificate does not identify the sender.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientCertificateError {
    /// None of its SANs matches a pattern.
    #[error(
        "none of the client certificate's SANs matches a naming pattern of this gateway; its DNS \
         and URI SANs: {sans}"
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
            let message =
                "empty list: add at least one SAN pattern, such as {dns: \"*.{namespace}\"}";
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
                place.add("set exactly one of dns and uri");
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

    /// Adds the identities in the presented certificate, even if it has expired.
    pub(super) fn shown(
        &self,
        evidence: &mut Evidence<'_>,
        identities: &mut Vec<Identity>,
    ) -> Result<(), PeerError> {
        if let Some(certificate) = evidence.presented()? {
            identities.extend_from_slice(self.kept_identities(&certificate));
        }
        Ok(())
    }

    /// The identities in a certificate. They are cached in the certificate, because a configuration has only one list
    /// of patterns for certificates.
    fn kept_identities<'c>(&self, certificate: &'c Certificate) -> &'c Rc<[Identity]> {
        certificate.identities.get_or_init(|| self.identities(certificate).into())
    }

    /// The identities in a certificate's SANs: one for each pattern that a SAN matches.
    pub(super) fn identities(&self, certificate: &Certificate) -> Vec<Identity> {
        let read = |san| self.read(certificate, san).flatten();
        certificate.sans().iter().flat_map(read).collect()
    }

    /// What each pattern makes of one SAN of a certificate.
    pub(crate) fn readings(&self, certificate: &Certificate, san: &San) -> Vec<Option<Identity>> {
        self.read(certificate, san).collect()
    }

    fn read<'p>(
        &'p self,
        certificate: &'p Certificate,
        san: &'p San,
    ) -> impl Iterator<Item = Option<Identity>> + 'p {
        self.patterns.iter().map(|pattern| {
            Some(Identity {
                issuer: certificate.issuer_key(),
                fingerprint: Some(certificate.fingerprint_key()),
                ..pattern.read(san)?
            })
        })
    }
}
