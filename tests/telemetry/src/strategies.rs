//! Any export request, as a message: empty parents, keys that occur twice, values of every type and none at all, ids
//! that are none, metrics of every kind and of no kind, numbers that no enum has.

use std::fmt::Debug;

use opentelemetry_proto::tonic::{
    collector::{
        logs::v1::ExportLogsServiceRequest, metrics::v1::ExportMetricsServiceRequest,
        profiles::v1development::ExportProfilesServiceRequest,
        trace::v1::ExportTraceServiceRequest,
    },
    common::v1::{AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList, any_value},
    logs::v1::LogRecord,
    profiles::v1development::{Profile, ProfilesDictionary},
    resource::v1::Resource,
    trace::v1::{Span, span::Link},
};
use proptest::{collection::vec, option, prelude::*, sample::select};

use crate::{
    attributes::{Attributed, string},
    export::InScope,
    metric::{MetricKind, Point, Points, metric},
};

/// What the requests of one test have in common.
#[derive(Clone, Debug)]
pub struct Requests {
    keys: BoxedStrategy<String>,
    doubles: BoxedStrategy<f64>,
}

impl Requests {
    /// Requests whose attributes have these keys, in protobuf.
    pub fn with_keys(keys: impl Strategy<Value = String> + 'static) -> Self {
        Self { keys: keys.boxed(), doubles: any::<f64>().boxed() }
    }

    /// The same with numbers that JSON has: an infinite one and NaN do not survive there.
    #[must_use]
    pub fn for_json(self) -> Self {
        Self { doubles: any::<i16>().prop_map(|number| f64::from(number) / 8.0).boxed(), ..self }
    }

    /// An export request of logs.
    pub fn logs(&self) -> impl Strategy<Value = ExportLogsServiceRequest> + use<> {
        let body = option::of(prop_oneof![
            self.value(),
            // Long enough for a length of two bytes, in the record and in what holds it.
            "[a-z ]{0,150}".prop_map(|body| string(&body)),
        ]);
        let time = select(vec![0, u64::MAX]);
        let record = (self.attributes(), body, time);
        self.export(record.prop_map(|(attributes, body, time_unix_nano)| LogRecord {
            body,
            time_unix_nano,
            ..LogRecord::of(attributes)
        }))
    }

    /// An export request of metrics.
    pub fn metrics(&self) -> impl Strategy<Value = ExportMetricsServiceRequest> + use<> {
        let point = (self.attributes(), any::<i32>());
        let point =
            point.prop_map(|(attributes, scale)| Point { attributes, scale, ..Point::default() });
        let points = (vec(point, 0..4), -1..3, any::<bool>());
        let points = points.prop_map(|(points, temporality, is_monotonic)| Points {
            points,
            temporality,
            is_monotonic,
        });
        let data =
            (select(&MetricKind::ALL[..]), points).prop_map(|(kind, points)| kind.data(points));
        let named = (option::weighted(0.9, data), "[a-z]{0,150}");
        self.export(named.prop_map(|(data, name)| metric(&name, data)))
    }

    /// An export request of profiles, whose values may refer to its dictionary.
    pub fn profiles(&self) -> impl Strategy<Value = ExportProfilesServiceRequest> + use<> {
        let profile = any::<u32>().prop_map(|dropped_attributes_count| Profile {
            dropped_attributes_count,
            ..Profile::default()
        });
        let strings = vec("[a-z\n\"\u{e4}]{0,4}", 4..6).prop_map(|mut strings| {
            strings[0].clear();
            ProfilesDictionary { string_table: strings, ..ProfilesDictionary::default() }
        });
        (self.export(profile), option::weighted(0.9, strings)).prop_map(|(request, dictionary)| {
            ExportProfilesServiceRequest { dictionary, ..request }
        })
    }

    /// An export request of traces.
    pub fn traces(&self) -> impl Strategy<Value = ExportTraceServiceRequest> + use<> {
        let link = (id(16), id(8)).prop_map(|(trace_id, span_id)| Link {
            trace_id,
            span_id,
            ..Link::default()
        });
        let ids = (id(16), id(8), id(8), vec(link, 0..2));
        let span = (self.attributes(), ids, "[a-z]{0,150}");
        self.export(span.prop_map(
            |(attributes, (trace_id, span_id, parent_span_id, links), name)| Span {
                trace_id,
                span_id,
                parent_span_id,
                links,
                name,
                ..Span::of(attributes)
            },
        ))
    }

    /// An export request with these records, on any resources and in any scopes, or none.
    fn export<R, S>(&self, record: S) -> impl Strategy<Value = R::Export> + use<R, S>
    where
        R: InScope<Scope: Debug, Resource: Debug, Export: Debug> + Debug,
        S: Strategy<Value = R>,
    {
        let schema = || select(vec!["", "https://example/schema"]);
        let scope = (self.attributes(), "[a-z]{0,200}").prop_map(|(attributes, name)| {
            InstrumentationScope { name, ..InstrumentationScope::of(attributes) }
        });
        let scopes = (option::of(scope), vec(record, 0..4), schema());
        let scopes = scopes.prop_map(|(scope, records, schema)| R::scope(scope, records, schema));
        let resource = option::of(self.attributes().prop_map(Resource::of));
        let resources = (resource, vec(scopes, 0..3), schema());
        let resources =
            resources.prop_map(|(resource, scopes, schema)| R::resource(resource, scopes, schema));
        vec(resources, 0..4).prop_map(R::export)
    }

    /// A list of attributes, in which keys may occur twice.
    fn attributes(&self) -> impl Strategy<Value = Vec<KeyValue>> + use<> {
        let attribute = (self.keys.clone(), option::weighted(0.9, self.value()), 0..40_i32);
        let attribute = attribute.prop_map(|(key, value, index)| {
            // A key beside a reference to one is refused for profiles, so they are not drawn together.
            let key_strindex = if key.is_empty() && index < 4 { index } else { 0 };
            KeyValue { key, value, key_strindex }
        });
        vec(attribute, 0..6)
    }

    /// A value of any type, or of none.
    fn value(&self) -> BoxedStrategy<AnyValue> {
        use any_value::Value;
        let text = prop_oneof![
            "[ab]{0,2}",
            ".{0,12}",
            // What JSON escapes, and what readers of JSON put for what is no text.
            "[a-z\"\\\\\n\u{e4}\u{fffd}\u{1f600}]{0,5}",
        ];
        // References to the dictionary: to most of its entries, to none of them, to what can be none.
        let reference = prop_oneof![16 => 0..5_i32, 1 => any::<i32>()];
        let leaf = prop_oneof![
            Just(None),
            text.prop_map(|text| Some(Value::StringValue(text))),
            any::<bool>().prop_map(|value| Some(Value::BoolValue(value))),
            any::<i64>().prop_map(|value| Some(Value::IntValue(value))),
            self.doubles.clone().prop_map(|value| Some(Value::DoubleValue(value))),
            vec(any::<u8>(), 0..4).prop_map(|bytes| Some(Value::BytesValue(bytes))),
            reference.prop_map(|index| Some(Value::StringValueStrindex(index))),
        ];
        let leaf = leaf.prop_map(|value| AnyValue { value });
        leaf.prop_recursive(3, 8, 3, |inner| {
            let pair = ("[a-z]{0,3}", option::of(inner.clone()));
            let pair = pair.prop_map(|(key, value)| KeyValue { key, value, ..KeyValue::default() });
            prop_oneof![
                vec(inner, 0..3).prop_map(|values| Value::ArrayValue(ArrayValue { values })),
                vec(pair, 0..3).prop_map(|values| Value::KvlistValue(KeyValueList { values })),
            ]
            .prop_map(|value| AnyValue { value: Some(value) })
        })
        .boxed()
    }
}

/// An id of `length` bytes, or what is none: of another length, all zero, empty.
fn id(length: usize) -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        8 => vec(any::<u8>(), length),
        1 => vec(any::<u8>(), 0..20),
        1 => Just(vec![0; length]),
        1 => Just(Vec::new()),
    ]
}
