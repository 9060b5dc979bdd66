//! Every parser of untrusted bytes, with one [`Target`] each, which compares it with a simpler parser of the same
//! bytes.
//!
//! A target is an ordinary function. `tests/corpus.rs` calls it with every committed input, and the programs in
//! `libfuzzer/` call it with the inputs of libFuzzer.

pub mod certificate;
pub mod configuration;
pub mod cost;
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

use cost::Most;

/// One parser, and what must hold for it.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name, which is also its folder in `corpus/` and its program in `libfuzzer/`.
    pub name: &'static str,
    /// Parses the bytes, and panics if something does not hold.
    pub run: fn(&[u8]),
    /// Parses the bytes as the gate does, and nothing else.
    pub read: fn(&[u8]),
    /// The limit for the cost of `read`.
    pub most: Most,
}

impl Target {
    /// Returns the target with this name.
    ///
    /// # Panics
    /// If there is no such target.
    #[must_use]
    pub fn named(name: &str) -> Self {
        *TARGETS.iter().find(|target| target.name == name).expect("there is a target of this name")
    }

    /// Runs the target on an input, and compares the cost with the limit.
    ///
    /// # Panics
    /// If something does not hold.
    pub fn check(&self, data: &[u8]) {
        (self.run)(data);
        cost::is_bounded(self, data);
    }
}

/// A target with the name of its module.
macro_rules! target {
    ($name:ident, $most:expr) => {
        Target { name: stringify!($name), run: $name::run, read: $name::read, most: $most }
    };
}

/// Every target.
pub const TARGETS: [Target; 10] = [
    target!(certificate, Most::plain(64, 64)),
    target!(configuration, Most::plain(64, 256)),
    target!(decode, Most::decoding(64)),
    target!(gate, Most::decoding(512)),
    target!(grpc_frame, Most::plain(8, 8)),
    target!(json, Most::plain(40, 32)),
    target!(pattern, Most::plain(64, 64)),
    target!(series, Most::plain(64, 32)),
    target!(splice, Most::plain(64, 32)),
    target!(xfcc, Most::plain(64, 32)),
];
