//! A cache of certificates.

use std::{collections::BTreeMap, rc::Rc};

use sluice_senders::{Certificate, PeerError, PeerEvidence};

/// Caches what was read from the certificates of returning senders, for one configuration.
#[derive(Debug, Default)]
pub struct Certificates {
    read: BTreeMap<Vec<u8>, Result<Rc<Certificate>, PeerError>>,
    /// The senders whose certificates have been warned about, and when these expire.
    warned: Vec<(String, u64)>,
}

impl Certificates {
    /// About two kilobytes each. With more senders than this, some certificates are read again.
    const CAPACITY: usize = 4096;

    /// The certificate of a connection.
    ///
    /// # Errors
    /// [`PeerError`] if there is none that can be trusted and read.
    pub fn read(&mut self, evidence: &PeerEvidence<'_>) -> Result<Rc<Certificate>, PeerError> {
        let presented = evidence.presented()?;
        let key = presented.cache_key();
        if let Some(known) = self.read.get(key.as_ref()) {
            return known.clone();
        }
        let read = presented.parse().map(Rc::new);
        if self.read.len() >= Self::CAPACITY {
            self.read.clear();
        }
        self.read.insert(key.into_owned(), read.clone());
        read
    }

    /// True the first time this sender's certificate is seen with this expiry.
    pub(crate) fn first_warning(&mut self, sender: &str, end: u64) -> bool {
        if self.warned.iter().any(|(known, at)| known == sender && *at == end) {
            return false;
        }
        if self.warned.len() >= Self::CAPACITY {
            self.warned.clear();
        }
        self.warned.push((sender.to_owned(), end));
        true
    }
}
