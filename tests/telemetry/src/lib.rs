//! Requests that tests and benchmarks send, the same bytes every time.

pub mod hostile;
pub mod ordinary;
