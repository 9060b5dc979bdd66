//! What a request shows of who sends it.

use std::rc::Rc;

use crate::{certificate::Certificate, peer::NoIdentity};

/// What a request shows of who sends it, each part read when it is asked for.
pub struct Evidence<'a> {
    /// The connection's certificate.
    pub certificate: &'a mut dyn FnMut() -> Result<Rc<Certificate>, NoIdentity>,
    /// Every value of a header, by its name in lower case.
    pub header: &'a dyn Fn(&str) -> Vec<&'a [u8]>,
    /// The attributes that [`Senders::attributes`](crate::Senders::attributes) asks for, in its order; `None` where
    /// Envoy has none.
    pub attributes: &'a [Option<Vec<u8>>],
    /// The time, in seconds since the epoch.
    pub now: u64,
}

impl Evidence<'_> {
    /// The connection's certificate, if its time is not over.
    pub(crate) fn certificate(&mut self) -> Result<Rc<Certificate>, NoIdentity> {
        let certificate = (self.certificate)()?;
        let end = certificate.not_after();
        // The handshake has checked it; the connection may be older than a day.
        if end <= self.now {
            let at = der::DateTime::from_unix_duration(std::time::Duration::from_secs(end));
            return Err(at.map_or(NoIdentity::NotVerified, |at| NoIdentity::Ended { at }));
        }
        Ok(certificate)
    }

    /// The value of a header, if there is exactly one and it is text.
    pub(crate) fn only(&self, name: &str) -> Option<&str> {
        match (self.header)(name)[..] {
            [value] => str::from_utf8(value).ok(),
            _ => None,
        }
    }
}
