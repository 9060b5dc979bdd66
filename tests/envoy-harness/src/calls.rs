//! Call-outs that guests make.

use std::time::Duration;

use crate::headers::HeaderMap;

/// An HTTP call-out that waits for its answer
/// ([`Vm::answer_http_call`](crate::Vm::answer_http_call)).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpCall {
    /// Names the call.
    pub token: u32,
    /// The root context that is told of the answer.
    pub root_context: u32,
    /// The cluster that is called.
    pub cluster: String,
    /// Its headers; `content-length` is set where there is a body, as Envoy does.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Vec<u8>,
    /// Its trailers; empty are none.
    pub trailers: HeaderMap,
    /// How long the guest would wait; `None` is for ever. Nothing times out here by itself:
    /// [`Vm::fail_http_call`](crate::Vm::fail_http_call) does it.
    pub timeout: Option<Duration>,
}

/// A gRPC call-out that is open, unary or streaming.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrpcCall {
    /// Names the call.
    pub token: u32,
    /// The root context that is told of what comes.
    pub root_context: u32,
    /// Whether it was opened by `proxy_grpc_stream`.
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
    /// The guest sends no more.
    pub half_closed: bool,
    /// How long the guest would wait; `None` is for ever, and for streams.
    pub timeout: Option<Duration>,
}
