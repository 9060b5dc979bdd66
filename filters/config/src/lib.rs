//! Shared parts for checking the sections of a configuration.
//!
//! * [`Problems`] collects every [`ConfigProblem`], each at its [`Place`].
//! * [`Glob`]: one exact name, or a prefix.
//! * [`SenderName`] and [`Pieces`]: a text with placeholders such as `{namespace}`.
//! * [`header_name()`]: a valid header name.
//!
//! Each section has a `compile(self, place: &Place<'_>, ..)`, which returns `None` if something in
//! the section is wrong. [`check`] compiles one section by itself.

mod glob;
mod header_name;
mod placeholder;
mod problem;

pub use glob::{Glob, GlobError};
pub use header_name::{NotAHeaderName, header_name};
pub use placeholder::{Piece, Pieces, PlaceholderError, SenderName};
pub use problem::{ConfigProblem, Place, Problems, check};
