//! Certificates with arbitrary SANs, for parsers that leave the check of the signature to the TLS handshake.

const BIT_STRING: u8 = 0x03;
const INTEGER: u8 = 0x02;
const OCTET_STRING: u8 = 0x04;
const OID: u8 = 0x06;
const SEQUENCE: u8 = 0x30;
const UTC_TIME: u8 = 0x17;
const VERSION: u8 = 0xa0;
const EXTENSIONS: u8 = 0xa3;

/// The tag of a `dNSName`.
pub const DNS: u8 = 0x82;
/// The tag of a `uniformResourceIdentifier`.
pub const URI: u8 = 0x86;

/// A certificate (RFC 5280, section 4.1) in DER with these SANs, each a tag and its content. It is valid from 2026 to
/// 2031, and not signed.
#[must_use]
pub fn certificate(sans: &[(u8, &[u8])]) -> Vec<u8> {
    let ed25519 = || tlv(SEQUENCE, &[tlv(OID, &[vec![0x2b, 0x65, 0x70]])]);
    let key = tlv(SEQUENCE, &[ed25519(), tlv(BIT_STRING, &[vec![0; 33]])]);
    let time = |text: &str| tlv(UTC_TIME, &[text.as_bytes().to_vec()]);
    let names: Vec<_> = sans.iter().map(|(tag, name)| tlv(*tag, &[name.to_vec()])).collect();
    let extension = tlv(
        SEQUENCE,
        &[tlv(OID, &[vec![0x55, 0x1d, 0x11]]), tlv(OCTET_STRING, &[tlv(SEQUENCE, &names)])],
    );
    let tbs = tlv(
        SEQUENCE,
        &[
            tlv(VERSION, &[tlv(INTEGER, &[vec![2]])]),
            tlv(INTEGER, &[vec![1]]),
            ed25519(),
            tlv(SEQUENCE, &[]),
            tlv(SEQUENCE, &[time("260101000000Z"), time("310101000000Z")]),
            tlv(SEQUENCE, &[]),
            key,
            tlv(EXTENSIONS, &[tlv(SEQUENCE, &[extension])]),
        ],
    );
    tlv(SEQUENCE, &[tbs, ed25519(), tlv(BIT_STRING, &[vec![0; 65]])])
}

/// A DER value. Its length has at most three bytes, so its content is less than 64 KiB.
fn tlv(tag: u8, parts: &[Vec<u8>]) -> Vec<u8> {
    let content = parts.concat();
    let length = u16::try_from(content.len()).expect("a certificate here is small");
    let header = match length.to_be_bytes() {
        [0, short @ ..=127] => vec![tag, short],
        [0, long] => vec![tag, 0x81, long],
        [high, low] => vec![tag, 0x82, high, low],
    };
    [header, content].concat()
}
