//! A list of tenants in a cell or a mirror.

use sluice_config::{Glob, GlobError, Place};
use sluice_tenant::{TenantId, TenantIds};

/// Some of the platform's tenants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tenants(Vec<Glob>);

impl Tenants {
    /// Reads the list of ids and prefixes of ids (`team-*`) at `place`.
    pub(crate) fn compile(list: Vec<String>, ids: TenantIds, place: &Place<'_>) -> Self {
        if list.is_empty() {
            place.add("empty list: add at least one tenant, or remove the entry");
        }
        let each = list.into_iter().enumerate();
        Self(each.filter_map(|(index, text)| place.index(index).take(glob(&text, ids))).collect())
    }

    pub(crate) fn have(&self, tenant: &TenantId) -> bool {
        self.0.iter().any(|glob| glob.matches(tenant.as_str()))
    }
}

fn glob(text: &str, ids: TenantIds) -> Result<Glob, String> {
    match Glob::parse(text) {
        // The id in its canonical form, as the tenant's.
        Ok(Glob::Exact(id)) => match TenantId::new(id, ids) {
            Ok(id) => Ok(Glob::Exact(id.as_str().into())),
            Err(error) => Err(error.to_string()),
        },
        Ok(prefix @ Glob::Prefix(_)) => Ok(prefix),
        Err(GlobError::MatchesAll) => {
            Err("\"*\" matches every tenant: use the backend's own cluster".to_owned())
        }
        Err(GlobError::InnerStar) => Err(format!(
            "{text:?} has a '*' that is not at its end: only prefixes such as team-* are supported"
        )),
    }
}
