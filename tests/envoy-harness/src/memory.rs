//! Access of host functions to the guest's memory. Every pointer is checked.

use wasmtime::{Caller, Extern, Memory};

use crate::{host::Host, status::Status};

/// What a host function works with: the guest that called it, and the host's state.
pub(crate) type Guest<'a> = Caller<'a, Host>;

/// Why a host function does not return Ok.
pub(crate) enum Fault {
    /// The guest gets this status.
    Status(Status),
    /// The guest trapped while it allocated memory, so it ends.
    Trap(wasmtime::Error),
}

impl From<Status> for Fault {
    fn from(status: Status) -> Self {
        Self::Status(status)
    }
}

/// A range of the guest's memory, as the guest passes it: a pointer and a length.
#[derive(Clone, Copy)]
pub(crate) struct Span(pub(crate) u32, pub(crate) u32);

/// The addresses where the guest expects a pointer and a length.
#[derive(Clone, Copy)]
pub(crate) struct Out(pub(crate) u32, pub(crate) u32);

pub(crate) fn read(guest: &mut Guest<'_>, Span(at, length): Span) -> Result<Vec<u8>, Fault> {
    let memory = memory(guest)?;
    let (start, length) = (index(at)?, index(length)?);
    let end = start.checked_add(length).ok_or(Status::InvalidMemoryAccess)?;
    let bytes = memory.data(&*guest).get(start..end).ok_or(Status::InvalidMemoryAccess)?;
    Ok(bytes.to_vec())
}

pub(crate) fn write(guest: &mut Guest<'_>, at: u32, bytes: &[u8]) -> Result<(), Fault> {
    let memory = memory(guest)?;
    let start = index(at)?;
    memory.write(guest, start, bytes).map_err(|_| Status::InvalidMemoryAccess.into())
}

pub(crate) fn write_u32(guest: &mut Guest<'_>, at: u32, number: u32) -> Result<(), Fault> {
    write(guest, at, &number.to_le_bytes())
}

pub(crate) fn write_u64(guest: &mut Guest<'_>, at: u32, number: u64) -> Result<(), Fault> {
    write(guest, at, &number.to_le_bytes())
}

/// Copies bytes into memory that the guest allocates; for zero bytes, the pointer is null (`copyToPointerSize`,
/// `include/proxy-wasm/wasm.h`).
pub(crate) fn give(guest: &mut Guest<'_>, out: Out, bytes: &[u8]) -> Result<(), Fault> {
    let length = u32::try_from(bytes.len()).map_err(|_| Status::InvalidMemoryAccess)?;
    let at = if bytes.is_empty() { 0 } else { allocate(guest, length)? };
    write(guest, at, bytes)?;
    write_u32(guest, out.0, at)?;
    write_u32(guest, out.1, length)
}

fn allocate(guest: &mut Guest<'_>, length: u32) -> Result<u32, Fault> {
    let (name, malloc) = ["malloc", "proxy_on_memory_allocate"]
        .into_iter()
        .find_map(|name| Some((name, guest.get_export(name).and_then(Extern::into_func)?)))
        .ok_or(Status::InvalidMemoryAccess)?;
    guest.data_mut().count_entry(name);
    let malloc = malloc.typed::<u32, u32>(&*guest).map_err(Fault::Trap)?;
    match malloc.call(guest, length).map_err(Fault::Trap)? {
        0 => Err(Status::InvalidMemoryAccess.into()),
        at => Ok(at),
    }
}

fn memory(guest: &mut Guest<'_>) -> Result<Memory, Fault> {
    let memory = guest.get_export("memory").and_then(Extern::into_memory);
    memory.ok_or(Fault::Status(Status::InvalidMemoryAccess))
}

fn index(number: u32) -> Result<usize, Fault> {
    usize::try_from(number).map_err(|_| Status::InvalidMemoryAccess.into())
}
