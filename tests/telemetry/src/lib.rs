//! The requests that tests and benchmarks send, with the same bytes every time.

pub mod hostile;
pub mod ordinary;
