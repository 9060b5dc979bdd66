//! OTLP on the wire, without policy: which signal a request carries, how its body is framed and
//! compressed, and how records are taken out of it without decoding the rest.
//!
//! A body is read in this order: [`grpc`] frame, [`content`] encoding, [`splice`] through the
//! levels resource, scope and record, in protobuf and in JSON. What is not taken out stays as it
//! came, byte for byte.

pub mod attributes;
pub mod content;
pub mod edits;
mod format;
pub mod grpc;
pub mod json;
pub mod limits;
pub mod memory;
pub mod policy;
mod profiles;
pub mod signal;
pub mod splice;
pub mod wire;
pub mod work;

pub use format::Format;
pub use signal::Signal;
