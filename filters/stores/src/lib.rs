//! What the gate knows about each store: one file per store, with one value in each.
//!
//! The other crates read the fields of [`Store`]. None of them compares a store's name or asks
//! which store it is. A new store is one more file and a line in [`ALL`].

mod answers;
mod attributes;
mod backend;
mod defects;
mod formats;
mod grafana;
mod headers;
mod loki;
mod mimir;
mod otlp;
mod prometheus;
mod pyroscope;
#[cfg(test)]
mod readme;
mod signoz;
mod store;
mod tempo;
mod victorialogs;
mod victoriametrics;

pub use answers::{ANY_STORES_WORDS, Burst, Meaning, Words};
pub use attributes::{LabelDefaults, LabelLimit, Overflow, Precedence, Spelling};
pub use backend::{BackendTraits, Refuses};
pub use defects::{Defect, Element, Outcome, Refusal, Remedy, Site};
pub use formats::Formats;
pub use headers::GuardedHeader;
pub use loki::LOKI;
pub use mimir::MIMIR;
pub use otlp::OTLP;
pub use prometheus::PROMETHEUS;
pub use pyroscope::PYROSCOPE;
pub use signoz::SIGNOZ;
pub use store::{RemoteWrite, Setting, Store, TenantAddress};
pub use tempo::TEMPO;
pub use victorialogs::VICTORIALOGS;
pub use victoriametrics::VICTORIAMETRICS;

/// Every store, sorted by name.
pub const ALL: [&Store; 9] = [
    &LOKI,
    &MIMIR,
    &OTLP,
    &PROMETHEUS,
    &PYROSCOPE,
    &SIGNOZ,
    &TEMPO,
    &VICTORIALOGS,
    &VICTORIAMETRICS,
];
