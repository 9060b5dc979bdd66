//! Checks a request's records against the rules.

use std::mem;

use sluice_otlp::{
    Signal,
    attributes::{AnyValue, Attributes},
    edits::Edits,
    splice::{Below, Policy, splice},
    wire::Malformed,
};
use sluice_senders::Admitted;

use crate::{
    Level, Reason, RuleSet, Violation, Violations,
    rule::{Rule, SignalRules},
    spelling::{Match, Spelling},
    value::Expected,
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
    /// Checks an export request of `signal`, which begins at offset `at` of its buffer, from
    /// `sender`; `None` only where nobody is asked who sends.
    ///
    /// # Errors
    /// [`Malformed`] if what the rules have to read is not strict protobuf.
    pub fn check(
        &self,
        message: &[u8],
        at: usize,
        signal: Signal,
        sender: Option<&Admitted>,
    ) -> Result<Checked, Malformed> {
        let mut policy = Check::new(self.of(signal), sender);
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
    spelling: Spelling,
    at_resource: Vec<Asked<'r>>,
    at_scope: Vec<Asked<'r>>,
    at_record: Vec<Asked<'r>>,
    resource: Option<Attributes<'a>>,
    /// What the latest drop was for.
    broken: Option<Broken>,
    violations: Vec<Violation>,
    example: Option<String>,
    /// What was found for each rule of a level; kept so that no record costs an allocation.
    found: Vec<Found>,
}

/// A rule, and what it asks of this sender.
struct Asked<'r> {
    rule: &'r Rule,
    expected: Expected,
}

/// A rule that was broken, by its place in the list of its level.
#[derive(Clone, Copy)]
struct Broken {
    level: Level,
    rule: usize,
    reason: Reason,
}

/// What a list of attributes has for a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    Nothing,
    /// A spelling that is not the rule's.
    Alias,
    Empty,
    /// A value that the rule does not allow.
    Other,
    /// A value that it does.
    Value,
    Several,
}

impl<'r, 'a> Check<'r, 'a> {
    fn new(rules: &'r SignalRules, sender: Option<&Admitted>) -> Self {
        let asked = |rules: &'r [Rule]| {
            rules.iter().map(|rule| Asked { rule, expected: rule.value.expected(sender) }).collect()
        };
        Self {
            spelling: rules.spelling,
            at_resource: asked(&rules.resource),
            at_scope: asked(&rules.scope),
            at_record: asked(&rules.record),
            resource: None,
            broken: None,
            violations: Vec::new(),
            example: None,
            found: Vec::new(),
        }
    }

    const fn asked(&self, level: Level) -> &Vec<Asked<'r>> {
        match level {
            Level::Resource => &self.at_resource,
            Level::Scope => &self.at_scope,
            Level::Record => &self.at_record,
        }
    }

    /// The first rule of `level` that `attributes` break.
    fn broken_by(
        &mut self,
        mut attributes: Attributes<'a>,
        level: Level,
    ) -> Result<Option<Broken>, Malformed> {
        let asked = self.asked(level).len();
        if asked == 0 {
            return Ok(None);
        }
        let mut found = mem::take(&mut self.found);
        found.clear();
        found.resize(asked, Found::Nothing);
        while let Some(attribute) = attributes.next_attribute()? {
            for (Asked { rule, expected }, found) in self.asked(level).iter().zip(&mut found) {
                let next = match self.spelling.compare(attribute.key, rule.attribute.as_bytes()) {
                    Match::None => continue,
                    Match::Alias => Found::Alias,
                    Match::Exact => match attribute.value()? {
                        value if value.is_empty() => Found::Empty,
                        value if expected.is_met_by(value) => Found::Value,
                        _ => Found::Other,
                    },
                };
                *found = if *found == Found::Nothing { next } else { Found::Several };
            }
        }
        let reason = |found: &Found| match found {
            Found::Nothing | Found::Alias => Some(Reason::Missing),
            Found::Empty => Some(Reason::Empty),
            Found::Other => Some(Reason::Value),
            Found::Several => Some(Reason::Ambiguous),
            Found::Value => None,
        };
        let mut reasons = found.iter().map(reason).enumerate();
        let broken =
            reasons.find_map(|(rule, reason)| Some(Broken { level, rule, reason: reason? }));
        self.found = found;
        Ok(broken)
    }

    fn below(
        &mut self,
        attributes: Attributes<'a>,
        level: Level,
        rules_below: bool,
    ) -> Result<Below, Malformed> {
        self.broken = self.broken_by(attributes, level)?;
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

impl<'a> Policy<'a> for Check<'_, 'a> {
    fn reads_scopes(&self) -> bool {
        !self.at_scope.is_empty()
    }

    fn resource(&mut self, attributes: Attributes<'a>) -> Result<Below, Malformed> {
        self.resource = Some(attributes.clone());
        let rules_below = !(self.at_scope.is_empty() && self.at_record.is_empty());
        self.below(attributes, Level::Resource, rules_below)
    }

    fn scope(&mut self, attributes: Attributes<'a>) -> Result<Below, Malformed> {
        self.below(attributes, Level::Scope, !self.at_record.is_empty())
    }

    fn record(&mut self, attributes: Attributes<'a>) -> Result<bool, Malformed> {
        self.broken = self.broken_by(attributes, Level::Record)?;
        Ok(self.broken.is_none())
    }

    fn dropped(&mut self, records: u64) {
        let Some(Broken { level, rule, reason }) = self.broken else { return };
        let Some(Asked { rule, expected }) = self.asked(level).get(rule) else { return };
        let (rule, expected) = (*rule, (reason == Reason::Value).then(|| expected.to_string()));
        let same = |violation: &&mut Violation| {
            violation.reason == reason
                && violation.level == level
                && violation.attribute == rule.attribute
        };
        if let Some(violation) = self.violations.iter_mut().find(same) {
            violation.records = violation.records.saturating_add(records);
            return;
        }
        if self.violations.is_empty() {
            self.example = self.service_name();
        }
        let attribute = rule.attribute.clone();
        self.violations.push(Violation { attribute, level, reason, expected, records });
    }
}

#[cfg(test)]
mod tests;
