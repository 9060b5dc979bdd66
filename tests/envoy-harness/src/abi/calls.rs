//! HTTP and gRPC call-outs (`Context::httpCall`, `grpcCall`, `grpcStream` and what follows them).

use std::time::Duration;

use crate::{
    calls::{GrpcCall, HttpCall},
    headers::{HeaderMap, Kind},
    host::{Host, is_grpc_stream_token, is_grpc_token},
    memory::{Fault, Guest, Span, read, write_u32},
    pairs,
    status::Status,
};

pub(super) struct HttpRequest {
    pub(super) cluster: Span,
    pub(super) headers: Span,
    pub(super) body: Span,
    pub(super) trailers: Span,
}

/// A call to an unknown cluster, with a negative timeout, or without `:method`, `:path` or `:authority` is rejected.
pub(super) fn http_call(
    guest: &mut Guest<'_>,
    request: &HttpRequest,
    timeout: u32,
    out: u32,
) -> Result<(), Fault> {
    let cluster = text(guest, request.cluster)?;
    let body = read(guest, request.body)?;
    let mut headers = map(guest, request.headers)?.into_kind(Kind::Request);
    let trailers = map(guest, request.trailers)?;
    // The address for the token is checked first, so that no call starts without a token.
    write_u32(guest, out, 0)?;
    let incomplete =
        [":path", ":method", ":authority"].iter().any(|required| !headers.contains(required));
    let host = guest.data_mut();
    if timeout.cast_signed() < 0 || !host.has_cluster(&cluster) || incomplete {
        return Err(Status::BadArgument.into());
    }
    if !body.is_empty() {
        headers.set("content-length", body.len().to_string());
    }
    let token = host.next_http_call();
    let root_context = host.active_root_id();
    let timeout = duration(timeout);
    host.http_calls.push(HttpCall {
        token,
        root_context,
        cluster,
        headers,
        body,
        trailers,
        timeout,
    });
    write_u32(guest, out, token)
}

pub(super) struct GrpcRequest {
    pub(super) upstream: Span,
    pub(super) service: Span,
    pub(super) method: Span,
    pub(super) metadata: Span,
}

pub(super) fn grpc_call(
    guest: &mut Guest<'_>,
    request: &GrpcRequest,
    message: Span,
    timeout: u32,
    out: u32,
) -> Result<(), Fault> {
    let message = read(guest, message)?;
    let mut call = open(guest, request, false)?;
    call.messages.push(message);
    call.half_closed = true;
    call.timeout = duration(timeout);
    begin(guest, call, out)
}

pub(super) fn grpc_stream(
    guest: &mut Guest<'_>,
    request: &GrpcRequest,
    out: u32,
) -> Result<(), Fault> {
    let call = open(guest, request, true)?;
    begin(guest, call, out)
}

pub(super) fn grpc_send(
    guest: &mut Guest<'_>,
    token: u32,
    message: Span,
    end: u32,
) -> Result<(), Fault> {
    let message = read(guest, message)?;
    if !is_grpc_stream_token(token) {
        return Err(Status::BadArgument.into());
    }
    let call = guest.data_mut().grpc_calls.iter_mut().find(|call| call.token == token);
    let call = call.ok_or(Status::NotFound)?;
    call.messages.push(message);
    call.half_closed |= end != 0;
    Ok(())
}

/// Ends a unary call. A stream is closed by the guest, and continues until its peer closes it.
pub(super) fn grpc_close(guest: &mut Guest<'_>, token: u32) -> Result<(), Fault> {
    if !is_grpc_stream_token(token) {
        return grpc_cancel(guest, token);
    }
    let call = guest.data_mut().grpc_calls.iter_mut().find(|call| call.token == token);
    call.ok_or(Status::NotFound)?.half_closed = true;
    Ok(())
}

pub(super) fn grpc_cancel(guest: &mut Guest<'_>, token: u32) -> Result<(), Fault> {
    if !is_grpc_token(token) {
        return Err(Status::BadArgument.into());
    }
    let calls = &mut guest.data_mut().grpc_calls;
    let at = calls.iter().position(|call| call.token == token).ok_or(Status::NotFound)?;
    calls.remove(at);
    Ok(())
}

/// An unknown cluster gives ParseFailure, because Envoy then treats the name as an invalid `GrpcService` message.
fn open(guest: &mut Guest<'_>, request: &GrpcRequest, streaming: bool) -> Result<GrpcCall, Fault> {
    let upstream = read(guest, request.upstream)?;
    let service = text(guest, request.service)?;
    let method = text(guest, request.method)?;
    let metadata = map(guest, request.metadata)?;
    let host = guest.data_mut();
    if !knows(host, &upstream) {
        return Err(Status::ParseFailure.into());
    }
    Ok(GrpcCall {
        token: host.next_grpc_call(streaming),
        root_context: host.active_root_id(),
        streaming,
        upstream,
        service,
        method,
        metadata,
        messages: Vec::new(),
        half_closed: false,
        timeout: None,
    })
}

fn begin(guest: &mut Guest<'_>, call: GrpcCall, out: u32) -> Result<(), Fault> {
    let token = call.token;
    guest.data_mut().grpc_calls.push(call);
    write_u32(guest, out, token)
}

/// Returns whether the upstream is the name of a known cluster. If it is not a name at all, it is treated as an encoded
/// `GrpcService`, which begins with the tag of a field.
fn knows(host: &Host, upstream: &[u8]) -> bool {
    let is_message = upstream.first().is_some_and(u8::is_ascii_control);
    is_message || std::str::from_utf8(upstream).is_ok_and(|name| host.has_cluster(name))
}

fn text(guest: &mut Guest<'_>, span: Span) -> Result<String, Fault> {
    Ok(String::from_utf8_lossy(&read(guest, span)?).into_owned())
}

fn map(guest: &mut Guest<'_>, span: Span) -> Result<HeaderMap, Fault> {
    Ok(pairs::read(&read(guest, span)?).into_iter().collect())
}

fn duration(milliseconds: u32) -> Option<Duration> {
    (milliseconds > 0).then(|| Duration::from_millis(milliseconds.into()))
}
