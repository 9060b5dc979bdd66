//! What reading one request may cost, beyond its bytes.

use thiserror::Error;

use crate::{malformed::Malformed, memory::NoMemory};

/// The most that is read of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadLimits {
    /// Attributes of one resource, scope or record.
    pub attributes: usize,
    /// Bytes of the message, what an edit adds to it included.
    pub bytes: usize,
    /// Levels of nesting: of messages in protobuf, as far as they are read; of objects and arrays
    /// in JSON.
    pub depth: usize,
    /// Records, and the resources, scopes and metrics around them, as far as they are read. For
    /// profiles, the strings of their dictionary too.
    pub records: u64,
    /// Bytes of memory that may be taken beside the message, for what is read of it and for the
    /// edits.
    pub room: usize,
}

impl ReadLimits {
    /// The most changes to one message: about two for each entry and record that may be in it (its
    /// length, and something that goes or comes), and one for each attribute of one place.
    #[must_use]
    pub const fn most_changes(&self) -> usize {
        // On wasm, more than an address can be is more than fits its memory.
        let records = if self.records > u32::MAX as u64 { u32::MAX } else { self.records as u32 };
        (records as usize).saturating_mul(2).saturating_add(self.attributes)
    }
}

/// A request that asks for more than [`ReadLimits`] allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum OverLimit {
    /// Too many attributes in one place.
    #[error("more than {limit} attributes on one resource, scope or record")]
    Attributes {
        /// The most that are read.
        limit: usize,
    },
    /// The message, with what is added to it, is too long.
    #[error("the request is over {limit} bytes with what this gateway adds to it")]
    Bytes {
        /// The most that go on.
        limit: usize,
    },
    /// Too much would have to be changed in the message.
    #[error("more than {limit} changes to one request would be needed")]
    Changes {
        /// The most that are made.
        limit: usize,
    },
    /// Values in values, too deep.
    #[error("values are nested more than {limit} levels deep")]
    Depth {
        /// The most that are followed.
        limit: usize,
    },
    /// Too many references to long texts.
    #[error("the texts that the request refers to come to more than {limit} bytes, written out")]
    References {
        /// The most that are read, in bytes.
        limit: usize,
    },
    /// Too many records.
    #[error("more than {limit} records, resources, scopes and metrics in one request")]
    Records {
        /// The most that are read.
        limit: u64,
    },
}

/// Why a request is not read to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Unreadable {
    /// It is not what every backend would read alike.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// It asks for too much.
    #[error(transparent)]
    OverLimit(#[from] OverLimit),
    /// It needs memory that is not there, or that it may not take at the moment.
    #[error(transparent)]
    NoMemory(#[from] NoMemory),
}
