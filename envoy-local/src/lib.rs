//! The gate on this machine: Envoy with the module, stand-in backends and certificates, all on loopback.
//!
//! [`Stack::start`] works in this order: it checks that the ports are free (`ports`), starts the backends, makes the
//! certificates ([`pki`](Pki)), writes Envoy's configuration (`config`, from `envoy.yaml`), starts Envoy (`envoy`), and
//! asks its admin interface (`admin`) until Envoy is ready, and then for the ports that it listens on.

mod admin;
mod config;
mod envoy;
mod pki;
mod ports;
mod stack;

pub use admin::AdminError;
pub use config::{Cluster, ConfigError, Listener};
pub use envoy::EnvoyError;
pub use pki::{Pki, PkiError, SenderFiles, SenderName};
pub use ports::PortsTaken;
pub use stack::{Options, Stack, StartError, workspace_root};
