//! The `senders` section of a configuration, as it is written.

use serde::Deserialize;

/// The `senders` section. [`Senders::compile`](crate::Senders::compile) checks it and makes it usable.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct SendersConfig {
    /// How a sender is recognised; at least one way.
    pub identify: Vec<Identify>,
    /// Who may send; at least one entry.
    pub allow: Vec<AllowEntry>,
    /// Who may not, whatever `allow` says. Nobody, if left out.
    #[serde(default)]
    pub deny: Vec<DenyEntry>,
}

/// One way to recognise a sender: exactly one key.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Identify {
    /// By the SANs of its client certificate.
    pub client_certificate: Option<ClientCertificate>,
}

/// How SANs name a sender.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ClientCertificate {
    /// The patterns; at least one. Every SAN is held against each.
    pub names: Vec<SanPattern>,
}

/// A pattern for one kind of SAN: exactly one key.
///
/// A struct of options, and not an enum, because YAML readers write enums in ways of their own.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct SanPattern {
    /// For DNS SANs: `*.{namespace}`.
    pub dns: Option<String>,
    /// For URI SANs: `spiffe://{trustDomain}/ns/{namespace}/sa/{serviceAccount}`.
    pub uri: Option<String>,
}

/// Who may send. One SAN must satisfy all of it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct AllowEntry {
    /// A namespace, or the beginning that several share: `payments`, `team-*`.
    pub namespace: String,
    /// A SPIFFE trust domain, exactly.
    pub trust_domain: Option<String>,
    /// A service account, or the beginning that several share.
    pub service_account: Option<String>,
    /// The first moment at which the entry does not hold any more: RFC 3339 in UTC, whole seconds.
    pub until: Option<String>,
}

/// Who may not send. One SAN that satisfies all of it is enough.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct DenyEntry {
    /// As in [`AllowEntry`].
    pub namespace: String,
    /// As in [`AllowEntry`].
    pub trust_domain: Option<String>,
    /// As in [`AllowEntry`].
    pub service_account: Option<String>,
}
