//! The odd parts of a record; see [`Parts`](crate::Parts).

use sluice_wire::Unreadable;

use super::{
    attributes::KeyValue,
    record::{Id, RecordText, SPAN_ID_DIGITS, TRACE_ID_DIGITS},
    text::Node,
};
use crate::{context::ReadContext, kind::RecordKind, parts::Part};

/// A member of a record that is a part which may be odd, or a list of such parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Attributes,
    Exemplars,
    SpanId,
    TraceId,
}

impl Place {
    pub(crate) const fn is_list(self) -> bool {
        matches!(self, Self::Attributes | Self::Exemplars)
    }

    const fn part(self) -> Part {
        match self {
            Self::Attributes => Part::Attribute,
            Self::Exemplars => Part::Exemplar,
            Self::SpanId | Self::TraceId => Part::Id,
        }
    }
}

impl<'a> RecordText<'a> {
    /// Returns where the parts of a record are that may be odd, in the order of the text.
    pub(crate) fn places(
        &self,
        kind: RecordKind,
    ) -> Result<[Option<(Place, Node)>; 3], Unreadable> {
        let (text, node) = (&self.text, self.node);
        let at = |place, member: Option<Node>| member.map(|member| (place, member));
        let mut places = match kind {
            RecordKind::LogRecord => {
                let [attributes, trace, span] =
                    text.members(node, &["attributes", "traceId", "spanId"])?;
                [
                    at(Place::Attributes, text.array(attributes)?),
                    at(Place::TraceId, trace),
                    at(Place::SpanId, span),
                ]
            }
            RecordKind::DataPoint(_) => {
                let [attributes, exemplars] = text.members(node, &["attributes", "exemplars"])?;
                [
                    at(Place::Attributes, text.array(attributes)?),
                    at(Place::Exemplars, text.array(exemplars)?),
                    None,
                ]
            }
            RecordKind::Profile | RecordKind::Span => [None; 3],
        };
        // Three of them, sorted by hand: a sort adds several kilobytes to the module.
        let begin = |place: &Option<(Place, Node)>| place.map_or(usize::MAX, |(_, node)| node.at);
        for (one, other) in [(0, 1), (1, 2), (0, 1)] {
            if places.get(one).map(begin) > places.get(other).map(begin) {
                places.swap(one, other);
            }
        }
        Ok(places)
    }

    /// Whether the part at a place, or an element of the list there, is odd.
    #[inline]
    pub(crate) fn is_odd(
        &self,
        place: Place,
        node: Node,
        context: &ReadContext<'a>,
        is_odd: impl Fn(&[u8]) -> bool,
    ) -> Result<bool, Unreadable> {
        Ok(match place {
            Place::Attributes => is_odd(&KeyValue::read(&self.text, node.at, context)?.0.key),
            Place::Exemplars => self.is_odd_exemplar(node)?,
            Place::SpanId => self.id::<SPAN_ID_DIGITS>(Some(node))? == Id::Invalid,
            Place::TraceId => self.id::<TRACE_ID_DIGITS>(Some(node))? == Id::Invalid,
        })
    }

    fn is_odd_exemplar(&self, exemplar: Node) -> Result<bool, Unreadable> {
        const MEMBERS: [&str; 4] = ["traceId", "spanId", "asDouble", "asInt"];
        let [trace, span, double, int] = self.text.members(exemplar, &MEMBERS)?;
        let is_set = |value: Option<Node>| value.is_some_and(|value| !self.text.is_null(value));
        Ok(self.id::<TRACE_ID_DIGITS>(trace)? == Id::Invalid
            || self.id::<SPAN_ID_DIGITS>(span)? == Id::Invalid
            || !is_set(double) && !is_set(int))
    }

    /// Whether the record has an odd part.
    ///
    /// # Errors
    /// [`Unreadable`] if the record is.
    pub(crate) fn has_odd_parts(
        &self,
        kind: RecordKind,
        context: &ReadContext<'a>,
        is_odd: impl Fn(&[u8]) -> bool,
    ) -> Result<bool, Unreadable> {
        let mut found = false;
        self.each_odd_part(kind, context, is_odd, |_| found = true)?;
        Ok(found)
    }

    /// Calls the function with each odd part of the record.
    ///
    /// # Errors
    /// [`Unreadable`] if the record is.
    pub(crate) fn each_odd_part(
        &self,
        kind: RecordKind,
        context: &ReadContext<'a>,
        is_odd: impl Fn(&[u8]) -> bool,
        mut show: impl FnMut(Part),
    ) -> Result<(), Unreadable> {
        for (place, node) in self.places(kind)?.into_iter().flatten() {
            if !place.is_list() {
                if self.is_odd(place, node, context, &is_odd)? {
                    show(place.part());
                }
                continue;
            }
            for element in self.text.elements(Some(node)) {
                if self.is_odd(place, element, context, &is_odd)? {
                    show(place.part());
                }
            }
        }
        Ok(())
    }
}
