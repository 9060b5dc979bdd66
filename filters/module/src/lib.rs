//! sluice-module
