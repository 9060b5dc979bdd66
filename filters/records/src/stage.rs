//! The stage that checks records. The configuration switches it on or off.

use sluice_config::Place;
use sluice_otlp::{Request, Signal};
use sluice_remote_write::WriteRequest;
use sluice_stores::BackendTraits;
use sluice_tenant::Tenanted;
use sluice_wire::{Edits, Unreadable};

use crate::{Findings, RecordsConfig, RuleSet, Unfit, Verdict, Violations};

/// The stage that checks records. Only the configuration can switch it off, by leaving the section out.
#[derive(Debug)]
pub struct RecordStage(Option<RuleSet>);

/// Proof that a message has passed the [`RecordStage`] for its sender: at least one record is kept, or there was none,
/// or the configuration has no rules. Only this proof can be forwarded, so the stage cannot be left out.
///
/// ```
/// use sluice_otlp::Request;
/// use sluice_records::{Checked, RecordStage, Rejected};
/// use sluice_tenant::Tenanted;
///
/// fn check(
///     stage: &RecordStage,
///     tenanted: &Tenanted,
///     request: &Request<'_>,
/// ) -> Result<Checked, Rejected> {
///     stage.check(tenanted, request)
/// }
/// ```
///
/// Without the stages before it, nothing can be checked:
///
/// ```compile_fail,E0308
/// use sluice_otlp::Request;
/// use sluice_records::{Checked, RecordStage, Rejected};
///
/// fn check(stage: &RecordStage, request: &Request<'_>) -> Result<Checked, Rejected> {
///     stage.check(None, request)
/// }
/// ```
///
/// Without this stage, there is no proof:
///
/// ```
/// use sluice_wire::Edits;
///
/// let edits = Edits::default();
/// ```
///
/// ```compile_fail,E0451
/// use sluice_records::Checked;
/// use sluice_wire::Edits;
///
/// let edits = Edits::default();
/// let checked = Checked { violations: None, is_empty: false, edits };
/// ```
#[derive(Debug)]
pub struct Checked {
    violations: Option<Violations>,
    is_empty: bool,
    edits: Edits,
}

/// Why a request is not forwarded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rejected {
    /// No record is kept.
    AllDropped(Box<Violations>),
    /// The request breaks a rule for which whole requests are refused.
    Refused(Box<Violations>),
    /// The request cannot be read, or exceeds a limit.
    Unreadable(Unreadable),
}

impl From<Unfit> for Rejected {
    fn from(unfit: Unfit) -> Self {
        match unfit {
            Unfit::Refused(violations) => Self::Refused(violations),
            Unfit::Unreadable(unreadable) => Self::Unreadable(unreadable),
        }
    }
}

impl RecordStage {
    /// Checks and compiles the section at `place`; without a section, the stage is switched off. Otherwise as
    /// [`RecordsConfig::compile`]. Returns `None` if there is any problem, after adding all problems.
    #[must_use]
    pub fn compile(
        config: Option<RecordsConfig>,
        place: &Place<'_>,
        has_senders: bool,
        backend: impl Fn(Signal) -> Option<BackendTraits>,
    ) -> Option<Self> {
        match config {
            Some(config) => Some(Self(Some(config.compile(place, has_senders, backend)?))),
            None => Some(Self(None)),
        }
    }

    /// See [`RuleSet::stamps`].
    #[must_use]
    pub fn stamps(&self, signal: Signal) -> bool {
        self.0.as_ref().is_some_and(|rules| rules.stamps(signal))
    }

    /// Checks an export request. Without a section, every record is kept and `request` is not read.
    ///
    /// # Errors
    /// [`Rejected`] if something that the rules have to read cannot be read or breaks a rule for which requests are
    /// refused, or if every record is dropped.
    pub fn check(&self, tenanted: &Tenanted, request: &Request<'_>) -> Result<Checked, Rejected> {
        match &self.0 {
            Some(rules) => Checked::of(rules.check(request, tenanted.sender())?),
            None => Ok(Checked::unread()),
        }
    }

    /// Checks a write request. Without a section, every series is kept and `request` is not read.
    ///
    /// # Errors
    /// As [`check`](Self::check).
    pub fn check_series(
        &self,
        tenanted: &Tenanted,
        request: &WriteRequest<'_>,
    ) -> Result<Checked, Rejected> {
        match &self.0 {
            Some(rules) => Checked::of(rules.check_series(request, tenanted.sender())?),
            None => Ok(Checked::unread()),
        }
    }
}

impl Checked {
    fn of(findings: Findings) -> Result<Self, Rejected> {
        let (verdict, edits) = findings.into_parts();
        let (violations, is_empty) = match verdict {
            Verdict::AllDropped(violations) => {
                return Err(Rejected::AllDropped(Box::new(violations)));
            }
            Verdict::Kept(violations) => (violations, false),
            Verdict::Nothing(violations) => (violations, true),
        };
        Ok(Self { violations, is_empty, edits })
    }

    fn unread() -> Self {
        Self { violations: None, is_empty: false, edits: Edits::default() }
    }

    /// What in the message broke the rules.
    #[must_use]
    pub const fn violations(&self) -> Option<&Violations> {
        self.violations.as_ref()
    }

    /// Whether the message had no records.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.is_empty
    }

    /// What in the message broke the rules, and the edits for what is kept.
    #[must_use]
    pub fn into_parts(self) -> (Option<Violations>, Edits) {
        (self.violations, self.edits)
    }
}
