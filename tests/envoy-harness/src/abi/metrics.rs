//! Metrics.

use crate::memory::{Fault, Guest, Span, read, write_u32, write_u64};

pub(super) fn define(guest: &mut Guest<'_>, kind: u32, name: Span, out: u32) -> Result<(), Fault> {
    let name = read(guest, name)?;
    let id = guest.data_mut().metrics.define(kind, &name)?;
    write_u32(guest, out, id)
}

pub(super) fn increment(guest: &mut Guest<'_>, id: u32, offset: i64) -> Result<(), Fault> {
    Ok(guest.data_mut().metrics.increment(id, offset)?)
}

pub(super) fn record(guest: &mut Guest<'_>, id: u32, value: u64) -> Result<(), Fault> {
    Ok(guest.data_mut().metrics.record(id, value)?)
}

pub(super) fn get(guest: &mut Guest<'_>, id: u32, out: u32) -> Result<(), Fault> {
    let value = guest.data_mut().metrics.get(id)?;
    write_u64(guest, out, value)
}
