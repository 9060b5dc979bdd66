//! API keys, behind a proxy that has checked who brings them.

use der::DateTime;
use subtle::ConstantTimeEq;

use super::Proxy;
use crate::{certificate::sha256, evidence::Evidence, peer::NoIdentity, sender::Sender};

/// Keys, and the proxies from which they are taken.
#[derive(Debug)]
pub(crate) struct ApiKeys {
    pub(crate) header: String,
    pub(crate) from: Vec<Proxy>,
    pub(crate) keys: Vec<ApiKey>,
}

/// One key.
#[derive(Debug)]
pub(crate) struct ApiKey {
    pub(crate) sha256: [u8; 32],
    pub(crate) sender: Sender,
    pub(crate) until: Option<DateTime>,
}

impl ApiKeys {
    pub(super) fn find(&self, evidence: &mut Evidence<'_>) -> Result<Sender, NoIdentity> {
        if (evidence.header)(&self.header).is_empty() {
            return Err(NoIdentity::NoApiKey { header: self.header.clone() });
        }
        let certificate = evidence.certificate()?;
        if !self.from.iter().any(|proxy| proxy.is(&certificate)) {
            return Err(NoIdentity::ApiKeyFromElsewhere);
        }
        let brought = evidence.only(&self.header).ok_or(NoIdentity::UnknownApiKey)?;
        let holds = |key: &&ApiKey| {
            key.until.is_none_or(|until| evidence.now < until.unix_duration().as_secs())
        };
        let found = self.known(brought).filter(holds);
        found.map(|key| key.sender.clone()).ok_or(NoIdentity::UnknownApiKey)
    }

    /// Whom the keys name that were brought, over or not, and however many.
    pub(super) fn shown(
        &self,
        evidence: &mut Evidence<'_>,
        names: &mut Vec<Sender>,
    ) -> Result<(), NoIdentity> {
        let mut brought = evidence.texts(&self.header).peekable();
        if brought.peek().is_some()
            && let Some(certificate) = evidence.presented()?
            // A key from elsewhere is worth nothing: nobody learns by it whose it is.
            && self.from.iter().any(|proxy| proxy.is(&certificate))
        {
            names.extend(brought.filter_map(|key| Some(self.known(key)?.sender.clone())));
        }
        Ok(())
    }

    /// The key that `brought` is. Every key is looked at, and each to its end: how long it takes says nothing of which
    /// is nearly right.
    fn known(&self, brought: &str) -> Option<&ApiKey> {
        let brought = sha256(brought.as_bytes());
        let mut found = None;
        for key in &self.keys {
            if bool::from(key.sha256.ct_eq(&brought)) {
                found = Some(key);
            }
        }
        found
    }
}
