//! What a request's head says that its body is.

use sluice_otlp::{
    Format, Signal,
    content::{Encoding, EncodingHeader},
    grpc,
};
use sluice_remote_write::{is_content_type, is_encoding, is_path};
use sluice_reply::{Protocol, Refusal};
use sluice_route::{Backend, Endpoint, Transport};
use sluice_tenant::{HeaderEdit, TenantId};

use crate::Headers;

/// An OTLP export, or a write request of Prometheus, whose body has not been read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Export {
    pub(crate) signal: Signal,
    pub(crate) protocol: Protocol,
    /// How the message is written.
    pub(crate) format: Format,
    /// How the body is compressed; over gRPC, how a message is that is flagged so.
    pub(crate) encoding: Encoding,
}

/// The protocol in which a sender is answered, whatever its request turns out to be.
///
/// Envoy latches by the same rule whether a request is gRPC, and makes local replies accordingly
/// (`source/common/grpc/common.cc`, `hasGrpcContentType`).
pub(crate) fn protocol(headers: Headers<'_>) -> Protocol {
    const GRPC: &[u8] = b"application/grpc";
    let content_type = headers.first("content-type").unwrap_or_default();
    match content_type.strip_prefix(GRPC) {
        Some([] | [b'+', ..]) => Protocol::Grpc,
        _ if is_path(path(headers)) => Protocol::RemoteWrite,
        _ => match Format::from_content_type(content_type) {
            Some(Format::Json) => Protocol::HttpJson,
            Some(Format::Protobuf) | None => Protocol::HttpProtobuf,
        },
    }
}

/// The path of a request, without a query.
fn path(headers: Headers<'_>) -> &[u8] {
    let target = headers.first(":path").unwrap_or_default();
    target.split(|byte| *byte == b'?').next().unwrap_or_default()
}

impl Export {
    /// Reads the head of an export in `protocol`.
    ///
    /// # Errors
    /// The [`Refusal`] of a request that is not an export that the gate can check.
    pub(crate) fn from_head(headers: Headers<'_>, protocol: Protocol) -> Result<Self, Refusal> {
        let path = path(headers);
        let signal = match protocol {
            Protocol::Grpc => Signal::from_grpc_path(path),
            Protocol::HttpJson | Protocol::HttpProtobuf => Signal::from_http_path(path),
            Protocol::RemoteWrite => Some(Signal::Metrics),
        };
        let signal = signal.ok_or_else(|| Refusal::Path(lossy(path)))?;
        let method = headers.first(":method").unwrap_or_default();
        if method != b"POST" {
            return Err(Refusal::Method(lossy(method)));
        }
        let content_type = headers.joined("content-type");
        if protocol == Protocol::RemoteWrite {
            return Self::write_request(headers, &content_type);
        }
        let format = match protocol {
            Protocol::Grpc => {
                matches!(content_type.as_slice(), b"application/grpc" | b"application/grpc+proto")
                    .then_some(Format::Protobuf)
            }
            _ => Format::from_content_type(&content_type),
        };
        let format = format.ok_or_else(|| Refusal::ContentType(lossy(&content_type)))?;
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
    fn write_request(headers: Headers<'_>, content_type: &[u8]) -> Result<Self, Refusal> {
        if !is_content_type(content_type) {
            return Err(Refusal::WriteContentType(lossy(content_type)));
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

    /// Where it goes in a backend, for a tenant.
    ///
    /// # Errors
    /// The [`Refusal`] of what the backend does not take.
    pub(crate) fn endpoint<'b>(
        &self,
        backend: &'b Backend,
        tenant: Option<&'b TenantId>,
        headers: Headers<'_>,
    ) -> Result<Endpoint<'b>, Refusal> {
        let endpoint = match self.protocol {
            Protocol::Grpc => backend.endpoint(Transport::Grpc, tenant)?,
            Protocol::HttpJson | Protocol::HttpProtobuf => {
                backend.endpoint(Transport::Http, tenant)?
            }
            Protocol::RemoteWrite => {
                let endpoint = backend.write_endpoint(tenant);
                return Ok(endpoint.ok_or_else(|| Refusal::WritePath(lossy(path(headers))))??);
            }
        };
        if !endpoint.takes(self.format) {
            return Err(Refusal::Format {
                backend: backend.kind().as_str(),
                sent: self.format.content_type(),
                taken: endpoint.formats().to_string(),
            });
        }
        Ok(endpoint)
    }
}

/// The edit by which Envoy's router waits for a backend no longer than a gRPC sender does. `None` if
/// the sender does not say, or not as gRPC has it said: then the route's own timeout holds.
///
/// Of the router's headers this is the one that can only shorten: a try longer than the route's timeout
/// is not heeded. `grpc-timeout` itself the router reads in requests alone that go on as gRPC.
pub(crate) fn timeout(headers: Headers<'_>) -> Option<HeaderEdit> {
    let milliseconds = grpc::timeout(&headers.joined("grpc-timeout"))?;
    Some(HeaderEdit::set("x-envoy-upstream-rq-per-try-timeout-ms", milliseconds.to_string()))
}

fn lossy(bytes: &[u8]) -> String {
    const MAX: usize = 200;
    String::from_utf8_lossy(bytes.get(..MAX).unwrap_or(bytes)).into_owned()
}
