//! Compares distinguished names by the rules of X.520 and RFC 5280, section 7.1.
//!
//! A name is converted to a text that is the same for all equal names: each attribute's type as an OID, its value
//! without the differences that a comparison ignores, and the attributes of one part sorted. Each value is preceded by
//! its length, so no value can be mistaken for an attribute.

use std::{collections::BTreeSet, fmt::Write};

use base16ct::{lower, mixed};
use der::{
    Decode, Encode, Tag, Tagged,
    asn1::{Any, ObjectIdentifier},
};
use x509_cert::name::Name;

/// The attribute types that have a written name: those of RFC 4514, section 3, and others that `openssl` shows by name.
/// All other types are written as OIDs.
const TYPES: [(&str, &str); 36] = [
    ("businessCategory", "2.5.4.15"),
    ("C", "2.5.4.6"),
    ("CN", "2.5.4.3"),
    ("DC", "0.9.2342.19200300.100.1.25"),
    ("description", "2.5.4.13"),
    ("dmdName", "2.5.4.54"),
    ("dnQualifier", "2.5.4.46"),
    ("emailAddress", "1.2.840.113549.1.9.1"),
    ("generationQualifier", "2.5.4.44"),
    ("givenName", "2.5.4.42"),
    ("GN", "2.5.4.42"),
    ("houseIdentifier", "2.5.4.51"),
    ("initials", "2.5.4.43"),
    ("jurisdictionC", "1.3.6.1.4.1.311.60.2.1.3"),
    ("jurisdictionL", "1.3.6.1.4.1.311.60.2.1.1"),
    ("jurisdictionST", "1.3.6.1.4.1.311.60.2.1.2"),
    ("L", "2.5.4.7"),
    ("mail", "0.9.2342.19200300.100.1.3"),
    ("name", "2.5.4.41"),
    ("O", "2.5.4.10"),
    ("organizationIdentifier", "2.5.4.97"),
    ("OU", "2.5.4.11"),
    ("postalAddress", "2.5.4.16"),
    ("postalCode", "2.5.4.17"),
    ("postOfficeBox", "2.5.4.18"),
    ("pseudonym", "2.5.4.65"),
    ("role", "2.5.4.72"),
    ("serialNumber", "2.5.4.5"),
    ("SN", "2.5.4.4"),
    ("ST", "2.5.4.8"),
    ("street", "2.5.4.9"),
    ("telephoneNumber", "2.5.4.20"),
    ("title", "2.5.4.12"),
    ("UID", "0.9.2342.19200300.100.1.1"),
    ("unstructuredName", "1.2.840.113549.1.9.2"),
    ("x500UniqueIdentifier", "2.5.4.45"),
];

/// The comparable text of a certificate's name; `None` if a string in it is not valid for its type, because then the
/// name cannot be compared.
pub(crate) fn of_certificate(name: &Name) -> Option<String> {
    let mut parts = Vec::new();
    for part in name.iter_rdn() {
        let mut attributes = BTreeSet::new();
        for attribute in part.iter() {
            attributes.insert(comparable(attribute.oid, &attribute.value)?);
        }
        parts.push(attributes);
    }
    Some(joined(parts))
}

/// The comparable text of a written name. It must be written as in RFC 4514, with the last part
/// first, as `openssl x509 -noout -issuer -nameopt RFC2253` shows it.
///
/// # Errors
/// [`NotAName`] with the first thing that is wrong.
pub(crate) fn written(text: &str) -> Result<String, NotAName> {
    let mut parts = Vec::new();
    let mut attributes = BTreeSet::new();
    let mut rest = text;
    loop {
        let (kind, after) = rest.split_once('=').ok_or_else(|| NotAName::NoType(rest.into()))?;
        let oid = oid(kind)?;
        let (attribute, separator, after) = match after.strip_prefix('#') {
            Some(hex) => {
                let end = hex.find([',', '+']).unwrap_or(hex.len());
                let (hex, after) = hex.split_at_checked(end).unwrap_or((hex, ""));
                let attribute = encoded(hex).and_then(|value| comparable(oid, &value));
                let attribute = attribute.ok_or_else(|| NotAName::NotDer(hex.into()))?;
                (attribute, after.chars().next(), after.get(1..).unwrap_or_default())
            }
            None => {
                let (value, separator, after) = text_of(kind, after)?;
                (comparable_text(oid, &value), separator, after)
            }
        };
        attributes.insert(attribute);
        rest = after;
        if separator != Some('+') {
            parts.push(std::mem::take(&mut attributes));
        }
        if separator.is_none() {
            break;
        }
    }
    parts.reverse();
    Ok(joined(parts))
}

/// Whether a text that is not a valid name was probably meant as one: it starts with a type, or with something that
/// looks like one.
pub(crate) fn is_meant(text: &str) -> bool {
    let is_of_a_type =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | ' ' | '\t' | '_');
    text.split_once('=').is_some_and(|(kind, _)| kind.chars().all(is_of_a_type))
}

/// Whether a name starts with its country: its parts are probably in the certificate's order instead of RFC 4514's.
pub(crate) fn is_turned_round(text: &str) -> bool {
    let kind = |part: &str| part.split('=').next().map(str::to_ascii_uppercase);
    let (first, last) = (kind(text), text.rsplit([',', '+']).next().and_then(kind));
    first.as_deref() == Some("C") && last.as_deref() != Some("C")
}

/// The text for the parts of a name. Each part is a set of attributes (X.501, section 9.3).
fn joined(parts: Vec<BTreeSet<String>>) -> String {
    let mut name = String::new();
    for attributes in parts {
        name.push('/');
        for attribute in attributes {
            name.push('+');
            name.push_str(&attribute);
        }
    }
    name
}

fn oid(kind: &str) -> Result<ObjectIdentifier, NotAName> {
    let known = TYPES.iter().find(|(name, _)| name.eq_ignore_ascii_case(kind));
    let dotted = known.map_or(kind, |(_, oid)| oid);
    ObjectIdentifier::new(dotted).map_err(|_| NotAName::UnknownType(kind.to_owned()))
}

/// A value written as `#` and hex, which is its whole DER.
fn encoded(hex: &str) -> Option<Any> {
    let mut bytes = vec![0; hex.len().div_ceil(2)];
    Any::from_der(mixed::decode(hex, &mut bytes).ok()?).ok()
}

/// An unescaped text value, the separator that ends it, and what follows (RFC 4514, section 3).
fn text_of<'t>(kind: &str, text: &'t str) -> Result<(String, Option<char>, &'t str), NotAName> {
    if text.starts_with([' ', '\t']) {
        return Err(NotAName::Space(kind.to_owned()));
    }
    let mut value = Vec::new();
    let mut rest = text.chars();
    let separator = loop {
        match rest.next() {
            separator @ (None | Some(',' | '+')) => break separator,
            Some('\\') => match rest.next() {
                Some(escaped @ (' ' | '"' | '#' | '+' | ',' | ';' | '<' | '=' | '>' | '\\')) => {
                    value.extend(escaped.encode_utf8(&mut [0; 4]).bytes());
                }
                high => {
                    let digits: String = [high, rest.next()].into_iter().flatten().collect();
                    let mut byte = [0];
                    let byte = mixed::decode(&digits, &mut byte)
                        .ok()
                        .filter(|byte| !byte.is_empty())
                        .ok_or_else(|| NotAName::Escape(digits.clone()))?;
                    value.extend_from_slice(byte);
                }
            },
            Some(special @ ('"' | ';' | '<' | '>' | '\0')) => {
                return Err(NotAName::Unescaped(special));
            }
            Some(plain) => value.extend(plain.encode_utf8(&mut [0; 4]).bytes()),
        }
    };
    let value = String::from_utf8(value).map_err(|_| NotAName::NotUtf8(kind.to_owned()))?;
    Ok((value, separator, rest.as_str()))
}

/// The comparable text of an attribute, whatever its string type; `None` if a string is not valid for its type.
fn comparable(oid: ObjectIdentifier, value: &Any) -> Option<String> {
    let bytes = value.value();
    // TeletexString is read as Latin-1, because CAs write that and openssl shows it so. The same holds for bytes that
    // are not ASCII in a type that allows only ASCII.
    let text = match value.tag() {
        Tag::Utf8String => str::from_utf8(bytes).ok()?.to_owned(),
        Tag::BmpString => {
            let (pairs, odd) = bytes.as_chunks::<2>();
            if !odd.is_empty() {
                return None;
            }
            let units = pairs.iter().map(|pair| u16::from_be_bytes(*pair));
            char::decode_utf16(units).collect::<Result<_, _>>().ok()?
        }
        Tag::PrintableString
        | Tag::TeletexString
        | Tag::Ia5String
        | Tag::NumericString
        | Tag::VisibleString => bytes.iter().copied().map(char::from).collect(),
        _ => return Some(format!("{oid}#{}", lower::encode_string(&value.to_der().ok()?))),
    };
    Some(comparable_text(oid, &text))
}

fn comparable_text(oid: ObjectIdentifier, text: &str) -> String {
    let text = folded(text);
    let mut attribute = String::new();
    let _never_fails = write!(attribute, "{oid}={}:{text}", text.len());
    attribute
}

/// The text without the differences that a comparison ignores (RFC 4518, sections 2.2 and 2.6.1, and the case folding
/// of caseIgnoreMatch): case, spaces at the ends, repeated spaces, and invisible characters.
///
/// Case is folded only for Latin (ASCII and Latin-1), Greek and Cyrillic letters. The tables for all other letters
/// would be as large as the rest of this crate, and openssl itself folds only ASCII.
fn folded(text: &str) -> String {
    let is_unseen = |c: &char| {
        matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{fffc}')
            || c.is_control() && !c.is_whitespace()
    };
    let seen: String = text.chars().filter(|c| !is_unseen(c)).map(small).collect();
    let mut folded = String::new();
    for word in seen.split_whitespace() {
        if !folded.is_empty() {
            folded.push(' ');
        }
        folded.push_str(word);
    }
    folded
}

fn small(letter: char) -> char {
    let distance = match letter {
        '\u{d7}' => 0,
        'A'..='Z' | '\u{c0}'..='\u{de}' | '\u{391}'..='\u{3a9}' | '\u{410}'..='\u{42f}' => 0x20,
        '\u{400}'..='\u{40f}' => 0x50,
        _ => 0,
    };
    char::from_u32(u32::from(letter).saturating_add(distance)).unwrap_or(letter)
}

/// Why a text is not a valid name.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotAName {
    #[error("invalid escape \\{0}: escape a special character as \\, and a byte as \\C3")]
    Escape(String),
    #[error("{0:?} has no attribute type before it, as in CN=..")]
    NoType(String),
    #[error("#{0} is not a DER value in hexadecimal digits")]
    NotDer(String),
    #[error("the value of {0} is not UTF-8")]
    NotUtf8(String),
    #[error("the value of {0} begins with a space: remove it, or escape it with \\")]
    Space(String),
    #[error("{0:?} is a special character: escape it with \\")]
    Unescaped(char),
    #[error("unknown attribute type {0:?}: write its OID")]
    UnknownType(String),
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(text: &str) -> String {
        written(text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn names_that_are_equal_are_compared_by_the_same_text() {
        for same in [
            &[
                "CN=Payments CA,O=Example",
                "cn=payments  ca,o=EXAMPLE",
                "2.5.4.3=Payments CA,O=Example\\ ",
            ][..],
            &["CN=a+OU=b,O=c", "OU=b+CN=a,O=c", "ou=B+cn=A,2.5.4.10=#0C0163"],
            &[
                "O=Ex\\C3\\A4mple",
                "O=Ex\u{e4}mple",
                "o=ex\u{c4}MPLE",
                "O=#1E0E0045007800E4006D0070006C0065",
                "O=#1407457 8e46d706c65".replace(' ', "").leak(),
            ],
            &["O=a\\09b", "O=a b", "O=a\\ b", "O=a\u{a0}b", "O=a \\0A b"],
            &[
                "O=Stra\u{df}e \u{41f}\u{440}\u{438}\u{41}",
                "o=STRA\u{df}E \u{43f}\u{420}\u{418}\u{61}",
            ],
            &["1.2.3.4=#020107", "1.2.3.4=#020107"],
            &["GN=x", "givenName=X"],
            &[
                "O=\\#1\\, \\\"x\\\" \\<y\\>\\; \\+ \\\\ \\=",
                "O=\\231\\2C \\22x\\22 \\3Cy\\3E\\3B \\2B \\5C =",
            ],
        ] {
            for text in same {
                assert_eq!(key(text), key(same[0]), "{text}");
            }
        }
    }

    #[test]
    fn names_that_differ_are_compared_by_other_texts() {
        let names = [
            "CN=a",
            "CN=b",
            "O=a",
            "CN=a,O=b",
            "O=b,CN=a",
            "CN=a+O=b",
            "CN=a\\,O\\=b",
            "CN=a\\+O\\=b",
            "CN=a,CN=a",
            "CN=ab",
            "CN=a b",
            "CN=",
            "1.2.3=#020101",
            "1.2.3=#020102",
            "1.2.3=#0201",
            "CN=1:a",
            "CN=a/2.5.4.10\\=1:b",
        ];
        let keys: Vec<_> = names.iter().filter_map(|name| written(name).ok()).collect();
        assert_eq!(keys.len(), names.len() - 1, "one is no DER");
        for (at, key) in keys.iter().enumerate() {
            assert!(!keys[..at].contains(key), "{key}");
        }
    }

    #[test]
    fn what_is_no_name_is_told_why() {
        for (text, expected) in [
            ("", NotAName::NoType(String::new())),
            ("Payments CA", NotAName::NoType("Payments CA".into())),
            ("CN=a,", NotAName::NoType(String::new())),
            ("CN=a, O=b", NotAName::UnknownType(" O".into())),
            ("CN = a", NotAName::UnknownType("CN ".into())),
            ("CN= a", NotAName::Space("CN".into())),
            ("E=a@example.com", NotAName::UnknownType("E".into())),
            ("/CN=a/O=b", NotAName::UnknownType("/CN".into())),
            ("https://idp.example/?a=b", NotAName::UnknownType("https://idp.example/?a".into())),
            ("CN=\"a, b\"", NotAName::Unescaped('"')),
            ("CN=a;O=b", NotAName::Unescaped(';')),
            ("CN=a\\", NotAName::Escape(String::new())),
            ("CN=a\\x", NotAName::Escape("x".into())),
            ("CN=a\\4", NotAName::Escape("4".into())),
            ("CN=\\C3", NotAName::NotUtf8("CN".into())),
            ("CN=#0C02", NotAName::NotDer("0C02".into())),
            ("CN=#0C0178FF", NotAName::NotDer("0C0178FF".into())),
            ("CN=#", NotAName::NotDer(String::new())),
            ("CN=#C", NotAName::NotDer("C".into())),
            ("CN=#1E0100", NotAName::NotDer("1E0100".into())),
        ] {
            assert_eq!(written(text), Err(expected), "{text}");
        }
    }

    #[test]
    fn a_name_is_told_from_the_issuer_of_a_token() {
        for text in ["CN=a, O=b", "C = DE, CN = x", "E=a", "1.2=x"] {
            assert!(is_meant(text), "{text}");
        }
        for text in ["https://idp.example/?a=b", "idp", "urn:a:b=c", "idp@example.com"] {
            assert!(!is_meant(text), "{text}");
        }
        assert!(is_turned_round("C=DE,O=Example,CN=a") && !is_turned_round("CN=a,O=Example,C=DE"));
        assert!(!is_turned_round("C=DE"));
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(text in "(CN|O|1\\.2)?[=+,# a-f0-9\\\\\u{e4}\"]{0,20}") {
            let _any = written(&text);
        }

        #[test]
        fn case_and_spaces_make_no_difference(words in proptest::collection::vec("[a-z\u{e4}]{1,5}", 1..4)) {
            let plain = format!("CN={}", words.join(" "));
            let other = format!("cn={}\\ ", words.join("   ").to_uppercase());
            prop_assert_eq!(key(&plain), key(&other));
        }
    }
}
