//! The `records` section of the configuration.

use serde::Deserialize;
use sluice_config::Place;
use sluice_otlp::Signal;
use sluice_stores::{BackendTraits, Precedence};

use crate::{
    Level,
    rule::{Rule, RuleSet, SignalRules},
    spelling::Name,
    stamp::Stamp,
    template::Template,
    unstorable::Unstorable as Looks,
    value::{ValueConfig, ValueRule},
};

/// The rules for records.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct RecordsConfig {
    /// The attributes that every record must have.
    require: Option<Vec<RequireConfig>>,
    /// The attributes that the gate sets on every resource.
    #[serde(default)]
    stamp: Vec<StampConfig>,
    /// What happens to a record that breaks a rule without its own `onViolation`.
    #[serde(default)]
    on_violation: OnViolation,
    /// What happens to a record because of which its backend would refuse the whole batch. The
    /// default is `onViolation`.
    unstorable: Option<Unstorable>,
}

/// What happens to a record that breaks a rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum OnViolation {
    /// The record is kept, and the sender is told that it would be dropped.
    Audit,
    /// The record is dropped, and the sender is told.
    #[default]
    Drop,
    /// The whole request is refused.
    Refuse,
}

/// [`OnViolation`], or no check at all.
#[derive(Clone, Copy, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
enum Unstorable {
    Audit,
    Drop,
    Pass,
    Refuse,
}

impl Unstorable {
    const fn on_violation(self) -> Option<OnViolation> {
        match self {
            Self::Audit => Some(OnViolation::Audit),
            Self::Drop => Some(OnViolation::Drop),
            Self::Pass => None,
            Self::Refuse => Some(OnViolation::Refuse),
        }
    }
}

/// One required attribute. The default level is the one at which Loki, Mimir, Tempo and Pyroscope
/// distinguish their senders. No signal can be left unchecked.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct RequireConfig {
    /// Its name.
    #[cfg_attr(feature = "schema", schemars(example = &"source.name"))]
    attribute: String,
    /// Where log records must have it.
    #[serde(default)]
    logs: LogLevel,
    /// Where metrics must have it.
    #[serde(default)]
    metrics: MetricLevel,
    /// Where profiles must have it.
    #[serde(default)]
    profiles: ProfileLevel,
    /// Where spans must have it.
    #[serde(default)]
    traces: SpanLevel,
    /// Which values it may have.
    #[serde(default)]
    value: ValueConfig,
    /// What happens to a record that breaks this rule. The default is the section's `onViolation`.
    on_violation: Option<OnViolation>,
}

/// One attribute that the gate sets.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
struct StampConfig {
    /// Its name.
    #[cfg_attr(feature = "schema", schemars(example = &"sender.namespace"))]
    attribute: String,
    /// Its value, in which `{namespace}`, `{serviceAccount}` and `{trustDomain}` stand for the sender's names.
    #[cfg_attr(feature = "schema", schemars(example = &"{namespace}"))]
    value: String,
}

/// The only level for profiles: they refer to their attributes by number, and only their resources
/// have named ones.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
enum ProfileLevel {
    #[default]
    Resource,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
enum LogLevel {
    #[default]
    Resource,
    Scope,
    Record,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
enum MetricLevel {
    Resource,
    Scope,
    #[default]
    Datapoint,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
enum SpanLevel {
    #[default]
    Resource,
    Scope,
    Span,
}

impl From<LogLevel> for Level {
    fn from(level: LogLevel) -> Self {
        match level {
            LogLevel::Resource => Self::Resource,
            LogLevel::Scope => Self::Scope,
            LogLevel::Record => Self::Record,
        }
    }
}

impl From<MetricLevel> for Level {
    fn from(level: MetricLevel) -> Self {
        match level {
            MetricLevel::Resource => Self::Resource,
            MetricLevel::Scope => Self::Scope,
            MetricLevel::Datapoint => Self::Record,
        }
    }
}

impl From<SpanLevel> for Level {
    fn from(level: SpanLevel) -> Self {
        match level {
            SpanLevel::Resource => Self::Resource,
            SpanLevel::Scope => Self::Scope,
            SpanLevel::Span => Self::Record,
        }
    }
}

impl From<ProfileLevel> for Level {
    fn from(level: ProfileLevel) -> Self {
        match level {
            ProfileLevel::Resource => Self::Resource,
        }
    }
}

impl RequireConfig {
    fn level(&self, signal: Signal) -> Level {
        match signal {
            Signal::Logs => self.logs.into(),
            Signal::Metrics => self.metrics.into(),
            Signal::Profiles => self.profiles.into(),
            Signal::Traces => self.traces.into(),
        }
    }
}

impl RecordsConfig {
    /// Checks and compiles the section at `place`. `has_senders` says whether there is a `senders` section, and
    /// `backend` returns what is known about the backend of a signal. Returns `None` if there is any problem, after
    /// adding all problems.
    #[must_use]
    pub fn compile(
        self,
        place: &Place<'_>,
        has_senders: bool,
        backend: impl Fn(Signal) -> Option<BackendTraits>,
    ) -> Option<RuleSet> {
        self.check_sections(place);
        let values = self.values(&place.at("require"), has_senders);
        let stamps = self.stamps(&place.at("stamp"), has_senders);
        for signal in Signal::ALL {
            if let Some(backend) = backend(signal) {
                self.check_names(place, signal, &backend);
            }
        }
        if place.has_problems() {
            return None;
        }
        // A signal without a backend is refused before its records are checked.
        let backend = |signal| backend(signal).unwrap_or_else(BackendTraits::strictest);
        let series = self.series_rules(&values, &stamps, backend(Signal::Metrics).name);
        let rules = |signal| self.rules(signal, &values, &stamps, &backend(signal));
        Some(RuleSet::new(rules, series))
    }

    /// Checks that the section asks for something.
    fn check_sections(&self, place: &Place<'_>) {
        match &self.require {
            Some(require) if require.is_empty() => {
                let message = "empty list: add at least one attribute, or remove require";
                place.at("require").add(message);
            }
            None if self.stamp.is_empty() && self.unstorable.is_none() => {
                place.add("empty section: add at least one of require, stamp and unstorable");
            }
            _ => {}
        }
    }

    /// Checks what is required, and compiles the rules on values.
    fn values(&self, place: &Place<'_>, has_senders: bool) -> Vec<ValueRule> {
        let mut values = Vec::new();
        for (index, require) in self.required().iter().enumerate() {
            let place = place.index(index);
            values.extend(require.value.compile(&place.at("value"), has_senders));
            let before = self.required().iter().take(index);
            let twice = before.map(|r| &r.attribute).any(|name| *name == require.attribute);
            check_name(&require.attribute, twice.then_some("required"), &place);
        }
        values
    }

    /// Checks what is stamped, and compiles the texts.
    fn stamps(&self, place: &Place<'_>, has_senders: bool) -> Vec<Template> {
        let mut stamps = Vec::new();
        for (index, stamp) in self.stamp.iter().enumerate() {
            let place = place.index(index);
            stamps.extend(Template::of_sender(&stamp.value, &place.at("value"), has_senders));
            let before = self.stamp.iter().take(index);
            let twice = before.map(|s| &s.attribute).any(|name| *name == stamp.attribute);
            check_name(&stamp.attribute, twice.then_some("stamped"), &place);
        }
        stamps
    }

    /// Checks that no rule or stamp names an attribute because of which the backend would refuse a
    /// whole batch.
    fn check_names(&self, place: &Place<'_>, signal: Signal, backend: &BackendTraits) {
        let looks = Looks::new(&backend.refuses, OnViolation::Drop, signal, true);
        let required = self.required().iter().map(|require| &require.attribute);
        let stamped = self.stamp.iter().map(|stamp| &stamp.attribute);
        let required = required.enumerate().map(|(index, name)| ("require", index, name));
        let stamped = stamped.enumerate().map(|(index, name)| ("stamp", index, name));
        for (list, index, name) in required.chain(stamped) {
            if looks.record_names && !name.is_empty() && looks.is_odd_name(name.as_bytes()) {
                place.at(list).index(index).at("attribute").add(format!(
                    "{} rejects attributes whose name has no ASCII letter or digit",
                    backend.name
                ));
            }
        }
    }

    fn required(&self) -> &[RequireConfig] {
        self.require.as_deref().unwrap_or_default()
    }

    /// The rules of one signal. `values` and `stamps` are the compiled value rules and stamps.
    fn rules(
        &self,
        signal: Signal,
        values: &[ValueRule],
        stamps: &[Template],
        backend: &BackendTraits,
    ) -> SignalRules {
        let rule = |(require, value): (&RequireConfig, &ValueRule)| Rule {
            name: Name::new(&require.attribute, backend.spelling),
            level: require.level(signal),
            value: value.clone(),
            on_violation: require.on_violation.unwrap_or(self.on_violation),
        };
        // Where record attributes override resource attributes, a stamp implies a rule: no record
        // may override it.
        let guards = matches!(backend.precedence, Precedence::Record | Precedence::Any);
        let stamped = self.stamp.iter().filter(|_| guards).map(|stamp| Rule {
            name: Name::new(&stamp.attribute, backend.spelling),
            level: Level::Resource,
            value: ValueRule::Stamped,
            on_violation: self.on_violation,
        });
        let stamp = |(stamp, value): (&StampConfig, &Template)| Stamp {
            name: Name::new(&stamp.attribute, backend.spelling),
            value: value.clone(),
        };
        let unstorable = match self.unstorable {
            Some(unstorable) => unstorable.on_violation(),
            None => Some(self.on_violation),
        };
        SignalRules::new(
            signal,
            self.required().iter().zip(values).map(rule).chain(stamped).collect(),
            self.stamp.iter().zip(stamps).map(stamp).collect(),
            unstorable,
            backend,
        )
    }

    /// The rules for series. Whatever the level of a rule is, its attribute is a label of the
    /// series.
    fn series_rules(
        &self,
        values: &[ValueRule],
        stamps: &[Template],
        backend: &'static str,
    ) -> SignalRules {
        let rule = |(require, value): (&RequireConfig, &ValueRule)| Rule {
            name: Name::label(&require.attribute),
            level: Level::Series,
            value: value.clone(),
            on_violation: require.on_violation.unwrap_or(self.on_violation),
        };
        let stamp = |(stamp, value): (&StampConfig, &Template)| Stamp {
            name: Name::label(&stamp.attribute),
            value: value.clone(),
        };
        SignalRules {
            required: self.required().iter().zip(values).map(rule).collect(),
            stamps: self.stamp.iter().zip(stamps).map(stamp).collect(),
            precedence: Precedence::None,
            unstorable: None,
            labels: None,
            backend,
        }
    }
}

/// Checks the attribute name of an entry. If the name occurs for the second time, `twice` is `required` or `stamped`.
fn check_name(name: &str, twice: Option<&str>, entry: &Place<'_>) {
    let place = entry.at("attribute");
    if name.is_empty() {
        place.add("an attribute's name must not be empty");
    } else if let Some(what) = twice {
        place.add(format!("{name:?} is {what} twice"));
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use sluice_config::check;
    use sluice_stores::{Outcome, Refusal, Refuses, Site, Spelling};

    use super::*;

    /// A backend with this spelling that refuses nothing.
    pub(crate) fn backend(spelling: Spelling) -> BackendTraits {
        BackendTraits {
            name: "loki",
            spelling,
            precedence: Precedence::None,
            refuses: Refuses::default(),
            labels: None,
        }
    }

    /// The compiled rules of a section in JSON.
    pub(crate) fn rules(json: &str, backend: &BackendTraits) -> RuleSet {
        let config: RecordsConfig = serde_json::from_str(json).unwrap();
        check("records", |place| config.compile(place, true, |_| Some(backend.clone()))).unwrap()
    }

    #[test]
    fn rules_that_check_nothing_are_refused() {
        for (json, expected) in [
            (r#"{"require": []}"#, "records.require: "),
            (r#"{"onViolation": "drop"}"#, "records: empty section"),
            (
                r#"{"stamp": [{"attribute": "a", "value": "{namespace}"}]}"#,
                "records.stamp[0].value: the value contains a name of the sender",
            ),
            (
                r#"{"stamp": [{"attribute": "a", "value": "b"}, {"attribute": "a", "value": "c"}]}"#,
                "records.stamp[1].attribute: \"a\" is stamped twice",
            ),
            (r#"{"require": [{"attribute": ""}]}"#, "records.require[0].attribute: "),
            (
                r#"{"require": [{"attribute": "a"}, {"attribute": "a"}]}"#,
                "records.require[1].attribute: \"a\" is required twice",
            ),
            (
                r#"{"require": [{"attribute": "a", "value": {"equals": ""}}]}"#,
                "records.require[0].value.equals: must not be empty",
            ),
            (
                r#"{"require": [{"attribute": "a", "value": {"oneOf": []}}]}"#,
                "records.require[0].value.oneOf: empty list",
            ),
            (
                r#"{"require": [{"attribute": "a", "value": {"oneOf": ["b", "{tenant}"]}}]}"#,
                "records.require[0].value.oneOf[1]: unknown placeholder {tenant}",
            ),
            (
                r#"{"require": [{"attribute": "a", "value": {"prefix": "{namespace}/"}}]}"#,
                "records.require[0].value.prefix: the value contains a name of the sender",
            ),
        ] {
            let config: RecordsConfig = serde_json::from_str(json).unwrap();
            let of_any = |_| Some(backend(Spelling::Exact));
            let problems = check("records", |place| config.compile(place, false, of_any));
            let problems = problems.unwrap_err();
            assert!(problems[0].to_string().starts_with(expected), "{problems:?}");
        }
    }

    #[test]
    fn names_that_the_backend_refuses_are_refused() {
        let refusal = Refusal { site: Site::LOG_NAME, outcome: Outcome::RefusesBatch };
        let loki = BackendTraits {
            refuses: Refuses::NOTHING.with(refusal),
            ..backend(Spelling::Flattened)
        };
        let json = r#"{"require": [{"attribute": "x"}, {"attribute": "ключ"}],
                       "stamp": [{"attribute": "_", "value": "a"}]}"#;
        let config: RecordsConfig = serde_json::from_str(json).unwrap();
        let of_logs = |signal| (signal == Signal::Logs).then(|| loki.clone());
        let problems = check("records", |place| config.clone().compile(place, true, of_logs));
        let problems: Vec<_> = problems.unwrap_err().iter().map(ToString::to_string).collect();
        assert_eq!(
            problems,
            [
                "records.require[1].attribute: loki rejects attributes whose name has no ASCII \
                 letter or digit",
                "records.stamp[0].attribute: loki rejects attributes whose name has no ASCII letter or digit",
            ]
        );
        let of_any = |_| Some(backend(Spelling::Exact));
        assert!(check("records", |place| config.compile(place, true, of_any)).is_ok());
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for json in [
            r#"{"require": [{"attribute": "a", "logs": "datapoint"}]}"#,
            r#"{"require": [{"attribute": "a", "spans": "resource"}]}"#,
            r#"{"require": [{"attribute": "a"}], "onViolation": "pass"}"#,
            r#"{"require": [{"attribute": "a", "profiles": "profile"}]}"#,
            r#"{"stamp": [{"attribute": "a"}]}"#,
            r#"{"require": [{"attribute": "a", "value": "anything"}]}"#,
        ] {
            assert!(serde_json::from_str::<RecordsConfig>(json).is_err(), "{json}");
        }
    }
}
