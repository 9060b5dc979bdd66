//! A list of tenants, as a cell or a mirror has one.

use sluice_senders::ConfigProblem;
use sluice_tenant::{TenantId, TenantIds};

/// Some of the platform's tenants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tenants(Vec<Glob>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Glob {
    Exact(TenantId),
    Prefix(String),
}

impl Tenants {
    /// Reads a list of ids, and of what ids begin with (`team-*`). `path` is where it stands.
    pub(crate) fn compile(
        list: Vec<String>,
        ids: TenantIds,
        path: &str,
        problems: &mut Vec<ConfigProblem>,
    ) -> Self {
        let path = format!("{path}.tenants");
        if list.is_empty() {
            let message = "an empty list is nobody: name a tenant, or leave the entry out";
            problems.push(ConfigProblem::new(path.as_str(), message));
        }
        let mut globs = Vec::new();
        for (index, text) in list.into_iter().enumerate() {
            match Glob::parse(&text, ids) {
                Ok(glob) => globs.push(glob),
                Err(message) => {
                    problems.push(ConfigProblem::new(format!("{path}[{index}]"), message));
                }
            }
        }
        Self(globs)
    }

    pub(crate) fn have(&self, tenant: &TenantId) -> bool {
        self.0.iter().any(|glob| match glob {
            Glob::Exact(id) => id == tenant,
            Glob::Prefix(prefix) => tenant.as_str().starts_with(prefix),
        })
    }
}

impl Glob {
    fn parse(text: &str, ids: TenantIds) -> Result<Self, String> {
        match text.split_once('*') {
            None => TenantId::new(text, ids).map(Self::Exact).map_err(|error| error.to_string()),
            Some(("", "")) => Err("\"*\" is everybody: use the backend's own cluster".to_owned()),
            Some((prefix, "")) => Ok(Self::Prefix(prefix.to_owned())),
            Some(_) => Err(format!("{text:?} has a '*' that is not its last character")),
        }
    }
}
