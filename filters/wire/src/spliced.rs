//! What comes of walking a request, whatever it carries.

use crate::Edits;

/// What came of walking a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spliced {
    /// What has to be done to the message.
    pub edits: Edits,
    /// Records that go.
    pub dropped: u64,
    /// Whether any record stays.
    pub kept: bool,
}
