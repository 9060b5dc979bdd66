//! What a request shows of who sends it.

use std::rc::Rc;

use crate::{certificate::Certificate, peer::NoIdentity};

/// What a request shows of who sends it, each part read when it is asked for.
pub struct Evidence<'a> {
    /// The connection's certificate.
    pub certificate: &'a mut dyn FnMut() -> Result<Rc<Certificate>, NoIdentity>,
    /// Every value of a header, by its name in lower case.
    pub header: &'a dyn Fn(&str) -> Vec<&'a [u8]>,
    /// Envoy's attribute `metadata`: what the filters before have left for this one, among it the payloads of tokens,
    /// as a message `envoy.config.core.v3.Metadata`. Read where [`Senders::reads_tokens`](crate::Senders::reads_tokens)
    /// says so; `None` where Envoy has none.
    pub metadata: Option<&'a [u8]>,
    /// The time, in seconds since the epoch.
    pub now: u64,
}

impl<'a> Evidence<'a> {
    /// The connection's certificate, if its time is not over.
    pub(crate) fn certificate(&mut self) -> Result<Rc<Certificate>, NoIdentity> {
        let certificate = (self.certificate)()?;
        let end = certificate.not_after();
        // The handshake has checked it; the connection may be older than a day.
        if end <= self.now {
            let at = der::DateTime::from_unix_duration(std::time::Duration::from_secs(end));
            return Err(at.map_or(NoIdentity::NotVerified, |at| NoIdentity::Expired { at }));
        }
        Ok(certificate)
    }

    /// The certificate that was presented, its time over or not; `None` only where there was none.
    ///
    /// # Errors
    /// Why one that was presented cannot be judged.
    pub(crate) fn presented(&mut self) -> Result<Option<Rc<Certificate>>, NoIdentity> {
        match (self.certificate)() {
            Ok(certificate) => Ok(Some(certificate)),
            Err(NoIdentity::NoCertificate) => Ok(None),
            Err(unknown) => Err(unknown),
        }
    }

    /// The values of a header that are text.
    pub(crate) fn texts(&self, name: &str) -> impl Iterator<Item = &'a str> + use<'a> {
        (self.header)(name).into_iter().filter_map(|value| str::from_utf8(value).ok())
    }

    /// The value of a header, if there is exactly one and it is text.
    pub(crate) fn only(&self, name: &str) -> Option<&'a str> {
        match (self.header)(name)[..] {
            [value] => str::from_utf8(value).ok(),
            _ => None,
        }
    }
}
