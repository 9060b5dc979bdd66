//! What the streams of a worker share.

use std::cell::RefCell;

use sluice_gate::Certificates;

use crate::counters::Counters;

/// What the streams of a worker share.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    pub(crate) certificates: RefCell<Certificates>,
    pub(crate) counters: Counters,
}
