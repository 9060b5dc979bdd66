//! What a tenant may be called.

use thiserror::Error;

/// A tenant id that Loki, Mimir and Tempo all take, and take for one tenant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TenantId(String);

/// Why a text is not a [`TenantId`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TenantIdError {
    /// A character that a backend refuses, or reads as the start of something else: `|` joins
    /// tenants and `:` begins metadata.
    #[error("{0:?} is not allowed in a tenant id: use A-Z a-z 0-9 ! - _ . * ' ( )")]
    Character(char),
    /// Nothing.
    #[error("a tenant id has at least one character")]
    Empty,
    /// A name that backends keep for themselves.
    #[error("{0:?} is reserved and cannot be a tenant id")]
    Reserved(String),
    /// Too many bytes.
    #[error("a tenant id has at most {max} bytes; this one has {0}", max = TenantId::MAX_BYTES)]
    TooLong(usize),
}

impl TenantId {
    /// The longest id that a backend takes (grafana/dskit, `tenant/tenant.go`).
    pub const MAX_BYTES: usize = 150;

    /// Checks an id against the rules of grafana/dskit's `tenant` package, without its separators.
    ///
    /// # Errors
    /// [`TenantIdError`] with the first rule that it breaks.
    pub fn new(id: impl Into<String>) -> Result<Self, TenantIdError> {
        let id = id.into();
        if id.is_empty() {
            return Err(TenantIdError::Empty);
        }
        if id.len() > Self::MAX_BYTES {
            return Err(TenantIdError::TooLong(id.len()));
        }
        if let Some(character) = id.chars().find(|c| !is_allowed(*c)) {
            return Err(TenantIdError::Character(character));
        }
        if matches!(id.as_str(), "." | ".." | "__mimir_cluster") {
            return Err(TenantIdError::Reserved(id));
        }
        Ok(Self(id))
    }

    /// The id as it goes into the header.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

const fn is_allowed(character: char) -> bool {
    character.is_ascii_alphanumeric()
        || matches!(character, '!' | '-' | '_' | '.' | '*' | '\'' | '(' | ')')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_that_a_backend_refuses_or_reads_otherwise_are_refused() {
        for (id, expected) in [
            (String::new(), TenantIdError::Empty),
            ("a".repeat(151), TenantIdError::TooLong(151)),
            ("a|b".into(), TenantIdError::Character('|')),
            ("a:product=k6".into(), TenantIdError::Character(':')),
            ("a b".into(), TenantIdError::Character(' ')),
            ("a/b".into(), TenantIdError::Character('/')),
            ("a\r\nx".into(), TenantIdError::Character('\r')),
            ("\u{e9}".into(), TenantIdError::Character('\u{e9}')),
            (".".into(), TenantIdError::Reserved(".".into())),
            ("..".into(), TenantIdError::Reserved("..".into())),
            ("__mimir_cluster".into(), TenantIdError::Reserved("__mimir_cluster".into())),
        ] {
            assert_eq!(TenantId::new(id), Err(expected));
        }
    }

    #[test]
    fn ids_that_every_backend_takes_are_taken() {
        for id in ["payments", "a!-_.*'()Z9", "...", "fake", &"a".repeat(150)] {
            assert_eq!(TenantId::new(id).unwrap().as_str(), id);
        }
    }
}
