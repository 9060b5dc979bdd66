//! The claims of a token that Envoy has verified.

use crate::{
    allowlist::NotAdmitted,
    claims,
    evidence::Evidence,
    listing::Listing,
    pattern::NamePattern,
    peer::NoIdentity,
    sender::{Sender, issuer_key},
};

/// How claims name a sender.
#[derive(Debug)]
pub(crate) struct Jwt {
    pub(crate) names: Vec<ClaimName>,
    /// Which of the attributes is the token's `iss`.
    pub(crate) issuer: usize,
}

/// A pattern for one claim.
#[derive(Debug)]
pub(crate) struct ClaimName {
    /// Which of the attributes it is.
    pub(crate) attribute: usize,
    pub(crate) pattern: NamePattern,
}

impl Jwt {
    pub(super) fn find(&self, evidence: &Evidence<'_>) -> Result<Vec<Sender>, NotAdmitted> {
        let attribute = |index: usize| evidence.attributes.get(index)?.as_deref();
        let values = |name: &ClaimName| attribute(name.attribute).map(claims::values);
        let issuer = attribute(self.issuer).map(claims::values);
        let issuer = match issuer.as_deref() {
            Some([issuer]) => Some(issuer_key(issuer)),
            _ => None,
        };
        let mut names = Vec::new();
        for name in &self.names {
            for value in values(name).unwrap_or_default() {
                let read = name.pattern.read_claim(value);
                names.extend(read.map(|sender| Sender { issuer: issuer.clone(), ..sender }));
            }
        }
        if !names.is_empty() {
            return Ok(names);
        }
        let claims: Listing = self.names.iter().filter_map(values).flatten().collect();
        if claims.shown().is_empty() && issuer.is_none() {
            return Err(NoIdentity::NoToken.into());
        }
        Err(NotAdmitted::TokenNamesNobody { claims })
    }
}
