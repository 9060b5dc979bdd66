//! What is refused first, then what is left, and the plain way for everything.

mod grammar;
#[expect(clippy::arithmetic_side_effects, reason = "dice")]
mod oracle;
mod refused;
mod rewritten;

use sluice_wire::{ReadLimits, Unreadable};

use crate::{
    AnyValue, Attributes, Below, Format, Metric, Policy, Reads, Record, Request, Rewrite, Signal,
};

const LIMITS: ReadLimits =
    ReadLimits { attributes: 1000, bytes: 1 << 20, depth: 100, records: 100_000, room: usize::MAX };

/// A request in JSON with limits that few tests reach.
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

impl<'a> Policy<'a> for ReadAll {
    type Error = Unreadable;
    fn reads(&self) -> Reads {
        Reads { scopes: true, metrics: true }
    }
    fn resource(
        &mut self,
        attributes: Attributes<'a>,
        _: &mut Rewrite,
    ) -> Result<Below, Unreadable> {
        read(attributes).map(|()| Below::Look)
    }
    fn scope(&mut self, attributes: Attributes<'a>, _: &mut Rewrite) -> Result<Below, Unreadable> {
        read(attributes).map(|()| Below::Look)
    }
    fn metric(&mut self, _: &Metric<'_>) -> Result<bool, Unreadable> {
        Ok(true)
    }
    fn record(&mut self, record: &Record<'_, 'a>) -> Result<bool, Unreadable> {
        read(record.attributes())?;
        record.has_valid_ids(false)?;
        record.scale().map(|_| true)
    }
    fn dropped(&mut self, _: u64) {}
}
