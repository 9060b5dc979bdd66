//! A record as a policy is shown it.

use sluice_wire::{Reader, Unreadable};

use crate::{
    attributes::{AttributeRef, Attributes, HasAttributes, each_where},
    context::ReadContext,
    first_bytes::FirstBytes,
    json::record::RecordText,
    kind::RecordKind,
    metric::MetricKind,
    parts::Parts,
    protobuf::record::{RecordBytes, attributes_field},
};

/// A log record, span, profile or data point.
#[derive(Clone, Debug)]
pub struct Record<'r, 'a> {
    encoded: EncodedRecord<'a>,
    kind: RecordKind,
    context: &'r ReadContext<'a>,
}

#[derive(Clone, Debug)]
enum EncodedRecord<'a> {
    Json(RecordText<'a>),
    Protobuf(RecordBytes<'a>),
}

impl<'r, 'a> Record<'r, 'a> {
    #[inline]
    pub(crate) const fn json(
        text: RecordText<'a>,
        kind: RecordKind,
        context: &'r ReadContext<'a>,
    ) -> Self {
        Self { encoded: EncodedRecord::Json(text), kind, context }
    }

    #[inline]
    pub(crate) const fn protobuf(
        bytes: RecordBytes<'a>,
        kind: RecordKind,
        context: &'r ReadContext<'a>,
    ) -> Self {
        Self { encoded: EncodedRecord::Protobuf(bytes), kind, context }
    }

    /// The record's attributes.
    #[inline]
    #[must_use]
    pub fn attributes(&self) -> Attributes<'a> {
        let context = self.context.clone();
        match &self.encoded {
            EncodedRecord::Json(text) if self.kind == RecordKind::Profile => {
                Attributes::json(text.no_attributes(), context)
            }
            EncodedRecord::Json(text) => Attributes::json(text.attributes(), context),
            EncodedRecord::Protobuf(bytes) => {
                Attributes::of(Some(*bytes.message()), attributes_field(self.kind), context)
            }
        }
    }

    /// Whether the record is ordinary: written as nearly all are, with valid ids, without a negative scale, and with no
    /// other [odd part](Self::odd_parts) than attributes with odd keys. It is read once, and `look` is shown each
    /// attribute whose key begins with one of `first_bytes`: its key, and its value if that is just a string. If `look`
    /// returns `false`, the record is not ordinary.
    ///
    /// `false` does not mean that anything is wrong: only that the other methods have to read the record.
    #[inline(always)]
    pub fn is_ordinary(
        &self,
        first_bytes: &FirstBytes,
        look: impl FnMut(&'a [u8], Option<&'a [u8]>) -> bool,
    ) -> bool {
        let most_attributes = self.context.most_attributes();
        match &self.encoded {
            EncodedRecord::Json(text) => {
                text.is_ordinary(self.kind, most_attributes, first_bytes, look)
            }
            EncodedRecord::Protobuf(bytes) => {
                bytes.is_ordinary(self.kind, most_attributes, first_bytes, look)
            }
        }
    }

    /// Whether every id in it is valid in OTLP. A span needs a trace id of 16 bytes and a span id
    /// of 8 that are not all zero; if `unset` is true, empty or zero ids are valid too. For its
    /// parent and its links, empty or zero ids are always valid. True for anything that is not a
    /// span.
    ///
    /// # Errors
    /// [`Unreadable`] if the record is.
    pub fn has_valid_ids(&self, unset: bool) -> Result<bool, Unreadable> {
        if self.kind != RecordKind::Span {
            return Ok(true);
        }
        match &self.encoded {
            EncodedRecord::Json(text) => text.has_valid_ids(unset),
            EncodedRecord::Protobuf(bytes) => bytes.has_valid_ids(unset),
        }
    }

    /// The trace id of a span, if it is valid; the last one if it is set twice, as decoders read
    /// it. `None` for anything that is not a span.
    ///
    /// # Errors
    /// [`Unreadable`] if the record is.
    pub fn trace_id(&self) -> Result<Option<u128>, Unreadable> {
        if self.kind != RecordKind::Span {
            return Ok(None);
        }
        match &self.encoded {
            EncodedRecord::Json(text) => text.trace_id(),
            EncodedRecord::Protobuf(bytes) => bytes.trace_id(),
        }
    }

    /// The size of the record as received, in bytes. In JSON it is two to three times the size in
    /// protobuf.
    #[must_use]
    pub const fn written_bytes(&self) -> u64 {
        match &self.encoded {
            EncodedRecord::Json(text) => text.written_bytes(),
            EncodedRecord::Protobuf(bytes) => bytes.written_bytes(),
        }
    }

    /// The scale of an exponential histogram's data point, 0 if it is not set; `None` for anything
    /// else.
    ///
    /// # Errors
    /// [`Unreadable`] if the record is.
    pub fn scale(&self) -> Result<Option<i64>, Unreadable> {
        if self.kind != RecordKind::DataPoint(MetricKind::ExponentialHistogram) {
            return Ok(None);
        }
        match &self.encoded {
            EncodedRecord::Json(text) => text.scale().map(Some),
            EncodedRecord::Protobuf(bytes) => bytes.scale().map(Some),
        }
    }

    /// Whether the record has an odd part: an attribute whose key `is_odd`, or another one of
    /// [`Parts`]. A record without odd parts is read only once, and nothing of it is stored. Spans
    /// and profiles are not read.
    ///
    /// # Errors
    /// [`Unreadable`] if the record is.
    #[inline]
    pub fn has_odd_parts(&self, is_odd: impl Fn(&[u8]) -> bool) -> Result<bool, Unreadable> {
        if !self.kind.has_parts() {
            return Ok(false);
        }
        match &self.encoded {
            EncodedRecord::Json(text) => text.has_odd_parts(self.kind, self.context, is_odd),
            EncodedRecord::Protobuf(bytes) => bytes.has_odd_parts(self.kind, self.context, is_odd),
        }
    }

    /// Counts the odd parts of the record.
    ///
    /// # Errors
    /// [`Unreadable`] if the record is.
    pub fn odd_parts(&self, is_odd: impl Fn(&[u8]) -> bool) -> Result<Parts, Unreadable> {
        let mut parts = Parts::default();
        match &self.encoded {
            EncodedRecord::Json(text) => {
                text.each_odd_part(self.kind, self.context, is_odd, |part| parts.add(part))?;
            }
            EncodedRecord::Protobuf(bytes) => {
                bytes.each_odd_part(self.kind, self.context, is_odd, |part, _| {
                    parts.add(part);
                    Ok(())
                })?;
            }
        }
        Ok(parts)
    }
}

impl<'a> HasAttributes<'a> for Record<'_, 'a> {
    #[inline(always)]
    fn each_where(
        &self,
        wanted: impl Fn(&[u8]) -> bool,
        show: impl FnMut(AttributeRef<'_, 'a>) -> Result<(), Unreadable>,
    ) -> Result<(), Unreadable> {
        match &self.encoded {
            EncodedRecord::Json(_) => self.attributes().each_where(wanted, show),
            EncodedRecord::Protobuf(bytes) => {
                let owner = Reader::nested(bytes.message());
                each_where(owner, attributes_field(self.kind), self.context, wanted, show)
            }
        }
    }
}

#[cfg(test)]
mod tests;
