//! Compares the splicer with the simple way: decode, filter, encode. Also tests what it must
//! refuse.

#![expect(clippy::arithmetic_side_effects, reason = "the oracle counts plainly")]

use std::rc::Rc;

use proptest::{collection::vec, prelude::*};
use sluice_prompb::{self as prompb, Message};

use super::*;
use crate::label_field;

const LIMITS: ReadLimits =
    ReadLimits { attributes: 100, bytes: 1 << 20, depth: 100, records: 100_000, room: usize::MAX };

/// Keeps series that have exactly one label `keep`, with any value; removes labels named `gone`,
/// and inserts others.
#[derive(Default)]
struct Keep {
    puts: Vec<(&'static str, Rc<[u8]>)>,
    relabels: bool,
    dropped: u64,
}

impl Keep {
    /// Inserts these labels, which are sorted by name.
    fn putting(labels: &[(&'static str, &str)]) -> Self {
        let write = |(name, value): &(&'static str, &str)| (*name, label_field(name, value).into());
        Self { puts: labels.iter().map(write).collect(), relabels: true, dropped: 0 }
    }
}

impl<'a> SeriesPolicy<'a> for Keep {
    type Error = Unreadable;

    fn series(&mut self, series: &Series<'a>) -> Result<bool, Unreadable> {
        let mut found = Vec::new();
        let mut labels = series.labels();
        while let Some(label) = labels.next_label()? {
            if label.name == b"keep" {
                found.push(label.value);
            }
        }
        Ok(matches!(found[..], [value] if !value.is_empty()))
    }

    fn dropped(&mut self, samples: u64) {
        self.dropped += samples;
    }

    fn relabels(&self) -> bool {
        self.relabels
    }

    fn takes(&self, name: &[u8]) -> bool {
        self.relabels && name == b"gone"
    }

    fn puts(&self) -> &[(&str, Rc<[u8]>)] {
        &self.puts
    }
}

/// What is left of a message, how many samples were dropped, and whether anything is kept.
fn spliced(message: &[u8], mut policy: Keep) -> Result<(Vec<u8>, u64, bool), Unreadable> {
    let Spliced { edits, dropped, kept } =
        splice_series(&WriteRequest { message, limits: LIMITS }, &mut policy)?;
    assert_eq!(dropped, policy.dropped, "what is counted is what the policy is told");
    let mut left = message.to_vec();
    edits.apply(&mut left, 0).unwrap();
    Ok((left, dropped, kept))
}

fn label() -> impl Strategy<Value = prompb::Label> {
    let name = prop_oneof![Just("keep".to_owned()), Just("gone".to_owned()), "[a-z]{0,3}"];
    let value = prop_oneof![4 => "[a-z]{0,3}", 1 => "[a-z]{120,300}"];
    (name, value).prop_map(|(name, value)| prompb::Label { name, value })
}

fn series() -> impl Strategy<Value = prompb::TimeSeries> {
    (vec(label(), 0..6), any::<bool>(), 0..4_usize, 0..3_usize, 0..2_usize).prop_map(
        |(mut labels, sorted, samples, histograms, exemplars)| {
            if sorted {
                labels.sort_by(|a, b| a.name.cmp(&b.name));
            }
            let exemplar = prompb::Exemplar { labels: labels.clone(), value: 2.0, timestamp: 3 };
            prompb::TimeSeries {
                labels,
                samples: vec![prompb::Sample { value: 1.5, timestamp: 1_795_000_000_000 }; samples],
                histograms: vec![
                    prompb::Histogram { count_int: 3, ..Default::default() };
                    histograms
                ],
                exemplars: vec![exemplar; exemplars],
            }
        },
    )
}

fn request() -> impl Strategy<Value = prompb::WriteRequest> {
    let metadata = "[a-z]{1,9}".prop_map(|name| prompb::MetricMetadata {
        r#type: 1,
        metric_family_name: name,
        help: "what it is".to_owned(),
    });
    (vec(series(), 0..8), vec(metadata, 0..3))
        .prop_map(|(timeseries, metadata)| prompb::WriteRequest { timeseries, metadata })
}

/// The simple way.
fn plainly(
    request: &prompb::WriteRequest,
    puts: &[(&'static str, &str)],
) -> (prompb::WriteRequest, u64) {
    let mut left = request.clone();
    let mut dropped = 0;
    left.timeseries.retain(|series| {
        let mut kept = series.labels.iter().filter(|label| label.name == "keep");
        let stays =
            matches!((kept.next(), kept.next()), (Some(label), None) if !label.value.is_empty());
        if !stays {
            dropped += (series.samples.len() + series.histograms.len()) as u64;
        }
        stays
    });
    if !puts.is_empty() {
        for series in &mut left.timeseries {
            series.labels.retain(|label| label.name != "gone");
            for (name, value) in puts {
                let place = series.labels.iter().position(|label| label.name.as_str() > *name);
                let place = place.unwrap_or(series.labels.len());
                let label = prompb::Label { name: (*name).to_owned(), value: (*value).to_owned() };
                series.labels.insert(place, label);
            }
        }
    }
    (left, dropped)
}

proptest! {
    #[test]
    fn what_is_left_is_what_the_plain_way_leaves(request in request()) {
        let message = request.encode_to_vec();
        let (expected, dropped) = plainly(&request, &[]);
        let (left, count, kept) = spliced(&message, Keep::default()).unwrap();
        prop_assert_eq!((&left, count), (&expected.encode_to_vec(), dropped));
        prop_assert_eq!(kept, !(expected.timeseries.is_empty() && expected.metadata.is_empty()));
        // A second pass drops nothing more.
        prop_assert_eq!(spliced(&left, Keep::default()).unwrap(), (left.clone(), 0, kept));
    }

    #[test]
    fn labels_are_put_where_their_order_has_them(request in request()) {
        let puts = [("gone", "stamped"), ("zone", "b")];
        let (expected, dropped) = plainly(&request, &puts);
        let (left, count, _) = spliced(&request.encode_to_vec(), Keep::putting(&puts)).unwrap();
        let left = prompb::WriteRequest::decode(&left[..]).unwrap();
        prop_assert_eq!((left, count), (expected, dropped));
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in vec(any::<u8>(), 0..64)) {
        let _: Result<_, _> = spliced(&bytes, Keep::putting(&[("gone", "x")]));
    }
}

fn field(number: u32, content: &[u8]) -> Vec<u8> {
    let mut field = Vec::new();
    sluice_wire::push_field(&mut field, number, content);
    field
}

/// One series with the label `keep`, and `rest` after it.
fn kept_series(rest: &[u8]) -> Vec<u8> {
    field(1, &[label_field("keep", "a"), rest.to_vec()].concat())
}

#[test]
fn labels_go_away_where_none_is_put_in_their_place() {
    let message = kept_series(&label_field("gone", "x"));
    let policy = Keep { relabels: true, ..Keep::default() };
    assert_eq!(spliced(&message, policy).unwrap().0, kept_series(&[]));
}

#[test]
fn unknown_fields_and_their_order_stay() {
    const UNKNOWN: [u8; 3] = [0xf8, 0x01, 0x07];
    // Samples before the labels, a label's value before its name, an unknown field at every level.
    let label = [&[0x12, 1, b'a'][..], &[0x0a, 4], b"keep", &UNKNOWN].concat();
    let sample = field(2, &[0x10, 0x01]);
    let series = [&sample[..], &field(1, &label), &UNKNOWN].concat();
    let odd = kept_series(&field(2, &[]));
    let lost = field(1, &label_field("other", "a"));
    let message = [&UNKNOWN[..], &field(1, &series), &lost, &UNKNOWN, &odd].concat();
    let expected = [&UNKNOWN[..], &field(1, &series), &UNKNOWN, &odd].concat();
    // The dropped series have no samples, so the count is 0.
    assert_eq!(spliced(&message, Keep::default()).unwrap(), (expected, 0, true));
}

#[test]
fn what_decoders_read_otherwise_is_refused() {
    let twice = |number| [field(number, b"keep"), field(number, b"other"), field(2, b"a")].concat();
    for (message, expected) in [
        (field(1, &field(1, &twice(1))), Fault::REPEATED),
        (field(1, &field(1, &twice(2))), Fault::REPEATED),
        (kept_series(&[0x0b, 0x0c]), Fault::GROUP),
        (kept_series(&[0x08, 0x01]), Fault::WIRE_TYPE),
        (kept_series(&[0x10, 0x01]), Fault::WIRE_TYPE),
        (kept_series(&[0x12, 0x05]), Fault::TRUNCATED),
        (vec![0x08, 0x01], Fault::WIRE_TYPE),
        (vec![0x18, 0x01], Fault::WIRE_TYPE),
        (vec![0x0a, 0x05, 0x0a], Fault::TRUNCATED),
        // Fields that Mimir obeys: a source, the message of 2.0, switches.
        (vec![0x10, 0x01], RESERVED),
        (field(4, b"symbol"), RESERVED),
        (field(5, &[]), RESERVED),
        (vec![0xc0, 0x3e, 0x01], RESERVED),
        (vec![0xc8, 0x3e, 0x01], RESERVED),
    ] {
        match spliced(&message, Keep::default()) {
            Err(Unreadable::Malformed(malformed)) => {
                assert_eq!(malformed.fault, expected, "{message:x?}")
            }
            other => panic!("{message:x?}: {other:?}"),
        }
    }
}

#[test]
fn limits_hold() {
    let message = [kept_series(&label_field("b", "c")), kept_series(&[])].concat();
    let within = |limits| {
        let policy = &mut Keep::putting(&[("zone", "abc")]);
        splice_series(&WriteRequest { message: &message, limits }, policy).map(|_| ())
    };
    let exact = ReadLimits {
        attributes: 2,
        records: 2,
        bytes: message.len() + 26,
        depth: 1,
        room: usize::MAX,
    };
    assert_eq!(within(exact), Ok(()));
    assert_eq!(
        within(ReadLimits { attributes: 1, ..exact }),
        Err(OverLimit::Attributes { limit: 1 }.into())
    );
    assert_eq!(
        within(ReadLimits { records: 1, ..exact }),
        Err(OverLimit::Records { limit: 1 }.into())
    );
    let limit = exact.bytes - 1;
    assert_eq!(
        within(ReadLimits { bytes: limit, ..exact }),
        Err(OverLimit::Bytes { limit }.into())
    );
}
