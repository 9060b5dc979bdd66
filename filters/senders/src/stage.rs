//! The stage that identifies and admits senders. The configuration switches it on or off.

use sluice_config::{ConfigProblem, Place};

use crate::{Admitted, Ambiguity, Evidence, NotAdmitted, Senders, SendersConfig};

/// The stage that identifies and admits senders. Only the configuration can switch it off, by leaving the section out.
#[derive(Debug)]
pub struct SenderStage(Option<Senders>);

/// Proof that a request has passed the [`SenderStage`]: its sender was admitted, or the configuration has no `senders`
/// section. The next stage requires this proof, so this stage cannot be left out.
///
/// ```
/// use sluice_senders::{Admission, Ambiguity, Evidence, PeerError, NotAdmitted, SenderStage};
///
/// fn admit(stage: &SenderStage) -> Result<Admission, NotAdmitted> {
///     let mut evidence = Evidence {
///         certificate: &mut || Err(PeerError::NoCertificate),
///         header: &|_| Vec::new(),
///         metadata: None,
///         now: 0,
///     };
///     stage.admit(&mut evidence, Ambiguity::Refused)
/// }
///
/// let off = sluice_config::check("senders", |place| SenderStage::compile(None, place)).unwrap();
/// assert_eq!(admit(&off).unwrap().sender(), None);
/// ```
///
/// Without the stage, there is no proof:
///
/// ```compile_fail,E0423
/// use sluice_senders::{Admission, NotAdmitted, SenderStage};
///
/// fn admit(_: &SenderStage) -> Result<Admission, NotAdmitted> {
///     Ok(Admission(None))
/// }
/// ```
#[derive(Debug)]
pub struct Admission(Option<Admitted>);

impl SenderStage {
    /// Checks and compiles the section at `place`; without a section, the stage is switched off. Returns `None` if
    /// there is any problem, after adding all problems.
    #[must_use]
    pub fn compile(config: Option<SendersConfig>, place: &Place<'_>) -> Option<Self> {
        match config {
            Some(config) => Some(Self(Some(config.compile(place)?))),
            None => Some(Self(None)),
        }
    }

    /// Admits a sender. Without a section, everybody is admitted and `evidence` is not read.
    ///
    /// # Errors
    /// [`NotAdmitted`], with a text for the sender.
    pub fn admit(
        &self,
        evidence: &mut Evidence<'_>,
        ambiguity: Ambiguity,
    ) -> Result<Admission, NotAdmitted> {
        match &self.0 {
            Some(senders) => Ok(Admission(Some(senders.admit(evidence, ambiguity)?))),
            None => Ok(Admission(None)),
        }
    }

    /// Whether the stage is switched on.
    #[must_use]
    pub const fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// See [`Senders::warnings`].
    #[must_use]
    pub fn warnings(&self, now: u64) -> Vec<ConfigProblem> {
        self.0.as_ref().map(|senders| senders.warnings(now)).unwrap_or_default()
    }

    /// See [`Senders::reads_tokens`].
    #[must_use]
    pub fn reads_tokens(&self) -> bool {
        self.0.as_ref().is_some_and(Senders::reads_tokens)
    }

    /// See [`Senders::read_claim`].
    #[must_use]
    pub fn read_claim(&mut self, claim: &str) -> bool {
        self.0.as_mut().is_some_and(|senders| senders.read_claim(claim))
    }

    /// See [`Senders::headers_taken`].
    #[must_use]
    pub fn headers_taken(&self) -> &[String] {
        self.0.as_ref().map(Senders::headers_taken).unwrap_or_default()
    }
}

impl Admission {
    /// The admitted sender; `None` if the stage is switched off.
    #[must_use]
    pub const fn sender(&self) -> Option<&Admitted> {
        self.0.as_ref()
    }
}
