//! The certificate of a proxy in front of this one: an API gateway, or another Sluice gateway.

use std::sync::Arc;

use serde::Deserialize;
use sluice_config::Place;

use crate::{certificate::Certificate, san::San, values::parse_fingerprint};

/// The certificate of a proxy in front of this one: exactly one key, whose value the certificate must have exactly.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct ProxyConfig {
    /// A DNS SAN.
    pub(super) dns: Option<String>,
    /// A URI SAN.
    pub(super) uri: Option<String>,
    /// The certificate's SHA-256, in hex.
    pub(super) fingerprint: Option<String>,
}

/// What the certificate must have, exactly.
#[derive(Clone, Debug)]
pub(crate) enum Proxy {
    Dns(String),
    Fingerprint(Arc<str>),
    Uri(String),
}

impl ProxyConfig {
    pub(super) fn compile(&self, place: &Place<'_>) -> Option<Proxy> {
        let Self { dns, uri, fingerprint } = self;
        match (dns, uri, fingerprint) {
            (Some(dns), None, None) if !dns.is_empty() => Some(Proxy::Dns(dns.clone())),
            (None, Some(uri), None) if !uri.is_empty() => Some(Proxy::Uri(uri.clone())),
            (None, None, Some(text)) => {
                place.at("fingerprint").take(parse_fingerprint(text)).map(Proxy::Fingerprint)
            }
            _ => {
                let message =
                    "set exactly one of dns, uri and fingerprint, to a value that is not empty";
                place.add(message);
                None
            }
        }
    }
}

impl Proxy {
    pub(super) fn is(&self, certificate: &Certificate) -> bool {
        match self {
            Self::Dns(name) => certificate
                .sans()
                .iter()
                .any(|san| matches!(san, San::Dns(san) if san.eq_ignore_ascii_case(name))),
            Self::Fingerprint(key) => certificate.fingerprint_key() == *key,
            Self::Uri(uri) => {
                certificate.sans().iter().any(|san| matches!(san, San::Uri(san) if san == uri))
            }
        }
    }
}
