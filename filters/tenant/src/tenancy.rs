//! Which tenant an admitted sender writes to.

use std::collections::BTreeMap;

use serde::Deserialize;
use sluice_config::{Place, header_name};
use sluice_headers::names::SCOPE_ORG_ID;
use sluice_senders::{Admitted, Claimed};
use thiserror::Error;

use crate::{TenantId, TenantIdError, TenantIds};

/// The `tenant` section as it is written: one of `fixed`, `fromNamespace`, `fromClaim` and `map`.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct TenantConfig {
    /// The header that carries the tenant. The default is `X-Scope-OrgID`.
    header: Option<String>,
    /// The rules for tenant ids.
    #[serde(default)]
    ids: TenantIds,
    /// One tenant for every sender.
    fixed: Option<String>,
    /// The tenant is the sender's namespace.
    from_namespace: Option<FromNamespace>,
    /// The tenant is this claim of the sender's token.
    from_claim: Option<String>,
    /// Maps a namespace to a tenant.
    map: Option<BTreeMap<String, String>>,
    /// The tenant for namespaces that are missing from `map`. If left out, they are refused.
    default: Option<String>,
}

/// The prefix and suffix that `fromNamespace` adds to the namespace.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
struct FromNamespace {
    /// What comes before the namespace.
    #[serde(default)]
    prefix: String,
    /// What comes after it.
    #[serde(default)]
    suffix: String,
}

/// How tenants are assigned; compiled from a [`TenantConfig`].
#[derive(Debug)]
pub(crate) struct Tenancy {
    /// In lower case.
    pub(crate) header: String,
    ids: TenantIds,
    assignment: Assignment,
}

#[derive(Clone, Debug)]
enum Assignment {
    Fixed(TenantId),
    FromClaim(String),
    FromNamespace(FromNamespace),
    Map { tenants: BTreeMap<String, TenantId>, default: Option<TenantId> },
}

/// Why an admitted sender has no tenant.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NoTenant {
    /// A backend would read the tenant as a different one.
    #[error(
        "tenant {tenant:?} cannot be sent to {backend}, which would read it as a different tenant"
    )]
    Foreign {
        /// The tenant.
        tenant: String,
        /// The backend, as messages name it.
        backend: &'static str,
    },
    /// Several tokens that identified the sender have the claim, with different values.
    #[error(
        "the tokens disagree on the claim {0:?}, from which this gateway takes the tenant. Send one token"
    )]
    ClaimedTwice(String),
    /// The claim is not a single string.
    #[error(
        "the claim {claim:?} of the token, from which this gateway takes the tenant, is {found}; \
         it must be a string"
    )]
    NoText {
        /// The claim's name.
        claim: String,
        /// What it is instead, such as `a number`.
        found: &'static str,
    },
    /// No token that identified the sender has the claim.
    #[error("the token has no claim {0:?}, from which this gateway takes the tenant")]
    Unclaimed(String),
    /// The map has no entry for the namespace.
    #[error("namespace {0:?} has no tenant on this gateway. Ask its operators to map it to one")]
    Unmapped(String),
    /// The claim is not a valid tenant id.
    #[error("the claim {claim:?} of the token is not a valid tenant id: {error}")]
    UnusableClaim {
        /// The claim's name.
        claim: String,
        /// What is wrong with its value.
        error: TenantIdError,
    },
    /// The namespace, or the id made from it, is not a valid tenant id.
    #[error("namespace {namespace:?} does not yield a valid tenant id: {error}")]
    Unusable {
        /// The sender's namespace.
        namespace: String,
        /// What is wrong with it.
        error: TenantIdError,
    },
    /// The tenant is derived from the sender, but no sender was identified.
    #[error(
        "this gateway derives the tenant from the sender's namespace, but no sender was identified"
    )]
    Unidentified,
}

impl TenantConfig {
    /// The rules for tenant ids.
    #[must_use]
    pub const fn ids(&self) -> TenantIds {
        self.ids
    }

    /// Checks and compiles the section at `place`. Returns `None` if there is any problem, after adding all problems.
    #[must_use]
    pub(crate) fn compile(self, place: &Place<'_>) -> Option<Tenancy> {
        let header = self.header.as_deref().unwrap_or(SCOPE_ORG_ID);
        let header = place.at("header").take(header_name(header));
        let ids = self.ids;
        let has_map = self.map.is_some();
        let id = |place: &Place<'_>, id: String| place.take(TenantId::new(id, ids));
        let default = self.default.map(|default| id(&place.at("default"), default));
        let has_default = default.is_some();
        let assignment = match (self.fixed, self.from_namespace, self.from_claim, self.map) {
            (Some(fixed), None, None, None) => id(&place.at("fixed"), fixed).map(Assignment::Fixed),
            (None, Some(around), None, None) => around.compile(ids, &place.at("fromNamespace")),
            (None, None, Some(claim), None) => from_claim(claim, &place.at("fromClaim")),
            (None, None, None, Some(map)) => {
                from_map(map, default.flatten(), ids, &place.at("map"))
            }
            _ => {
                place.add("set exactly one of fixed, fromNamespace, fromClaim and map");
                None
            }
        };
        if has_default && !has_map {
            let message = "default only applies together with map: add map, or remove default";
            place.at("default").add(message);
        }
        if place.has_problems() {
            return None;
        }
        Some(Tenancy { header: header?, ids, assignment: assignment? })
    }
}

fn from_claim(claim: String, place: &Place<'_>) -> Option<Assignment> {
    if claim.is_empty() {
        place.add("must not be empty: name the claim that holds the tenant");
        return None;
    }
    Some(Assignment::FromClaim(claim))
}

fn from_map(
    map: BTreeMap<String, String>,
    default: Option<TenantId>,
    ids: TenantIds,
    place: &Place<'_>,
) -> Option<Assignment> {
    if map.is_empty() {
        place.add("empty map: add at least one namespace, or use fromNamespace or fixed");
        return None;
    }
    let mut tenants = BTreeMap::new();
    tenants.extend(map.into_iter().filter_map(|(namespace, tenant)| {
        let tenant = place.at(&namespace).take(TenantId::new(tenant, ids))?;
        Some((namespace, tenant))
    }));
    Some(Assignment::Map { tenants, default })
}

impl FromNamespace {
    fn compile(self, ids: TenantIds, place: &Place<'_>) -> Option<Assignment> {
        // A sample that is valid whatever the namespaces are: a letter for most stores, a digit for accounts.
        let sample = if ids == TenantIds::Account { "1" } else { "a" };
        place.take(TenantId::new(self.tenant(sample), ids))?;
        Some(Assignment::FromNamespace(self))
    }

    fn tenant(&self, namespace: &str) -> String {
        [&self.prefix, namespace, &self.suffix].concat()
    }
}

impl Tenancy {
    /// Whether every sender has the same tenant. Then it does not matter for the tenant which of a
    /// certificate's namespaces is meant.
    pub(crate) const fn is_fixed(&self) -> bool {
        matches!(self.assignment, Assignment::Fixed(_))
    }

    /// The claim of the sender's token that [`tenant_of`](Self::tenant_of) needs, if it needs one.
    pub(crate) fn claim(&self) -> Option<&str> {
        match &self.assignment {
            Assignment::FromClaim(claim) => Some(claim),
            _ => None,
        }
    }

    /// The tenant of a sender; `None` stands for an unknown sender.
    ///
    /// # Errors
    /// [`NoTenant`] if the sender's namespace, or its claim, does not give a tenant.
    pub(crate) fn tenant_of(&self, sender: Option<&Admitted>) -> Result<TenantId, NoTenant> {
        let namespace = || sender.map(Admitted::namespace).ok_or(NoTenant::Unidentified);
        Ok(match &self.assignment {
            Assignment::Fixed(tenant) => tenant.clone(),
            Assignment::FromClaim(claim) => {
                let sender = sender.ok_or(NoTenant::Unidentified)?;
                self.claimed(claim, sender.claimed())?
            }
            Assignment::FromNamespace(around) => {
                let namespace = namespace()?;
                TenantId::new(around.tenant(namespace), self.ids).map_err(|error| {
                    NoTenant::Unusable { namespace: namespace.to_owned(), error }
                })?
            }
            Assignment::Map { tenants, default } => {
                let namespace = namespace()?;
                tenants
                    .get(namespace)
                    .or(default.as_ref())
                    .cloned()
                    .ok_or_else(|| NoTenant::Unmapped(namespace.to_owned()))?
            }
        })
    }

    /// The tenant that a claim of the sender's token names.
    fn claimed(&self, claim: &str, said: &Claimed) -> Result<TenantId, NoTenant> {
        let claim = claim.to_owned();
        match said {
            Claimed::Nothing => Err(NoTenant::Unclaimed(claim)),
            Claimed::Contradiction => Err(NoTenant::ClaimedTwice(claim)),
            Claimed::Other(found) => Err(NoTenant::NoText { claim, found }),
            Claimed::Text(text) => TenantId::new(text.as_str(), self.ids)
                .map_err(|error| NoTenant::UnusableClaim { claim, error }),
        }
    }
}

#[cfg(test)]
mod tests {
    use sluice_config::check;

    use super::*;

    fn config(json: &str) -> TenantConfig {
        serde_json::from_str(json).unwrap()
    }

    fn tenancy(json: &str) -> Tenancy {
        check("tenant", |place| config(json).compile(place)).unwrap()
    }

    fn problems(json: &str) -> Vec<String> {
        let problems = check("tenant", |place| config(json).compile(place)).unwrap_err();
        problems.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_tenant_that_no_backend_takes_is_refused_with_its_place() {
        let found = problems(
            r#"{"header": "not a header", "default": "c|d",
                "map": {"payments": "a|b", "search": "ok", "team-blue": ""}}"#,
        );
        assert_eq!(found.len(), 4);
        assert!(found[0].starts_with("tenant.header: "), "{found:?}");
        assert!(found[1].starts_with("tenant.default: '|'"), "{found:?}");
        assert!(found[2].starts_with("tenant.map.payments: '|'"), "{found:?}");
        assert!(found[3].starts_with("tenant.map.team-blue: "), "{found:?}");
    }

    #[test]
    fn none_or_two_ways_to_a_tenant_are_refused() {
        let one = "tenant: set exactly one of fixed, fromNamespace, fromClaim and map";
        assert_eq!(problems("{}"), [one]);
        assert_eq!(problems(r#"{"fixed": "a", "fromNamespace": {}}"#), [one]);
        assert_eq!(problems(r#"{"fromClaim": "a", "map": {"a": "b"}}"#), [one]);
        assert_eq!(problems(r#"{"map": {}}"#).len(), 1);
        assert_eq!(
            problems(r#"{"fromClaim": ""}"#),
            ["tenant.fromClaim: must not be empty: name the claim that holds the tenant"]
        );
    }

    #[test]
    fn a_default_is_for_a_map_alone() {
        let found = problems(r#"{"fromNamespace": {}, "default": "shared"}"#);
        assert!(found[0].starts_with("tenant.default: default only applies"), "{found:?}");
    }

    #[test]
    fn what_is_put_around_a_namespace_must_leave_a_tenant() {
        for (json, path) in [
            (r#"{"fromNamespace": {"prefix": "a/"}}"#, "tenant.fromNamespace: '/'"),
            (r#"{"fromNamespace": {"suffix": "|b"}}"#, "tenant.fromNamespace: '|'"),
            (
                r#"{"ids": "account", "fromNamespace": {"prefix": "p-"}}"#,
                "tenant.fromNamespace: \"p-1",
            ),
        ] {
            let found = problems(json);
            assert!(found[0].starts_with(path), "{found:?}");
        }
        assert!(
            serde_json::from_str::<TenantConfig>(r#"{"fromNamespace": {"infix": "x"}}"#).is_err()
        );
    }

    #[test]
    fn without_a_sender_only_a_fixed_tenant_is_assigned() {
        let from_namespace = tenancy(r#"{"fromNamespace": {}}"#);
        assert_eq!(from_namespace.tenant_of(None).unwrap_err(), NoTenant::Unidentified);
        let mapped = tenancy(r#"{"map": {"a": "b"}, "default": "shared"}"#);
        assert_eq!(mapped.tenant_of(None).unwrap_err(), NoTenant::Unidentified);
        let fixed = tenancy(r#"{"fixed": "e2e"}"#);
        assert!(fixed.is_fixed());
        assert_eq!(fixed.tenant_of(None).unwrap().as_str(), "e2e");
    }

    #[test]
    fn a_claim_is_checked_when_it_comes() {
        let tenancy = tenancy(r#"{"fromClaim": "tenant_id", "ids": "account"}"#);
        assert_eq!(tenancy.claim(), Some("tenant_id"));
        let claimed = |said| tenancy.claimed("tenant_id", &said);
        let text = |text: &str| Claimed::Text(text.to_owned());
        assert_eq!(claimed(text("12:3")).unwrap().account(), ("12", "3"));
        for (said, says) in [
            (text("12|13"), "the claim \"tenant_id\" of the token is not a valid tenant id: "),
            (Claimed::Nothing, "the token has no claim \"tenant_id\""),
            (Claimed::Other("a number"), "is a number; it must be a string"),
            (Claimed::Contradiction, "the tokens disagree on the claim"),
        ] {
            let refused = claimed(said).unwrap_err().to_string();
            assert!(refused.contains(says), "{refused}");
        }
        assert_eq!(tenancy.tenant_of(None).unwrap_err(), NoTenant::Unidentified);
    }
}
