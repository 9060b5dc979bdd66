//! Whatever is denied is refused, whatever else the request shows, for generated configurations and evidence.

use std::rc::Rc;

use proptest::prelude::*;
use serde_json::{Value, json};
use sluice_config::check;
use sluice_senders::{Ambiguity, Certificate, Evidence, NotAdmitted, PeerError, SendersConfig};

use crate::{pki, tokens};

const NOW: u64 = 1_800_000_000;
const NAMESPACES: [&str; 4] = ["payments", "team-a", "team-b", "shut"];
/// The keys of these namespaces, in the same order.
const KEYS: [&str; 4] = ["letmein", "sesame", "swordfish", "xyzzy"];

/// What a request shows.
#[derive(Clone, Debug)]
struct Shown {
    certificate: Presented,
    /// For each key that holds a payload: the namespaces in it, and its issuer.
    tokens: Vec<(&'static str, Vec<&'static str>, &'static str)>,
    /// The values of the header with which a gate or a sender names a namespace, including invalid
    /// ones.
    said: Vec<&'static str>,
    keys: Vec<&'static str>,
}

#[derive(Clone, Debug)]
enum Presented {
    None,
    Unreadable,
    NotVerified,
    /// Its SANs, and whether it has expired.
    Good(Vec<&'static str>, bool),
}

fn some(of: &'static [&'static str], most: usize) -> impl Strategy<Value = Vec<&'static str>> {
    proptest::collection::vec(proptest::sample::select(of), 0..=most)
}

fn shown() -> impl Strategy<Value = Shown> {
    const SANS: &[&str] = &[
        "*.payments",
        "*.team-a",
        "*.shut",
        "*.SHUT.",
        "gate.example",
        "keys.example",
        "x.example",
    ];
    let certificate = prop_oneof![
        Just(Presented::None),
        Just(Presented::Unreadable),
        Just(Presented::NotVerified),
        (some(SANS, 3), any::<bool>()).prop_map(|(sans, over)| Presented::Good(sans, over)),
        (some(SANS, 3), Just(false)).prop_map(|(sans, over)| Presented::Good(sans, over)),
    ];
    let issuer = proptest::sample::select(&["https://idp", "https://bad", ""][..]);
    let token = (proptest::sample::select(&["payload", "other"][..]), some(&NAMESPACES, 2), issuer);
    (
        certificate,
        proptest::collection::vec(token, 0..3),
        some(&["payments", "team-a", "shut", "SHUT", ""], 2),
        some(&["letmein", "sesame", "xyzzy", "wrong"], 2),
    )
        .prop_map(|(certificate, mut tokens, said, keys)| {
            tokens.sort_unstable();
            tokens.dedup_by_key(|token| token.0);
            Shown { certificate, tokens, said, keys }
        })
}

fn hash(key: &str) -> &'static str {
    match key {
        "letmein" => "1c8bfe8f801d79745c4631d09fff36c82aa37fc4cce4fc946683d7b336b63032",
        "sesame" => "d0c04f4b1951e4aeaaec8223ed2039e542f3aae805a6fa7f6d794e5afff5d272",
        "swordfish" => "b9f195c5cc7ef6afadbfbc42892ad47d3b24c6bc94bb510c4564a90a14e8b799",
        _ => "184858a00fd7971f810848266ebcecee5e8b69972c5ffaed622f5ee078671aed",
    }
}

/// One identity source, with the sources inside it.
fn way() -> impl Strategy<Value = Value> {
    let jwt = |key: &str| {
        let payload = json!(["metadata", "filter_metadata", tokens::FILTER, key]);
        json!({"jwt": {"payload": payload, "names": [{"claim": "tenant", "pattern": "{namespace}"}]}})
    };
    let keys = KEYS.iter().zip(NAMESPACES).map(|(key, namespace)| {
        // One of them has expired.
        let until = (*key == "xyzzy").then_some("2026-01-01T00:00:00Z");
        json!({"sha256": hash(key), "namespace": namespace, "until": until})
    });
    let keys: Vec<_> = keys.collect();
    let leaf = prop_oneof![
        Just(json!("clientCertificate")),
        Just(jwt("payload")),
        Just(jwt("other")),
        Just(
            json!({"forwarded": {"from": [{"dns": "gate.example", "namespaces": ["payments", "team-*"]}]}})
        ),
        Just(
            json!({"apiKey": {"header": "x-api-key", "from": [{"dns": "keys.example"}], "keys": keys}})
        ),
    ];
    leaf.prop_recursive(2, 6, 3, |inner| {
        let ways = proptest::collection::vec(inner, 1..4);
        (ways, any::<bool>()).prop_map(|(ways, all)| {
            if all { json!({"allOf": ways}) } else { json!({"anyOf": ways}) }
        })
    })
}

/// Writes out the first `clientCertificate` and leaves out the others, because a configuration may have only one.
fn written(ways: Vec<Value>, seen: &mut bool) -> Vec<Value> {
    let mut all = Vec::new();
    for way in ways {
        if way == json!("clientCertificate") {
            if !std::mem::replace(seen, true) {
                all.push(json!({"clientCertificate": {"names": [{"dns": "*.{namespace}"}]}}));
            }
            continue;
        }
        let Some((kind @ ("allOf" | "anyOf"), Value::Array(within))) = way
            .as_object()
            .and_then(|way| way.iter().next())
            .map(|(kind, ways)| (kind.as_str(), ways))
        else {
            all.push(way);
            continue;
        };
        let within = written(within.clone(), seen);
        if !within.is_empty() {
            all.push(json!({ kind: within }));
        }
    }
    all
}

fn certificate(sans: &[&'static str]) -> Certificate {
    let certificate = pki::certificate(sans.iter().map(|san| pki::dns(san)));
    Certificate::from_der(certificate.der()).unwrap()
}

/// Whether the request shows what an entry denies. This is decided without the tested code, from what a person would
/// see.
fn shows(shown: &Shown, ways: &str, deny: &Value, own: Option<&Certificate>) -> bool {
    let sans: &[_] = match &shown.certificate {
        Presented::Good(sans, _) => sans,
        _ => &[],
    };
    let has = |san: &str| own.is_some() && sans.contains(&san);
    let keys_of = |namespace: &str| {
        let mut named = KEYS.iter().zip(NAMESPACES);
        ways.contains("apiKey")
            && has("keys.example")
            && named.any(|(key, named)| named == namespace && shown.keys.contains(key))
    };
    let is_read = |payload: &str| ways.contains(&format!("\"{payload}\"]"));
    if let Some(namespace) = deny["namespace"].as_str() {
        let named =
            |san: &&str| san.trim_end_matches('.').to_lowercase() == format!("*.{namespace}");
        return (ways.contains("clientCertificate") && own.is_some() && sans.iter().any(named))
            || shown
                .tokens
                .iter()
                .any(|(key, names, _)| is_read(key) && names.contains(&namespace))
            || (ways.contains("forwarded")
                && has("gate.example")
                && shown.said.contains(&namespace))
            || keys_of(namespace);
    }
    if let Some(fingerprint) = deny["fingerprint"].as_str() {
        return own.is_some_and(|own| own.sha256() == fingerprint);
    }
    let issuer = deny["issuer"].as_str().unwrap();
    // All certificates of these tests have the same issuer.
    (issuer.to_lowercase().starts_with("cn=") && own.is_some())
        || shown.tokens.iter().any(|(key, _, iss)| is_read(key) && *iss == issuer)
}

fn is_denial(refused: &NotAdmitted) -> bool {
    matches!(
        refused,
        NotAdmitted::CertificateDenied | NotAdmitted::Denied { .. } | NotAdmitted::TokenDenied
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn whatever_shows_what_is_denied_is_refused(
        shown in shown(),
        ways in proptest::collection::vec(way(), 1..4),
        denied in proptest::collection::vec(0_usize..5, 1..3),
        choose_by in any::<bool>(),
        fixed in any::<bool>(),
    ) {
        let ways = written(ways, &mut false);
        prop_assume!(!ways.is_empty());
        let text = json!(ways).to_string();
        let own = match &shown.certificate {
            Presented::Good(sans, _) => Some(certificate(sans)),
            _ => None,
        };
        let fingerprint = own.as_ref().map_or(hash("letmein"), Certificate::sha256);
        let of_certificates = [json!({"fingerprint": fingerprint}), json!({"issuer": "cn=*.PAYMENTS"})];
        let mut deny = Vec::new();
        for which in denied {
            deny.push(match which {
                0 => json!({"namespace": "shut"}),
                1 => json!({"namespace": "team-a"}),
                2 => of_certificates[0].clone(),
                3 => json!({"issuer": "CN=*.payments"}),
                _ if text.contains("jwt") => json!({"issuer": "https://bad"}),
                _ => of_certificates[1].clone(),
            });
        }
        let mut config = json!({
            "identify": ways,
            "allow": NAMESPACES.map(|namespace| json!({"namespace": namespace})),
            "deny": deny,
        });
        if choose_by {
            config["chooseBy"] = json!("x-scope-orgid");
        }
        let config: SendersConfig = serde_json::from_value(config).unwrap();
        let senders = check("senders", |place| config.compile(place)).unwrap();
        let payloads: Vec<_> = shown.tokens.iter().map(|(key, names, iss)| {
            (*key, if iss.is_empty() { json!({"tenant": names}) } else { json!({"tenant": names, "iss": iss}) })
        }).collect();
        let metadata = tokens::metadata(&payloads);
        let presented = own.clone().map(Rc::new);
        let over = matches!(shown.certificate, Presented::Good(_, true));
        let ambiguity = if fixed { Ambiguity::Tolerated } else { Ambiguity::Refused };
        let mut evidence = Evidence {
            certificate: &mut || match (&presented, &shown.certificate) {
                (Some(certificate), _) => Ok(Rc::clone(certificate)),
                (None, Presented::NotVerified) => Err(PeerError::NotVerified),
                (None, Presented::Unreadable) => Err(PeerError::Unreadable(
                    sluice_senders::CertificateError::TooManySans,
                )),
                (None, _) => Err(PeerError::NoCertificate),
            },
            header: &|name| match name {
                "x-api-key" => shown.keys.iter().map(|key| key.as_bytes()).collect(),
                "x-scope-orgid" => shown.said.iter().map(|said| said.as_bytes()).collect(),
                _ => Vec::new(),
            },
            metadata: Some(&metadata),
            now: if over { pki::NOT_AFTER } else { NOW },
        };
        let admitted = senders.admit(&mut evidence, ambiguity);
        let cannot_be_judged =
            matches!(shown.certificate, Presented::Unreadable | Presented::NotVerified);
        if deny.iter().any(|entry| shows(&shown, &text, entry, own.as_ref())) {
            let refused = admitted.unwrap_err();
            // A certificate that cannot be checked is refused for that reason.
            prop_assert!(is_denial(&refused) || cannot_be_judged, "{refused}");
            return Ok(());
        }
        let judges = text.contains("clientCertificate")
            || text.contains("forwarded")
            || deny.iter().any(|entry| entry["namespace"].is_null());
        if judges && cannot_be_judged {
            prop_assert!(admitted.is_err());
        }
        // A request that shows nothing denied is not refused as denied.
        if let Err(refused) = admitted {
            prop_assert!(!is_denial(&refused), "{refused}");
        }
    }
}
