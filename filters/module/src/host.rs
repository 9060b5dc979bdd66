//! Envoy's host functions, as far as the gate needs them.
//!
//! The SDK's functions panic on any status that they do not expect. Each function here says when
//! Envoy returns no such status (`source/extensions/common/wasm/context.cc`).

use std::{
    hint,
    time::{Duration, UNIX_EPOCH},
};

use proxy_wasm::{
    hostcalls,
    types::{BufferType, GrpcStatusCode, MapType},
};
use sluice_gate::{EnvoyBuffer, NoRoom, Pieces};
use sluice_headers::HeaderEdit;
use sluice_reply::LocalResponse;
use sluice_senders::Connection;

/// The headers of `map`. Safe in the callback that brings that map, and while its headers are held.
/// Values are bytes: the SDK's text getters panic on what is not UTF-8.
pub(crate) fn headers(map: MapType) -> Vec<(String, Vec<u8>)> {
    hostcalls::get_map_bytes(map).unwrap_or_default()
}

/// Edits the headers of `map`. Safe where [`headers`] is. Setting removes every copy first, as
/// older Envoys replace only the first.
pub(crate) fn edit(map: MapType, edits: &[HeaderEdit]) {
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

/// Sets trailers. Safe in the callback of trailers, and in that of a body at its end.
pub(crate) fn set_trailers(map: MapType, trailers: &[(&'static str, String)]) {
    for (name, value) in trailers {
        let _done = hostcalls::set_map_value(map, name, Some(value));
    }
}

/// The first `size` bytes of `buffer`. Safe anywhere: a buffer that is not there is empty.
pub(crate) fn read(buffer: BufferType, size: usize) -> Vec<u8> {
    if size == 0 {
        return Vec::new();
    }
    hostcalls::get_buffer(buffer, 0, size).ok().flatten().unwrap_or_default()
}

/// The body of a request, in Envoy's buffer. Its size a stranger chooses: there is memory for what is read, and it is
/// all there. The SDK aborts where there is none, so its memory is asked for first.
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

/// Whether there is memory for what is read next. It is given back at once, and found again: nothing else
/// runs in a worker meanwhile.
fn ask_for(bytes: usize) -> Result<(), NoRoom> {
    let mut memory: Vec<u8> = Vec::new();
    memory.try_reserve_exact(bytes).map_err(|_| NoRoom)?;
    // Or the compiler sees that nothing is done with it.
    drop(hint::black_box(memory));
    Ok(())
}

/// Replaces the first `size` bytes of `buffer`. Safe in the callback of that body, and in that of
/// its trailers while some of it is buffered.
pub(crate) fn replace(buffer: BufferType, size: usize, bytes: &[u8]) {
    let _done = hostcalls::set_buffer(buffer, 0, size, bytes);
}

/// What Envoy says of the connection's client certificate.
#[derive(Default)]
pub(crate) struct ConnectionAttributes {
    certificate: Option<Vec<u8>>,
    certificate_valid: Option<Vec<u8>>,
    presented: Option<Vec<u8>>,
    digest: Option<Vec<u8>>,
}

impl ConnectionAttributes {
    /// Reads them. Safe in any callback of a stream.
    pub(crate) fn read() -> Self {
        let certificate = connection("peer_certificate");
        let certificate_valid = connection("peer_certificate_valid");
        let presented = connection("mtls");
        // Only needed to vouch for a header, where Envoy does not show the certificate itself.
        let digest = match certificate {
            Some(_) => None,
            None => connection("sha256_peer_certificate_digest"),
        };
        Self { certificate, certificate_valid, presented, digest }
    }

    /// The same, as the gate takes it.
    pub(crate) fn as_connection(&self) -> Connection<'_> {
        Connection {
            certificate: self.certificate.as_deref(),
            certificate_valid: self.certificate_valid.as_deref(),
            presented: self.presented.as_deref(),
            digest: self.digest.as_deref(),
        }
    }
}

/// An attribute of the connection, where this Envoy has it.
fn connection(attribute: &str) -> Option<Vec<u8>> {
    hostcalls::get_property(vec!["connection", attribute]).ok().flatten()
}

/// What filters have left for those behind them, in protobuf: `envoy.config.core.v3.Metadata`. Where Envoy fails to
/// write it, bytes that no message has: a token that cannot be read is not the same as none.
pub(crate) fn metadata() -> Option<Vec<u8>> {
    const UNREADABLE: u8 = 0xff;
    hostcalls::get_property(vec!["metadata"]).unwrap_or_else(|_| Some(vec![UNREADABLE]))
}

/// Where the reply whose head is there is from: `via_upstream`, or what Envoy says of an answer of its
/// own. Safe in any callback of a stream.
pub(crate) fn code_details() -> Option<Vec<u8>> {
    hostcalls::get_property(vec!["response", "code_details"]).ok().flatten()
}

/// Tells Envoy's access log and the filters behind this one: `%FILTER_STATE(wasm.NAME:PLAIN)%`. Safe in any callback of
/// a stream: Envoy returns nothing but success where there is one (`Context::setProperty`).
pub(crate) fn set_filter_state(name: &str, value: &str) {
    let _done = hostcalls::set_property(vec![name], Some(value.as_bytes()));
}

/// What Envoy has got of the request, head and body, in bytes; `None` from an Envoy that does not say. Safe in any
/// callback of a stream, and behind [`become_stream`].
pub(crate) fn received() -> Option<u64> {
    let size = hostcalls::get_property(vec!["request", "total_size"]).ok().flatten()?;
    size.try_into().ok().map(u64::from_le_bytes)
}

/// Has the timer of the plugin's root ring again and again. Safe in any callback.
pub(crate) fn tick(period: Duration) {
    let _done = hostcalls::set_tick_period(period);
}

/// Stops that. Safe in any callback.
pub(crate) fn stop_ticking() {
    tick(Duration::ZERO);
}

/// Makes the host calls that follow in this callback those of a stream. Whether there is such a stream.
pub(crate) fn become_stream(context: u32) -> bool {
    hostcalls::set_effective_context(context).is_ok()
}

/// Lets go the reply whose head was held, when this callback has returned. Safe behind [`become_stream`]: Envoy returns
/// nothing but success where there is one (`Context::continueStream`).
pub(crate) fn continue_response() {
    let _done = hostcalls::resume_http_response();
}

/// The time in seconds since the epoch. Where there is none, it is late: what ends has ended.
pub(crate) fn now() -> u64 {
    let now = hostcalls::get_current_time().ok();
    let since = now.and_then(|now| now.duration_since(UNIX_EPOCH).ok());
    since.map_or(u64::MAX, |since| since.as_secs())
}

/// Makes a local reply, in the place of a backend's. Safe until the reply's headers have gone.
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

/// The SDK's name for a status' code.
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
