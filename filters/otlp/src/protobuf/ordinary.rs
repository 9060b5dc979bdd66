//! The fast path for records that are written as nearly all are.
//!
//! It reads a record once, whatever has to be known of it. One look-up in a table says what a field's tag means, and
//! one whether a key has to be looked at. Whatever is unusual, be it malformed, odd or only rare, ends it. The record
//! is then read again by [`attributes`](super::attributes), [`parts`](super::parts) and [`record`](super::record),
//! which know every form.

use sluice_wire::{Nested, Reader, work};

use super::{
    parts::{LOG_SPAN_ID, LOG_TRACE_ID, is_odd_exemplar},
    record::{
        RecordBytes, SCALE, SPAN_ID_BYTES, TRACE_ID_BYTES, attributes_field, exemplars_field,
        has_length, is_id, link_has_valid_ids, span,
    },
};
use crate::{first_bytes::FirstBytes, kind::RecordKind, metric::MetricKind};

/// What a field means, to judge by the first byte of its tag.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    /// Nothing, and its value takes this many bytes.
    Fixed32,
    Fixed64,
    /// Nothing, and its value is a varint.
    Varint,
    /// Nothing, and its value has a length.
    Bytes,
    /// Nothing: its number is over 15.
    Numbered,
    Attribute,
    Exemplar,
    /// The scale of an exponential histogram.
    Scale,
    /// A span's link.
    Link,
    /// An id that may be empty.
    OptionalSpanId,
    OptionalTraceId,
    /// An id that a span must have.
    SpanId,
    TraceId,
    /// It has to be read in another way.
    Unusual,
}

/// The ids that a span must have, as bits.
const SPAN_ID: u8 = 1;
const TRACE_ID: u8 = 2;

impl<'a> RecordBytes<'a> {
    /// Whether the record is ordinary; see [`Record::is_ordinary`](crate::Record::is_ordinary).
    #[inline(always)]
    pub(crate) fn is_ordinary(
        &self,
        kind: RecordKind,
        most_attributes: usize,
        first_bytes: &FirstBytes,
        look: impl FnMut(&'a [u8], Option<&'a [u8]>) -> bool,
    ) -> bool {
        let Some(roles) = roles(kind) else { return false };
        let missing = if kind == RecordKind::Span { SPAN_ID | TRACE_ID } else { 0 };
        read(self.message().bytes, roles, missing, most_attributes, first_bytes, look).is_some()
    }
}

/// Reads a record; `None` if it is not ordinary.
#[inline(always)]
fn read<'a>(
    mut rest: &'a [u8],
    roles: &[Role; 256],
    mut missing: u8,
    mut left: usize,
    first_bytes: &FirstBytes,
    mut look: impl FnMut(&'a [u8], Option<&'a [u8]>) -> bool,
) -> Option<()> {
    while let Some((&tag, behind)) = rest.split_first() {
        work::done(1);
        match *roles.get(usize::from(tag))? {
            Role::Fixed32 => rest = behind.get(4..)?,
            Role::Fixed64 => rest = behind.get(8..)?,
            Role::Varint => match behind.split_first()? {
                (&byte, behind) if byte < 0x80 => rest = behind,
                _ => rest = skip(rest)?,
            },
            Role::Bytes => match delimited(behind) {
                Some((_, behind)) => rest = behind,
                None => rest = skip(rest)?,
            },
            Role::Numbered => rest = skip(rest)?,
            Role::Attribute => {
                left = left.checked_sub(1)?;
                let attribute = match short_attribute(rest) {
                    Some(attribute) => attribute,
                    None => long_attribute(behind)?,
                };
                let Attribute { key, value, behind } = attribute;
                rest = behind;
                if first_bytes.has(*key.first()?) && !look(key, text_of(value)) {
                    return None;
                }
            }
            // Few scales are negative, and some backends do not accept those.
            Role::Scale => match behind.split_first()? {
                (&zigzag, behind) if zigzag < 0x80 && zigzag & 1 == 0 => rest = behind,
                _ => return None,
            },
            role => {
                let (content, behind) = delimited(behind)?;
                rest = behind;
                match role {
                    Role::OptionalTraceId => has_length::<TRACE_ID_BYTES>(content).then_some(())?,
                    Role::OptionalSpanId => has_length::<SPAN_ID_BYTES>(content).then_some(())?,
                    Role::TraceId if is_id::<TRACE_ID_BYTES>(content, false) => {
                        missing &= !TRACE_ID
                    }
                    Role::SpanId if is_id::<SPAN_ID_BYTES>(content, false) => missing &= !SPAN_ID,
                    Role::Exemplar if !is_odd_exemplar(&message(content)).ok()? => {}
                    Role::Link if link_has_valid_ids(&message(content)).ok()? => {}
                    _ => return None,
                }
            }
        }
    }
    (missing == 0).then_some(())
}

/// An attribute that has just a key and a value, in this order.
struct Attribute<'a> {
    key: &'a [u8],
    value: &'a [u8],
    /// What follows the attribute.
    behind: &'a [u8],
}

/// Reads an attribute, from its tag on, all of whose lengths take one byte.
#[inline(always)]
fn short_attribute(rest: &[u8]) -> Option<Attribute<'_>> {
    // The attribute's tag and length, and the key's tag and length, in one step.
    let head = u32::from_le_bytes(*rest.first_chunk()?);
    let (length, key_length) = ((head >> 8 & 0x7f) as usize, (head >> 24) as usize);
    if head & 0x80ff_8000 != u32::from(KEY) << 16 {
        return None;
    }
    let behind = rest.get(length.wrapping_add(2)..)?;
    let (key, value) = rest.get(4..)?.split_at_checked(key_length)?;
    let head = u16::from_le_bytes(*value.first_chunk()?);
    let value_length = usize::from(head >> 8);
    let is_whole = key_length.wrapping_add(value_length).wrapping_add(4) == length;
    if head & 0x80ff != u16::from(VALUE) || !is_whole {
        return None;
    }
    let value = value.get(2..value_length.wrapping_add(2))?;
    Some(Attribute { key, value, behind })
}

/// Reads an attribute, from its length on, that is longer.
#[inline(never)]
fn long_attribute(rest: &[u8]) -> Option<Attribute<'_>> {
    let (pair, behind) = delimited(rest)?;
    let (&KEY, pair) = pair.split_first()? else { return None };
    let (key, pair) = delimited(pair)?;
    let (&VALUE, pair) = pair.split_first()? else { return None };
    let (value, pair) = delimited(pair)?;
    pair.is_empty().then_some(Attribute { key, value, behind })
}

/// The text of a value, if it is nothing else.
#[inline(never)]
fn text_of(value: &[u8]) -> Option<&[u8]> {
    let (&TEXT, rest) = value.split_first()? else { return None };
    let (text, behind) = delimited(rest)?;
    behind.is_empty().then_some(text)
}

/// `KeyValue.key`, as a tag.
const KEY: u8 = 1 << 3 | 2;
/// `KeyValue.value`.
const VALUE: u8 = 2 << 3 | 2;
/// `AnyValue.string_value`.
const TEXT: u8 = 1 << 3 | 2;

/// The content of a field after its tag, and what follows. `None` if the length takes more than two bytes, or reaches
/// past the end.
#[inline(always)]
fn delimited(rest: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&low, rest) = rest.split_first()?;
    if low < 0x80 {
        return rest.split_at_checked(usize::from(low));
    }
    let (&high, rest) = rest.split_first()?;
    if high >= 0x80 {
        return None;
    }
    rest.split_at_checked(usize::from(low & 0x7f) | usize::from(high) << 7)
}

/// A message whose errors nobody is shown, so that it does not matter where it is.
const fn message(bytes: &[u8]) -> Nested<'_> {
    Nested { bytes, start: 0, length_at: 0, content_at: 0 }
}

/// What follows a field that means nothing and takes a longer way to read.
#[inline(never)]
fn skip(rest: &[u8]) -> Option<&[u8]> {
    let mut reader = Reader::new(rest, 0);
    let number = reader.next_field().ok()??.number;
    // A small number may be written long.
    let is_read = rest.first()? & 0x80 != 0 && number < 16;
    let behind = rest.len().checked_sub(usize::try_from(reader.rest_bytes()).ok()?)?;
    if is_read { None } else { rest.get(behind..) }
}

/// What the tags of a kind of record mean.
const fn roles(kind: RecordKind) -> Option<&'static [Role; 256]> {
    use MetricKind::{ExponentialHistogram, Gauge, Histogram, Sum, Summary};
    use RecordKind::{DataPoint, LogRecord, Profile, Span};
    static LOG_RECORD: [Role; 256] = table(LogRecord);
    static SPAN: [Role; 256] = table(Span);
    static NUMBER: [Role; 256] = table(DataPoint(Gauge));
    static HISTOGRAM: [Role; 256] = table(DataPoint(Histogram));
    static EXPONENTIAL_HISTOGRAM: [Role; 256] = table(DataPoint(ExponentialHistogram));
    static SUMMARY: [Role; 256] = table(DataPoint(Summary));
    Some(match kind {
        LogRecord => &LOG_RECORD,
        Span => &SPAN,
        DataPoint(Gauge | Sum) => &NUMBER,
        DataPoint(Histogram) => &HISTOGRAM,
        DataPoint(ExponentialHistogram) => &EXPONENTIAL_HISTOGRAM,
        DataPoint(Summary) => &SUMMARY,
        Profile => return None,
    })
}

const fn table(kind: RecordKind) -> [Role; 256] {
    let mut roles = [Role::Unusual; 256];
    let (mut rest, mut tag): (&mut [Role], u8) = (&mut roles, 0);
    while let Some((role, behind)) = rest.split_first_mut() {
        *role = role_of(kind, tag);
        (rest, tag) = (behind, tag.wrapping_add(1));
    }
    roles
}

const fn is_scaled(kind: RecordKind) -> bool {
    matches!(kind, RecordKind::DataPoint(MetricKind::ExponentialHistogram))
}

const fn role_of(kind: RecordKind, tag: u8) -> Role {
    let (number, wire) = ((tag >> 3) as u32, tag & 7);
    if tag >= 0x80 {
        return Role::Numbered;
    }
    if number == SCALE && is_scaled(kind) {
        return if wire == 0 { Role::Scale } else { Role::Unusual };
    }
    let read = match (kind, number) {
        (_, 0) => Role::Unusual,
        _ if number == attributes_field(kind) => Role::Attribute,
        _ if number == exemplars_field(kind) => Role::Exemplar,
        (RecordKind::LogRecord, LOG_TRACE_ID) => Role::OptionalTraceId,
        (RecordKind::LogRecord, LOG_SPAN_ID) => Role::OptionalSpanId,
        (RecordKind::Span, span::TRACE_ID) => Role::TraceId,
        (RecordKind::Span, span::SPAN_ID) => Role::SpanId,
        (RecordKind::Span, span::PARENT_SPAN_ID) => Role::OptionalSpanId,
        (RecordKind::Span, span::LINK) => Role::Link,
        _ => {
            return match wire {
                0 => Role::Varint,
                1 => Role::Fixed64,
                2 => Role::Bytes,
                5 => Role::Fixed32,
                _ => Role::Unusual,
            };
        }
    };
    if wire == 2 { read } else { Role::Unusual }
}
