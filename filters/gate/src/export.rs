//! What a request's head says that its body is.

use sluice_otlp::{
    Format, Signal,
    content::{Encoding, EncodingHeader},
    grpc,
};
use sluice_reply::{Protocol, Refusal};
use sluice_route::Transport;
use sluice_tenant::HeaderEdit;

use crate::Headers;

/// An OTLP export whose body has not been read.
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
        _ => match Format::from_content_type(content_type) {
            Some(Format::Json) => Protocol::HttpJson,
            Some(Format::Protobuf) | None => Protocol::HttpProtobuf,
        },
    }
}

impl Export {
    /// Reads the head of an export in `protocol`.
    ///
    /// # Errors
    /// The [`Refusal`] of a request that is not an OTLP export that the gate can check.
    pub(crate) fn from_head(headers: Headers<'_>, protocol: Protocol) -> Result<Self, Refusal> {
        let target = headers.first(":path").unwrap_or_default();
        let path = target.split(|byte| *byte == b'?').next().unwrap_or_default();
        let signal = match protocol {
            Protocol::Grpc => Signal::from_grpc_path(path),
            Protocol::HttpJson | Protocol::HttpProtobuf => Signal::from_http_path(path),
        };
        let signal = signal.ok_or_else(|| Refusal::Path(lossy(path)))?;
        let method = headers.first(":method").unwrap_or_default();
        if method != b"POST" {
            return Err(Refusal::Method(lossy(method)));
        }
        let content_type = headers.joined("content-type");
        let format = match protocol {
            Protocol::Grpc => {
                matches!(content_type.as_slice(), b"application/grpc" | b"application/grpc+proto")
                    .then_some(Format::Protobuf)
            }
            Protocol::HttpJson | Protocol::HttpProtobuf => Format::from_content_type(&content_type),
        };
        let format = format.ok_or_else(|| Refusal::ContentType(lossy(&content_type)))?;
        let header = match protocol {
            Protocol::Grpc => EncodingHeader::Grpc,
            Protocol::HttpJson | Protocol::HttpProtobuf => EncodingHeader::Content,
        };
        let value = headers.joined(header.name());
        let encoding = header
            .read(&value)
            .ok_or_else(|| Refusal::Encoding { header, value: lossy(&value) })?;
        Ok(Self { signal, protocol, format, encoding })
    }

    /// How it came.
    pub(crate) const fn transport(&self) -> Transport {
        match self.protocol {
            Protocol::Grpc => Transport::Grpc,
            Protocol::HttpJson | Protocol::HttpProtobuf => Transport::Http,
        }
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
