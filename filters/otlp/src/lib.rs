//! sluice-otlp
