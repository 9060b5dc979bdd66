//! What reading one request may cost, apart from its bytes.

use thiserror::Error;

use crate::{malformed::Malformed, memory::NoMemory};

/// The limits for reading one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadLimits {
    /// Attributes of one resource, scope or record.
    pub attributes: usize,
    /// Bytes of the message, including what edits add.
    pub bytes: usize,
    /// Levels of nesting: messages in protobuf, as far as they are read; objects and arrays in
    /// JSON.
    pub depth: usize,
    /// Records, plus the resources, scopes and metrics around them, as far as they are read. For
    /// profiles, also the strings of the dictionary.
    pub records: u64,
    /// Bytes of memory that may be taken beside the message, for what is read of it and for the
    /// edits.
    pub room: usize,
}

impl ReadLimits {
    /// The largest number of changes to one message: about two for each entry and record in it (its
    /// length, and a cut or an insertion), and one for each attribute of one place.
    #[must_use]
    pub const fn most_changes(&self) -> usize {
        // On wasm, a number over the largest address would not fit in memory anyway.
        let records = if self.records > u32::MAX as u64 { u32::MAX } else { self.records as u32 };
        (records as usize).saturating_mul(2).saturating_add(self.attributes)
    }
}

/// A request exceeds a limit of [`ReadLimits`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum OverLimit {
    /// Too many attributes in one place.
    #[error("more than {limit} attributes on one resource, scope or record (limits.attributes)")]
    Attributes {
        /// The largest number that is read.
        limit: usize,
    },
    /// The message is too long, including what is added to it.
    #[error("more than {limit} bytes with what this gateway adds. Send smaller batches")]
    Bytes {
        /// The largest length that is forwarded.
        limit: usize,
    },
    /// The message would need too many changes.
    #[error("more than {limit} changes needed to one request. Send smaller batches")]
    Changes {
        /// The largest number of changes.
        limit: usize,
    },
    /// Values are nested too deeply.
    #[error("values nested more than {limit} levels deep (limits.depth)")]
    Depth {
        /// The deepest level that is read.
        limit: usize,
    },
    /// Too many references to long texts.
    #[error(
        "more than {limit} bytes of strings once references to the dictionary are resolved. Send \
         smaller batches"
    )]
    References {
        /// The most that is read, in bytes.
        limit: usize,
    },
    /// Too many records.
    #[error(
        "more than {limit} records, resources, scopes and metrics in one request (limits.records). \
         Send smaller batches"
    )]
    Records {
        /// The largest number that is read.
        limit: u64,
    },
}

/// Why a request was not read to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Unreadable {
    /// Backends would not all read it alike.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// It exceeds a limit.
    #[error(transparent)]
    OverLimit(#[from] OverLimit),
    /// It needs memory that is not there, or that it may not take at the moment.
    #[error(transparent)]
    NoMemory(#[from] NoMemory),
}
