//! What is read of a record beside its attributes.

use sluice_wire::{Malformed, Unreadable};

use super::{
    attributes::Pairs,
    text::{Node, Text},
};

/// A log record, span, profile or data point.
#[derive(Clone, Debug)]
pub(crate) struct RecordText<'a> {
    pub(super) text: Text<'a>,
    pub(super) node: Node,
}

impl<'a> RecordText<'a> {
    #[inline]
    pub(crate) const fn new(text: Text<'a>, node: Node) -> Self {
        Self { text, node }
    }

    /// The record's attributes.
    #[inline]
    pub(crate) fn attributes(&self) -> Pairs<'a> {
        Pairs::of(self.text.clone(), Some(self.node))
    }

    /// An empty list of attributes, whatever the record has.
    #[inline]
    pub(crate) fn no_attributes(&self) -> Pairs<'a> {
        Pairs::of(self.text.clone(), None)
    }

    /// Whether the ids of a span are valid in OTLP, written as hexadecimal digits.
    ///
    /// # Errors
    /// [`Unreadable`] if the record is.
    pub(crate) fn has_valid_ids(&self, unset: bool) -> Result<bool, Unreadable> {
        const MEMBERS: [&str; 4] = ["traceId", "spanId", "parentSpanId", "links"];
        let [trace, span, parent, links] = self.text.members(self.node, &MEMBERS)?;
        let is_id = |id| id == Id::Set || unset && id != Id::Invalid;
        if !is_id(self.id::<TRACE_ID_DIGITS>(trace)?)
            || !is_id(self.id::<SPAN_ID_DIGITS>(span)?)
            || self.id::<SPAN_ID_DIGITS>(parent)? == Id::Invalid
        {
            return Ok(false);
        }
        for link in self.text.elements(self.text.array(links)?) {
            let [trace, span] = self.text.members(link, &["traceId", "spanId"])?;
            if self.id::<TRACE_ID_DIGITS>(trace)? == Id::Invalid
                || self.id::<SPAN_ID_DIGITS>(span)? == Id::Invalid
            {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Reads an id. Only the digits as written are checked, because backends do not read escapes in
    /// ids.
    pub(super) fn id<const DIGITS: usize>(&self, id: Option<Node>) -> Result<Id, Malformed> {
        let Some(node) = id else { return Ok(Id::Unset) };
        // By protobuf's JSON mapping, `null` means unset, but all backends treat it as an error.
        let Some(digits) = self.text.string(Some(node))? else { return Ok(Id::Invalid) };
        Ok(if digits.is_empty() {
            Id::Unset
        } else if digits.len() != DIGITS || !digits.iter().all(u8::is_ascii_hexdigit) {
            Id::Invalid
        } else if digits.iter().all(|digit| *digit == b'0') {
            Id::Zero
        } else {
            Id::Set
        })
    }

    /// The trace id of a span, if it is valid.
    ///
    /// # Errors
    /// [`Unreadable`] if the record is.
    pub(crate) fn trace_id(&self) -> Result<Option<u128>, Unreadable> {
        let [id] = self.text.members(self.node, &["traceId"])?;
        if self.id::<TRACE_ID_DIGITS>(id)? != Id::Set {
            return Ok(None);
        }
        let digits = self.text.string(id)?.and_then(|digits| str::from_utf8(digits).ok());
        Ok(digits.and_then(|digits| u128::from_str_radix(digits, 16).ok()))
    }

    /// The size of the record's text, in bytes.
    pub(crate) const fn written_bytes(&self) -> u64 {
        self.node.end.saturating_sub(self.node.at) as u64
    }

    /// The scale of an exponential histogram's data point; 0 if it is not set.
    ///
    /// # Errors
    /// [`Unreadable`] if the record is.
    pub(crate) fn scale(&self) -> Result<i64, Unreadable> {
        let [scale] = self.text.members(self.node, &["scale"])?;
        Ok(self.text.integer(scale)?.unwrap_or_default())
    }
}

pub(super) const TRACE_ID_DIGITS: usize = 32;
pub(super) const SPAN_ID_DIGITS: usize = 16;

/// What kind of id it is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Id {
    Invalid,
    Set,
    Unset,
    Zero,
}
