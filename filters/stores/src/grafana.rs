//! What Grafana's stores have in common (grafana/dskit).

use sluice_headers::names::SCOPE_ORG_ID;

use crate::GuardedHeader;

/// The tenant header.
pub(crate) const ORG_ID: GuardedHeader =
    GuardedHeader::new(SCOPE_ORG_ID, "names the tenant to Loki, Mimir, Tempo and Pyroscope");

/// The user beside it.
pub(crate) const USER_ID: GuardedHeader =
    GuardedHeader::new("x-scope-userid", "names the user within the tenant");
