//! The protobuf wire format: read strictly, and changed without decoding.
//!
//! [`Reader`] reads the fields of one message in place. [`Edits`] collects what has to be cut out
//! of a message or inserted, and then applies it; all other bytes stay as they were. [`ReadLimits`]
//! and [`Room`] limit what a sender can make that cost.
//!
//! ```
//! use sluice_wire::{Edits, Malformed, ReadLimits, Reader, Unreadable};
//!
//! /// Cuts every field 2 out of a message.
//! fn without_field_2(message: &mut Vec<u8>, limits: &ReadLimits) -> Result<(), Unreadable> {
//!     let mut edits = Edits::new(message.len(), limits)?;
//!     let mut reader = Reader::new(message, 0);
//!     while let Some(field) = reader.next_field()? {
//!         if field.number == 2 {
//!             let nested = field.nested()?;
//!             edits.cut(nested.start, nested.end())?;
//!         }
//!     }
//!     Ok(edits.apply(message, 0)?)
//! }
//!
//! let limits = ReadLimits { attributes: 0, bytes: 100, depth: 0, records: 10, room: 1 << 10 };
//! let mut message = b"\x0a\x01a\x12\x01b\x1a\x01c".to_vec();
//! without_field_2(&mut message, &limits)?;
//! assert_eq!(message, b"\x0a\x01a\x1a\x01c");
//! # Ok::<(), Unreadable>(())
//! ```

mod edits;
mod limits;
mod malformed;
pub mod memory;
mod reader;
mod spliced;
pub mod work;
mod write;

pub use edits::{Edits, Mark, SPARE};
pub use limits::{OverLimit, ReadLimits, Unreadable};
pub use malformed::{Fault, Malformed};
pub use memory::{NoMemory, Room};
pub use reader::{Field, INT32, Nested, Reader, Value, set_once};
pub use spliced::Spliced;
pub use write::{field_head, push_field, varint_bytes};
