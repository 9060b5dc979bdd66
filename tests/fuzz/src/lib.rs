//! Everything that reads a stranger's bytes, one [`Target`] each, held against a plainer reading of
//! the same bytes.
//!
//! A target is an ordinary function: `tests/corpus.rs` gives it every committed input, and the
//! programs in `libfuzzer/` give it whatever libFuzzer comes up with.

pub mod certificate;
pub mod configuration;
pub mod decode;
pub mod exchange;
pub mod gate;
pub mod grpc_frame;
pub mod json;
pub mod pattern;
pub mod plain;
pub mod series;
pub mod splice;
pub mod x509;
pub mod xfcc;

/// One reader and what must hold for it.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name, which is also its folder in `corpus/` and its program in `libfuzzer/`.
    pub name: &'static str,
    /// Reads the bytes, and panics if something does not hold.
    pub run: fn(&[u8]),
}

/// Every target.
pub const TARGETS: [Target; 10] = [
    Target { name: "certificate", run: certificate::run },
    Target { name: "configuration", run: configuration::run },
    Target { name: "decode", run: decode::run },
    Target { name: "gate", run: gate::run },
    Target { name: "grpc_frame", run: grpc_frame::run },
    Target { name: "json", run: json::run },
    Target { name: "pattern", run: pattern::run },
    Target { name: "series", run: series::run },
    Target { name: "splice", run: splice::run },
    Target { name: "xfcc", run: xfcc::run },
];
