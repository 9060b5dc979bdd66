//! What Grafana's stores have in common (grafana/dskit).

use crate::GuardedHeader;

/// The tenant header, in lower case as Envoy has it.
pub(crate) const ORG_ID: GuardedHeader =
    GuardedHeader::new("x-scope-orgid", "names the tenant to Loki, Mimir, Tempo and Pyroscope");

/// The user beside it.
pub(crate) const USER_ID: GuardedHeader =
    GuardedHeader::new("x-scope-userid", "names the user within the tenant");
