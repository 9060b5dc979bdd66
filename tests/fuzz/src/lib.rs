//! Everything that reads a stranger's bytes, one [`Target`] each, held against a plainer reading of
//! the same bytes.
//!
//! A target is an ordinary function: `tests/corpus.rs` gives it every committed input, and the
//! programs in `libfuzzer/` give it whatever libFuzzer comes up with.

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

/// One reader and what must hold for it.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name, which is also its folder in `corpus/` and its program in `libfuzzer/`.
    pub name: &'static str,
    /// Reads the bytes, and panics if something does not hold.
    pub run: fn(&[u8]),
    /// Reads the bytes as the gate does, and nothing else.
    pub read: fn(&[u8]),
    /// The most that this may cost.
    pub most: Most,
}

impl Target {
    /// The target of a name.
    ///
    /// # Panics
    /// If there is none.
    #[must_use]
    pub fn named(name: &str) -> Self {
        *TARGETS.iter().find(|target| target.name == name).expect("there is a target of this name")
    }

    /// Runs the target on an input, and holds what reading it costs against what it may.
    ///
    /// # Panics
    /// If something does not hold.
    pub fn check(&self, data: &[u8]) {
        (self.run)(data);
        cost::is_bounded(self, data);
    }
}

/// A target whose module has its name.
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
