//! Finds the policies in a file: the file itself, or the plugin configurations in manifests and in Envoy's own.

use std::ops::Range;

use crate::located::{self, Fault, Key, Node, Value};

/// The keys of a policy.
pub const KEYS: [&str; 7] =
    ["senders", "tenant", "records", "backends", "limits", "otherPaths", "holdHeaders"];

/// A policy in a file.
#[derive(Clone, Debug)]
pub struct Found {
    /// The policy; its places are those in the file.
    pub policy: Node,
    /// What holds it: `WasmPlugin sluice`; `None` if it is the document itself.
    pub holder: Option<String>,
    /// How it reaches the module.
    pub form: Form,
    /// What surrounds it in the plugin's settings: the map with `allow_on_headers_stop_iteration`, if it is Envoy's.
    pub settings: Option<Node>,
    /// Which document of the file it is in, counted from 0.
    pub document: usize,
}

/// How a policy reaches the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Written as YAML or JSON, for a program that makes JSON of it.
    Written,
    /// As text in a `StringValue`.
    Text,
    /// In a `Struct`, which Envoy passes on in protobuf.
    Struct,
}

/// The policies in the documents of a file, and what cannot be read.
#[must_use]
pub fn policies(text: &str, documents: &[Node]) -> (Vec<Found>, Vec<Fault>) {
    let mut search = Search { text, found: Vec::new(), faults: Vec::new(), document: 0 };
    for (index, document) in documents.iter().enumerate() {
        search.document = index;
        search.document(document, documents.len() == 1);
    }
    (search.found, search.faults)
}

struct Search<'t> {
    text: &'t str,
    found: Vec<Found>,
    faults: Vec<Fault>,
    document: usize,
}

impl Search<'_> {
    fn document(&mut self, document: &Node, is_only: bool) {
        let kind = document.get("kind").and_then(Node::text);
        if kind.is_some() && document.get("apiVersion").is_some() {
            if kind == Some("List") {
                let items = document.get("items").map(Node::items).unwrap_or_default();
                return items.iter().for_each(|item| self.document(item, false));
            }
            let name = document.get("metadata").and_then(|metadata| metadata.get("name"));
            let name = name.and_then(Node::text).unwrap_or("without a name");
            let holder = format!("{} {name}", kind.unwrap_or_default());
            return self.within(document, &holder, kind == Some("EnvoyExtensionPolicy"));
        }
        if let Value::List(items) = &document.value {
            return items.iter().for_each(|item| self.patch(item));
        }
        let is_envoys = ["static_resources", "dynamic_resources", "node", "admin"]
            .into_iter()
            .any(|key| document.get(key).is_some());
        if is_envoys {
            self.within(document, "Envoy's configuration", false);
        } else if is_policy(document) || (is_only && !document.entries().is_empty()) {
            let has_plugin = self.found.len();
            // A patch or a fragment of Envoy's configuration may hold one too.
            if !is_policy(document) {
                self.within(document, "the document", false);
            }
            if self.found.len() == has_plugin {
                self.add(document.clone(), None, Form::Written, None);
            }
        }
    }

    fn add(&mut self, policy: Node, holder: Option<&str>, form: Form, settings: Option<&Node>) {
        // An alias stands for a policy that has been found.
        let is_same = |found: &Found| found.policy.span == policy.span;
        if self.found.iter().any(|found| found.document == self.document && is_same(found)) {
            return;
        }
        let (holder, settings) = (holder.map(str::to_owned), settings.cloned());
        self.found.push(Found { policy, holder, form, settings, document: self.document });
    }

    /// One operation of a JSON patch (RFC 6902), as kustomize reads them.
    fn patch(&mut self, operation: &Node) {
        let path = operation.get("path").and_then(Node::text).unwrap_or_default();
        let (Some(_), Some(value)) = (operation.get("op"), operation.get("value")) else { return };
        match &value.value {
            Value::Text(..) if path.ends_with("/configuration/value") => {
                self.text(value, "a patch", operation, None);
            }
            Value::Map(_) if path.ends_with("/pluginConfig") || path.ends_with("/config") => {
                if is_policy(value) {
                    self.add(value.clone(), Some("a patch"), Form::Written, None);
                }
            }
            _ => self.within(value, "a patch", false),
        }
    }

    /// Looks for plugin configurations below a node.
    fn within(&mut self, node: &Node, holder: &str, is_extension: bool) {
        for (key, value) in node.entries() {
            match (key.text.as_str(), &value.value) {
                ("pluginConfig", Value::Map(_)) if is_plausible(value, node) => {
                    self.add(value.clone(), Some(holder), Form::Written, None);
                }
                ("wasm", Value::List(items)) if is_extension => {
                    for item in items {
                        if let Some(config) = item.get("config").filter(|it| is_plausible(it, item))
                        {
                            self.add(config.clone(), Some(holder), Form::Written, None);
                        }
                    }
                }
                ("configuration", Value::Map(_)) if value.get("@type").is_some() => {
                    self.configuration(value, holder, node);
                }
                _ => self.within(value, holder, is_extension),
            }
        }
        node.items().iter().for_each(|item| self.within(item, holder, is_extension));
    }

    /// Envoy's `configuration` of a plugin: a `google.protobuf.Any` with a text or a struct.
    fn configuration(&mut self, any: &Node, holder: &str, settings: &Node) {
        let kind = any.get("@type").and_then(Node::text).unwrap_or_default();
        let Some(value) = any.get("value") else { return };
        if kind.ends_with("google.protobuf.StringValue") {
            self.text(value, holder, settings, Some(settings));
        } else if kind.ends_with("google.protobuf.Struct") && is_plausible(value, settings) {
            self.add(value.clone(), Some(holder), Form::Struct, Some(settings));
        }
    }

    /// A configuration as text, which must be JSON. `around` may say whose it is.
    fn text(&mut self, value: &Node, holder: &str, around: &Node, settings: Option<&Node>) {
        let Some(text) = value.text() else { return };
        let is_named = is_named_sluice(around);
        if !is_named && !KEYS.iter().any(|key| text.contains(key)) {
            return;
        }
        let place = Placed::of(self.text, &value.span, text);
        if let Err(error) = serde_json::from_str::<serde::de::IgnoredAny>(text) {
            let span = place.line_column(text, error.line(), error.column());
            let message = format!("the plugin's configuration is not JSON: {}", words(&error));
            return self.faults.push(Fault { span, message, other: None });
        }
        match located::documents(text) {
            Ok(documents) => {
                for mut policy in documents {
                    policy.relocate(&|range| place.range(range));
                    if is_named || is_policy(&policy) {
                        self.add(policy, Some(holder), Form::Text, settings);
                    }
                }
            }
            Err(faults) => self.faults.extend(faults.into_iter().map(|fault| Fault {
                span: place.range(fault.span),
                other: fault.other.map(|(span, what)| (place.range(span), what)),
                ..fault
            })),
        }
    }
}

/// An error of serde_json without its line and column, which count in another text.
#[must_use]
pub fn words(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rfind(" at line ") {
        Some(at) => text[..at].to_owned(),
        None => text,
    }
}

/// Whether a map has a key of a policy, or one that is nearly so.
#[must_use]
pub fn is_policy(node: &Node) -> bool {
    let is_near = |key: &Key| {
        let near = |known: &&str| strsim::jaro_winkler(&key.text, known) > 0.9;
        KEYS.iter().any(|known| key.text == *known || near(known))
    };
    node.entries().iter().any(|(key, _)| is_near(key))
}

/// Whether the configuration of a plugin with these settings may be Sluice's.
fn is_plausible(configuration: &Node, settings: &Node) -> bool {
    is_policy(configuration) || is_named_sluice(settings)
}

fn is_named_sluice(settings: &Node) -> bool {
    ["name", "root_id", "rootID", "pluginName", "url"].into_iter().any(|key| {
        settings.get(key).and_then(Node::text).is_some_and(|text| text.contains("sluice"))
    })
}

/// Where a text that YAML holds is in the file.
enum Placed {
    /// Byte for byte, from here on.
    Here(usize),
    /// Line for line: the first byte of each line, and how far it is indented.
    Lines(Vec<(usize, usize)>, Vec<usize>),
    /// With escapes or folded lines: only as a whole.
    Somewhere(Range<usize>),
}

impl Placed {
    fn of(file: &str, span: &Range<usize>, text: &str) -> Self {
        let written = file.get(span.clone()).unwrap_or_default();
        if let Some(at) = written.find(text) {
            return Self::Here(span.start + at);
        }
        // A block: its lines without their indentation. Its place may begin at the indicator or at the content.
        let from = file[..span.start].rfind('\n').map_or(0, |at| at + 1);
        let first = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
        let mut lines = Vec::new();
        let mut at = from;
        let mut wanted = text.lines().peekable();
        for line in file[from..].split_inclusive('\n') {
            let Some(next) = wanted.peek() else { break };
            let content = line.trim_end_matches(['\n', '\r']);
            let is_next = content.trim_start() == next.trim_start();
            if is_next && (!lines.is_empty() || *next == first) {
                lines.push((at, content.len().saturating_sub(next.len())));
                wanted.next();
            } else if !lines.is_empty() {
                return Self::Somewhere(span.clone());
            }
            at += line.len();
        }
        let mut start = 0;
        let starts = text.split_inclusive('\n').map(|line| {
            start += line.len();
            start - line.len()
        });
        match wanted.next() {
            None if !lines.is_empty() => Self::Lines(lines, starts.collect()),
            _ => Self::Somewhere(span.clone()),
        }
    }

    fn byte(&self, at: usize) -> Option<usize> {
        match self {
            Self::Here(from) => Some(from + at),
            Self::Lines(lines, starts) => {
                let line = starts.partition_point(|start| *start <= at).checked_sub(1)?;
                let (start, indent) = lines.get(line)?;
                Some(start + indent + (at - starts[line]))
            }
            Self::Somewhere(_) => None,
        }
    }

    fn range(&self, range: Range<usize>) -> Range<usize> {
        match (self, self.byte(range.start), self.byte(range.end)) {
            (_, Some(start), Some(end)) => start..end,
            (Self::Somewhere(span), ..) => span.clone(),
            (_, start, _) => start.unwrap_or(0)..start.unwrap_or(0),
        }
    }

    /// The place of a line and a column of the text, counted from 1.
    fn line_column(&self, text: &str, line: usize, column: usize) -> Range<usize> {
        let start: usize =
            text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
        let at = (start + column.saturating_sub(1)).min(text.len());
        self.range(at..at)
    }
}
