//! Lists of names in a message to a sender, limited in number and length.

use std::fmt;

/// How many names are shown.
const MAX_SHOWN: usize = 5;
/// How many bytes of each name are shown: enough for a whole DNS label, and to recognise a URI.
const MAX_NAME_BYTES: usize = 96;

/// At most five names, each cut to 96 bytes, and the number of names left out.
///
/// Shown as `a, b and 3 more`, or `none`. Everything in it is printable ASCII.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    shown: Vec<String>,
    more: usize,
}

impl Listing {
    /// The names that are shown, cut to length.
    #[must_use]
    pub fn shown(&self) -> &[String] {
        &self.shown
    }

    /// How many names are not shown.
    #[must_use]
    pub fn more(&self) -> usize {
        self.more
    }
}

impl<T: fmt::Display> FromIterator<T> for Listing {
    fn from_iter<I: IntoIterator<Item = T>>(names: I) -> Self {
        let mut names = names.into_iter();
        let shown = names.by_ref().take(MAX_SHOWN).map(cut).collect();
        Self { shown, more: names.count() }
    }
}

fn cut(name: impl fmt::Display) -> String {
    let mut printable: String = name
        .to_string()
        .chars()
        .map(|c| if c == ' ' || c.is_ascii_graphic() { c } else { '?' })
        .collect();
    if printable.len() > MAX_NAME_BYTES {
        printable.truncate(MAX_NAME_BYTES);
        printable.push_str("...");
    }
    printable
}

impl fmt::Display for Listing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.shown.is_empty() {
            return f.write_str("none");
        }
        f.write_str(&self.shown.join(", "))?;
        match self.more {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sixth_name_is_counted_and_not_shown() {
        let listing: Listing = ["a", "b", "c", "d", "e", "f", "g"].into_iter().collect();
        assert_eq!(listing.to_string(), "a, b, c, d, e and 2 more");
        assert_eq!((listing.shown().len(), listing.more()), (5, 2));
    }

    #[test]
    fn a_long_name_is_cut() {
        let listing: Listing = ["x".repeat(10_000)].into_iter().collect();
        assert_eq!(listing.to_string(), format!("{}...", "x".repeat(96)));
    }

    #[test]
    fn what_cannot_be_printed_is_replaced() {
        let listing: Listing = ["a\r\nb\u{e9}\0c d"].into_iter().collect();
        assert_eq!(listing.to_string(), "a??b??c d");
    }

    #[test]
    fn no_names_are_none() {
        assert_eq!(Listing::default().to_string(), "none");
    }
}
