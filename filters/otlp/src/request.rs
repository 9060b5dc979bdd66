//! An export request.

use sluice_wire::ReadLimits;

use crate::{Format, Signal};

/// An export request, decompressed and without its gRPC frame.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Its bytes.
    pub message: &'a [u8],
    /// Where the message starts in the buffer that the edits will be applied to.
    pub at: usize,
    /// Its signal.
    pub signal: Signal,
    /// Its format.
    pub format: Format,
    /// The limits for reading it.
    pub limits: ReadLimits,
}
