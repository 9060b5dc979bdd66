//! One certificate in PEM.

use std::borrow::Cow;

use base64::{Engine, prelude::BASE64_STANDARD};
use percent_encoding::percent_decode;

use crate::certificate::{CertificateError, MAX_CERTIFICATE_BYTES};

const BEGIN: &[u8] = b"-----BEGIN CERTIFICATE-----";
const END: &[u8] = b"-----END CERTIFICATE-----";

/// Four bytes of text for each byte of a certificate: base64 needs 4/3, and percent-encoding the
/// rest.
const MAX_TEXT_BYTES: usize = MAX_CERTIFICATE_BYTES.saturating_mul(4);

/// The DER of a PEM text (RFC 7468) that holds exactly one certificate, with only whitespace around it.
///
/// The text may be percent-encoded, as Envoy does for `Cert=` and, by its source, for `connection.peer_certificate`.
/// PEM's alphabet and labels contain no `%`, so decoding does not change a text that is not percent-encoded.
pub(crate) fn to_der(text: &[u8]) -> Result<Vec<u8>, CertificateError> {
    if text.len() > MAX_TEXT_BYTES {
        return Err(CertificateError::TooLarge);
    }
    let text = Cow::from(percent_decode(text));
    let base64: Vec<u8> = text
        .trim_ascii()
        .strip_prefix(BEGIN)
        .and_then(|text| text.strip_suffix(END))
        .ok_or(CertificateError::NotPem)?
        .iter()
        .copied()
        .filter(|byte| !byte.is_ascii_whitespace())
        .collect();
    BASE64_STANDARD.decode(base64).map_err(|_| CertificateError::NotPem)
}

#[cfg(test)]
mod tests {
    use super::*;

    const AQID: &str = "-----BEGIN CERTIFICATE-----\nAQID\n-----END CERTIFICATE-----\n";

    #[test]
    fn what_is_not_exactly_one_certificate_is_refused() {
        for text in [
            "",
            "AQID",
            "-----BEGIN CERTIFICATE-----",
            "-----BEGIN CERTIFICATE-----\nAQID\n",
            "-----BEGIN PRIVATE KEY-----\nAQID\n-----END PRIVATE KEY-----\n",
            "-----BEGIN CERTIFICATE-----\nA*ID\n-----END CERTIFICATE-----\n",
            "-----BEGIN CERTIFICATE-----\nAQI\n-----END CERTIFICATE-----\n",
            "-----BEGIN%2-CERTIFICATE-----\nAQID\n-----END CERTIFICATE-----\n",
            &format!("Subject: x\n{AQID}"),
            &format!("{AQID}{AQID}"),
            &format!("{AQID}x"),
        ] {
            assert_eq!(to_der(text.as_bytes()), Err(CertificateError::NotPem), "{text}");
        }
    }

    #[test]
    fn a_text_past_the_limit_is_refused_before_it_is_decoded() {
        let text = " ".repeat(MAX_TEXT_BYTES) + AQID;
        assert_eq!(to_der(text.as_bytes()), Err(CertificateError::TooLarge));
    }

    #[test]
    fn line_breaks_may_be_real_or_percent_encoded_or_missing() {
        for text in [
            AQID.to_owned(),
            AQID.replace('\n', "\r\n"),
            AQID.replace('\n', ""),
            AQID.replace('\n', "%0A").replace(' ', "%20"),
            AQID.replace('\n', "%0a").replace("AQID", "%41QID"),
        ] {
            assert_eq!(to_der(text.as_bytes()), Ok(vec![1, 2, 3]), "{text}");
        }
    }
}
