//! Texts that readers could understand in different ways, or that exceed a limit, are refused.

use sluice_wire::{Fault, Malformed, OverLimit, ReadLimits, Unreadable};

use super::{LIMITS, ReadAll, request_of};
use crate::{Request, Signal, fault, splice_export};

fn refusal(text: &str, signal: Signal) -> Unreadable {
    match splice_export(&request_of(text, signal), &mut ReadAll) {
        Err(refusal) => refusal,
        Ok(spliced) => panic!("{text} was read: {spliced:?}"),
    }
}

fn fault(text: &str, signal: Signal) -> Fault {
    match refusal(text, signal) {
        Unreadable::Malformed(malformed) => malformed.fault,
        other => panic!("{text}: {other}"),
    }
}

fn passes(text: &str, signal: Signal) {
    let spliced = splice_export(&request_of(text, signal), &mut ReadAll)
        .unwrap_or_else(|refusal| panic!("{text}: {refusal}"));
    assert!(spliced.edits.is_empty());
}

fn logs(entry: &str) -> String {
    format!(r#"{{"resourceLogs":[{entry}]}}"#)
}

fn resource_with(attribute: &str) -> String {
    logs(&format!(r#"{{"resource":{{"attributes":[{attribute}]}}}}"#))
}

fn value(value: &str) -> String {
    resource_with(&format!(r#"{{"key":"k","value":{value}}}"#))
}

fn span(members: &str) -> String {
    format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{{{members}}}]}}]}}]}}"#)
}

fn metric(members: &str) -> String {
    format!(r#"{{"resourceMetrics":[{{"scopeMetrics":[{{"metrics":[{{{members}}}]}}]}}]}}"#)
}

#[test]
fn what_is_not_json_is_refused() {
    for (text, expected) in [
        ("", fault::NO_OBJECT),
        (" ", fault::NO_OBJECT),
        ("[]", fault::NO_OBJECT),
        ("null", fault::NO_OBJECT),
        ("\u{feff}{}", fault::NO_OBJECT),
        ("{", fault::CUT_OFF),
        (r#"{"a""#, fault::CUT_OFF),
        (r#"{"a":"#, fault::CUT_OFF),
        (r#"{"a"#, fault::CUT_OFF),
        (r#"{"a":1"#, fault::CUT_OFF),
        (r#"{"a":[1"#, fault::CUT_OFF),
        (r#"{"a":"\"#, fault::CUT_OFF),
        (r#"{"a":"\u00"#, fault::CUT_OFF),
        ("{}{}", fault::BEHIND),
        ("{} x", fault::BEHIND),
        ("{}\0", fault::BEHIND),
        (r#"{"a":1,}"#, fault::UNEXPECTED),
        (r#"{,"a":1}"#, fault::UNEXPECTED),
        (r#"{"a":[1,]}"#, fault::UNEXPECTED),
        (r#"{"a":[1 2]}"#, fault::UNEXPECTED),
        (r#"{"a":[1}]"#, fault::UNEXPECTED),
        (r#"{"a" 1}"#, fault::UNEXPECTED),
        (r#"{"a":1 "b":2}"#, fault::UNEXPECTED),
        ("{a:1}", fault::UNEXPECTED),
        ("{'a':1}", fault::UNEXPECTED),
        (r#"{"a":1}/**/"#, fault::BEHIND),
        (r#"{/**/"a":1}"#, fault::UNEXPECTED),
        (r#"{"a":tru}"#, fault::UNEXPECTED),
        (r#"{"a":True}"#, fault::UNEXPECTED),
        (r#"{"a":NaN}"#, fault::UNEXPECTED),
        (r#"{"a":nullx}"#, fault::UNEXPECTED),
        (r#"{"a":01}"#, fault::UNEXPECTED),
        (r#"{"a":+1}"#, fault::UNEXPECTED),
        (r#"{"a":-}"#, fault::UNEXPECTED),
        (r#"{"a":.5}"#, fault::UNEXPECTED),
        (r#"{"a":1.}"#, fault::UNEXPECTED),
        (r#"{"a":1e}"#, fault::UNEXPECTED),
        (r#"{"a":0x1}"#, fault::UNEXPECTED),
        ("{\"a\":\"\n\"}", fault::CONTROL),
        ("{\"a\":\"0123456789\u{1f}\"}", fault::CONTROL),
        ("{\"a\":\"\0\"}", fault::CONTROL),
        ("{\"a\0\":1}", fault::CONTROL),
        (r#"{"a":"\x41"}"#, fault::ESCAPE),
        (r#"{"a":"\'"}"#, fault::ESCAPE),
        (r#"{"a":"\u00g0"}"#, fault::ESCAPE),
        (r#"{"a":"\U0041"}"#, fault::ESCAPE),
        (r#"{"a":"\ud83d\u00g0"}"#, fault::ESCAPE),
        (r#"{"a":"\ud83d\u00"#, fault::CUT_OFF),
    ] {
        assert_eq!(fault(text, Signal::Logs), expected, "{text}");
    }
}

/// Half a surrogate pair: readers replace it by one or several characters, keep it, or refuse it.
const HALVES: [&str; 6] =
    [r"\ud83d", r"\ud83d\n", r"\ud83d\ud83d", r"\ud83d\ud83d\ude00", r"\ud83d\u0041", r"\ude00"];

#[test]
fn half_a_surrogate_pair_is_refused_in_a_name_and_in_a_key_that_is_read() {
    for half in HALVES {
        for text in [
            format!(r#"{{"x":{{"y":[{{"a{half}":1}}]}}}}"#),
            resource_with(&format!(r#"{{"key":"a{half}"}}"#)),
            resource_with(&format!(
                r#"{{"key":"k","value":{{"kvlistValue":{{"values":[{{"key":"{half}"}}]}}}}}}"#
            )),
        ] {
            assert_eq!(fault(&text, Signal::Logs), fault::SURROGATE, "{text}");
        }
    }
}

#[test]
fn half_a_surrogate_pair_passes_in_what_no_decision_rests_on() {
    for half in HALVES {
        for text in [
            format!(r#"{{"x":"{half}"}}"#),
            value(&format!(r#"{{"stringValue":"{half}"}}"#)),
            logs(&format!(
                r#"{{"scopeLogs":[{{"logRecords":[{{"body":{{"stringValue":"{half}"}}}}]}}]}}"#
            )),
        ] {
            passes(&text, Signal::Logs);
        }
    }
}

#[test]
fn a_name_that_is_not_utf_8_is_refused() {
    for bytes in [&b"{\"a\xc0\x80\":1}"[..], b"{\"x\":[{\"\xed\xa0\x80\":1}]}"] {
        let request = Request { message: bytes, ..request_of("", Signal::Logs) };
        let expected = fault::UTF8;
        assert!(matches!(
            splice_export(&request, &mut ReadAll),
            Err(Unreadable::Malformed(Malformed { fault, .. })) if fault == expected
        ));
    }
}

/// As in protobuf, wherever the strings are.
#[test]
fn bytes_that_are_not_utf_8_pass_in_strings() {
    for bytes in [&b"\xff"[..], b"\xc3", b"\xed\xa0\x80", b"\xf0\x9f\x98"] {
        let (before, behind) = (r#"{"resourceLogs":[{"resource":{"attributes":[{"key":""#, r#"","#);
        let (between, after) = (r#""value":{"stringValue":""#, r#""}}]}}],"x":"\xff"}"#);
        let parts = [before.as_bytes(), bytes, behind.as_bytes(), between.as_bytes(), bytes];
        let message = [&parts.concat(), after.replace("\\xff", "").as_bytes()].concat();
        let request = Request { message: &message, ..request_of("", Signal::Logs) };
        assert!(
            splice_export(&request, &mut ReadAll).is_ok_and(|spliced| spliced.edits.is_empty())
        );
    }
}

#[test]
fn what_lies_in_an_unknown_member_is_checked_too() {
    let entry = r#"{"x":{"y":[{"z":"\x"}]}}"#;
    assert_eq!(fault(&logs(entry), Signal::Logs), fault::ESCAPE);
}

/// The OpenTelemetry Collector reads such a name as the end of the object, and reads what follows
/// as if it stood one level further out.
#[test]
fn a_member_without_a_name_is_refused() {
    assert_eq!(fault(r#"{"":1}"#, Signal::Logs), fault::NAMELESS);
    let hidden = r#"{"resource":{},"":[{"scopeLogs":[]}]}"#;
    assert_eq!(fault(&logs(hidden), Signal::Logs), fault::NAMELESS);
    let deep = r#"{"x":{"y":[{"" :1}]}}"#;
    assert_eq!(fault(&logs(deep), Signal::Logs), fault::NAMELESS);
}

#[test]
fn a_known_member_twice_is_refused() {
    for text in [
        r#"{"resourceLogs":[],"resourceLogs":[]}"#.to_owned(),
        r#"{"resourceLogs":null,"resourceLogs":[]}"#.to_owned(),
        r#"{"resourceLogs":[],"resource\u004cogs":[]}"#.to_owned(),
        logs(r#"{"resource":{},"resource":{}}"#),
        logs(r#"{"resource":null,"resource":{}}"#),
        logs(r#"{"scopeLogs":[],"x":1,"scopeLogs":[]}"#),
        logs(r#"{"resource":{"attributes":[],"attributes":[]}}"#),
        logs(r#"{"scopeLogs":[{"scope":{},"scope":{}}]}"#),
        logs(r#"{"scopeLogs":[{"logRecords":[],"logRecords":[]}]}"#),
        logs(r#"{"scopeLogs":[{"logRecords":[{"attributes":[],"attributes":[]}]}]}"#),
        resource_with(r#"{"key":"innocent","key":"source.name"}"#),
        resource_with(r#"{"value":{},"value":{}}"#),
        value(r#"{"stringValue":"a","stringValue":"b"}"#),
        value(r#"{"stringValue":"a","bytesValue":"b"}"#),
        value(r#"{"stringValue":null,"intValue":1}"#),
        value(r#"{"arrayValue":{"values":[],"values":[]}}"#),
        value(r#"{"kvlistValue":{"values":[],"values":[]}}"#),
    ] {
        assert_eq!(fault(&text, Signal::Logs), Fault::REPEATED, "{text}");
    }
    let twice = r#""traceId":"","traceId":"5b8efff798038103d269b633813fc60c""#;
    assert_eq!(fault(&span(twice), Signal::Traces), Fault::REPEATED);
    for data in [
        r#""sum":{},"sum":{}"#,
        r#""gauge":{},"sum":{}"#,
        r#""gauge":null,"summary":{}"#,
        r#""gauge":{"dataPoints":[],"dataPoints":[]}"#,
        r#""sum":{"aggregationTemporality":1,"aggregationTemporality":2}"#,
    ] {
        assert_eq!(fault(&metric(data), Signal::Metrics), Fault::REPEATED, "{data}");
    }
}

#[test]
fn an_unknown_member_may_come_twice() {
    passes(&logs(r#"{"x":1,"x":2,"resource":{"x":1,"x":[]}}"#), Signal::Logs);
}

#[test]
fn another_spelling_of_a_known_member_is_refused() {
    for text in [
        r#"{"resource_logs":[]}"#.to_owned(),
        r#"{"resourceLogs":[],"ResourceLogs":[]}"#.to_owned(),
        r#"{"RESOURCE_LOGS":[]}"#.to_owned(),
        r#"{"resource\u005flogs":[]}"#.to_owned(),
        logs(r#"{"Resource":{}}"#),
        logs(r#"{"scope_logs":[]}"#),
        logs(r#"{"resource":{"Attributes":[]}}"#),
        logs(r#"{"scopeLogs":[{"log_records":[]}]}"#),
        resource_with(r#"{"Key":"source.name"}"#),
        value(r#"{"string_value":"a"}"#),
        value(r#"{"stringValue":"","string_value":"a"}"#),
        value(r#"{"stringvalue":"a"}"#),
        value(r#"{"kvlist_value":{}}"#),
    ] {
        assert_eq!(fault(&text, Signal::Logs), fault::SPELLING, "{text}");
    }
    for ids in [r#""trace_id":"""#, r#""traceID":"""#, r#""links":[{"span_id":""}]"#] {
        let valid = r#""traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b174""#;
        assert_eq!(fault(&span(&format!("{valid},{ids}")), Signal::Traces), fault::SPELLING);
    }
    for data in [
        r#""exponential_histogram":{}"#,
        r#""Gauge":{}"#,
        r#""gauge":{"data_points":[]}"#,
        r#""sum":{"aggregation_temporality":1}"#,
    ] {
        assert_eq!(fault(&metric(data), Signal::Metrics), fault::SPELLING, "{data}");
    }
}

/// Some readers of the OpenTelemetry Collector use them as `scopeLogs` if that is empty.
#[test]
fn fields_that_otlp_has_given_up_are_refused() {
    let records = r#"[{"logRecords":[{}]}]"#;
    for name in ["deprecatedScopeLogs", "instrumentationLibraryLogs"] {
        let entry = format!(r#"{{"scopeLogs":[],"{name}":{records}}}"#);
        assert_eq!(fault(&logs(&entry), Signal::Logs), fault::DEPRECATED);
    }
    let spelled = format!(r#"{{"deprecated_scope_logs":{records}}}"#);
    assert_eq!(fault(&logs(&spelled), Signal::Logs), fault::SPELLING);
}

#[test]
fn a_known_member_of_another_type_is_refused() {
    for text in [
        r#"{"resourceLogs":{}}"#.to_owned(),
        r#"{"resourceLogs":"x"}"#.to_owned(),
        logs("1"),
        logs("null"),
        logs("[]"),
        logs(r#"{"resource":[]}"#),
        logs(r#"{"resource":true}"#),
        logs(r#"{"scopeLogs":{}}"#),
        logs(r#"{"resource":{"attributes":{}}}"#),
        logs(r#"{"resource":{"attributes":[null]}}"#),
        logs(r#"{"scopeLogs":[{"logRecords":[null]}]}"#),
        logs(r#"{"scopeLogs":[{"logRecords":["x"]}]}"#),
        logs(r#"{"scopeLogs":[{"logRecords":[{"attributes":1}]}]}"#),
        resource_with(r#"{"key":5}"#),
        resource_with(r#"{"key":["a"]}"#),
        value(r#""x""#),
        value(r#"{"stringValue":1}"#),
        value(r#"{"boolValue":"true"}"#),
        value(r#"{"boolValue":1}"#),
        value(r#"{"intValue":"x"}"#),
        value(r#"{"intValue":""}"#),
        value(r#"{"intValue":"+1"}"#),
        value(r#"{"intValue":1.5}"#),
        value(r#"{"intValue":9223372036854775808}"#),
        value(r#"{"intValue":true}"#),
        value(r#"{"doubleValue":"x"}"#),
        value(r#"{"doubleValue":""}"#),
        value(r#"{"doubleValue":false}"#),
        value(r#"{"arrayValue":[]}"#),
        value(r#"{"arrayValue":{"values":{}}}"#),
        value(r#"{"kvlistValue":{"values":["x"]}}"#),
        value(r#"{"bytesValue":[1]}"#),
        value(r#"{"bytesValue":"\n"}"#),
        value(r#"{"stringValueStrindex":"x"}"#),
    ] {
        assert_eq!(fault(&text, Signal::Logs), Fault::WIRE_TYPE, "{text}");
    }
    assert_eq!(fault(&span(r#""traceId":5"#), Signal::Traces), Fault::WIRE_TYPE);
    assert_eq!(fault(&span(r#""traceId":[]"#), Signal::Traces), Fault::WIRE_TYPE);
    for data in [
        r#""gauge":[]"#,
        r#""gauge":{"dataPoints":{}}"#,
        r#""gauge":{"dataPoints":[1]}"#,
        r#""sum":{"aggregationTemporality":1.5}"#,
        r#""sum":{"aggregationTemporality":4294967297}"#,
        r#""exponentialHistogram":{"dataPoints":[{"scale":"x"}]}"#,
    ] {
        assert_eq!(fault(&metric(data), Signal::Metrics), Fault::WIRE_TYPE, "{data}");
    }
}

#[test]
fn an_enum_by_its_name_is_refused_with_what_to_write() {
    for name in [r#""AGGREGATION_TEMPORALITY_DELTA""#, r#""1""#, r#""""#] {
        let text = metric(&format!(r#""sum":{{"aggregationTemporality":{name}}}"#));
        assert_eq!(fault(&text, Signal::Metrics), fault::ENUM_NAME, "{text}");
        assert!(
            refusal(&text, Signal::Metrics).to_string().contains("must be a number: write 1 for")
        );
    }
}

#[test]
fn null_is_as_if_it_were_not_there() {
    for text in [
        r#"{"resourceLogs":null}"#.to_owned(),
        logs(r#"{"resource":null,"scopeLogs":null}"#),
        logs(r#"{"resource":{"attributes":null}}"#),
        logs(r#"{"scopeLogs":[{"scope":null,"logRecords":null}]}"#),
        resource_with(r#"{"key":null,"value":null}"#),
        value(r#"{"stringValue":null}"#),
        value(r#"{"arrayValue":null}"#),
        value(r#"{"kvlistValue":{"values":null}}"#),
    ] {
        passes(&text, Signal::Logs);
    }
    for data in ["", r#""sum":null"#, r#""sum":{"dataPoints":null,"aggregationTemporality":null}"#]
    {
        passes(&metric(data), Signal::Metrics);
    }
}

#[test]
fn a_reference_to_no_string_is_refused() {
    let profiles = |attribute: &str, dictionary: &str| {
        format!(
            r#"{{"resourceProfiles":[{{"resource":{{"attributes":[{attribute}]}}}}]{dictionary}}}"#
        )
    };
    let table = r#","dictionary":{"stringTable":["","a\n"]}"#;
    passes(
        &profiles(r#"{"keyStrindex":1,"value":{"stringValueStrindex":"1"}}"#, table),
        Signal::Profiles,
    );
    passes(&profiles(r#"{"key":"a","keyStrindex":0}"#, ""), Signal::Profiles);
    for (attribute, dictionary, expected) in [
        (r#"{"keyStrindex":2}"#, table, fault::REFERENCE),
        (r#"{"keyStrindex":-1}"#, table, fault::REFERENCE),
        (r#"{"keyStrindex":1}"#, "", fault::REFERENCE),
        (r#"{"key":"a","value":{"stringValueStrindex":2}}"#, table, fault::REFERENCE),
        (r#"{"key":"a","keyStrindex":1}"#, table, Fault::REPEATED),
        (r#"{"key_strindex":1}"#, table, fault::SPELLING),
        (r#"{"keyStrindex":true}"#, table, Fault::WIRE_TYPE),
        ("", r#","dictionary":{"stringTable":[null]}"#, Fault::WIRE_TYPE),
        ("", r#","dictionary":{"string_table":[]}"#, fault::SPELLING),
        ("", r#","dictionary":{},"dictionary":{}"#, Fault::REPEATED),
    ] {
        let text = profiles(attribute, dictionary);
        assert_eq!(fault(&text, Signal::Profiles), expected, "{text}");
    }
}

fn limited(text: &str, limits: ReadLimits) -> Option<OverLimit> {
    let request = Request { limits, ..request_of(text, Signal::Logs) };
    match splice_export(&request, &mut ReadAll) {
        Ok(_) => None,
        Err(Unreadable::OverLimit(over)) => Some(over),
        Err(other) => panic!("{text}: {other}"),
    }
}

#[test]
fn maps_are_followed_as_deep_as_in_protobuf() {
    let limits = ReadLimits { depth: 8, ..LIMITS };
    let nested = |levels: usize| {
        let map = r#"{"kvlistValue":{"values":[{"key":"k","value":"#;
        value(&format!("{}{{}}{}", map.repeat(levels), "}]}}".repeat(levels)))
    };
    assert_eq!(limited(&nested(8), limits), None);
    assert_eq!(limited(&nested(9), limits), Some(OverLimit::Depth { limit: 8 }));
}

#[test]
fn what_is_not_followed_may_be_as_deep_as_readers_follow_it() {
    let limits = ReadLimits { depth: 8, ..LIMITS };
    let nested = |levels: usize| format!(r#"{{"x":{}{}}}"#, "[".repeat(levels), "]".repeat(levels));
    assert_eq!(limited(&nested(9_999), limits), None);
    assert_eq!(limited(&nested(10_000), limits), Some(OverLimit::Depth { limit: 10_000 }));
    let open = format!(r#"{{"x":{}"#, r#"{"a":["#.repeat(1_000_000));
    assert_eq!(limited(&open, LIMITS), Some(OverLimit::Depth { limit: 10_000 }));
}

#[test]
fn too_many_attributes_are_refused() {
    let limits = ReadLimits { attributes: 2, ..LIMITS };
    let two = r#"{"key":"a"},{"key":"b"}"#;
    assert_eq!(limited(&resource_with(two), limits), None);
    let three = format!(r#"{two},{{"key":"c"}}"#);
    assert_eq!(limited(&resource_with(&three), limits), Some(OverLimit::Attributes { limit: 2 }));
}

#[test]
fn too_many_records_are_refused() {
    let text = logs(r#"{"scopeLogs":[{"logRecords":[{},{},{}]}]}"#);
    assert_eq!(limited(&text, ReadLimits { records: 5, ..LIMITS }), None);
    let limits = ReadLimits { records: 4, ..LIMITS };
    assert_eq!(limited(&text, limits), Some(OverLimit::Records { limit: 4 }));
}

#[test]
fn a_fault_says_where_it_is() {
    let text = r#"{"resourceLogs":[{"resource":{"attributes":[{"Key":"a"}]}}]}"#;
    let at = text.find(r#""Key""#).unwrap();
    let expected = Unreadable::Malformed(Malformed { fault: fault::SPELLING, at });
    assert_eq!(refusal(text, Signal::Logs), expected);
    assert_eq!(
        expected.to_string(),
        format!("known field not spelled in lowerCamelCase at byte {at}")
    );
}
