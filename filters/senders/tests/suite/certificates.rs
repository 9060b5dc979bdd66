//! Reads certificates: compares the result with `x509-parser`, and tries certificates that no CA
//! should issue.

use proptest::prelude::*;
use rcgen::SanType;
use sluice_senders::{Certificate, CertificateError, MAX_CERTIFICATE_BYTES, MAX_SANS, San};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use crate::pki;

fn read(certificate: &rcgen::Certificate) -> Result<Certificate, CertificateError> {
    Certificate::from_der(certificate.der())
}

fn sans(certificate: &rcgen::Certificate) -> Vec<String> {
    let certificate = read(certificate).unwrap();
    certificate.sans().iter().map(San::to_string).collect()
}

/// A DER value with a short or a two-byte length.
fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).unwrap().to_be_bytes();
    let header = match length {
        [0, short @ ..=127] => vec![tag, short],
        [high, low] if high > 0 => vec![tag, 0x82, high, low],
        [_, low] => vec![tag, 0x81, low],
    };
    [header, content.to_vec()].concat()
}

const SEQUENCE: u8 = 0x30;
const EMAIL: u8 = 0x81;
const DNS: u8 = 0x82;
const X400: u8 = 0xa3;
const URI: u8 = 0x86;

fn san_sequence(names: &[Vec<u8>]) -> Vec<u8> {
    tlv(SEQUENCE, &names.concat())
}

#[test]
fn bytes_after_the_certificate_are_refused() {
    let mut der = pki::certificate([pki::dns("a")]).der().to_vec();
    der.push(0);
    assert!(matches!(Certificate::from_der(&der), Err(CertificateError::NotDer(_))));
}

#[test]
fn a_certificate_that_is_cut_off_anywhere_is_refused() {
    let der = pki::certificate([pki::dns("a")]).der().to_vec();
    for length in 0..der.len() {
        let read = Certificate::from_der(&der[..length]);
        assert!(matches!(read, Err(CertificateError::NotDer(_))), "{length} bytes");
    }
}

#[test]
fn a_certificate_over_64_kib_is_refused() {
    let large = pki::certificate_larger_than(MAX_CERTIFICATE_BYTES);
    assert_eq!(read(&large), Err(CertificateError::TooLarge));
    assert!(read(&pki::certificate_larger_than(MAX_CERTIFICATE_BYTES - 2048)).is_ok());
}

#[test]
fn more_than_512_sans_are_refused() {
    let names = |count: usize| (0..count).map(|number| pki::dns(&format!("h{number}")));
    assert_eq!(read(&pki::certificate(names(MAX_SANS + 1))), Err(CertificateError::TooManySans));
    assert_eq!(sans(&pki::certificate(names(MAX_SANS))).len(), MAX_SANS);
    let emails = (0..=MAX_SANS).map(|number| pki::email(&format!("{number}@example")));
    assert_eq!(read(&pki::certificate(emails)), Err(CertificateError::TooManySans));
}

#[test]
fn a_second_san_extension_is_refused() {
    let names = |name: &[u8]| san_sequence(&[tlv(DNS, name)]);
    let twice = pki::certificate_with_san_extensions(&[names(b"*.a"), names(b"*.b")]);
    assert_eq!(read(&twice), Err(CertificateError::TwoSanExtensions));
    let once = pki::certificate_with_san_extensions(&[names(b"*.a")]);
    assert_eq!(sans(&once), ["DNS:*.a"]);
}

#[test]
fn a_san_extension_that_is_not_a_list_of_names_is_refused() {
    let utf8_string = 0x0c;
    let constructed_dns = 0xa2;
    for content in [
        Vec::new(),
        tlv(DNS, b"a"),
        san_sequence(&[tlv(utf8_string, b"a")]),
        san_sequence(&[tlv(constructed_dns, &tlv(DNS, b"a"))]),
        san_sequence(&[vec![DNS, 9, b'a']]),
        [san_sequence(&[tlv(DNS, b"a")]), vec![0]].concat(),
    ] {
        let certificate = pki::certificate_with_san_extensions(std::slice::from_ref(&content));
        let read = read(&certificate);
        assert!(matches!(read, Err(CertificateError::NotDer(_))), "{content:?}: {read:?}");
    }
}

#[test]
fn a_name_that_is_not_ascii_or_of_another_kind_costs_no_other_name() {
    let certificate = pki::certificate_with_san_extensions(&[san_sequence(&[
        tlv(X400, b""),
        tlv(EMAIL, "caf\u{e9}@example".as_bytes()),
        tlv(DNS, "caf\u{e9}".as_bytes()),
        tlv(DNS, b"\xff"),
        tlv(DNS, b"*.payments"),
        tlv(URI, "spiffe://\u{e9}".as_bytes()),
        tlv(URI, b"spiffe://a"),
    ])]);
    assert_eq!(sans(&certificate), ["DNS:*.payments", "URI:spiffe://a"]);
}

#[test]
fn no_san_is_no_name_and_the_common_name_is_none() {
    assert_eq!(sans(&pki::certificate([])), [""; 0]);
    assert_eq!(sans(&pki::certificate([pki::email("a@example"), pki::ip("10.0.0.1")])), [""; 0]);
}

#[test]
fn every_dns_and_uri_san_is_read_in_its_order() {
    let certificate = pki::certificate([
        pki::dns("*.payments"),
        pki::email("otel@example"),
        pki::uri("spiffe://prod.example/ns/payments/sa/otel"),
        pki::ip("2001:db8::1"),
        pki::dns("otel.payments.svc"),
        pki::uri("spiffe://x;DNS=*.other"),
    ]);
    assert_eq!(
        sans(&certificate),
        [
            "DNS:*.payments",
            "URI:spiffe://prod.example/ns/payments/sa/otel",
            "DNS:otel.payments.svc",
            "URI:spiffe://x;DNS=*.other",
        ]
    );
}

#[test]
fn the_end_of_validity_is_in_seconds_since_the_epoch() {
    assert_eq!(read(&pki::certificate([])).unwrap().not_after(), pki::NOT_AFTER);
}

#[test]
fn pem_and_der_give_the_same_certificate() {
    let certificate = pki::certificate([pki::dns("*.payments")]);
    let pem = certificate.pem();
    let encoded = pem
        .replace('+', "%2B")
        .replace('/', "%2F")
        .replace('=', "%3D")
        .replace(' ', "%20")
        .replace('\n', "%0A");
    assert_eq!(Certificate::from_pem(pem.as_bytes()), read(&certificate));
    assert_eq!(Certificate::from_pem(encoded.as_bytes()), read(&certificate));
}

fn san() -> impl Strategy<Value = SanType> {
    prop_oneof![
        "[ -~]{0,60}".prop_map(|text| pki::dns(&text)),
        "[ -~]{0,200}".prop_map(|text| pki::uri(&text)),
        "[ -~]{0,60}".prop_map(|text| pki::email(&text)),
        any::<std::net::IpAddr>().prop_map(SanType::IpAddress),
    ]
}

/// The SANs that `x509-parser` reads in the same bytes.
fn by_the_oracle(der: &[u8]) -> Vec<San> {
    let (rest, certificate) = X509Certificate::from_der(der).unwrap();
    assert!(rest.is_empty());
    let Some(extension) = certificate.subject_alternative_name().unwrap() else {
        return Vec::new();
    };
    let names = extension.value.general_names.iter();
    names
        .filter_map(|name| match *name {
            GeneralName::DNSName(text) => Some(San::Dns(text.to_owned())),
            GeneralName::URI(text) => Some(San::Uri(text.to_owned())),
            _ => None,
        })
        .collect()
}

proptest! {
    #[test]
    fn the_sans_are_those_that_x509_parser_finds(sans in proptest::collection::vec(san(), 0..12)) {
        let der = pki::certificate(sans).der().to_vec();
        let certificate = Certificate::from_der(&der).unwrap();
        prop_assert_eq!(certificate.sans(), by_the_oracle(&der));
    }

    #[test]
    fn a_damaged_certificate_is_read_as_x509_parser_reads_it_or_refused(
        place in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut der = pki::certificate([pki::dns("*.payments"), pki::uri("spiffe://a")]).der().to_vec();
        let place = place.index(der.len());
        der[place] = byte;
        if let Ok(certificate) = Certificate::from_der(&der)
            && let Ok((_, oracle)) = X509Certificate::from_der(&der)
            && let Ok(Some(_)) = oracle.subject_alternative_name()
        {
            prop_assert_eq!(certificate.sans(), by_the_oracle(&der));
        }
    }
}
