//! Checks a request's records against the rules.

use sluice_otlp::{
    Signal,
    attributes::{AnyValue, Attributes},
    edits::Edits,
    splice::{Below, Policy, splice},
    wire::Malformed,
};

use crate::{
    Reason, RuleSet, Violation, Violations,
    rule::{Rule, SignalRules, ValueRule},
    spelling::Match,
    violation::excerpt,
};

/// Proof that a message's records were checked. Only [`RuleSet::check`] makes one.
#[derive(Clone, Debug)]
pub struct Checked {
    verdict: Verdict,
    edits: Edits,
}

/// What the rules leave of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// No record stays.
    AllDropped(Violations),
    /// Every record stays, and there is at least one.
    AllKept,
    /// There was no record to begin with.
    Nothing,
    /// Some stay.
    SomeDropped(Violations),
}

impl Checked {
    /// What the rules leave.
    #[must_use]
    pub const fn verdict(&self) -> &Verdict {
        &self.verdict
    }

    /// The verdict, and how the message must be edited for it.
    #[must_use]
    pub fn into_parts(self) -> (Verdict, Edits) {
        (self.verdict, self.edits)
    }
}

impl RuleSet {
    /// Checks an export request of `signal`, which begins at offset `at` of its buffer.
    ///
    /// # Errors
    /// [`Malformed`] if what the rules have to read is not strict protobuf.
    pub fn check(&self, message: &[u8], at: usize, signal: Signal) -> Result<Checked, Malformed> {
        let mut policy = Check::new(self.of(signal));
        let spliced = splice(message, at, signal, &mut policy)?;
        let violations = Violations { signal, by_rule: policy.violations, example: policy.example };
        let verdict = match (spliced.kept, spliced.dropped) {
            (true, 0) => Verdict::AllKept,
            (false, 0) => Verdict::Nothing,
            (true, _) => Verdict::SomeDropped(violations),
            (false, _) => Verdict::AllDropped(violations),
        };
        Ok(Checked { verdict, edits: spliced.edits })
    }
}

struct Check<'r, 'a> {
    rules: &'r SignalRules,
    resource: Option<Attributes<'a>>,
    /// The rule that the latest drop was for.
    broken: Option<(&'r Rule, Reason)>,
    violations: Vec<Violation>,
    example: Option<String>,
    /// What was found for each rule of a level; kept so that no record costs an allocation.
    found: Vec<Found>,
}

/// What a list of attributes has for a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    Nothing,
    /// A spelling that is not the rule's.
    Alias,
    Empty,
    Value,
    Several,
}

impl<'r, 'a> Check<'r, 'a> {
    const fn new(rules: &'r SignalRules) -> Self {
        Self {
            rules,
            resource: None,
            broken: None,
            violations: Vec::new(),
            example: None,
            found: Vec::new(),
        }
    }

    /// The first of `rules` that `attributes` break.
    fn broken_by(
        &mut self,
        mut attributes: Attributes<'a>,
        rules: &'r [Rule],
    ) -> Result<Option<(&'r Rule, Reason)>, Malformed> {
        if rules.is_empty() {
            return Ok(None);
        }
        self.found.clear();
        self.found.resize(rules.len(), Found::Nothing);
        while let Some(attribute) = attributes.next_attribute()? {
            for (rule, found) in rules.iter().zip(&mut self.found) {
                let next =
                    match self.rules.spelling.compare(attribute.key, rule.attribute.as_bytes()) {
                        Match::None => continue,
                        Match::Alias => Found::Alias,
                        Match::Exact if meets(rule.value, attribute.value()?) => Found::Value,
                        Match::Exact => Found::Empty,
                    };
                *found = if *found == Found::Nothing { next } else { Found::Several };
            }
        }
        let reason = |found: &Found| match found {
            Found::Nothing | Found::Alias => Some(Reason::Missing),
            Found::Empty => Some(Reason::Empty),
            Found::Several => Some(Reason::Ambiguous),
            Found::Value => None,
        };
        let broken = rules.iter().zip(&self.found);
        Ok(broken.filter_map(|(rule, found)| Some((rule, reason(found)?))).next())
    }

    fn below(
        &mut self,
        attributes: Attributes<'a>,
        rules: &'r [Rule],
        rules_below: bool,
    ) -> Result<Below, Malformed> {
        self.broken = self.broken_by(attributes, rules)?;
        Ok(match self.broken {
            Some(_) => Below::Drop,
            None if rules_below => Below::Look,
            None => Below::Keep,
        })
    }

    /// The `service.name` of the resource, if it has one that can be read.
    fn service_name(&self) -> Option<String> {
        let mut attributes = self.resource.clone()?;
        while let Ok(Some(attribute)) = attributes.next_attribute() {
            if attribute.key == b"service.name" {
                return match attribute.value() {
                    Ok(AnyValue::String(name)) => Some(excerpt(name)),
                    _ => None,
                };
            }
        }
        None
    }
}

const fn meets(rule: ValueRule, value: AnyValue<'_>) -> bool {
    match rule {
        ValueRule::NonEmpty => !value.is_empty(),
    }
}

impl<'a> Policy<'a> for Check<'_, 'a> {
    fn reads_scopes(&self) -> bool {
        !self.rules.scope.is_empty()
    }

    fn resource(&mut self, attributes: Attributes<'a>) -> Result<Below, Malformed> {
        self.resource = Some(attributes.clone());
        let rules_below = !(self.rules.scope.is_empty() && self.rules.record.is_empty());
        self.below(attributes, &self.rules.resource, rules_below)
    }

    fn scope(&mut self, attributes: Attributes<'a>) -> Result<Below, Malformed> {
        self.below(attributes, &self.rules.scope, !self.rules.record.is_empty())
    }

    fn record(&mut self, attributes: Attributes<'a>) -> Result<bool, Malformed> {
        self.broken = self.broken_by(attributes, &self.rules.record)?;
        Ok(self.broken.is_none())
    }

    fn dropped(&mut self, records: u64) {
        let Some((rule, reason)) = self.broken else { return };
        let same = |violation: &&mut Violation| {
            violation.reason == reason
                && violation.level == rule.level
                && violation.attribute == rule.attribute
        };
        if let Some(violation) = self.violations.iter_mut().find(same) {
            violation.records = violation.records.saturating_add(records);
            return;
        }
        if self.violations.is_empty() {
            self.example = self.service_name();
        }
        let (attribute, level) = (rule.attribute.clone(), rule.level);
        self.violations.push(Violation { attribute, level, reason, records });
    }
}

#[cfg(test)]
mod tests;
