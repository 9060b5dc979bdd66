//! Bodies, configurations and answers (`Context::getBuffer`, `Buffer::copyFrom`).

use crate::{
    host::Host,
    memory::{Fault, Guest, Out, Span, give, read, write_u32},
    side::Direction,
    status::Status,
};

/// The numbers of `WasmBufferType`.
#[derive(Clone, Copy)]
enum Buffer {
    Body(Direction),
    /// Network data and call data. This host has none, so they are empty.
    Unused,
    CallBody,
    GrpcMessage,
    VmConfiguration,
    PluginConfiguration,
}

impl Buffer {
    const fn from_code(code: u32) -> Result<Self, Status> {
        Ok(match code {
            0 => Self::Body(Direction::Request),
            1 => Self::Body(Direction::Response),
            2 | 3 | 8 => Self::Unused,
            4 => Self::CallBody,
            5 => Self::GrpcMessage,
            6 => Self::VmConfiguration,
            7 => Self::PluginConfiguration,
            _ => return Err(Status::BadArgument),
        })
    }
}

/// Never reads past the end. An empty result is Ok and a null pointer.
pub(super) fn get(
    guest: &mut Guest<'_>,
    buffer: u32,
    start: u32,
    length: u32,
    out: Out,
) -> Result<(), Fault> {
    let bytes = bytes(guest.data(), Buffer::from_code(buffer)?)?;
    let start = usize::try_from(start).unwrap_or(usize::MAX);
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    let part = bytes.get(start..).unwrap_or_default();
    let part = part.get(..length).unwrap_or(part).to_vec();
    give(guest, out, &part)
}

pub(super) fn status(
    guest: &mut Guest<'_>,
    buffer: u32,
    length_out: u32,
    flags_out: u32,
) -> Result<(), Fault> {
    let length = bytes(guest.data(), Buffer::from_code(buffer)?)?.len();
    write_u32(guest, length_out, u32::try_from(length).unwrap_or(u32::MAX))?;
    write_u32(guest, flags_out, 0)
}

/// At the start, `length` bytes are removed and the new ones prepended. At the end or after it, the new bytes are
/// appended. Any other position is rejected. A body that is not accessible now, and any buffer that is not a body,
/// cannot be changed.
pub(super) fn set(
    guest: &mut Guest<'_>,
    buffer: u32,
    start: u32,
    length: u32,
    value: Span,
) -> Result<(), Fault> {
    let buffer = Buffer::from_code(buffer)?;
    bytes(guest.data(), buffer)?;
    let value = read(guest, value)?;
    let Buffer::Body(direction) = buffer else {
        return Err(Status::BadArgument.into());
    };
    let stream = guest.data_mut().active_stream_mut();
    let body = stream.and_then(|stream| stream.side_mut(direction).visible_body_mut());
    let body = body.ok_or(Status::BadArgument)?;
    let start = usize::try_from(start).unwrap_or(usize::MAX);
    if start == 0 {
        let drained = usize::try_from(length).unwrap_or(usize::MAX).min(body.len());
        body.splice(..drained, value);
    } else if start >= body.len() {
        body.extend(value);
    } else {
        return Err(Status::BadArgument.into());
    }
    Ok(())
}

fn bytes(host: &Host, buffer: Buffer) -> Result<&[u8], Status> {
    match buffer {
        Buffer::Body(direction) => {
            let side = host.active_stream().map(|stream| stream.side(direction));
            Ok(side.and_then(|side| side.visible_body()).unwrap_or_default())
        }
        Buffer::Unused => Ok(&[]),
        Buffer::CallBody => {
            let answer = host.active_root().and_then(|root| root.call_out.http.as_ref());
            Ok(&answer.ok_or(Status::NotFound)?.body)
        }
        Buffer::GrpcMessage => {
            let root = host.active_root();
            Ok(root.and_then(|root| root.call_out.grpc_message.as_deref()).unwrap_or_default())
        }
        Buffer::VmConfiguration => Ok(&host.config.configuration),
        // Only the configuration of the context itself: a stream cannot read that of its plugin.
        Buffer::PluginConfiguration => {
            let root = host.root(host.active_id()).filter(|root| root.configuring);
            Ok(&root.ok_or(Status::NotFound)?.plugin.configuration)
        }
    }
}
