//! The claims of a token that Envoy has verified.

use std::sync::Arc;

use crate::{
    allowlist::NotAdmitted,
    evidence::Evidence,
    listing::Listing,
    pattern::NamePattern,
    payload::{Unreadable, Value},
    peer::NoIdentity,
    sender::{Claimed, Sender, token_issuer_key},
};

/// How claims name a sender.
#[derive(Debug)]
pub(crate) struct Jwt {
    /// Where the payload is in the metadata: the filter that has kept it, and key by key below.
    pub(crate) payload: Vec<String>,
    pub(crate) names: Vec<ClaimName>,
    /// The claim that names the tenant, where one does.
    pub(crate) tenant: Option<String>,
}

/// A pattern for one claim.
#[derive(Debug)]
pub(crate) struct ClaimName {
    /// Where it is in the payload.
    pub(crate) path: Vec<String>,
    pub(crate) pattern: NamePattern,
}

/// A token that was shown.
pub(crate) struct Token {
    /// Whom it names.
    pub(crate) names: Vec<Sender>,
    /// The key of who has issued it, if it says so.
    pub(crate) issuer: Option<Arc<str>>,
    /// The values that were looked at.
    claims: Listing,
}

impl Jwt {
    pub(super) fn find(&self, evidence: &Evidence<'_>) -> Result<Vec<Sender>, NotAdmitted> {
        match self.token(evidence)? {
            None => Err(NoIdentity::NoToken.into()),
            Some(Token { names, claims, .. }) if names.is_empty() => {
                Err(NotAdmitted::TokenNamesNobody { claims })
            }
            Some(token) => Ok(token.names),
        }
    }

    /// The token that was shown, if one was, whoever it names.
    pub(super) fn token(&self, evidence: &Evidence<'_>) -> Result<Option<Token>, NoIdentity> {
        evidence.metadata.map_or(Ok(None), |metadata| {
            self.read(metadata).map_err(|Unreadable| NoIdentity::UnreadableToken)
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
            // Nobody can say that it is not one that is denied; Envoy verifies no such token.
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
        let (mut names, mut shown) = (Vec::new(), Vec::new());
        for name in &self.names {
            let Some(value) = claim(&name.path)? else { continue };
            for text in value.texts()? {
                let read = name.pattern.read_claim(text);
                names.extend(read.map(|sender| Sender {
                    issuer: issuer.clone(),
                    claimed: claimed.clone(),
                    ..sender
                }));
                shown.push(text);
            }
        }
        Ok(Some(Token { names, issuer, claims: shown.into_iter().collect() }))
    }
}
