//! An export request, as it is walked.

use sluice_wire::ReadLimits;

use crate::{Format, Signal};

/// An export request, decompressed and without its frame.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Its bytes.
    pub message: &'a [u8],
    /// Where they begin in the buffer that the edits will be applied to.
    pub at: usize,
    /// What they carry.
    pub signal: Signal,
    /// How they are written.
    pub format: Format,
    /// The most that is read of them.
    pub limits: ReadLimits,
}
