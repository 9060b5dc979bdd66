//! The cases: what the gate must do, one file each, and the means to run them.
//!
//! A case says what is sent and what must come of it ([`case`]). It becomes bytes ([`wire`]) and
//! runs ([`plan`]); a runner carries each through some form of the gate and reports an
//! [`outcome::Outcome`], and [`check`] holds that against the case. The runners differ in nothing
//! but the form of the gate: [`native`] calls its crates.

pub mod case;
pub mod check;
pub mod compress;
pub mod native;
pub mod outcome;
pub mod pki;
pub mod plan;
pub mod series;
pub mod telemetry;
pub mod token;
pub mod wire;
