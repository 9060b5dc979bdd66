//! Real OpenTelemetry SDKs as senders, and what they saw.
//!
//! [`Export`] says what one request carries and where it goes; [`python::send`] and
//! [`rust_sdk::send`] send it with the SDK of that language and give an [`Outcome`]. [`collector::send`] sends a
//! batch with the OpenTelemetry Collector's exporters. [`client`] has the bare mutual TLS clients for requests
//! that none of them would send. [`demo`] is the demo's plan, the check of each row and its table.

pub mod client;
pub mod collector;
pub mod demo;
mod export;
mod outcome;
pub mod python;
pub mod rust_sdk;
pub mod token;

pub use export::{Export, Protocol, SendError, Signal};
pub use outcome::{ErrorStatus, Outcome, PartialSuccess, Reply, Sdk, Verdict};
