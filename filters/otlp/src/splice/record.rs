//! A record as a policy is shown it.

use sluice_wire::{INT32, Nested, Reader, Unreadable, Value};

use crate::{
    attributes::{Attributed, Attributes, Context, Given, each_where},
    json::RecordText,
    policy::MetricKind,
};

/// A log record, span, profile or data point.
#[derive(Clone, Debug)]
pub struct Record<'r, 'a> {
    pub(super) written: Written<'a>,
    pub(super) kind: Kind,
    pub(super) context: &'r Context<'a>,
}

#[derive(Clone, Debug)]
pub(super) enum Written<'a> {
    Json(RecordText<'a>),
    Protobuf(Nested<'a>),
}

/// What a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    DataPoint(MetricKind),
    LogRecord,
    Profile,
    Span,
}

impl Kind {
    /// The number of the field that holds the attributes; 0 is none.
    pub(super) const fn attributes(self) -> u32 {
        match self {
            Self::LogRecord => 6,
            Self::Span | Self::DataPoint(MetricKind::Histogram) => 9,
            Self::DataPoint(MetricKind::Gauge | MetricKind::Sum | MetricKind::Summary) => 7,
            Self::DataPoint(MetricKind::ExponentialHistogram) => 1,
            // A profile refers to its attributes by number; no rule looks at them.
            Self::Profile => 0,
        }
    }

    /// The number of the field that holds exemplars; 0 is none.
    pub(super) const fn exemplars(self) -> u32 {
        match self {
            Self::DataPoint(MetricKind::Gauge | MetricKind::Sum) => 5,
            Self::DataPoint(MetricKind::Histogram) => 8,
            Self::DataPoint(MetricKind::ExponentialHistogram) => 11,
            Self::DataPoint(MetricKind::Summary) | Self::LogRecord | Self::Profile | Self::Span => {
                0
            }
        }
    }

    /// Whether the record has parts that may be odd.
    pub(super) const fn has_parts(self) -> bool {
        matches!(self, Self::DataPoint(_) | Self::LogRecord)
    }
}

pub(super) const TRACE_ID_BYTES: usize = 16;
pub(super) const SPAN_ID_BYTES: usize = 8;

impl<'r, 'a> Record<'r, 'a> {
    #[inline]
    pub(super) const fn new(message: Nested<'a>, kind: Kind, context: &'r Context<'a>) -> Self {
        Self { written: Written::Protobuf(message), kind, context }
    }

    #[inline]
    pub(crate) const fn json(text: RecordText<'a>, kind: Kind, context: &'r Context<'a>) -> Self {
        Self { written: Written::Json(text), kind, context }
    }

    /// Its attributes.
    #[inline]
    #[must_use]
    pub fn attributes(&self) -> Attributes<'a> {
        let context = self.context.clone();
        match &self.written {
            Written::Json(text) if self.kind == Kind::Profile => {
                Attributes::json(text.no_attributes(), context)
            }
            Written::Json(text) => Attributes::json(text.attributes(), context),
            Written::Protobuf(message) => {
                Attributes::of(Some(*message), self.kind.attributes(), context)
            }
        }
    }

    /// Whether every id in it is one that OTLP allows: for a span, a trace id of 16 bytes and a span
    /// id of 8, neither all zero, or none as well if they may be `unset`; for its parent and its
    /// links, those or none. True for whatever is no span.
    ///
    /// # Errors
    /// [`Unreadable`] if it is.
    pub fn has_valid_ids(&self, unset: bool) -> Result<bool, Unreadable> {
        if self.kind != Kind::Span {
            return Ok(true);
        }
        let message = match &self.written {
            Written::Json(text) => return text.has_valid_ids(unset),
            Written::Protobuf(message) => message,
        };
        let (mut trace, mut span) = (unset, unset);
        let mut reader = Reader::nested(message);
        while let Some(field) = reader.next_field()? {
            let valid = match field.number {
                1 => {
                    trace = is_id::<TRACE_ID_BYTES>(field.nested()?.bytes, unset);
                    trace
                }
                2 => {
                    span = is_id::<SPAN_ID_BYTES>(field.nested()?.bytes, unset);
                    span
                }
                4 => has_length::<SPAN_ID_BYTES>(field.nested()?.bytes),
                13 => link_has_valid_ids(&field.nested()?)?,
                _ => true,
            };
            if !valid {
                return Ok(false);
            }
        }
        Ok(trace && span)
    }

    /// The trace id of a span, if it has one that OTLP allows; the last, where it is set twice, as
    /// decoders read it. `None` for whatever is no span.
    ///
    /// # Errors
    /// [`Unreadable`] if it is.
    pub fn trace_id(&self) -> Result<Option<u128>, Unreadable> {
        const TRACE_ID: u32 = 1;
        if self.kind != Kind::Span {
            return Ok(None);
        }
        let message = match &self.written {
            Written::Json(text) => return text.trace_id(),
            Written::Protobuf(message) => message,
        };
        let mut id = None;
        let mut reader = Reader::nested(message);
        while let Some(field) = reader.next_field()? {
            if field.number == TRACE_ID {
                id = field.nested()?.bytes.try_into().ok().map(u128::from_be_bytes);
            }
        }
        Ok(id)
    }

    /// How many bytes it is written with, as it came: in JSON two to three times those of protobuf.
    #[must_use]
    pub const fn written_bytes(&self) -> u64 {
        match &self.written {
            Written::Json(text) => text.written_bytes(),
            Written::Protobuf(message) => message.bytes.len() as u64,
        }
    }

    /// The scale of an exponential histogram's data point, 0 where it is not set; `None` for
    /// whatever is none.
    ///
    /// # Errors
    /// [`Unreadable`] if it is.
    pub fn scale(&self) -> Result<Option<i64>, Unreadable> {
        const SCALE: u32 = 6;
        if self.kind != Kind::DataPoint(MetricKind::ExponentialHistogram) {
            return Ok(None);
        }
        let message = match &self.written {
            Written::Json(text) => return text.scale().map(Some),
            Written::Protobuf(message) => message,
        };
        let mut scale = 0;
        let mut reader = Reader::nested(message);
        while let Some(field) = reader.next_field()? {
            if let (SCALE, Value::Varint(zigzag)) = (field.number, field.value) {
                let zigzag = zigzag & INT32;
                scale = (zigzag >> 1).cast_signed() ^ (zigzag & 1).cast_signed().wrapping_neg();
            }
        }
        Ok(Some(scale))
    }
}

impl<'a> Attributed<'a> for Record<'_, 'a> {
    #[inline(always)]
    fn each_where(
        &self,
        wanted: impl Fn(&[u8]) -> bool,
        show: impl FnMut(Given<'_, 'a>) -> Result<(), Unreadable>,
    ) -> Result<(), Unreadable> {
        match &self.written {
            Written::Json(_) => self.attributes().each_where(wanted, show),
            Written::Protobuf(message) => {
                let owner = Reader::nested(message);
                each_where(owner, self.kind.attributes(), self.context, wanted, show)
            }
        }
    }
}

fn link_has_valid_ids(link: &Nested<'_>) -> Result<bool, Unreadable> {
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

/// Whether these are `LENGTH` bytes, and not all of them zero; or none or zeros, if it may be unset.
fn is_id<const LENGTH: usize>(bytes: &[u8], unset: bool) -> bool {
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
