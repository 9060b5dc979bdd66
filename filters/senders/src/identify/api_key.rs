//! API keys, passed on by a proxy that has authenticated the client.

use der::DateTime;
use serde::Deserialize;
use sluice_config::Place;
use subtle::ConstantTimeEq;

use super::{Facts, Failure, IdentityError, Proxy, proxy::ProxyConfig};
use crate::{
    certificate,
    entries::{NAMESPACE, SERVICE_ACCOUNT},
    evidence::Evidence,
    identity::{IdentifiedBy, Identity},
    peer::PeerError,
    values::{parse_date, parse_sha256},
};

/// The `apiKey` source: keys that an API gateway has passed on.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct ApiKeysConfig {
    /// The header that holds the key.
    header: String,
    /// The certificates of the API gateways; at least one. Keys on any other connection are not read.
    from: Vec<ProxyConfig>,
    /// The keys; at least one.
    keys: Vec<ApiKeyConfig>,
}

/// One key.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct ApiKeyConfig {
    /// The SHA-256 of the key, in hex. The key itself is not stored anywhere.
    sha256: String,
    /// The namespace of the key's owner.
    namespace: String,
    /// The service account of the key's owner.
    service_account: Option<String>,
    /// The first moment at which the key is no longer valid.
    until: Option<String>,
}

/// The keys, and the proxies from which they are accepted.
#[derive(Debug)]
pub(crate) struct ApiKeys {
    header: String,
    from: Vec<Proxy>,
    keys: Vec<ApiKey>,
}

/// One key.
#[derive(Debug)]
struct ApiKey {
    sha256: [u8; 32],
    identity: Identity,
    until: Option<DateTime>,
}

/// Why no API key identifies the sender.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApiKeyError {
    /// The request has no API key.
    #[error("the request has no API key in the header {header}")]
    Missing {
        /// The header in which keys are expected.
        header: String,
    },
    /// The request has an API key, but does not come from an API gateway.
    #[error(
        "API keys are accepted only from the platform's API gateway; this connection's certificate \
         is not the API gateway's"
    )]
    FromElsewhere,
    /// The API key is not one of the configured ones, or has expired.
    #[error("unknown or expired API key. Ask the operators of this gateway for a new one")]
    Unknown,
}

impl ApiKeyError {
    pub(super) const fn failure(&self) -> Failure {
        match self {
            Self::Missing { .. } => Failure::Absent,
            Self::FromElsewhere => Failure::Unusable,
            Self::Unknown => Failure::Rejected,
        }
    }
}

impl ApiKeysConfig {
    pub(super) fn compile(&self, place: &Place<'_>, facts: &mut Facts) -> ApiKeys {
        let header = facts.take_header(&self.header, &place.at("header"));
        let from_place = place.at("from");
        if self.from.is_empty() {
            let message = "empty list: add the API gateway's certificate, or anyone could try keys";
            from_place.add(message);
        }
        let from = self.from.iter().enumerate();
        let from =
            from.filter_map(|(index, proxy)| proxy.compile(&from_place.index(index))).collect();
        let keys_place = place.at("keys");
        if self.keys.is_empty() {
            keys_place.add("empty list: add at least one key, or remove apiKey");
        }
        let mut keys: Vec<ApiKey> = Vec::new();
        for (index, key) in self.keys.iter().enumerate() {
            let place = keys_place.index(index);
            let sha256 = place.at("sha256").take(parse_sha256(&key.sha256));
            if sha256.is_some_and(|sha256| keys.iter().any(|known| known.sha256 == sha256)) {
                place.at("sha256").add("duplicate key: an earlier entry has the same sha256");
            }
            let namespace = place.at("namespace").take(NAMESPACE.parse(&key.namespace));
            let account = key.service_account.as_deref().and_then(|account| {
                place.at("serviceAccount").take(SERVICE_ACCOUNT.parse(account))
            });
            facts.states_service_account |= account.is_some();
            let until = key.until.as_deref();
            let until = until.and_then(|until| place.at("until").take(parse_date(until)));
            if let (Some(sha256), Some(namespace)) = (sha256, namespace) {
                let identity = Identity {
                    service_account: account.map(String::from),
                    ..Identity::of(namespace, IdentifiedBy::API_KEY)
                };
                keys.push(ApiKey { sha256, identity, until });
            }
        }
        ApiKeys { header, from, keys }
    }
}

impl ApiKeys {
    pub(super) fn find(&self, evidence: &mut Evidence<'_>) -> Result<Identity, IdentityError> {
        if (evidence.header)(&self.header).is_empty() {
            return Err(ApiKeyError::Missing { header: self.header.clone() }.into());
        }
        let certificate = evidence.certificate()?;
        if !self.from.iter().any(|proxy| proxy.is(&certificate)) {
            return Err(ApiKeyError::FromElsewhere.into());
        }
        let brought = evidence.only(&self.header).ok_or(ApiKeyError::Unknown)?;
        let holds = |key: &&ApiKey| {
            key.until.is_none_or(|until| evidence.now < until.unix_duration().as_secs())
        };
        let found = self.known(brought).filter(holds);
        Ok(found.map(|key| key.identity.clone()).ok_or(ApiKeyError::Unknown)?)
    }

    /// Adds the owners of all keys in the request, even of expired keys.
    pub(super) fn shown(
        &self,
        evidence: &mut Evidence<'_>,
        identities: &mut Vec<Identity>,
    ) -> Result<(), PeerError> {
        let mut brought = evidence.texts(&self.header).peekable();
        if brought.peek().is_some()
            && let Some(certificate) = evidence.presented()?
            // A key from elsewhere is ignored, so that nobody can use it to find out whose key it
            // is.
            && self.from.iter().any(|proxy| proxy.is(&certificate))
        {
            identities.extend(brought.filter_map(|key| Some(self.known(key)?.identity.clone())));
        }
        Ok(())
    }

    /// The configured key for `brought`. All keys are compared in constant time, so the time taken does not show which
    /// key is nearly right.
    fn known(&self, brought: &str) -> Option<&ApiKey> {
        let brought = certificate::sha256(brought.as_bytes());
        let mut found = None;
        for key in &self.keys {
            if bool::from(key.sha256.ct_eq(&brought)) {
                found = Some(key);
            }
        }
        found
    }
}
