//! Certificates, compared with `x509-parser`.

use sluice_senders::{Certificate, MAX_CERTIFICATE_BYTES, MAX_SANS, San};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

/// Parses the bytes as DER and as PEM. If both parsers find SANs, the SANs must be the same.
pub fn run(data: &[u8]) {
    let _: Result<_, _> = Certificate::from_pem(data);
    let Ok(certificate) = Certificate::from_der(data) else { return };
    assert!(data.len() <= MAX_CERTIFICATE_BYTES);
    assert!(certificate.sans().len() <= MAX_SANS);
    if let Ok((rest, plain)) = X509Certificate::from_der(data)
        && let Ok(Some(extension)) = plain.subject_alternative_name()
    {
        assert!(rest.is_empty(), "bytes behind the certificate");
        let names: Vec<_> = extension.value.general_names.iter().filter_map(san).collect();
        assert_eq!(certificate.sans(), names);
    }
}

/// Parses the bytes as DER and as PEM.
pub fn read(data: &[u8]) {
    let _: Result<_, _> = Certificate::from_pem(data);
    let _: Result<_, _> = Certificate::from_der(data);
}

fn san(name: &GeneralName<'_>) -> Option<San> {
    match *name {
        GeneralName::DNSName(text) if text.is_ascii() => Some(San::Dns(text.to_owned())),
        GeneralName::URI(text) if text.is_ascii() => Some(San::Uri(text.to_owned())),
        _ => None,
    }
}
