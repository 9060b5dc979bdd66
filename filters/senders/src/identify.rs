//! The identity sources, which identify a sender.
//!
//! Each source has its own file with its configuration, compile step, search and errors. This file holds what they
//! share: the entry of the configuration, and the calls to each source.

mod api_key;
mod certificate;
mod forwarded;
mod jwt;
mod proxy;

use std::{rc::Rc, sync::Arc};

use serde::Deserialize;
use sluice_config::{Place, SenderName, header_name};
use sluice_headers::names::{CONTENT_LENGTH, CONTENT_TYPE, TE};

use crate::{
    certificate::Certificate,
    evidence::Evidence,
    identity::{Claimed, IdentifiedBy, Identity},
    pattern::NamePattern,
    peer::PeerError,
};

pub use api_key::ApiKeyError;
pub use certificate::ClientCertificateError;
pub use forwarded::ForwardedError;
pub use jwt::JwtError;

use api_key::{ApiKeys, ApiKeysConfig};
use certificate::{ClientCertificate, ClientCertificateConfig};
use forwarded::{Forwarded, ForwardedConfig};
use jwt::{Jwt, JwtConfig};
use proxy::Proxy;

/// One entry of `identify`: exactly one key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct IdentifyConfig {
    /// The SANs of the client certificate.
    client_certificate: Option<ClientCertificateConfig>,
    /// The claims of a token that Envoy has verified.
    jwt: Option<JwtConfig>,
    /// A key that an API gateway has passed on.
    api_key: Option<ApiKeysConfig>,
    /// The header of another Sluice gateway that forwards requests.
    forwarded: Option<ForwardedConfig>,
    /// All of these, which must agree on a namespace.
    all_of: Option<Vec<Self>>,
    /// The first of these that identifies the sender.
    any_of: Option<Vec<Self>>,
}

/// A compiled identity source.
#[derive(Debug)]
pub(crate) enum IdentitySource {
    AllOf(Vec<Self>),
    AnyOf(Vec<Self>),
    ApiKeys(ApiKeys),
    ClientCertificate(ClientCertificate),
    Forwarded(Forwarded),
    Jwt(Jwt),
}

/// Why no source identified a sender.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// No API key identifies the sender.
    #[error(transparent)]
    ApiKey(#[from] ApiKeyError),
    /// The client certificate does not identify the sender.
    #[error(transparent)]
    ClientCertificate(#[from] ClientCertificateError),
    /// Several sources have to agree on the sender, but they have no namespace in common.
    #[error(
        "the client certificate and the token (or API key) name different namespaces; both must \
         name the same one"
    )]
    Disagree,
    /// No forwarding gateway names the sender.
    #[error(transparent)]
    Forwarded(#[from] ForwardedError),
    /// No token identifies the sender.
    #[error(transparent)]
    Jwt(#[from] JwtError),
    /// The connection has no usable certificate.
    #[error(transparent)]
    Peer(#[from] PeerError),
}

/// What an [`IdentityError`] means for the other sources and for the reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The request does not contain what the source reads. Another source may identify the sender.
    Absent,
    /// A proxy names a sender for which it may not speak. No other source is asked, because otherwise the proxy would
    /// be admitted under its own name.
    Forbidden,
    /// What the request contains can be read, but identifies nobody. Another source may identify
    /// the sender.
    NamesNobody,
    /// What the request contains is invalid. No other source is asked.
    Rejected,
    /// What the request contains cannot be used. Another source may identify the sender.
    Unusable,
}

impl Failure {
    /// Whether no other source is asked.
    const fn decides(self) -> bool {
        match self {
            Self::Forbidden | Self::Rejected => true,
            Self::Absent | Self::NamesNobody | Self::Unusable => false,
        }
    }
}

impl IdentityError {
    /// What it means for the other sources and for the reply.
    #[must_use]
    pub const fn failure(&self) -> Failure {
        match self {
            Self::ApiKey(error) => error.failure(),
            Self::ClientCertificate(error) => error.failure(),
            Self::Disagree => Failure::NamesNobody,
            Self::Forwarded(error) => error.failure(),
            Self::Jwt(error) => error.failure(),
            Self::Peer(PeerError::NoCertificate) => Failure::Absent,
            Self::Peer(_) => Failure::Unusable,
        }
    }
}

/// What the rest of the section needs to know about the sources.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    /// Whether a source can state a certificate's fingerprint and issuer.
    pub(crate) states_certificate: bool,
    pub(crate) states_service_account: bool,
    /// Whether a source can state a token's issuer.
    pub(crate) states_token: bool,
    pub(crate) states_trust_domain: bool,
    /// In seconds.
    pub(crate) warn_before_end: Option<u64>,
    /// The headers that are meant only for the gate and are removed, in lower case.
    pub(crate) headers_taken: Vec<String>,
    has_client_certificate: bool,
}

impl Facts {
    /// Records what names can state if they match this pattern.
    fn state(&mut self, pattern: &NamePattern) {
        self.states_service_account |= pattern.has(SenderName::ServiceAccount);
        self.states_trust_domain |= pattern.has(SenderName::TrustDomain);
    }

    /// Returns a header's name in lower case, and adds the header to those that are removed.
    pub(crate) fn take_header(&mut self, name: &str, place: &Place<'_>) -> String {
        let name = place.take(header_name(name)).unwrap_or_default();
        if matches!(name.as_str(), "host" | CONTENT_TYPE | CONTENT_LENGTH | TE) {
            place.add(format!(
                "{name:?} is a header that HTTP or gRPC itself needs: choose another"
            ));
        }
        self.take_off(&name);
        name
    }

    /// Adds a header to those that are removed.
    fn take_off(&mut self, name: &str) {
        if !self.headers_taken.iter().any(|taken| taken == name) {
            self.headers_taken.push(name.to_owned());
        }
    }
}

impl IdentifyConfig {
    /// Compiles the entries of a list at `place`.
    pub(crate) fn compile_list(
        entries: &[Self],
        place: &Place<'_>,
        facts: &mut Facts,
    ) -> Vec<IdentitySource> {
        if entries.is_empty() {
            place.add(
                "empty list: add at least one way to identify senders, such as clientCertificate",
            );
        }
        let entries = entries.iter().enumerate();
        entries.filter_map(|(index, entry)| entry.compile(&place.index(index), facts)).collect()
    }

    fn compile(&self, place: &Place<'_>, facts: &mut Facts) -> Option<IdentitySource> {
        let Self { client_certificate, jwt, api_key, forwarded, all_of, any_of } = self;
        let mut sources = Vec::new();
        if let Some(config) = client_certificate {
            // A denied name must be found wherever it is, so all patterns for the certificate are in one list.
            if facts.has_client_certificate {
                place.add("duplicate clientCertificate: put all its names under the first one");
            }
            facts.has_client_certificate = true;
            let certificate = config.compile(&place.at("clientCertificate"), facts);
            sources.push(IdentitySource::ClientCertificate(certificate));
        }
        if let Some(config) = jwt {
            sources.push(IdentitySource::Jwt(config.compile(&place.at("jwt"), facts)));
        }
        if let Some(config) = api_key {
            sources.push(IdentitySource::ApiKeys(config.compile(&place.at("apiKey"), facts)));
        }
        if let Some(config) = forwarded {
            sources.push(IdentitySource::Forwarded(config.compile(&place.at("forwarded"), facts)));
        }
        if let Some(all) = all_of {
            let all = Self::compile_list(all, &place.at("allOf"), facts);
            sources.push(IdentitySource::AllOf(all));
        }
        if let Some(any) = any_of {
            let any = Self::compile_list(any, &place.at("anyOf"), facts);
            sources.push(IdentitySource::AnyOf(any));
        }
        if sources.len() != 1 {
            let message =
                "set exactly one of clientCertificate, jwt, apiKey, forwarded, allOf and anyOf";
            place.add(message);
        }
        sources.pop()
    }
}

impl IdentitySource {
    /// All identities of the sender; at least one.
    ///
    /// # Errors
    /// [`IdentityError`] if no source identifies the sender. If there are several sources, the error is that of the
    /// first one that had something to read.
    pub(crate) fn find(
        &self,
        evidence: &mut Evidence<'_>,
    ) -> Result<Rc<[Identity]>, IdentityError> {
        match self {
            Self::AllOf(sources) => all(sources, evidence),
            Self::AnyOf(sources) => any(sources, evidence),
            Self::ApiKeys(keys) => Ok([keys.find(evidence)?].into()),
            Self::ClientCertificate(certificate) => certificate.find(evidence),
            Self::Forwarded(forwarded) => Ok([forwarded.find(evidence)?].into()),
            Self::Jwt(jwt) => Ok(jwt.find(evidence)?.into()),
        }
    }

    /// Adds all identities that the request shows to `shown`, whichever of them is used in the end.
    ///
    /// # Errors
    /// Why a part of the request cannot be read.
    pub(crate) fn show(
        &self,
        evidence: &mut Evidence<'_>,
        shown: &mut Shown,
    ) -> Result<(), IdentityError> {
        match self {
            Self::AllOf(sources) | Self::AnyOf(sources) => {
                for source in sources {
                    source.show(evidence, shown)?;
                }
            }
            Self::ApiKeys(keys) => keys.shown(evidence, &mut shown.identities)?,
            Self::ClientCertificate(certificate) => {
                certificate.shown(evidence, &mut shown.identities)?;
            }
            Self::Forwarded(forwarded) => forwarded.shown(evidence, &mut shown.identities)?,
            Self::Jwt(jwt) => {
                if let Some(token) = jwt.token(evidence)? {
                    shown.identities.extend(token.identities);
                    shown.token_issuers.extend(token.issuer);
                }
            }
        }
        Ok(())
    }

    /// Makes every token source read the claim that names the tenant. Returns whether there is a
    /// token source.
    pub(crate) fn read_claim(&mut self, claim: &str) -> bool {
        match self {
            Self::AllOf(sources) | Self::AnyOf(sources) => {
                // All of them must be told, so do not stop at the first token source.
                let asked =
                    sources.iter_mut().filter_map(|one| one.read_claim(claim).then_some(()));
                asked.count() > 0
            }
            Self::Jwt(jwt) => {
                jwt.read_claim(claim);
                true
            }
            Self::ApiKeys(_) | Self::ClientCertificate(_) | Self::Forwarded(_) => false,
        }
    }

    /// Adds the identities in a certificate's SANs, allowed or not.
    pub(crate) fn identities_of(&self, certificate: &Certificate, identities: &mut Vec<Identity>) {
        match self {
            Self::AllOf(sources) | Self::AnyOf(sources) => {
                sources.iter().for_each(|source| source.identities_of(certificate, identities));
            }
            Self::ClientCertificate(patterns) => {
                identities.extend(patterns.identities(certificate))
            }
            Self::ApiKeys(_) | Self::Forwarded(_) | Self::Jwt(_) => {}
        }
    }
}

/// Everything that a request shows about its sender, for any source.
#[derive(Debug, Default)]
pub(crate) struct Shown {
    /// All identities.
    pub(crate) identities: Vec<Identity>,
    /// The issuers of tokens, even of tokens that identify nobody.
    pub(crate) token_issuers: Vec<Arc<str>>,
}

fn any(
    sources: &[IdentitySource],
    evidence: &mut Evidence<'_>,
) -> Result<Rc<[Identity]>, IdentityError> {
    let mut why: Option<IdentityError> = None;
    for source in sources {
        match source.find(evidence) {
            Ok(identities) => return Ok(identities),
            Err(error) if error.failure().decides() => return Err(error),
            Err(error) => {
                if why.as_ref().is_none_or(|why| {
                    why.failure() == Failure::Absent && error.failure() != Failure::Absent
                }) {
                    why = Some(error);
                }
            }
        }
    }
    // No list of sources is empty, so there is an error.
    Err(why.unwrap_or(IdentityError::Disagree))
}

/// The identities whose namespace was found by every source.
fn all(
    sources: &[IdentitySource],
    evidence: &mut Evidence<'_>,
) -> Result<Rc<[Identity]>, IdentityError> {
    let mut found: Option<Vec<Identity>> = None;
    for source in sources {
        let mut identities = source.find(evidence)?.to_vec();
        if let Some(before) = found {
            let both = |one: &Identity, others: &[Identity]| {
                others.iter().any(|other| other.namespace == one.namespace)
            };
            let mut agreed: Vec<_> =
                before.iter().filter(|identity| both(identity, &identities)).cloned().collect();
            identities.retain(|identity| both(identity, &before));
            agreed.append(&mut identities);
            identities = agreed;
        }
        found = Some(identities);
    }
    let mut identities = found.unwrap_or_default();
    let by = identities.iter().fold(IdentifiedBy::default(), |by, identity| by.and(identity.by));
    // All identities with the same namespace are one sender, so they share what their tokens say about the tenant.
    let claimed: Vec<Claimed> = identities
        .iter()
        .map(|identity| {
            let same = identities.iter().filter(|other| other.namespace == identity.namespace);
            same.fold(Claimed::Nothing, |said, identity| said.and(&identity.claimed))
        })
        .collect();
    for (identity, claimed) in identities.iter_mut().zip(claimed) {
        identity.by = by;
        identity.claimed = claimed;
    }
    if identities.is_empty() { Err(IdentityError::Disagree) } else { Ok(identities.into()) }
}
