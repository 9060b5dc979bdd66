use opentelemetry_proto::tonic::{
    collector::logs::v1::ExportLogsServiceRequest,
    common::v1::{InstrumentationScope, KeyValue, KeyValueList, any_value::Value},
    logs::v1::{LogRecord, ResourceLogs},
    metrics::v1::{
        ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Metric, NumberDataPoint, Sum,
        metric::Data,
    },
    resource::v1::Resource,
    trace::v1::{Span, span::Link},
};
use prost::Message;
use sluice_otlp::{Format, Request, Signal};
use sluice_stores::{
    BackendTraits, LabelLimit, Outcome, Overflow, Precedence, Refusal, Refuses, Site, Spelling,
};
use sluice_telemetry::{
    attributes::{Attributed, attribute, each, text},
    export::InScope,
    metric::metric,
};
use sluice_wire::{OverLimit, ReadLimits, Unreadable};

use crate::{
    Findings, Reason, RuleSet, Unfit, Verdict,
    config::tests::{backend, rules},
};

fn logs(resource: Vec<KeyValue>, scope: Vec<KeyValue>, records: &[Vec<KeyValue>]) -> ResourceLogs {
    let scope = InstrumentationScope::of(scope);
    let scope = LogRecord::scope(Some(scope), each(records.iter().cloned()), "");
    LogRecord::resource(Some(Resource::of(resource)), vec![scope], "")
}

fn request(resource_logs: Vec<ResourceLogs>) -> Vec<u8> {
    LogRecord::export(resource_logs).encode_to_vec()
}

fn checked(rules: &RuleSet, message: &[u8], signal: Signal) -> Result<Findings, Unfit> {
    let limits =
        ReadLimits { attributes: 100, bytes: 1 << 20, depth: 20, records: 1000, room: usize::MAX };
    let request = Request { message, at: 0, signal, format: Format::Protobuf, limits };
    rules.check(&request, None)
}

fn verdict(rules: &RuleSet, body: &[u8]) -> Verdict {
    checked(rules, body, Signal::Logs).unwrap().verdict().clone()
}

fn message(verdict: &Verdict) -> String {
    match verdict {
        Verdict::AllDropped(violations)
        | Verdict::Kept(Some(violations))
        | Verdict::Nothing(Some(violations)) => violations.to_string(),
        Verdict::Kept(None) | Verdict::Nothing(None) => panic!("{verdict:?} says nothing"),
    }
}

const DEFAULT: &str = r#"{"require": [{"attribute": "source.name"}]}"#;

#[test]
fn a_log_whose_resource_lacks_the_attribute_is_dropped_and_the_sender_learns_why() {
    let rules = rules(DEFAULT, &backend(Spelling::Folded));
    let body = request(vec![
        logs(vec![text("source.name", "a")], vec![], &[vec![], vec![]]),
        logs(vec![text("service.name", "cart\n")], vec![], &[vec![], vec![], vec![]]),
    ]);
    let verdict = verdict(&rules, &body);
    assert!(matches!(verdict, Verdict::Kept(Some(_))));
    assert_eq!(
        message(&verdict),
        "3 log records dropped: resource attribute \"source.name\" is missing \
         (first at resource service.name=\"cart\\n\")"
    );
}

#[test]
fn an_attribute_on_another_level_does_not_count() {
    let rules = rules(DEFAULT, &backend(Spelling::Folded));
    let named = || vec![text("source.name", "a")];
    let body = request(vec![logs(vec![], named(), &[named()])]);
    assert!(matches!(verdict(&rules, &body), Verdict::AllDropped(_)));
}

#[test]
fn a_key_twice_in_any_spelling_is_ambiguous() {
    let rules = rules(DEFAULT, &backend(Spelling::Folded));
    for second in ["source.name", "source_name", "source-name"] {
        for order in [["source.name", second], [second, "source.name"]] {
            let attributes = order.iter().map(|key| text(key, "a")).collect();
            let body = request(vec![logs(attributes, vec![], &[vec![]])]);
            assert_eq!(
                message(&verdict(&rules, &body)),
                "1 log record dropped: resource attribute \"source.name\" occurs more than once"
            );
        }
    }
}

#[test]
fn a_backend_that_tells_spellings_apart_makes_no_alias_ambiguous() {
    let rules = rules(DEFAULT, &backend(Spelling::Exact));
    let attributes = vec![text("source.name", "a"), text("source_name", "b")];
    assert_eq!(
        verdict(&rules, &request(vec![logs(attributes, vec![], &[vec![]])])),
        Verdict::Kept(None)
    );
}

#[test]
fn another_spelling_alone_is_missing() {
    let rules = rules(DEFAULT, &backend(Spelling::Folded));
    let body = request(vec![logs(vec![text("source_name", "a")], vec![], &[vec![]])]);
    assert!(message(&verdict(&rules, &body)).contains("is missing"));
}

#[test]
fn what_is_empty_depends_on_the_type() {
    let rules = rules(DEFAULT, &backend(Spelling::Folded));
    for (value, kept) in [
        (None, false),
        (Some(Value::StringValue(String::new())), false),
        (Some(Value::BytesValue(vec![])), false),
        (Some(Value::ArrayValue(Default::default())), false),
        (Some(Value::KvlistValue(Default::default())), false),
        (Some(Value::StringValue("a".into())), true),
        (Some(Value::BytesValue(vec![0])), true),
        (Some(Value::BoolValue(false)), true),
        (Some(Value::IntValue(0)), true),
        (Some(Value::DoubleValue(0.0)), true),
    ] {
        let body =
            request(vec![logs(vec![attribute("source.name", value.clone())], vec![], &[vec![]])]);
        match verdict(&rules, &body) {
            Verdict::Kept(None) => assert!(kept, "{value:?}"),
            dropped => {
                assert!(!kept, "{value:?}");
                assert!(message(&dropped).contains("is empty"));
            }
        }
    }
}

#[test]
fn several_rules_at_several_levels_all_count() {
    let rules = rules(
        r#"{"require": [
            {"attribute": "source.name"},
            {"attribute": "owner", "logs": "scope"},
            {"attribute": "id", "logs": "record"}
        ]}"#,
        &backend(Spelling::Folded),
    );
    let (source, owner, id) = (text("source.name", "a"), text("owner", "b"), text("id", "c"));
    let body = request(vec![
        logs(vec![source.clone()], vec![owner.clone()], &[vec![id.clone()], vec![]]),
        logs(vec![source], vec![], &[vec![id.clone()], vec![id.clone()]]),
        logs(vec![], vec![owner], &[vec![id]]),
    ]);
    let verdict = verdict(&rules, &body);
    let Verdict::Kept(Some(violations)) = &verdict else { panic!("{verdict:?}") };
    assert_eq!(violations.dropped(), 4);
    assert_eq!(
        message(&verdict),
        "1 log record dropped: log record attribute \"id\" is missing; \
         2 log records dropped: scope attribute \"owner\" is missing; \
         1 log record dropped: resource attribute \"source.name\" is missing"
    );
}

#[test]
fn metrics_are_checked_at_the_data_point() {
    let rules = rules(DEFAULT, &backend(Spelling::Folded));
    let data_points = each([vec![text("source.name", "a")], vec![]]);
    let body = metrics(vec![Some(Data::Gauge(Gauge { data_points }))]);
    let checked = checked(&rules, &body, Signal::Metrics).unwrap();
    assert_eq!(
        message(checked.verdict()),
        "1 data point dropped: data point attribute \"source.name\" is missing"
    );
}

#[test]
fn no_record_at_all_is_nothing() {
    let rules = rules(DEFAULT, &backend(Spelling::Folded));
    for body in [vec![], request(vec![]), request(vec![logs(vec![], vec![], &[])])] {
        assert_eq!(verdict(&rules, &body), Verdict::Nothing(None));
    }
}

/// A backend like Loki.
fn loki() -> BackendTraits {
    BackendTraits {
        precedence: Precedence::Scope,
        labels: Some(LabelLimit {
            max: 3,
            names: ["service.name", "a", "b", "c", "d"].map(str::to_owned).to_vec(),
            overflow: Overflow::Move,
        }),
        ..backend(Spelling::Flattened)
    }
}

fn map(key: &str, entries: Vec<KeyValue>) -> KeyValue {
    attribute(key, Some(Value::KvlistValue(KeyValueList { values: entries })))
}

fn edited(rules: &RuleSet, body: &[u8]) -> ExportLogsServiceRequest {
    let mut edited = body.to_vec();
    let (_, edits) = checked(rules, body, Signal::Logs).unwrap().into_parts();
    edits.apply(&mut edited, 0).unwrap();
    ExportLogsServiceRequest::decode(&edited[..]).unwrap()
}

#[test]
fn a_scope_attribute_that_stands_over_the_resources_is_told() {
    let rules = rules(DEFAULT, &loki());
    let named = || vec![text("source.name", "a")];
    for scope in [
        text("source.name", "a"),
        text("source_name", ""),
        map("source", vec![text("name", "b")]),
        map("source", vec![map("", vec![text("name", "b")])]),
    ] {
        let body = request(vec![logs(named(), vec![scope.clone()], &[vec![], vec![]])]);
        assert_eq!(
            message(&verdict(&rules, &body)),
            "2 log records dropped: resource attribute \"source.name\" is overridden by one on the \
             scope",
            "{scope:?}"
        );
    }
    let harmless = map("source", vec![text("names", "b")]);
    let body = request(vec![logs(named(), vec![harmless], &[vec![]])]);
    assert_eq!(verdict(&rules, &body), Verdict::Kept(None));
}

#[test]
fn a_resource_attribute_stands_over_the_records_where_scopes_are_thrown_away() {
    let json = r#"{"require": [{"attribute": "id", "logs": "record"}]}"#;
    let rules = rules(json, &BackendTraits { precedence: Precedence::Resource, ..loki() });
    let id = || vec![text("id", "a")];
    let verdict = |resource, scope| verdict(&rules, &request(vec![logs(resource, scope, &[id()])]));
    assert_eq!(verdict(vec![], id()), Verdict::Kept(None));
    assert!(message(&verdict(id(), vec![])).contains("overridden by one on the resource"));
}

#[test]
fn a_map_that_flattens_into_the_name_is_another_spelling_of_it() {
    let rules = rules(DEFAULT, &loki());
    let verdict = |attributes| verdict(&rules, &request(vec![logs(attributes, vec![], &[vec![]])]));
    let flattens = || map("source", vec![text("name", "b")]);
    assert!(message(&verdict(vec![flattens()])).contains("is missing"));
    assert!(
        message(&verdict(vec![text("source.name", "a"), flattens()])).contains("more than once")
    );
    // Loki gives the entries of a map other names, even if the map has the attribute's name.
    assert!(
        message(&verdict(vec![map("source.name", vec![text("x", "a")])])).contains("is missing")
    );
}

#[test]
fn maps_in_maps_are_followed_to_a_limit() {
    let rules = rules(DEFAULT, &loki());
    let nested = |levels| {
        (0..levels).fold(text("name", "b"), |inner, level: i32| {
            map(if level == levels - 1 { "source" } else { "" }, vec![inner])
        })
    };
    let body = |levels| request(vec![logs(vec![nested(levels)], vec![], &[vec![]])]);
    assert!(message(&verdict(&rules, &body(20))).contains("is missing"));
    assert_eq!(
        checked(&rules, &body(21), Signal::Logs).unwrap_err(),
        Unfit::Unreadable(OverLimit::Depth { limit: 20 }.into())
    );
}

#[test]
fn a_watched_rule_lets_pass_and_counts_what_passes() {
    let rules = rules(
        r#"{"require": [
            {"attribute": "source.name"},
            {"attribute": "owner", "onViolation": "audit"},
            {"attribute": "id", "logs": "record", "onViolation": "audit"},
            {"attribute": "key", "logs": "scope", "onViolation": "audit"}
        ]}"#,
        &backend(Spelling::Folded),
    );
    let body = request(vec![
        logs(vec![text("source.name", "a")], vec![], &[vec![], vec![text("id", "b")]]),
        logs(vec![], vec![], &[vec![], vec![]]),
    ]);
    let verdict = verdict(&rules, &body);
    assert_eq!(
        message(&verdict),
        "1 log record accepted in audit mode that would be dropped: log record attribute \"id\" is \
         missing; 2 log records accepted in audit mode that would be dropped: scope attribute \
         \"key\" is missing; 2 log records accepted in audit mode that would be dropped: resource \
         attribute \"owner\" is missing; 2 log records dropped: resource attribute \"source.name\" \
         is missing"
    );
    let Verdict::Kept(Some(violations)) = verdict else { panic!("{verdict:?}") };
    assert_eq!(violations.dropped(), 2);
}

#[test]
fn a_watched_resource_counts_its_records_where_nothing_else_is_looked_at() {
    let json = r#"{"require": [{"attribute": "owner"}], "onViolation": "audit"}"#;
    let rules = rules(json, &backend(Spelling::Exact));
    let body = request(vec![logs(vec![], vec![], &[vec![], vec![], vec![]])]);
    assert_eq!(
        message(&verdict(&rules, &body)),
        "3 log records accepted in audit mode that would be dropped: resource attribute \"owner\" is missing"
    );
    assert!(checked(&rules, &body, Signal::Logs).unwrap().into_parts().1.is_empty());
}

#[test]
fn one_violation_refuses_the_whole_request_where_that_is_asked() {
    let rules = rules(
        r#"{"require": [{"attribute": "a"}, {"attribute": "b", "onViolation": "refuse"}]}"#,
        &backend(Spelling::Folded),
    );
    let body = request(vec![
        logs(vec![text("b", "x")], vec![], &[vec![]]),
        logs(vec![text("a", "x"), text("service.name", "cart")], vec![], &[vec![], vec![]]),
    ]);
    let Err(Unfit::Refused(violations)) = checked(&rules, &body, Signal::Logs) else {
        panic!("it is refused");
    };
    assert_eq!(
        violations.to_string(),
        "1 log record rejected: resource attribute \"b\" is missing (first at resource service.name=\"cart\")"
    );
    assert_eq!(violations.dropped(), 0);
}

#[test]
fn a_stamp_takes_the_place_of_every_spelling() {
    let json = r#"{"stamp": [{"attribute": "sender.name", "value": "gate"}]}"#;
    let rules = rules(json, &loki());
    let body = request(vec![
        logs(
            vec![
                text("sender_name", "x"),
                text("keep", "y"),
                map("sender", vec![text("name", "z")]),
            ],
            vec![text("sender-name", "x"), text("keep", "y")],
            &[vec![text("sender.name", "x")]],
        ),
        ResourceLogs { resource: None, ..logs(vec![], vec![], &[vec![]]) },
    ]);
    let stamp = || text("sender.name", "gate");
    let expected = ExportLogsServiceRequest {
        resource_logs: vec![
            logs(
                vec![text("keep", "y"), stamp()],
                vec![text("keep", "y")],
                &[vec![text("sender.name", "x")]],
            ),
            logs(vec![stamp()], vec![], &[vec![]]),
        ],
    };
    assert_eq!(edited(&rules, &body), expected);
    assert_eq!(verdict(&rules, &body), Verdict::Kept(None));
}

#[test]
fn stamps_may_not_make_a_request_longer_than_a_body_may_be() {
    let value = "x".repeat(2000);
    let json = format!(r#"{{"stamp": [{{"attribute": "a", "value": "{value}"}}]}}"#);
    let rules = rules(&json, &backend(Spelling::Exact));
    let body = request(vec![ResourceLogs::default(); 900]);
    assert_eq!(
        checked(&rules, &body, Signal::Logs).unwrap_err(),
        Unfit::Unreadable(OverLimit::Bytes { limit: 1 << 20 }.into())
    );
}

#[test]
fn labels_that_are_too_many_move_to_the_scopes() {
    let rules = rules(DEFAULT, &loki());
    let source = || text("source.name", "x");
    let attributes = ["d", "b", "service.name", "a", "c"].map(|key| text(key, "x"));
    let body = request(vec![logs(
        [&[source()][..], &attributes].concat(),
        vec![text("k", "v")],
        &[vec![]],
    )]);
    let expected = logs(
        vec![source(), text("b", "x"), text("service.name", "x"), text("a", "x")],
        vec![text("k", "v"), text("d", "x"), text("c", "x")],
        &[vec![]],
    );
    assert_eq!(edited(&rules, &body).resource_logs, [expected]);
    assert_eq!(verdict(&rules, &body), Verdict::Kept(None));
    let few =
        request(vec![logs(vec![source(), text("a", "x"), text("d", "x")], vec![], &[vec![]])]);
    assert!(checked(&rules, &few, Signal::Logs).unwrap().into_parts().1.is_empty());
}

#[test]
fn labels_that_go_are_told() {
    let mut loki = loki();
    loki.labels.as_mut().unwrap().overflow = Overflow::Drop;
    let rules = rules(DEFAULT, &loki);
    let names = ["source.name", "a", "b", "c", "d"];
    let body = request(vec![logs(names.map(|key| text(key, "x")).to_vec(), vec![], &[vec![]])]);
    let verdict = verdict(&rules, &body);
    assert_eq!(message(&verdict), "2 resource attributes dropped: loki accepts only 3 labels");
    let Verdict::Kept(Some(violations)) = verdict else { panic!("{verdict:?}") };
    assert_eq!(violations.dropped(), 0);
}

#[test]
fn limits_are_kept() {
    let rules = rules(DEFAULT, &backend(Spelling::Folded));
    let many = request(vec![logs(vec![text("x", "y"); 101], vec![], &[vec![]])]);
    let over = |over: OverLimit| Unfit::Unreadable(Unreadable::from(over));
    assert_eq!(
        checked(&rules, &many, Signal::Logs).unwrap_err(),
        over(OverLimit::Attributes { limit: 100 })
    );
    let records = request(vec![logs(vec![], vec![], &vec![vec![]; 1000])]);
    assert_eq!(
        checked(&rules, &records, Signal::Logs).unwrap_err(),
        over(OverLimit::Records { limit: 1000 })
    );
}

/// Refusals that all have the same outcome.
fn refuses(outcome: Outcome, sites: &[Site]) -> Refuses {
    let refusals = sites.iter().map(|site| Refusal { site: *site, outcome });
    Refuses { refusals: refusals.collect(), ..Refuses::NOTHING }
}

fn metrics(data: Vec<Option<Data>>) -> Vec<u8> {
    let metrics = data.into_iter().map(|data| metric("", data)).collect();
    Metric::export_of(None, None, metrics).encode_to_vec()
}

#[test]
fn metrics_that_the_backend_refuses_are_dropped_for_their_own_reason() {
    let mimir = BackendTraits {
        name: "mimir",
        refuses: refuses(
            Outcome::FailsAnswer,
            &[Site::NO_DATA_POINTS, Site::TEMPORALITY, Site::METRIC_KIND, Site::SCALE],
        ),
        ..backend(Spelling::Folded)
    };
    let rules = rules(r#"{"unstorable": "drop"}"#, &mimir);
    let points = vec![NumberDataPoint::default(); 2];
    let sum = |aggregation_temporality| {
        Some(Data::Sum(Sum {
            data_points: points.clone(),
            aggregation_temporality,
            ..Sum::default()
        }))
    };
    let scales = |scale: &[i32]| {
        let point = |scale| ExponentialHistogramDataPoint { scale, ..Default::default() };
        Some(Data::ExponentialHistogram(ExponentialHistogram {
            data_points: scale.iter().copied().map(point).collect(),
            aggregation_temporality: 2,
        }))
    };
    let body = metrics(vec![
        sum(1),
        sum(0),
        sum(2),
        Some(Data::Gauge(Gauge::default())),
        None,
        scales(&[-4, -5, 20]),
    ]);
    let checked = checked(&rules, &body, Signal::Metrics).unwrap();
    assert_eq!(
        message(checked.verdict()),
        "4 data points dropped: aggregation temporality is not cumulative; mimir would store the \
         rest but answer the whole batch with an error; 2 metrics dropped: metric has no data \
         points; mimir would store the rest but answer the whole batch with an error; 1 data point \
         dropped: exponential histogram scale is below -4; mimir would store the rest but answer \
         the whole batch with an error"
    );
    let mut left = body.clone();
    checked.into_parts().1.apply(&mut left, 0).unwrap();
    assert_eq!(left, metrics(vec![sum(2), scales(&[-4, 20])]));
}

#[test]
fn spans_with_an_id_that_is_none_are_dropped() {
    let tempo = BackendTraits {
        name: "tempo",
        refuses: refuses(Outcome::RefusesBatch, &[Site::SPAN_ID]),
        ..backend(Spelling::Exact)
    };
    let rules = rules(r#"{"unstorable": "drop"}"#, &tempo);
    let good = || Span { trace_id: vec![1; 16], span_id: vec![2; 8], ..Span::default() };
    let link = |trace_id| vec![Link { trace_id, span_id: vec![1; 8], ..Link::default() }];
    let spans = vec![
        Span { trace_id: vec![], ..good() },
        Span { trace_id: vec![0; 16], ..good() },
        Span { trace_id: vec![1; 15], ..good() },
        Span { span_id: vec![], ..good() },
        Span { span_id: vec![0; 8], ..good() },
        Span { parent_span_id: vec![1; 4], ..good() },
        Span { links: link(vec![1; 17]), ..good() },
        Span { parent_span_id: vec![3; 8], links: link(vec![1; 16]), ..good() },
    ];
    let request = |spans| Span::export_of(None, None, spans);
    let mut body = request(spans.clone()).encode_to_vec();
    let checked = checked(&rules, &body, Signal::Traces).unwrap();
    assert_eq!(
        message(checked.verdict()),
        "7 spans dropped: invalid trace id or span id; tempo would reject the whole batch"
    );
    checked.into_parts().1.apply(&mut body, 0).unwrap();
    assert_eq!(body, request(spans[7..].to_vec()).encode_to_vec());
}

#[test]
fn a_backend_that_is_not_known_may_write_any_level_over_any_other() {
    let unknown = BackendTraits { precedence: Precedence::Any, ..backend(Spelling::Flattened) };
    let named = || vec![text("source.name", "a")];
    let spoofed = || vec![text("source_name", "b")];
    for (level, good, others) in [
        (
            "resource",
            logs(named(), vec![], &[vec![]]),
            [logs(named(), spoofed(), &[vec![]]), logs(named(), vec![], &[spoofed()])],
        ),
        (
            "scope",
            logs(vec![], named(), &[vec![]]),
            [logs(spoofed(), named(), &[vec![]]), logs(vec![], named(), &[spoofed()])],
        ),
        (
            "record",
            logs(vec![], vec![], &[named()]),
            [logs(spoofed(), vec![], &[named()]), logs(vec![], spoofed(), &[named()])],
        ),
    ] {
        let json = format!(r#"{{"require": [{{"attribute": "source.name", "logs": "{level}"}}]}}"#);
        let rules = rules(&json, &unknown);
        assert_eq!(verdict(&rules, &request(vec![good])), Verdict::Kept(None), "{level}");
        for other in others {
            let Verdict::AllDropped(violations) = verdict(&rules, &request(vec![other])) else {
                panic!("{level}: it could be overridden");
            };
            assert_eq!(violations.by_rule()[0].reason, Reason::Overridden, "{level}");
        }
    }
}

#[test]
fn a_stamp_is_guarded_on_records_of_a_backend_that_is_not_known() {
    let unknown = BackendTraits { precedence: Precedence::Any, ..backend(Spelling::Flattened) };
    let rules = rules(r#"{"stamp": [{"attribute": "from", "value": "gate"}]}"#, &unknown);
    let body = request(vec![logs(vec![], vec![], &[vec![], vec![text("from", "me")]])]);
    let Verdict::Kept(Some(violations)) = verdict(&rules, &body) else { panic!("one goes") };
    assert_eq!(violations.by_rule()[0].reason, Reason::Overridden);
}

#[test]
fn what_a_backend_loses_without_a_word_is_told_so() {
    let silent = BackendTraits {
        name: "victoriametrics",
        refuses: refuses(Outcome::Loses, &[Site::TEMPORALITY]),
        ..backend(Spelling::Folded)
    };
    let rules = rules(r#"{"unstorable": "drop"}"#, &silent);
    let sum = Sum { data_points: vec![NumberDataPoint::default()], ..Sum::default() };
    let checked = checked(&rules, &metrics(vec![Some(Data::Sum(sum))]), Signal::Metrics).unwrap();
    assert_eq!(
        message(checked.verdict()),
        "1 data point dropped: aggregation temporality is not cumulative; victoriametrics would \
         discard it silently"
    );
}
