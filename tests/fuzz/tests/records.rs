//! Compares the rules on records with the simple implementation, for requests and rules of every kind: several rules on
//! several levels, names that a backend folds, keys that occur twice, empty values.

use opentelemetry_proto::tonic::{
    collector::{
        logs::v1::ExportLogsServiceRequest, metrics::v1::ExportMetricsServiceRequest,
        trace::v1::ExportTraceServiceRequest,
    },
    common::v1::{
        AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList, any_value::Value,
    },
    logs::v1::{LogRecord, ResourceLogs, ScopeLogs},
    metrics::v1::{
        ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram, HistogramDataPoint,
        Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, Summary, SummaryDataPoint,
        metric::Data,
    },
    resource::v1::Resource,
    trace::v1::{ResourceSpans, ScopeSpans, Span},
};
use proptest::{collection::vec, option, prelude::*, sample::select};
use prost::Message;
use sluice_fuzz::{plain, splice::agrees};
use sluice_otlp::Signal;
use sluice_records::Level;
use sluice_stores::Spelling;

/// Names that a rule can require, and that an attribute can have.
const NAMES: [&str; 6] = ["source.name", "source_name", "owner", "id", "service.name", "gr\u{fc}n"];
/// Names that only an attribute can have: other spellings, and other names.
const OTHERS: [&str; 5] = ["source-name", "Source.name", "gr_n", "", "k"];

type Attributes = Vec<KeyValue>;

/// A request of any signal: resources, their scopes, and their records.
type Request = Vec<(Option<Attributes>, Vec<(Option<Attributes>, Vec<Attributes>)>)>;

fn value() -> impl Strategy<Value = Option<AnyValue>> {
    let list = |length: usize| vec![AnyValue::default(); length];
    let pairs = |length: usize| vec![KeyValue::default(); length];
    let value = prop_oneof![
        Just(None),
        "[ab]{0,2}".prop_map(|text| Some(Value::StringValue(text))),
        any::<bool>().prop_map(|value| Some(Value::BoolValue(value))),
        any::<i64>().prop_map(|value| Some(Value::IntValue(value))),
        any::<f64>().prop_map(|value| Some(Value::DoubleValue(value))),
        vec(any::<u8>(), 0..2).prop_map(|bytes| Some(Value::BytesValue(bytes))),
        any::<i32>().prop_map(|index| Some(Value::StringValueStrindex(index))),
        (0..2_usize).prop_map(move |n| Some(Value::ArrayValue(ArrayValue { values: list(n) }))),
        (0..2_usize).prop_map(move |n| Some(Value::KvlistValue(KeyValueList { values: pairs(n) }))),
    ];
    option::weighted(0.9, value.prop_map(|value| AnyValue { value }))
}

fn attributes() -> impl Strategy<Value = Attributes> {
    let key = prop_oneof![3 => select(&NAMES[..]), 1 => select(&OTHERS[..])];
    let attribute = (key, value()).prop_map(|(key, value)| KeyValue {
        key: key.to_owned(),
        value,
        ..KeyValue::default()
    });
    vec(attribute, 0..6)
}

fn request() -> impl Strategy<Value = Request> {
    let scope = (option::of(attributes()), vec(attributes(), 0..4));
    vec((option::of(attributes()), vec(scope, 0..3)), 0..4)
}

/// Rules, each with a level; no name is required twice.
fn rules() -> impl Strategy<Value = Vec<(&'static str, Level)>> {
    let level = || select(vec![Level::Resource, Level::Scope, Level::Record]);
    let names = proptest::sample::subsequence(NAMES.to_vec(), 1..=3).prop_shuffle();
    (names, vec(level(), 3)).prop_map(|(names, levels)| names.into_iter().zip(levels).collect())
}

fn resource(attributes: Option<Attributes>) -> Option<Resource> {
    attributes.map(|attributes| Resource { attributes, ..Resource::default() })
}

fn scope(attributes: Option<Attributes>) -> Option<InstrumentationScope> {
    attributes.map(|attributes| InstrumentationScope { attributes, ..Default::default() })
}

/// An export request: the entries of resources and their scopes, with the records that `records` makes.
macro_rules! export {
    ($request:expr, $export:ident.$entries:ident, $resource:ident.$scopes:ident,
     $scope:ident.$records:ident, $make:expr) => {{
        let entry = |(attributes, scopes): (_, Vec<_>)| $resource {
            resource: resource(attributes),
            $scopes: scopes
                .into_iter()
                .map(|(attributes, records)| $scope {
                    scope: scope(attributes),
                    $records: $make(records),
                    ..Default::default()
                })
                .collect(),
            ..Default::default()
        };
        $export { $entries: $request.into_iter().map(entry).collect() }.encode_to_vec()
    }};
}

/// Records that only have attributes.
macro_rules! made_of {
    ($record:ident) => {
        |records: Vec<Attributes>| {
            let record = |attributes| $record { attributes, ..$record::default() };
            records.into_iter().map(record).collect()
        }
    };
}

fn logs(request: Request) -> Vec<u8> {
    export!(
        request,
        ExportLogsServiceRequest.resource_logs,
        ResourceLogs.scope_logs,
        ScopeLogs.log_records,
        made_of!(LogRecord)
    )
}

fn traces(request: Request) -> Vec<u8> {
    export!(
        request,
        ExportTraceServiceRequest.resource_spans,
        ResourceSpans.scope_spans,
        ScopeSpans.spans,
        made_of!(Span)
    )
}

/// Metrics of every kind in turn, beginning with `kind`, with at most two data points each.
fn metrics(request: Request, kind: usize) -> Vec<u8> {
    let metrics = |points: Vec<Attributes>| {
        let metric = |(index, points): (usize, &[Attributes])| Metric {
            data: data(index + kind, points.to_vec()),
            ..Metric::default()
        };
        points.chunks(2).enumerate().map(metric).collect()
    };
    export!(
        request,
        ExportMetricsServiceRequest.resource_metrics,
        ResourceMetrics.scope_metrics,
        ScopeMetrics.metrics,
        metrics
    )
}

fn data(kind: usize, points: Vec<Attributes>) -> Option<Data> {
    Some(match kind % 6 {
        0 => Data::Gauge(Gauge { data_points: made_of!(NumberDataPoint)(points) }),
        1 => {
            Data::Sum(Sum { data_points: made_of!(NumberDataPoint)(points), ..Default::default() })
        }
        2 => Data::Histogram(Histogram {
            data_points: made_of!(HistogramDataPoint)(points),
            ..Default::default()
        }),
        3 => Data::ExponentialHistogram(ExponentialHistogram {
            data_points: made_of!(ExponentialHistogramDataPoint)(points),
            ..Default::default()
        }),
        4 => Data::Summary(Summary { data_points: made_of!(SummaryDataPoint)(points) }),
        _ => return None,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn the_rules_leave_what_the_plain_way_leaves(
        request in request(),
        rules in rules(),
        spelling in select(vec![Spelling::Exact, Spelling::Folded]),
        kind in 0..6_usize,
    ) {
        let compiled = plain::compiled(&rules, spelling);
        for (signal, message) in [
            (Signal::Logs, logs(request.clone())),
            (Signal::Metrics, metrics(request.clone(), kind)),
            (Signal::Traces, traces(request)),
        ] {
            prop_assert!(plain::normal(signal, &message).is_ok());
            prop_assert_eq!(agrees(signal, &message, &rules, spelling, &compiled), Ok(()));
        }
    }
}
