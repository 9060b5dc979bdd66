//! The sizes of the traces in one request, counted as Tempo counts them.
//!
//! Tempo splits a request by trace. For each trace, it writes the resource and the scope again with every scope that
//! has spans of the trace (`modules/distributor`, `requestsByTraceID`). It compares the size of the resulting message
//! with its limit: spans, scopes and resources, with the tag and the length of each.

use std::collections::BinaryHeap;

use sluice_otlp::{Attributes, Record};
use sluice_wire::{ReadLimits, Room, Unreadable};

/// The traces of one request.
#[derive(Clone, Debug, Default)]
pub(crate) enum Traces {
    /// Traces of any size are accepted: the backend has no limit, or no trace in the request can
    /// exceed it.
    #[default]
    Any,
    /// During a first walk, which reads no spans: whether any trace can exceed the limit.
    Bounding {
        /// The size of the current resource.
        resource: u64,
        /// The size if all spans belonged to one trace.
        most: u64,
    },
    /// During a second walk, if a trace can exceed the limit.
    Weighing(Weighing),
    /// During the last walk.
    Weighed {
        /// The bytes of each trace, sorted by trace id.
        traces: Vec<(u128, u64)>,
        /// The largest trace that the backend accepts, in bytes.
        max: u64,
    },
}

/// The traces of a request during a walk.
#[derive(Clone, Debug)]
pub(crate) struct Weighing {
    /// The spans. Consecutive spans of the same trace and scope are added up.
    spans: Vec<Spans>,
    /// The largest number of entries.
    most: usize,
    room: Room,
    /// The size of the current resource.
    resource: u64,
    /// What the first span of a trace in the current scope adds to its own size.
    around: u64,
    /// The number of the current scope.
    scope: u64,
}

/// The spans of one trace in one scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Spans {
    trace: u128,
    scope: u64,
    /// The size of what is around them.
    around: u64,
    bytes: u64,
}

impl Weighing {
    fn add(&mut self, trace: u128, bytes: u64) -> Result<(), Unreadable> {
        let (scope, around) = (self.scope, self.around);
        match self.spans.last_mut() {
            Some(latest) if latest.trace == trace && latest.scope == scope => {
                latest.bytes = latest.bytes.saturating_add(bytes);
            }
            _ => {
                self.room.grow(&mut self.spans, 1, self.most)?;
                self.spans.push(Spans { trace, scope, around, bytes });
            }
        }
        Ok(())
    }

    /// The bytes of each trace, and the memory that is left.
    fn finish(mut self) -> Result<(Vec<(u128, u64)>, Room), Unreadable> {
        // A heap sorts in place, and the standard sort would add several kilobytes to the module.
        let mut spans = BinaryHeap::from(std::mem::take(&mut self.spans)).into_sorted_vec();
        spans.dedup_by(|next, before| {
            let is_same = next.trace == before.trace && next.scope == before.scope;
            if is_same {
                before.bytes = before.bytes.saturating_add(next.bytes);
            }
            is_same
        });
        let mut traces: Vec<(u128, u64)> = Vec::new();
        for Spans { trace, around, bytes, .. } in spans {
            let bytes = bytes.saturating_add(around);
            match traces.last_mut() {
                Some((latest, sum)) if *latest == trace => *sum = sum.saturating_add(bytes),
                _ => {
                    self.room.grow(&mut traces, 1, self.most)?;
                    traces.push((trace, bytes));
                }
            }
        }
        Ok((traces, self.room))
    }
}

impl Traces {
    /// The state before the first walk of a request of `request` bytes.
    pub(crate) const fn bounding(request: usize) -> Self {
        Self::Bounding { resource: 0, most: request as u64 }
    }

    /// After the first walk: whether a trace may exceed `max`.
    pub(crate) const fn may_exceed(&self, max: u64) -> bool {
        matches!(self, Self::Bounding { most, .. } if *most > max)
    }

    /// The state before the second walk.
    pub(crate) fn weighing(limits: &ReadLimits) -> Self {
        let most = usize::try_from(limits.records).unwrap_or(usize::MAX);
        let room = Room::of(limits.room);
        Self::Weighing(Weighing { spans: Vec::new(), most, room, resource: 0, around: 0, scope: 0 })
    }

    /// Whether this walk only collects sizes and decides nothing.
    pub(crate) const fn is_looking(&self) -> bool {
        matches!(self, Self::Bounding { .. } | Self::Weighing(_))
    }

    /// Whether no span has to be weighed.
    pub(crate) const fn is_any(&self) -> bool {
        matches!(self, Self::Any)
    }

    pub(crate) const fn is_weighing(&self) -> bool {
        matches!(self, Self::Weighing(_))
    }

    /// Called with the next resource; `stamps` is the number of bytes that the gate adds to it.
    pub(crate) fn enter_resource(&mut self, attributes: &Attributes<'_>, stamps: u64) {
        let weight = framed(attributes.owner_bytes().saturating_add(stamps));
        match self {
            Self::Bounding { resource, .. } => *resource = weight,
            Self::Weighing(weighing) => weighing.resource = weight,
            Self::Any | Self::Weighed { .. } => {}
        }
    }

    /// Called with the next scope.
    pub(crate) fn enter_scope(&mut self, attributes: &Attributes<'_>) {
        match self {
            Self::Bounding { resource, most } => {
                *most = most.saturating_add(*resource).saturating_add(FRAMES);
            }
            Self::Weighing(Weighing { resource, around, scope, .. }) => {
                let own = framed(attributes.owner_bytes());
                *around = FRAMES.saturating_add(*resource).saturating_add(own);
                *scope = scope.saturating_add(1);
            }
            Self::Any | Self::Weighed { .. } => {}
        }
    }

    /// Adds a span to its trace. A span without a trace id is not counted.
    pub(crate) fn weigh(&mut self, span: &Record<'_, '_>) -> Result<(), Unreadable> {
        if let (Self::Weighing(weighing), Some(trace)) = (self, span.trace_id()?) {
            weighing.add(trace, framed(span.written_bytes()))?;
        }
        Ok(())
    }

    /// The sizes to compare with the limit, and the memory that is left for the last walk.
    pub(crate) fn weighed(self, max: u64, room: usize) -> Result<(Self, usize), Unreadable> {
        match self {
            Self::Weighing(weighing) => {
                let (traces, room) = weighing.finish()?;
                Ok((Self::Weighed { traces, max }, room.bytes()))
            }
            _ => Ok((Self::Any, room)),
        }
    }

    /// Whether a span belongs to a trace that exceeds the limit.
    pub(crate) fn is_too_large(&self, span: &Record<'_, '_>) -> Result<bool, Unreadable> {
        let Self::Weighed { traces, max } = self else { return Ok(false) };
        let Some(id) = span.trace_id()? else { return Ok(false) };
        let place = traces.binary_search_by_key(&id, |(trace, _)| *trace);
        let bytes = place.ok().and_then(|place| traces.get(place)).map(|(_, bytes)| *bytes);
        Ok(bytes.is_some_and(|bytes| bytes > *max))
    }
}

/// The most bytes for the tags and lengths around a resource and a scope, which suffices for up to 256 MiB.
const FRAMES: u64 = 2 * 5;

/// The size of a message with the tag and the length of its field.
const fn framed(bytes: u64) -> u64 {
    let bits = u64::BITS.saturating_sub(bytes.leading_zeros());
    let length = if bits == 0 { 1 } else { bits.div_ceil(7) };
    bytes.saturating_add(1).saturating_add(length as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weighing(room: usize) -> Weighing {
        let room = Room::of(room);
        Weighing { spans: Vec::new(), most: 100, room, resource: 0, around: 0, scope: 0 }
    }

    #[test]
    fn a_trace_is_all_its_spans_wherever_they_lie() {
        let mut weighing = weighing(100_000);
        for (trace, bytes) in [(3, 1), (3, 2), (1, 10), (3, 4), (2, u64::MAX), (1, 20), (2, 1)] {
            weighing.add(trace, bytes).unwrap();
        }
        assert_eq!(weighing.finish().unwrap().0, [(1, 30), (2, u64::MAX), (3, 7)]);
    }

    #[test]
    fn what_is_around_a_scope_weighs_once_for_each_trace_in_it() {
        let mut weighing = weighing(100_000);
        for (scope, trace) in [(1, 3), (1, 4), (1, 3), (2, 3), (2, 3), (3, 4)] {
            (weighing.scope, weighing.around) = (scope, 100);
            weighing.add(trace, 1).unwrap();
        }
        assert_eq!(weighing.finish().unwrap().0, [(3, 204), (4, 202)]);
    }

    #[test]
    fn traces_take_no_more_than_their_room() {
        let mut weighing = weighing(1000);
        let added = (0..100).take_while(|trace| weighing.add(*trace, 1).is_ok()).count();
        assert!((3..30).contains(&added), "{added}");
    }

    #[test]
    fn a_frame_is_as_long_as_prost_writes_it() {
        for bytes in [0, 1, 127, 128, 16_383, 16_384, 2_097_151, 2_097_152] {
            let length = prost::length_delimiter_len(usize::try_from(bytes).unwrap()) as u64;
            assert_eq!(framed(bytes), bytes + 1 + length, "{bytes}");
        }
    }
}
