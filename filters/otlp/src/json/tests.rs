//! Tests: what is refused, what is left of a text, and a comparison with a simpler implementation.

mod grammar;
#[expect(clippy::arithmetic_side_effects, reason = "dice")]
mod oracle;
mod refused;
mod rewritten;

use sluice_wire::{ReadLimits, Unreadable};

use crate::{
    AnyValue, AttributeEdits, Attributes, Descend, Format, Interest, Record, RecordPolicy, Request,
    Signal,
};

const LIMITS: ReadLimits =
    ReadLimits { attributes: 1000, bytes: 1 << 20, depth: 100, records: 100_000, room: usize::MAX };

/// A request in JSON, with limits that few tests reach.
fn request_of(text: &str, signal: Signal) -> Request<'_> {
    let (message, format) = (text.as_bytes(), Format::Json);
    Request { message, at: 0, signal, format, limits: LIMITS }
}

/// Reads everything and drops nothing.
struct ReadAll;

fn read(mut attributes: Attributes<'_>) -> Result<(), Unreadable> {
    while let Some(attribute) = attributes.next_where(|_| true)? {
        if let AnyValue::KeyValues { entries, .. } = attribute.value()? {
            read(entries)?;
        }
    }
    Ok(())
}

impl<'a> RecordPolicy<'a> for ReadAll {
    type Error = Unreadable;
    fn interest(&self) -> Interest {
        Interest { scopes: true, metrics: true }
    }
    fn resource(
        &mut self,
        attributes: Attributes<'a>,
        _: &mut AttributeEdits,
    ) -> Result<Descend, Unreadable> {
        read(attributes).map(|()| Descend::Inspect)
    }
    fn scope(
        &mut self,
        attributes: Attributes<'a>,
        _: &mut AttributeEdits,
    ) -> Result<Descend, Unreadable> {
        read(attributes).map(|()| Descend::Inspect)
    }
    fn record(&mut self, record: &Record<'_, 'a>) -> Result<bool, Unreadable> {
        read(record.attributes())?;
        record.has_valid_ids(false)?;
        record.scale().map(|_| true)
    }
}
