//! The fast path for ordinary records holds against the methods that read any record.

use proptest::{prelude::*, sample::Index};
use prost::Message;
use sluice_telemetry::{export, ordinary, strategies::Requests};
use sluice_wire::{ReadLimits, Unreadable};

use crate::{
    AnyValue, AttributeEdits, AttributeRef, Attributes, Descend, FirstBytes, Format, HasAttributes,
    Parts, Record, RecordPolicy, Request, Signal, splice_export,
};

const LIMITS: ReadLimits =
    ReadLimits { attributes: 10, bytes: 1 << 20, depth: 100, records: 100_000, room: usize::MAX };

/// An attribute, and its value if that is a string.
type Given = (Vec<u8>, Option<Vec<u8>>);

/// Reads each record in both ways.
struct BothWays {
    first_bytes: FirstBytes,
    /// Whether each record was ordinary.
    ordinary: Vec<bool>,
}

impl BothWays {
    /// Returns whether each record was ordinary, and whether the request could be read.
    fn read(message: &[u8], signal: Signal, format: Format) -> (Vec<bool>, Result<(), Unreadable>) {
        let mut first_bytes = FirstBytes::UNUSUAL;
        first_bytes.add(b's');
        let mut both = Self { first_bytes, ordinary: Vec::new() };
        let request = Request { message, at: 0, signal, format, limits: LIMITS };
        let read = splice_export(&request, &mut both).map(|_| ());
        (both.ordinary, read)
    }

    /// The attributes at which the fast path has to look.
    fn all(&self, record: &Record<'_, '_>) -> Result<Vec<Given>, Unreadable> {
        let mut all = Vec::new();
        let looks = |key: &[u8]| key.first().is_none_or(|first| self.first_bytes.has(*first));
        record.each_where(looks, |given| {
            let text = match given {
                AttributeRef::Text { text, .. } => Some(text.to_vec()),
                AttributeRef::Attribute(attribute) => match attribute.decisive_value() {
                    Ok(AnyValue::String(text)) => Some(text.into_owned()),
                    // The fast path does not read other values.
                    _ => None,
                },
            };
            all.push((given.key().to_vec(), text));
            Ok(())
        })?;
        Ok(all)
    }
}

impl<'a> RecordPolicy<'a> for BothWays {
    type Error = Unreadable;
    fn resource(
        &mut self,
        _: Attributes<'a>,
        _: &mut AttributeEdits<'a>,
    ) -> Result<Descend, Unreadable> {
        Ok(Descend::Inspect)
    }
    fn record(&mut self, record: &Record<'_, 'a>) -> Result<bool, Unreadable> {
        let mut shown = Vec::new();
        let is_ordinary = record.is_ordinary(&self.first_bytes, |key, text| {
            shown.push((key.to_vec(), text.map(<[u8]>::to_vec)));
            true
        });
        self.ordinary.push(is_ordinary);
        if !is_ordinary {
            return Ok(true);
        }
        // An error in any of these would mean that the fast path has let something malformed pass.
        assert_eq!(record.odd_parts(|_| false), Ok(Parts::default()));
        assert_eq!(record.has_valid_ids(false), Ok(true));
        assert!(record.scale().unwrap().is_none_or(|scale| scale >= 0));
        let all = self.all(record).unwrap();
        assert_eq!(shown.len(), all.len());
        for (shown, all) in shown.into_iter().zip(all) {
            assert_eq!(shown.0, all.0);
            assert!(shown.1.is_none() || shown.1 == all.1, "{shown:?} is not {all:?}");
        }
        Ok(true)
    }
}

#[test]
fn what_real_senders_write_is_ordinary() {
    let all = |_| true;
    let (logs, gauges) = (ordinary::logs(50, all), ordinary::gauges(50, all));
    for (message, signal, format) in [
        (ordinary::json_of_logs(&logs), Signal::Logs, Format::Json),
        (ordinary::json_of_metrics(&gauges), Signal::Metrics, Format::Json),
        (logs, Signal::Logs, Format::Protobuf),
        (gauges, Signal::Metrics, Format::Protobuf),
        (ordinary::histograms(50, all), Signal::Metrics, Format::Protobuf),
        (ordinary::traces(50, all), Signal::Traces, Format::Protobuf),
    ] {
        let read = BothWays::read(&message, signal, format);
        assert_eq!(read, (vec![true; 50], Ok(())), "{signal:?} {format:?}");
    }
}

/// A request of any signal, in protobuf and in JSON.
fn requests() -> impl Strategy<Value = (Signal, Vec<u8>, Vec<u8>)> {
    let keys = prop_oneof!["[a-z]{1,3}", "s[a-z.]{0,3}", "[._\u{fc}\"]{0,2}", "[ks]{120,135}"];
    let requests = Requests::with_keys(keys).for_json();
    prop_oneof![
        requests.logs().prop_map(|r| (Signal::Logs, r.encode_to_vec(), export::json(&r))),
        requests.metrics().prop_map(|r| (Signal::Metrics, r.encode_to_vec(), export::json(&r))),
        requests.traces().prop_map(|r| (Signal::Traces, r.encode_to_vec(), export::json(&r))),
    ]
}

/// What is written over other bytes: tags, lengths, and what means something in JSON.
const BYTES: &[u8] =
    b"\x00\x01\x02\x08\x09\x0a\x0d\x10\x12\x1a\x22\x2a\x30\x31\x32\x3a\x3b\x42\x4a\x52\x6a\
    \x7f\x80\x85\xff\"\\{}[]:,_ AaSs0";

proptest! {
    #[test]
    fn an_ordinary_record_is_nothing_else_when_it_is_read_in_full(
        (signal, protobuf, json) in requests(),
        replaced in proptest::collection::vec((any::<Index>(), any::<Index>()), 0..4),
    ) {
        for (mut message, format) in [(protobuf, Format::Protobuf), (json, Format::Json)] {
            BothWays::read(&message, signal, format).1.ok();
            // So that much is malformed, or valid but unusual.
            for (at, byte) in &replaced {
                if !message.is_empty() {
                    let at = at.index(message.len());
                    message[at] = *byte.get(BYTES);
                }
            }
            BothWays::read(&message, signal, format).1.ok();
        }
    }
}
