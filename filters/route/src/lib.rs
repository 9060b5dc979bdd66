//! Where a request goes: the backend of its signal, and what that backend wants of a request.

mod backend;
mod routes;
mod traits;

pub use backend::{BACKEND_HEADER, Backend, Endpoint, Kind, Transport};
pub use routes::{BackendConfig, BackendsConfig, Routes};
