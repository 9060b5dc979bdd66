//! One name, or every name that begins so: `payments`, `team-*`.

/// What an entry of a list matches. A `*` is its last character or not there: with the beginning alone,
/// a name is found among many entries without trying each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Glob {
    /// This name.
    Exact(Box<str>),
    /// Every name that begins so; not empty.
    Prefix(Box<str>),
}

/// Why a text is not a [`Glob`]. Each list has its own words for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GlobError {
    /// It has a `*` that is not its last character.
    InnerStar,
    /// It is `*` alone.
    MatchesAll,
}

impl Glob {
    /// Reads `name` or `prefix*`. What a name may look like is not checked here.
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

    /// Whether it matches a name.
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
