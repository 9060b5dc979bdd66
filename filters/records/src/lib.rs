//! sluice-records
