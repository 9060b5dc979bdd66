//! OTLP/JSON (OTLP specification 1.11, "JSON Protobuf Encoding"), read and edited as text.
//!
//! The whole text is [checked](check) once. After that, only the parts that decisions depend on are
//! read. What is kept stays as it was written; no tree is built.

pub(crate) mod attributes;
pub(crate) mod check;
mod ends;
mod object;
mod ordinary;
mod parts;
pub(crate) mod profiles;
pub(crate) mod record;
mod scan;
pub(crate) mod string;
pub(crate) mod text;

pub use object::Object;
pub use string::push_string;

#[cfg(test)]
mod tests;
