//! The stage that assigns the tenant. The configuration switches it on or off.

use sluice_config::Place;
use sluice_headers::HeaderEdit;
use sluice_senders::{Admission, Admitted};

use crate::{
    NoTenant, TenantConfig, TenantId,
    headers::{are_one, is_guarded},
    tenancy::Tenancy,
};

/// The stage that assigns the tenant. Only the configuration can switch it off, by leaving the section out.
#[derive(Debug)]
pub struct TenantStage(Option<Tenancy>);

/// Proof that a request has passed [`SenderStage`](sluice_senders::SenderStage) and [`TenantStage`]: it has a tenant,
/// or the configuration assigns none. Routing and record checks require this proof, so neither stage can be left out.
///
/// ```
/// use sluice_senders::Admission;
/// use sluice_tenant::{NoTenant, TenantStage, Tenanted};
///
/// fn assign(stage: &TenantStage, admission: Admission) -> Result<Tenanted, NoTenant> {
///     stage.assign(admission)
/// }
/// ```
///
/// Without the stage before it, there is no tenant:
///
/// ```compile_fail,E0308
/// use sluice_tenant::{NoTenant, TenantStage, Tenanted};
///
/// fn assign(stage: &TenantStage) -> Result<Tenanted, NoTenant> {
///     stage.assign(None)
/// }
/// ```
///
/// A tenant id is not enough to make one:
///
/// ```
/// use sluice_tenant::{TenantId, TenantIds};
///
/// let tenant = TenantId::new("payments", TenantIds::OrgId).unwrap();
/// ```
///
/// ```compile_fail,E0451
/// use sluice_senders::Admission;
/// use sluice_tenant::{TenantId, TenantIds, Tenanted};
///
/// fn assign(admission: Admission) -> Tenanted {
///     let tenant = TenantId::new("payments", TenantIds::OrgId).unwrap();
///     Tenanted { admission, assigned: Some((tenant, "x-scope-orgid".to_owned())) }
/// }
/// ```
#[derive(Debug)]
pub struct Tenanted {
    admission: Admission,
    /// The tenant, and the header that names it, in lower case.
    assigned: Option<(TenantId, String)>,
}

impl TenantStage {
    /// Checks and compiles the section at `place`; without a section, the stage is switched off. Returns `None` if
    /// there is any problem, after adding all problems.
    #[must_use]
    pub fn compile(config: Option<TenantConfig>, place: &Place<'_>) -> Option<Self> {
        match config {
            Some(config) => Some(Self(Some(config.compile(place)?))),
            None => Some(Self(None)),
        }
    }

    /// Assigns the tenant of a sender. Without a section, there is none.
    ///
    /// # Errors
    /// [`NoTenant`] if the sender's namespace, or its claim, does not give a tenant.
    pub fn assign(&self, admission: Admission) -> Result<Tenanted, NoTenant> {
        let assigned = match &self.0 {
            Some(tenancy) => Some((tenancy.tenant_of(admission.sender())?, tenancy.header.clone())),
            None => None,
        };
        Ok(Tenanted { admission, assigned })
    }

    /// Whether every sender has the same tenant. Then it does not matter for the tenant which of a
    /// certificate's namespaces is meant.
    #[must_use]
    pub fn is_fixed(&self) -> bool {
        self.0.as_ref().is_some_and(Tenancy::is_fixed)
    }

    /// Whether the tenant is derived from the sender.
    #[must_use]
    pub fn depends_on_sender(&self) -> bool {
        self.0.as_ref().is_some_and(|tenancy| !tenancy.is_fixed())
    }

    /// The claim of the sender's token that [`assign`](Self::assign) needs, if it needs one.
    #[must_use]
    pub fn claim(&self) -> Option<&str> {
        self.0.as_ref().and_then(Tenancy::claim)
    }
}

impl Tenanted {
    /// The admitted sender; `None` if the configuration has no `senders` section.
    #[must_use]
    pub const fn sender(&self) -> Option<&Admitted> {
        self.admission.sender()
    }

    /// The tenant; `None` if the configuration assigns none.
    #[must_use]
    pub fn tenant(&self) -> Option<&TenantId> {
        self.assigned.as_ref().map(|(tenant, _)| tenant)
    }

    /// The edits for headers with these `names`: guarded headers of the sender are removed, and the
    /// tenant is set. No edits if the configuration assigns no tenant.
    pub fn header_edits<'n>(&self, names: impl Iterator<Item = &'n str>) -> Vec<HeaderEdit> {
        let Some((tenant, header)) = &self.assigned else { return Vec::new() };
        let is_taken = |name: &&str| is_guarded(name) || (*name != header && are_one(name, header));
        let mut edits: Vec<_> = names.filter(is_taken).map(HeaderEdit::remove).collect();
        edits.push(HeaderEdit::set(header, tenant.as_str()));
        edits
    }
}

#[cfg(test)]
mod tests {
    use sluice_config::check;
    use sluice_senders::{Ambiguity, Evidence, PeerError, SenderStage};

    use super::*;

    /// Proof of a switched-off [`SenderStage`](sluice_senders::SenderStage).
    fn nobody() -> Admission {
        let mut evidence = Evidence {
            certificate: &mut || Err(PeerError::NoCertificate),
            header: &|_| Vec::new(),
            metadata: None,
            now: 0,
        };
        let off = check("senders", |place| SenderStage::compile(None, place)).unwrap();
        off.admit(&mut evidence, Ambiguity::Refused).unwrap()
    }

    fn stage(json: &str) -> TenantStage {
        let section = serde_json::from_str(json).unwrap();
        check("tenant", |place| TenantStage::compile(section, place)).unwrap()
    }

    #[test]
    fn a_stage_that_is_off_assigns_nothing_and_leaves_the_headers() {
        let tenanted = stage("null").assign(nobody()).unwrap();
        assert_eq!(tenanted.tenant(), None);
        assert_eq!(tenanted.header_edits(["x-scope-orgid"].into_iter()), []);
    }

    #[test]
    fn guarded_headers_go_and_one_tenant_header_stays() {
        let tenanted = stage(r#"{"fixed": "e2e", "header": "X-Tenant"}"#);
        let tenanted = tenanted.assign(nobody()).unwrap();
        let names =
            ["content-type", "x-scope-orgid", "x-tenant", "x_tenant", "x-mimir-skip", "accountid"];
        assert_eq!(
            tenanted.header_edits(names.into_iter()),
            [
                HeaderEdit::remove("x-scope-orgid"),
                HeaderEdit::remove("x_tenant"),
                HeaderEdit::remove("x-mimir-skip"),
                HeaderEdit::remove("accountid"),
                HeaderEdit::set("x-tenant", "e2e"),
            ]
        );
    }
}
