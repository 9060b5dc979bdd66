//! The rules for an attribute's value.

use std::fmt;

use serde::Deserialize;
use sluice_config::{Place, SenderName};
use sluice_otlp::AnyValue;
use sluice_senders::Admitted;

use crate::template::Template;

/// A value rule as it is written: `nonEmpty`, or `{equals: ..}`, `{prefix: ..}`, `{oneOf: [..]}`.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub(crate) enum ValueConfig {
    /// Any value that is not empty: a string, bytes or a list that is not empty, any number, either
    /// boolean.
    #[default]
    NonEmpty,
    /// Exactly this string.
    Equals(String),
    /// A string that starts with this one.
    Prefix(String),
    /// One of these strings.
    OneOf(Vec<String>),
}

/// A value rule.
#[derive(Clone, Debug)]
pub(crate) enum ValueRule {
    /// The gate sets the value. The sender's value does not matter, but no attribute may override
    /// the gate's.
    Stamped,
    NonEmpty,
    Equals(Template),
    Prefix(Template),
    OneOf(Vec<Template>),
}

/// A value rule for one sender. An error is a name that the rule needs and that the sender does not have, or has
/// several of, so no value is allowed.
#[derive(Clone, Debug)]
pub(crate) enum Expected {
    /// The attribute must not exist.
    Nothing,
    NonEmpty,
    Equals(Result<String, SenderName>),
    Prefix(Result<String, SenderName>),
    OneOf(Vec<String>),
}

impl ValueConfig {
    /// Checks and compiles the rule at `place`. Returns `None` after adding every problem.
    pub(crate) fn compile(&self, place: &Place<'_>, has_senders: bool) -> Option<ValueRule> {
        let template =
            |place: &Place<'_>, text: &str| Template::of_sender(text, place, has_senders);
        match self {
            Self::NonEmpty => Some(ValueRule::NonEmpty),
            Self::Equals(text) => template(&place.at("equals"), text).map(ValueRule::Equals),
            Self::Prefix(text) => template(&place.at("prefix"), text).map(ValueRule::Prefix),
            Self::OneOf(texts) if texts.is_empty() => {
                place.at("oneOf").add("empty list: add at least one allowed value");
                None
            }
            Self::OneOf(texts) => {
                let place = place.at("oneOf");
                let each = texts.iter().enumerate();
                let templates: Vec<_> =
                    each.map(|(index, text)| template(&place.index(index), text)).collect();
                templates.into_iter().collect::<Option<_>>().map(ValueRule::OneOf)
            }
        }
    }
}

impl ValueRule {
    /// What the rule requires of one sender, if anything. `sender` is `None` only if there is no `senders` section.
    pub(crate) fn expected(&self, sender: Option<&Admitted>) -> Option<Expected> {
        Some(match self {
            Self::Stamped => return None,
            Self::NonEmpty => Expected::NonEmpty,
            Self::Equals(template) => Expected::Equals(template.fill(sender)),
            Self::Prefix(template) => Expected::Prefix(template.fill(sender)),
            Self::OneOf(templates) => Expected::OneOf(
                templates.iter().filter_map(|template| template.fill(sender).ok()).collect(),
            ),
        })
    }
}

impl Expected {
    /// Whether a value that is not empty meets the rule. Only a string can equal a string. A
    /// backend may write a number as the same label, but a number is not a sender's name.
    pub(crate) fn is_met_by(&self, value: &AnyValue<'_>) -> bool {
        match (self, value) {
            (Self::NonEmpty, _) => true,
            (_, AnyValue::String(text)) => self.is_met_by_text(text),
            _ => false,
        }
    }

    /// Whether a string that is not empty meets the rule.
    #[inline]
    pub(crate) fn is_met_by_text(&self, text: &[u8]) -> bool {
        match self {
            Self::Nothing => false,
            Self::NonEmpty => true,
            Self::Equals(expected) => expected.as_ref().is_ok_and(|e| text == e.as_bytes()),
            Self::Prefix(expected) => {
                expected.as_ref().is_ok_and(|e| text.starts_with(e.as_bytes()))
            }
            Self::OneOf(expected) => expected.iter().any(|e| text == e.as_bytes()),
        }
    }
}

/// What is wrong with a value that does not meet the rule, to complete `attribute "x" ..`.
impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("is overridden"),
            Self::NonEmpty => f.write_str("is empty"),
            Self::Equals(Ok(text)) => write!(f, "is not {text:?}"),
            Self::Prefix(Ok(text)) => write!(f, "does not begin with {text:?}"),
            Self::Equals(Err(name)) | Self::Prefix(Err(name)) => write!(
                f,
                "must contain {{{name}}}, but the sender's certificate or token does not name exactly one"
            ),
            Self::OneOf(texts) => {
                write!(f, "is not one of the {} allowed values", texts.len())
            }
        }
    }
}
