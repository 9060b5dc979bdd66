//! The odd parts of a record; see [`Parts`](crate::Parts).

use std::ops::Range;

use sluice_wire::{Nested, Reader, Unreadable};

use super::{
    attributes::key_of,
    record::{
        RecordBytes, SPAN_ID_BYTES, TRACE_ID_BYTES, attributes_field, exemplars_field, has_length,
    },
};
use crate::{context::ReadContext, kind::RecordKind, parts::Part};

/// `LogRecord.trace_id`.
pub(super) const LOG_TRACE_ID: u32 = 9;
/// `LogRecord.span_id`.
pub(super) const LOG_SPAN_ID: u32 = 10;

impl<'a> RecordBytes<'a> {
    /// Whether the record has an odd part.
    ///
    /// # Errors
    /// [`Unreadable`] if the record is.
    #[inline]
    pub(crate) fn has_odd_parts(
        &self,
        kind: RecordKind,
        context: &ReadContext<'a>,
        is_odd: impl Fn(&[u8]) -> bool,
    ) -> Result<bool, Unreadable> {
        let mut reader = Reader::nested(self.message());
        Ok(next_odd_part(&mut reader, kind, context, &is_odd)?.is_some())
    }

    /// Calls `show` with each odd part of the record, and where it is.
    ///
    /// # Errors
    /// [`Unreadable`] if the record is; and errors of `show`.
    pub(crate) fn each_odd_part(
        &self,
        kind: RecordKind,
        context: &ReadContext<'a>,
        is_odd: impl Fn(&[u8]) -> bool,
        mut show: impl FnMut(Part, Range<usize>) -> Result<(), Unreadable>,
    ) -> Result<(), Unreadable> {
        let mut reader = Reader::nested(self.message());
        while let Some((part, field)) = next_odd_part(&mut reader, kind, context, &is_odd)? {
            show(part, field.start..field.end())?;
        }
        Ok(())
    }
}

/// Returns the next odd part of a record.
#[inline(always)]
fn next_odd_part<'a>(
    reader: &mut Reader<'a>,
    kind: RecordKind,
    context: &ReadContext<'a>,
    is_odd: &impl Fn(&[u8]) -> bool,
) -> Result<Option<(Part, Nested<'a>)>, Unreadable> {
    let (attributes, exemplars) = (attributes_field(kind), exemplars_field(kind));
    let is_log = kind == RecordKind::LogRecord;
    while let Some(field) = reader.next_field()? {
        let number = field.number;
        if number == attributes {
            let pair = field.nested()?;
            if is_odd(key_of(&pair, context)?) {
                return Ok(Some((Part::Attribute, pair)));
            }
        } else if number == exemplars {
            let exemplar = field.nested()?;
            if is_odd_exemplar(&exemplar)? {
                return Ok(Some((Part::Exemplar, exemplar)));
            }
        } else if number == LOG_TRACE_ID && is_log {
            let id = field.nested()?;
            if !has_length::<TRACE_ID_BYTES>(id.bytes) {
                return Ok(Some((Part::Id, id)));
            }
        } else if number == LOG_SPAN_ID && is_log {
            let id = field.nested()?;
            if !has_length::<SPAN_ID_BYTES>(id.bytes) {
                return Ok(Some((Part::Id, id)));
            }
        }
    }
    Ok(None)
}

/// Whether an exemplar has no value, or an id that is neither of the right length nor empty.
#[inline(never)]
pub(super) fn is_odd_exemplar(exemplar: &Nested<'_>) -> Result<bool, Unreadable> {
    const AS_DOUBLE: u32 = 3;
    const SPAN_ID: u32 = 4;
    const TRACE_ID: u32 = 5;
    const AS_INT: u32 = 6;
    let mut has_value = false;
    let mut reader = Reader::nested(exemplar);
    while let Some(field) = reader.next_field()? {
        let is_valid = match field.number {
            AS_DOUBLE | AS_INT => {
                has_value = true;
                true
            }
            SPAN_ID => has_length::<SPAN_ID_BYTES>(field.nested()?.bytes),
            TRACE_ID => has_length::<TRACE_ID_BYTES>(field.nested()?.bytes),
            _ => true,
        };
        if !is_valid {
            return Ok(true);
        }
    }
    Ok(!has_value)
}
