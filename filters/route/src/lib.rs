//! Where a request goes: the backend of its signal, the tenant's place there, and what the backend
//! needs in a request.

mod backend;
mod config;
mod path;
mod routes;
mod settings;
mod share;
mod tenants;

pub use backend::{BACKEND_HEADER, Backend, Endpoint, MIRROR_HEADER, Transport, strip_own_headers};
pub use config::{BackendsConfig, Context};
pub use routes::Routes;
