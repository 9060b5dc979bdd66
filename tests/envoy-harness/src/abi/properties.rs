//! Properties (`Context::getProperty`, `findValue`, `setProperty`).

use crate::{
    context::StreamState,
    host::Host,
    memory::{Fault, Guest, Out, Span, give, read},
    property::{Value, of_request, of_response},
    side::{Direction, Side},
    status::Status,
};

pub(super) fn get(guest: &mut Guest<'_>, path: Span, out: Out) -> Result<(), Fault> {
    let path = read(guest, path)?;
    let path = path.strip_suffix(b"\0").unwrap_or(&path);
    if path.is_empty() {
        // The path is empty, and there is no value to serialize.
        return Err(Status::SerializationFailure.into());
    }
    let host = guest.data();
    let whole = WHOLES.contains(&path) && host.active_stream().is_some();
    let missing = if whole { Status::SerializationFailure } else { Status::NotFound };
    let value = find(host, path).ok_or(missing)?;
    give(guest, out, value.bytes())
}

/// The objects that have attributes. An object as a whole cannot be serialized.
const WHOLES: [&[u8]; 5] = [b"connection", b"destination", b"request", b"response", b"source"];

/// Writes into the stream's filter state, under the whole path.
pub(super) fn set(guest: &mut Guest<'_>, path: Span, value: Span) -> Result<(), Fault> {
    let (path, value) = (read(guest, path)?, read(guest, value)?);
    let stream = guest.data_mut().active_stream_mut().ok_or(Status::NotFound)?;
    stream.attributes.filter_state.insert(path, value);
    Ok(())
}

/// Envoy's own attributes come before what a filter has set. In the filter state, only values under a path of one part
/// can be found, because Envoy looks up the first part and then goes into the value.
fn find(host: &Host, path: &[u8]) -> Option<Value> {
    let stream = host.active_stream();
    stream
        .and_then(|stream| stream.attributes.values.get(path).cloned())
        .or_else(|| stream.and_then(|stream| of_headers(stream, path)))
        .or_else(|| of_vm(host, path))
        .or_else(|| {
            let one_part = !path.contains(&0);
            let state = &stream.filter(|_| one_part)?.attributes.filter_state;
            Some(state.get(path)?.clone().into())
        })
}

/// A map that the filter cannot read is not searched either.
fn of_headers(stream: &StreamState, path: &[u8]) -> Option<Value> {
    let headers = |direction: Direction| {
        let side = stream.side(direction);
        side.headers.as_ref().filter(|_| stream.log_phase || side.headers_shown)
    };
    if let Some(path) = path.strip_prefix(b"request\0") {
        return of_request(headers(Direction::Request)?, path);
    }
    let path = path.strip_prefix(b"response\0")?;
    let Side { trailers, trailers_shown, .. } = &stream.response;
    let trailers = trailers.as_ref().filter(|_| stream.log_phase || *trailers_shown);
    of_response(headers(Direction::Response), trailers, path)
}

fn of_vm(host: &Host, path: &[u8]) -> Option<Value> {
    let plugin = || host.active_root().map(|root| &root.plugin);
    Some(match path {
        b"connection_id" => u64::from(host.active_stream().map(|_| host.active_id())?).into(),
        b"plugin_name" => plugin()?.name.clone().into(),
        b"plugin_root_id" => plugin().map_or_else(String::new, |p| p.root_id.clone()).into(),
        b"plugin_vm_id" => host.config.vm_id.clone().into(),
        _ => return None,
    })
}
