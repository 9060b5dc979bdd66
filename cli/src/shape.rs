//! Compares a document with a JSON Schema, and says every structural mistake in words: unknown keys, missing keys,
//! wrong types, unknown values.
//!
//! It knows the keywords that the policy's schema uses. The gate reads a policy once more, so what this overlooked
//! would be refused all the same.

use std::ops::Range;

use serde_json::Value as Json;

use crate::located::{Key, Node, Value};

/// A structural mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// The path, in the policy's own names: `senders.allow[2].until`.
    pub path: String,
    /// Its place in the text.
    pub span: Range<usize>,
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub help: Option<String>,
    /// The path of what cannot be read: that of a missing key, where `path` is of what lacks it.
    pub subject: String,
    /// The subject as a JSON pointer (RFC 6901).
    pub pointer: String,
    /// What to put there so that the rest can be read; `None` to take away what is there.
    pub instead: Option<Json>,
}

/// A place in a document, as people and as programs write it.
#[derive(Clone, Debug, Default)]
struct At {
    path: String,
    pointer: String,
}

impl At {
    fn key(&self, key: &str) -> Self {
        let dot = if self.path.is_empty() { "" } else { "." };
        let escaped = key.replace('~', "~0").replace('/', "~1");
        Self {
            path: format!("{}{dot}{key}", self.path),
            pointer: format!("{}/{escaped}", self.pointer),
        }
    }

    fn index(&self, index: usize) -> Self {
        let Self { path, pointer } = self;
        Self { path: format!("{path}[{index}]"), pointer: format!("{pointer}/{index}") }
    }

    fn named(&self) -> String {
        if self.path.is_empty() { "configuration".to_owned() } else { self.path.clone() }
    }
}

/// Puts a value where a pointer says, or takes away what is there.
fn put(json: &mut Json, pointer: &str, value: Option<&Json>) {
    if pointer.is_empty() {
        *json = value.cloned().unwrap_or_default();
    }
    let Some((parent, key)) = pointer.rsplit_once('/') else { return };
    let key = key.replace("~1", "/").replace("~0", "~");
    match (json.pointer_mut(parent), value) {
        (Some(Json::Object(members)), Some(value)) => {
            members.insert(key, value.clone());
        }
        (Some(Json::Object(members)), None) => {
            members.remove(&key);
        }
        (Some(Json::Array(items)), Some(value)) => {
            if let Some(item) = key.parse().ok().and_then(|index: usize| items.get_mut(index)) {
                *item = value.clone();
            }
        }
        _ => {}
    }
}

/// Every structural mistake in a document.
#[must_use]
pub fn mistakes(schema: &Json, document: &Node) -> Vec<Mistake> {
    compared(schema, document).mistakes
}

/// A document without its structural mistakes, for what reads the rest; the mistakes; and the paths at which the
/// document says nothing any more that its author meant.
#[must_use]
pub fn mended(schema: &Json, document: &Node) -> (Json, Vec<Mistake>, Vec<String>) {
    let Walk { mistakes, fillers, .. } = compared(schema, document);
    let mut json = document.json();
    for Mistake { pointer, instead, .. } in &mistakes {
        put(&mut json, pointer, instead.as_ref());
    }
    let mut subjects: Vec<String> = mistakes.iter().map(|it| it.subject.clone()).collect();
    for (At { path, pointer }, filler) in fillers {
        put(&mut json, &pointer, Some(&filler));
        subjects.push(path);
    }
    (json, mistakes, subjects)
}

fn compared<'s>(schema: &'s Json, document: &Node) -> Walk<'s> {
    let mut walk = Walk { root: schema, mistakes: Vec::new(), fillers: Vec::new() };
    walk.value(schema, document, &At::default(), document.span.clone(), true);
    walk
}

struct Walk<'s> {
    root: &'s Json,
    mistakes: Vec<Mistake>,
    /// What is missing only because it is misspelt.
    fillers: Vec<(At, Json)>,
}

/// The most similar of the known names, if one is similar enough to be meant.
#[must_use]
pub fn meant<'k>(name: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let folded = |text: &str| text.to_lowercase().replace(['_', '-'], "");
    let name = folded(name);
    let similar = known.into_iter().map(|known| {
        let other = folded(known);
        let distance = strsim::damerau_levenshtein(&name, &other);
        (distance, strsim::jaro_winkler(&name, &other), known)
    });
    let close = similar
        .filter(|(distance, similarity, known)| *distance * 3 <= known.len() || *similarity > 0.9);
    close
        .min_by(|one, other| one.0.cmp(&other.0).then(other.1.total_cmp(&one.1)))
        .map(|(.., known)| known)
}

impl<'s> Walk<'s> {
    fn add(
        &mut self,
        at: &At,
        span: Range<usize>,
        (message, help): (String, Option<String>),
        instead: Option<Json>,
    ) {
        let (path, pointer) = (at.named(), at.pointer.clone());
        let subject = path.clone();
        self.mistakes.push(Mistake { path, span, message, help, subject, pointer, instead });
    }

    /// The smallest value that a schema allows.
    fn smallest(&self, schema: &'s Json) -> Json {
        let Some(one) = self.alternatives(schema).first().copied() else { return Json::Null };
        if let Some(value) = values(one).and_then(|values| values.first().copied()) {
            return value.into();
        }
        match types(one).first().copied() {
            Some("array") => Json::Array(Vec::new()),
            Some("boolean") => false.into(),
            Some("integer" | "number") => 1.into(),
            Some("object") => {
                let required = one.get("required").and_then(Json::as_array).into_iter().flatten();
                let member = |key: &Json| {
                    let key = key.as_str()?;
                    let (_, schema) = properties(one).find(|(known, _)| *known == key)?;
                    Some((key.to_owned(), self.smallest(schema)))
                };
                Json::Object(required.filter_map(member).collect())
            }
            _ => "placeholder".into(),
        }
    }

    fn resolved(&self, mut schema: &'s Json) -> &'s Json {
        while let Some(reference) = schema.get("$ref").and_then(Json::as_str) {
            let Some(found) = self.root.pointer(reference.trim_start_matches('#')) else { break };
            schema = found;
        }
        schema
    }

    /// The alternatives of a schema without that of `null`; only itself if it has none.
    fn alternatives(&self, schema: &'s Json) -> Vec<&'s Json> {
        let schema = self.resolved(schema);
        for keyword in ["oneOf", "anyOf"] {
            if let Some(alternatives) = schema.get(keyword).and_then(Json::as_array) {
                let alternatives = alternatives.iter().flat_map(|one| self.alternatives(one));
                return alternatives.filter(|one| types(one) != ["null"]).collect();
            }
        }
        vec![schema]
    }

    /// `key_span` is the place of the key that has this value. Without the value, what is around it can be read only if
    /// it is not `needed`.
    fn value(
        &mut self,
        schema: &'s Json,
        node: &Node,
        at: &At,
        key_span: Range<usize>,
        needed: bool,
    ) {
        let alternatives = self.alternatives(schema);
        let fitting: Vec<_> =
            alternatives.iter().copied().filter(|one| fits(one, &node.value)).collect();
        if fitting.is_empty() {
            // A key without a value is `null`, which serde takes for an optional value that is left out.
            if node.value == Value::Null && allows_null(schema, self.resolved(schema)) {
                return;
            }
            let mut wanted: Vec<&str> = alternatives.iter().flat_map(|one| in_words(one)).collect();
            wanted.dedup();
            let message = format!("must be {}, not {}", wanted.join(" or "), of(&node.value));
            let span = if node.span.is_empty() { key_span } else { node.span.clone() };
            let instead = needed.then(|| self.smallest(schema));
            return self.add(at, span, (message, example(schema)), instead);
        }
        match &node.value {
            Value::Map(entries) => self.map(&fitting, node, entries, at, key_span),
            Value::List(items) => {
                if let Some(schema) = fitting.iter().find_map(|one| one.get("items")) {
                    for (index, item) in items.iter().enumerate() {
                        self.value(schema, item, &at.index(index), item.span.clone(), true);
                    }
                }
            }
            Value::Text(text, _) => {
                if let Some(help) = unknown(&fitting, &alternatives, text) {
                    let instead = needed.then(|| self.smallest(schema));
                    let message = format!("unknown value {text:?}");
                    self.add(at, node.span.clone(), (message, Some(help)), instead);
                }
            }
            Value::Number(_) | Value::Bool(_) | Value::Null => {}
        }
    }

    fn map(
        &mut self,
        fitting: &[&'s Json],
        node: &Node,
        entries: &[(Key, Node)],
        at: &At,
        key_span: Range<usize>,
    ) {
        // Of several maps, the one that knows a key; serde's enums have one key each.
        let knows = |one: &&'s Json| {
            entries.iter().any(|(key, _)| properties(one).any(|(known, _)| known == key.text))
        };
        let chosen = match fitting {
            [only] => Some(*only),
            several => several.iter().copied().find(knows),
        };
        let known: Vec<&str> = match chosen {
            Some(chosen) => properties(chosen).map(|(key, _)| key).collect(),
            None => fitting.iter().flat_map(|one| properties(one)).map(|(key, _)| key).collect(),
        };
        let Some(schema) = chosen.or_else(|| fitting.first().copied()) else { return };
        let required: Vec<&str> = match chosen {
            Some(chosen) => texts(chosen.get("required")).collect(),
            None => Vec::new(),
        };
        let others = schema.get("additionalProperties");
        let mut misspelt = Vec::new();
        for (key, value) in entries {
            let at = at.key(&key.text);
            let needed = required.contains(&key.text.as_str());
            let known_schema = properties(schema).find(|(known, _)| *known == key.text);
            if let Some((_, schema)) = known_schema.filter(|_| chosen.is_some()) {
                self.value(schema, value, &at, key.span.clone(), needed);
            } else if let Some(schema) = others.filter(|others| others.is_object()) {
                self.value(schema, value, &at, key.span.clone(), false);
            } else if others == Some(&Json::Bool(false)) {
                let absent = known.iter().copied().filter(|known| node.get(known).is_none());
                let meant = meant(&key.text, absent);
                misspelt.extend(meant);
                let help = meant.map(|meant| format!("did you mean {meant}?"));
                let help = help.unwrap_or_else(|| self.elsewhere(&key.text, &known));
                let message = format!("unknown key {:?}", key.text);
                self.add(&at, key.span.clone(), (message, Some(help)), None);
            }
        }
        if chosen.is_none() && entries.is_empty() {
            let known: Vec<String> = known.iter().map(|key| (*key).to_owned()).collect();
            let message = format!("must have a key: {}", listed(&known));
            let instead = Some(self.smallest(schema));
            self.add(at, node.span.clone(), (message, None), instead);
        } else if chosen.is_none() {
            // None of the alternatives is meant, so nothing of it can be read.
            let instead = fitting.first().map(|one| self.smallest(one));
            if let Some(mistake) = self.mistakes.last_mut() {
                (mistake.pointer, mistake.instead) = (at.pointer.clone(), instead);
                mistake.subject = at.named();
            }
        }
        for key in required {
            if node.get(key).is_some() {
                continue;
            }
            let of_key = properties(schema).find(|(known, _)| *known == key);
            let instead = of_key.map(|(_, schema)| self.smallest(schema));
            let described = of_key.and_then(|(_, schema)| schema.get("description")?.as_str());
            let help = described.map(|text| {
                let text = text.lines().next().unwrap_or_default();
                format!("{key}: {text}")
            });
            let message = format!("the key {key:?} is missing");
            if misspelt.contains(&key) {
                // It is there, under another name, which is said already.
                if let Some(instead) = instead {
                    self.fillers.push((at.key(key), instead));
                }
                continue;
            }
            let At { path: subject, pointer } = at.key(key);
            let (path, span) = (at.named(), key_span.clone());
            let mistake = Mistake { path, span, message, help, subject, pointer, instead };
            self.mistakes.push(mistake);
        }
    }

    /// What may be meant by a key that is not known here: the same in another place.
    fn elsewhere(&self, key: &str, known: &[&str]) -> String {
        let mut places = Vec::new();
        self.places(self.root, key, String::new(), 0, &mut places);
        places.sort_by_key(String::len);
        match places.first() {
            Some(place) if places.len() <= 4 => format!("the key belongs in {place}"),
            _ => {
                let known: Vec<String> = known.iter().map(|key| (*key).to_owned()).collect();
                format!("use {}", listed(&known))
            }
        }
    }

    /// The paths of the maps that know a key.
    fn places(
        &self,
        schema: &'s Json,
        key: &str,
        path: String,
        depth: usize,
        to: &mut Vec<String>,
    ) {
        // As deep as policies are without `allOf` and `anyOf`, which have themselves in them.
        const DEEPEST: usize = 6;
        if depth > DEEPEST {
            return;
        }
        for one in self.alternatives(schema) {
            if let Some(items) = one.get("items") {
                self.places(items, key, format!("{path}[]"), depth + 1, to);
            }
            for (name, schema) in properties(one) {
                if name == key && !path.is_empty() && !to.contains(&path) {
                    to.push(path.clone());
                }
                if matches!(name, "allOf" | "anyOf") {
                    continue;
                }
                let path = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
                self.places(schema, key, path, depth + 1, to);
            }
        }
    }
}

/// What to write instead of a text; `None` if the schema allows it.
fn unknown(fitting: &[&Json], alternatives: &[&Json], text: &str) -> Option<String> {
    let mut known = Vec::new();
    for schema in fitting {
        known.extend(values(schema)?);
    }
    if known.contains(&text) {
        return None;
    }
    let keys = alternatives.iter().flat_map(|one| properties(one)).map(|(key, _)| key);
    let mut all: Vec<String> = known.iter().map(|value| (*value).to_owned()).collect();
    all.extend(keys.map(|key| format!("{{{key}: ..}}")));
    Some(match meant(text, known.iter().copied()) {
        Some(meant) => format!("did you mean {meant}?"),
        None => format!("use {}", listed(&all)),
    })
}

fn texts(list: Option<&Json>) -> impl Iterator<Item = &str> {
    list.and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str)
}

fn properties(schema: &Json) -> impl Iterator<Item = (&str, &Json)> {
    let properties = schema.get("properties").and_then(Json::as_object).into_iter().flatten();
    properties.map(|(key, schema)| (key.as_str(), schema))
}

/// The types that a schema allows; none if it does not say.
fn types(schema: &Json) -> Vec<&str> {
    match schema.get("type") {
        Some(Json::String(one)) => vec![one],
        Some(Json::Array(several)) => several.iter().filter_map(Json::as_str).collect(),
        _ if schema.get("const").is_some() || schema.get("enum").is_some() => vec!["string"],
        _ => Vec::new(),
    }
}

/// The only texts that a schema allows; `None` if it allows any.
fn values(schema: &Json) -> Option<Vec<&str>> {
    if let Some(one) = schema.get("const") {
        return Some(one.as_str().into_iter().collect());
    }
    Some(schema.get("enum")?.as_array()?.iter().filter_map(Json::as_str).collect())
}

fn allows_null(schema: &Json, resolved: &Json) -> bool {
    let is_null = |one: &Json| types(one).contains(&"null");
    let has_null = |schema: &Json| {
        let alternatives = ["oneOf", "anyOf"].into_iter().filter_map(|key| schema.get(key));
        is_null(schema) || alternatives.filter_map(Json::as_array).flatten().any(is_null)
    };
    has_null(schema) || has_null(resolved)
}

fn fits(schema: &Json, value: &Value) -> bool {
    let types = types(schema);
    let is = |name: &str| types.contains(&name);
    types.is_empty()
        || match value {
            Value::Null => is("null"),
            Value::Bool(_) => is("boolean"),
            Value::Number(number) => {
                let is_in_range = || {
                    let bound = |keyword: &str| schema.get(keyword).and_then(Json::as_f64);
                    let number = number.as_f64().unwrap_or(f64::NAN);
                    bound("minimum").is_none_or(|least| number >= least)
                        && bound("maximum").is_none_or(|most| number <= most)
                };
                (is("number") || (is("integer") && !number.is_f64())) && is_in_range()
            }
            Value::Text(..) => is("string"),
            Value::List(_) => is("array"),
            Value::Map(_) => is("object"),
        }
}

fn in_words(schema: &Json) -> Vec<&'static str> {
    let is_unsigned = schema.get("minimum").and_then(Json::as_f64) == Some(0.0);
    let word = |name| match name {
        "array" => Some("a list"),
        "boolean" => Some("true or false"),
        "integer" if is_unsigned => Some("a whole number that is not negative"),
        "integer" => Some("a whole number"),
        "number" => Some("a number"),
        "object" => Some("a map"),
        "string" => Some("a text"),
        _ => None,
    };
    types(schema).into_iter().filter_map(word).collect()
}

fn of(value: &Value) -> String {
    match value {
        Value::Null => "empty".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Number(number) => format!("the number {number}"),
        Value::Text(..) => "a text".to_owned(),
        Value::List(_) => "a list".to_owned(),
        Value::Map(_) => "a map".to_owned(),
    }
}

/// A value that would be right, if the schema has one.
fn example(schema: &Json) -> Option<String> {
    let example = schema.get("examples")?.as_array()?.first()?;
    Some(format!("such as {example}"))
}

fn listed(names: &[String]) -> String {
    match names {
        [] => "nothing".to_owned(),
        [one] => one.clone(),
        [all @ .., last] => format!("{} or {last}", all.join(", ")),
    }
}
