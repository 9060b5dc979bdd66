//! The certificates of the cases' senders.

use anyhow::Result;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, KeyPair,
    SanType, date_time_ymd, string::Ia5String,
};

use crate::case::Sender;

/// The authority that issues every sender's certificate.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    /// A new authority.
    ///
    /// # Errors
    /// If no key can be made.
    pub fn new() -> Result<Self> {
        let mut params = CertificateParams::default();
        // The same name as in the local run, whose authority the cases use in Envoy.
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "sluice local authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Ok(Self(CertifiedIssuer::self_signed(params, KeyPair::generate()?)?))
    }

    /// A certificate with a sender's SANs, in PEM; `None` for a sender without one.
    ///
    /// # Errors
    /// If a SAN cannot be put into a certificate.
    pub fn certificate(&self, sender: &Sender) -> Result<Option<String>> {
        self.issue(sender, CertificateParams::default())
    }

    /// The same, with a certificate that ends with the year before `year`.
    ///
    /// # Errors
    /// If a SAN cannot be put into a certificate.
    pub fn certificate_until(&self, sender: &Sender, year: i32) -> Result<Option<String>> {
        let mut params = CertificateParams::default();
        params.not_after = date_time_ymd(year, 1, 1);
        self.issue(sender, params)
    }

    fn issue(&self, sender: &Sender, mut params: CertificateParams) -> Result<Option<String>> {
        if !sender.certificate {
            return Ok(None);
        }
        let name = |san: &String| Ia5String::try_from(san.clone());
        for san in &sender.dns {
            params.subject_alt_names.push(SanType::DnsName(name(san)?));
        }
        for san in &sender.uri {
            params.subject_alt_names.push(SanType::URI(name(san)?));
        }
        Ok(Some(params.signed_by(&KeyPair::generate()?, &self.0)?.pem()))
    }
}
