//! Valid tenant ids.

use serde::Deserialize;
use thiserror::Error;

/// How the platform's stores name tenants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum TenantIds {
    /// As in Loki, Mimir, Tempo and Pyroscope: the rules of grafana/dskit's `tenant` package, without its separators.
    #[default]
    OrgId,
    /// As in VictoriaMetrics and VictoriaLogs: the number of an account, or of an account and a
    /// project (`12`, `12:3`), each of 32 bits.
    Account,
    /// For other stores: a text without characters that have a meaning in headers or URL paths.
    Text,
}

/// A tenant id that the platform's stores accept, and that they all read as the same single tenant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TenantId(String);

/// Why a text is not a [`TenantId`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TenantIdError {
    /// The text is not an account number in its canonical form.
    #[error(
        "{0:?} is not an account id: use accountID or accountID:projectID, each a number up to \
         4294967295 without leading zeros"
    )]
    Account(String),
    /// The id contains a character that a backend refuses, or gives a meaning: `|` joins tenants,
    /// and `:` starts metadata.
    #[error("{0:?} is not allowed in a tenant id: use A-Z a-z 0-9 ! - _ . * ' ( )")]
    Character(char),
    /// The id is empty.
    #[error("a tenant id must not be empty")]
    Empty,
    /// The id is reserved by backends.
    #[error("{0:?} is reserved and not allowed as a tenant id")]
    Reserved(String),
    /// The id contains an invisible character, or one that has a meaning in lists, quoted strings
    /// or URL paths.
    #[error("{0:?} is not allowed in a tenant id: use visible ASCII except / ? # % , ; \"")]
    TextCharacter(char),
    /// The id is too long; holds its length in bytes.
    #[error("a tenant id has at most {max} bytes, but this one has {0}", max = TenantId::MAX_BYTES)]
    TooLong(usize),
}

impl TenantId {
    /// The longest id that a backend accepts (grafana/dskit, `tenant/tenant.go`).
    pub const MAX_BYTES: usize = 150;

    /// Checks an id against the rules of the platform's stores.
    ///
    /// # Errors
    /// [`TenantIdError`] with the first rule that it breaks.
    pub fn new(id: impl Into<String>, ids: TenantIds) -> Result<Self, TenantIdError> {
        let id = id.into();
        if id.is_empty() {
            return Err(TenantIdError::Empty);
        }
        if id.len() > Self::MAX_BYTES {
            return Err(TenantIdError::TooLong(id.len()));
        }
        match ids {
            TenantIds::OrgId => {
                if let Some(character) = id.chars().find(|c| !is_in_org_id(*c)) {
                    return Err(TenantIdError::Character(character));
                }
            }
            TenantIds::Account => return account(id),
            TenantIds::Text => {
                if let Some(character) = id.chars().find(|c| !is_in_text(*c)) {
                    return Err(TenantIdError::TextCharacter(character));
                }
            }
        }
        // `.` and `..` have a meaning in paths.
        if matches!(id.as_str(), "." | ".." | "__mimir_cluster") {
            return Err(TenantIdError::Reserved(id));
        }
        Ok(Self(id))
    }

    /// The id as the header carries it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The account and its project, for an id of [`TenantIds::Account`]. Without a project, the
    /// project is `0`.
    #[must_use]
    pub fn account(&self) -> (&str, &str) {
        self.0.split_once(':').unwrap_or((&self.0, "0"))
    }
}

/// Converts an account to its canonical form, so that no tenant has two ids: project 0 is left out,
/// because `12` and `12:0` are the same tenant (VictoriaMetrics' documentation, "Multitenancy").
fn account(id: String) -> Result<TenantId, TenantIdError> {
    let is_number = |text: &str| {
        text.bytes().all(|byte| byte.is_ascii_digit())
            && (text == "0" || !text.starts_with('0'))
            && text.parse::<u32>().is_ok()
    };
    let one_name = match id.split_once(':') {
        None if is_number(&id) => Some(id.as_str()),
        Some((account, "0")) if is_number(account) => Some(account),
        Some((account, project)) if is_number(account) && is_number(project) => Some(id.as_str()),
        _ => None,
    };
    match one_name.map(str::to_owned) {
        Some(id) => Ok(TenantId(id)),
        None => Err(TenantIdError::Account(id)),
    }
}

const fn is_in_org_id(character: char) -> bool {
    character.is_ascii_alphanumeric()
        || matches!(character, '!' | '-' | '_' | '.' | '*' | '\'' | '(' | ')')
}

const fn is_in_text(character: char) -> bool {
    character.is_ascii_graphic() && !matches!(character, '/' | '?' | '#' | '%' | ',' | ';' | '"')
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
            assert_eq!(TenantId::new(id, TenantIds::OrgId), Err(expected));
        }
    }

    #[test]
    fn ids_that_every_backend_takes_are_taken() {
        for id in ["payments", "a!-_.*'()Z9", "...", "fake", &"a".repeat(150)] {
            assert_eq!(TenantId::new(id, TenantIds::OrgId).unwrap().as_str(), id);
        }
    }

    #[test]
    fn an_account_has_one_spelling() {
        for (id, account) in [
            ("0", ("0", "0")),
            ("12", ("12", "0")),
            ("12:0", ("12", "0")),
            ("12:3", ("12", "3")),
            ("0:4294967295", ("0", "4294967295")),
        ] {
            assert_eq!(TenantId::new(id, TenantIds::Account).unwrap().account(), account);
        }
        assert_eq!(
            TenantId::new("12:0", TenantIds::Account),
            TenantId::new("12", TenantIds::Account)
        );
        for id in [
            "payments",
            "multitenant",
            "012",
            "12:03",
            "+12",
            "-1",
            "12:",
            ":3",
            "1:2:3",
            "4294967296",
            "12:4294967296",
            "0x1",
            "1 ",
            "\u{661}",
            "00",
        ] {
            let refused = TenantId::new(id, TenantIds::Account);
            assert_eq!(refused, Err(TenantIdError::Account(id.to_owned())));
        }
        assert_eq!(TenantId::new("", TenantIds::Account), Err(TenantIdError::Empty));
    }

    #[test]
    fn a_text_is_neither_a_list_nor_a_path() {
        for id in ["a|b", "a:b", "org@team", "{x}", "a&b=c", "~", "..."] {
            assert_eq!(TenantId::new(id, TenantIds::Text).unwrap().as_str(), id);
        }
        for character in ['/', '?', '#', '%', ',', ';', '"', ' ', '\t', '\n', '\u{7f}', '\u{e9}'] {
            let refused = TenantId::new(format!("a{character}b"), TenantIds::Text);
            assert_eq!(refused, Err(TenantIdError::TextCharacter(character)));
        }
        for id in [".", "..", "__mimir_cluster"] {
            let refused = TenantId::new(id, TenantIds::Text);
            assert_eq!(refused, Err(TenantIdError::Reserved(id.to_owned())));
        }
        assert_eq!(
            TenantId::new("a".repeat(151), TenantIds::Text),
            Err(TenantIdError::TooLong(151))
        );
    }
}
