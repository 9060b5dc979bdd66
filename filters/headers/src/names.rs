//! Names of headers that several crates use, in lower case as Envoy stores them.

/// The encodings that the client, or the server in a reply, accepts (RFC 9110, section 12.5.3).
pub const ACCEPT_ENCODING: &str = "accept-encoding";
/// How a body is compressed (RFC 9110, section 8.4).
pub const CONTENT_ENCODING: &str = "content-encoding";
/// The length of a body (RFC 9110, section 8.6).
pub const CONTENT_LENGTH: &str = "content-length";
/// The media type of a body (RFC 9110, section 8.3).
pub const CONTENT_TYPE: &str = "content-type";
/// The client certificates of the connections that a request came over, as written by Envoy and
/// other proxies.
pub const FORWARDED_CLIENT_CERT: &str = "x-forwarded-client-cert";
/// The message of a gRPC status.
pub const GRPC_MESSAGE: &str = "grpc-message";
/// The code of a gRPC status.
pub const GRPC_STATUS: &str = "grpc-status";
/// The method of a request.
pub const METHOD: &str = ":method";
/// The path of a request, with its query: see [`path_of`](crate::path_of).
pub const PATH: &str = ":path";
/// When to retry (RFC 9110, section 10.2.3).
pub const RETRY_AFTER: &str = "retry-after";
/// The tenant, for Loki, Mimir, Tempo and Pyroscope.
pub const SCOPE_ORG_ID: &str = "x-scope-orgid";
/// The status of a reply.
pub const STATUS: &str = ":status";
/// The transfer codings and trailers that the sender accepts (RFC 9110, section 10.1.4).
pub const TE: &str = "te";
