//! The claims of a token that Envoy has verified.

use std::sync::Arc;

use serde::Deserialize;
use sluice_config::Place;

use super::{Facts, Failure, IdentityError};
use crate::{
    evidence::Evidence,
    identity::{Claimed, Identity, token_issuer_key},
    listing::Listing,
    pattern::{NamePattern, SanKind, check_clash},
    payload::{self, Unreadable, Value},
};

/// The `jwt` source: how the claims of a token identify a sender.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct JwtConfig {
    /// The patterns; at least one. Every value of the claim is compared with its pattern.
    names: Vec<ClaimPatternConfig>,
    /// The Envoy attribute that holds the token's payload, as a list of keys. The default is that of the JWT filter
    /// with `payload_in_metadata: payload`, as Istio configures it.
    payload: Option<Vec<String>>,
}

/// A pattern for one claim.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct ClaimPatternConfig {
    /// The claim: a string, or a list of strings.
    claim: String,
    /// The claims around it, from the outside.
    #[serde(default)]
    within: Vec<String>,
    /// As for a SAN: `/{namespace}/root/writers`.
    pattern: String,
}

/// How claims identify a sender.
#[derive(Debug)]
pub(crate) struct Jwt {
    /// Where the payload is in the metadata: the filter that has stored it, then the keys below.
    payload: Vec<String>,
    names: Vec<ClaimName>,
    /// The claim that names the tenant, if there is one.
    tenant: Option<String>,
}

/// A pattern for one claim.
#[derive(Debug)]
struct ClaimName {
    /// Where the claim is in the payload.
    path: Vec<String>,
    pattern: NamePattern,
}

/// Why no token identifies the sender.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JwtError {
    /// Envoy has verified no token.
    #[error(
        "the request has no verified token. Send one where the gateway's JWT filter expects it, \
         which is `authorization: Bearer ..` unless configured otherwise"
    )]
    Missing,
    /// The token's payload, as Envoy has stored it, cannot be read.
    #[error(
        "the token's payload cannot be read as the gateway's JWT filter stored it. Ask the \
         operators of this gateway"
    )]
    Unreadable,
    /// No value of the token's claims matches a pattern.
    #[error(
        "no claim of the token matches a naming pattern of this gateway; claim values: {claims}"
    )]
    NamesNobody {
        /// The values of these claims.
        claims: Listing,
    },
}

impl JwtError {
    pub(super) const fn failure(&self) -> Failure {
        match self {
            Self::Missing => Failure::Absent,
            Self::Unreadable => Failure::Rejected,
            Self::NamesNobody { .. } => Failure::NamesNobody,
        }
    }
}

impl JwtConfig {
    pub(super) fn compile(&self, place: &Place<'_>, facts: &mut Facts) -> Jwt {
        facts.states_token = true;
        // A token is a secret that only the gate should read.
        facts.take_off("authorization");
        let payload = self.payload(&place.at("payload"));
        let place = place.at("names");
        if self.names.is_empty() {
            let message = "empty list: add at least one claim, such as {claim: tenant, pattern: \
                           \"{namespace}\"}";
            place.add(message);
        }
        let mut names: Vec<ClaimName> = Vec::new();
        for (index, name) in self.names.iter().enumerate() {
            let place = place.index(index);
            if name.claim.is_empty() || name.within.iter().any(String::is_empty) {
                place.at("claim").add("a claim's name must not be empty");
            }
            let path: Vec<_> = name.within.iter().chain([&name.claim]).cloned().collect();
            let place = place.at("pattern");
            if let Some(pattern) = place.take(NamePattern::compile(&name.pattern, SanKind::Claim)) {
                let same = names.iter().filter(|name| name.path == path);
                check_clash(&pattern, same.map(|name| &name.pattern), &place);
                facts.state(&pattern);
                names.push(ClaimName { path, pattern });
            }
        }
        Jwt { payload, names, tenant: None }
    }

    fn payload(&self, place: &Place<'_>) -> Vec<String> {
        let payload = match self.payload.as_deref() {
            Some([one, two, keys @ ..]) if [one, two] == payload::ATTRIBUTE && keys.len() > 1 => {
                keys.to_vec()
            }
            Some(_) => {
                let message = "must be the attribute under which Envoy's JWT filter stores a \
                               token's payload, one list item per part: [metadata, \
                               filter_metadata, envoy.filters.http.jwt_authn, payload], where the \
                               last is the filter's payload_in_metadata";
                place.add(message);
                Vec::new()
            }
            None => PAYLOAD.map(str::to_owned).to_vec(),
        };
        if payload.iter().any(String::is_empty) {
            place.add("empty list item: write the attribute one part per item, or remove payload");
        }
        payload
    }
}

/// A token in the request.
pub(super) struct Token {
    /// The identities in it.
    pub(super) identities: Vec<Identity>,
    /// The lookup key of its issuer, if it has an `iss`.
    pub(super) issuer: Option<Arc<str>>,
    /// The claim values that were compared.
    claims: Listing,
}

impl Jwt {
    pub(super) fn find(&self, evidence: &Evidence<'_>) -> Result<Vec<Identity>, IdentityError> {
        let token = self.token(evidence)?.ok_or(JwtError::Missing)?;
        if token.identities.is_empty() {
            return Err(JwtError::NamesNobody { claims: token.claims }.into());
        }
        Ok(token.identities)
    }

    /// Makes the source read the claim that names the tenant from every token.
    pub(super) fn read_claim(&mut self, claim: &str) {
        self.tenant = Some(claim.to_owned());
    }

    /// The token in the request, if there is one, even if it identifies nobody.
    pub(super) fn token(&self, evidence: &Evidence<'_>) -> Result<Option<Token>, JwtError> {
        evidence.metadata.map_or(Ok(None), |metadata| {
            self.read(metadata).map_err(|Unreadable| JwtError::Unreadable)
        })
    }

    fn read(&self, metadata: &[u8]) -> Result<Option<Token>, Unreadable> {
        if Value::find(metadata, &self.payload)?.is_none() {
            return Ok(None);
        }
        let claim = |path: &[String]| Value::find(metadata, &[&self.payload, path].concat());
        let issuer = match claim(&["iss".to_owned()])? {
            Some(Value::Text(issuer)) => Some(token_issuer_key(issuer)),
            None => None,
            // It could be a denied issuer. Envoy does not verify tokens with such an `iss`.
            Some(_) => return Err(Unreadable),
        };
        let claimed = match &self.tenant {
            None => Claimed::Nothing,
            Some(tenant) => match claim(std::slice::from_ref(tenant))?.map(Value::only_text) {
                None => Claimed::Nothing,
                Some(value) => match value? {
                    Ok(text) => Claimed::Text(text.to_owned()),
                    Err(other) => Claimed::Other(other),
                },
            },
        };
        let (mut identities, mut shown) = (Vec::new(), Vec::new());
        for name in &self.names {
            let Some(value) = claim(&name.path)? else { continue };
            for text in value.texts()? {
                let read = name.pattern.read_claim(text);
                identities.extend(read.map(|identity| Identity {
                    issuer: issuer.clone(),
                    claimed: claimed.clone(),
                    ..identity
                }));
                shown.push(text);
            }
        }
        Ok(Some(Token { identities, issuer, claims: shown.into_iter().collect() }))
    }
}

/// Where Envoy's JWT filter stores the payload in Istio's configuration: its metadata, and the key
/// in it.
const PAYLOAD: [&str; 2] = ["envoy.filters.http.jwt_authn", "payload"];
