//! Texts with placeholders for the sender's names: `{serviceAccount}.{namespace}.svc`.

use std::fmt;

/// A name of a sender that a placeholder stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SenderName {
    /// `{namespace}`.
    Namespace,
    /// `{serviceAccount}`.
    ServiceAccount,
    /// `{trustDomain}`.
    TrustDomain,
}

impl SenderName {
    const ALL: [Self; 3] = [Self::Namespace, Self::ServiceAccount, Self::TrustDomain];

    /// The text between the braces.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Namespace => "namespace",
            Self::ServiceAccount => "serviceAccount",
            Self::TrustDomain => "trustDomain",
        }
    }
}

/// The name as the configuration writes it, without braces.
impl fmt::Display for SenderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One piece of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'t> {
    /// The text outside of braces; not empty.
    Literal(&'t str),
    /// A placeholder.
    Name(SenderName),
}

/// An iterator over the pieces of a text, in order. It ends after an error.
#[derive(Clone, Debug)]
pub struct Pieces<'t> {
    rest: &'t str,
}

/// Why a text cannot be split into pieces.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlaceholderError {
    /// An opening or closing brace has no partner.
    #[error("unbalanced brace: write placeholders as {{namespace}}")]
    UnbalancedBrace,
    /// No placeholder has this name.
    #[error(
        "unknown placeholder {{{0}}}: use {{namespace}}, {{serviceAccount}} or {{trustDomain}}"
    )]
    Unknown(String),
}

impl<'t> Pieces<'t> {
    /// The pieces of `text`. Everything outside of braces is literal.
    #[must_use]
    pub const fn of(text: &'t str) -> Self {
        Self { rest: text }
    }

    /// The text after the last piece that was returned.
    #[must_use]
    pub const fn rest(&self) -> &'t str {
        self.rest
    }

    fn read(&mut self) -> Result<Piece<'t>, PlaceholderError> {
        let brace = self.rest.find(['{', '}']).unwrap_or(self.rest.len());
        let (literal, from_brace) = self.rest.split_at_checked(brace).unwrap_or((self.rest, ""));
        if !literal.is_empty() {
            self.rest = from_brace;
            return Ok(Piece::Literal(literal));
        }
        let (name, after) = from_brace
            .strip_prefix('{')
            .and_then(|after| after.split_once('}'))
            .filter(|(name, _)| !name.contains('{'))
            .ok_or(PlaceholderError::UnbalancedBrace)?;
        self.rest = after;
        let known = SenderName::ALL.into_iter().find(|known| known.as_str() == name);
        known.map(Piece::Name).ok_or_else(|| PlaceholderError::Unknown(name.to_owned()))
    }
}

impl<'t> Iterator for Pieces<'t> {
    type Item = Result<Piece<'t>, PlaceholderError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let piece = self.read();
        if piece.is_err() {
            self.rest = "";
        }
        Some(piece)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(text: &str) -> Result<Vec<Piece<'_>>, PlaceholderError> {
        Pieces::of(text).collect()
    }

    #[test]
    fn what_is_outside_of_braces_is_literal() {
        let expected = [
            Piece::Literal("spiffe://"),
            Piece::Name(SenderName::TrustDomain),
            Piece::Literal("/ns/"),
            Piece::Name(SenderName::Namespace),
            Piece::Name(SenderName::ServiceAccount),
        ];
        assert_eq!(
            pieces("spiffe://{trustDomain}/ns/{namespace}{serviceAccount}").unwrap(),
            expected
        );
        assert_eq!(pieces("platform/*").unwrap(), [Piece::Literal("platform/*")]);
        assert_eq!(pieces("").unwrap(), []);
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for text in
            ["{", "}", "{namespace", "namespace}", "{namespace}}", "{{namespace}}", "a{b{c}"]
        {
            assert_eq!(pieces(text), Err(PlaceholderError::UnbalancedBrace), "{text}");
        }
        for name in ["", "tenant", "Namespace", " namespace"] {
            let text = format!("a{{{name}}}b");
            assert_eq!(pieces(&text), Err(PlaceholderError::Unknown(name.to_owned())), "{text}");
        }
    }

    #[test]
    fn after_an_error_there_are_no_pieces() {
        let mut pieces = Pieces::of("{x}{namespace}");
        assert!(pieces.next().is_some_and(|piece| piece.is_err()));
        assert_eq!((pieces.next(), pieces.rest()), (None, ""));
    }
}
