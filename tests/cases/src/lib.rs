//! The cases, which say what the gate must do, one file for each, and the code to run them.
//!
//! A case says what is sent and what must result ([`case`]). It is converted to bytes ([`wire`]) and to runs
//! ([`plan`]). A runner sends each run through one form of the gate and reports an [`outcome::Outcome`], and [`check`]
//! compares it with the case. The runners only differ in the form of the gate: [`native`] calls its crates.

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
