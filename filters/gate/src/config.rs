//! The configuration, which is accepted or refused as a whole.

use serde::Deserialize;
use sluice_config::{ConfigProblem, Place, Problems};
use sluice_records::{RecordStage, RecordsConfig};
use sluice_route::{BackendsConfig, Context};
use sluice_senders::{SenderStage, SendersConfig};
use sluice_tenant::{TenantConfig, TenantStage};
use sluice_wire::{ReadLimits, Room};

use crate::{
    Gate,
    json_object::ObjectsOnly,
    json_path,
    other_paths::{OtherPath, OtherPaths},
};

/// A policy of Sluice. If a section is left out, its stage is switched off.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct GateConfig {
    /// Who may send.
    senders: Option<SendersConfig>,
    /// For which tenant they send.
    tenant: Option<TenantConfig>,
    /// The rules that their records must meet.
    records: Option<RecordsConfig>,
    /// Where their requests go.
    backends: Option<BackendsConfig>,
    /// What a request, and all requests together, may take.
    #[serde(default)]
    limits: LimitsConfig,
    /// The paths that pass besides telemetry. The default is none.
    #[serde(default)]
    other_paths: Vec<OtherPath>,
    /// Whether the request's headers are held until its body has been checked. Off by default,
    /// because an Envoy without `allow_on_headers_stop_iteration` would wait for ever.
    #[serde(default)]
    hold_headers: bool,
}

#[derive(Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct LimitsConfig {
    /// The largest body as sent, in bytes. The default is 16777216.
    body_bytes: Option<usize>,
    /// The largest decoded body, in bytes, with what stamps add. The default is 67108864.
    decoded_bytes: Option<usize>,
    /// The most that is received and discarded of the body of a refused request, in bytes. The default is 33554432, or
    /// `bodyBytes` if that is more.
    discarded_bytes: Option<usize>,
    /// Records, plus the resources, scopes and metrics around them. The default is 524288.
    records: Option<usize>,
    /// Attributes of one resource, scope or record. The default is 1024.
    attributes: Option<usize>,
    /// Levels of nesting. The default is 100.
    depth: Option<usize>,
    /// What all requests of a worker may hold at once, in bytes. The default is 536870912.
    worker_bytes: Option<usize>,
    /// What the requests of one sender may hold while their bodies wait, in bytes. The default is an eighth of
    /// `workerBytes`.
    sender_bytes: Option<usize>,
}

/// The limits of one request, and of all requests together.
///
/// While a request is decided, the gate holds its body and at most this much beside it, in bytes:
///
/// ```text
/// 3 * decoded_bytes + 192 * records + 256 * attributes + decoder
/// ```
///
/// with half of the second and third term on a 32-bit platform such as the module. `decoder` is 256 KiB, but 4 MiB for
/// LZ4 and 30 MiB for zstd. A zstd window over 8 MiB takes up to three times its size, which replaces two of the three
/// `decoded_bytes`. `tests/memory` checks this for requests of any shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The largest body as sent, in bytes.
    pub body_bytes: usize,
    /// The largest decoded body, in bytes.
    pub decoded_bytes: usize,
    /// The most that is received and discarded of the body of a refused request before the local reply is sent, in
    /// bytes.
    pub discarded_bytes: usize,
    /// Records, plus the resources, scopes and metrics around them, as far as they are read.
    pub records: usize,
    /// Attributes of one resource, scope or record.
    pub attributes: usize,
    /// Levels of nesting.
    pub depth: usize,
    /// What all requests of a worker may hold at once, in bytes: those whose bodies are arriving, and the one that is
    /// checked.
    pub worker_bytes: usize,
    /// What the requests of one sender may hold while their bodies arrive, in bytes.
    pub sender_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            // The default window of a stream in Envoy 1.36 and later. Beyond it, HTTP/2 buffers
            // nothing.
            body_bytes: 16 << 20,
            // What the OTLP specification 1.11 recommends for a request.
            decoded_bytes: 64 << 20,
            // Twice the default of `bodyBytes`, because a body that is too large is rarely much
            // larger.
            discarded_bytes: 32 << 20,
            // A decoded body of the default size full of records of 128 bytes, which is less than
            // telemetry has in practice. The changes take up to 40 bytes for each.
            records: 512 << 10,
            // Eight times what SDKs keep for one span or log record (OpenTelemetry specification,
            // "Attribute Limits").
            attributes: 1024,
            // The recursion limit of protobuf's own decoders in C++ and Java (`SetRecursionLimit`),
            // and of prost.
            depth: 100,
            worker_bytes: Self::WORKER_BYTES,
            sender_bytes: Self::WORKER_BYTES / Self::SENDERS,
        }
    }
}

impl Limits {
    /// The largest value of a limit in bytes: two bodies of this size fit into a wasm module's
    /// gigabyte of memory.
    const MAX_BYTES: usize = 256 << 20;

    /// The largest number of records: the changes to them take no more memory than the bodies.
    const MAX_RECORDS: usize = 8 << 20;

    /// The largest number of attributes in one place.
    const MAX_ATTRIBUTES: usize = 1 << 20;

    /// The deepest nesting. Each level may be a call in the module, whose stack has one megabyte.
    const MAX_DEPTH: usize = 400;

    /// Half of the gigabyte that Envoy allows a wasm module. The other half is for fragmentation,
    /// and for the old configuration while a new one is read.
    const WORKER_BYTES: usize = 512 << 20;

    /// The largest value of `workerBytes`.
    const MAX_WORKER_BYTES: usize = 768 << 20;

    /// The default of a sender is this fraction of a worker.
    const SENDERS: usize = 8;

    /// What a request may hold beside its body: its fixed cost, and its head, which Envoy limits
    /// (`max_request_headers_kb`, 60 by default).
    const BESIDE_A_BODY: usize = 320 << 10;

    /// The most that decoders keep beside their output, in bytes: zstd's window and tables.
    const OF_DECODERS: usize = 30 << 20;

    /// The least that a worker needs. Half of it is for what waits, and one body may take no more of that than is left
    /// for others. The most expensive request must find room when nothing waits. Otherwise it would be told to retry
    /// for ever. `tests/memory` checks its cost.
    const fn least_worker_bytes(
        body_bytes: usize,
        decoded_bytes: usize,
        records: usize,
        attributes: usize,
    ) -> usize {
        let waiting = body_bytes.saturating_add(Self::BESIDE_A_BODY).saturating_mul(4);
        let checked = decoded_bytes
            .saturating_mul(3)
            .saturating_add(records.saturating_mul(96))
            .saturating_add(attributes.saturating_mul(128))
            .saturating_add(Self::OF_DECODERS)
            .saturating_add(body_bytes);
        if waiting > checked { waiting } else { checked }
    }

    /// What all requests of a worker may hold while their bodies arrive, in bytes. The rest is for the one that is
    /// checked.
    pub(crate) const fn waiting_bytes(&self) -> usize {
        self.worker_bytes / 2
    }

    /// The part of the limits that applies to reading a message.
    pub(crate) const fn of_reading(&self, room: Room) -> ReadLimits {
        ReadLimits {
            attributes: self.attributes,
            bytes: self.decoded_bytes,
            depth: self.depth,
            records: self.records as u64,
            room: room.bytes(),
        }
    }
}

impl Gate {
    /// Reads a configuration in JSON.
    ///
    /// # Errors
    /// All problems; only one if the text does not even have the structure of a configuration.
    pub fn from_json(json: &[u8]) -> Result<Self, Vec<ConfigProblem>> {
        let config = read(json).map_err(|error| {
            let path = match json_path::path(json, error.line(), error.column()) {
                whole if whole.is_empty() => "configuration".to_owned(),
                path => path,
            };
            vec![ConfigProblem::new(path, error)]
        })?;
        config.compile()
    }
}

#[cfg(feature = "schema")]
impl Gate {
    /// The JSON Schema (2020-12) of a configuration, from the types that read it. What it allows may still be refused
    /// by [`from_json`](Self::from_json): a schema does not say how the sections depend on each other.
    #[must_use]
    pub fn schema() -> schemars::Schema {
        schemars::schema_for!(GateConfig)
    }
}

/// Reads the whole text.
fn read(json: &[u8]) -> Result<GateConfig, serde_json::Error> {
    let mut text = serde_json::Deserializer::from_slice(json);
    let config = GateConfig::deserialize(ObjectsOnly(&mut text))?;
    text.end()?;
    Ok(config)
}

impl GateConfig {
    fn compile(self) -> Result<Gate, Vec<ConfigProblem>> {
        let problems = Problems::default();
        let gate = self.compile_all(&problems);
        problems.into_result(gate)
    }

    /// `None` only if a problem was added.
    fn compile_all(self, problems: &Problems) -> Option<Gate> {
        self.check_sections(problems);
        let other_paths = OtherPaths::compile(&self.other_paths, &problems.at("otherPaths"));
        let limits = self.limits.compile(&problems.at("limits"));
        let context = Context { tenant_ids: self.tenant.as_ref().map(TenantConfig::ids) };
        let asks = self.senders.is_some();
        let senders = SenderStage::compile(self.senders, &problems.at("senders"));
        let tenants = TenantStage::compile(self.tenant, &problems.at("tenant"));
        let backends = problems.at("backends");
        // `None` if the section is left out, `Some(None)` if something in it is wrong.
        let routes = self.backends.map(|section| section.compile(&backends, context));
        let backend = |signal| {
            let backend = routes.as_ref()?.as_ref()?.pick(signal)?;
            Some(backend.traits().clone())
        };
        // If there are no backends, that problem or theirs has been added already.
        let records = RecordStage::compile(self.records, &problems.at("records"), asks, backend);
        let (mut senders, tenants, records) = (senders?, tenants?, records?);
        join_tenants(&tenants, &mut senders, problems);
        let routes = match routes {
            Some(compiled) => Some(compiled?),
            None => None,
        };
        let hold_headers = self.hold_headers;
        Some(Gate { senders, tenants, records, routes, limits, other_paths, hold_headers })
    }

    /// Checks that no section is there for nothing, or left out by mistake.
    fn check_sections(&self, problems: &Problems) {
        if self.senders.is_none()
            && self.tenant.is_none()
            && self.records.is_none()
            && self.backends.is_none()
        {
            let message =
                "empty configuration: add at least one of senders, tenant, records and backends";
            problems.at("configuration").add(message);
        }
        if self.records.is_some() && self.backends.is_none() {
            let message = "records are checked on their way to a backend, but there is no backends \
                           section: add one";
            problems.at("records").add(message);
        }
        if !self.other_paths.is_empty() && self.backends.is_none() {
            let message = "every path passes where there is no backends section: add one, or \
                           remove otherPaths";
            problems.at("otherPaths").add(message);
        }
    }
}

/// Checks that what the tenant is derived from is known of a sender, and has the senders read it.
fn join_tenants(tenants: &TenantStage, senders: &mut SenderStage, problems: &Problems) {
    if problems.is_empty() && tenants.depends_on_sender() && !senders.is_on() {
        let message = "the tenant is derived from the sender, but there is no senders section: \
                       add one, or use tenant.fixed";
        problems.at("tenant").add(message);
    }
    if let Some(claim) = tenants.claim() {
        let is_read = senders.read_claim(claim);
        if !is_read && problems.is_empty() {
            let message = "fromClaim needs a token, but senders.identify has no jwt: add it";
            problems.at("tenant").at("fromClaim").add(message);
        }
    }
}

impl LimitsConfig {
    fn compile(self, place: &Place<'_>) -> Limits {
        let default = Limits::default();
        let limit = |name, value: Option<usize>, default, max| {
            limit(value.unwrap_or(default), max, &place.at(name))
        };
        let max = Limits::MAX_BYTES;
        let body_bytes = limit("bodyBytes", self.body_bytes, default.body_bytes, max);
        let decoded_bytes = limit("decodedBytes", self.decoded_bytes, default.decoded_bytes, max);
        let least = default.discarded_bytes.max(body_bytes);
        let discarded_bytes = limit("discardedBytes", self.discarded_bytes, least, max);
        let records = limit("records", self.records, default.records, Limits::MAX_RECORDS);
        let max = Limits::MAX_ATTRIBUTES;
        let attributes = limit("attributes", self.attributes, default.attributes, max);
        let depth = limit("depth", self.depth, default.depth, Limits::MAX_DEPTH);

        let least = Limits::least_worker_bytes(body_bytes, decoded_bytes, records, attributes);
        let worker_bytes = self.worker_bytes.unwrap_or(default.worker_bytes.max(least));
        share(worker_bytes, least, Limits::MAX_WORKER_BYTES, &place.at("workerBytes"));
        let least = body_bytes.saturating_add(Limits::BESIDE_A_BODY);
        let part = worker_bytes / Limits::SENDERS;
        let sender_bytes = self.sender_bytes.unwrap_or(part.max(least));
        share(sender_bytes, least, worker_bytes, &place.at("senderBytes"));
        Limits {
            body_bytes,
            decoded_bytes,
            discarded_bytes,
            records,
            attributes,
            depth,
            worker_bytes,
            sender_bytes,
        }
    }
}

/// Checks a limit of one request, and returns it.
fn limit(value: usize, max: usize, place: &Place<'_>) -> usize {
    if value == 0 || value > max {
        place.add(format!("must be between 1 and {max}"));
    }
    value
}

/// Checks a limit of memory, which the limits of one request must fit into.
fn share(value: usize, least: usize, max: usize, place: &Place<'_>) {
    if least > max {
        place.add(format!(
            "must be at least {least} for the other limits, which is over its maximum of {max}: \
             lower decodedBytes, bodyBytes or records"
        ));
    } else if value < least || value > max {
        place
            .add(format!("must be between {least} and {max} for the other limits, but is {value}"));
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
            ("{}", "configuration: empty configuration"),
            (r#"{"sender": {}}"#, "sender: unknown field `sender`"),
            (r#"{"tenant": {"fixed": "a"}} x"#, "configuration: trailing characters"),
            (r#"{"tenant": {"fixed": "a"}, "tenant": {"fixed": "b"}}"#, "tenant: duplicate field"),
            (
                r#"{"tenant": {"fromNamespace": {}}}"#,
                "tenant: the tenant is derived from the sender",
            ),
            (r#"{"records": {"require": [{"attribute": "a"}]}}"#, "records: records are checked"),
            (
                r#"{"tenant": {"fromClaim": "t"}, "senders": {"allow": [{"namespace": "a"}], "identify":
                    [{"clientCertificate": {"names": [{"dns": "*.{namespace}"}]}}]}}"#,
                "tenant.fromClaim: fromClaim needs a token",
            ),
            (
                r#"{"tenant": {"fixed": "a"}, "otherPaths": [{"exact": "/a"}]}"#,
                "otherPaths: every path passes",
            ),
            (r#"{"tenant": {"fixed": "a"}, "otherPaths": "pass"}"#, "otherPaths: invalid type"),
            (
                r#"{"backends": {"logs": {"kind": "loki", "cluster": "a"}}, "otherPaths": [{"prefix": "/api"}]}"#,
                "otherPaths[0].prefix: covers",
            ),
            (
                r#"{"backends": {"logs": {"kind": "victorialogs", "cluster": "a"}}}"#,
                "backends.logs.kind: victorialogs reads the tenant from headers",
            ),
            (
                r#"{"tenant": {"fixed": "1", "ids": "account"}, "backends": {"traces": {
                    "kind": "tempo", "cluster": "a",
                    "canary": {"cluster": "b", "percent": 5, "by": "traceId"}}}}"#,
                "backends.traces.canary.by: unknown variant `traceId`, expected `tenant`",
            ),
            (
                r#"{"tenant": {"fixed": "a"}, "limits": {"bodyBytes": 0}}"#,
                "limits.bodyBytes: must be between",
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

    #[test]
    fn every_limit_has_its_default() {
        let gate = Gate::from_json(br#"{"tenant": {"fixed": "a"}}"#).unwrap();
        let Limits { body_bytes, decoded_bytes, discarded_bytes, .. } = gate.limits();
        // OTLP 1.11 recommends 64 MiB, after decompression.
        assert_eq!((body_bytes, decoded_bytes), (16 << 20, 64 << 20));
        assert_eq!(discarded_bytes, 32 << 20);
        // The limit for discarding is at least the limit for sending.
        let gate = br#"{"tenant": {"fixed": "a"}, "limits": {"bodyBytes": 100000000}}"#;
        assert_eq!(Gate::from_json(gate).unwrap().limits().discarded_bytes, 100_000_000);
    }
}
