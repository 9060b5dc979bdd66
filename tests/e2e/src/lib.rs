//! Real OpenTelemetry SDKs as senders, and what they saw.
//!
//! [`Export`] says what one request carries and where it goes; [`Sdk::send`] sends it with the SDK of a language and
//! gives an [`Outcome`], [`Sdk::send_series`] several. [`collector::send`] sends a batch with the OpenTelemetry
//! Collector's exporters, [`rotel::Rotel`] is another collector. [`client`] has the bare mutual TLS clients for
//! requests that none of them would send. [`stores`] starts real stores, to read back from. [`demo`] is the demo's
//! plan, the check of each row and its table.

pub mod client;
pub mod collector;
pub mod demo;
mod export;
mod outcome;
pub mod rotel;
mod rust_sdk;
mod sender;
pub mod stores;
pub mod token;
mod tunnel;

pub use export::{Encoding, Export, Protocol, SendError, Signal};
pub use outcome::{ErrorStatus, Outcome, PartialSuccess, Reply, Sdk, Verdict};
pub use sender::Series;
