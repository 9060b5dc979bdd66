//! What the rules require of one list of attributes.

use sluice_otlp::{AnyValue, Attribute, AttributeRef, FirstBytes, HasAttributes};
use sluice_senders::Admitted;
use sluice_wire::Unreadable;

use crate::{
    Level, OnViolation, Reason,
    rule::SignalRules,
    spelling::{Match, Name},
    value::Expected,
};

/// The rules that check the attributes of one level, prepared for one sender.
pub(crate) struct Asked<'r> {
    questions: Vec<Question<'r>>,
    /// What was found for each rule. Kept between records, so that no record needs an allocation.
    found: Vec<Found>,
    /// The rules in audit mode that the latest attributes broke.
    pub(crate) watched: Vec<(usize, Reason)>,
}

struct Question<'r> {
    /// The rule's index in the list of all rules.
    rule: usize,
    name: &'r Name,
    expected: Expected,
    on_violation: OnViolation,
}

/// What was found in a list of attributes for a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    Nothing,
    /// Another spelling than the rule's.
    Alias,
    Empty,
    /// A value that the rule does not allow.
    Other,
    /// A value that the rule allows.
    Value,
    Several,
}

impl Found {
    /// Adds what the next attribute has shown.
    #[inline(always)]
    fn add(&mut self, next: Self) {
        if next != Self::Nothing {
            *self = if *self == Self::Nothing { next } else { Self::Several };
        }
    }
}

impl<'r> Asked<'r> {
    /// The questions about the attributes at `level`: for the rules of this level, and for rules
    /// whose attribute would be overridden by one at this level.
    pub(crate) fn at(level: Level, rules: &'r SignalRules, sender: Option<&Admitted>) -> Self {
        let question = |(index, rule): (usize, &'r crate::rule::Rule)| {
            let expected = if rule.level == level {
                rule.value.expected(sender)?
            } else if rule.is_overridden_by(level, rules.precedence) {
                Expected::Nothing
            } else {
                return None;
            };
            let on_violation = rule.on_violation;
            Some(Question { rule: index, name: &rule.name, expected, on_violation })
        };
        let questions: Vec<_> = rules.required.iter().enumerate().filter_map(question).collect();
        let found = vec![Found::Nothing; questions.len()];
        Self { questions, found, watched: Vec::new() }
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.questions.is_empty()
    }

    /// Whether any question has this action on a violation.
    pub(crate) fn asks(&self, on_violation: OnViolation) -> bool {
        self.questions.iter().any(|question| question.on_violation == on_violation)
    }

    /// What a rule expects, to complete `attribute "x" ..`.
    pub(crate) fn expected(&self, rule: usize) -> Option<String> {
        let question = self.questions.iter().find(|question| question.rule == rule)?;
        Some(question.expected.to_string())
    }

    /// The first rule that the attributes break, and how. Broken rules in audit mode are collected
    /// in [`Self::watched`] instead.
    #[inline(always)]
    pub(crate) fn broken_by<'a>(
        &mut self,
        attributes: &impl HasAttributes<'a>,
    ) -> Result<Option<(usize, Reason)>, Unreadable> {
        self.start();
        let Self { questions, found, .. } = self;
        let wanted = |key: &[u8]| questions.iter().any(|question| question.name.may_be(key));
        attributes.each_where(wanted, |given| {
            for (question, found) in questions.iter().zip(found.iter_mut()) {
                found.add(question.find_in(given)?);
            }
            Ok(())
        })?;
        Ok(self.broken())
    }

    /// Adds to `first_bytes` the bytes with which a key has to begin for a rule to look at it, beside unusual ones.
    pub(crate) fn begin_with(&self, first_bytes: &mut FirstBytes) {
        for question in &self.questions {
            question.name.first_byte().into_iter().for_each(|byte| first_bytes.add(byte));
        }
    }

    /// Forgets what was found before, for attributes that are passed to [`Self::find_in`] one by one.
    #[inline(always)]
    pub(crate) fn start(&mut self) {
        self.found.fill(Found::Nothing);
    }

    /// Looks at an attribute: its key, and its value if that is just a string. Returns `false` if a rule has to know
    /// another value.
    #[inline(always)]
    pub(crate) fn find_in(&mut self, key: &[u8], text: Option<&[u8]>) -> bool {
        for (question, found) in self.questions.iter().zip(&mut self.found) {
            if !question.name.may_be(key) {
                continue;
            }
            let Some(text) = text else { return false };
            found.add(question.find_in_text(key, text));
        }
        true
    }

    /// As [`Self::broken_by`], for the attributes that [`Self::find_in`] has looked at.
    #[inline(always)]
    pub(crate) fn broken(&mut self) -> Option<(usize, Reason)> {
        let Self { questions, found, watched } = self;
        watched.clear();
        for (question, found) in questions.iter().zip(found.iter()) {
            match question.reason(*found) {
                None => {}
                Some(reason) if question.on_violation == OnViolation::Audit => {
                    watched.push((question.rule, reason));
                }
                Some(reason) => return Some((question.rule, reason)),
            }
        }
        None
    }
}

impl Question<'_> {
    #[inline(always)]
    fn find_in(&self, given: AttributeRef<'_, '_>) -> Result<Found, Unreadable> {
        match given {
            AttributeRef::Text { key, text } => Ok(self.find_in_text(key, text)),
            AttributeRef::Attribute(attribute) => match self.name.compare(attribute.key()) {
                Match::None => Ok(Found::Nothing),
                Match::Alias => Ok(Found::Alias),
                Match::Exact => self.value_of(attribute),
                Match::Map(rest) => {
                    Ok(if rest.is_in(attribute)? { Found::Alias } else { Found::Nothing })
                }
            },
        }
    }

    #[inline(always)]
    fn find_in_text(&self, key: &[u8], text: &[u8]) -> Found {
        match self.name.compare(key) {
            Match::None | Match::Map(_) => Found::Nothing,
            Match::Alias => Found::Alias,
            Match::Exact if text.is_empty() => Found::Empty,
            Match::Exact if self.expected.is_met_by_text(text) => Found::Value,
            Match::Exact => Found::Other,
        }
    }

    #[inline(never)]
    fn value_of(&self, attribute: &Attribute<'_>) -> Result<Found, Unreadable> {
        Ok(match attribute.decisive_value()? {
            value if value.is_empty() => Found::Empty,
            // The backend writes the map's entries under other names.
            AnyValue::KeyValues { .. } if self.name.is_flattened() => Found::Nothing,
            value if self.expected.is_met_by(&value) => Found::Value,
            _ => Found::Other,
        })
    }

    /// How the result breaks the rule, if it does.
    fn reason(&self, found: Found) -> Option<Reason> {
        if matches!(self.expected, Expected::Nothing) {
            return (found != Found::Nothing).then_some(Reason::Overridden);
        }
        match found {
            Found::Nothing | Found::Alias => Some(Reason::Missing),
            Found::Empty => Some(Reason::Empty),
            Found::Other => Some(Reason::Value),
            Found::Several => Some(Reason::Ambiguous),
            Found::Value => None,
        }
    }
}
