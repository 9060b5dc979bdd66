//! OTLP in protobuf (`opentelemetry-proto`), read and edited in place.
//!
//! The levels are [walked](walk) field by field. [Records](record) and [attributes] are read only as far as decisions
//! depend on them.

pub(crate) mod attributes;
mod ordinary;
mod parts;
mod profiles;
pub(crate) mod record;
pub(crate) mod walk;

#[cfg(test)]
mod tests;
