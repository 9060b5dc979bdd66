//! For which tenant a request counts: an [`Admitted`](sluice_senders::Admitted) sender becomes
//! [`Tenanted`], and every header by which the sender could have chosen for itself comes off.

pub mod headers;
mod id;
mod tenancy;

pub use id::{TenantId, TenantIdError, TenantIds};
pub use tenancy::{NoTenant, Tenancy, TenantConfig, Tenanted};
