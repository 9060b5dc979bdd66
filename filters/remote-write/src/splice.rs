//! Takes series out of a write request, and inserts labels into the series that are kept.

use std::rc::Rc;

use sluice_wire::{
    Edits, Fault, Malformed, Nested, OverLimit, ReadLimits, Reader, Spliced, Unreadable,
};

use crate::Series;

#[cfg(test)]
mod tests;

/// `WriteRequest.timeseries`.
const SERIES: u32 = 1;
/// `WriteRequest.metadata`.
const METADATA: u32 = 3;

/// Whether a field of a request is reserved for a backend: in these fields, Mimir and Cortex read
/// the source of a request, the message of remote write 2.0, and which labels not to check
/// (`pkg/mimirpb/mimir.proto`). The specification reserves the first.
const fn is_reserved(field: u32) -> bool {
    matches!(field, 2 | 4 | 5 | 1000 | 1001)
}

/// A field that a backend reserves for its own components, and obeys.
const RESERVED: Fault = Fault::new("field that senders must not set");

/// A write request, decompressed.
#[derive(Clone, Copy, Debug)]
pub struct WriteRequest<'a> {
    /// Its bytes.
    pub message: &'a [u8],
    /// The limits for reading it: `records` counts series, `attributes` the labels of one series.
    pub limits: ReadLimits,
}

/// Decides what is kept. `'a` is the message: the policy may hold on to what it is shown.
pub trait SeriesPolicy<'a> {
    /// Why the policy stops reading: unreadable input, or reasons of its own.
    type Error: From<Unreadable>;

    /// Called with a series. Returns whether it is kept.
    ///
    /// # Errors
    /// [`Unreadable`] if the series is, or a reason of the policy's own.
    fn series(&mut self, series: &Series<'a>) -> Result<bool, Self::Error>;

    /// Called when this many samples were dropped because of the latest `false`.
    fn dropped(&mut self, samples: u64) {
        let _: u64 = samples;
    }

    /// Whether labels of kept series are removed or inserted.
    fn relabels(&self) -> bool;

    /// Whether labels with this name are removed.
    fn takes(&self, name: &[u8]) -> bool;

    /// The labels to insert, sorted by name, each with its name and as
    /// [`label_field`](crate::label_field) writes it.
    fn puts(&self) -> &[(&str, Rc<[u8]>)];
}

/// Walks a write request. Metadata, exemplars and unknown fields are kept.
///
/// # Errors
/// [`Unreadable`] if something that decisions depend on is malformed or over a limit; and the
/// policy's own errors.
pub fn splice_series<'a, P: SeriesPolicy<'a>>(
    request: &WriteRequest<'a>,
    policy: &mut P,
) -> Result<Spliced, P::Error> {
    let WriteRequest { message, limits } = *request;
    let edits = Edits::new(message.len(), &limits).map_err(Unreadable::from)?;
    let mut spliced = Spliced { edits, dropped: 0, kept: false };
    let mut left = limits.records;
    let mut reader = Reader::new(message, 0);
    while let Some(field) = reader.next_field().map_err(Unreadable::from)? {
        match field.number {
            SERIES => {
                let limit = limits.records;
                let over = OverLimit::Records { limit };
                left = left.checked_sub(1).ok_or(over).map_err(Unreadable::from)?;
                let nested = field.nested().map_err(Unreadable::from)?;
                let series = Series::new(nested, limits.attributes);
                if policy.series(&series)? {
                    spliced.kept = true;
                    if policy.relabels() {
                        relabel(&series, policy, &mut spliced.edits)?;
                    }
                } else {
                    let samples = series.samples().map_err(Unreadable::from)?;
                    spliced.dropped = spliced.dropped.saturating_add(samples);
                    policy.dropped(samples);
                    spliced.edits.cut(nested.start, nested.end())?;
                }
            }
            METADATA => {
                field.nested().map_err(Unreadable::from)?;
                spliced.kept = true;
            }
            number if is_reserved(number) => {
                let malformed = Malformed { fault: RESERVED, at: field.at };
                return Err(Unreadable::from(malformed).into());
            }
            _ => {}
        }
    }
    Ok(spliced)
}

/// Removes labels from a series and inserts others at their places in the order of names
/// (specification 1.0, "Labels"). If the labels of a series were in another order, the others keep
/// it.
fn relabel<'a, P: SeriesPolicy<'a>>(
    series: &Series<'a>,
    policy: &P,
    edits: &mut Edits,
) -> Result<(), Unreadable> {
    let parent: &Nested<'a> = series.message();
    let mark = edits.enter(parent)?;
    let mut puts = policy.puts().iter().peekable();
    let (mut delta, mut changed) = (0_isize, false);
    let mut end = parent.content_at;
    let mut labels = series.labels();
    while let Some(label) = labels.next_label()? {
        if policy.takes(label.name) {
            changed = true;
            edits.cut(label.start, label.end)?;
            delta = delta.saturating_sub_unsigned(label.end.saturating_sub(label.start));
        } else {
            while let Some((_, field)) = puts.next_if(|(name, _)| name.as_bytes() < label.name) {
                edits.insert(label.start, field)?;
                delta = delta.saturating_add_unsigned(field.len());
            }
        }
        end = label.end;
    }
    for (_, field) in puts {
        edits.insert(end, field)?;
        delta = delta.saturating_add_unsigned(field.len());
    }
    if changed || !policy.puts().is_empty() {
        edits.leave_changed(mark, parent, delta)?;
    } else {
        edits.take_back(mark);
    }
    Ok(())
}
