//! sluice-route
