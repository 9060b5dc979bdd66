//! Who something that was presented says the sender is.

use std::{fmt, sync::Arc};

/// What one name (a SAN, a claim's value, an API key, a gate's word) states of a sender.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    pub(crate) namespace: String,
    pub(crate) service_account: Option<String>,
    pub(crate) trust_domain: Option<String>,
    /// Who vouches for it, as [`name_key`] writes a certificate's issuer and [`token_issuer_key`] a token's.
    pub(crate) issuer: Option<Arc<str>>,
    /// The certificate that it stands in, as [`fingerprint_key`] writes it.
    pub(crate) fingerprint: Option<Arc<str>>,
    pub(crate) by: IdentifiedBy,
    /// What the token that it stands in says of its tenant.
    pub(crate) claimed: Claimed,
}

impl Identity {
    /// A sender of whom nothing but a namespace is known.
    pub(crate) fn of(namespace: impl Into<String>, by: IdentifiedBy) -> Self {
        Self {
            namespace: namespace.into(),
            service_account: None,
            trust_domain: None,
            issuer: None,
            fingerprint: None,
            by,
            claimed: Claimed::Nothing,
        }
    }

    /// The namespace, a DNS label in lower case.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The Kubernetes service account, if it is stated.
    #[must_use]
    pub fn service_account(&self) -> Option<&str> {
        self.service_account.as_deref()
    }

    /// The SPIFFE trust domain, if it is stated.
    #[must_use]
    pub fn trust_domain(&self) -> Option<&str> {
        self.trust_domain.as_deref()
    }
}

/// The key of a certificate among entries; no namespace has a colon. `hex` is its SHA-256 in lower case.
pub(crate) fn fingerprint_key(hex: &str) -> Arc<str> {
    format!("sha256:{hex}").into()
}

/// The key of a certificate's issuer among entries. `name` is as its comparison has it.
pub(crate) fn name_key(name: &str) -> Arc<str> {
    format!("name:{name}").into()
}

/// The key of a token's issuer among entries.
pub(crate) fn token_issuer_key(iss: &str) -> Arc<str> {
    format!("iss:{iss}").into()
}

/// What the tokens by which a sender was found have as the claim that names its tenant.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Claimed {
    /// There is none, or no token.
    #[default]
    Nothing,
    /// This text.
    Text(String),
    /// Something that is not one text: what it is instead, as `a number`.
    Other(&'static str),
    /// One token says this, and another that.
    Contradiction,
}

impl Claimed {
    /// What two tokens say that both count.
    pub(crate) fn and(&self, other: &Self) -> Self {
        match (self, other) {
            (Self::Nothing, said) | (said, Self::Nothing) => said.clone(),
            (one, two) if one == two => one.clone(),
            _ => Self::Contradiction,
        }
    }
}

/// By what a sender was found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct IdentifiedBy(u8);

impl IdentifiedBy {
    /// A key of an API gateway.
    pub const API_KEY: Self = Self(1);
    /// The SANs of the connection's certificate.
    pub const CLIENT_CERTIFICATE: Self = Self(1 << 1);
    /// The word of another gate.
    pub const FORWARDED: Self = Self(1 << 2);
    /// The claims of a token.
    pub const JWT: Self = Self(1 << 3);

    /// By all of either.
    #[must_use]
    pub(crate) const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether this was part of it.
    #[must_use]
    pub const fn includes(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// As the configuration calls it: `clientCertificate`, or `clientCertificate+jwt`.
impl fmt::Display for IdentifiedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for (means, name) in [
            (Self::API_KEY, "apiKey"),
            (Self::CLIENT_CERTIFICATE, "clientCertificate"),
            (Self::FORWARDED, "forwarded"),
            (Self::JWT, "jwt"),
        ] {
            if self.includes(means) {
                write!(f, "{separator}{name}")?;
                separator = "+";
            }
        }
        Ok(())
    }
}
