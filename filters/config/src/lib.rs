//! What the sections of a configuration share when they are checked.
//!
//! * [`Problems`] collects every [`ConfigProblem`], each added at its [`Place`].
//! * [`Glob`]: one name, or every name that begins so.
//! * [`SenderName`] and [`Pieces`]: a text with placeholders such as `{namespace}` in it.
//! * [`header_name()`]: the name of a header.
//!
//! Each section is compiled by `compile(self, place: &Place<'_>, ..)`, which returns `None` if
//! something is wrong in it. [`check`] runs one section by itself.

mod glob;
mod header_name;
mod placeholder;
mod problem;

pub use glob::{Glob, GlobError};
pub use header_name::{NotAHeaderName, header_name};
pub use placeholder::{Piece, Pieces, PlaceholderError, SenderName};
pub use problem::{ConfigProblem, Place, Problems, check};
