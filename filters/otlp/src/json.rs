//! OTLP/JSON (OTLP specification 1.11, "JSON Protobuf Encoding"), read and spliced on the text.
//!
//! The whole text is [checked](check) once, and then read where a decision rests on it. What is kept
//! stays as it is written; nothing becomes a tree.

mod attributes;
mod check;
mod ends;
mod object;
mod parts;
mod profiles;
mod record;
mod scan;
mod string;
mod text;
mod walk;

pub(crate) use attributes::{Pair, Pairs};
pub use object::Object;
pub(crate) use record::RecordText;
pub use string::push_string;
pub(crate) use string::{any, attribute, whole};
pub(crate) use walk::splice;

#[cfg(test)]
mod tests;
