//! sluice-gate
