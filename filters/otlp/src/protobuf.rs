//! OTLP in protobuf (`opentelemetry-proto`), read and spliced where it lies.
//!
//! The levels are [walked](walk) field by field; [records](record) and [attributes] are read as far as
//! a decision rests on them.

pub(crate) mod attributes;
mod parts;
mod profiles;
pub(crate) mod record;
pub(crate) mod walk;

#[cfg(test)]
mod tests;
