//! `sluice.wasm`: a thin adapter between the gate and Envoy. It decides nothing.
//!
//! A panic ends the worker's VM. So every host call goes through [`host`], which documents in which
//! phase a call is safe.

// With wildcard arms, a new phase or step could be forgotten in a callback.
#![warn(clippy::wildcard_enum_match_arm)]

mod counters;
mod host;
mod root;
mod shared;
mod stream;
mod waiting;

/// What the macro generates: `_initialize`, which Envoy calls before anything else.
mod entry {
    use proxy_wasm::types::LogLevel;

    use crate::root::Root;

    proxy_wasm::main! {{
        // Envoy decides what is really written, by the log level of its component `wasm`.
        proxy_wasm::set_log_level(LogLevel::Debug);
        proxy_wasm::set_root_context(|_| Box::new(Root::default()));
    }}
}
