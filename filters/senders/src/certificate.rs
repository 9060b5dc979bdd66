//! An X.509 certificate: its SANs, validity, issuer and digest.

use std::{cell::OnceCell, rc::Rc, sync::Arc};

use base16ct::lower;
use der::{Decode, Tag, asn1::AnyRef};
use sha2::{Digest, Sha256};
use x509_cert::{TbsCertificate, ext::pkix::ID_CE_SUBJECT_ALT_NAME};

use crate::{
    distinguished_name,
    identity::{Identity, fingerprint_key, name_key},
    pem,
    san::San,
};

/// The largest certificate that is read, in bytes of DER. Envoy's header limit (60 KiB) is similar.
pub const MAX_CERTIFICATE_BYTES: usize = 64 * 1024;

/// The most SANs that a certificate may have, of all kinds together.
pub const MAX_SANS: usize = 512;

/// The parts of a client certificate that are read. The common name is not among them.
///
/// Use it with one configuration only, because it caches what that configuration's patterns match. Nothing is verified
/// here: the TLS handshake has done that, and [`PeerEvidence`](crate::PeerEvidence) says whether.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    sans: Vec<San>,
    not_before: u64,
    not_after: u64,
    /// The lookup key for entries; `None` if the issuer is not shown or cannot be read.
    issuer: Option<Arc<str>>,
    /// The lookup key for entries.
    fingerprint: Arc<str>,
    /// The identities matched by the configured patterns, computed on first use.
    pub(crate) identities: OnceCell<Rc<[Identity]>>,
}

impl Certificate {
    /// Reads one certificate in PEM. The text may be percent-encoded.
    ///
    /// # Errors
    /// Everything that [`from_der`](Self::from_der) refuses, and [`CertificateError::NotPem`] if the text is not
    /// exactly one certificate.
    pub fn from_pem(text: &[u8]) -> Result<Self, CertificateError> {
        Self::from_der(&pem::to_der(text)?)
    }

    /// Reads one certificate in DER (RFC 5280, section 4.1), with nothing after it.
    ///
    /// DNS and URI SANs are kept in order. SANs that are not ASCII are left out: RFC 5280 does not allow them, and no
    /// pattern can match them. A certificate without the SAN extension has no SANs, and so identifies nobody.
    ///
    /// # Errors
    /// If the certificate is over [`MAX_CERTIFICATE_BYTES`], has more than [`MAX_SANS`] or a second SAN extension (RFC
    /// 5280, section 4.2), or is not strict DER.
    pub fn from_der(der: &[u8]) -> Result<Self, CertificateError> {
        if der.len() > MAX_CERTIFICATE_BYTES {
            return Err(CertificateError::TooLarge);
        }
        let certificate = x509_cert::Certificate::from_der(der)?;
        let tbs = certificate.tbs_certificate();
        let validity = tbs.validity();
        Ok(Self {
            sans: sans(tbs)?,
            not_before: validity.not_before.to_unix_duration().as_secs(),
            not_after: validity.not_after.to_unix_duration().as_secs(),
            issuer: distinguished_name::of_certificate(tbs.issuer()).map(|name| name_key(&name)),
            fingerprint: fingerprint_key(&lower::encode_string(&sha256(der))),
            identities: OnceCell::new(),
        })
    }

    /// The DNS and URI SANs, in the certificate's order.
    #[must_use]
    pub fn sans(&self) -> &[San] {
        &self.sans
    }

    /// The end of its validity, in seconds since the epoch.
    #[must_use]
    pub fn not_after(&self) -> u64 {
        self.not_after
    }

    /// The start of its validity, in seconds since the epoch.
    #[must_use]
    pub fn not_before(&self) -> u64 {
        self.not_before
    }

    /// The SHA-256 of its DER in hex, which is the fingerprint that `openssl x509 -fingerprint -sha256` shows.
    #[must_use]
    pub fn sha256(&self) -> &str {
        self.fingerprint.strip_prefix("sha256:").unwrap_or_default()
    }

    pub(crate) fn issuer_key(&self) -> Option<Arc<str>> {
        self.issuer.clone()
    }

    pub(crate) fn fingerprint_key(&self) -> Arc<str> {
        Arc::clone(&self.fingerprint)
    }
}

pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

fn sans(tbs: &TbsCertificate) -> Result<Vec<San>, CertificateError> {
    let mut extensions = tbs
        .extensions()
        .into_iter()
        .flatten()
        .filter(|extension| extension.extn_id == ID_CE_SUBJECT_ALT_NAME);
    let Some(extension) = extensions.next() else {
        return Ok(Vec::new());
    };
    if extensions.next().is_some() {
        return Err(CertificateError::TwoSanExtensions);
    }
    // `x509_cert`'s own GeneralNames fails as a whole if one name is of a kind that it does not know (x400Address) or
    // is an e-mail address that is not ASCII. These kinds do not identify senders, so they must not make the other
    // names unreadable.
    let names = Vec::<AnyRef<'_>>::from_der(extension.extn_value.as_bytes())?;
    if names.len() > MAX_SANS {
        return Err(CertificateError::TooManySans);
    }
    names.into_iter().filter_map(|name| san(name).transpose()).collect()
}

/// A GeneralName, if it is of a kind that can identify a sender.
fn san(name: AnyRef<'_>) -> Result<Option<San>, CertificateError> {
    let tag = der::Tagged::tag(&name);
    let Tag::ContextSpecific { constructed, number } = tag else {
        return Err(der::Error::from(tag.value_error()).into());
    };
    let kind = match number.value() {
        2 => San::Dns,
        6 => San::Uri,
        _ => return Ok(None),
    };
    if constructed {
        return Err(der::Error::from(tag.value_error()).into());
    }
    Ok(str::from_utf8(name.value())
        .ok()
        .filter(|text| text.is_ascii())
        .map(|text| kind(text.to_owned())))
}

/// Why a certificate cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// The bytes are not strict DER, or not a certificate.
    #[error("not an X.509 certificate in strict DER ({0})")]
    NotDer(der::Error),
    /// The text is not exactly one certificate in PEM.
    #[error("not exactly one PEM block of type CERTIFICATE")]
    NotPem,
    /// The certificate is over [`MAX_CERTIFICATE_BYTES`].
    #[error("larger than {MAX_CERTIFICATE_BYTES} bytes")]
    TooLarge,
    /// The certificate has more than [`MAX_SANS`].
    #[error("more than {MAX_SANS} SANs")]
    TooManySans,
    /// The certificate has two SAN extensions.
    #[error("duplicate SAN extension")]
    TwoSanExtensions,
}

impl From<der::Error> for CertificateError {
    fn from(error: der::Error) -> Self {
        Self::NotDer(error)
    }
}
