//! How Loki turns OTLP attributes into stream labels and structured metadata
//! (grafana/loki, pkg/loghttp/push/otlp.go; label names: prometheus/otlptranslator).

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::{
    collector::logs::v1::ExportLogsServiceRequest,
    common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value::Value},
    logs::v1::LogRecord,
    resource::v1::Resource,
};

use crate::value;

/// The resource attributes that are index labels by default.
const INDEXED: [&str; 18] = [
    "cloud.availability_zone",
    "cloud.region",
    "container.name",
    "deployment.environment",
    "deployment.environment.name",
    "k8s.cluster.name",
    "k8s.container.name",
    "k8s.cronjob.name",
    "k8s.daemonset.name",
    "k8s.deployment.name",
    "k8s.job.name",
    "k8s.namespace.name",
    "k8s.pod.name",
    "k8s.replicaset.name",
    "k8s.statefulset.name",
    "service.instance.id",
    "service.name",
    "service.namespace",
];

/// Index labels that replace a missing service name.
const NAMES_A_SERVICE: [&str; 3] = ["container_name", "k8s_container_name", "k8s_job_name"];

/// Why an attribute cannot become a label.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoLabel {
    #[error("symbolizer lookup: label name is empty")]
    Empty,
    #[error("symbolizer lookup: normalization for label name {0:?} resulted in invalid name \"_\"")]
    Invalid(String),
}

/// Checks that all attributes of a request can become labels: since 3.7, one attribute that cannot rejects the whole
/// request.
pub(crate) fn check_names(request: &ExportLogsServiceRequest) -> Result<(), NoLabel> {
    for of_resource in &request.resource_logs {
        check(of_resource.resource.iter().flat_map(|resource| &resource.attributes))?;
        for of_scope in &of_resource.scope_logs {
            check(of_scope.scope.iter().flat_map(|scope| &scope.attributes))?;
            check(of_scope.log_records.iter().flat_map(|record| &record.attributes))?;
        }
    }
    Ok(())
}

fn check<'a>(attributes: impl Iterator<Item = &'a KeyValue>) -> Result<(), NoLabel> {
    for KeyValue { key, .. } in attributes {
        if key.is_empty() {
            return Err(NoLabel::Empty);
        }
        if !key.contains(|c: char| c.is_ascii_alphanumeric()) {
            return Err(NoLabel::Invalid(key.clone()));
        }
    }
    Ok(())
}

/// The labels of the stream of a resource's log records.
pub(crate) fn stream(resource: &Resource) -> BTreeMap<String, String> {
    let mut labels: BTreeMap<_, _> = resource
        .attributes
        .iter()
        .filter(|attribute| is_indexed(attribute))
        .flat_map(|attribute| folded("", attribute))
        .collect();
    let named = labels.get("service_name").is_some_and(|name| !name.is_empty());
    if !named {
        let stand_in = NAMES_A_SERVICE.iter().find_map(|name| labels.get(*name));
        let name = stand_in.cloned().unwrap_or_else(|| "unknown_service".to_owned());
        labels.insert("service_name".to_owned(), name);
    }
    labels
}

/// A log record's structured metadata in Loki's order: record, then resource, then scope. If a name occurs twice, the
/// last one counts.
pub(crate) fn structured_metadata(
    resource: &Resource,
    scope: &InstrumentationScope,
    log: &LogRecord,
) -> Vec<(String, String)> {
    let mut metadata: Vec<_> = log.attributes.iter().flat_map(|one| folded("", one)).collect();
    let mut field = |name: &str, value: String| metadata.push((name.to_owned(), value));
    if log.time_unix_nano != 0 && log.observed_time_unix_nano != 0 {
        field("observed_timestamp", log.observed_time_unix_nano.to_string());
    }
    if log.severity_number != 0 {
        field("severity_number", log.severity_number.to_string());
    }
    if !log.severity_text.is_empty() {
        field("severity_text", log.severity_text.clone());
    }
    if log.dropped_attributes_count != 0 {
        field("dropped_attributes_count", log.dropped_attributes_count.to_string());
    }
    if log.flags != 0 {
        field("flags", log.flags.to_string());
    }
    if log.trace_id.iter().any(|byte| *byte != 0) {
        field("trace_id", hex(&log.trace_id));
    }
    if log.span_id.iter().any(|byte| *byte != 0) {
        field("span_id", hex(&log.span_id));
    }
    let of_resource = resource.attributes.iter().filter(|one| !is_indexed(one));
    metadata.extend(of_resource.flat_map(|one| folded("", one)));
    metadata.extend(scope.attributes.iter().flat_map(|one| folded("", one)));
    if !scope.name.is_empty() {
        metadata.push(("scope_name".to_owned(), scope.name.clone()));
    }
    if !scope.version.is_empty() {
        metadata.push(("scope_version".to_owned(), scope.version.clone()));
    }
    metadata
}

fn is_indexed(attribute: &KeyValue) -> bool {
    INDEXED.contains(&attribute.key.as_str())
}

/// One label for a plain value, one for each leaf of a map.
fn folded(prefix: &str, attribute: &KeyValue) -> Vec<(String, String)> {
    let name = match prefix {
        "" => label_name(&attribute.key),
        _ => label_name(&format!("{prefix}_{}", attribute.key)),
    };
    match &attribute.value {
        Some(AnyValue { value: Some(Value::KvlistValue(map)) }) => {
            map.values.iter().flat_map(|one| folded(&name, one)).collect()
        }
        Some(plain) => vec![(name, value::text(plain))],
        None => vec![(name, String::new())],
    }
}

fn label_name(key: &str) -> String {
    let name: String =
        key.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    if name.starts_with(|c: char| c.is_ascii_digit()) {
        format!("key_{name}")
    } else if name.starts_with('_') && !name.starts_with("__") {
        format!("key{name}")
    } else {
        name
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
