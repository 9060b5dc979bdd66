//! A pattern for names: one exact name (`payments`), or a prefix with `*` (`team-*`).

/// A pattern in a list. `*` is allowed only as the last character, because a prefix can be looked up among many entries
/// without trying each of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Glob {
    /// Exactly this name.
    Exact(Box<str>),
    /// Every name that starts with this text, which is not empty.
    Prefix(Box<str>),
}

/// Why a text is not a valid [`Glob`]. Each list that uses globs has its own message for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GlobError {
    /// The text has a `*` before its last character.
    InnerStar,
    /// The text is only `*`.
    MatchesAll,
}

impl Glob {
    /// Reads `name` or `prefix*`. The characters of the name are not checked here.
    ///
    /// # Errors
    /// [`GlobError`].
    pub fn parse(text: &str) -> Result<Self, GlobError> {
        match text.split_once('*') {
            None => Ok(Self::Exact(text.into())),
            Some(("", "")) => Err(GlobError::MatchesAll),
            Some((prefix, "")) => Ok(Self::Prefix(prefix.into())),
            Some(_) => Err(GlobError::InnerStar),
        }
    }

    /// Whether a name matches.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        match self {
            Self::Exact(exact) => **exact == *name,
            Self::Prefix(prefix) => name.starts_with(&**prefix),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_is_the_last_character_and_not_the_first() {
        assert_eq!(Glob::parse("*"), Err(GlobError::MatchesAll));
        for text in ["**", "*a", "a*b", "a*b*"] {
            assert_eq!(Glob::parse(text), Err(GlobError::InnerStar), "{text}");
        }
    }

    #[test]
    fn a_prefix_matches_what_begins_so() {
        let glob = Glob::parse("team-*").unwrap();
        assert!(glob.matches("team-a") && glob.matches("team-a-b") && glob.matches("team-"));
        assert!(!glob.matches("team") && !glob.matches("xteam-a"));
        let exact = Glob::parse("team-a").unwrap();
        assert!(exact.matches("team-a"));
        assert!(!exact.matches("team-a-b") && !exact.matches("team-"));
    }
}
