//! Where a request goes: the backend of its signal, its tenant's place there, and what the backend
//! wants of a request.

mod backend;
mod config;
mod formats;
mod kind;
mod path;
mod routes;
mod share;
mod tenants;
mod traits;
mod unstorable;

pub use backend::{
    BACKEND_HEADER, Backend, Endpoint, MIRROR_HEADER, Transport, foreign_header_edits,
};
pub use config::{BackendsConfig, Context};
pub use formats::Formats;
pub use kind::Kind;
pub use routes::Routes;
