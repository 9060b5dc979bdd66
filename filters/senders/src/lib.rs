//! sluice-senders
