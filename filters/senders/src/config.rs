//! The `senders` section of a configuration, as it is written.

use serde::Deserialize;

use crate::identify::IdentifyConfig;

/// The `senders` section. [`compile`](Self::compile) checks it and makes it usable.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct SendersConfig {
    /// How a sender is recognised; at least one source. The first that finds someone decides.
    pub identify: Vec<IdentifyConfig>,
    /// Who may send; at least one entry.
    pub allow: Vec<AllowEntry>,
    /// Who may not, whatever `allow` says. Nobody, if left out.
    #[serde(default)]
    pub deny: Vec<DenyEntry>,
    /// The header in which a sender that may send for several namespaces says for which one it does.
    pub choose_by: Option<String>,
}

/// Who may send. One name must satisfy all of it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct AllowEntry {
    /// A namespace, or the beginning that several share: `payments`, `team-*`.
    pub namespace: String,
    /// A SPIFFE trust domain, exactly.
    pub trust_domain: Option<String>,
    /// A service account, or the beginning that several share.
    pub service_account: Option<String>,
    /// Who vouches: the certificate's issuer as RFC 4514 writes it, or the token's `iss`.
    pub issuer: Option<String>,
    /// The SHA-256 of the certificate, in hex.
    pub fingerprint: Option<String>,
    /// The first moment at which the entry holds: RFC 3339 in UTC, whole seconds.
    pub from: Option<String>,
    /// The first moment at which it does not hold any more.
    pub until: Option<String>,
}

/// Who may not send. One name that satisfies all of it is enough.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct DenyEntry {
    /// As in [`AllowEntry`]; may be left out beside `issuer` or `fingerprint`, and the entry then cuts off every
    /// connection with such a certificate, whoever is found by whatever.
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
