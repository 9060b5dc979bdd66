//! envoy-local
