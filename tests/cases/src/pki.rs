//! The certificates with which cases are sent.

use anyhow::Result;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, SanType, string::Ia5String,
};

use crate::case::Sender;

/// An authority that every sender's certificate comes from.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, in PEM.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The certificate.
    pub certificate: String,
    /// Its key.
    pub key: String,
}

impl Authority {
    /// A new authority.
    ///
    /// # Errors
    /// If no key can be made.
    pub fn new() -> Result<Self> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Ok(Self(CertifiedIssuer::self_signed(params, KeyPair::generate()?)?))
    }

    /// The authority's own certificate, in PEM.
    #[must_use]
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate with a sender's SANs.
    ///
    /// # Errors
    /// If a SAN cannot be written into a certificate.
    pub fn issue(&self, sender: &Sender) -> Result<Identity> {
        let name = |san: &String| Ia5String::try_from(san.clone());
        let mut params = CertificateParams::default();
        for san in &sender.dns {
            params.subject_alt_names.push(SanType::DnsName(name(san)?));
        }
        for san in &sender.uri {
            params.subject_alt_names.push(SanType::URI(name(san)?));
        }
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.0)?.pem();
        Ok(Identity { certificate, key: key.serialize_pem() })
    }
}
