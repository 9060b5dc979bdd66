//! The headers of requests and replies.
//!
//! * [`Headers`]: a map of headers as Envoy gives it.
//! * [`HeaderEdit`]: a change to such a map, as data; only the module carries it out.
//! * [`MapChange`]: the fewest calls of Envoy that carry out several of them.
//! * [`media_type`], [`path_of`]: the part of a header's value that is compared.
//! * [`names`]: names of headers that several crates use.

mod change;
mod edit;
mod map;
pub mod names;
mod value;

pub use change::MapChange;
pub use edit::HeaderEdit;
pub use map::Headers;
pub use value::{is_media_type, media_type, path_of};
