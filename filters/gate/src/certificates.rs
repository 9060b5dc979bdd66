//! A cache of certificates, and of what connections have shown.

use std::{collections::BTreeMap, fmt, rc::Rc};

use sluice_senders::{Certificate, Connection, PeerError, PeerEvidence, PresentedCertificate};

/// The connection of a request, as Envoy knows it. Each method may cost calls of Envoy, so only what is needed is
/// asked.
pub trait PeerConnection: fmt::Debug {
    /// Envoy's number of the connection (`connection_id`). No other connection of this process has or has had it, so
    /// what is remembered for it is never used for another one. `None` if nothing may be remembered.
    fn id(&self) -> Option<u64>;

    /// Whether what the connection has shown may be remembered under its id: only for TCP. Envoy counts TCP
    /// connections, but the id of a QUIC connection is a hash of a number that its client can choose
    /// (`QuicFilterManagerConnectionImpl` in `source/common/quic`). The hash has a secret key (`QuicConnectionIdHasher`
    /// in quiche), so a client cannot aim at the id of a connection that is remembered.
    fn is_counted(&self) -> bool;

    /// What Envoy knows about the connection's client certificate. It does not change while the connection lasts,
    /// because there is one handshake.
    fn attributes(&self) -> Connection<'_>;
}

/// A connection of which nothing is remembered.
impl PeerConnection for Connection<'_> {
    fn id(&self) -> Option<u64> {
        None
    }

    fn is_counted(&self) -> bool {
        false
    }

    fn attributes(&self) -> Connection<'_> {
        *self
    }
}

/// Caches what was read from the certificates of returning senders, for one configuration.
#[derive(Debug, Default)]
pub struct Certificates {
    read: BTreeMap<Vec<u8>, Result<Rc<Certificate>, PeerError>>,
    /// What the connections with these ids have shown by themselves, without a header. Whether a certificate has
    /// expired, and whether its sender is admitted, is decided anew for every request. Ordered by id, which mostly is
    /// the order of their arrival. (A map of its own kind would make the module larger by kilobytes.)
    connections: Vec<(u64, Result<Rc<Certificate>, PeerError>)>,
    /// The senders whose certificates have been warned about, and when these expire.
    warned: Vec<(String, u64)>,
}

impl Certificates {
    /// About two kilobytes each. With more senders than this, some certificates are read again.
    const CAPACITY: usize = 4096;
    /// The connections that are remembered. With more than this, some are asked again.
    const CONNECTIONS: usize = 4096;

    /// The certificate of a connection. `xfcc` are the values of the request's `x-forwarded-client-cert`.
    ///
    /// # Errors
    /// [`PeerError`] if there is none that can be trusted and read.
    pub fn read(
        &mut self,
        connection: &dyn PeerConnection,
        xfcc: &[&[u8]],
    ) -> Result<Rc<Certificate>, PeerError> {
        let id = connection.id();
        if let Some(known) = id.and_then(|id| self.remembered(id)) {
            return known.clone();
        }
        let evidence = PeerEvidence { connection: connection.attributes(), xfcc };
        let shown = evidence.presented();
        let is_by_itself = is_by_itself(&shown);
        let read = shown.and_then(|presented| self.parsed(&presented));
        if let Some(id) = id.filter(|_| is_by_itself && connection.is_counted()) {
            self.remember(id, read.clone());
        }
        read
    }

    /// What the connection with this id has shown.
    fn remembered(&self, id: u64) -> Option<&Result<Rc<Certificate>, PeerError>> {
        let at = self.connections.binary_search_by_key(&id, |(id, _)| *id).ok()?;
        self.connections.get(at).map(|(_, shown)| shown)
    }

    fn remember(&mut self, id: u64, shown: Result<Rc<Certificate>, PeerError>) {
        if self.connections.len() >= Self::CONNECTIONS {
            self.connections.clear();
        }
        if let Err(at) = self.connections.binary_search_by_key(&id, |(id, _)| *id) {
            self.connections.insert(at, (id, shown));
        }
    }

    /// The certificate in what was presented, which is read only the first time.
    fn parsed(
        &mut self,
        presented: &PresentedCertificate<'_>,
    ) -> Result<Rc<Certificate>, PeerError> {
        let key = presented.cache_key();
        if let Some(known) = self.read.get(key.as_ref()) {
            return known.clone();
        }
        let read = presented.parse().map(Rc::new);
        if self.read.len() >= Self::CAPACITY {
            self.read.clear();
            // Otherwise, these would keep certificates that are no longer in the cache.
            self.connections.clear();
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

/// Whether the connection has shown this without a header, so that it shows the same with every request.
const fn is_by_itself(shown: &Result<PresentedCertificate<'_>, PeerError>) -> bool {
    match shown {
        Ok(presented) => presented.is_shown_by_envoy(),
        Err(PeerError::NoCertificate | PeerError::NotVerified) => true,
        // These depend on a header, on the time, or on the configuration.
        Err(
            PeerError::IssuerUnknown
            | PeerError::Expired { .. }
            | PeerError::NotInXfcc
            | PeerError::Unreadable(_),
        ) => false,
    }
}

#[cfg(test)]
mod tests;
