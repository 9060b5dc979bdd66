use opentelemetry_proto::tonic::{
    collector::{logs::v1::ExportLogsServiceRequest, metrics::v1::ExportMetricsServiceRequest},
    common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value::Value},
    logs::v1::{LogRecord, ResourceLogs, ScopeLogs},
    metrics::v1::{Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, metric::Data},
    resource::v1::Resource,
};
use prost::Message;
use sluice_otlp::Signal;

use crate::config::tests::rules;
use crate::{RuleSet, Spelling, Verdict};

fn text(key: &str, value: &str) -> KeyValue {
    attribute(key, Some(Value::StringValue(value.into())))
}

fn attribute(key: &str, value: Option<Value>) -> KeyValue {
    KeyValue { key: key.into(), value: Some(AnyValue { value }), ..KeyValue::default() }
}

fn logs(resource: Vec<KeyValue>, scope: Vec<KeyValue>, records: &[Vec<KeyValue>]) -> ResourceLogs {
    ResourceLogs {
        resource: Some(Resource { attributes: resource, ..Resource::default() }),
        scope_logs: vec![ScopeLogs {
            scope: Some(InstrumentationScope { attributes: scope, ..Default::default() }),
            log_records: records
                .iter()
                .map(|attributes| LogRecord {
                    attributes: attributes.clone(),
                    ..LogRecord::default()
                })
                .collect(),
            ..ScopeLogs::default()
        }],
        ..ResourceLogs::default()
    }
}

fn request(resource_logs: Vec<ResourceLogs>) -> Vec<u8> {
    ExportLogsServiceRequest { resource_logs }.encode_to_vec()
}

fn verdict(rules: &RuleSet, body: &[u8]) -> Verdict {
    rules.check(body, 0, Signal::Logs, None).unwrap().verdict().clone()
}

fn message(verdict: &Verdict) -> String {
    match verdict {
        Verdict::AllDropped(violations) | Verdict::SomeDropped(violations) => {
            violations.to_string()
        }
        Verdict::AllKept | Verdict::Nothing => panic!("{verdict:?} drops nothing"),
    }
}

const DEFAULT: &str = r#"{"require": [{"attribute": "source.name"}]}"#;

#[test]
fn a_log_whose_resource_lacks_the_attribute_is_dropped_and_the_sender_learns_why() {
    let rules = rules(DEFAULT, Spelling::Folded);
    let body = request(vec![
        logs(vec![text("source.name", "a")], vec![], &[vec![], vec![]]),
        logs(vec![text("service.name", "cart\n")], vec![], &[vec![], vec![], vec![]]),
    ]);
    let verdict = verdict(&rules, &body);
    assert!(matches!(verdict, Verdict::SomeDropped(_)));
    assert_eq!(
        message(&verdict),
        "3 log records dropped: resource attribute \"source.name\" is missing \
         (first at resource service.name=\"cart\\n\")"
    );
}

#[test]
fn an_attribute_on_another_level_does_not_count() {
    let rules = rules(DEFAULT, Spelling::Folded);
    let named = || vec![text("source.name", "a")];
    let body = request(vec![logs(vec![], named(), &[named()])]);
    assert!(matches!(verdict(&rules, &body), Verdict::AllDropped(_)));
}

#[test]
fn a_key_twice_in_any_spelling_is_ambiguous() {
    let rules = rules(DEFAULT, Spelling::Folded);
    for second in ["source.name", "source_name", "source-name"] {
        for order in [["source.name", second], [second, "source.name"]] {
            let attributes = order.iter().map(|key| text(key, "a")).collect();
            let body = request(vec![logs(attributes, vec![], &[vec![]])]);
            assert_eq!(
                message(&verdict(&rules, &body)),
                "1 log record dropped: resource attribute \"source.name\" is there more than once"
            );
        }
    }
}

#[test]
fn a_backend_that_tells_spellings_apart_makes_no_alias_ambiguous() {
    let rules = rules(DEFAULT, Spelling::Exact);
    let attributes = vec![text("source.name", "a"), text("source_name", "b")];
    assert_eq!(
        verdict(&rules, &request(vec![logs(attributes, vec![], &[vec![]])])),
        Verdict::AllKept
    );
}

#[test]
fn another_spelling_alone_is_missing() {
    let rules = rules(DEFAULT, Spelling::Folded);
    let body = request(vec![logs(vec![text("source_name", "a")], vec![], &[vec![]])]);
    assert!(message(&verdict(&rules, &body)).contains("is missing"));
}

#[test]
fn what_is_empty_depends_on_the_type() {
    let rules = rules(DEFAULT, Spelling::Folded);
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
            Verdict::AllKept => assert!(kept, "{value:?}"),
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
        Spelling::Folded,
    );
    let (source, owner, id) = (text("source.name", "a"), text("owner", "b"), text("id", "c"));
    let body = request(vec![
        logs(vec![source.clone()], vec![owner.clone()], &[vec![id.clone()], vec![]]),
        logs(vec![source], vec![], &[vec![id.clone()], vec![id.clone()]]),
        logs(vec![], vec![owner], &[vec![id]]),
    ]);
    let verdict = verdict(&rules, &body);
    let Verdict::SomeDropped(violations) = &verdict else { panic!("{verdict:?}") };
    assert_eq!(violations.records(), 4);
    assert_eq!(
        message(&verdict),
        "1 log record dropped: log record attribute \"id\" is missing; \
         2 log records dropped: scope attribute \"owner\" is missing; \
         1 log record dropped: resource attribute \"source.name\" is missing"
    );
}

#[test]
fn metrics_are_checked_at_the_data_point() {
    let rules = rules(DEFAULT, Spelling::Folded);
    let point = |attributes| NumberDataPoint { attributes, ..NumberDataPoint::default() };
    let metric = Metric {
        data: Some(Data::Gauge(Gauge {
            data_points: vec![point(vec![text("source.name", "a")]), point(vec![])],
        })),
        ..Metric::default()
    };
    let body = ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics {
            scope_metrics: vec![ScopeMetrics { metrics: vec![metric], ..Default::default() }],
            ..Default::default()
        }],
    }
    .encode_to_vec();
    let checked = rules.check(&body, 0, Signal::Metrics, None).unwrap();
    assert_eq!(
        message(checked.verdict()),
        "1 data point dropped: data point attribute \"source.name\" is missing"
    );
}

#[test]
fn no_record_at_all_is_nothing() {
    let rules = rules(DEFAULT, Spelling::Folded);
    for body in [vec![], request(vec![]), request(vec![logs(vec![], vec![], &[])])] {
        assert_eq!(verdict(&rules, &body), Verdict::Nothing);
    }
}
