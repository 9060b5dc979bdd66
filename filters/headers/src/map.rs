//! A map of headers as Envoy gives it: lower-case names, values in bytes, duplicates kept.

use crate::{names::PATH, value::path_of};

/// A view of a map of headers.
#[derive(Clone, Copy, Debug)]
pub struct Headers<'a>(pub &'a [(String, Vec<u8>)]);

impl<'a> Headers<'a> {
    /// Every value of `name`, in the order received.
    pub fn all(self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_slice())
    }

    /// The first value of `name`.
    #[must_use]
    pub fn first(self, name: &str) -> Option<&'a [u8]> {
        self.all(name).next()
    }

    /// The values of `name` joined into one list, which is what several copies of a header mean
    /// (RFC 9110, section 5.3); empty if there is none.
    #[must_use]
    pub fn joined(self, name: &str) -> Vec<u8> {
        self.all(name).collect::<Vec<_>>().join(&b", "[..])
    }

    /// The value of `name` if there is exactly one copy and it is a number.
    #[must_use]
    pub fn number(self, name: &str) -> Option<u64> {
        let mut values = self.all(name);
        let only = values.next().filter(|_| values.next().is_none())?;
        std::str::from_utf8(only).ok()?.parse().ok()
    }

    /// The path of a request without the query; empty if there is none.
    #[must_use]
    pub fn path(self) -> &'a [u8] {
        path_of(self.first(PATH).unwrap_or_default())
    }

    /// The total bytes of all names and values.
    #[must_use]
    pub fn bytes(self) -> usize {
        self.0.iter().map(|(name, value)| name.len().saturating_add(value.len())).sum()
    }

    /// All names, including duplicates.
    pub fn names(self) -> impl Iterator<Item = &'a str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_are_seen() {
        let headers = [
            ("a".to_owned(), b"1".to_vec()),
            ("b".to_owned(), b"7".to_vec()),
            ("a".to_owned(), b"\xff".to_vec()),
        ];
        let headers = Headers(&headers);
        assert_eq!(headers.first("a"), Some(&b"1"[..]));
        assert_eq!(headers.joined("a"), b"1, \xff");
        assert_eq!(headers.joined("c"), b"");
        assert_eq!((headers.number("a"), headers.number("b")), (None, Some(7)));
    }
}
