//! The name of a certificate's issuer, as RFC 4514 writes it.

use der::{Tag, Tagged, asn1::ObjectIdentifier};
use x509_cert::name::Name;

/// The attributes that RFC 4514, section 3, has short names for, and those that CAs write beside them.
const SHORT: [(ObjectIdentifier, &str); 9] = [
    (ObjectIdentifier::new_unwrap("2.5.4.3"), "CN"),
    (ObjectIdentifier::new_unwrap("2.5.4.5"), "serialNumber"),
    (ObjectIdentifier::new_unwrap("2.5.4.6"), "C"),
    (ObjectIdentifier::new_unwrap("2.5.4.7"), "L"),
    (ObjectIdentifier::new_unwrap("2.5.4.8"), "ST"),
    (ObjectIdentifier::new_unwrap("2.5.4.9"), "STREET"),
    (ObjectIdentifier::new_unwrap("2.5.4.10"), "O"),
    (ObjectIdentifier::new_unwrap("2.5.4.11"), "OU"),
    (ObjectIdentifier::new_unwrap("0.9.2342.19200300.100.1.25"), "DC"),
];

/// A name as `openssl x509 -noout -issuer -nameopt RFC2253` shows it: `CN=Payments CA,O=Example`, the last part
/// first. An attribute that has no short name, or whose value is no text, is written as its OID and `#`, and its value
/// in hex.
pub(crate) fn text(name: &Name) -> String {
    let mut text = String::new();
    let relatives: Vec<_> = name.iter_rdn().collect();
    for relative in relatives.into_iter().rev() {
        let mut separator = if text.is_empty() { "" } else { "," };
        for part in relative.iter() {
            text.push_str(separator);
            separator = "+";
            let short = SHORT.iter().find(|(oid, _)| *oid == part.oid);
            let is_text = matches!(
                part.value.tag(),
                Tag::Utf8String | Tag::PrintableString | Tag::Ia5String | Tag::TeletexString
            );
            match (short, str::from_utf8(part.value.value())) {
                (Some((_, short)), Ok(value)) if is_text => {
                    text.push_str(short);
                    text.push('=');
                    escape(value, &mut text);
                }
                _ => {
                    text.push_str(&part.oid.to_string());
                    text.push_str("=#");
                    for byte in part.value.value() {
                        text.push_str(&format!("{byte:02x}"));
                    }
                }
            }
        }
    }
    text
}

/// RFC 4514, section 2.4.
fn escape(value: &str, text: &mut String) {
    let last = value.chars().count().saturating_sub(1);
    for (at, character) in value.chars().enumerate() {
        let special = match character {
            '"' | '+' | ',' | ';' | '<' | '>' | '\\' => true,
            '#' => at == 0,
            ' ' => at == 0 || at == last,
            _ => false,
        };
        match character {
            '\0' => text.push_str("\\00"),
            _ if special => text.extend(['\\', character]),
            _ => text.push(character),
        }
    }
}
