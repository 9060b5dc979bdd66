//! The names of headers that several crates know, in lower case as Envoy has them.

/// The encodings that the one who asks can read (RFC 9110, section 12.5.3).
pub const ACCEPT_ENCODING: &str = "accept-encoding";
/// How a body is compressed (RFC 9110, section 8.4).
pub const CONTENT_ENCODING: &str = "content-encoding";
/// The length of a body (RFC 9110, section 8.6).
pub const CONTENT_LENGTH: &str = "content-length";
/// How a body is written (RFC 9110, section 8.3).
pub const CONTENT_TYPE: &str = "content-type";
/// The client certificates of the connections that a request came over, as Envoy and other proxies
/// write them.
pub const FORWARDED_CLIENT_CERT: &str = "x-forwarded-client-cert";
/// A gRPC status's message.
pub const GRPC_MESSAGE: &str = "grpc-message";
/// A gRPC status's code.
pub const GRPC_STATUS: &str = "grpc-status";
/// The method of a request.
pub const METHOD: &str = ":method";
/// The path of a request, with its query: see [`path_of`](crate::path_of).
pub const PATH: &str = ":path";
/// When to send again (RFC 9110, section 10.2.3).
pub const RETRY_AFTER: &str = "retry-after";
/// The tenant, to Loki, Mimir, Tempo and Pyroscope.
pub const SCOPE_ORG_ID: &str = "x-scope-orgid";
/// The status of a reply.
pub const STATUS: &str = ":status";
/// What transfer codings and trailers the sender takes (RFC 9110, section 10.1.4).
pub const TE: &str = "te";
