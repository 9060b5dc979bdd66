//! The certificate of a proxy that stands before this one.

use std::sync::Arc;

use crate::{certificate::Certificate, san::San};

/// What such a certificate has, exactly.
#[derive(Clone, Debug)]
pub(crate) enum Proxy {
    Dns(String),
    Fingerprint(Arc<str>),
    Uri(String),
}

impl Proxy {
    pub(crate) fn is(&self, certificate: &Certificate) -> bool {
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
