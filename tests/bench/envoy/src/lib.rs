//! Measures what the gate costs in Envoy, beside Envoy without it and beside other programs that hold to the same
//! rules: `make bench-envoy` writes `tests/bench/RESULTS.md` and the plots.
//!
//! The order of things: the plan ([`plan`]) lists what is measured, [`run`] starts the programs under test
//! ([`subject`]) and sends them load ([`load`]), which ends in a backend that costs nothing ([`sink`]); [`report`] and
//! [`plot`] write down what came of it.

pub mod load;
pub mod machine;
pub mod payload;
pub mod plan;
pub mod plot;
pub mod process;
pub mod report;
pub mod run;
pub mod sink;
pub mod subject;
