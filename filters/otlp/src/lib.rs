//! OTLP in protobuf and in JSON, without policy: which signal a request carries, and how records are
//! taken out of it without decoding the rest.
//!
//! [`splice`](splice::splice) walks an export request through the levels resource, scope and record.
//! What is not taken out stays as it came, byte for byte.

pub mod attributes;
mod fault;
mod format;
pub mod json;
pub mod policy;
mod profiles;
pub mod signal;
pub mod splice;

pub use format::Format;
pub use signal::Signal;
