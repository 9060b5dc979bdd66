//! sluice-reply
