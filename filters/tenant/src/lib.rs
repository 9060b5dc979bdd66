//! Assigns the tenant of a request: the [`TenantStage`] turns an [`Admission`](sluice_senders::Admission) into
//! [`Tenanted`], and removes every header with which the sender could have chosen a tenant itself.

pub mod headers;
mod id;
mod stage;
mod tenancy;

pub use id::{TenantId, TenantIdError, TenantIds};
pub use stage::{TenantStage, Tenanted};
pub use tenancy::{NoTenant, TenantConfig};
