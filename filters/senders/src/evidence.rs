//! What a request shows about its sender.

use std::rc::Rc;

use crate::{certificate::Certificate, peer::PeerError};

/// What a request shows about its sender. Each part is read only when it is needed.
pub struct Evidence<'a> {
    /// The connection's certificate.
    pub certificate: &'a mut dyn FnMut() -> Result<Rc<Certificate>, PeerError>,
    /// Every value of a header, by its lower-case name.
    pub header: &'a dyn Fn(&str) -> Vec<&'a [u8]>,
    /// Envoy's attribute `metadata`: what earlier filters have stored for later ones, including the payloads of tokens,
    /// as an `envoy.config.core.v3.Metadata` message. It is read only if
    /// [`Senders::reads_tokens`](crate::Senders::reads_tokens) says so; `None` if Envoy has none.
    pub metadata: Option<&'a [u8]>,
    /// The time, in seconds since the epoch.
    pub now: u64,
}

impl<'a> Evidence<'a> {
    /// The connection's certificate, if it has not expired.
    pub(crate) fn certificate(&mut self) -> Result<Rc<Certificate>, PeerError> {
        let certificate = (self.certificate)()?;
        let end = certificate.not_after();
        // The handshake has checked this, but the connection can be days old.
        if end <= self.now {
            let at = der::DateTime::from_unix_duration(std::time::Duration::from_secs(end));
            return Err(at.map_or(PeerError::NotVerified, |at| PeerError::Expired { at }));
        }
        Ok(certificate)
    }

    /// The presented certificate, even if it has expired; `None` only if none was presented.
    ///
    /// # Errors
    /// Why a presented certificate cannot be checked.
    pub(crate) fn presented(&mut self) -> Result<Option<Rc<Certificate>>, PeerError> {
        match (self.certificate)() {
            Ok(certificate) => Ok(Some(certificate)),
            Err(PeerError::NoCertificate) => Ok(None),
            Err(unknown) => Err(unknown),
        }
    }

    /// The values of a header that are UTF-8.
    pub(crate) fn texts(&self, name: &str) -> impl Iterator<Item = &'a str> + use<'a> {
        (self.header)(name).into_iter().filter_map(|value| str::from_utf8(value).ok())
    }

    /// The value of a header, if there is exactly one and it is UTF-8.
    pub(crate) fn only(&self, name: &str) -> Option<&'a str> {
        match (self.header)(name)[..] {
            [value] => str::from_utf8(value).ok(),
            _ => None,
        }
    }
}
