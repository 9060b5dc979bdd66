//! The identities of a sender.

use std::{fmt, sync::Arc};

/// The identity that one name states: a SAN, a claim's value, an API key, or a namespace that a
/// forwarding gateway names.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    pub(crate) namespace: String,
    pub(crate) service_account: Option<String>,
    pub(crate) trust_domain: Option<String>,
    /// The issuer: [`name_key`] of a certificate's issuer, or [`token_issuer_key`] of a token's.
    pub(crate) issuer: Option<Arc<str>>,
    /// The [`fingerprint_key`] of the certificate that contains the name.
    pub(crate) fingerprint: Option<Arc<str>>,
    pub(crate) by: IdentifiedBy,
    /// The tenant claim of the token that contains the name.
    pub(crate) claimed: Claimed,
}

impl Identity {
    /// An identity of which only the namespace is known.
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

    /// The Kubernetes service account, if the name states one.
    #[must_use]
    pub fn service_account(&self) -> Option<&str> {
        self.service_account.as_deref()
    }

    /// The SPIFFE trust domain, if the name states one.
    #[must_use]
    pub fn trust_domain(&self) -> Option<&str> {
        self.trust_domain.as_deref()
    }
}

/// The lookup key of a certificate in the entries. `hex` is its SHA-256 in lower case. No namespace contains a colon,
/// so the key cannot be mistaken for one.
pub(crate) fn fingerprint_key(hex: &str) -> Arc<str> {
    format!("sha256:{hex}").into()
}

/// The lookup key of a certificate's issuer in the entries. `name` is its comparable text.
pub(crate) fn name_key(name: &str) -> Arc<str> {
    format!("name:{name}").into()
}

/// The lookup key of a token's issuer in the entries.
pub(crate) fn token_issuer_key(iss: &str) -> Arc<str> {
    format!("iss:{iss}").into()
}

/// The tenant claim of the tokens that identified a sender.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Claimed {
    /// There is no such claim, or no token.
    #[default]
    Nothing,
    /// The claim is this string.
    Text(String),
    /// The claim is not a single string. Says what it is, such as `a number`.
    Other(&'static str),
    /// Two tokens have different values.
    Contradiction,
}

impl Claimed {
    /// Combines the claims of two tokens that both count.
    pub(crate) fn and(&self, other: &Self) -> Self {
        match (self, other) {
            (Self::Nothing, said) | (said, Self::Nothing) => said.clone(),
            (one, two) if one == two => one.clone(),
            _ => Self::Contradiction,
        }
    }
}

/// What identified a sender.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct IdentifiedBy(u8);

impl IdentifiedBy {
    /// An API key.
    pub const API_KEY: Self = Self(1);
    /// The SANs of the connection's certificate.
    pub const CLIENT_CERTIFICATE: Self = Self(1 << 1);
    /// A forwarding gateway.
    pub const FORWARDED: Self = Self(1 << 2);
    /// The claims of a token.
    pub const JWT: Self = Self(1 << 3);

    /// Everything in either of them.
    #[must_use]
    pub(crate) const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether this source is among them.
    #[must_use]
    pub const fn includes(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// In the words of the configuration: `clientCertificate`, or `clientCertificate+jwt`.
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
