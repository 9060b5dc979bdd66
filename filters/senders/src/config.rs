//! The `senders` section of a configuration, as it is written.

use serde::Deserialize;

/// The `senders` section. [`compile`](Self::compile) checks it and makes it usable.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct SendersConfig {
    /// How a sender is recognised; at least one way. The first that finds someone decides.
    pub identify: Vec<Identify>,
    /// Who may send; at least one entry.
    pub allow: Vec<AllowEntry>,
    /// Who may not, whatever `allow` says. Nobody, if left out.
    #[serde(default)]
    pub deny: Vec<DenyEntry>,
    /// The header in which a sender that may send for several namespaces says for which one it does.
    pub choose_by: Option<String>,
}

/// One way to recognise a sender: exactly one key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Identify {
    /// By the SANs of its client certificate.
    pub client_certificate: Option<ClientCertificate>,
    /// By the claims of a token that Envoy has verified.
    pub jwt: Option<Jwt>,
    /// By a key that an API gateway passes on.
    pub api_key: Option<ApiKeys>,
    /// By the word of another gate.
    pub forwarded: Option<Forwarded>,
    /// By all of these, which must agree on a namespace.
    pub all_of: Option<Vec<Self>>,
    /// By the first of these that finds someone.
    pub any_of: Option<Vec<Self>>,
}

/// How SANs name a sender.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ClientCertificate {
    /// The patterns; at least one. Every SAN is held against each.
    pub names: Vec<SanPattern>,
    /// How long before its end a certificate is warned about (`4h`, `30m`, `2d`); when a sixth of its time is left, if
    /// left out.
    pub warn_before_end: Option<String>,
}

/// How the claims of a token name a sender.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Jwt {
    /// The patterns; at least one. Every value of its claim is held against each.
    pub names: Vec<ClaimPattern>,
    /// Where Envoy keeps the token's payload: the attribute, part by part. That of its JWT filter with
    /// `payload_in_metadata: payload`, as Istio sets it, if left out.
    pub payload: Option<Vec<String>>,
}

/// A pattern for one claim.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ClaimPattern {
    /// The claim: a text, or a list of them.
    pub claim: String,
    /// The claims that it lies in, from the outside.
    #[serde(default)]
    pub within: Vec<String>,
    /// As of a SAN: `/{namespace}/root/writers`.
    pub pattern: String,
}

/// Keys that an API gateway has passed on.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ApiKeys {
    /// The header that they come in.
    pub header: String,
    /// The certificates of the API gateways; at least one. Keys that come over any other connection are not read.
    pub from: Vec<Proxy>,
    /// The keys; at least one.
    pub keys: Vec<ApiKey>,
}

/// One key.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ApiKey {
    /// The SHA-256 of the key, in hex. The key itself is nowhere.
    pub sha256: String,
    /// Whose it is.
    pub namespace: String,
    /// Whose it is within the namespace.
    pub service_account: Option<String>,
    /// The first moment at which it does not hold any more.
    pub until: Option<String>,
}

/// The certificate of a proxy that stands before this one: exactly one key, which it must have as it is written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Proxy {
    /// A DNS SAN.
    pub dns: Option<String>,
    /// A URI SAN.
    pub uri: Option<String>,
    /// Its SHA-256, in hex.
    pub fingerprint: Option<String>,
}

/// Gates that forward for many.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Forwarded {
    /// The header in which they name the sender's namespace; `X-Scope-OrgID`, which a gate sets, if left out.
    pub header: Option<String>,
    /// The gates; at least one.
    pub from: Vec<Gate>,
}

/// One gate: its certificate, by exactly one of three keys, and for whom it may speak.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Gate {
    /// A DNS SAN.
    pub dns: Option<String>,
    /// A URI SAN.
    pub uri: Option<String>,
    /// Its SHA-256, in hex.
    pub fingerprint: Option<String>,
    /// The namespaces, or beginnings that several share, that it may name; at least one.
    pub namespaces: Vec<String>,
}

/// A pattern for one kind of SAN: exactly one key.
///
/// A struct of options, and not an enum, because YAML readers write enums in ways of their own.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct SanPattern {
    /// For DNS SANs: `*.{namespace}`.
    pub dns: Option<String>,
    /// For URI SANs: `spiffe://{trustDomain}/ns/{namespace}/sa/{serviceAccount}`.
    pub uri: Option<String>,
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
