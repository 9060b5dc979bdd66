//! The errors for requests that not every decoder would read alike.

use std::fmt;

use thiserror::Error;

/// Why not every decoder would read these bytes as the same message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{fault} at byte {at}")]
pub struct Malformed {
    /// What is wrong.
    pub fault: Fault,
    /// Where: the offset in the message, in bytes from its start (after decompression).
    pub at: usize,
}

/// What is wrong with a [`Malformed`] message, in the words that its sender is told.
///
/// The constants here are the faults of the protobuf wire format. A crate that reads messages of a
/// schema, or another format, declares its own faults next to the code that finds them. No decision
/// depends on which fault it is: faults are shown to senders, and compared in tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault(&'static str);

impl Fault {
    /// A field number that is 0 or over 2^29-1.
    pub const FIELD_NUMBER: Self = Self("invalid field number");
    /// A group (wire types 3 and 4), which proto3 does not have.
    pub const GROUP: Self = Self("protobuf group, which is not supported");
    /// A singular field, or a member of a oneof, that is set twice: decoders merge or overwrite.
    pub const REPEATED: Self = Self("singular field set twice");
    /// The message ends inside a field.
    pub const TRUNCATED: Self = Self("message ends inside a field");
    /// A varint over ten bytes, or over 64 bits.
    pub const VARINT: Self = Self("varint too long");
    /// A known field with another type than its schema says, or wire type 6 or 7.
    pub const WIRE_TYPE: Self = Self("wrong type");

    /// A fault with this description: a phrase that "at byte 7" can follow.
    #[must_use]
    pub const fn new(description: &'static str) -> Self {
        Self(description)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}
