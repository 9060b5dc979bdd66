//! `sluice.wasm`: the thin adapter between the gate and Envoy. Nothing is decided here.
//!
//! A panic takes the worker's VM with it, so every host call goes through [`host`], which knows in
//! which phase a call is safe.

// A new phase or step is thought of at every callback, and not taken for one of the rest.
#![warn(clippy::wildcard_enum_match_arm)]

mod counters;
mod host;
mod root;
mod shared;
mod stream;
mod waiting;

/// What the macro makes: `_initialize`, which Envoy calls before anything else.
mod entry {
    use proxy_wasm::types::LogLevel;

    use crate::root::Root;

    proxy_wasm::main! {{
        // What is really written is Envoy's choice: the component log level of `wasm`.
        proxy_wasm::set_log_level(LogLevel::Debug);
        proxy_wasm::set_root_context(|_| Box::new(Root::default()));
    }}
}
