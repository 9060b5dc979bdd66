//! Shared data and shared queues.

use crate::{
    memory::{Fault, Guest, Out, Span, give, read, write_u32},
    shared::Listener,
};

pub(super) fn get_data(
    guest: &mut Guest<'_>,
    key: Span,
    out: Out,
    cas_out: u32,
) -> Result<(), Fault> {
    let key = read(guest, key)?;
    let config = &guest.data().config;
    let (value, cas) = config.shared.get(&config.vm_id, &key)?;
    give(guest, out, &value)?;
    write_u32(guest, cas_out, cas)
}

pub(super) fn set_data(
    guest: &mut Guest<'_>,
    key: Span,
    value: Span,
    cas: u32,
) -> Result<(), Fault> {
    let (key, value) = (read(guest, key)?, read(guest, value)?);
    let config = &guest.data().config;
    Ok(config.shared.set(&config.vm_id, key, value, cas)?)
}

/// The plugin is notified of new entries, whichever of its contexts registers.
pub(super) fn register_queue(guest: &mut Guest<'_>, name: Span, out: u32) -> Result<(), Fault> {
    let name = read(guest, name)?;
    let host = guest.data();
    let listener = Listener { vm: host.vm, context: host.active_root_id() };
    let token = host.config.shared.register(&host.config.vm_id, name, listener);
    write_u32(guest, out, token)
}

/// An empty VM id means the guest's own.
pub(super) fn resolve_queue(
    guest: &mut Guest<'_>,
    vm_id: Span,
    name: Span,
    out: u32,
) -> Result<(), Fault> {
    let vm_id = String::from_utf8_lossy(&read(guest, vm_id)?).into_owned();
    let name = read(guest, name)?;
    let config = &guest.data().config;
    let vm_id = if vm_id.is_empty() { &config.vm_id } else { &vm_id };
    let token = config.shared.resolve(vm_id, &name)?;
    write_u32(guest, out, token)
}

pub(super) fn enqueue(guest: &mut Guest<'_>, token: u32, item: Span) -> Result<(), Fault> {
    let item = read(guest, item)?;
    Ok(guest.data().config.shared.enqueue(token, item)?)
}

pub(super) fn dequeue(guest: &mut Guest<'_>, token: u32, out: Out) -> Result<(), Fault> {
    let item = guest.data().config.shared.dequeue(token)?;
    give(guest, out, &item)
}
