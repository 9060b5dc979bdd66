//! What is read of a record beside its attributes.

use sluice_wire::{INT32, Nested, Reader, Unreadable, Value};

use crate::{kind::RecordKind, metric::MetricKind};

/// A log record, span, profile or data point.
#[derive(Clone, Debug)]
pub(crate) struct RecordBytes<'a> {
    message: Nested<'a>,
}

pub(super) const TRACE_ID_BYTES: usize = 16;
pub(super) const SPAN_ID_BYTES: usize = 8;

impl<'a> RecordBytes<'a> {
    #[inline]
    pub(crate) const fn new(message: Nested<'a>) -> Self {
        Self { message }
    }

    /// The record's message.
    #[inline]
    pub(crate) const fn message(&self) -> &Nested<'a> {
        &self.message
    }

    /// Whether the ids of a span are valid in OTLP.
    ///
    /// # Errors
    /// [`Unreadable`] if the record is.
    pub(crate) fn has_valid_ids(&self, unset: bool) -> Result<bool, Unreadable> {
        let (mut trace, mut span) = (unset, unset);
        let mut reader = Reader::nested(&self.message);
        while let Some(field) = reader.next_field()? {
            let valid = match field.number {
                span::TRACE_ID => {
                    trace = is_id::<TRACE_ID_BYTES>(field.nested()?.bytes, unset);
                    trace
                }
                span::SPAN_ID => {
                    span = is_id::<SPAN_ID_BYTES>(field.nested()?.bytes, unset);
                    span
                }
                span::PARENT_SPAN_ID => has_length::<SPAN_ID_BYTES>(field.nested()?.bytes),
                span::LINK => link_has_valid_ids(&field.nested()?)?,
                _ => true,
            };
            if !valid {
                return Ok(false);
            }
        }
        Ok(trace && span)
    }

    /// The trace id of a span, if it is valid.
    ///
    /// # Errors
    /// [`Unreadable`] if the record is.
    pub(crate) fn trace_id(&self) -> Result<Option<u128>, Unreadable> {
        let mut id = None;
        let mut reader = Reader::nested(&self.message);
        while let Some(field) = reader.next_field()? {
            if field.number == span::TRACE_ID {
                id = field.nested()?.bytes.try_into().ok().map(u128::from_be_bytes);
            }
        }
        Ok(id)
    }

    /// The size of the record's message, in bytes.
    pub(crate) const fn written_bytes(&self) -> u64 {
        self.message.bytes.len() as u64
    }

    /// The scale of an exponential histogram's data point; 0 if it is not set.
    ///
    /// # Errors
    /// [`Unreadable`] if the record is.
    pub(crate) fn scale(&self) -> Result<i64, Unreadable> {
        let mut scale = 0;
        let mut reader = Reader::nested(&self.message);
        while let Some(field) = reader.next_field()? {
            if let (SCALE, Value::Varint(zigzag)) = (field.number, field.value) {
                let zigzag = zigzag & INT32;
                scale = (zigzag >> 1).cast_signed() ^ (zigzag & 1).cast_signed().wrapping_neg();
            }
        }
        Ok(scale)
    }
}

/// `ExponentialHistogramDataPoint.scale`.
pub(super) const SCALE: u32 = 6;

/// The number of the field that holds a record's attributes; 0 means none.
pub(crate) const fn attributes_field(kind: RecordKind) -> u32 {
    match kind {
        RecordKind::LogRecord => 6,
        RecordKind::Span | RecordKind::DataPoint(MetricKind::Histogram) => 9,
        RecordKind::DataPoint(MetricKind::Gauge | MetricKind::Sum | MetricKind::Summary) => 7,
        RecordKind::DataPoint(MetricKind::ExponentialHistogram) => 1,
        // A profile refers to its attributes by number, and no rule looks at them.
        RecordKind::Profile => 0,
    }
}

/// The number of the field that holds a record's exemplars; 0 means none.
pub(super) const fn exemplars_field(kind: RecordKind) -> u32 {
    match kind {
        RecordKind::DataPoint(MetricKind::Gauge | MetricKind::Sum) => 5,
        RecordKind::DataPoint(MetricKind::Histogram) => 8,
        RecordKind::DataPoint(MetricKind::ExponentialHistogram) => 11,
        RecordKind::DataPoint(MetricKind::Summary)
        | RecordKind::LogRecord
        | RecordKind::Profile
        | RecordKind::Span => 0,
    }
}

/// The fields of a span that hold its ids and those of others.
pub(super) mod span {
    pub(crate) const TRACE_ID: u32 = 1;
    pub(crate) const SPAN_ID: u32 = 2;
    pub(crate) const PARENT_SPAN_ID: u32 = 4;
    pub(crate) const LINK: u32 = 13;
}

pub(super) fn link_has_valid_ids(link: &Nested<'_>) -> Result<bool, Unreadable> {
    let mut reader = Reader::nested(link);
    while let Some(field) = reader.next_field()? {
        let valid = match field.number {
            1 => has_length::<TRACE_ID_BYTES>(field.nested()?.bytes),
            2 => has_length::<SPAN_ID_BYTES>(field.nested()?.bytes),
            _ => true,
        };
        if !valid {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether these are `LENGTH` bytes that are not all zero. If `unset` is true, no bytes or zeros
/// are valid too.
pub(super) fn is_id<const LENGTH: usize>(bytes: &[u8], unset: bool) -> bool {
    if unset {
        has_length::<LENGTH>(bytes)
    } else {
        bytes.len() == LENGTH && bytes.iter().any(|byte| *byte != 0)
    }
}

/// Whether these are `LENGTH` bytes, or none.
#[inline(always)]
pub(super) const fn has_length<const LENGTH: usize>(bytes: &[u8]) -> bool {
    bytes.is_empty() || bytes.len() == LENGTH
}
