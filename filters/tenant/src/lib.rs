//! For which tenant a request counts: the [`TenantStage`] makes [`Tenanted`] of an
//! [`Admission`](sluice_senders::Admission), and every header by which the sender could have chosen for itself comes
//! off.

pub mod headers;
mod id;
mod stage;
mod tenancy;

pub use id::{TenantId, TenantIdError, TenantIds};
pub use stage::{TenantStage, Tenanted};
pub use tenancy::{NoTenant, TenantConfig};
