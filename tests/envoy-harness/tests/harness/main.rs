//! Tests of the harness, with small guests.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on fails"
)]

mod buffers;
mod calls;
mod control;
mod crossings;
mod filter;
mod guest;
mod header_maps;
mod local_replies;
mod metrics;
mod modules;
mod plugins;
mod properties;
mod shared;
mod traps;
