//! The client certificate of a connection, as far as Envoy lets a filter see it.

use std::borrow::Cow;

use base16ct::lower;
use der::DateTime;
use subtle::ConstantTimeEq;

use crate::{
    certificate::{self, Certificate, CertificateError},
    pem, xfcc,
};

/// What Envoy says of the connection's client certificate: the raw values of its attributes, `None` where this Envoy
/// has no such attribute or no value for it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Connection<'a> {
    /// `connection.peer_certificate` (Envoy 1.38 and later): the leaf in PEM, with real line breaks or percent-encoded.
    pub certificate: Option<&'a [u8]>,
    /// `connection.peer_certificate_valid` (Envoy 1.39 and later): one byte, 1 if the certificate was verified.
    ///
    /// Envoy says 0 on every resumed TLS session, because it verifies in full handshakes alone (measured on 1.40; its
    /// documentation warns of it at `peerCertificateValidated` and issue 21235). A listener that this is read on must
    /// not resume sessions.
    pub certificate_valid: Option<&'a [u8]>,
    /// `connection.mtls`: one byte, 1 if a certificate was presented on this connection, verified or not.
    pub presented: Option<&'a [u8]>,
    /// `connection.sha256_peer_certificate_digest`: 64 hex digits in lower case.
    pub digest: Option<&'a [u8]>,
}

/// What a request shows of its connection's client certificate: what Envoy says, and what stands in headers.
#[derive(Clone, Copy, Debug, Default)]
pub struct PeerEvidence<'a> {
    /// What Envoy says.
    pub connection: Connection<'a>,
    /// Every value of `x-forwarded-client-cert`, in the order of the headers.
    pub xfcc: &'a [&'a [u8]],
}

impl<'a> PeerEvidence<'a> {
    /// Chooses the certificate by cheap checks; nothing is decoded yet.
    ///
    /// An Envoy without `connection.peer_certificate` leaves the last element of `x-forwarded-client-cert`. It counts
    /// only on a connection on which a certificate was presented, and only if it turns out to be that one.
    ///
    /// # Errors
    /// [`NoIdentity`], but for what only [`PresentedCertificate::parse`] can find.
    pub fn presented(&self) -> Result<PresentedCertificate<'a>, NoIdentity> {
        let Connection { certificate, certificate_valid, presented, digest } = self.connection;
        let certificate = certificate.filter(|text| !text.is_empty());
        if certificate.is_none() && presented != Some(TRUE) {
            return Err(NoIdentity::NoCertificate);
        }
        if certificate_valid.is_some_and(|valid| valid != TRUE) {
            return Err(NoIdentity::NotVerified);
        }
        if let Some(text) = certificate {
            return Ok(PresentedCertificate { text, digest: None });
        }
        let last = self.xfcc.last().copied();
        let digest = digest.filter(|digest| digest.len() == DIGEST_BYTES);
        let (Some(last), digest @ Some(_)) = (last, digest) else {
            return Err(NoIdentity::NotInXfcc);
        };
        let text = xfcc::last_certificate(last).ok_or(NoIdentity::NotInXfcc)?;
        Ok(PresentedCertificate { text, digest })
    }
}

/// How Envoy hands a filter a true attribute (`serializeValue` in `source/extensions/common/wasm/context.cc`).
const TRUE: &[u8] = &[1];
/// A SHA-256 in hex.
const DIGEST_BYTES: usize = 64;

/// The text of the certificate that was presented, not decoded yet.
#[derive(Clone, Copy, Debug)]
pub struct PresentedCertificate<'a> {
    text: &'a [u8],
    /// The digest that the certificate must have, because its text came in a header.
    digest: Option<&'a [u8]>,
}

impl<'a> PresentedCertificate<'a> {
    /// The key under which the result of [`parse`](Self::parse), good or bad, may be kept: equal keys, equal results.
    ///
    /// It is the text itself where Envoy vouches for it. A text from a header has the connection's digest before it,
    /// so what was read for one connection is never found for another.
    #[must_use]
    pub fn cache_key(&self) -> Cow<'a, [u8]> {
        match self.digest {
            None => Cow::Borrowed(self.text),
            Some(digest) => Cow::Owned([digest, self.text].concat()),
        }
    }

    /// Decodes the certificate.
    ///
    /// # Errors
    /// [`NoIdentity::NotInXfcc`] if the text came in a header and is not the connection's certificate;
    /// [`NoIdentity::Unreadable`] if it cannot be read.
    pub fn parse(&self) -> Result<Certificate, NoIdentity> {
        let Some(digest) = self.digest else {
            return Ok(Certificate::from_pem(self.text)?);
        };
        let der = pem::to_der(self.text).map_err(|_| NoIdentity::NotInXfcc)?;
        let own = lower::encode_string(&certificate::sha256(&der));
        if !bool::from(own.as_bytes().ct_eq(digest)) {
            return Err(NoIdentity::NotInXfcc);
        }
        Ok(Certificate::from_der(&der)?)
    }
}

/// Reads the connection's certificate in one go, for a caller that keeps no cache.
///
/// # Errors
/// [`NoIdentity`]: the connection has no certificate that can be trusted or read.
pub fn read_peer_certificate(evidence: &PeerEvidence<'_>) -> Result<Certificate, NoIdentity> {
    evidence.presented()?.parse()
}

/// Why the connection has no certificate that can be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoIdentity {
    /// Who has issued the certificate is not shown or cannot be read, and some issuers are denied.
    #[error(
        "who issued the client certificate cannot be read, and some issuers are denied here: present one of another \
         authority; a gateway that reads certificates in x-forwarded-client-cert needs Envoy 1.38 or later for this"
    )]
    IssuerUnknown,
    /// The certificate's time is over; the connection is older than that.
    #[error("the client certificate ended at {at}: connect again with a renewed one")]
    Expired {
        /// The end of its validity.
        at: DateTime,
    },
    /// No certificate was presented.
    #[error(
        "no client certificate was presented: connect with mutual TLS and a certificate whose SAN names your namespace"
    )]
    NoCertificate,
    /// This Envoy shows the certificate in `x-forwarded-client-cert` alone, and it is not there.
    #[error(
        "x-forwarded-client-cert does not carry this connection's certificate: the gateway needs Envoy 1.38 or later, \
         or forward_client_cert_details SANITIZE_SET with set_current_client_cert_details.cert true"
    )]
    NotInXfcc,
    /// A certificate was presented, and the TLS handshake did not verify it.
    #[error(
        "the client certificate was not verified on this connection: present one that was issued by a CA which the \
         gateway trusts; if it was, the gateway must not resume TLS sessions (disable_stateless_session_resumption and \
         disable_stateful_session_resumption in its DownstreamTlsContext)"
    )]
    NotVerified,
    /// The certificate cannot be read.
    #[error("the client certificate cannot be read: {0}")]
    Unreadable(#[from] CertificateError),
}
