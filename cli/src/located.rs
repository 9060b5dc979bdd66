//! YAML and JSON in which every key and value knows its place in the text. JSON is read as YAML, of which it is a
//! subset.

use std::{collections::HashMap, ops::Range};

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Span, SpannedEventReceiver, Tag};
use serde_json::{Map, Number, Value as Json};

/// A value and its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Its place in the text, in bytes.
    pub span: Range<usize>,
    /// The value.
    pub value: Value,
}

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `null`, `~` or nothing.
    Null,
    /// A boolean.
    Bool(bool),
    /// A number that JSON can express.
    Number(Number),
    /// A text, and whether it is written without quotes.
    Text(String, bool),
    /// A list.
    List(Vec<Node>),
    /// A map, in the order in which it is written.
    Map(Vec<(Key, Node)>),
}

/// A key of a map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// Its place in the text, in bytes.
    pub span: Range<usize>,
    /// The key.
    pub text: String,
}

/// Why a text cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Where, in bytes.
    pub span: Range<usize>,
    /// What is wrong.
    pub message: String,
    /// Another place that the message is about, and what it is.
    pub other: Option<(Range<usize>, &'static str)>,
}

impl Fault {
    fn at(span: Range<usize>, message: impl Into<String>) -> Self {
        Self { span, message: message.into(), other: None }
    }
}

/// The deepest nesting that is read. Policies and manifests have about twenty levels.
const MAX_DEPTH: usize = 100;

/// The most values that are read, with what aliases stand for. A text may name a value many times (`*x`).
const MAX_NODES: usize = 300_000;

const TOO_MANY: &str = "more than 300,000 values";

/// Reads every document in a text.
///
/// # Errors
/// Every fault that [`read`] finds.
pub fn documents(text: &str) -> Result<Vec<Node>, Vec<Fault>> {
    match read(text) {
        (Some(documents), faults) if faults.is_empty() => Ok(documents),
        (_, faults) => Err(faults),
    }
}

/// Reads every document in a text, and what is wrong with it. `None` if it is not YAML, which cannot be read on behind
/// the first fault; a key that occurs twice does not hinder reading.
#[must_use]
pub fn read(text: &str) -> (Option<Vec<Node>>, Vec<Fault>) {
    let offsets = Offsets::of(text);
    let mut builder = Builder::new(&offsets);
    let mut parser = Parser::new_from_str(text);
    if let Err(error) = parser.load(&mut builder, true) {
        let at = offsets.byte(*error.marker());
        builder.give_up(at..at, format!("not valid YAML: {}", error.info()));
    }
    let Builder { documents, faults, lost, .. } = builder;
    ((!lost).then_some(documents), faults)
}

impl Node {
    /// The value as JSON.
    #[must_use]
    pub fn json(&self) -> Json {
        match &self.value {
            Value::Null => Json::Null,
            Value::Bool(value) => Json::Bool(*value),
            Value::Number(number) => Json::Number(number.clone()),
            Value::Text(text, _) => Json::String(text.clone()),
            Value::List(items) => Json::Array(items.iter().map(Self::json).collect()),
            Value::Map(entries) => {
                let members = entries.iter().map(|(key, value)| (key.text.clone(), value.json()));
                Json::Object(members.collect::<Map<_, _>>())
            }
        }
    }

    /// The entries, if this is a map.
    #[must_use]
    pub fn entries(&self) -> &[(Key, Self)] {
        match &self.value {
            Value::Map(entries) => entries,
            _ => &[],
        }
    }

    /// The items, if this is a list.
    #[must_use]
    pub fn items(&self) -> &[Self] {
        match &self.value {
            Value::List(items) => items,
            _ => &[],
        }
    }

    /// The value of a key, if this is a map that has it.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Self> {
        self.entries().iter().find(|(name, _)| name.text == key).map(|(_, value)| value)
    }

    /// The text, if this is one.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text, _) => Some(text),
            _ => None,
        }
    }

    /// Moves every place in it.
    pub fn relocate(&mut self, place: &impl Fn(Range<usize>) -> Range<usize>) {
        self.span = place(self.span.clone());
        match &mut self.value {
            Value::List(items) => items.iter_mut().for_each(|item| item.relocate(place)),
            Value::Map(entries) => {
                for (key, value) in entries {
                    key.span = place(key.span.clone());
                    value.relocate(place);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(..) => {}
        }
    }
}

/// Where the characters of a text begin. The parser counts characters; everything else here counts bytes.
struct Offsets<'t> {
    text: &'t str,
    /// The bytes at which the characters begin; `None` if each has one byte.
    starts: Option<Vec<usize>>,
}

impl<'t> Offsets<'t> {
    fn of(text: &'t str) -> Self {
        let starts = || text.char_indices().map(|(at, _)| at).collect();
        Self { text, starts: (!text.is_ascii()).then(starts) }
    }

    fn byte(&self, marker: Marker) -> usize {
        let byte = match &self.starts {
            Some(starts) => starts.get(marker.index()).copied(),
            None => Some(marker.index()),
        };
        byte.unwrap_or(self.text.len()).min(self.text.len())
    }

    /// A place without what surrounds it: the parser's spans of plain texts may contain the space behind them.
    fn range(&self, span: Span) -> Range<usize> {
        let (start, end) = (self.byte(span.start), self.byte(span.end));
        let within = self.text.get(start..end.max(start)).unwrap_or_default();
        start..start + within.trim_end().len()
    }
}

struct Builder<'o> {
    offsets: &'o Offsets<'o>,
    documents: Vec<Node>,
    open: Vec<Open>,
    anchors: HashMap<usize, (Node, usize)>,
    nodes: usize,
    faults: Vec<Fault>,
    /// A fault after which the rest makes no sense.
    lost: bool,
}

/// A list or a map whose end has not come.
struct Open {
    start: usize,
    anchor: usize,
    nodes_before: usize,
    kind: Kind,
}

enum Kind {
    List(Vec<Node>),
    Map(Vec<(Key, Node)>, Option<Key>),
}

impl<'o> Builder<'o> {
    fn new(offsets: &'o Offsets<'o>) -> Self {
        Self {
            offsets,
            documents: Vec::new(),
            open: Vec::new(),
            anchors: HashMap::new(),
            nodes: 0,
            faults: Vec::new(),
            lost: false,
        }
    }

    fn fault(&mut self, span: Range<usize>, message: impl Into<String>) {
        self.faults.push(Fault::at(span, message));
    }

    fn give_up(&mut self, span: Range<usize>, message: impl Into<String>) {
        self.fault(span, message);
        self.lost = true;
    }

    fn open(&mut self, span: Span, anchor: usize, kind: Kind) {
        let start = self.offsets.range(span).start;
        if self.open.len() >= MAX_DEPTH {
            self.give_up(start..start, format!("nested more than {MAX_DEPTH} levels deep"));
        } else {
            self.open.push(Open { start, anchor, nodes_before: self.nodes, kind });
        }
    }

    fn close(&mut self, span: Span) {
        let Some(Open { start, anchor, nodes_before, kind }) = self.open.pop() else { return };
        let mut end = self.offsets.range(span).end;
        let value = match kind {
            Kind::List(items) => {
                end = end.max(items.last().map_or(0, |item| item.span.end));
                Value::List(items)
            }
            Kind::Map(entries, _) => {
                end = end.max(entries.last().map_or(0, |(_, value)| value.span.end));
                Value::Map(self.merged(entries))
            }
        };
        // In block style, the end is where the next thing begins.
        let written = self.offsets.text.get(start..end).unwrap_or_default();
        let node = Node { span: start..start + written.trim_end().len(), value };
        self.keep(anchor, &node, self.nodes - nodes_before);
        self.add(node);
    }

    fn keep(&mut self, anchor: usize, node: &Node, nodes: usize) {
        if anchor > 0 {
            self.anchors.insert(anchor, (node.clone(), nodes + 1));
        }
    }

    /// Merge keys (`<<: *base`, <https://yaml.org/type/merge.html>), which `kubectl` reads too.
    fn merged(&mut self, entries: Vec<(Key, Node)>) -> Vec<(Key, Node)> {
        if !entries.iter().any(|(key, _)| key.text == "<<") {
            return entries;
        }
        let (bases, mut merged): (Vec<_>, Vec<_>) =
            entries.into_iter().partition(|(key, _)| key.text == "<<");
        for (key, base) in bases {
            let maps = match base.value {
                Value::List(items) => items,
                _ => vec![base],
            };
            for map in maps {
                let Value::Map(entries) = map.value else {
                    self.fault(key.span.clone(), "`<<` needs a map, or a list of maps");
                    continue;
                };
                for (key, value) in entries {
                    if !merged.iter().any(|(known, _)| known.text == key.text) {
                        merged.push((key, value));
                    }
                }
            }
        }
        merged
    }

    fn add(&mut self, node: Node) {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            return self.give_up(node.span, TOO_MANY);
        }
        let Some(Open { kind, .. }) = self.open.last_mut() else {
            return self.documents.push(node);
        };
        match kind {
            Kind::List(items) => items.push(node),
            Kind::Map(entries, waiting) => match waiting.take() {
                Some(key) => {
                    let twice = entries.iter().find(|(known, _)| known.text == key.text);
                    if let Some((first, _)) = twice.filter(|_| key.text != "<<") {
                        self.faults.push(Fault {
                            span: key.span.clone(),
                            message: format!("the key {:?} occurs twice", key.text),
                            other: Some((first.span.clone(), "first here")),
                        });
                    }
                    entries.push((key, node));
                }
                None => {
                    let text = match node.value {
                        Value::Text(text, _) => text,
                        Value::Null => "null".to_owned(),
                        Value::Bool(value) => value.to_string(),
                        Value::Number(number) => number.to_string(),
                        Value::List(_) | Value::Map(_) => {
                            return self.give_up(node.span, "a key must be a text");
                        }
                    };
                    *waiting = Some(Key { span: node.span, text });
                }
            },
        }
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, tag: Option<&Tag>, span: Range<usize>) {
        let tag = tag.filter(|tag| tag.is_yaml_core_schema()).map(|tag| tag.suffix.as_str());
        let value = match (style, tag) {
            (_, Some("str")) => Value::Text(text.to_owned(), false),
            (ScalarStyle::Plain, _) | (_, Some("int" | "float" | "bool" | "null")) => {
                match plain(text) {
                    Some(value) => value,
                    None => {
                        let message = format!("{text} is a number that JSON cannot express");
                        return self.give_up(span, message);
                    }
                }
            }
            _ => Value::Text(text.to_owned(), false),
        };
        self.add(Node { span, value });
    }
}

impl<'input> SpannedEventReceiver<'input> for Builder<'_> {
    fn on_event(&mut self, event: Event<'input>, span: Span) {
        if self.lost {
            return;
        }
        match event {
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd => {}
            Event::Alias(anchor) => match self.anchors.get(&anchor) {
                Some((node, nodes)) => {
                    let span = self.offsets.range(span);
                    self.nodes += nodes;
                    if self.nodes > MAX_NODES {
                        self.give_up(span, TOO_MANY);
                    } else {
                        let value = node.value.clone();
                        self.add(Node { span, value });
                    }
                }
                None => {
                    let span = self.offsets.range(span);
                    self.give_up(span, "an alias of nothing that is complete");
                }
            },
            Event::Scalar(text, style, anchor, tag) => {
                let span = self.offsets.range(span);
                self.scalar(&text, style, tag.as_deref(), span);
                if anchor > 0
                    && let Some(node) = self.last().cloned()
                {
                    self.keep(anchor, &node, 0);
                }
            }
            Event::SequenceStart(anchor, _) => self.open(span, anchor, Kind::List(Vec::new())),
            Event::MappingStart(anchor, _) => {
                self.open(span, anchor, Kind::Map(Vec::new(), None));
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(span),
        }
    }
}

impl Builder<'_> {
    /// The value that was added last, unless it is a key.
    fn last(&self) -> Option<&Node> {
        match self.open.last() {
            None => self.documents.last(),
            Some(Open { kind: Kind::List(items), .. }) => items.last(),
            Some(Open { kind: Kind::Map(entries, None), .. }) => {
                entries.last().map(|(_, value)| value)
            }
            Some(Open { kind: Kind::Map(_, Some(_)), .. }) => None,
        }
    }
}

/// A text without quotes by the core schema (YAML 1.2.2, section 10.3.2). `None` if it is a number that JSON cannot
/// express.
fn plain(text: &str) -> Option<Value> {
    Some(match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        _ => match number(text) {
            Some(number) => Value::Number(number?),
            None => Value::Text(text.to_owned(), true),
        },
    })
}

/// The number, if a text is one; `Some(None)` if JSON cannot express it.
fn number(text: &str) -> Option<Option<Number>> {
    let unsigned = text.trim_start_matches(['-', '+']);
    if text.len() - unsigned.len() > 1 {
        return None;
    }
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN") {
        return Some(None);
    }
    for (prefix, radix) in [("0x", 16), ("0o", 8)] {
        if let Some(digits) = text.strip_prefix(prefix)
            && !digits.is_empty()
            && digits.chars().all(|digit| digit.is_digit(radix))
        {
            return Some(u64::from_str_radix(digits, radix).ok().map(Number::from));
        }
    }
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if digits(unsigned) {
        let whole = text.strip_prefix('+').unwrap_or(text);
        let number = whole.parse::<i64>().map(Number::from);
        return Some(number.or_else(|_| whole.parse::<u64>().map(Number::from)).ok());
    }
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let is_mantissa = (whole.is_empty() || digits(whole))
        && (fraction.is_empty() || digits(fraction))
        && !(whole.is_empty() && fraction.is_empty());
    let is_exponent = exponent
        .is_none_or(|exponent| digits(exponent.strip_prefix(['-', '+']).unwrap_or(exponent)));
    (is_mantissa && is_exponent).then(|| text.parse().ok().and_then(Number::from_f64))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Node {
        documents(text).unwrap().remove(0)
    }

    #[test]
    fn a_text_is_read_as_json_would_be_written() {
        let text = "a: 1\nb: [x, 'y', \"z\\n\", ~, true]\nc:\n  d: |\n    e\n  f: -2.5\n";
        let expected = serde_json::json!({
            "a": 1, "b": ["x", "y", "z\n", null, true], "c": {"d": "e\n", "f": -2.5},
        });
        assert_eq!(read(text).json(), expected);
        let json = "{\n\t\"a\": [1, 2.0, \"x: y\", {}],\n\t\"b\": {\"c\": null}\n}\n";
        assert_eq!(read(json).json(), serde_json::from_str::<Json>(json).unwrap());
    }

    #[test]
    fn every_value_has_its_place() {
        let text = "# é\na: {b: [x,  yé ]}\nc:\n  - d: \"q\"\n    e: 12\nf: |\n  one\n  two\n";
        let node = read(text);
        let shown = |node: &Node| text[node.span.clone()].to_owned();
        assert_eq!(shown(&node.get("a").unwrap().get("b").unwrap().items()[1]), "yé");
        let item = &node.get("c").unwrap().items()[0];
        assert_eq!(shown(item.get("d").unwrap()), "\"q\"");
        assert_eq!(shown(item.get("e").unwrap()), "12");
        assert_eq!(shown(item), "d: \"q\"\n    e: 12");
        assert_eq!(text[node.entries()[1].0.span.clone()], *"c");
        assert_eq!(shown(node.get("a").unwrap()), "{b: [x,  yé ]}");
        assert!(
            shown(node.get("f").unwrap()).ends_with("two"),
            "{:?}",
            shown(node.get("f").unwrap())
        );
    }

    #[test]
    fn aliases_and_merge_keys_are_read() {
        let text = "base: &b {a: 1, b: 2}\nx: *b\ny: {<<: *b, b: 3}\ns: &s text\nt: *s\n";
        let json = read(text).json();
        assert_eq!(json["x"], serde_json::json!({"a": 1, "b": 2}));
        assert_eq!(json["y"], serde_json::json!({"a": 1, "b": 3}));
        assert_eq!(json["t"], "text");
    }

    #[test]
    fn what_cannot_be_read_is_a_fault_at_its_place() {
        for (text, place, says) in [
            ("a: 1\nb: 2\na: 3\n", 10..11, "occurs twice"),
            ("a: [1\nb: 2\n", 7..7, "not valid YAML"),
            ("a: .inf\n", 3..7, "JSON cannot express"),
            ("a: *x\n", 3..3, "not valid YAML"),
            ("? [a]\n: 1\n", 2..5, "a key must be a text"),
        ] {
            let faults = documents(text).unwrap_err();
            assert_eq!(faults.len(), 1, "{text:?}: {faults:?}");
            assert!(faults[0].message.contains(says), "{text:?}: {faults:?}");
            assert_eq!(faults[0].span, place, "{text:?}: {faults:?}");
        }
    }

    #[test]
    fn neither_depth_nor_aliases_take_more_than_their_limit() {
        let deep = "[".repeat(MAX_DEPTH + 1);
        assert!(documents(&deep).unwrap_err()[0].message.contains("levels deep"));
        let mut laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..9 {
            let before = format!("*a{}, ", level - 1).repeat(10);
            laughs.push_str(&format!("a{level}: &a{level} [{before}]\n"));
        }
        let faults = documents(&laughs).unwrap_err();
        assert!(faults[0].message.contains("more than"), "{faults:?}");
    }

    #[test]
    fn numbers_are_those_of_the_core_schema() {
        for (text, expected) in [
            ("12", serde_json::json!(12)),
            ("-3", serde_json::json!(-3)),
            ("+4", serde_json::json!(4)),
            ("0x10", serde_json::json!(16)),
            ("0o17", serde_json::json!(15)),
            ("1.5e3", serde_json::json!(1500.0)),
            (".5", serde_json::json!(0.5)),
            ("18446744073709551615", serde_json::json!(u64::MAX)),
            ("1.2.3", serde_json::json!("1.2.3")),
            ("12ab", serde_json::json!("12ab")),
            ("-.", serde_json::json!("-.")),
            ("2027-06-30T00:00:00Z", serde_json::json!("2027-06-30T00:00:00Z")),
            ("yes", serde_json::json!("yes")),
            ("0x", serde_json::json!("0x")),
        ] {
            assert_eq!(read(&format!("a: {text}\n")).json()["a"], expected, "{text}");
        }
    }
}
