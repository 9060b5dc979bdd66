//! Texts with the sender's own names in them: `{namespace}/`.

use sluice_senders::{Admitted, ConfigProblem};
use thiserror::Error;

/// A text, and where the sender's names go in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Template(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(String),
    Name(SenderName),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SenderName {
    Namespace,
    ServiceAccount,
    TrustDomain,
}

/// Why a text is not a template.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum TemplateError {
    #[error("it is empty, and would say nothing")]
    Empty,
    #[error("a brace has no partner: a placeholder is written as {{namespace}}")]
    UnbalancedBrace,
    #[error(
        "{{{0}}} is not known: there are {{namespace}}, {{serviceAccount}} and {{trustDomain}}"
    )]
    UnknownPlaceholder(String),
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
        let mut rest = text;
        while let Some((literal, after)) = rest.split_once('{') {
            let (name, behind) = after.split_once('}').ok_or(TemplateError::UnbalancedBrace)?;
            push_literal(&mut parts, literal)?;
            parts.push(Part::Name(match name {
                "namespace" => SenderName::Namespace,
                "serviceAccount" => SenderName::ServiceAccount,
                "trustDomain" => SenderName::TrustDomain,
                _ => return Err(TemplateError::UnknownPlaceholder(name.to_owned())),
            }));
            rest = behind;
        }
        push_literal(&mut parts, rest)?;
        Ok(Self(parts))
    }

    /// Reads the template at `path` of the configuration. `None` with a problem for what is wrong:
    /// beside what [`Self::compile`] finds, a sender's name where nobody is asked who sends.
    pub(crate) fn of_sender(
        text: &str,
        path: &str,
        has_senders: bool,
        problems: &mut Vec<ConfigProblem>,
    ) -> Option<Self> {
        match Self::compile(text) {
            Ok(template) if template.names_sender() && !has_senders => {
                let message = "it names the sender, and nobody is asked who sends: add senders";
                problems.push(ConfigProblem::new(path, message));
                None
            }
            Ok(template) => Some(template),
            Err(error) => {
                problems.push(ConfigProblem::new(path, error));
                None
            }
        }
    }

    /// Whether it needs to know who sends.
    pub(crate) fn names_sender(&self) -> bool {
        self.0.iter().any(|part| matches!(part, Part::Name(_)))
    }

    /// The text for a sender. `None` if it lacks one of the names, or has several of them: then no
    /// value is its own.
    pub(crate) fn fill(&self, sender: Option<&Admitted>) -> Option<String> {
        let mut text = String::new();
        for part in &self.0 {
            text.push_str(match part {
                Part::Literal(literal) => literal,
                Part::Name(name) => name.of(sender?)?,
            });
        }
        Some(text)
    }
}

impl SenderName {
    fn of(self, sender: &Admitted) -> Option<&str> {
        match self {
            Self::Namespace => {
                let several = sender.namespaces().nth(1).is_some();
                (!several).then(|| sender.namespace())
            }
            Self::ServiceAccount => sender.service_account(),
            Self::TrustDomain => sender.trust_domain(),
        }
    }
}

fn push_literal(parts: &mut Vec<Part>, literal: &str) -> Result<(), TemplateError> {
    if literal.contains('}') {
        return Err(TemplateError::UnbalancedBrace);
    }
    if !literal.is_empty() {
        parts.push(Part::Literal(literal.to_owned()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_understood_is_refused() {
        for (text, expected) in [
            ("", TemplateError::Empty),
            ("{namespace", TemplateError::UnbalancedBrace),
            ("namespace}", TemplateError::UnbalancedBrace),
            ("{namespace}}", TemplateError::UnbalancedBrace),
            ("{{namespace}", TemplateError::UnknownPlaceholder("{namespace".into())),
            ("{tenant}", TemplateError::UnknownPlaceholder("tenant".into())),
            ("{}", TemplateError::UnknownPlaceholder(String::new())),
        ] {
            assert_eq!(Template::compile(text), Err(expected), "{text}");
        }
    }

    #[test]
    fn a_text_without_names_is_for_everybody() {
        let template = Template::compile("platform/*").unwrap();
        assert!(!template.names_sender());
        assert_eq!(template.fill(None).as_deref(), Some("platform/*"));
    }

    #[test]
    fn nobody_has_no_names() {
        let template = Template::compile("{namespace}/").unwrap();
        assert!(template.names_sender());
        assert_eq!(template.fill(None), None);
    }
}
