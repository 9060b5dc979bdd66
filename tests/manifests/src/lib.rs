//! This crate only has tests: see `tests/plugins.rs`, and `istiod/`, which is in Go because Istio's own code is.
