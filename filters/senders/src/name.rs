//! The names that identify a sender: which characters they may have, and how the configuration may write them.

use sluice_config::{Glob, GlobError};

/// A kind of name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NameKind {
    /// A DNS label (RFC 1123, section 2.1) in lower case: a Kubernetes namespace.
    Label,
    /// A DNS subdomain as Kubernetes checks it: labels joined by dots, at most 253 bytes. A service account's name.
    Subdomain,
    /// A SPIFFE trust domain (SPIFFE-ID, section 2.1).
    TrustDomain,
}

impl NameKind {
    /// Whether such a name may contain `byte`.
    pub(crate) fn may_contain(self, byte: u8) -> bool {
        match byte {
            b'a'..=b'z' | b'0'..=b'9' | b'-' => true,
            b'.' => self != Self::Label,
            b'_' => self == Self::TrustDomain,
            _ => false,
        }
    }

    /// Whether `text` is a complete name of this kind.
    pub(crate) fn is_name(self, text: &[u8]) -> bool {
        let may_start_and_end = |part: &[u8]| {
            part.first().is_some_and(u8::is_ascii_alphanumeric)
                && part.last().is_some_and(u8::is_ascii_alphanumeric)
        };
        let (max, is_shaped) = match self {
            Self::Label => (63, may_start_and_end(text)),
            Self::Subdomain => (253, text.split(|&byte| byte == b'.').all(may_start_and_end)),
            Self::TrustDomain => (255, !text.is_empty()),
        };
        is_shaped && text.len() <= max && text.iter().all(|&byte| self.may_contain(byte))
    }

    /// Whether a name of this kind can start with `text`.
    fn can_begin_with(self, text: &[u8]) -> bool {
        // If no name can end after one more letter, no longer name is possible either.
        self.is_name(&[text, b"a"].concat())
    }

    fn rule(self) -> &'static str {
        match self {
            Self::Label => "a DNS label: 1 to 63 of a-z, 0-9 and '-', with no '-' at either end",
            Self::Subdomain => {
                "a DNS subdomain: at most 253 of a-z, 0-9, '-' and '.', each label with a letter or digit at either end"
            }
            Self::TrustDomain => {
                "a SPIFFE trust domain: 1 to 255 of a-z, 0-9, '.', '-' and '_', without spiffe://"
            }
        }
    }

    /// Reads an exact name in a configuration.
    pub(crate) fn parse(self, text: &str) -> Result<Box<str>, NotAName> {
        if text.contains('*') {
            return Err(NotAName::NoGlobHere(text.to_owned()));
        }
        if !self.is_name(text.as_bytes()) {
            return Err(NotAName::Malformed(text.to_owned(), self.rule()));
        }
        Ok(text.into())
    }

    /// Reads a name or a prefix: `payments`, `team-*`.
    pub(crate) fn glob(self, text: &str) -> Result<Glob, NotAName> {
        let glob = Glob::parse(text).map_err(|error| match error {
            GlobError::InnerStar => NotAName::InnerStar(text.to_owned()),
            GlobError::MatchesAll => NotAName::MatchesAll,
        })?;
        let is_one = match &glob {
            Glob::Exact(name) => self.is_name(name.as_bytes()),
            Glob::Prefix(prefix) => self.can_begin_with(prefix.as_bytes()),
        };
        if is_one { Ok(glob) } else { Err(NotAName::Malformed(text.to_owned(), self.rule())) }
    }
}

/// Why a text in a configuration is not a valid name.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotAName {
    #[error("{0:?} has a '*' that is not at its end: only prefixes such as team-* are supported")]
    InnerStar(String),
    #[error("{0:?} is not {1}")]
    Malformed(String, &'static str),
    #[error(
        "\"*\" would match everyone: list the names, or a prefix that they share, such as team-*"
    )]
    MatchesAll,
    #[error("{0:?} has a '*', which is not supported here: write the exact name")]
    NoGlobHere(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_what_rfc_1123_says() {
        let is_label = |text: &str| NameKind::Label.is_name(text.as_bytes());
        for text in ["", "-a", "a-", "A", "a.b", "a_b", "a b", "*", &"a".repeat(64)] {
            assert!(!is_label(text), "{text}");
        }
        for text in ["a", "0", "a-b", "a--b", "team-1", &"a".repeat(63)] {
            assert!(is_label(text), "{text}");
        }
    }

    #[test]
    fn a_subdomain_is_labels_and_dots() {
        let is_subdomain = |text: &str| NameKind::Subdomain.is_name(text.as_bytes());
        for text in ["", ".", "a.", ".a", "a..b", "a.-b", "a-.b", "a_b", &"a".repeat(254)] {
            assert!(!is_subdomain(text), "{text}");
        }
        for text in ["a", "a.b", "otel-1.collector", &"a".repeat(253)] {
            assert!(is_subdomain(text), "{text}");
        }
    }

    #[test]
    fn a_trust_domain_is_what_spiffe_says() {
        let is_trust_domain = |text: &str| NameKind::TrustDomain.is_name(text.as_bytes());
        for text in ["", "A", "a/b", "spiffe://a", "a:1", "a b", &"a".repeat(256)] {
            assert!(!is_trust_domain(text), "{text}");
        }
        for text in ["a", "prod.example", "cluster.local", "a_b", &"a".repeat(255)] {
            assert!(is_trust_domain(text), "{text}");
        }
    }

    #[test]
    fn a_glob_that_cannot_be_meant_is_refused() {
        for (text, error) in [
            ("*", NotAName::MatchesAll),
            ("**", NotAName::InnerStar("**".to_owned())),
            ("*a", NotAName::InnerStar("*a".to_owned())),
            ("a*b", NotAName::InnerStar("a*b".to_owned())),
            ("a*b*", NotAName::InnerStar("a*b*".to_owned())),
            ("", NotAName::Malformed(String::new(), NameKind::Label.rule())),
            ("Team-*", NotAName::Malformed("Team-*".to_owned(), NameKind::Label.rule())),
            ("-*", NotAName::Malformed("-*".to_owned(), NameKind::Label.rule())),
            ("a.*", NotAName::Malformed("a.*".to_owned(), NameKind::Label.rule())),
        ] {
            assert_eq!(NameKind::Label.glob(text), Err(error), "{text}");
        }
        let too_long = "a".repeat(63) + "*";
        assert!(NameKind::Label.glob(&too_long).is_err());
        assert!(NameKind::Subdomain.glob("otel.*").is_ok());
    }
}
