//! sluice-backends
