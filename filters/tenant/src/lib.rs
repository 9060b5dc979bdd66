//! sluice-tenant
