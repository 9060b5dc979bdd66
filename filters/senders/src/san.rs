//! The subject alternative names that can identify a sender.

use std::fmt;

/// A subject alternative name, as the certificate states it (RFC 5280, section 4.2.1.6).
///
/// Both kinds are ASCII (`IA5String`). Other kinds (e-mail, IP address, ...) do not identify a sender and have no
/// variant.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum San {
    /// A `dNSName`. It may be a wildcard: Vault's PKI issues `*.payments` for the namespace
    /// payments.
    Dns(String),
    /// A `uniformResourceIdentifier`, such as a SPIFFE ID.
    Uri(String),
}

/// `DNS:name` or `URI:name`, as OpenSSL writes them. Control characters are escaped.
impl fmt::Display for San {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, text) = match self {
            Self::Dns(text) => ("DNS", text),
            Self::Uri(text) => ("URI", text),
        };
        write!(f, "{kind}:{}", text.as_bytes().escape_ascii())
    }
}
