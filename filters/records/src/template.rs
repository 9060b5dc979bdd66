//! Texts that contain the sender's own names: `{namespace}/`.

use sluice_config::{Piece, Pieces, Place, PlaceholderError, SenderName};
use sluice_senders::Admitted;
use thiserror::Error;

/// A text with placeholders for the sender's names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Template(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(String),
    Name(SenderName),
}

/// Why a text is not a template.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum TemplateError {
    #[error("must not be empty")]
    Empty,
    #[error(transparent)]
    Placeholder(#[from] PlaceholderError),
}

impl Template {
    /// Reads a template. Everything outside of braces is literal.
    ///
    /// # Errors
    /// [`TemplateError`] with the first thing that is wrong.
    pub(crate) fn compile(text: &str) -> Result<Self, TemplateError> {
        if text.is_empty() {
            return Err(TemplateError::Empty);
        }
        let mut parts = Vec::new();
        for piece in Pieces::of(text) {
            parts.push(match piece? {
                Piece::Literal(literal) => Part::Literal(literal.to_owned()),
                Piece::Name(name) => Part::Name(name),
            });
        }
        Ok(Self(parts))
    }

    /// Reads the template at `place`. Returns `None` after adding a problem: one that [`Self::compile`] finds, or a
    /// sender's name although there is no `senders` section.
    pub(crate) fn of_sender(text: &str, place: &Place<'_>, has_senders: bool) -> Option<Self> {
        let template = place.take(Self::compile(text))?;
        if template.names_sender() && !has_senders {
            place.add(
                "the value contains a name of the sender, but there is no senders section: add one",
            );
            return None;
        }
        Some(template)
    }

    /// Whether the template needs the sender.
    pub(crate) fn names_sender(&self) -> bool {
        self.0.iter().any(|part| matches!(part, Part::Name(_)))
    }

    /// The text for a sender.
    ///
    /// # Errors
    /// The first name that the sender does not have, or has several of, because then no value is certainly its own.
    pub(crate) fn fill(&self, sender: Option<&Admitted>) -> Result<String, SenderName> {
        let mut text = String::new();
        for part in &self.0 {
            text.push_str(match part {
                Part::Literal(literal) => literal,
                Part::Name(name) => {
                    sender.and_then(|sender| name_of(*name, sender)).ok_or(*name)?
                }
            });
        }
        Ok(text)
    }
}

/// A name of the sender; `None` if it has none or several.
fn name_of(name: SenderName, sender: &Admitted) -> Option<&str> {
    match name {
        SenderName::Namespace => {
            let several = sender.namespaces().nth(1).is_some();
            (!several).then(|| sender.namespace())
        }
        SenderName::ServiceAccount => sender.service_account(),
        SenderName::TrustDomain => sender.trust_domain(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_understood_is_refused() {
        for (text, expected) in [
            ("", TemplateError::Empty),
            ("{namespace", PlaceholderError::UnbalancedBrace.into()),
            ("namespace}", PlaceholderError::UnbalancedBrace.into()),
            ("{tenant}", PlaceholderError::Unknown("tenant".into()).into()),
        ] {
            assert_eq!(Template::compile(text), Err(expected), "{text}");
        }
    }

    #[test]
    fn a_text_without_names_is_for_everybody() {
        let template = Template::compile("platform/*").unwrap();
        assert!(!template.names_sender());
        assert_eq!(template.fill(None).as_deref(), Ok("platform/*"));
    }

    #[test]
    fn nobody_has_no_names() {
        let template = Template::compile("{namespace}/").unwrap();
        assert!(template.names_sender());
        assert_eq!(template.fill(None), Err(SenderName::Namespace));
    }
}
