//! Client certificates with exactly the SANs that a test asks for.

use std::sync::LazyLock;

use rcgen::{CertificateParams, CustomExtension, DnType, KeyPair, SanType, string::Ia5String};

/// One key for all certificates, because making a key costs more than the rest of a test.
static KEY: LazyLock<KeyPair> = LazyLock::new(|| KeyPair::generate().unwrap());

/// id-ce-subjectAltName.
const SUBJECT_ALT_NAME: &[u64] = &[2, 5, 29, 17];

pub(crate) fn dns(name: &str) -> SanType {
    SanType::DnsName(Ia5String::try_from(name).unwrap())
}

pub(crate) fn uri(uri: &str) -> SanType {
    SanType::URI(Ia5String::try_from(uri).unwrap())
}

pub(crate) fn email(address: &str) -> SanType {
    SanType::Rfc822Name(Ia5String::try_from(address).unwrap())
}

pub(crate) fn ip(address: &str) -> SanType {
    SanType::IpAddress(address.parse().unwrap())
}

pub(crate) fn certificate(sans: impl IntoIterator<Item = SanType>) -> rcgen::Certificate {
    let mut params = params();
    params.subject_alt_names = sans.into_iter().collect();
    params.self_signed(&*KEY).unwrap()
}

/// A certificate with SAN extensions of the given content, which rcgen itself would not write.
pub(crate) fn certificate_with_san_extensions(contents: &[Vec<u8>]) -> rcgen::Certificate {
    let mut params = params();
    params.custom_extensions = contents
        .iter()
        .map(|content| CustomExtension::from_oid_content(SUBJECT_ALT_NAME, content.clone()))
        .collect();
    params.self_signed(&*KEY).unwrap()
}

/// A certificate that is much larger than `bytes`.
pub(crate) fn certificate_larger_than(bytes: usize) -> rcgen::Certificate {
    let mut params = params();
    params.custom_extensions = vec![CustomExtension::from_oid_content(&[1, 2, 3], vec![0; bytes])];
    params.self_signed(&*KEY).unwrap()
}

/// When every certificate made here expires, in seconds since the epoch.
pub(crate) const NOT_AFTER: u64 = 1_924_992_000;

/// The common name matches the patterns of the tests, so a test fails if the common name is read.
fn params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.not_before = rcgen::date_time_ymd(2026, 1, 1);
    params.not_after = rcgen::date_time_ymd(2031, 1, 1);
    params.distinguished_name.push(DnType::CommonName, "*.payments");
    params
}
