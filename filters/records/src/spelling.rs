//! Names that a backend reads as one.

use sluice_otlp::{AnyValue, Attribute};
use sluice_stores::Spelling;
use sluice_wire::{Unreadable, work};

/// How a key stands to the name that a rule asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Match<'n> {
    /// It is that name.
    Exact,
    /// It is another, which the backend reads as that name.
    Alias,
    /// It is another, and what is left of the name may be a key in its map.
    Map(Rest<'n>),
    /// It is another.
    None,
}

/// The part of a folded name that a map's key has not covered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rest<'n>(&'n [u8]);

/// An attribute's name, and what a backend reads as the same.
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

    /// The label that an attribute becomes in Prometheus (`otlptranslator`, `LabelNamer`), and what is
    /// read as the same: `source_name` for `source.name`, `key_1st` for `1st`.
    pub(crate) fn label(attribute: &str) -> Self {
        let folded = Self::new(attribute, Spelling::Folded).folded;
        let digit = folded.first().is_some_and(u8::is_ascii_digit);
        let prefix = if digit { "key_" } else { "" };
        let label = format!("{prefix}{}", String::from_utf8_lossy(&folded));
        Self::new(&label, Spelling::Folded)
    }

    /// The name as the configuration has it.
    pub(crate) fn as_str(&self) -> &str {
        &self.exact
    }

    /// Whether the backend writes the entries of a map under names of their own.
    pub(crate) const fn is_flattened(&self) -> bool {
        matches!(self.spelling, Spelling::Flattened)
    }

    /// Compares a key with the name.
    #[inline]
    pub(crate) fn compare(&self, key: &[u8]) -> Match<'_> {
        // Most keys part from the name with their first letter.
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

    /// Whether the backend could read the key, or what is in its map, as the name.
    #[inline]
    pub(crate) fn may_be(&self, key: &[u8]) -> bool {
        self.compare(key) != Match::None
    }

    /// Whether the backend reads the key itself as the name.
    pub(crate) fn is_label(&self, key: &[u8]) -> bool {
        matches!(self.compare(key), Match::Exact | Match::Alias)
    }

    /// Whether the backend reads an attribute as the name, or anything in its map.
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
    /// Compares a key of the map with what is left of the name; never [`Match::Exact`].
    pub(crate) fn compare(self, key: &[u8]) -> Match<'n> {
        covered(key, self.0, Fold { after_underscore: true }, Spelling::Flattened)
    }

    /// Whether the rest of the name is in an attribute's map. The depth of maps is bounded where
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

/// How much of the folded name a key covers.
fn covered<'n>(key: &[u8], mut rest: &'n [u8], mut fold: Fold, spelling: Spelling) -> Match<'n> {
    work::done(key.len());
    for chunk in key.utf8_chunks() {
        // Go reads each byte that is no UTF-8 as a character of its own.
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

/// What a label has in a character's place.
const fn ascii(character: char) -> u8 {
    if character.is_ascii_alphanumeric() { character as u8 } else { b'_' }
}

/// Makes one underscore of several.
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
        // What the sender may write in its place.
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
