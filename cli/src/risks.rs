//! What a gate accepts, and what is probably not meant.

use std::{collections::BTreeSet, ops::Range};

use serde_json::{Value as Json, json};
use sluice_gate::Gate;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::{
    find::{Form, Found},
    located::{Node, Value},
};

/// Something that is probably not meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Risk {
    /// The path in the policy's own names.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
    /// The place, if it is not that of the path.
    pub span: Option<Range<usize>>,
}

impl Risk {
    fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { path: path.into(), message: message.into(), help: None, span: None }
    }

    fn with_help(self, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..self }
    }
}

/// What the same files say about the Envoy around a policy.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// The values of `x-sluice-backend` for which there is a route, or the clusters, if any route depends on the
    /// header.
    routes: Option<BTreeSet<String>>,
    /// The largest body that Envoy buffers, in bytes, if any file sets it.
    buffer: Option<u64>,
}

/// How long before a date it is said that it is near, in seconds: 30 days.
const NEAR: u64 = 30 * 24 * 60 * 60;

/// The header by which Envoy chooses a route.
const BACKEND: &str = "x-sluice-backend";

/// The namespaces of the resource attributes that SDKs set (OpenTelemetry semantic conventions, "Resource").
const OF_RESOURCES: [&str; 13] = [
    "service.",
    "deployment.",
    "telemetry.",
    "host.",
    "os.",
    "process.",
    "container.",
    "k8s.",
    "cloud.",
    "aws.",
    "gcp.",
    "faas.",
    "device.",
];

impl Surroundings {
    /// Reads every document of the files.
    #[must_use]
    pub fn of(documents: &[&Node]) -> Self {
        let mut found = Self::default();
        for document in documents {
            let mut clusters = BTreeSet::new();
            let mut by_cluster = false;
            found.node(document, &mut clusters, &mut by_cluster);
            if by_cluster {
                found.routes.get_or_insert_default().extend(clusters);
            }
        }
        found
    }

    fn node(&mut self, node: &Node, clusters: &mut BTreeSet<String>, by_cluster: &mut bool) {
        for (key, value) in node.entries() {
            match key.text.as_str() {
                // Istio's VirtualService.
                BACKEND => {
                    let exact = value.get("exact").and_then(Node::text);
                    if let Some(exact) = exact {
                        self.routes.get_or_insert_default().insert(exact.to_owned());
                    }
                }
                // Envoy's own routes: every cluster can be chosen.
                "cluster_header" => *by_cluster |= value.text() == Some(BACKEND),
                "clusters" => {
                    let names = value.items().iter().filter_map(|it| it.get("name")?.text());
                    clusters.extend(names.map(str::to_owned));
                }
                "request_body_buffer_limit" => {
                    if let Value::Number(number) = &value.value {
                        let limit = number.as_u64();
                        self.buffer = self.buffer.max(limit);
                    }
                }
                // The Gateway API: {name: x-sluice-backend, value: loki}.
                "name" if value.text() == Some(BACKEND) => {
                    if let Some(named) = node.get("value").and_then(Node::text) {
                        self.routes.get_or_insert_default().insert(named.to_owned());
                    }
                }
                _ => {}
            }
            self.node(value, clusters, by_cluster);
        }
        for item in node.items() {
            self.node(item, clusters, by_cluster);
        }
    }
}

/// What is risky in a policy that the gate accepts, at `now` in seconds since the epoch.
#[must_use]
pub fn risks(gate: &Gate, found: &Found, surroundings: &Surroundings, now: u64) -> Vec<Risk> {
    let policy = &found.policy;
    let json = policy.json();
    let mut risks = Vec::new();
    dates(policy, "", now, &mut risks);
    for warning in gate.warnings(now) {
        if !risks.iter().any(|risk| risk.path == warning.path) {
            risks.push(Risk::new(warning.path, warning.message));
        }
    }
    allowed(&json, &mut risks);
    metrics(policy, &mut risks);
    bursts(gate, policy, &mut risks);
    held(gate, found, surroundings, &mut risks);
    clusters(policy, surroundings, &mut risks);
    if found.form == Form::Written && found.holder.is_some() {
        booleans(policy, "", &mut risks);
    }
    risks
}

fn below(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// Every `until` that is past or near.
fn dates(node: &Node, path: &str, now: u64, risks: &mut Vec<Risk>) {
    for (key, value) in node.entries() {
        let path = below(path, &key.text);
        let time = value.text().filter(|_| key.text == "until");
        let time = time.and_then(|text| OffsetDateTime::parse(text, &Rfc3339).ok());
        if let Some(end) = time.and_then(|time| u64::try_from(time.unix_timestamp()).ok()) {
            let what = if path.contains(".keys[") { "key" } else { "entry" };
            if end <= now {
                let message = format!("this date has passed; the {what} no longer allows anyone");
                risks.push(
                    Risk::new(path.as_str(), message).with_help(format!("remove the {what}")),
                );
            } else if end - now <= NEAR {
                let days = (end - now).div_ceil(24 * 60 * 60);
                let plural = if days == 1 { "" } else { "s" };
                risks.push(Risk::new(
                    path.as_str(),
                    format!("the {what} ends in {days} day{plural}"),
                ));
            }
        }
        dates(value, &path, now, risks);
    }
    for (index, item) in node.items().iter().enumerate() {
        dates(item, &format!("{path}[{index}]"), now, risks);
    }
}

/// Allow entries that no sender can meet.
fn allowed(policy: &Json, risks: &mut Vec<Risk>) {
    let Some(entries) = policy.pointer("/senders/allow").and_then(Json::as_array) else { return };
    // The gate refuses a deny entry that no sender can meet, with the reason: so each allow entry is tried as one.
    let mut senders = policy["senders"].clone();
    let names = |entry: &Json| {
        let mut entry = entry.clone();
        if let Some(entry) = entry.as_object_mut() {
            entry.retain(|key, _| key != "from" && key != "until");
        }
        entry
    };
    senders["deny"] = entries.iter().map(names).collect();
    let tried = Gate::from_json(json!({ "senders": senders }).to_string().as_bytes());
    for problem in tried.err().unwrap_or_default() {
        if let Some(rest) = problem.path.strip_prefix("senders.deny") {
            risks.push(Risk::new(format!("senders.allow{rest}"), problem.message));
        }
    }
    let mut stated = Vec::new();
    let any = stated_namespaces(&policy["senders"]["identify"], &mut stated);
    let denied = policy.pointer("/senders/deny").and_then(Json::as_array);
    for (index, entry) in entries.iter().enumerate() {
        let path = format!("senders.allow[{index}].namespace");
        let namespace = entry["namespace"].as_str().unwrap_or_default();
        if !any && !stated.iter().any(|stated| overlap(stated, namespace)) {
            let message = format!(
                "no sender can match this entry: {namespace:?} is no namespace \
                                   that an API key or a forwarding gateway may name"
            );
            risks.push(Risk::new(path.as_str(), message));
        }
        let is_denied = |deny: &Json| {
            let covers = deny["namespace"].as_str().is_some_and(|glob| covers(glob, namespace));
            covers && deny.as_object().is_some_and(|deny| deny.len() == 1)
        };
        if let Some(deny) = denied.and_then(|denied| denied.iter().position(is_denied)) {
            let message = format!("senders.deny[{deny}] denies all that this entry allows");
            risks.push(Risk::new(path.as_str(), message));
        }
        let is_same = |earlier: &&Json| *earlier == entry;
        if let Some(earlier) = entries[..index].iter().position(|earlier| is_same(&earlier)) {
            risks.push(Risk::new(path.as_str(), format!("the same as senders.allow[{earlier}]")));
        }
    }
}

/// Collects the namespaces that sources with lists can state. Returns whether another source can state any.
fn stated_namespaces(sources: &Json, stated: &mut Vec<String>) -> bool {
    let mut any = false;
    for source in sources.as_array().into_iter().flatten() {
        any |= source.get("clientCertificate").is_some() || source.get("jwt").is_some();
        let texts = |list: Option<&Json>, key: &str| {
            let items = list.and_then(Json::as_array).cloned().unwrap_or_default();
            items.into_iter().map(|item| item[key].clone()).collect::<Vec<_>>()
        };
        let mut found = texts(source.pointer("/apiKey/keys"), "namespace");
        for list in texts(source.pointer("/forwarded/from"), "namespaces") {
            found.extend(list.as_array().cloned().unwrap_or_default());
        }
        stated.extend(found.iter().filter_map(Json::as_str).map(str::to_owned));
        any |= source.get("anyOf").is_some_and(|nested| stated_namespaces(nested, stated));
        // All of them must agree, so one with a list limits the others; what remains is not looked into.
        any |= source.get("allOf").is_some();
    }
    any
}

/// Whether two globs have a name in common.
fn overlap(one: &str, other: &str) -> bool {
    match (one.strip_suffix('*'), other.strip_suffix('*')) {
        (Some(one), Some(other)) => one.starts_with(other) || other.starts_with(one),
        (Some(prefix), None) => other.starts_with(prefix),
        (None, Some(prefix)) => one.starts_with(prefix),
        (None, None) => one == other,
    }
}

/// Whether every name of a glob is one of another.
fn covers(glob: &str, name: &str) -> bool {
    match glob.strip_suffix('*') {
        Some(prefix) => name.trim_end_matches('*').starts_with(prefix),
        None => glob == name,
    }
}

/// Rules that look for an attribute on data points, where SDKs do not set it.
fn metrics(policy: &Node, risks: &mut Vec<Risk>) {
    if policy.get("backends").is_none_or(|backends| backends.get("metrics").is_none()) {
        return;
    }
    let required = policy.get("records").and_then(|records| records.get("require"));
    for (index, rule) in required.map(Node::items).unwrap_or_default().iter().enumerate() {
        let attribute = rule.get("attribute").and_then(Node::text).unwrap_or_default();
        let level = rule.get("metrics").and_then(Node::text);
        let is_of_resources = OF_RESOURCES.iter().any(|prefix| attribute.starts_with(prefix));
        let path = format!("records.require[{index}]");
        if level == Some("datapoint") && is_of_resources {
            let message = format!(
                "SDKs set {attribute} on the resource and not on data points, so every metric from a plain SDK \
                 breaks this rule"
            );
            risks.push(Risk::new(format!("{path}.metrics"), message).with_help(HOW_METRICS));
        } else if level.is_none() {
            let message = format!(
                "{attribute} is looked for on each data point, where a plain SDK does not set what it sets on \
                 the resource"
            );
            risks.push(Risk::new(format!("{path}.attribute"), message).with_help(HOW_METRICS));
        }
    }
}

const HOW_METRICS: &str = "write metrics: resource if it is on the resource; write metrics: datapoint if senders copy it \
                           to their data points";

/// A batch that a request may have, and that Loki never takes.
fn bursts(gate: &Gate, policy: &Node, risks: &mut Vec<Risk>) {
    let backends = policy.get("backends").map(Node::entries).unwrap_or_default();
    for (signal, backend) in backends {
        let Some(Value::Number(burst)) = backend.get("burstBytes").map(|it| &it.value) else {
            continue;
        };
        let (burst, decoded) = (burst.as_u64().unwrap_or(0), gate.limits().decoded_bytes as u64);
        if burst < decoded {
            let message = format!(
                "limits.decodedBytes allows a batch of {decoded} bytes, and the backend never takes one of more than \
                 {burst}"
            );
            let help = "senders are told so for each such batch; lower limits.decodedBytes to refuse it at once";
            let path = format!("backends.{}.burstBytes", signal.text);
            risks.push(Risk::new(path, message).with_help(help));
        }
    }
}

/// Whether the Envoy around it can hold heads, and bodies as large as the limits.
fn held(gate: &Gate, found: &Found, surroundings: &Surroundings, risks: &mut Vec<Risk>) {
    if !gate.holds_headers() {
        return;
    }
    let setting = "allow_on_headers_stop_iteration";
    let allows = found
        .settings
        .as_ref()
        .map(|settings| settings.get(setting).is_some_and(|it| it.value == Value::Bool(true)));
    let holder = found.holder.as_deref().unwrap_or_default();
    let kind = holder.split(' ').next().unwrap_or_default();
    if matches!(kind, "WasmPlugin" | "TrafficExtension" | "EnvoyExtensionPolicy") {
        let message =
            format!("a {kind} cannot set {setting}, so every request would wait for ever");
        risks.push(Risk::new("holdHeaders", message).with_help("use an EnvoyFilter, or false"));
    } else if allows == Some(false) {
        let message =
            format!("the plugin does not set {setting}, so every request would wait for ever");
        risks.push(
            Risk::new("holdHeaders", message).with_help(format!("add {setting}: true to it")),
        );
    }
    let longest = gate.longest_forwarded() as u64;
    if let Some(buffer) = surroundings.buffer.filter(|buffer| *buffer < longest) {
        let message = format!(
            "a body that is forwarded decoded may have {longest} bytes, and request_body_buffer_limit is {buffer}"
        );
        let written = found.policy.get("limits").and_then(|limits| limits.get("decodedBytes"));
        let path = if written.is_some() { "limits.decodedBytes" } else { "holdHeaders" };
        let help =
            format!("set request_body_buffer_limit to {longest} at least, or lower decodedBytes");
        risks.push(Risk::new(path, message).with_help(help));
    }
}

/// Clusters that no route of the same files has.
fn clusters(policy: &Node, surroundings: &Surroundings, risks: &mut Vec<Risk>) {
    let (Some(routes), Some(backends)) = (&surroundings.routes, policy.get("backends")) else {
        return;
    };
    named_clusters(backends, "backends", routes, risks);
}

fn named_clusters(node: &Node, path: &str, routes: &BTreeSet<String>, risks: &mut Vec<Risk>) {
    for (key, value) in node.entries() {
        let path = below(path, &key.text);
        if matches!(key.text.as_str(), "cluster" | "grpcCluster")
            && let Some(cluster) = value.text()
            && !routes.contains(cluster)
        {
            let message = format!("no route or cluster in these files is named {cluster:?}");
            let meant = crate::shape::meant(cluster, routes.iter().map(String::as_str));
            let help = match meant {
                Some(meant) => format!("did you mean {meant}?"),
                None => {
                    let routes: Vec<_> = routes.iter().map(String::as_str).collect();
                    format!("there are {}", routes.join(", "))
                }
            };
            risks.push(Risk::new(path.as_str(), message).with_help(help));
        }
        named_clusters(value, &path, routes, risks);
    }
    for (index, item) in node.items().iter().enumerate() {
        named_clusters(item, &format!("{path}[{index}]"), routes, risks);
    }
}

/// Texts that YAML 1.1, which kubectl reads, takes for booleans.
fn booleans(node: &Node, path: &str, risks: &mut Vec<Risk>) {
    if let Value::Text(text, true) = &node.value {
        let folded = text.to_ascii_lowercase();
        if matches!(folded.as_str(), "yes" | "no" | "on" | "off" | "y" | "n") {
            let is = matches!(folded.as_str(), "yes" | "on" | "y");
            let message = format!("kubectl reads {text} without quotes as {is}");
            let risk = Risk::new(path, message).with_help(format!("write \"{text}\""));
            risks.push(Risk { span: Some(node.span.clone()), ..risk });
        }
    }
    for (key, value) in node.entries() {
        booleans(value, &below(path, &key.text), risks);
    }
    for (index, item) in node.items().iter().enumerate() {
        booleans(item, &format!("{path}[{index}]"), risks);
    }
}
