//! How large the traces of one request are.

use std::collections::BinaryHeap;

use sluice_otlp::{
    limits::{ReadLimits, Unreadable},
    memory::Room,
    splice::Record,
};

/// The traces of one request.
#[derive(Clone, Debug, Default)]
pub(crate) enum Traces {
    /// Of any size: the backend has no limit, or the whole request is under it.
    #[default]
    Any,
    /// On the first of two walks over the request.
    Weighing(Weighing),
    /// On the second.
    Weighed {
        /// The bytes of each trace, by its id, in their order.
        traces: Vec<(u128, u64)>,
        /// How many the backend takes of one.
        max: u64,
    },
}

/// The traces of a request that is being walked.
#[derive(Clone, Debug)]
pub(crate) struct Weighing {
    /// The bytes of spans, by the id of their trace; those of one trace, if they come together.
    spans: Vec<(u128, u64)>,
    /// How many there may be.
    most: usize,
    room: Room,
}

impl Weighing {
    fn add(&mut self, trace: u128, bytes: u64) -> Result<(), Unreadable> {
        match self.spans.last_mut() {
            Some((latest, sum)) if *latest == trace => *sum = sum.saturating_add(bytes),
            _ => {
                self.room.grow(&mut self.spans, 1, self.most)?;
                self.spans.push((trace, bytes));
            }
        }
        Ok(())
    }

    /// The bytes of each trace, and the memory that is left.
    fn finish(self) -> (Vec<(u128, u64)>, Room) {
        // A heap, as a sort is several kilobytes of the module, and in place.
        let mut traces = BinaryHeap::from(self.spans).into_sorted_vec();
        traces.dedup_by(|(trace, bytes), (before, sum)| {
            let is_same = trace == before;
            if is_same {
                *sum = sum.saturating_add(*bytes);
            }
            is_same
        });
        (traces, self.room)
    }
}

impl Traces {
    /// Ready for the first of two walks.
    pub(crate) fn weighing(limits: &ReadLimits) -> Self {
        let most = usize::try_from(limits.records).unwrap_or(usize::MAX);
        Self::Weighing(Weighing { spans: Vec::new(), most, room: Room::of(limits.room) })
    }

    pub(crate) const fn is_weighing(&self) -> bool {
        matches!(self, Self::Weighing(_))
    }

    /// Adds a span to its trace; one without a trace is in none.
    pub(crate) fn weigh(&mut self, span: &Record<'_, '_>) -> Result<(), Unreadable> {
        if let (Self::Weighing(weighing), Some(trace)) = (self, span.trace_id()?) {
            weighing.add(trace, span.written_bytes())?;
        }
        Ok(())
    }

    /// What was weighed, to be held against a limit, and the memory that is left for the second walk.
    pub(crate) fn weighed(self, max: u64, room: usize) -> (Self, usize) {
        match self {
            Self::Weighing(weighing) => {
                let (traces, room) = weighing.finish();
                (Self::Weighed { traces, max }, room.bytes())
            }
            other => (other, room),
        }
    }

    /// Whether a span is of a trace that is over the limit.
    pub(crate) fn is_too_large(&self, span: &Record<'_, '_>) -> Result<bool, Unreadable> {
        let Self::Weighed { traces, max } = self else { return Ok(false) };
        let Some(id) = span.trace_id()? else { return Ok(false) };
        let place = traces.binary_search_by_key(&id, |(trace, _)| *trace);
        let bytes = place.ok().and_then(|place| traces.get(place)).map(|(_, bytes)| *bytes);
        Ok(bytes.is_some_and(|bytes| bytes > *max))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weighing(room: usize) -> Weighing {
        Weighing { spans: Vec::new(), most: 100, room: Room::of(room) }
    }

    #[test]
    fn a_trace_is_all_its_spans_wherever_they_lie() {
        let mut weighing = weighing(10_000);
        for (trace, bytes) in [(3, 1), (3, 2), (1, 10), (3, 4), (2, u64::MAX), (1, 20), (2, 1)] {
            weighing.add(trace, bytes).unwrap();
        }
        assert_eq!(weighing.finish().0, [(1, 30), (2, u64::MAX), (3, 7)]);
    }

    #[test]
    fn traces_take_no_more_than_their_room() {
        let mut weighing = weighing(1000);
        let added = (0..100).take_while(|trace| weighing.add(*trace, 1).is_ok()).count();
        assert!((10..30).contains(&added), "{added}");
    }
}
