//! The certificate of a proxy that stands before this one: an API gateway, or another gate.

use std::sync::Arc;

use serde::Deserialize;
use sluice_config::Place;

use crate::{certificate::Certificate, san::San, values::parse_fingerprint};

/// The certificate of a proxy that stands before this one: exactly one key, which it must have as it is written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct ProxyConfig {
    /// A DNS SAN.
    pub(super) dns: Option<String>,
    /// A URI SAN.
    pub(super) uri: Option<String>,
    /// Its SHA-256, in hex.
    pub(super) fingerprint: Option<String>,
}

/// What such a certificate has, exactly.
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
                    "it must have exactly one of dns, uri and fingerprint, and not an empty one";
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
