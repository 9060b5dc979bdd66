//! The `senders` section of the configuration, as it is written.

use serde::Deserialize;

use crate::identify::IdentifyConfig;

/// The `senders` section. [`compile`](Self::compile) checks and compiles it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct SendersConfig {
    /// How a sender is identified; at least one source. The first source that identifies the sender
    /// decides.
    pub identify: Vec<IdentifyConfig>,
    /// Who may send; at least one entry.
    pub allow: Vec<AllowEntry>,
    /// Who may not send, whatever `allow` says. If left out, nobody is denied.
    #[serde(default)]
    pub deny: Vec<DenyEntry>,
    /// The header in which a sender that is allowed for several namespaces chooses one.
    pub choose_by: Option<String>,
}

/// An allow entry. One name must satisfy all of it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct AllowEntry {
    /// A namespace, or a prefix of namespaces: `payments`, `team-*`.
    #[cfg_attr(feature = "schema", schemars(example = &"payments"))]
    pub namespace: String,
    /// A SPIFFE trust domain, exactly.
    pub trust_domain: Option<String>,
    /// A service account, or a prefix of service accounts.
    pub service_account: Option<String>,
    /// The certificate's issuer as in RFC 4514, or the token's `iss`.
    #[cfg_attr(feature = "schema", schemars(example = &"CN=Payments CA,O=Example"))]
    pub issuer: Option<String>,
    /// The SHA-256 of the certificate, in hex.
    pub fingerprint: Option<String>,
    /// The first moment at which the entry is valid: RFC 3339 in UTC, whole seconds.
    #[cfg_attr(feature = "schema", schemars(example = &"2027-01-01T00:00:00Z"))]
    pub from: Option<String>,
    /// The first moment at which the entry is no longer valid.
    #[cfg_attr(feature = "schema", schemars(example = &"2027-06-30T00:00:00Z"))]
    pub until: Option<String>,
}

/// A deny entry. One name that satisfies all of it is enough.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct DenyEntry {
    /// As in [`AllowEntry`]. May be left out if `issuer` or `fingerprint` is set; then the entry denies every
    /// connection with such a certificate, whatever identifies the sender.
    pub namespace: Option<String>,
    /// As in [`AllowEntry`].
    pub trust_domain: Option<String>,
    /// As in [`AllowEntry`].
    pub service_account: Option<String>,
    /// As in [`AllowEntry`].
    pub issuer: Option<String>,
    /// As in [`AllowEntry`].
    pub fingerprint: Option<String>,
}
