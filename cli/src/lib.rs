//! The command `sluice`: what a policy does, without a cluster.
//!
//! The gate's own crates decide; this crate reads files, and says what they have decided.
//!
//! ```text
//! a policy    located (YAML with places) -> find (in manifests) -> policy (a gate)
//! a request   request (what is it?) -> exchange (through the gate) -> told, places
//! ```

pub mod against;
pub mod args;
pub mod check;
pub mod exchange;
pub mod explain;
pub mod find;
pub mod located;
pub mod places;
pub mod policy;
pub mod request;
pub mod risks;
pub mod run;
pub mod schema;
pub mod shape;
pub mod simulate;
pub mod text;
pub mod token;
pub mod told;
