//! Messages that two decoders could read in different ways are refused.

use opentelemetry_proto::tonic::{
    collector::logs::v1::ExportLogsServiceRequest, logs::v1::LogRecord, resource::v1::Resource,
};
use prost::Message;
use sluice_telemetry::{
    attributes::{Attributed, text},
    export::InScope,
    wire::field,
};
use sluice_wire::{Fault, Unreadable};

use super::request_of;
use crate::{
    AttributeEdits, Attributes, Descend, Interest, Record, RecordPolicy, Signal, fault,
    splice_export,
};

/// Reads every attribute and drops nothing.
struct ReadAll;

fn read(mut attributes: Attributes<'_>) -> Result<(), Unreadable> {
    while let Some(attribute) = attributes.next_where(|_| true)? {
        attribute.value()?;
    }
    Ok(())
}

impl<'a> RecordPolicy<'a> for ReadAll {
    type Error = Unreadable;
    fn interest(&self) -> Interest {
        Interest { scopes: true, ..Interest::default() }
    }
    fn resource(
        &mut self,
        attributes: Attributes<'a>,
        _: &mut AttributeEdits,
    ) -> Result<Descend, Unreadable> {
        read(attributes).map(|()| Descend::Inspect)
    }
    fn scope(
        &mut self,
        attributes: Attributes<'a>,
        _: &mut AttributeEdits,
    ) -> Result<Descend, Unreadable> {
        read(attributes).map(|()| Descend::Inspect)
    }
    fn record(&mut self, record: &Record<'_, 'a>) -> Result<bool, Unreadable> {
        read(record.attributes()).map(|()| true)
    }
}

fn fault(bytes: &[u8], signal: Signal) -> Fault {
    match splice_export(&request_of(bytes, 0, signal), &mut ReadAll) {
        Err(Unreadable::Malformed(malformed)) => malformed.fault,
        other => panic!("{other:?}"),
    }
}

fn resource_with(attribute: &[u8]) -> Vec<u8> {
    field(1, &field(1, &field(1, attribute)))
}

#[test]
fn a_second_resource_is_refused() {
    let entry = [field(1, &[]), field(1, &[])].concat();
    assert_eq!(fault(&field(1, &entry), Signal::Logs), Fault::REPEATED);
}

#[test]
fn a_second_scope_is_refused() {
    let scopes = [field(1, &[]), field(1, &[])].concat();
    assert_eq!(fault(&field(1, &field(2, &scopes)), Signal::Traces), Fault::REPEATED);
}

/// The OpenTelemetry Collector reads records from there. If they were allowed, records would pass
/// unchecked.
#[test]
fn scope_entries_in_the_field_that_otlp_has_given_up_are_refused() {
    let records = field(2, &[]);
    let entry = [&[0xc2, 0x3e, u8::try_from(records.len()).unwrap()], records.as_slice()].concat();
    for signal in Signal::ALL {
        assert_eq!(fault(&field(1, &entry), signal), fault::DEPRECATED);
    }
}

#[test]
fn a_second_kind_of_metric_data_is_refused() {
    let metric = [field(5, &[]), field(7, &[])].concat();
    let request = field(1, &field(2, &field(2, &metric)));
    assert_eq!(fault(&request, Signal::Metrics), Fault::REPEATED);
}

#[test]
fn a_second_key_is_refused() {
    let attribute = [field(1, b"innocent"), field(1, b"source.name")].concat();
    assert_eq!(fault(&resource_with(&attribute), Signal::Logs), Fault::REPEATED);
}

#[test]
fn a_second_value_is_refused() {
    let attribute = [field(2, &field(1, b"a")), field(2, &field(1, b"b"))].concat();
    assert_eq!(fault(&resource_with(&attribute), Signal::Logs), Fault::REPEATED);
}

#[test]
fn a_value_of_two_types_is_refused() {
    let value = [field(1, b"a"), field(7, b"b")].concat();
    assert_eq!(fault(&resource_with(&field(2, &value)), Signal::Logs), Fault::REPEATED);
}

#[test]
fn a_list_of_unknown_fields_alone_is_empty() {
    struct Seen(Vec<bool>);
    impl<'a> RecordPolicy<'a> for Seen {
        type Error = Unreadable;
        fn interest(&self) -> Interest {
            Interest { scopes: false, ..Interest::default() }
        }
        fn resource(
            &mut self,
            mut attributes: Attributes<'a>,
            _: &mut AttributeEdits,
        ) -> Result<Descend, Unreadable> {
            while let Some(attribute) = attributes.next_where(|_| true)? {
                self.0.push(attribute.value()?.is_empty());
            }
            Ok(Descend::KeepAll)
        }
        fn scope(
            &mut self,
            _: Attributes<'a>,
            _: &mut AttributeEdits,
        ) -> Result<Descend, Unreadable> {
            Ok(Descend::KeepAll)
        }
        fn record(&mut self, _: &Record<'_, 'a>) -> Result<bool, Unreadable> {
            Ok(true)
        }
    }
    let unknown = field(15, b"x");
    for list in [5, 6] {
        let entry = [unknown.clone(), field(1, b"")].concat();
        for (content, is_empty) in [(unknown.clone(), true), (entry, false)] {
            let request = resource_with(&field(2, &field(list, &content)));
            let mut seen = Seen(Vec::new());
            splice_export(&request_of(&request, 0, Signal::Logs), &mut seen).unwrap();
            assert_eq!(seen.0, [is_empty]);
        }
    }
    let broken = resource_with(&field(2, &field(5, &[0x0a, 0x02])));
    assert_eq!(fault(&broken, Signal::Logs), Fault::TRUNCATED);
}

#[test]
fn a_known_field_of_another_wire_type_is_refused() {
    assert_eq!(fault(&[0x08, 0x01], Signal::Logs), Fault::WIRE_TYPE);
    assert_eq!(fault(&resource_with(&field(2, &[0x08, 0x01])), Signal::Logs), Fault::WIRE_TYPE);
}

#[test]
fn a_resource_behind_its_scopes_is_found() {
    let records = LogRecord::scope(None, vec![LogRecord::default()], "");
    let scopes = LogRecord::resource(None, vec![records], "");
    let named = Resource::of(vec![text("source.name", "a")]);
    let resource = LogRecord::resource(Some(named), Vec::new(), "");
    let entry = [scopes.encode_to_vec(), resource.encode_to_vec()].concat();
    let request = field(1, &entry);
    assert_eq!(ExportLogsServiceRequest::decode(&request[..]).unwrap().resource_logs.len(), 1);

    struct FoundFirst(bool);
    impl<'a> RecordPolicy<'a> for FoundFirst {
        type Error = Unreadable;
        fn interest(&self) -> Interest {
            Interest { scopes: false, ..Interest::default() }
        }
        fn resource(
            &mut self,
            mut attributes: Attributes<'a>,
            _: &mut AttributeEdits,
        ) -> Result<Descend, Unreadable> {
            self.0 =
                attributes.next_where(|_| true)?.is_some_and(|found| found.key() == b"source.name");
            Ok(Descend::KeepAll)
        }
        fn scope(
            &mut self,
            _: Attributes<'a>,
            _: &mut AttributeEdits,
        ) -> Result<Descend, Unreadable> {
            Ok(Descend::KeepAll)
        }
        fn record(&mut self, _: &Record<'_, 'a>) -> Result<bool, Unreadable> {
            Ok(true)
        }
    }
    let mut policy = FoundFirst(false);
    assert!(splice_export(&request_of(&request, 0, Signal::Logs), &mut policy).unwrap().kept);
    assert!(policy.0);
}
