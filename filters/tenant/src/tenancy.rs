//! Which tenant an admitted sender writes to.

use std::collections::BTreeMap;

use serde::Deserialize;
use sluice_senders::{Admitted, ConfigProblem};
use thiserror::Error;

use crate::{
    HeaderEdit, TenantId, TenantIdError,
    headers::{SCOPE_ORG_ID, is_guarded},
};

/// The section `tenant` as it is written: one of `fixed`, `fromNamespace` and `map`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct TenantConfig {
    /// The header that carries the tenant; `X-Scope-OrgID` if it is left out.
    header: Option<String>,
    /// One tenant for every sender.
    fixed: Option<String>,
    /// The sender's namespace is its tenant.
    from_namespace: Option<FromNamespace>,
    /// From namespace to tenant; a namespace that is not in it is refused.
    map: Option<BTreeMap<String, String>>,
}

/// Options of `fromNamespace`; there are none yet, so it is written `{}`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct FromNamespace {}

/// How tenants are assigned; compiled from a [`TenantConfig`].
#[derive(Clone, Debug)]
pub struct Tenancy {
    header: String,
    assignment: Assignment,
}

#[derive(Clone, Debug)]
enum Assignment {
    Fixed(TenantId),
    FromNamespace,
    Map(BTreeMap<String, TenantId>),
}

/// Proof that a request has a tenant. Only [`Tenancy::assign`] makes one.
#[derive(Clone, Debug)]
pub struct Tenanted {
    tenant: TenantId,
    header: String,
}

/// Why a sender that was let in has no tenant.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NoTenant {
    /// The map has no entry for the namespace.
    #[error("namespace {0:?} has no tenant on this platform")]
    Unmapped(String),
    /// The namespace is no tenant id.
    #[error("namespace {namespace:?} cannot be a tenant: {error}")]
    Unusable {
        /// The sender's namespace.
        namespace: String,
        /// What is wrong with it.
        error: TenantIdError,
    },
    /// The tenant follows from the sender, and nothing has identified one.
    #[error("the tenant follows from the sender's namespace, and no sender was identified")]
    Unidentified,
}

impl TenantConfig {
    /// Checks the section. `path` is where it stands, for the problems' paths.
    ///
    /// # Errors
    /// Every [`ConfigProblem`] there is.
    pub fn compile(self, path: &str) -> Result<Tenancy, Vec<ConfigProblem>> {
        let mut problems = Vec::new();
        let header = self.header.unwrap_or_else(|| SCOPE_ORG_ID.to_owned()).to_ascii_lowercase();
        if header.is_empty() || !header.bytes().all(is_token) {
            let message = format!("{header:?} is not the name of a header");
            problems.push(ConfigProblem::new(format!("{path}.header"), message));
        }
        let mut id = |at: String, id: String| match TenantId::new(id) {
            Ok(id) => Some(id),
            Err(error) => {
                problems.push(ConfigProblem::new(at, error));
                None
            }
        };
        let assignment = match (self.fixed, self.from_namespace, self.map) {
            (Some(fixed), None, None) => id(format!("{path}.fixed"), fixed).map(Assignment::Fixed),
            (None, Some(FromNamespace {}), None) => Some(Assignment::FromNamespace),
            (None, None, Some(map)) if !map.is_empty() => {
                let mut tenants = BTreeMap::new();
                tenants.extend(map.into_iter().filter_map(|(namespace, tenant)| {
                    let at = format!("{path}.map.{namespace}");
                    Some((namespace, id(at, tenant)?))
                }));
                Some(Assignment::Map(tenants))
            }
            (None, None, Some(_)) => {
                let message = "an empty map gives no sender a tenant: add a namespace, or use \
                               fromNamespace or fixed";
                problems.push(ConfigProblem::new(format!("{path}.map"), message));
                None
            }
            _ => {
                let message = "name exactly one of fixed, fromNamespace and map";
                problems.push(ConfigProblem::new(path, message));
                None
            }
        };
        match assignment {
            Some(assignment) if problems.is_empty() => Ok(Tenancy { header, assignment }),
            _ => Err(problems),
        }
    }
}

/// A byte of a field name (RFC 9110, section 5.6.2, `tchar`).
const fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}

impl Tenancy {
    /// Whether every sender writes to the same tenant, so that it does not matter for the tenant
    /// which of a certificate's namespaces is meant.
    #[must_use]
    pub const fn is_fixed(&self) -> bool {
        matches!(self.assignment, Assignment::Fixed(_))
    }

    /// Assigns the tenant. `sender` is `None` only where the configuration has no `senders`.
    ///
    /// # Errors
    /// [`NoTenant`] if the sender's namespace gives none.
    pub fn assign(&self, sender: Option<&Admitted>) -> Result<Tenanted, NoTenant> {
        let namespace = || sender.map(Admitted::namespace).ok_or(NoTenant::Unidentified);
        let tenant = match &self.assignment {
            Assignment::Fixed(tenant) => tenant.clone(),
            Assignment::FromNamespace => {
                let namespace = namespace()?;
                TenantId::new(namespace).map_err(|error| NoTenant::Unusable {
                    namespace: namespace.to_owned(),
                    error,
                })?
            }
            Assignment::Map(map) => {
                let namespace = namespace()?;
                map.get(namespace)
                    .cloned()
                    .ok_or_else(|| NoTenant::Unmapped(namespace.to_owned()))?
            }
        };
        Ok(Tenanted { tenant, header: self.header.clone() })
    }
}

impl Tenanted {
    /// The tenant.
    #[must_use]
    pub const fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    /// What has to happen to headers of these `names`: the sender's own guarded ones go, and the
    /// tenant is set.
    pub fn header_edits<'n>(&self, names: impl Iterator<Item = &'n str>) -> Vec<HeaderEdit> {
        let mut edits: Vec<_> =
            names.filter(|name| is_guarded(name)).map(HeaderEdit::remove).collect();
        edits.push(HeaderEdit::set(&self.header, self.tenant.as_str()));
        edits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(config: TenantConfig) -> Vec<String> {
        config.compile("tenant").unwrap_err().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_tenant_that_no_backend_takes_is_refused_with_its_place() {
        let map = BTreeMap::from([
            ("payments".to_owned(), "a|b".to_owned()),
            ("search".to_owned(), "ok".to_owned()),
            ("team-blue".to_owned(), String::new()),
        ]);
        let found = problems(TenantConfig {
            header: Some("not a header".into()),
            map: Some(map),
            ..TenantConfig::default()
        });
        assert_eq!(found.len(), 3);
        assert!(found[0].starts_with("tenant.header: "), "{found:?}");
        assert!(found[1].starts_with("tenant.map.payments: '|'"), "{found:?}");
        assert!(found[2].starts_with("tenant.map.team-blue: "), "{found:?}");
    }

    #[test]
    fn none_or_two_ways_to_a_tenant_are_refused() {
        assert_eq!(problems(TenantConfig::default()).len(), 1);
        assert_eq!(
            problems(TenantConfig {
                fixed: Some("a".into()),
                from_namespace: Some(FromNamespace {}),
                ..TenantConfig::default()
            }),
            ["tenant: name exactly one of fixed, fromNamespace and map"]
        );
        assert_eq!(
            problems(TenantConfig { map: Some(BTreeMap::new()), ..TenantConfig::default() }).len(),
            1
        );
    }

    #[test]
    fn without_a_sender_only_a_fixed_tenant_is_assigned() {
        let from_namespace =
            TenantConfig { from_namespace: Some(FromNamespace {}), ..TenantConfig::default() };
        let tenancy = from_namespace.compile("tenant").unwrap();
        assert_eq!(tenancy.assign(None).unwrap_err(), NoTenant::Unidentified);
        let fixed = TenantConfig { fixed: Some("e2e".into()), ..TenantConfig::default() };
        let tenancy = fixed.compile("tenant").unwrap();
        assert!(tenancy.is_fixed());
        assert_eq!(tenancy.assign(None).unwrap().tenant().as_str(), "e2e");
    }

    #[test]
    fn guarded_headers_go_and_one_tenant_header_stays() {
        let config = TenantConfig {
            fixed: Some("e2e".into()),
            header: Some("X-Tenant".into()),
            ..TenantConfig::default()
        };
        let tenanted = config.compile("tenant").unwrap().assign(None).unwrap();
        let names = ["content-type", "x-scope-orgid", "x-tenant", "x-mimir-skip"];
        assert_eq!(
            tenanted.header_edits(names.into_iter()),
            [
                HeaderEdit::remove("x-scope-orgid"),
                HeaderEdit::remove("x-mimir-skip"),
                HeaderEdit::set("x-tenant", "e2e"),
            ]
        );
    }
}
