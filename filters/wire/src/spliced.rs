//! The result of walking a request of any kind.

use crate::Edits;

/// The result of walking a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spliced {
    /// The changes to make to the message.
    pub edits: Edits,
    /// How many records are dropped.
    pub dropped: u64,
    /// Whether any record stays.
    pub kept: bool,
}
