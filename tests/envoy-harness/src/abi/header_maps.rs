//! Header maps: which maps can be read and changed in which phase (`Context::getMap` and `getConstMap`,
//! `source/extensions/common/wasm/context.cc`).

use crate::{
    context::StreamState,
    headers::HeaderMap,
    host::Host,
    memory::{Fault, Guest, Out, Span, give, read, write_u32},
    pairs,
    side::{Direction, Side},
    status::Status,
};

/// The numbers of `WasmHeaderMapType`.
#[derive(Clone, Copy)]
enum Map {
    Headers(Direction),
    Trailers(Direction),
    GrpcInitialMetadata,
    GrpcTrailingMetadata,
    CallHeaders,
    CallTrailers,
}

impl Map {
    const fn from_code(code: u32) -> Result<Self, Status> {
        Ok(match code {
            0 => Self::Headers(Direction::Request),
            1 => Self::Trailers(Direction::Request),
            2 => Self::Headers(Direction::Response),
            3 => Self::Trailers(Direction::Response),
            4 => Self::GrpcInitialMetadata,
            5 => Self::GrpcTrailingMetadata,
            6 => Self::CallHeaders,
            7 => Self::CallTrailers,
            _ => return Err(Status::BadArgument),
        })
    }
}

pub(super) fn size(guest: &mut Guest<'_>, map: u32, out: u32) -> Result<(), Fault> {
    let map = Map::from_code(map)?;
    // As in Envoy, reading the size of trailers that could be added adds them.
    let size = writable(guest.data_mut(), map)?.byte_size();
    write_u32(guest, out, u32::try_from(size).unwrap_or(u32::MAX))
}

/// A map that is not accessible reads as empty (`headerMapToPairs`).
pub(super) fn pairs(guest: &mut Guest<'_>, map: u32, out: Out) -> Result<(), Fault> {
    let map = Map::from_code(map)?;
    let bytes = readable(guest.data(), map).map(|headers| {
        let pairs: Vec<_> = headers.iter().collect();
        pairs::write(pairs.into_iter())
    });
    give(guest, out, &bytes.unwrap_or_default())
}

pub(super) fn set_pairs(guest: &mut Guest<'_>, map: u32, pairs: Span) -> Result<(), Fault> {
    let map = Map::from_code(map)?;
    let pairs = pairs::read(&read(guest, pairs)?);
    writable(guest.data_mut(), map)?.replace_all(pairs);
    Ok(())
}

/// Returns the first value only.
pub(super) fn value(guest: &mut Guest<'_>, map: u32, name: Span, out: Out) -> Result<(), Fault> {
    let map = Map::from_code(map)?;
    let name = read(guest, name)?;
    let host = guest.data();
    let Some(headers) = readable(host, map) else {
        let logging = host.active_stream().is_some_and(|stream| stream.log_phase);
        return Err(if logging { Status::NotFound } else { Status::BadArgument }.into());
    };
    let value = headers.get(&name).ok_or(Status::NotFound)?.to_vec();
    give(guest, out, &value)
}

pub(super) fn add(guest: &mut Guest<'_>, map: u32, name: Span, value: Span) -> Result<(), Fault> {
    let map = Map::from_code(map)?;
    let (name, value) = (read(guest, name)?, read(guest, value)?);
    writable(guest.data_mut(), map)?.add(&name, &value);
    Ok(())
}

pub(super) fn replace(
    guest: &mut Guest<'_>,
    map: u32,
    name: Span,
    value: Span,
) -> Result<(), Fault> {
    let map = Map::from_code(map)?;
    let (name, value) = (read(guest, name)?, read(guest, value)?);
    writable(guest.data_mut(), map)?.set(&name, &value);
    Ok(())
}

pub(super) fn remove(guest: &mut Guest<'_>, map: u32, name: Span) -> Result<(), Fault> {
    let map = Map::from_code(map)?;
    let name = read(guest, name)?;
    writable(guest.data_mut(), map)?.remove(&name);
    Ok(())
}

fn readable(host: &Host, map: Map) -> Option<&HeaderMap> {
    match map {
        Map::Headers(direction) => {
            let stream = host.active_stream()?;
            let side = stream.side(direction);
            side.headers.as_ref().filter(|_| stream.log_phase || side.headers_shown)
        }
        Map::Trailers(direction) => {
            let stream = host.active_stream()?;
            let side = stream.side(direction);
            let shown = if stream.log_phase {
                direction == Direction::Response
            } else {
                side.trailers_shown
            };
            side.trailers.as_ref().filter(|_| shown)
        }
        Map::GrpcInitialMetadata => host.active_root()?.call_out.grpc_initial_metadata.as_ref(),
        Map::GrpcTrailingMetadata => host.active_root()?.call_out.grpc_trailing_metadata.as_ref(),
        Map::CallHeaders => Some(&host.active_root()?.call_out.http.as_ref()?.headers),
        Map::CallTrailers => host.active_root()?.call_out.http.as_ref()?.trailers.as_ref(),
    }
}

fn writable(host: &mut Host, map: Map) -> Result<&mut HeaderMap, Status> {
    let stream = host.active_stream_mut().ok_or(Status::BadArgument)?;
    let found = match map {
        Map::Headers(direction) => {
            let side = stream.side_mut(direction);
            let shown = side.headers_shown;
            side.headers.as_mut().filter(|_| shown)
        }
        Map::Trailers(direction) => {
            add_trailers_at_the_end(stream, direction);
            let side = stream.side_mut(direction);
            let shown = side.trailers_shown;
            side.trailers.as_mut().filter(|_| shown)
        }
        _ => None,
    };
    found.ok_or(Status::BadArgument)
}

/// Trailers can be added to a body without trailers in the callback for its end, and only there (`addDecodedTrailers`,
/// `addEncodedTrailers`).
fn add_trailers_at_the_end(stream: &mut StreamState, direction: Direction) {
    let at_the_end = stream.end_of_stream;
    let Side { trailers, trailers_shown, data_shown, .. } = stream.side_mut(direction);
    if !*trailers_shown && trailers.is_none() && *data_shown && at_the_end {
        *trailers = Some(HeaderMap::new().into_kind(direction.trailers_kind()));
        *trailers_shown = true;
    }
}
