//! How SANs identify senders: a pattern of the configuration, matched against a name.

use sluice_config::check;
use sluice_senders::{Certificate, Identity, SendersConfig};

use crate::x509;

/// The input: `dns` or `uri`, a space, a pattern, a line break, a SAN.
///
/// If the names that were read from a SAN are written into the pattern, they give the SAN again. There is no other way
/// to read the SAN.
pub fn run(data: &[u8]) {
    let Some((kind, pattern, san)) = input(data) else { return };
    let config = serde_json::json!({
        "identify": [{"clientCertificate": {"names": [{kind: pattern}]}}],
        "allow": [{"namespace": "payments"}],
    });
    let config: SendersConfig = serde_json::from_value(config).expect("it has the right shape");
    let senders = match check("senders", |place| config.compile(place)) {
        Ok(senders) => senders,
        Err(problems) => {
            let place = format!("senders.identify[0].clientCertificate.names[0].{kind}");
            assert_eq!(problems.len(), 1);
            assert_eq!(problems[0].path, place);
            return;
        }
    };
    let tag = if kind == "dns" { x509::DNS } else { x509::URI };
    let certificate = Certificate::from_der(&x509::certificate(&[(tag, san.as_bytes())]))
        .expect("it is a certificate");
    let names = senders.identities(&certificate);
    assert!(names.len() <= 1, "one SAN and one pattern gave {names:?}");
    for sender in &names {
        let written = fill(pattern, sender);
        let written = bare(kind, &written);
        assert!(written.eq_ignore_ascii_case(bare(kind, san)), "{san:?} was read as {written:?}");
        assert!(is_label(sender.namespace()), "{sender:?}");
    }
    // Capital letters have their own rules. Without them, a simple search must agree.
    if pattern.len() + san.len() < 64 && !has_capitals(pattern) && !has_capitals(san) {
        let mut readings = Vec::new();
        search(kind, bare(kind, pattern), bare(kind, san), "", &mut readings);
        let found: Vec<_> = names.iter().map(Identity::namespace).collect();
        assert_eq!(readings, found, "{pattern:?} {san:?}");
    }
}

/// Compiles the pattern, and matches the SAN against it.
pub fn read(data: &[u8]) {
    let Some((kind, pattern, san)) = input(data) else { return };
    let config = serde_json::json!({
        "identify": [{"clientCertificate": {"names": [{kind: pattern}]}}],
        "allow": [{"namespace": "payments"}],
    });
    let config: SendersConfig = serde_json::from_value(config).expect("it has the right shape");
    let Ok(senders) = check("senders", |place| config.compile(place)) else { return };
    let tag = if kind == "dns" { x509::DNS } else { x509::URI };
    let certificate = Certificate::from_der(&x509::certificate(&[(tag, san.as_bytes())]));
    let _: Vec<Identity> = senders.identities(&certificate.expect("it is a certificate"));
}

fn input(data: &[u8]) -> Option<(&str, &str, &str)> {
    let (pattern, san) = str::from_utf8(data).ok()?.split_once('\n')?;
    let (kind, pattern) = pattern.split_once(' ')?;
    (matches!(kind, "dns" | "uri") && san.len() < 2048).then_some((kind, pattern, san))
}

/// A DNS name may have one trailing dot, which has no meaning.
fn bare<'a>(kind: &str, name: &'a str) -> &'a str {
    if kind == "dns" { name.strip_suffix('.').unwrap_or(name) } else { name }
}

fn fill(pattern: &str, sender: &Identity) -> String {
    pattern
        .replace("{namespace}", sender.namespace())
        .replace("{serviceAccount}", sender.service_account().unwrap_or("{serviceAccount}"))
        .replace("{trustDomain}", sender.trust_domain().unwrap_or("{trustDomain}"))
}

fn has_capitals(text: &str) -> bool {
    let literal = text.replace("{serviceAccount}", "").replace("{trustDomain}", "");
    literal.contains(|character: char| character.is_ascii_uppercase())
}

/// Every way to match `san` with `pattern`, each as its namespace.
fn search<'a>(
    kind: &str,
    pattern: &str,
    san: &'a str,
    namespace: &'a str,
    found: &mut Vec<&'a str>,
) {
    let placeholder = pattern.strip_prefix('{').and_then(|rest| rest.split_once('}'));
    if let Some((placeholder, pattern)) = placeholder {
        for (name, san) in (1..=san.len()).filter_map(|end| san.split_at_checked(end)) {
            if is_name(kind, placeholder, name) {
                let namespace = if placeholder == "namespace" { name } else { namespace };
                search(kind, pattern, san, namespace, found);
            }
        }
    } else if pattern.is_empty() {
        found.extend(san.is_empty().then_some(namespace));
    } else if pattern.as_bytes().first() == san.as_bytes().first() {
        search(kind, &pattern[1..], san.get(1..).unwrap_or_default(), namespace, found);
    }
}

fn is_name(kind: &str, placeholder: &str, name: &str) -> bool {
    match (placeholder, kind) {
        ("trustDomain", _) => {
            name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'_'))
        }
        ("serviceAccount", "uri") => name.split('.').all(is_shaped),
        _ => is_label(name),
    }
}

fn is_label(name: &str) -> bool {
    is_shaped(name) && name.len() <= 63
}

fn is_shaped(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with('-')
        && !name.ends_with('-')
        && name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
}
