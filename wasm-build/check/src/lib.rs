//! wasm-check
