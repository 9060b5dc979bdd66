//! What a request's head says about its body.

use sluice_encodings::{Encoding, EncodingHeader, grpc};
use sluice_headers::{
    HeaderEdit, Headers, media_type,
    names::{CONTENT_TYPE, METHOD},
};
use sluice_otlp::{Format, Signal};
use sluice_remote_write::{is_content_type, is_encoding, is_path};
use sluice_reply::{Protocol, Refusal};
use sluice_route::{Backend, Endpoint, Transport};
use sluice_tenant::Tenanted;

/// An OTLP export, or a write request of Prometheus, whose body has not been read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Export {
    pub(crate) signal: Signal,
    pub(crate) protocol: Protocol,
    /// The format of the message.
    pub(crate) format: Format,
    /// How the body is compressed; over gRPC, how a message is compressed that is flagged so.
    pub(crate) encoding: Encoding,
}

/// The protocol in which a sender is answered, even if its request turns out not to be an export.
pub(crate) fn request_protocol(headers: Headers<'_>) -> Protocol {
    let media_type = media_type_of(headers).unwrap_or_default();
    match grpc_suffix(media_type) {
        Some(_) => Protocol::Grpc,
        None if is_path(headers.path()) => Protocol::RemoteWrite,
        None => match Format::from_content_type(media_type) {
            Some(Format::Json) => Protocol::HttpJson,
            Some(Format::Protobuf) | None => Protocol::HttpProtobuf,
        },
    }
}

/// Whether Envoy treats a request as gRPC, and turns every local reply to it into a gRPC reply
/// (`source/common/grpc/common.cc`, `hasGrpcContentType`). It is stricter than gRPC servers are: case and parameters
/// matter.
#[must_use]
pub fn is_envoys_grpc(headers: Headers<'_>) -> bool {
    let content_type = headers.first(CONTENT_TYPE).unwrap_or_default();
    matches!(content_type.strip_prefix(GRPC), Some([] | [b'+', ..]))
}

const GRPC: &[u8; 16] = b"application/grpc";

/// The media type in the content type, without parameters. Identical copies count as one, also if Envoy has joined them
/// with a comma. `None` if they differ.
fn media_type_of(headers: Headers<'_>) -> Option<&[u8]> {
    let mut all = content_types(headers).map(media_type);
    let first = all.next()?;
    all.all(|other| other.eq_ignore_ascii_case(first)).then_some(first)
}

fn content_types(headers: Headers<'_>) -> impl Iterator<Item = &[u8]> {
    headers.all(CONTENT_TYPE).flat_map(|value| value.split(|byte| *byte == b','))
}

/// What follows `application/grpc`: nothing, or a plus sign and the name of a format (gRPC over HTTP/2,
/// "Content-Type"). `None` for any other type, including gRPC-Web's.
fn grpc_suffix(media_type: &[u8]) -> Option<&[u8]> {
    let (name, suffix) = media_type.split_first_chunk::<{ GRPC.len() }>()?;
    (GRPC.eq_ignore_ascii_case(name) && matches!(suffix, [] | [b'+', ..])).then_some(suffix)
}

impl Export {
    /// Reads the head of an export in `protocol`.
    ///
    /// # Errors
    /// The [`Refusal`] of a request that is not an export, or not one that the gate can check.
    pub(crate) fn from_head(headers: Headers<'_>, protocol: Protocol) -> Result<Self, Refusal> {
        let path = headers.path();
        let signal = match protocol {
            Protocol::Grpc => Signal::from_grpc_path(path),
            Protocol::HttpJson | Protocol::HttpProtobuf => Signal::from_http_path(path),
            Protocol::RemoteWrite => Some(Signal::Metrics),
        };
        let content_type = || lossy(&headers.joined(CONTENT_TYPE));
        let Some(signal) = signal else {
            // The path is OTLP's in the other protocol, so the content type is wrong.
            let is_otlp = [Signal::from_grpc_path(path), Signal::from_http_path(path)];
            return Err(match is_otlp {
                [None, None] => Refusal::Path(lossy(path)),
                _ => Refusal::ContentType(content_type()),
            });
        };
        let method = headers.first(METHOD).unwrap_or_default();
        if method != b"POST" {
            return Err(Refusal::Method(lossy(method)));
        }
        if protocol == Protocol::RemoteWrite {
            return Self::write_request(headers);
        }
        let media_type = media_type_of(headers).unwrap_or_default();
        let format = match grpc_suffix(media_type) {
            Some(suffix) => (suffix.is_empty() || suffix.eq_ignore_ascii_case(b"+proto"))
                .then_some(Format::Protobuf),
            None => Format::from_content_type(media_type),
        };
        let format = format.ok_or_else(|| Refusal::ContentType(content_type()))?;
        let header = match protocol {
            Protocol::Grpc => EncodingHeader::Grpc,
            _ => EncodingHeader::Content,
        };
        let value = headers.joined(header.name());
        let encoding = header
            .read(&value)
            .ok_or_else(|| Refusal::Encoding { header, value: lossy(&value) })?;
        Ok(Self { signal, protocol, format, encoding })
    }

    /// Reads the rest of the head of a write request.
    fn write_request(headers: Headers<'_>) -> Result<Self, Refusal> {
        let mut content_types = content_types(headers).peekable();
        if content_types.peek().is_none() || !content_types.all(is_content_type) {
            return Err(Refusal::WriteContentType(lossy(&headers.joined(CONTENT_TYPE))));
        }
        let encoding = headers.joined(EncodingHeader::Content.name());
        if !is_encoding(&encoding) {
            return Err(Refusal::WriteEncoding(lossy(&encoding)));
        }
        Ok(Self {
            signal: Signal::Metrics,
            protocol: Protocol::RemoteWrite,
            format: Format::Protobuf,
            encoding: Encoding::SnappyRaw,
        })
    }

    /// The endpoint for this export in a backend.
    ///
    /// # Errors
    /// The [`Refusal`] if the backend does not support it.
    pub(crate) fn endpoint<'b>(
        &self,
        backend: &'b Backend,
        tenanted: &'b Tenanted,
        headers: Headers<'_>,
    ) -> Result<Endpoint<'b>, Refusal> {
        let endpoint = match self.protocol {
            Protocol::Grpc => backend.endpoint(tenanted, Transport::Grpc)?,
            Protocol::HttpJson | Protocol::HttpProtobuf => {
                backend.endpoint(tenanted, Transport::Http)?
            }
            Protocol::RemoteWrite => {
                let endpoint = backend.write_endpoint(tenanted);
                return Ok(endpoint.ok_or_else(|| Refusal::WritePath(lossy(headers.path())))??);
            }
        };
        if !endpoint.takes(self.format) {
            return Err(Refusal::Format {
                backend: backend.store().name,
                sent: self.format.content_type(),
                taken: endpoint.formats().to_string(),
            });
        }
        Ok(endpoint)
    }
}

/// The edit that makes Envoy's router wait for a backend no longer than the gRPC sender does.
/// `None` if the sender has no timeout, or not a valid one; then the route's own timeout applies.
///
/// Of the router's headers, this is the one that can only shorten: a timeout for one try that is longer than the
/// route's timeout is ignored. The router reads `grpc-timeout` itself only for requests that are forwarded as gRPC.
pub(crate) fn grpc_timeout_edit(headers: Headers<'_>) -> Option<HeaderEdit> {
    let milliseconds = grpc::timeout(&headers.joined("grpc-timeout"))?;
    Some(HeaderEdit::set("x-envoy-upstream-rq-per-try-timeout-ms", milliseconds.to_string()))
}

fn lossy(bytes: &[u8]) -> String {
    const MAX: usize = 200;
    String::from_utf8_lossy(bytes.get(..MAX).unwrap_or(bytes)).into_owned()
}
