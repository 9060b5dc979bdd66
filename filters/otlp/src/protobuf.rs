//! OTLP in protobuf (`opentelemetry-proto`), read and edited in place.
//!
//! [Records](record) and [attributes] are read only as far as decisions depend on them. The levels above them are
//! [walked](crate::walk) in the same way as in JSON.

pub(crate) mod attributes;
mod ordinary;
mod parts;
pub(crate) mod profiles;
pub(crate) mod record;

#[cfg(test)]
mod tests;
