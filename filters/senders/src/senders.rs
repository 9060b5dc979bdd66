//! The compiled `senders` section.

use der::DateTime;
use sluice_config::ConfigProblem;

use crate::{
    allowlist::{Admitted, Allowlist, Ambiguity, Choice, Expiry, NotAdmitted, Terms},
    certificate::Certificate,
    evidence::Evidence,
    identify::IdentitySource,
    identity::{IdentifiedBy, Identity},
    peer::PeerError,
};

/// The compiled `senders` section: who sends, and whether they may.
#[derive(Debug)]
pub struct Senders {
    pub(crate) source: IdentitySource,
    pub(crate) allowlist: Allowlist,
    /// In lower case.
    pub(crate) choose_by: Option<String>,
    pub(crate) reads_tokens: bool,
    pub(crate) headers_taken: Vec<String>,
    /// In seconds.
    pub(crate) warn_before_end: Option<u64>,
    /// The place of each `until` in the configuration, and its time.
    pub(crate) ends: Vec<(String, DateTime)>,
    /// The places of issuer names that seem to be in reverse order.
    pub(crate) turned_round: Vec<String>,
}

impl Senders {
    /// What is probably a mistake in the configuration: entries that expired before `now`, in seconds since the epoch;
    /// issuer names that start with their country.
    #[must_use]
    pub fn warnings(&self, now: u64) -> Vec<ConfigProblem> {
        let passed = self.ends.iter().filter(|(_, end)| end.unix_duration().as_secs() <= now);
        let message = "this date has passed; the entry no longer allows anyone";
        let passed = passed.map(|(path, _)| ConfigProblem::new(path.as_str(), message));
        let message = "the name begins with a country, but RFC 4514 writes the country last, as in \
                       CN=Payments CA,O=Example,C=DE: write it as `openssl x509 -noout -issuer \
                       -nameopt RFC2253` prints it";
        let turned =
            self.turned_round.iter().map(|path| ConfigProblem::new(path.as_str(), message));
        passed.chain(turned).collect()
    }

    /// Whether [`Evidence::metadata`] is needed.
    #[must_use]
    pub const fn reads_tokens(&self) -> bool {
        self.reads_tokens
    }

    /// Makes [`admit`](Self::admit) read this claim of the token that identifies a sender, for
    /// [`Admitted::claimed`]. Returns whether a token can identify a sender.
    #[must_use]
    pub fn read_claim(&mut self, claim: &str) -> bool {
        self.source.read_claim(claim)
    }

    /// The headers that are meant only for the gate and are removed: API keys, tokens, and headers that name a
    /// namespace.
    #[must_use]
    pub fn headers_taken(&self) -> &[String] {
        &self.headers_taken
    }

    /// Admits a sender.
    ///
    /// # Errors
    /// [`NotAdmitted`], with a text for the sender.
    pub fn admit(
        &self,
        evidence: &mut Evidence<'_>,
        ambiguity: Ambiguity,
    ) -> Result<Admitted, NotAdmitted> {
        let not_denied = self.allowlist.deny(&self.source, evidence)?;
        let identities = self.source.find(evidence)?;
        let terms = Terms { now: evidence.now, ambiguity, choice: self.choice(evidence)? };
        self.allowlist.admit(&not_denied, &identities, &terms, |by| self.expiry(by, evidence))
    }

    /// When the certificate expires, if it is among what identified the sender.
    fn expiry(
        &self,
        by: IdentifiedBy,
        evidence: &mut Evidence<'_>,
    ) -> Result<Option<Expiry>, PeerError> {
        if !by.includes(IdentifiedBy::CLIENT_CERTIFICATE) {
            return Ok(None);
        }
        let certificate = evidence.certificate()?;
        let at = certificate.not_after();
        let lifetime = at.saturating_sub(certificate.not_before());
        // A sixth: four hours of a day, five days of a month. Whoever renews after two thirds of the lifetime has done
        // so long before.
        let warns = self.warn_before_end.unwrap_or(lifetime / 6);
        let renewal_overdue = at.saturating_sub(evidence.now) < warns;
        Ok(Some(Expiry { at, renewal_overdue }))
    }

    /// What the sender has chosen, if `chooseBy` is configured.
    fn choice(&self, evidence: &Evidence<'_>) -> Result<Option<Choice<'_>>, NotAdmitted> {
        let Some(header) = &self.choose_by else { return Ok(None) };
        let namespace = match (evidence.header)(header)[..] {
            [] => None,
            [value] => Some(String::from_utf8_lossy(value).into_owned()),
            // The gate must not guess which of several counts.
            ref values => {
                let shown = values.iter().map(|value| value.escape_ascii());
                return Err(NotAdmitted::NotAllowed { namespaces: shown.collect() });
            }
        };
        Ok(Some(Choice { header, namespace }))
    }

    /// The identities in a certificate's SANs: one for each pattern that a SAN matches, allowed or not.
    #[must_use]
    pub fn identities(&self, certificate: &Certificate) -> Vec<Identity> {
        let mut identities = Vec::new();
        self.source.identities_of(certificate, &mut identities);
        identities
    }
}
