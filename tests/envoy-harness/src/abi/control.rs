//! Log, time, ticks, contexts, streams.

use std::time::Duration;

use crate::{
    host::AfterCall,
    local_reply::LocalReply,
    log::{LogLevel, LogLine},
    memory::{Fault, Guest, Out, Span, give, read, write_u32, write_u64},
    pairs,
    side::Direction,
    status::Status,
};

pub(super) fn log(guest: &mut Guest<'_>, level: u32, text: Span) -> Result<(), Fault> {
    let level = LogLevel::from_code(level).ok_or(Status::BadArgument)?;
    let message = String::from_utf8_lossy(&read(guest, text)?).into_owned();
    let host = guest.data_mut();
    let context = host.active_id();
    host.logs.push(LogLine { level, message, context });
    Ok(())
}

pub(super) fn get_log_level(guest: &mut Guest<'_>, out: u32) -> Result<(), Fault> {
    let level = guest.data().config.log_level;
    write_u32(guest, out, level as u32)
}

pub(super) fn get_time(guest: &mut Guest<'_>, out: u32) -> Result<(), Fault> {
    let nanoseconds = guest.data().time.as_nanos();
    write_u64(guest, out, u64::try_from(nanoseconds).unwrap_or(u64::MAX))
}

/// The timer belongs to the plugin, whichever context sets it (`ContextBase::setTimerPeriod`). Zero means off.
pub(super) fn set_tick_period(guest: &mut Guest<'_>, milliseconds: u32) -> Result<(), Fault> {
    let host = guest.data_mut();
    let (now, root) = (host.time, host.active_root_id());
    if let Some(root) = host.root_mut(root) {
        root.tick_period = Duration::from_millis(milliseconds.into());
        root.next_tick = (milliseconds > 0).then(|| now.saturating_add(root.tick_period));
    }
    Ok(())
}

pub(super) fn get_status(guest: &mut Guest<'_>, code_out: u32, out: Out) -> Result<(), Fault> {
    let status = guest.data().active().map(|context| context.status.clone());
    let (code, message) = status.unwrap_or_default();
    write_u32(guest, code_out, code)?;
    give(guest, out, message.as_bytes())
}

pub(super) fn set_effective_context(guest: &mut Guest<'_>, context: u32) -> Result<(), Fault> {
    let host = guest.data_mut();
    if !host.contexts.contains_key(&context) {
        return Err(Status::BadArgument.into());
    }
    host.effective = context;
    Ok(())
}

/// For a plugin that returned false from `proxy_on_done` (`WasmBase::done`).
pub(super) fn done(guest: &mut Guest<'_>) -> Result<(), Fault> {
    let host = guest.data_mut();
    let id = host.active_id();
    let root = host.root_mut(id).filter(|root| root.pending_done).ok_or(Status::NotFound)?;
    root.pending_done = false;
    host.after_call.push_back(AfterCall::Delete { root: id });
    Ok(())
}

/// Afterwards the request's headers and body are not accessible, whichever direction is continued
/// (`Context::continueStream`).
pub(super) fn continue_stream(guest: &mut Guest<'_>, kind: u32) -> Result<(), Fault> {
    let direction = match kind {
        0 => Direction::Request,
        1 => Direction::Response,
        2 => return Ok(()),
        3 => return Err(Status::Unimplemented.into()),
        _ => return Err(Status::BadArgument.into()),
    };
    let host = guest.data_mut();
    let context = host.active_id();
    if let Some(stream) = host.stream_mut(context) {
        stream.request.headers_shown = false;
        stream.request.data_shown = false;
        stream.request.trailers_shown = false;
        host.after_call.push_back(AfterCall::Continue { context, direction });
    }
    Ok(())
}

pub(super) fn close_stream(guest: &mut Guest<'_>, kind: u32) -> Result<(), Fault> {
    let host = guest.data_mut();
    let context = host.active_id();
    match kind {
        0 | 1 if host.stream(context).is_some() => {
            host.after_call.push_back(AfterCall::Reset { context });
            Ok(())
        }
        0..=3 => Ok(()),
        _ => Err(Status::BadArgument.into()),
    }
}

/// Without a stream, this returns Ok and does nothing (`Context::sendLocalResponse`).
pub(super) fn send_local_response(
    guest: &mut Guest<'_>,
    status: u32,
    details: Span,
    body: Span,
    headers: Span,
    grpc_status: u32,
) -> Result<(), Fault> {
    let details = read(guest, details)?;
    let body = read(guest, body)?;
    let headers = pairs::read(&read(guest, headers)?);
    let host = guest.data_mut();
    let context = host.active_id();
    if host.stream(context).is_some() {
        let reply = LocalReply::of_filter(status, headers, body, grpc_status, &details);
        host.after_call.push_back(AfterCall::Reply { context, reply });
    }
    host.stop_next_iteration = true;
    Ok(())
}

pub(super) fn call_foreign_function(
    guest: &mut Guest<'_>,
    name: Span,
    arguments: Span,
    out: Out,
) -> Result<(), Fault> {
    let name = String::from_utf8_lossy(&read(guest, name)?).into_owned();
    let arguments = read(guest, arguments)?;
    let function = guest.data_mut().config.foreign_functions.get_mut(&name);
    let result = function.ok_or(Status::NotFound)?(&arguments)?;
    // A guest that does not need the result passes null.
    match out {
        Out(0, 0) => Ok(()),
        Out(0, length) => write_u32(guest, length, u32::try_from(result.len()).unwrap_or(u32::MAX)),
        out => give(guest, out, &result),
    }
}
