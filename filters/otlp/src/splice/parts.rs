//! The odd parts of a record: what a backend may refuse a whole request for, though the record says as
//! much without it.

use std::ops::Range;

use sluice_wire::{Nested, Reader, Unreadable};

use super::record::{Kind, Record, SPAN_ID_BYTES, TRACE_ID_BYTES, Written, has_length};
use crate::{
    attributes::key_of,
    policy::{Part, Parts},
};

/// `LogRecord.trace_id`.
const LOG_TRACE_ID: u32 = 9;
/// `LogRecord.span_id`.
const LOG_SPAN_ID: u32 = 10;

impl<'a> Record<'_, 'a> {
    /// Whether anything in it is odd: an attribute whose key `is_odd`, and what [`Parts`] names. A
    /// record that is not is read once, and nothing of it is kept; spans and profiles are not read.
    ///
    /// # Errors
    /// [`Unreadable`] if it is.
    #[inline]
    pub fn has_odd_parts(&self, is_odd: impl Fn(&[u8]) -> bool) -> Result<bool, Unreadable> {
        if !self.kind.has_parts() {
            return Ok(false);
        }
        let message = match &self.written {
            Written::Json(text) => return text.has_odd_parts(self.kind, self.context, is_odd),
            Written::Protobuf(message) => message,
        };
        let mut reader = Reader::nested(message);
        Ok(self.next_odd_part(&mut reader, &is_odd)?.is_some())
    }

    /// Counts what is odd in it.
    ///
    /// # Errors
    /// [`Unreadable`] if it is.
    pub fn odd_parts(&self, is_odd: impl Fn(&[u8]) -> bool) -> Result<Parts, Unreadable> {
        let mut parts = Parts::default();
        match &self.written {
            Written::Json(text) => {
                text.each_odd_part(self.kind, self.context, is_odd, |part| parts.add(part))?;
            }
            Written::Protobuf(_) => self.each_odd_part(is_odd, |part, _| {
                parts.add(part);
                Ok(())
            })?,
        }
        Ok(parts)
    }

    /// Shows every odd part of a record in protobuf, and where it lies.
    pub(super) fn each_odd_part(
        &self,
        is_odd: impl Fn(&[u8]) -> bool,
        mut show: impl FnMut(Part, Range<usize>) -> Result<(), Unreadable>,
    ) -> Result<(), Unreadable> {
        let Written::Protobuf(message) = &self.written else { return Ok(()) };
        let mut reader = Reader::nested(message);
        while let Some((part, field)) = self.next_odd_part(&mut reader, &is_odd)? {
            show(part, field.start..field.end())?;
        }
        Ok(())
    }

    /// The next odd part of a record in protobuf.
    #[inline(always)]
    fn next_odd_part(
        &self,
        reader: &mut Reader<'a>,
        is_odd: &impl Fn(&[u8]) -> bool,
    ) -> Result<Option<(Part, Nested<'a>)>, Unreadable> {
        let (attributes, exemplars) = (self.kind.attributes(), self.kind.exemplars());
        let is_log = self.kind == Kind::LogRecord;
        while let Some(field) = reader.next_field()? {
            let number = field.number;
            if number == attributes {
                let pair = field.nested()?;
                if is_odd(key_of(&pair, self.context)?) {
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
}

/// Whether an exemplar has no value, or an id that is neither as long as OTLP has it, nor empty.
#[inline(never)]
fn is_odd_exemplar(exemplar: &Nested<'_>) -> Result<bool, Unreadable> {
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
