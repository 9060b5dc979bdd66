//! Names that a backend reads as the same name.

use sluice_otlp::{AnyValue, Attribute};
use sluice_stores::Spelling;
use sluice_wire::{Unreadable, work};

/// How an attribute's key compares with a rule's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Match<'n> {
    /// The key is the name.
    Exact,
    /// The key is different, but the backend reads it as the name.
    Alias,
    /// The key is different, but the rest of the name may be a key in its map.
    Map(Rest<'n>),
    /// The key is different.
    None,
}

/// The part of a folded name that a map's key has not matched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rest<'n>(&'n [u8]);

/// An attribute's name, and the other names that a backend reads as the same.
#[derive(Clone, Debug)]
pub(crate) struct Name {
    exact: String,
    folded: Vec<u8>,
    spelling: Spelling,
}

impl Name {
    pub(crate) fn new(exact: &str, spelling: Spelling) -> Self {
        let mut folded = Vec::new();
        let mut fold = Fold::default();
        for character in exact.chars() {
            folded.extend(fold.next(ascii(character)));
        }
        Self { exact: exact.to_owned(), folded, spelling }
    }

    /// The label for an attribute in Prometheus (`otlptranslator`, `LabelNamer`), and the names that are read as the
    /// same: `source_name` for `source.name`, `key_1st` for `1st`.
    pub(crate) fn label(attribute: &str) -> Self {
        let folded = Self::new(attribute, Spelling::Folded).folded;
        let digit = folded.first().is_some_and(u8::is_ascii_digit);
        let prefix = if digit { "key_" } else { "" };
        let label = format!("{prefix}{}", String::from_utf8_lossy(&folded));
        Self::new(&label, Spelling::Folded)
    }

    /// The name as in the configuration.
    pub(crate) fn as_str(&self) -> &str {
        &self.exact
    }

    /// Whether the backend gives the entries of a map names of their own.
    pub(crate) const fn is_flattened(&self) -> bool {
        matches!(self.spelling, Spelling::Flattened)
    }

    /// The byte with which a key begins that the backend could read as the name, unless it begins with something that
    /// is no ASCII letter or digit.
    pub(crate) fn first_byte(&self) -> Option<u8> {
        self.folded.first().copied()
    }

    /// Compares a key with the name.
    #[inline]
    pub(crate) fn compare(&self, key: &[u8]) -> Match<'_> {
        // For most keys, already the first letter differs from the name's.
        match (key.first(), self.folded.first()) {
            (Some(first), Some(expected)) if first.is_ascii_alphanumeric() && first != expected => {
                Match::None
            }
            _ => self.compare_whole(key),
        }
    }

    fn compare_whole(&self, key: &[u8]) -> Match<'_> {
        if key == self.exact.as_bytes() {
            Match::Exact
        } else if self.spelling == Spelling::Exact {
            Match::None
        } else {
            covered(key, &self.folded, Fold::default(), self.spelling)
        }
    }

    /// Whether the backend could read the key, or an entry of its map, as the name.
    #[inline]
    pub(crate) fn may_be(&self, key: &[u8]) -> bool {
        self.compare(key) != Match::None
    }

    /// Whether the backend reads the key itself as the name.
    pub(crate) fn is_label(&self, key: &[u8]) -> bool {
        matches!(self.compare(key), Match::Exact | Match::Alias)
    }

    /// Whether the backend reads an attribute, or an entry of its map, as the name.
    ///
    /// # Errors
    /// [`Unreadable`] if its value is.
    pub(crate) fn is_in(&self, attribute: &Attribute<'_>) -> Result<bool, Unreadable> {
        match self.compare(attribute.key()) {
            Match::Exact | Match::Alias => Ok(true),
            Match::Map(rest) => rest.is_in(attribute),
            Match::None => Ok(false),
        }
    }
}

impl<'n> Rest<'n> {
    /// Compares a key of the map with the rest of the name; never [`Match::Exact`].
    pub(crate) fn compare(self, key: &[u8]) -> Match<'n> {
        covered(key, self.0, Fold { after_underscore: true }, Spelling::Flattened)
    }

    /// Whether an attribute's map contains the rest of the name. The depth of maps is limited where
    /// they are read.
    pub(crate) fn is_in(self, attribute: &Attribute<'_>) -> Result<bool, Unreadable> {
        let AnyValue::KeyValues { mut entries, .. } = attribute.value()? else { return Ok(false) };
        while let Some(entry) = entries.next_where(|key| self.compare(key) != Match::None)? {
            let is_in = match self.compare(entry.key()) {
                Match::Exact | Match::Alias => true,
                Match::Map(rest) => rest.is_in(&entry)?,
                Match::None => false,
            };
            if is_in {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// How much of the folded name a key matches.
fn covered<'n>(key: &[u8], mut rest: &'n [u8], mut fold: Fold, spelling: Spelling) -> Match<'n> {
    work::done(key.len());
    for chunk in key.utf8_chunks() {
        // Go reads each byte that is not UTF-8 as one character.
        let invalid = chunk.invalid().iter().map(|_| b'_');
        for byte in chunk.valid().chars().map(ascii).chain(invalid) {
            let Some(byte) = fold.next(byte) else { continue };
            match rest.split_first() {
                Some((expected, behind)) if *expected == byte => rest = behind,
                _ => return Match::None,
            }
        }
    }
    match (rest, spelling) {
        ([], _) => Match::Alias,
        ([b'_', behind @ ..], Spelling::Flattened) => Match::Map(Rest(behind)),
        (_, Spelling::Flattened) if fold.after_underscore => Match::Map(Rest(rest)),
        _ => Match::None,
    }
}

/// The byte of a label for a character.
const fn ascii(character: char) -> u8 {
    if character.is_ascii_alphanumeric() { character as u8 } else { b'_' }
}

/// Replaces repeated underscores by one.
#[derive(Clone, Copy, Default)]
struct Fold {
    after_underscore: bool,
}

impl Fold {
    fn next(&mut self, byte: u8) -> Option<u8> {
        let repeated = self.after_underscore && byte == b'_';
        self.after_underscore = byte == b'_';
        (!repeated).then_some(byte)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folded() -> Name {
        Name::new("source.name", Spelling::Folded)
    }

    #[test]
    fn spellings_that_become_one_label_are_aliases() {
        for key in [
            &b"source_name"[..],
            b"source-name",
            b"source/name",
            b"source name",
            "source\u{b7}name".as_bytes(),
            b"source\xffname",
            b"source..name",
            b"source._-name",
        ] {
            assert_eq!(folded().compare(key), Match::Alias, "{key:x?}");
            assert_eq!(Name::new("source.name", Spelling::Exact).compare(key), Match::None);
        }
    }

    #[test]
    fn other_names_are_not() {
        for key in
            ["source.names", "source", "", "sourcename", "Source.name", ".source.name", "source."]
        {
            assert_eq!(folded().compare(key.as_bytes()), Match::None, "{key}");
        }
        assert_eq!(folded().compare(b"source.name"), Match::Exact);
    }

    #[test]
    fn an_attribute_has_one_label() {
        for (attribute, label) in [
            ("source.name", "source_name"),
            ("source_name", "source_name"),
            ("k8s.pod/name\u{e9}", "k8s_pod_name_"),
            ("a..b", "a_b"),
            ("1st.x", "key_1st_x"),
        ] {
            let name = Name::label(attribute);
            assert_eq!(name.as_str(), label, "{attribute}");
            assert_eq!(name.compare(label.as_bytes()), Match::Exact);
        }
        // Other names that a sender may write for it.
        assert_eq!(Name::label("source.name").compare(b"source.name"), Match::Alias);
        assert_eq!(Name::label("source.name").compare(b"source_names"), Match::None);
    }

    #[test]
    fn a_map_may_hold_the_rest_of_the_name() {
        let name = Name::new("source.name.long", Spelling::Flattened);
        let Match::Map(rest) = name.compare(b"source") else { panic!("it may be a map") };
        assert_eq!(rest.compare(b"name.long"), Match::Alias);
        assert_eq!(rest.compare(b"_name_long"), Match::Alias);
        assert_eq!(rest.compare(b"names"), Match::None);
        let Match::Map(rest) = rest.compare(b"name") else { panic!("it may be a map") };
        assert_eq!(rest.compare(b"long"), Match::Alias);
        assert!(matches!(name.compare(b"source-"), Match::Map(_)));
        assert_eq!(name.compare(b"sour"), Match::None);
        assert_eq!(name.compare(b"source.name.long.er"), Match::None);
    }
}
