//! API keys, behind a proxy that has checked who brings them.

use der::DateTime;

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
        let brought = sha256(brought.as_bytes());
        let mut found = None;
        // Every key is looked at, and each to its end: how long it takes says nothing of which is nearly right.
        for key in &self.keys {
            let differs = key.sha256.iter().zip(&brought).fold(0, |bits, (a, b)| bits | (a ^ b));
            if std::hint::black_box(differs) == 0 {
                found = Some(key);
            }
        }
        let holds = |key: &&ApiKey| {
            key.until.is_none_or(|until| evidence.now < until.unix_duration().as_secs())
        };
        found.filter(holds).map(|key| key.sender.clone()).ok_or(NoIdentity::UnknownApiKey)
    }
}
