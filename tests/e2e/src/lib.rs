//! Real OpenTelemetry SDKs as senders, and the replies that they got.
//!
//! [`Export`] describes the content and the destination of one request. [`Sdk::send`] sends it with the SDK of a
//! language and returns an [`Outcome`]; [`Sdk::send_series`] sends several. [`collector::send`] sends a batch with the
//! OpenTelemetry Collector's exporters, and [`rotel::Rotel`] is another collector. [`client`] has plain clients with
//! mutual TLS, for requests that none of these would send. [`stores`] starts real stores, to read data back. [`demo`]
//! has the demo's plan, the check of each row and the table.

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
