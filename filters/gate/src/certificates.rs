//! Certificates that have been read before.

use std::{collections::BTreeMap, rc::Rc};

use sluice_senders::{Certificate, NoIdentity, PeerEvidence};

/// Keeps what was read from the certificates of the senders that come back.
#[derive(Debug, Default)]
pub struct Certificates(BTreeMap<Vec<u8>, Result<Rc<Certificate>, NoIdentity>>);

impl Certificates {
    /// Some two kilobytes each. A gateway with more senders than this reads some of them again.
    const CAPACITY: usize = 4096;

    /// The certificate of a connection.
    ///
    /// # Errors
    /// [`NoIdentity`] if there is none, or none that can be trusted or read.
    pub fn read(&mut self, evidence: &PeerEvidence<'_>) -> Result<Rc<Certificate>, NoIdentity> {
        let presented = evidence.presented()?;
        let key = presented.cache_key();
        if let Some(known) = self.0.get(key.as_ref()) {
            return known.clone();
        }
        let read = presented.parse().map(Rc::new);
        if self.0.len() >= Self::CAPACITY {
            self.0.clear();
        }
        self.0.insert(key.into_owned(), read.clone());
        read
    }
}
