//! Call-outs of guests.

use std::time::Duration;

use crate::headers::HeaderMap;

/// An HTTP call-out that is waiting for its answer ([`Vm::answer_http_call`](crate::Vm::answer_http_call)).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpCall {
    /// Names the call.
    pub token: u32,
    /// The root context that gets the answer.
    pub root_context: u32,
    /// The called cluster.
    pub cluster: String,
    /// Its headers. As in Envoy, `content-length` is set if there is a body.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Vec<u8>,
    /// Its trailers; empty if it has none.
    pub trailers: HeaderMap,
    /// The guest's timeout; `None` means none. Nothing times out here by itself: call
    /// [`Vm::fail_http_call`](crate::Vm::fail_http_call).
    pub timeout: Option<Duration>,
}

/// A gRPC call-out that is open, unary or streaming.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrpcCall {
    /// Names the call.
    pub token: u32,
    /// The root context that gets the events of the call.
    pub root_context: u32,
    /// Whether `proxy_grpc_stream` opened it.
    pub streaming: bool,
    /// The cluster's name, or an encoded `GrpcService` message.
    pub upstream: Vec<u8>,
    /// The gRPC service.
    pub service: String,
    /// The method.
    pub method: String,
    /// The metadata that the guest sends.
    pub metadata: HeaderMap,
    /// The messages that the guest has sent, without frames.
    pub messages: Vec<Vec<u8>>,
    /// The guest has closed its side.
    pub half_closed: bool,
    /// The guest's timeout; `None` means none, as for streams.
    pub timeout: Option<Duration>,
}
