//! Compares the splicer with the obvious way: decode everything, filter, encode.

use opentelemetry_proto::tonic::{
    collector::{
        logs::v1::ExportLogsServiceRequest, metrics::v1::ExportMetricsServiceRequest,
        trace::v1::ExportTraceServiceRequest,
    },
    common::v1::{InstrumentationScope, KeyValue, any_value},
    metrics::v1::metric::Data,
    resource::v1::Resource,
};
use proptest::{collection::vec, prelude::*, sample::select};
use prost::Message;
use sluice_telemetry::{ordinary::REQUIRED as KEY, raw::Level, strategies::Requests};
use sluice_wire::{Spliced, Unreadable};

use super::request_of;
use crate::{
    AttributeEdits, Attributes, Descend, Interest, Record, RecordPolicy, Signal, splice_export,
};

/// Drops records that lack a non-empty `source.name` at one level.
pub(super) struct Required {
    pub(super) level: Level,
    pub(super) dropped: u64,
}

fn has_it(mut attributes: Attributes<'_>) -> Result<bool, Unreadable> {
    let mut found = false;
    while let Some(attribute) = attributes.next_where(|_| true)? {
        found |= attribute.key() == KEY.as_bytes() && !attribute.value()?.is_empty();
    }
    Ok(found)
}

impl Required {
    fn below(&self, level: Level, attributes: Attributes<'_>) -> Result<Descend, Unreadable> {
        Ok(if self.level != level {
            Descend::Inspect
        } else if has_it(attributes)? {
            Descend::KeepAll
        } else {
            Descend::Drop
        })
    }
}

impl<'a> RecordPolicy<'a> for Required {
    type Error = Unreadable;
    fn interest(&self) -> Interest {
        Interest { scopes: self.level == Level::Scope, ..Interest::default() }
    }
    fn resource(
        &mut self,
        attributes: Attributes<'a>,
        _: &mut AttributeEdits,
    ) -> Result<Descend, Unreadable> {
        self.below(Level::Resource, attributes)
    }
    fn scope(
        &mut self,
        attributes: Attributes<'a>,
        _: &mut AttributeEdits,
    ) -> Result<Descend, Unreadable> {
        self.below(Level::Scope, attributes)
    }
    fn record(&mut self, record: &Record<'_, 'a>) -> Result<bool, Unreadable> {
        has_it(record.attributes())
    }
    fn dropped(&mut self, records: u64) {
        self.dropped += records;
    }
}

pub(super) fn spliced(bytes: &[u8], signal: Signal, level: Level) -> (Spliced, Vec<u8>) {
    let mut policy = Required { level, dropped: 0 };
    let spliced = splice_export(&request_of(bytes, 0, signal), &mut policy).unwrap();
    assert_eq!(policy.dropped, spliced.dropped);
    let mut edited = bytes.to_vec();
    spliced.edits.apply(&mut edited, 0).unwrap();
    (spliced, edited)
}

/// Filters one level of the tree. `keep` edits a child and returns how many records it then holds
/// and how many it lost. A child that has lost its last records is removed.
fn retain<T>(children: &mut Vec<T>, mut keep: impl FnMut(&mut T) -> (u64, u64)) -> (u64, u64) {
    let (mut kept, mut dropped) = (0, 0);
    children.retain_mut(|child| {
        let (left, lost) = keep(child);
        kept += left;
        dropped += lost;
        left > 0 || lost == 0
    });
    (kept, dropped)
}

fn in_list(attributes: &[KeyValue]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.key == KEY
            && match attribute.value.as_ref().and_then(|value| value.value.as_ref()) {
                // A reference, which only profiles have, is nothing elsewhere.
                None | Some(any_value::Value::StringValueStrindex(_)) => false,
                Some(any_value::Value::StringValue(text)) => !text.is_empty(),
                Some(any_value::Value::BytesValue(bytes)) => !bytes.is_empty(),
                Some(any_value::Value::ArrayValue(list)) => !list.values.is_empty(),
                Some(any_value::Value::KvlistValue(list)) => !list.values.is_empty(),
                Some(_) => true,
            }
    })
}

fn in_resource(resource: Option<&Resource>) -> bool {
    resource.is_some_and(|resource| in_list(&resource.attributes))
}

fn in_scope(scope: Option<&InstrumentationScope>) -> bool {
    scope.is_some_and(|scope| in_list(&scope.attributes))
}

/// Whether a record passes, given which levels have the attribute.
fn passes(level: Level, resource: bool, scope: bool, record: bool) -> bool {
    match level {
        Level::Resource => resource,
        Level::Scope => scope,
        Level::Record => record,
    }
}

fn count(children: &mut Vec<impl Sized>, mut keep: impl FnMut(usize) -> bool) -> (u64, u64) {
    let mut index = 0;
    let before = children.len() as u64;
    children.retain(|_| {
        index += 1;
        keep(index - 1)
    });
    (children.len() as u64, before - children.len() as u64)
}

fn plain_logs(request: &mut ExportLogsServiceRequest, level: Level) -> (u64, u64) {
    retain(&mut request.resource_logs, |entry| {
        let resource = in_resource(entry.resource.as_ref());
        retain(&mut entry.scope_logs, |scope_logs| {
            let scope = in_scope(scope_logs.scope.as_ref());
            let verdicts: Vec<_> = scope_logs
                .log_records
                .iter()
                .map(|record| passes(level, resource, scope, in_list(&record.attributes)))
                .collect();
            count(&mut scope_logs.log_records, |index| verdicts[index])
        })
    })
}

fn plain_traces(request: &mut ExportTraceServiceRequest, level: Level) -> (u64, u64) {
    retain(&mut request.resource_spans, |entry| {
        let resource = in_resource(entry.resource.as_ref());
        retain(&mut entry.scope_spans, |scope_spans| {
            let scope = in_scope(scope_spans.scope.as_ref());
            let verdicts: Vec<_> = scope_spans
                .spans
                .iter()
                .map(|span| passes(level, resource, scope, in_list(&span.attributes)))
                .collect();
            count(&mut scope_spans.spans, |index| verdicts[index])
        })
    })
}

fn plain_metrics(request: &mut ExportMetricsServiceRequest, level: Level) -> (u64, u64) {
    macro_rules! points {
        ($points:expr, $verdict:expr) => {{
            let verdicts: Vec<_> =
                $points.iter().map(|point| $verdict(in_list(&point.attributes))).collect();
            count(&mut $points, |index| verdicts[index])
        }};
    }
    retain(&mut request.resource_metrics, |entry| {
        let resource = in_resource(entry.resource.as_ref());
        retain(&mut entry.scope_metrics, |scope_metrics| {
            let scope = in_scope(scope_metrics.scope.as_ref());
            let verdict = |point| passes(level, resource, scope, point);
            retain(&mut scope_metrics.metrics, |metric| match &mut metric.data {
                None => (0, 0),
                Some(Data::Gauge(data)) => points!(data.data_points, verdict),
                Some(Data::Sum(data)) => points!(data.data_points, verdict),
                Some(Data::Histogram(data)) => points!(data.data_points, verdict),
                Some(Data::ExponentialHistogram(data)) => points!(data.data_points, verdict),
                Some(Data::Summary(data)) => points!(data.data_points, verdict),
            })
        })
    })
}

fn requests() -> Requests {
    let known = prop_oneof![Just(KEY.to_owned()), Just("service.name".to_owned())];
    Requests::with_keys(prop_oneof![2 => known, 1 => "[a-z.]{0,12}"])
}

fn level() -> impl Strategy<Value = Level> {
    select(&Level::ALL[..])
}

macro_rules! agrees_with_decoding {
    ($name:ident, $request:expr, $signal:expr, $plain:ident) => {
        proptest! {
            #[test]
            fn $name(request in $request, level in level()) {
                let bytes = request.encode_to_vec();
                let (spliced, edited) = spliced(&bytes, $signal, level);
                let mut expected = request;
                let (kept, dropped) = $plain(&mut expected, level);
                prop_assert_eq!(spliced.dropped, dropped);
                prop_assert_eq!(spliced.kept, kept > 0);
                prop_assert_eq!(edited, expected.encode_to_vec());
                prop_assert_eq!(spliced.edits.is_empty(), dropped == 0);
            }
        }
    };
}

agrees_with_decoding!(logs_agree_with_decoding, requests().logs(), Signal::Logs, plain_logs);
agrees_with_decoding!(
    traces_agree_with_decoding,
    requests().traces(),
    Signal::Traces,
    plain_traces
);
agrees_with_decoding!(
    metrics_agree_with_decoding,
    requests().metrics(),
    Signal::Metrics,
    plain_metrics
);

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in vec(any::<u8>(), 0..300), level in level()) {
        for signal in Signal::ALL {
            let mut policy = Required { level, dropped: 0 };
            if let Ok(spliced) = splice_export(&request_of(&bytes, 0, signal), &mut policy) {
                let mut edited = bytes.clone();
                spliced.edits.apply(&mut edited, 0).unwrap();
                prop_assert!(edited.len() <= bytes.len());
            }
        }
    }

    #[test]
    fn a_broken_request_never_makes_it_panic(
        request in requests().logs(), level in level(), at in any::<prop::sample::Index>(), with in any::<u8>(),
    ) {
        let mut bytes = request.encode_to_vec();
        prop_assume!(!bytes.is_empty());
        let at = at.index(bytes.len());
        bytes[at] = with;
        let mut policy = Required { level, dropped: 0 };
        if let Ok(spliced) = splice_export(&request_of(&bytes, 0, Signal::Logs), &mut policy) {
            spliced.edits.apply(&mut bytes, 0).unwrap();
        }
    }
}
