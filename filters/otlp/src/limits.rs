//! What reading one request may cost, beyond its bytes.

use thiserror::Error;

use crate::wire::Malformed;

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
}
