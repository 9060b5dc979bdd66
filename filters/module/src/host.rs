//! The Envoy host functions that the gate needs.
//!
//! The SDK's functions panic on any status that they do not expect. The documentation of each
//! function here says when Envoy cannot return such a status
//! (`source/extensions/common/wasm/context.cc`).

use std::{
    cell::OnceCell,
    hint,
    time::{Duration, UNIX_EPOCH},
};

use proxy_wasm::{
    hostcalls,
    types::{BufferType, GrpcStatusCode, MapType},
};
use sluice_gate::{EnvoyBuffer, NoRoom, PeerConnection, Pieces};
use sluice_headers::{HeaderEdit, Headers, MapChange};
use sluice_reply::LocalResponse;
use sluice_senders::Connection;

/// The headers of `map`. Safe in the callback that delivers that map, and while its headers are
/// held. Values are bytes, because the SDK's string getters panic on values that are not UTF-8.
pub(crate) fn headers(map: MapType) -> Vec<(String, Vec<u8>)> {
    hostcalls::get_map_bytes(map).unwrap_or_default()
}

/// Edits the headers of `map`, which are `headers`. Safe where [`headers`] is; for a reply's trailers, of which there
/// are none yet, also in the callback for its body at its end.
pub(crate) fn edit(map: MapType, headers: Headers<'_>, edits: &[HeaderEdit]) {
    let _done = match MapChange::of(headers, edits) {
        MapChange::Nothing => Ok(()),
        MapChange::Remove(name) => hostcalls::remove_map_value(map, name),
        MapChange::Add(name, value) => hostcalls::add_map_value(map, name, value),
        MapChange::Replace(name, value) => hostcalls::set_map_value(map, name, Some(value)),
        MapChange::All(all) if ask_for(MapChange::bytes_of_all(&all)).is_ok() => {
            hostcalls::set_map_bytes(map, all)
        }
        MapChange::All(_) | MapChange::OneByOne => {
            edit_one_by_one(map, edits);
            Ok(())
        }
    };
}

/// Edits the headers of `map`, whatever they are. Safe where [`headers`] is. Setting a header first removes every copy,
/// because older Envoys replace only the first.
pub(crate) fn edit_one_by_one(map: MapType, edits: &[HeaderEdit]) {
    for edit in edits {
        let _done = match edit {
            HeaderEdit::Remove(name) => hostcalls::remove_map_value(map, name),
            HeaderEdit::Set(name, value) if name.starts_with(':') => {
                hostcalls::set_map_value(map, name, Some(value))
            }
            HeaderEdit::Set(name, value) => hostcalls::remove_map_value(map, name)
                .and_then(|()| hostcalls::add_map_value(map, name, value)),
        };
    }
}

/// The first `size` bytes of `buffer`. Safe anywhere, because a missing buffer reads as empty.
pub(crate) fn read(buffer: BufferType, size: usize) -> Vec<u8> {
    if size == 0 {
        return Vec::new();
    }
    hostcalls::get_buffer(buffer, 0, size).ok().flatten().unwrap_or_default()
}

/// The body of a request, in Envoy's buffer. The sender chooses its size, so a read fails if there is no memory for it
/// or if not all bytes are there. The SDK aborts if it cannot allocate, so its memory is probed first.
pub(crate) struct RequestBody;

impl EnvoyBuffer for RequestBody {
    fn read(&self, size: usize) -> Result<Vec<u8>, NoRoom> {
        ask_for(size)?;
        let bytes = read(BufferType::HttpRequestBody, size);
        if bytes.len() == size { Ok(bytes) } else { Err(NoRoom) }
    }

    fn read_by(
        &self,
        size: usize,
        take: &mut dyn FnMut(&[u8]) -> Result<(), NoRoom>,
    ) -> Result<(), NoRoom> {
        let mut at: usize = 0;
        while at < size {
            let next = size.saturating_sub(at).min(Pieces::MAX);
            ask_for(next)?;
            let piece = hostcalls::get_buffer(BufferType::HttpRequestBody, at, next);
            let piece = piece.ok().flatten().unwrap_or_default();
            if piece.len() != next {
                return Err(NoRoom);
            }
            take(&piece)?;
            at = at.saturating_add(next);
        }
        Ok(())
    }
}

/// Checks that there is memory for the next read. The memory is given back at once and is still free when it is needed,
/// because nothing else runs in a worker in between.
fn ask_for(bytes: usize) -> Result<(), NoRoom> {
    let mut memory: Vec<u8> = Vec::new();
    memory.try_reserve_exact(bytes).map_err(|_| NoRoom)?;
    // Without this, the compiler would remove the unused allocation.
    drop(hint::black_box(memory));
    Ok(())
}

/// Replaces the first `size` bytes of `buffer`. Safe in the callback for that body, and in the one
/// for its trailers while a part of it is buffered.
pub(crate) fn replace(buffer: BufferType, size: usize, bytes: &[u8]) {
    let _done = hostcalls::set_buffer(buffer, 0, size, bytes);
}

/// The connection of the current stream. It is asked in a callback of that stream, and only for what is needed.
#[derive(Debug, Default)]
pub(crate) struct EnvoyConnection {
    id: OnceCell<Option<u64>>,
    attributes: OnceCell<ConnectionAttributes>,
}

/// What Envoy knows about the connection's client certificate.
#[derive(Debug)]
struct ConnectionAttributes {
    certificate: Option<Vec<u8>>,
    certificate_valid: Option<Vec<u8>>,
    presented: Option<Vec<u8>>,
    digest: Option<Vec<u8>>,
}

impl PeerConnection for EnvoyConnection {
    fn id(&self) -> Option<u64> {
        *self.id.get_or_init(|| {
            let id = hostcalls::get_property(vec!["connection_id"]).ok().flatten()?;
            id.try_into().ok().map(u64::from_le_bytes)
        })
    }

    fn is_counted(&self) -> bool {
        let protocol = hostcalls::get_property(vec!["request", "protocol"]).ok().flatten();
        matches!(protocol.as_deref(), Some(b"HTTP/1.0" | b"HTTP/1.1" | b"HTTP/2"))
    }

    fn attributes(&self) -> Connection<'_> {
        let ConnectionAttributes { certificate, certificate_valid, presented, digest } =
            self.attributes.get_or_init(ConnectionAttributes::read);
        Connection {
            certificate: certificate.as_deref(),
            certificate_valid: certificate_valid.as_deref(),
            presented: presented.as_deref(),
            digest: digest.as_deref(),
        }
    }
}

impl ConnectionAttributes {
    /// Reads the attributes. Safe in any callback of a stream.
    fn read() -> Self {
        let certificate = connection("peer_certificate");
        let certificate_valid = connection("peer_certificate_valid");
        let presented = connection("mtls");
        // Only needed to check a header, if Envoy does not show the certificate itself.
        let digest = match certificate {
            Some(_) => None,
            None => connection("sha256_peer_certificate_digest"),
        };
        Self { certificate, certificate_valid, presented, digest }
    }
}

/// An attribute of the connection, if this Envoy has it.
fn connection(attribute: &str) -> Option<Vec<u8>> {
    hostcalls::get_property(vec!["connection", attribute]).ok().flatten()
}

/// The dynamic metadata of earlier filters, as protobuf: `envoy.config.core.v3.Metadata`. If Envoy fails to write it,
/// bytes that are not a valid message are returned, because an unreadable token must not count as a missing one.
pub(crate) fn metadata() -> Option<Vec<u8>> {
    const UNREADABLE: u8 = 0xff;
    hostcalls::get_property(vec!["metadata"]).unwrap_or_else(|_| Some(vec![UNREADABLE]))
}

/// Where the current reply comes from: `via_upstream`, or Envoy's reason for an answer of its own. Safe in any callback
/// of a stream.
pub(crate) fn code_details() -> Option<Vec<u8>> {
    hostcalls::get_property(vec!["response", "code_details"]).ok().flatten()
}

/// Sets filter state, for Envoy's access log and for later filters: `%FILTER_STATE(wasm.NAME:PLAIN)%`. Safe in any
/// callback of a stream, because Envoy then always returns success (`Context::setProperty`).
pub(crate) fn set_filter_state(name: &str, value: &str) {
    let _done = hostcalls::set_property(vec![name], Some(value.as_bytes()));
}

/// How many bytes of the request, head and body, Envoy has received; `None` if this Envoy does not say. Safe in any
/// callback of a stream, and after [`become_stream`].
pub(crate) fn received() -> Option<u64> {
    let size = hostcalls::get_property(vec!["request", "total_size"]).ok().flatten()?;
    size.try_into().ok().map(u64::from_le_bytes)
}

/// Starts the periodic timer of the plugin's root context. Safe in any callback.
pub(crate) fn tick(period: Duration) {
    let _done = hostcalls::set_tick_period(period);
}

/// Makes the following host calls in this callback apply to a stream. Returns whether the stream exists.
pub(crate) fn become_stream(context: u32) -> bool {
    hostcalls::set_effective_context(context).is_ok()
}

/// Releases a reply whose head was held, after this callback has returned. Safe after [`become_stream`], because Envoy
/// then always returns success (`Context::continueStream`).
pub(crate) fn continue_response() {
    let _done = hostcalls::resume_http_response();
}

/// The time in seconds since the epoch. If there is no clock, the time is far in the future, so
/// that everything that can expire has expired.
pub(crate) fn now() -> u64 {
    let now = hostcalls::get_current_time().ok();
    let since = now.and_then(|now| now.duration_since(UNIX_EPOCH).ok());
    since.map_or(u64::MAX, |since| since.as_secs())
}

/// Sends a local reply instead of a backend's. Safe until the reply's headers have been sent.
pub(crate) fn send_local_reply(reply: &LocalResponse) {
    match reply {
        LocalResponse::Grpc { status, metadata } => {
            let metadata = metadata.iter().map(|(name, value)| (*name, value.as_bytes())).collect();
            let code = grpc_code(status.code);
            let _done = hostcalls::send_grpc_response(code, Some(&status.message), metadata);
        }
        LocalResponse::Http { status, headers, body } => {
            let headers = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
            let _done = hostcalls::send_http_response((*status).into(), headers, Some(body));
        }
    }
}

/// The SDK's name for a status code.
const fn grpc_code(code: i32) -> GrpcStatusCode {
    match code {
        3 => GrpcStatusCode::InvalidArgument,
        7 => GrpcStatusCode::PermissionDenied,
        8 => GrpcStatusCode::ResourceExhausted,
        12 => GrpcStatusCode::Unimplemented,
        14 => GrpcStatusCode::Unavailable,
        16 => GrpcStatusCode::Unauthenticated,
        _ => GrpcStatusCode::Internal,
    }
}
