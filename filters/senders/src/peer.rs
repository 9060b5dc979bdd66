//! The client certificate of a connection, as far as Envoy shows it to a filter.

use std::borrow::Cow;

use base16ct::lower;
use der::DateTime;
use subtle::ConstantTimeEq;

use crate::{
    certificate::{self, Certificate, CertificateError},
    pem, xfcc,
};

/// What Envoy knows about the connection's client certificate: the raw values of its attributes. `None` if this Envoy
/// does not have the attribute, or has no value for it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Connection<'a> {
    /// `connection.peer_certificate` (Envoy 1.38 and later): the leaf in PEM, with real line breaks or percent-encoded.
    pub certificate: Option<&'a [u8]>,
    /// `connection.peer_certificate_valid` (Envoy 1.39 and later): one byte, 1 if the certificate was verified.
    ///
    /// Envoy returns 0 on every resumed TLS session, because it verifies certificates only in full handshakes (measured
    /// on 1.40; its documentation warns of it at `peerCertificateValidated` and issue 21235). If this attribute is
    /// read, the listener must not resume sessions.
    pub certificate_valid: Option<&'a [u8]>,
    /// `connection.mtls`: one byte, 1 if a certificate was presented on this connection, verified or not.
    pub presented: Option<&'a [u8]>,
    /// `connection.sha256_peer_certificate_digest`: 64 hex digits in lower case.
    pub digest: Option<&'a [u8]>,
}

/// What a request shows about its connection's client certificate: Envoy's attributes and the request's headers.
#[derive(Clone, Copy, Debug, Default)]
pub struct PeerEvidence<'a> {
    /// What Envoy knows.
    pub connection: Connection<'a>,
    /// Every value of `x-forwarded-client-cert`, in the order of the headers.
    pub xfcc: &'a [&'a [u8]],
}

impl<'a> PeerEvidence<'a> {
    /// Selects the certificate by cheap checks, without decoding it.
    ///
    /// If this Envoy has no `connection.peer_certificate`, the last element of `x-forwarded-client-cert` is used. It
    /// counts only on a connection on which a certificate was presented, and only if it is that certificate.
    ///
    /// # Errors
    /// [`PeerError`], except for errors that only [`PresentedCertificate::parse`] can find.
    pub fn presented(&self) -> Result<PresentedCertificate<'a>, PeerError> {
        let Connection { certificate, certificate_valid, presented, digest } = self.connection;
        let certificate = certificate.filter(|text| !text.is_empty());
        if certificate.is_none() && presented != Some(TRUE) {
            return Err(PeerError::NoCertificate);
        }
        if certificate_valid.is_some_and(|valid| valid != TRUE) {
            return Err(PeerError::NotVerified);
        }
        if let Some(text) = certificate {
            return Ok(PresentedCertificate { text, digest: None });
        }
        let last = self.xfcc.last().copied();
        let digest = digest.filter(|digest| digest.len() == DIGEST_BYTES);
        let (Some(last), digest @ Some(_)) = (last, digest) else {
            return Err(PeerError::NotInXfcc);
        };
        let text = xfcc::last_certificate(last).ok_or(PeerError::NotInXfcc)?;
        Ok(PresentedCertificate { text, digest })
    }
}

/// The value of a true attribute, as Envoy passes it to a filter (`serializeValue` in
/// `source/extensions/common/wasm/context.cc`).
const TRUE: &[u8] = &[1];
/// The length of a SHA-256 in hex.
const DIGEST_BYTES: usize = 64;

/// The text of the presented certificate, not decoded yet.
#[derive(Clone, Copy, Debug)]
pub struct PresentedCertificate<'a> {
    text: &'a [u8],
    /// The digest that the certificate must have. Set if its text came in a header.
    digest: Option<&'a [u8]>,
}

impl<'a> PresentedCertificate<'a> {
    /// A key for caching the result of [`parse`](Self::parse), whether good or bad. Equal keys have equal results.
    ///
    /// If Envoy vouches for the certificate, the key is its text. For a text from a header, the connection's digest
    /// comes before it, so a result for one connection is never used for another.
    #[must_use]
    pub fn cache_key(&self) -> Cow<'a, [u8]> {
        match self.digest {
            None => Cow::Borrowed(self.text),
            Some(digest) => Cow::Owned([digest, self.text].concat()),
        }
    }

    /// Whether Envoy itself shows it, and not a header of the request.
    #[must_use]
    pub const fn is_shown_by_envoy(&self) -> bool {
        self.digest.is_none()
    }

    /// Decodes the certificate.
    ///
    /// # Errors
    /// [`PeerError::NotInXfcc`] if the text came in a header and is not the connection's certificate;
    /// [`PeerError::Unreadable`] if it cannot be read.
    pub fn parse(&self) -> Result<Certificate, PeerError> {
        let Some(digest) = self.digest else {
            return Ok(Certificate::from_pem(self.text)?);
        };
        let der = pem::to_der(self.text).map_err(|_| PeerError::NotInXfcc)?;
        let own = lower::encode_string(&certificate::sha256(&der));
        if !bool::from(own.as_bytes().ct_eq(digest)) {
            return Err(PeerError::NotInXfcc);
        }
        Ok(Certificate::from_der(&der)?)
    }
}

/// Reads the connection's certificate in one step, for a caller without a cache.
///
/// # Errors
/// [`PeerError`] if the connection has no certificate that can be trusted and read.
pub fn read_peer_certificate(evidence: &PeerEvidence<'_>) -> Result<Certificate, PeerError> {
    evidence.presented()?.parse()
}

/// Why the connection has no usable certificate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PeerError {
    /// Some issuers are denied, and the certificate's issuer is not shown or cannot be read.
    #[error(
        "the issuer of the client certificate cannot be read, and this gateway denies some \
         issuers. Present a certificate of another CA. A gateway that reads certificates from \
         x-forwarded-client-cert needs Envoy 1.38 or later to deny issuers"
    )]
    IssuerUnknown,
    /// The certificate has expired since the connection was opened.
    #[error("the client certificate expired at {at}. Reconnect with a renewed one")]
    Expired {
        /// The end of its validity.
        at: DateTime,
    },
    /// No certificate was presented.
    #[error(
        "no client certificate was presented. Connect with mutual TLS and a certificate whose SAN \
         names your namespace"
    )]
    NoCertificate,
    /// This Envoy shows the certificate only in `x-forwarded-client-cert`, and it is not there.
    #[error(
        "x-forwarded-client-cert does not carry this connection's client certificate. The gateway \
         needs Envoy 1.38 or later, or forward_client_cert_details: SANITIZE_SET with \
         set_current_client_cert_details.cert: true"
    )]
    NotInXfcc,
    /// A certificate was presented, but the TLS handshake did not verify it.
    #[error(
        "the client certificate was not verified on this connection. Present one issued by a CA \
         that the gateway trusts. If it was, the gateway must not resume TLS sessions: set \
         disable_stateless_session_resumption and disable_stateful_session_resumption in its \
         DownstreamTlsContext"
    )]
    NotVerified,
    /// The certificate cannot be read.
    #[error("the client certificate cannot be read: {0}")]
    Unreadable(#[from] CertificateError),
}
