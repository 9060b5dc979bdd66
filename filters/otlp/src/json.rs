//! OTLP/JSON (OTLP specification 1.11, "JSON Protobuf Encoding"), read and spliced on the text.
//!
//! The whole text is [checked](check) once, and then read where a decision rests on it. What is kept
//! stays as it is written; nothing becomes a tree.

pub(crate) mod attributes;
mod check;
mod ends;
mod object;
mod parts;
mod profiles;
pub(crate) mod record;
mod scan;
pub(crate) mod string;
mod text;
pub(crate) mod walk;

pub use object::Object;
pub use string::push_string;

#[cfg(test)]
mod tests;
