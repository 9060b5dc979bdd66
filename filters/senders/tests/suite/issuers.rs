//! Issuer names: what openssl shows for many kinds of CAs, compared with the code and with openssl itself.

use std::{
    io::Write,
    process::{Command, Stdio},
    rc::Rc,
};

use base64::{Engine, prelude::BASE64_STANDARD};
use der::{Encode, asn1::SetOfVec};
use serde_json::{Value, json};
use sluice_config::check;
use sluice_senders::{
    Ambiguity, Certificate, Evidence, NotAdmitted, PeerError, Senders, SendersConfig,
};
use x509_cert::{
    attr::AttributeTypeAndValue,
    der::{Decode, asn1::Any},
    name::{Name, RdnSequence, RelativeDistinguishedName},
};

use crate::pki;

/// Written by `write.sh` in the same folder.
const ISSUERS: &str = include_str!("../issuers/issuers.txt");

struct Authority {
    kind: &'static str,
    /// What `openssl x509 -noout -issuer -nameopt RFC2253` shows after `issuer=`.
    shown: &'static str,
    pem: &'static str,
}

fn authorities() -> Vec<Authority> {
    let rows = ISSUERS.split("# ").skip(1);
    rows.map(|row| {
        let (kind, rest) = row.split_once('\n').unwrap();
        let (issuer, pem) = rest.split_once('\n').unwrap();
        Authority { kind, shown: issuer.strip_prefix("issuer=").unwrap(), pem }
    })
    .collect()
}

/// A certificate for `*.payments` whose issuer has this name.
fn issued_by(issuer: &Name) -> Certificate {
    let own = pki::certificate([pki::dns("*.payments")]);
    let certificate = x509_cert::Certificate::from_der(own.der()).unwrap();
    let written = certificate.tbs_certificate().issuer().to_der().unwrap();
    let replaced = replace_first(own.der(), &written, &issuer.to_der().unwrap());
    Certificate::from_der(&replaced).unwrap()
}

/// A certificate with another issuer; the two lengths around it are adjusted.
fn replace_first(der: &[u8], old: &[u8], new: &[u8]) -> Vec<u8> {
    fn sequence(content: &[u8]) -> Vec<u8> {
        Any::new(der::Tag::Sequence, content).unwrap().to_der().unwrap()
    }
    let whole = Any::from_der(der).unwrap();
    let mut content = whole.value();
    let tbs = take(&mut content);
    let signature = content;
    let body = Any::from_der(tbs).unwrap();
    let at = body.value().windows(old.len()).position(|part| part == old).unwrap();
    let (before, after) = body.value().split_at(at);
    let tbs = sequence(&[before, new, &after[old.len()..]].concat());
    sequence(&[&tbs, signature].concat())
}

/// The first element of a sequence's content.
fn take<'a>(content: &mut &'a [u8]) -> &'a [u8] {
    let (_, rest) = Any::from_der_partial(content).unwrap();
    let (taken, _) = content.split_at(content.len().saturating_sub(rest.len()));
    *content = rest;
    taken
}

fn name_of(authority: &Authority) -> Name {
    let base64: String = authority.pem.lines().filter(|line| !line.starts_with('-')).collect();
    let der = BASE64_STANDARD.decode(base64).unwrap();
    x509_cert::Certificate::from_der(&der).unwrap().tbs_certificate().issuer().clone()
}

fn compile(allow: Value, deny: Value) -> Result<Senders, String> {
    let config: SendersConfig = serde_json::from_value(json!({
        "identify": [{"clientCertificate": {"names": [{"dns": "*.{namespace}"}]}}],
        "allow": allow,
        "deny": deny,
    }))
    .unwrap();
    check("senders", |place| config.compile(place)).map_err(|problems| problems[0].to_string())
}

fn denying(issuer: &str) -> Senders {
    compile(json!([{"namespace": "payments"}]), json!([{"issuer": issuer}])).unwrap()
}

fn allowing(issuer: &str) -> Senders {
    compile(json!([{"namespace": "payments", "issuer": issuer}]), json!([])).unwrap()
}

fn admit(senders: &Senders, certificate: &Certificate) -> Result<(), NotAdmitted> {
    let certificate = Rc::new(certificate.clone());
    let mut evidence = Evidence {
        certificate: &mut || Ok(Rc::clone(&certificate)),
        header: &|_| Vec::new(),
        metadata: None,
        now: 1_800_000_000,
    };
    senders.admit(&mut evidence, Ambiguity::Refused).map(|_| ())
}

#[test]
fn an_issuer_is_written_as_openssl_shows_it() {
    let authorities = authorities();
    assert!(authorities.len() > 22, "{}", authorities.len());
    for authority in &authorities {
        let Authority { kind, shown, .. } = authority;
        let certificate = issued_by(&name_of(authority));
        assert_eq!(
            admit(&denying(shown), &certificate),
            Err(NotAdmitted::CertificateDenied),
            "{kind}"
        );
        assert_eq!(admit(&allowing(shown), &certificate), Ok(()), "{kind}");
    }
}

#[test]
fn an_issuer_is_no_other_issuer() {
    let authorities = authorities();
    // String types, repeated spaces and the kind of space make no difference.
    let alike = |kind: &str| match kind {
        "a BMPString" | "a PrintableString" | "spaces at both ends" => "plain",
        "an umlaut" | "an umlaut in TeletexString" | "a BMPString with an umlaut" => "an umlaut",
        "a tab" | "a line break" => "a space",
        _ => "",
    };
    for one in &authorities {
        let certificate = issued_by(&name_of(one));
        for other in &authorities {
            let same = one.kind == other.kind
                || (!alike(one.kind).is_empty() && alike(one.kind) == alike(other.kind));
            let refused = admit(&denying(other.shown), &certificate).is_err();
            assert_eq!(refused, same, "{} and {}", one.kind, other.kind);
            assert_eq!(admit(&allowing(other.shown), &certificate).is_ok(), same, "{}", one.kind);
        }
    }
}

#[test]
fn openssl_shows_the_issuers_still_so() {
    for Authority { kind, shown, pem } in authorities() {
        let mut openssl = Command::new("openssl")
            .args(["x509", "-noout", "-issuer", "-nameopt", "RFC2253"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("openssl, which is asked for what it shows: sudo apt-get install openssl");
        openssl.stdin.take().unwrap().write_all(pem.as_bytes()).unwrap();
        let output = openssl.wait_with_output().unwrap();
        let line = String::from_utf8(output.stdout).unwrap();
        assert_eq!(line.trim_end_matches('\n'), format!("issuer={shown}"), "{kind}");
    }
}

#[test]
fn an_issuer_that_is_no_text_is_written_in_hex() {
    let attribute = |oid: &str, der: &[u8]| AttributeTypeAndValue {
        oid: oid.parse().unwrap(),
        value: Any::from_der(der).unwrap(),
    };
    let name = |attribute| {
        let part = RelativeDistinguishedName::from(SetOfVec::try_from(vec![attribute]).unwrap());
        Name::from_der(&RdnSequence::from(vec![part]).to_der().unwrap()).unwrap()
    };
    let bits = issued_by(&name(attribute("2.5.4.45", &[3, 2, 0, 0x6e])));
    let denied = Err(NotAdmitted::CertificateDenied);
    assert_eq!(admit(&denying("x500UniqueIdentifier=#0302006E"), &bits), denied);
    assert_eq!(admit(&denying("2.5.4.45=#0302006e"), &bits), denied);
    assert_eq!(admit(&denying("2.5.4.45=#0302006f"), &bits), Ok(()));
    // A text that is not valid for its type could be the denied issuer, so it is refused.
    for der in [&[0x0c, 1, 0xff][..], &[0x1e, 1, 0x41], &[0x1e, 2, 0xd8, 0]] {
        let broken = issued_by(&name(attribute("2.5.4.3", der)));
        let refused = admit(&denying("CN=Payments CA"), &broken);
        assert_eq!(refused, Err(PeerError::IssuerUnknown.into()), "{der:?}");
        let by_name = compile(
            json!([{"namespace": "payments"}]),
            json!([{"namespace": "payments", "issuer": "CN=Payments CA"}]),
        );
        assert_eq!(admit(&by_name.unwrap(), &broken), Err(PeerError::IssuerUnknown.into()));
        assert!(admit(&allowing("CN=Payments CA"), &broken).is_err());
    }
}

#[test]
fn case_and_spaces_of_an_issuer_make_no_difference() {
    for authority in authorities() {
        if authority.shown.contains(['\\', '#']) {
            continue;
        }
        let certificate = issued_by(&name_of(&authority));
        for other in [authority.shown.to_uppercase(), authority.shown.replace(' ', "   ")] {
            let refused = admit(&denying(&other), &certificate);
            assert_eq!(refused, Err(NotAdmitted::CertificateDenied), "{other}");
        }
    }
}

#[test]
fn an_issuer_that_nobody_could_have_is_a_problem() {
    for issuer in [
        "",
        "Payments CA",
        "issuer=CN=Payments CA",
        "CN=Payments CA, O=Example",
        "C = DE, CN = Payments CA",
        "/C=DE/CN=Payments CA",
        "https://idp.example",
        "CN=\"Payments, CA\"",
        "E=pki@example.com",
        "CN=\\C3",
        "CN=#0C",
    ] {
        for list in ["allow", "deny"] {
            let entry = json!([{"namespace": "payments", "issuer": issuer}]);
            let (allow, deny) = match list {
                "allow" => (entry, json!([])),
                _ => (json!([{"namespace": "payments"}]), entry),
            };
            let problem = compile(allow, deny).unwrap_err();
            let at = format!("senders.{list}[0].issuer: not an RFC 4514 name: ");
            assert!(problem.starts_with(&at), "{issuer}: {problem}");
        }
    }
    let turned = denying("C=DE,O=Example,CN=Payments CA");
    let warning = turned.warnings(0).remove(0).to_string();
    assert!(
        warning.starts_with("senders.deny[0].issuer: the name begins with a country"),
        "{warning}"
    );
}
