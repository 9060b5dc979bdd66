//! The configuration: read whole, or refused whole.

use serde::Deserialize;
use sluice_otlp::Signal;
use sluice_records::{RecordsConfig, RuleSet, Spelling};
use sluice_route::{BackendsConfig, Routes};
use sluice_senders::{ConfigProblem, Senders, SendersConfig};
use sluice_tenant::{Tenancy, TenantConfig};

/// The configuration as it is written. A section that is left out switches its stage off.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct GateConfig {
    senders: Option<SendersConfig>,
    tenant: Option<TenantConfig>,
    records: Option<RecordsConfig>,
    backends: Option<BackendsConfig>,
    #[serde(default)]
    limits: LimitsConfig,
    /// Whether the request's headers are held until its body has been checked. Off unless asked
    /// for: an Envoy without `allow_on_headers_stop_iteration` would wait for ever.
    #[serde(default)]
    hold_headers: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct LimitsConfig {
    body_bytes: Option<usize>,
    decoded_bytes: Option<usize>,
}

/// What a request may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The body as it is sent, in bytes.
    pub body_bytes: usize,
    /// The body once decoded, in bytes.
    pub decoded_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            // The default window of a stream in Envoy 1.36 and later, beyond which HTTP/2 buffers
            // nothing.
            body_bytes: 16 << 20,
            // What the OTLP specification 1.11 recommends for a request.
            decoded_bytes: 64 << 20,
        }
    }
}

impl Limits {
    /// The most that a limit can be: two bodies of it fit a wasm module's gigabyte of memory.
    const MAX: usize = 256 << 20;
}

/// A configured gate.
#[derive(Debug)]
pub struct Gate {
    pub(crate) senders: Option<Senders>,
    pub(crate) tenancy: Option<Tenancy>,
    pub(crate) rules: Option<RuleSet>,
    pub(crate) routes: Option<Routes>,
    pub(crate) limits: Limits,
    pub(crate) hold_headers: bool,
}

impl Gate {
    /// Reads a configuration in JSON.
    ///
    /// # Errors
    /// Every [`ConfigProblem`] there is; one alone where the text does not even have the shape of a
    /// configuration.
    pub fn from_json(json: &[u8]) -> Result<Self, Vec<ConfigProblem>> {
        let mut json = serde_json::Deserializer::from_slice(json);
        let config: GateConfig = serde_path_to_error::deserialize(&mut json).map_err(|error| {
            let path = match error.path().to_string() {
                whole if whole == "." => "configuration".to_owned(),
                path => path,
            };
            vec![ConfigProblem::new(path, error.inner())]
        })?;
        json.end().map_err(|error| vec![ConfigProblem::new("configuration", error)])?;
        config.compile()
    }

    /// Body bytes that are left to Envoy when the head has gone on. Half of Envoy's default
    /// buffer: beyond that, Envoy would answer 413 over HTTP/1.1, so they move into the module.
    pub const BUFFERED_BY_ENVOY: usize = 512 << 10;

    /// The limits in force.
    #[must_use]
    pub const fn limits(&self) -> Limits {
        self.limits
    }

    /// Whether the head of a request is held until its body has been checked.
    #[must_use]
    pub const fn holds_headers(&self) -> bool {
        self.hold_headers
    }

    /// Whether the gate looks at who sends.
    #[must_use]
    pub const fn identifies_senders(&self) -> bool {
        self.senders.is_some()
    }
}

impl GateConfig {
    fn compile(self) -> Result<Gate, Vec<ConfigProblem>> {
        let mut problems = Vec::new();
        if self.senders.is_none()
            && self.tenant.is_none()
            && self.records.is_none()
            && self.backends.is_none()
        {
            let message =
                "it asks for nothing: add at least one of senders, tenant, records and backends";
            problems.push(ConfigProblem::new("configuration", message));
        }
        if self.records.is_some() && self.backends.is_none() {
            let message = "records are checked on their way to a backend: add backends";
            problems.push(ConfigProblem::new("records", message));
        }
        let limits = self.limits.compile(&mut problems);
        let mut collect = Collect(&mut problems);
        let asks = self.senders.is_some();
        let senders = collect.section(self.senders.map(|c| Senders::compile(&c, "senders")));
        let tenancy = collect.section(self.tenant.map(|c| c.compile("tenant")));
        let routes = collect.section(self.backends.map(|c| c.compile("backends")));
        // A signal without a backend is refused before its records are looked at.
        let spelling = |signal: Signal| match routes.as_ref().and_then(|r| r.pick(signal)) {
            Some(backend) if !backend.kind().folds_attribute_names() => Spelling::Exact,
            _ => Spelling::Folded,
        };
        let rules = collect.section(self.records.map(|c| c.compile("records", asks, spelling)));
        if let (Some(tenancy), None) = (&tenancy, &senders)
            && !tenancy.is_fixed()
            && problems.is_empty()
        {
            let message = "the tenant follows from the sender: add senders, or use tenant.fixed";
            problems.push(ConfigProblem::new("tenant", message));
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let hold_headers = self.hold_headers;
        Ok(Gate { senders, tenancy, rules, routes, limits, hold_headers })
    }
}

struct Collect<'p>(&'p mut Vec<ConfigProblem>);

impl Collect<'_> {
    fn section<T>(&mut self, compiled: Option<Result<T, Vec<ConfigProblem>>>) -> Option<T> {
        match compiled? {
            Ok(section) => Some(section),
            Err(problems) => {
                self.0.extend(problems);
                None
            }
        }
    }
}

impl LimitsConfig {
    fn compile(self, problems: &mut Vec<ConfigProblem>) -> Limits {
        let mut limit = |name: &str, value: Option<usize>, default: usize| {
            let value = value.unwrap_or(default);
            if value == 0 || value > Limits::MAX {
                let message = format!("a limit is between 1 and {} bytes", Limits::MAX);
                problems.push(ConfigProblem::new(format!("limits.{name}"), message));
            }
            value
        };
        let default = Limits::default();
        Limits {
            body_bytes: limit("bodyBytes", self.body_bytes, default.body_bytes),
            decoded_bytes: limit("decodedBytes", self.decoded_bytes, default.decoded_bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(json: &str) -> Vec<String> {
        let problems = Gate::from_json(json.as_bytes()).unwrap_err();
        problems.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_configuration_that_guards_nothing_by_mistake_is_refused() {
        for (json, expected) in [
            ("", "configuration: EOF"),
            ("{}", "configuration: it asks for nothing"),
            (r#"{"sender": {}}"#, "sender: unknown field `sender`"),
            (r#"{"tenant": {"fixed": "a"}} x"#, "configuration: trailing characters"),
            (
                r#"{"tenant": {"fixed": "a"}, "tenant": {"fixed": "b"}}"#,
                "configuration: duplicate field",
            ),
            (r#"{"tenant": {"fromNamespace": {}}}"#, "tenant: the tenant follows from the sender"),
            (r#"{"records": {"require": [{"attribute": "a"}]}}"#, "records: records are checked"),
            (
                r#"{"tenant": {"fixed": "a"}, "limits": {"bodyBytes": 0}}"#,
                "limits.bodyBytes: a limit is between",
            ),
        ] {
            let found = problems(json);
            assert!(found[0].starts_with(expected), "{json}: {found:?}");
        }
    }

    #[test]
    fn every_section_tells_its_problems_at_once() {
        let found = problems(
            r#"{
                "senders": {"identify": [], "allow": []},
                "tenant": {"fixed": "a|b"},
                "records": {"require": []},
                "backends": {"logs": {"kind": "tempo", "cluster": "x"}},
                "limits": {"decodedBytes": 999999999}
            }"#,
        );
        for path in [
            "limits.decodedBytes: ",
            "senders.identify: ",
            "senders.allow: ",
            "tenant.fixed: ",
            "backends.logs.kind: ",
            "records.require: ",
        ] {
            assert!(found.iter().any(|problem| problem.starts_with(path)), "{path} in {found:?}");
        }
    }
}
