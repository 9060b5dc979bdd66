//! The telemetry that tests and benchmarks send. It depends on no filter, so that the filters' own tests can use it.
//!
//! | module | what it makes | who draws from it |
//! |---|---|---|
//! | [`attributes`], [`export`], [`metric`] | the messages of OTLP, level by level | everyone |
//! | [`wire`] | protobuf, byte by byte | tests of what no encoder writes |
//! | [`ordinary`] | requests as real senders write them, with the same bytes every time | benchmarks, the attack suite |
//! | [`hostile`] | requests with which an attacker could keep a worker busy | benchmarks, the attack suite |
//! | [`odd_json`] | a message in unusual but valid JSON | property tests |
//! | `strategies` | any request, as a message | property tests (feature `strategies`) |
//! | `raw` | any request, as fields that no decoder is needed for | property tests (feature `strategies`) |

pub mod attributes;
pub mod export;
pub mod hostile;
pub mod metric;
pub mod odd_json;
pub mod ordinary;
#[cfg(feature = "strategies")]
pub mod raw;
#[cfg(feature = "strategies")]
pub mod strategies;
pub mod wire;
