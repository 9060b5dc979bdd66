//! The section `records`.

use serde::Deserialize;
use sluice_otlp::Signal;
use sluice_senders::ConfigProblem;

use crate::{
    Level, Spelling,
    rule::{Rule, RuleSet, SignalRules},
    value::{ValueConfig, ValueRule},
};

/// The section as it is written.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct RecordsConfig {
    require: Vec<RequireConfig>,
    /// What happens to a record that breaks a rule.
    #[serde(default)]
    on_violation: OnViolation,
}

/// What becomes of a record that breaks a rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum OnViolation {
    /// It is taken out, and the sender is told.
    #[default]
    Drop,
}

/// One required attribute. A level that is left out is the one at which Loki, Mimir and Tempo keep
/// their senders' names apart; no signal goes unchecked.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct RequireConfig {
    attribute: String,
    #[serde(default)]
    logs: LogLevel,
    #[serde(default)]
    metrics: MetricLevel,
    #[serde(default)]
    traces: SpanLevel,
    #[serde(default)]
    value: ValueConfig,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum LogLevel {
    #[default]
    Resource,
    Scope,
    Record,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum MetricLevel {
    Resource,
    Scope,
    #[default]
    Datapoint,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
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

impl RecordsConfig {
    /// Checks the section. `path` is where it stands, for the problems' paths; `has_senders` says
    /// whether anybody is asked who sends, and `spelling` how the backend of a signal tells
    /// attribute names apart.
    ///
    /// # Errors
    /// Every [`ConfigProblem`] there is.
    pub fn compile(
        &self,
        path: &str,
        has_senders: bool,
        spelling: impl Fn(Signal) -> Spelling,
    ) -> Result<RuleSet, Vec<ConfigProblem>> {
        let OnViolation::Drop = self.on_violation;
        let mut problems = Vec::new();
        if self.require.is_empty() {
            let message = "an empty list lets every record in: name an attribute, or leave \
                           records out";
            problems.push(ConfigProblem::new(format!("{path}.require"), message));
        }
        let mut values = Vec::new();
        for (index, require) in self.require.iter().enumerate() {
            let value = format!("{path}.require[{index}].value");
            values.extend(require.value.compile(&value, has_senders, &mut problems));
            let at = format!("{path}.require[{index}].attribute");
            if require.attribute.is_empty() {
                problems.push(ConfigProblem::new(at, "an attribute's name is not empty"));
            } else if self.require.iter().take(index).any(|r| r.attribute == require.attribute) {
                let message = format!("{:?} is required twice", require.attribute);
                problems.push(ConfigProblem::new(at, message));
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(RuleSet {
            logs: self.rules(&values, spelling(Signal::Logs), |require| require.logs.into()),
            metrics: self
                .rules(&values, spelling(Signal::Metrics), |require| require.metrics.into()),
            traces: self.rules(&values, spelling(Signal::Traces), |require| require.traces.into()),
        })
    }

    /// The rules of one signal; `values` has the value rule of each requirement.
    fn rules(
        &self,
        values: &[ValueRule],
        spelling: Spelling,
        level: impl Fn(&RequireConfig) -> Level,
    ) -> SignalRules {
        let at = |wanted: Level| {
            self.require
                .iter()
                .zip(values)
                .filter(|(require, _)| level(require) == wanted)
                .map(|(require, value)| Rule {
                    attribute: require.attribute.clone(),
                    value: value.clone(),
                })
                .collect()
        };
        SignalRules {
            spelling,
            resource: at(Level::Resource),
            scope: at(Level::Scope),
            record: at(Level::Record),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// The rules that a section written in JSON gives.
    pub(crate) fn rules(json: &str, spelling: Spelling) -> RuleSet {
        let config: RecordsConfig = serde_json::from_str(json).unwrap();
        config.compile("records", true, |_| spelling).unwrap()
    }

    #[test]
    fn rules_that_check_nothing_are_refused() {
        for (json, expected) in [
            (r#"{"require": []}"#, "records.require: "),
            (r#"{"require": [{"attribute": ""}]}"#, "records.require[0].attribute: "),
            (
                r#"{"require": [{"attribute": "a"}, {"attribute": "a"}]}"#,
                "records.require[1].attribute: \"a\" is required twice",
            ),
            (
                r#"{"require": [{"attribute": "a", "value": {"equals": ""}}]}"#,
                "records.require[0].value.equals: it is empty",
            ),
            (
                r#"{"require": [{"attribute": "a", "value": {"oneOf": []}}]}"#,
                "records.require[0].value.oneOf: an empty list",
            ),
            (
                r#"{"require": [{"attribute": "a", "value": {"oneOf": ["b", "{tenant}"]}}]}"#,
                "records.require[0].value.oneOf[1]: {tenant} is not known",
            ),
            (
                r#"{"require": [{"attribute": "a", "value": {"prefix": "{namespace}/"}}]}"#,
                "records.require[0].value.prefix: it names the sender",
            ),
        ] {
            let config: RecordsConfig = serde_json::from_str(json).unwrap();
            let problems = config.compile("records", false, |_| Spelling::Exact).unwrap_err();
            assert!(problems[0].to_string().starts_with(expected), "{problems:?}");
        }
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for json in [
            r#"{"require": [{"attribute": "a", "logs": "datapoint"}]}"#,
            r#"{"require": [{"attribute": "a", "spans": "resource"}]}"#,
            r#"{"require": [{"attribute": "a"}], "onViolation": "audit"}"#,
            r#"{"require": [{"attribute": "a", "value": "anything"}]}"#,
            r#"{"onViolation": "drop"}"#,
        ] {
            assert!(serde_json::from_str::<RecordsConfig>(json).is_err(), "{json}");
        }
    }
}
