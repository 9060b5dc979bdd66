//! Names that a backend reads as one.

/// How a backend tells one attribute name from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spelling {
    /// Byte by byte.
    Exact,
    /// As a label: every character but ASCII letters, digits and `_` becomes `_`, so `source.name`,
    /// `source_name` and `source-name` are one (Prometheus' label syntax, kept by Loki and Mimir).
    Folded,
}

/// How a key stands to the name that a rule asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Match {
    /// It is that name.
    Exact,
    /// It is another, which the backend reads as that name.
    Alias,
    /// It is another.
    None,
}

impl Spelling {
    /// Compares a key with a rule's name.
    #[inline]
    pub(crate) fn compare(self, key: &[u8], name: &[u8]) -> Match {
        if key == name {
            return Match::Exact;
        }
        match self {
            Self::Folded if folded(key).eq(folded(name)) => Match::Alias,
            _ => Match::None,
        }
    }
}

/// The key as a label, one byte a character. A character of several bytes counts once.
fn folded(key: &[u8]) -> impl Iterator<Item = u8> {
    const UTF8_CONTINUATION: u8 = 0b1000_0000;
    key.iter()
        .filter(|byte| **byte & 0b1100_0000 != UTF8_CONTINUATION)
        .map(|byte| if byte.is_ascii_alphanumeric() { *byte } else { b'_' })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_that_become_one_label_are_aliases() {
        for key in ["source_name", "source-name", "source/name", "source name", "source\u{b7}name"]
        {
            assert_eq!(
                Spelling::Folded.compare(key.as_bytes(), b"source.name"),
                Match::Alias,
                "{key}"
            );
            assert_eq!(Spelling::Exact.compare(key.as_bytes(), b"source.name"), Match::None);
        }
    }

    #[test]
    fn other_names_are_not() {
        for key in ["source.names", "source", "", "sourcename", "Source.name", "source..name"] {
            assert_eq!(
                Spelling::Folded.compare(key.as_bytes(), b"source.name"),
                Match::None,
                "{key}"
            );
        }
        assert_eq!(Spelling::Folded.compare(b"source.name", b"source.name"), Match::Exact);
    }
}
