//! The certificates with which cases are sent.

use anyhow::Result;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, KeyPair,
    SanType, string::Ia5String,
};

use crate::case::Sender;

/// An authority that every sender's certificate comes from.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    /// A new authority.
    ///
    /// # Errors
    /// If no key can be made.
    pub fn new() -> Result<Self> {
        let mut params = CertificateParams::default();
        // As that of the local run, which is the authority of the cases in Envoy.
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "sluice local authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Ok(Self(CertifiedIssuer::self_signed(params, KeyPair::generate()?)?))
    }

    /// A certificate with a sender's SANs, in PEM; `None` for a sender without one.
    ///
    /// # Errors
    /// If a SAN cannot be written into a certificate.
    pub fn certificate(&self, sender: &Sender) -> Result<Option<String>> {
        if !sender.certificate {
            return Ok(None);
        }
        let name = |san: &String| Ia5String::try_from(san.clone());
        let mut params = CertificateParams::default();
        for san in &sender.dns {
            params.subject_alt_names.push(SanType::DnsName(name(san)?));
        }
        for san in &sender.uri {
            params.subject_alt_names.push(SanType::URI(name(san)?));
        }
        Ok(Some(params.signed_by(&KeyPair::generate()?, &self.0)?.pem()))
    }
}
