//! What is left of a text, byte for byte: a removed element takes its comma along, and an inserted
//! one adds a comma where it is needed.

use proptest::{collection::vec, prelude::*};
use sluice_wire::{OverLimit, ReadLimits, Unreadable};

use super::request_of;
use crate::{
    AnyValue, AttributeEdits, Attributes, Descend, Format, Interest, Metric, Put, Record,
    RecordPolicy, Request, Signal, json::string::push_string, splice_export,
};

/// Drops records that have an attribute `-`, removes every attribute `take`, and inserts `put`
/// wherever it may.
#[derive(Default)]
pub(super) struct Marked {
    put: bool,
    drops_metrics: bool,
    log: Vec<String>,
}

impl Marked {
    fn owner(
        &self,
        mut attributes: Attributes<'_>,
        attribute_edits: &mut AttributeEdits,
    ) -> Result<Descend, Unreadable> {
        let mut below = Descend::Inspect;
        while let Some(attribute) = attributes.next_where(|_| true)? {
            match attribute.key() {
                b"-" => below = Descend::Drop,
                b"take" => attribute_edits.take(&attribute)?,
                _ => {}
            }
        }
        if self.put {
            attribute_edits.put(Put::Made(Format::Json.attribute("put", "a\"b").into()))?;
        }
        Ok(below)
    }
}

impl<'a> RecordPolicy<'a> for Marked {
    type Error = Unreadable;
    fn interest(&self) -> Interest {
        Interest { scopes: true, metrics: true }
    }
    fn resource(
        &mut self,
        attributes: Attributes<'a>,
        attribute_edits: &mut AttributeEdits,
    ) -> Result<Descend, Unreadable> {
        self.owner(attributes, attribute_edits)
    }
    fn left_resource(&mut self, kept: u64) {
        self.log.push(format!("resource {kept}"));
    }
    fn scope(
        &mut self,
        attributes: Attributes<'a>,
        attribute_edits: &mut AttributeEdits,
    ) -> Result<Descend, Unreadable> {
        self.owner(attributes, attribute_edits)
    }
    fn left_scope(&mut self, kept: u64) {
        self.log.push(format!("scope {kept}"));
    }
    fn metric(&mut self, metric: &Metric<'_>) -> Result<bool, Unreadable> {
        self.log.push(format!("{metric:?}"));
        Ok(!self.drops_metrics)
    }
    fn record(&mut self, record: &Record<'_, 'a>) -> Result<bool, Unreadable> {
        Ok(record.attributes().next_where(|key| key == b"-")?.is_none())
    }
    fn dropped(&mut self, records: u64) {
        self.log.push(format!("dropped {records}"));
    }
}

/// What is left of a text that follows `front` other bytes in its buffer.
fn left(text: &str, signal: Signal, policy: &mut Marked, front: usize) -> String {
    let request = Request { at: front, ..request_of(text, signal) };
    let spliced =
        splice_export(&request, policy).unwrap_or_else(|refusal| panic!("{text}: {refusal}"));
    let mut buffer = vec![b'#'; front];
    buffer.extend_from_slice(text.as_bytes());
    spliced.edits.apply(&mut buffer, front).unwrap();
    String::from_utf8(buffer).unwrap()
}

fn left_of_logs(entries: &str, put: bool) -> String {
    let text = format!(r#"{{"resourceLogs":{entries}}}"#);
    let left = left(&text, Signal::Logs, &mut Marked { put, ..Marked::default() }, 0);
    left.strip_prefix(r#"{"resourceLogs":"#).unwrap().strip_suffix('}').unwrap().to_owned()
}

/// A record that is kept.
const STAYS: &str = r#"{"body":{"stringValue":"],}{["}}"#;
/// A record that is dropped.
const GOES: &str = r#"{"attributes":[{"key":"-"}]}"#;

/// The entries of one scope with these records.
fn entries(records: &str) -> String {
    format!(r#"[{{"scopeLogs":[{{"logRecords":[{records}]}}]}}]"#)
}

#[test]
fn an_element_takes_one_comma_along() {
    for (records, expected) in [
        (format!("{GOES},{STAYS}"), STAYS.to_owned()),
        (format!("{STAYS},{GOES}"), STAYS.to_owned()),
        (format!("{STAYS},{GOES},{STAYS}"), format!("{STAYS},{STAYS}")),
        (format!("{GOES},{GOES},{STAYS},{GOES},{GOES}"), STAYS.to_owned()),
        (format!(" {GOES} ,\n{STAYS} , {GOES}\t,{STAYS} "), format!(" {STAYS}\t,{STAYS} ")),
        (format!(" {STAYS} , {GOES} "), format!(" {STAYS} ")),
    ] {
        assert_eq!(left_of_logs(&entries(&records), false), entries(&expected), "{records}");
    }
}

#[test]
fn a_parent_that_a_drop_leaves_empty_goes() {
    let stays = &entries(STAYS);
    let stays = stays.strip_prefix('[').unwrap().strip_suffix(']').unwrap();
    let goes = format!(r#"{{"scopeLogs":[{{"logRecords":[{GOES}]}},{{"logRecords":[{GOES}]}}]}}"#);
    let resource = r#"{"resource":{"attributes":[{"key":"-"}]},"scopeLogs":[{"logRecords":[{}]}]}"#;
    for (text, expected) in [
        (format!("[{goes}]"), "[]".to_owned()),
        (format!("[ {goes} , {resource} ]"), "[  ]".to_owned()),
        (format!("[{goes},{stays}]"), format!("[{stays}]")),
        (format!("[{stays},{resource},{goes}]"), format!("[{stays}]")),
        (
            format!(r#"[{{"scopeLogs":[{{"logRecords":[{GOES}]}},{{"logRecords":[{STAYS}]}}]}}]"#),
            entries(STAYS),
        ),
    ] {
        assert_eq!(left_of_logs(&text, false), expected, "{text}");
    }
}

#[test]
fn a_parent_that_came_empty_stays() {
    let empty = r#"{"scopeLogs":[{},{"logRecords":[]}]}"#;
    let dropped = r#"{"resource":{"attributes":[{"key":"-"}]},"scopeLogs":[{}]}"#;
    let text = format!("[{empty},{{}},{dropped}]");
    assert_eq!(left_of_logs(&text, false), text);
    let mixed = format!(r#"[{{"scopeLogs":[{{}},{{"logRecords":[{GOES}]}}]}},{{}}]"#);
    assert_eq!(left_of_logs(&mixed, false), "[{}]");
}

#[test]
fn a_metric_loses_its_data_points_and_then_goes() {
    let goes = r#"{"attributes":[{"key":"-"}]}"#;
    for kind in ["gauge", "sum", "histogram", "exponentialHistogram", "summary"] {
        let metric =
            |points: &str| format!(r#"{{"{kind}":{{"dataPoints":[{points}]}},"name":"n"}}"#);
        let request = |metrics: &str| {
            format!(r#"{{"resourceMetrics":[{{"scopeMetrics":[{{"metrics":[{metrics}]}}]}}]}}"#)
        };
        let sent = [metric(&format!("{goes},{{}}")), metric(goes), metric(""), metric("{}")];
        let expected = [metric("{}"), metric(""), metric("{}")];
        let left = left(&request(&sent.join(",")), Signal::Metrics, &mut Marked::default(), 0);
        assert_eq!(left, request(&expected.join(",")));
    }
}

#[test]
fn a_policy_is_shown_a_metric_before_its_data_points() {
    let text = r#"{"resourceMetrics":[{"scopeMetrics":[{"metrics":[
        {"sum":{"dataPoints":[{},{}],"aggregationTemporality":2}},
        {"gauge":{"aggregationTemporality":2,"dataPoints":[{},{}]}},
        {"exponentialHistogram":{"aggregationTemporality":-1}},
        {"name":"none"},{"summary":null},
        {"description":"d","unit":"s","metadata":[],"intGauge":{"dataPoints":[{},{},{}]}},
        {"x":[],"newKind":{}}]}]}]}"#;
    let mut policy = Marked { drops_metrics: true, ..Marked::default() };
    let left = left(text, Signal::Metrics, &mut policy, 0);
    assert_eq!(left, r#"{"resourceMetrics":[]}"#);
    assert_eq!(
        policy.log,
        [
            "Metric { name: [], kind: Some(Sum), is_unknown: false, temporality: 2, points: 2 }",
            "dropped 2",
            "Metric { name: [], kind: Some(Gauge), is_unknown: false, temporality: 0, points: 1 }",
            "dropped 2",
            "Metric { name: [], kind: Some(ExponentialHistogram), is_unknown: false, temporality: 4294967295, points: 0 }",
            "dropped 0",
            "Metric { name: [110, 111, 110, 101], kind: None, is_unknown: false, temporality: 0, points: 0 }",
            "dropped 0",
            "Metric { name: [], kind: None, is_unknown: false, temporality: 0, points: 0 }",
            "dropped 0",
            "Metric { name: [], kind: None, is_unknown: true, temporality: 0, points: 3 }",
            "dropped 3",
            "Metric { name: [], kind: None, is_unknown: true, temporality: 0, points: 1 }",
            "dropped 1",
            "scope 0",
            "resource 0",
        ]
    );
}

const PUT: &str = r#"{"key":"put","value":{"stringValue":"a\"b"}}"#;

#[test]
fn attributes_are_put_and_taken_wherever_their_list_is() {
    let (other, take) = (r#"{"key":"o"}"#, r#"{"key":"take"}"#);
    for (resource, expected) in [
        (r#""#.to_owned(), format!(r#""resource":{{"attributes":[{PUT}]}}"#)),
        (r#""x":1"#.to_owned(), format!(r#""resource":{{"attributes":[{PUT}]}},"x":1"#)),
        (r#"  "x":1"#.to_owned(), format!(r#""resource":{{"attributes":[{PUT}]}},  "x":1"#)),
        (
            r#" "resource" : null "#.to_owned(),
            format!(r#" "resource" : {{"attributes":[{PUT}]}} "#),
        ),
        (r#""resource":{}"#.to_owned(), format!(r#""resource":{{"attributes":[{PUT}]}}"#)),
        (
            r#""resource":{"x":1}"#.to_owned(),
            format!(r#""resource":{{"attributes":[{PUT}],"x":1}}"#),
        ),
        (
            r#""resource":{"x":1,"attributes":null}"#.to_owned(),
            format!(r#""resource":{{"x":1,"attributes":[{PUT}]}}"#),
        ),
        (
            r#""resource":{"attributes":[ ]}"#.to_owned(),
            format!(r#""resource":{{"attributes":[{PUT} ]}}"#),
        ),
        (
            format!(r#""resource":{{"attributes":[ {other} ]}}"#),
            format!(r#""resource":{{"attributes":[ {other},{PUT} ]}}"#),
        ),
        (
            format!(r#""resource":{{"attributes":[{take}]}}"#),
            format!(r#""resource":{{"attributes":[{PUT}]}}"#),
        ),
        (
            format!(r#""resource":{{"attributes":[ {take} , {take} ]}}"#),
            format!(r#""resource":{{"attributes":[ {PUT} ]}}"#),
        ),
        (
            format!(r#""resource":{{"attributes":[{take},{other},{take}]}}"#),
            format!(r#""resource":{{"attributes":[{other},{PUT}]}}"#),
        ),
        (
            format!(r#""resource":{{"attributes":[{other},{take},{other},{take}]}}"#),
            format!(r#""resource":{{"attributes":[{other},{other},{PUT}]}}"#),
        ),
    ] {
        let entry = |resource: &str| format!("[{{{resource}}}]");
        assert_eq!(left_of_logs(&entry(&resource), true), entry(&expected), "{resource}");
        let in_scope = |resource: &str| {
            let scope = resource.replace(r#""resource""#, r#""scope""#);
            format!(r#"[{{"resource":{{"attributes":[{PUT}]}},"scopeLogs":[{{{scope}}}]}}]"#)
        };
        let sent = in_scope(&resource).replace(&format!("[{PUT}]"), "[]");
        assert_eq!(left_of_logs(&sent, true), in_scope(&expected), "{resource}");
    }
}

#[test]
fn nothing_is_put_where_there_is_nothing_to_put() {
    for entry in ["[{}]", r#"[{"resource":null}]"#, r#"[{"resource":{"attributes":null}}]"#] {
        assert_eq!(left_of_logs(entry, false), entry);
    }
    let taken = r#"[{"resource":{"attributes":[{"key":"take"},{"key":"o"},{"key":"take"}]}}]"#;
    let expected = r#"[{"resource":{"attributes":[{"key":"o"}]}}]"#;
    assert_eq!(left_of_logs(taken, false), expected);
}

#[test]
fn a_resource_behind_its_scopes_decides_over_them_and_is_rewritten() {
    let sent = format!(
        r#"[{{"scopeLogs":[{{"logRecords":[{GOES},{STAYS}],"scope":{{}}}}],"resource":{{}}}}]"#
    );
    let put = format!(r#"{{"attributes":[{PUT}]}}"#);
    let expected =
        format!(r#"[{{"scopeLogs":[{{"logRecords":[{STAYS}],"scope":{put}}}],"resource":{put}}}]"#);
    assert_eq!(left_of_logs(&sent, true), expected);
    let dropped =
        r#"[{"scopeLogs":[{"logRecords":[{}]}],"resource":{"attributes":[{"key":"-"}]}}]"#;
    assert_eq!(left_of_logs(dropped, true), "[]");
}

#[test]
fn what_lies_in_front_of_the_text_is_no_part_of_it() {
    let text = format!(r#"{{"resourceLogs":{}}}"#, entries(&format!("{GOES},{STAYS}")));
    let expected = format!(r#"{{"resourceLogs":{}}}"#, entries(STAYS));
    assert_eq!(left(&text, Signal::Logs, &mut Marked::default(), 5), expected);
}

#[test]
fn what_is_put_in_counts_for_the_limit() {
    let text = r#"{"resourceLogs":[{}]}"#;
    let mut limits = request_of(text, Signal::Logs).limits;
    limits.bytes = text.len() + 20;
    let request = Request { limits, ..request_of(text, Signal::Logs) };
    let mut policy = Marked { put: true, ..Marked::default() };
    let over = OverLimit::Bytes { limit: limits.bytes };
    assert_eq!(splice_export(&request, &mut policy), Err(Unreadable::OverLimit(over)));
    let limits = ReadLimits { bytes: 1000, ..limits };
    assert!(splice_export(&Request { limits, ..request }, &mut policy).is_ok());
}

/// Long enough that the ends of its objects and arrays are found through the summary of blocks.
#[test]
fn long_texts_are_cut_like_short_ones() {
    let long = format!(r#"{{"body":{{"stringValue":"{}"}}}}"#, "[{".repeat(600));
    for records in [1, 2, 7, 300] {
        let sent = [GOES, &long].repeat(records).join(",");
        let expected = [long.as_str()].repeat(records).join(",");
        assert_eq!(left_of_logs(&entries(&sent), false), entries(&expected));
    }
}

/// Nested deeper than the data points, and longer than what is searched directly for its end.
#[test]
fn long_maps_are_read_to_their_last_level() {
    let leaf = format!(r#"{{"stringValue":"{}"}}"#, "]}\\\"".repeat(3000));
    let map = (0..20).fold(leaf, |value, _| {
        format!(r#"{{"kvlistValue":{{"values":[{{"key":"m","value":{value}}},{{"key":"n"}}]}}}}"#)
    });
    let record = format!(r#"{{"attributes":[{{"key":"m","value":{map}}},{{"key":"-"}}]}}"#);
    assert_eq!(left_of_logs(&entries(&record), false), "[]");

    struct Levels(Vec<usize>);
    fn levels(mut attributes: Attributes<'_>, seen: &mut Vec<usize>) -> Result<(), Unreadable> {
        while let Some(attribute) = attributes.next_where(|key| key == b"m" || key == b"n")? {
            match attribute.value()? {
                AnyValue::KeyValues { entries, .. } => levels(entries, seen)?,
                AnyValue::String(text) => seen.push(text.len()),
                other => assert!(other.is_empty()),
            }
            seen.push(attribute.key().len());
        }
        Ok(())
    }
    impl<'a> RecordPolicy<'a> for Levels {
        type Error = Unreadable;
        fn resource(
            &mut self,
            _: Attributes<'a>,
            _: &mut AttributeEdits,
        ) -> Result<Descend, Unreadable> {
            Ok(Descend::Inspect)
        }
        fn record(&mut self, record: &Record<'_, 'a>) -> Result<bool, Unreadable> {
            levels(record.attributes(), &mut self.0).map(|()| true)
        }
    }
    let mut policy = Levels(Vec::new());
    let text = format!(r#"{{"resourceLogs":{}}}"#, entries(&record));
    splice_export(&request_of(&text, Signal::Logs), &mut policy).unwrap();
    assert_eq!(policy.0, [[9000].as_slice(), &[1; 41]].concat());
}

proptest! {
    #[test]
    fn an_attribute_is_written_as_serde_json_reads_it(key in any::<String>(), value in any::<String>()) {
        let written = Format::Json.attribute(&key, &value);
        let expected = serde_json::json!({"key": key, "value": {"stringValue": value}});
        prop_assert_eq!(serde_json::from_slice::<serde_json::Value>(&written).unwrap(), expected);
        let mut again = Vec::new();
        push_string(&mut again, &value);
        prop_assert_eq!(serde_json::from_slice::<String>(&again).unwrap(), value);
    }

    /// For any choice of elements and any white space: what is left is the list without those
    /// elements.
    #[test]
    fn what_stays_of_a_list_is_a_list(
        choice in vec((any::<bool>(), "[ \n\t]{0,2}", "[ \n\t]{0,2}"), 0..8), put in any::<bool>(),
    ) {
        let attribute = |(index, (goes, before, behind)): (usize, &(bool, String, String))| {
            let key = if *goes { "take".to_owned() } else { index.to_string() };
            format!(r#"{before}{{"key":"{key}"}}{behind}"#)
        };
        let list: Vec<_> = choice.iter().enumerate().map(attribute).collect();
        let sent = format!(r#"[{{"resource":{{"attributes":[{}]}}}}]"#, list.join(","));
        let left: serde_json::Value = serde_json::from_str(&left_of_logs(&sent, put)).unwrap();
        let stays = choice.iter().enumerate().filter(|(_, (goes, ..))| !goes);
        let mut expected: Vec<_> =
            stays.map(|(index, _)| serde_json::json!({"key": index.to_string()})).collect();
        if put {
            expected.push(serde_json::from_str(PUT).unwrap());
        }
        prop_assert_eq!(&left[0]["resource"]["attributes"], &serde_json::Value::Array(expected));
    }
}
