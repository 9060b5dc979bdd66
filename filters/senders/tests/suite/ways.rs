//! The ways in which a sender is found. Each test is a row of the README's behaviour table.

use std::{cell::Cell, rc::Rc};

use serde_json::{Value, json};
use sluice_senders::{
    Admitted, Ambiguity, Certificate, Evidence, NoIdentity, NotAdmitted, Senders, SendersConfig,
};

use crate::pki;

const NOW: u64 = 1_800_000_000; // 2027-01-15T08:00:00Z

/// What a request of these tests shows.
#[derive(Default)]
struct Shown {
    certificate: Option<Certificate>,
    headers: Vec<(&'static str, &'static str)>,
    attributes: Vec<(&'static str, Vec<u8>)>,
    now: Option<u64>,
}

impl Shown {
    fn certificate(san: &str) -> Self {
        Self { certificate: Some(certificate(san)), ..Self::default() }
    }

    fn token(claims: &[(&'static str, &[u8])]) -> Self {
        let attributes = claims.iter().map(|(name, value)| (*name, value.to_vec())).collect();
        Self { attributes, ..Self::default() }
    }

    fn header(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.push((name, value));
        self
    }

    fn at(self, now: u64) -> Self {
        Self { now: Some(now), ..self }
    }
}

fn certificate(san: &str) -> Certificate {
    let san = if san.contains(':') { pki::uri(san) } else { pki::dns(san) };
    Certificate::from_der(pki::certificate([san]).der()).unwrap()
}

fn senders(config: Value) -> Senders {
    let config: SendersConfig = serde_json::from_value(config).unwrap();
    Senders::compile(&config, "senders").unwrap()
}

/// A gate with these ways that lets in payments and team-*.
fn found_by(identify: Value) -> Senders {
    senders(json!({
        "identify": identify,
        "allow": [{"namespace": "payments"}, {"namespace": "team-*"}],
    }))
}

fn admit(senders: &Senders, shown: &Shown) -> Result<Admitted, NotAdmitted> {
    let certificate = shown.certificate.clone().map(Rc::new);
    let asked = senders.attributes().iter().map(|path| {
        let name = path.last().unwrap();
        let value = shown.attributes.iter().find(|(known, _)| known == name);
        value.map(|(_, value)| value.clone())
    });
    let attributes: Vec<_> = asked.collect();
    let mut evidence = Evidence {
        certificate: &mut || certificate.clone().ok_or(NoIdentity::NoCertificate),
        header: &|name| {
            let values = shown.headers.iter().filter(|(known, _)| *known == name);
            values.map(|(_, value)| value.as_bytes()).collect()
        },
        attributes: &attributes,
        now: shown.now.unwrap_or(NOW),
    };
    senders.admit(&mut evidence, Ambiguity::Refused)
}

#[track_caller]
fn assert_is(senders: &Senders, shown: &Shown, namespace: &str, by: &str) {
    let admitted = admit(senders, shown).unwrap();
    assert_eq!(
        (admitted.namespace(), admitted.identified_by().to_string().as_str()),
        (namespace, by)
    );
}

#[track_caller]
fn assert_nobody(senders: &Senders, shown: &Shown, says: &str) {
    let refused = admit(senders, shown).unwrap_err();
    assert!(refused.to_string().contains(says), "{refused}");
}

/// As Envoy writes a list of texts.
fn list(elements: &[&str]) -> Vec<u8> {
    let number = |number: usize| u32::try_from(number).unwrap().to_le_bytes();
    let mut bytes = number(elements.len()).to_vec();
    elements.iter().for_each(|element| bytes.extend([number(element.len()), number(0)].concat()));
    elements.iter().for_each(|element| bytes.extend([element.as_bytes(), &[0, 0]].concat()));
    bytes
}

/// The SHA-256 of `letmein`.
const LETMEIN: &str = "1c8bfe8f801d79745c4631d09fff36c82aa37fc4cce4fc946683d7b336b63032";

fn token() -> Value {
    json!({"jwt": {"names": [
        {"claim": "tenant", "pattern": "{namespace}"},
        {"claim": "groups", "within": ["realm_access"], "pattern": "/{namespace}/root/writers"},
    ]}})
}

fn own_name() -> Value {
    json!({"clientCertificate": {"names": [{"dns": "*.{namespace}"}]}})
}

fn key(until: Value) -> Value {
    json!({"apiKey": {
        "header": "X-API-Key",
        "from": [{"dns": "gateway.edge.example"}],
        "keys": [{"sha256": LETMEIN, "namespace": "payments", "serviceAccount": "otel", "until": until}],
    }})
}

fn gate() -> Value {
    json!({"forwarded": {"from": [
        {"dns": "gate.eu.example", "namespaces": ["payments", "team-*"]},
        {"uri": "spiffe://us/gate", "namespaces": ["shop"]},
    ]}})
}

#[test]
fn a_request_without_a_verified_token_is_nobody() {
    let senders = found_by(json!([token()]));
    assert_nobody(&senders, &Shown::default(), "no verified token");
    let unsigned = Shown::default().header("authorization", "Bearer eyJ0ZW5hbnQiOiJwYXltZW50cyJ9");
    assert_nobody(&senders, &unsigned, "no verified token");
}

#[test]
fn a_claim_that_matches_no_pattern_names_nobody() {
    let senders = found_by(json!([token()]));
    for value in [&b"Payments"[..], b"payments/x", b"/payments/root/writers", b"\0", &[0xff; 8]] {
        let refused = admit(&senders, &Shown::token(&[("tenant", value), ("iss", b"idp")]));
        let refused = refused.unwrap_err();
        assert!(matches!(refused, NotAdmitted::TokenNamesNobody { .. }), "{refused}");
    }
    let readers = list(&["/payments/root/readers", "/payments/root/writers/x"]);
    assert_nobody(&senders, &Shown::token(&[("groups", &readers)]), "/payments/root/readers");
}

#[test]
fn a_claim_names_a_sender_as_a_text_or_in_a_list() {
    let senders = found_by(json!([token()]));
    assert_is(&senders, &Shown::token(&[("tenant", b"payments")]), "payments", "jwt");
    let groups = list(&["/elsewhere/root/readers", "/team-a/root/writers"]);
    assert_is(&senders, &Shown::token(&[("groups", &groups)]), "team-a", "jwt");
}

#[test]
fn a_token_of_several_allowed_namespaces_is_ambiguous() {
    let senders = found_by(json!([token()]));
    let tenants = list(&["payments", "team-a", "elsewhere"]);
    let refused = admit(&senders, &Shown::token(&[("tenant", &tenants)])).unwrap_err();
    let NotAdmitted::Ambiguous { namespaces, choice: None } = &refused else { panic!("{refused}") };
    assert_eq!(namespaces.to_string(), "payments, team-a");
}

#[test]
fn a_sender_of_several_namespaces_names_one_of_them_and_gets_no_other() {
    let senders = senders(json!({
        "identify": [token(), own_name()],
        "allow": [{"namespace": "payments"}, {"namespace": "team-*"}],
        "chooseBy": "X-Scope-OrgID",
    }));
    let tenants = list(&["payments", "team-a", "elsewhere"]);
    let token = || Shown::token(&[("tenant", &tenants)]);
    assert_nobody(&senders, &token(), "or say in x-scope-orgid which one it is");
    let chosen = token().header("x-scope-orgid", "team-a");
    assert_is(&senders, &chosen, "team-a", "jwt");
    for other in ["team-b", "elsewhere", "payments|team-a", "", "PAYMENTS"] {
        let refused = admit(&senders, &token().header("x-scope-orgid", other)).unwrap_err();
        assert!(matches!(refused, NotAdmitted::NotAllowed { .. }), "{other}: {refused}");
    }
    let twice = token().header("x-scope-orgid", "team-a").header("x-scope-orgid", "payments");
    assert!(matches!(admit(&senders, &twice), Err(NotAdmitted::NotAllowed { .. })));
    // Who has one namespace alone gets no other either.
    let certificate = || Shown::certificate("*.payments");
    assert_is(&senders, &certificate(), "payments", "clientCertificate");
    assert_nobody(&senders, &certificate().header("x-scope-orgid", "team-a"), "team-a");
}

#[test]
fn an_entry_may_ask_who_vouches() {
    let senders = senders(json!({
        "identify": [token(), own_name()],
        "allow": [
            {"namespace": "payments", "issuer": "https://idp.example"},
            {"namespace": "team-a", "issuer": "CN=*.payments"},
        ],
    }));
    let by = |issuer: &[u8]| Shown::token(&[("tenant", b"payments"), ("iss", issuer)]);
    assert_is(&senders, &by(b"https://idp.example"), "payments", "jwt");
    assert!(matches!(admit(&senders, &by(b"https://other")), Err(NotAdmitted::NotAllowed { .. })));
    let unsaid = Shown::token(&[("tenant", b"payments")]);
    assert!(matches!(admit(&senders, &unsaid), Err(NotAdmitted::NotAllowed { .. })));
    // The certificates of these tests sign themselves.
    assert_is(&senders, &Shown::certificate("*.team-a"), "team-a", "clientCertificate");
    let token = Shown::token(&[("tenant", b"team-a"), ("iss", b"https://idp.example")]);
    assert!(matches!(admit(&senders, &token), Err(NotAdmitted::NotAllowed { .. })));
}

#[test]
fn an_entry_may_ask_for_one_certificate() {
    let (own, other) = (certificate("*.payments"), certificate("*.payments"));
    let colons = |hex: &str| {
        let pairs = hex.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap());
        pairs.collect::<Vec<_>>().join(":").to_uppercase()
    };
    let senders = senders(json!({
        "identify": [own_name()],
        "allow": [{"namespace": "payments", "fingerprint": colons(own.sha256())}],
    }));
    let shown = |certificate| Shown { certificate: Some(certificate), ..Shown::default() };
    assert_is(&senders, &shown(own), "payments", "clientCertificate");
    let other =
        Certificate::from_der(pki::certificate([pki::dns("*.payments"), pki::dns("x")]).der())
            .map_or(other, |differs| differs);
    assert!(matches!(admit(&senders, &shown(other)), Err(NotAdmitted::NotAllowed { .. })));
}

#[test]
fn a_denied_certificate_is_cut_off_whoever_it_is_found_to_be() {
    let own = certificate("*.payments");
    for deny in [json!({"fingerprint": own.sha256()}), json!({"issuer": "CN=*.payments"})] {
        let senders = senders(json!({
            "identify": [token(), own_name()],
            "allow": [{"namespace": "payments"}],
            "deny": [deny],
        }));
        for shown in [Shown::default(), Shown::token(&[("tenant", b"payments")])] {
            let shown = Shown { certificate: Some(own.clone()), ..shown };
            assert_eq!(admit(&senders, &shown), Err(NotAdmitted::CertificateDenied));
        }
        let without = Shown::token(&[("tenant", b"payments")]);
        assert_is(&senders, &without, "payments", "jwt");
    }
}

#[test]
fn an_entry_holds_from_the_moment_that_it_names() {
    let senders = senders(json!({
        "identify": [own_name()],
        "allow": [{"namespace": "payments", "from": "2027-01-15T08:00:00Z", "until": "2027-01-16T00:00:00Z"}],
    }));
    let at = |now| admit(&senders, &Shown::certificate("*.payments").at(now));
    assert!(at(NOW).is_ok());
    let early = at(NOW - 1).unwrap_err();
    assert!(matches!(early, NotAdmitted::NotYet { .. }));
    assert!(early.to_string().contains("begins at 2027-01-15T08:00:00Z"), "{early}");
}

#[test]
fn a_certificate_that_has_ended_on_a_live_connection_is_nobody() {
    let senders = found_by(json!([own_name()]));
    let at = |now| admit(&senders, &Shown::certificate("*.payments").at(now));
    assert!(at(pki::NOT_AFTER - 1).is_ok());
    let ended = at(pki::NOT_AFTER).unwrap_err();
    assert!(ended.to_string().contains("ended at 2031-01-01T00:00:00Z"), "{ended}");
}

#[test]
fn a_certificate_is_warned_about_before_its_end() {
    let near = |config: Value, left| {
        let senders = found_by(json!([{"clientCertificate": config}]));
        let shown = Shown::certificate("*.payments").at(pki::NOT_AFTER - left);
        admit(&senders, &shown).unwrap().ending().unwrap().is_near
    };
    let names = json!([{"dns": "*.{namespace}"}]);
    let four_hours = || json!({"names": names, "warnBeforeEnd": "4h"});
    assert!(near(four_hours(), 4 * 3_600 - 1) && !near(four_hours(), 4 * 3_600));
    // A sixth of the five years that the certificates of these tests have.
    let year = 365 * 86_400;
    assert!(near(json!({"names": names}), year / 2) && !near(json!({"names": names}), year));
}

#[test]
fn an_api_key_from_elsewhere_is_nobody() {
    let senders = found_by(json!([key(Value::Null)]));
    assert_nobody(
        &senders,
        &Shown::certificate("gateway.edge.example"),
        "no API key was sent in x-api-key",
    );
    let direct = Shown::default().header("x-api-key", "letmein");
    assert_nobody(&senders, &direct, "no client certificate was presented");
    for san in ["gateway.edge.example.evil", "*.payments", "dns://gateway.edge.example"] {
        let other = Shown::certificate(san).header("x-api-key", "letmein");
        assert_nobody(&senders, &other, "from this platform's API gateway alone");
    }
}

#[test]
fn a_key_that_is_not_known_twice_there_or_over_is_nobody() {
    let gateway = || Shown::certificate("gateway.edge.example");
    let senders = found_by(json!([key(json!("2027-01-15T08:00:00Z"))]));
    for shown in [
        gateway().header("x-api-key", "letmeout").at(NOW - 1),
        gateway().header("x-api-key", "").at(NOW - 1),
        gateway().header("x-api-key", LETMEIN).at(NOW - 1),
        gateway().header("x-api-key", "letmein").header("x-api-key", "letmein").at(NOW - 1),
        gateway().header("x-api-key", "letmein"),
    ] {
        assert_nobody(&senders, &shown, "the API key is not known here");
    }
    assert_is(
        &senders,
        &gateway().header("x-api-key", "letmein").at(NOW - 1),
        "payments",
        "apiKey",
    );
}

#[test]
fn an_api_key_is_its_owner() {
    let senders = found_by(json!([key(Value::Null)]));
    let shown = Shown::certificate("gateway.edge.example").header("x-api-key", "letmein");
    let admitted = admit(&senders, &shown).unwrap();
    assert_eq!((admitted.namespace(), admitted.service_account()), ("payments", Some("otel")));
    assert_eq!(senders.headers_taken(), ["x-api-key"]);
}

#[test]
fn a_gate_speaks_for_those_that_its_entry_lists() {
    let senders = found_by(json!([gate()]));
    let eu = || Shown::certificate("gate.eu.example");
    assert_is(&senders, &eu().header("x-scope-orgid", "payments"), "payments", "forwarded");
    assert_is(&senders, &eu().header("x-scope-orgid", "team-a"), "team-a", "forwarded");
    assert_nobody(&senders, &eu().header("x-scope-orgid", "shop"), "may not forward for shop");
    // What a gate may say is still not what the list allows.
    let us = Shown::certificate("spiffe://us/gate").header("x-scope-orgid", "shop");
    assert!(matches!(admit(&senders, &us), Err(NotAdmitted::NotAllowed { .. })));
}

#[test]
fn nobody_but_a_gate_speaks_for_others() {
    let senders = found_by(json!([gate()]));
    for shown in [
        Shown::certificate("gate.eu.example"),
        Shown::certificate("*.payments").header("x-scope-orgid", "payments"),
        Shown::certificate("gate.eu.example")
            .header("x-scope-orgid", "payments")
            .header("x-scope-orgid", "payments"),
        Shown::certificate("gate.eu.example").header("x-scope-orgid", "pay|ments"),
    ] {
        assert_nobody(&senders, &shown, "no gate that may forward");
    }
    assert_nobody(
        &senders,
        &Shown::default().header("x-scope-orgid", "payments"),
        "no client certificate",
    );
}

#[test]
fn the_first_way_that_finds_someone_decides() {
    let senders = found_by(json!([gate(), token(), own_name()]));
    let all = || {
        let tenant = vec![("tenant", b"team-t".to_vec())];
        Shown { attributes: tenant, ..Shown::certificate("gate.eu.example") }
    };
    assert_is(&senders, &all().header("x-scope-orgid", "team-f"), "team-f", "forwarded");
    assert_is(&senders, &all(), "team-t", "jwt");
    assert_is(&senders, &Shown::certificate("*.team-c"), "team-c", "clientCertificate");
    // What is shown and names nobody says more than what is not shown.
    assert_nobody(&senders, &Shown::certificate("nobody"), "DNS:nobody");
    assert_nobody(&senders, &Shown::default(), "no client certificate");
}

#[test]
fn a_gate_that_names_whom_it_may_not_is_not_asked_for_its_own_name() {
    let senders = found_by(json!([
        {"forwarded": {"from": [{"dns": "*.payments", "namespaces": ["team-*"]}]}},
        own_name(),
    ]));
    let shown = Shown::certificate("*.payments");
    assert_is(&senders, &shown, "payments", "clientCertificate");
    let oversteps = Shown::certificate("*.payments").header("x-scope-orgid", "shop");
    assert_nobody(&senders, &oversteps, "may not forward for shop");
}

#[test]
fn all_of_several_ways_must_agree_on_a_namespace() {
    let senders = found_by(json!([{"allOf": [own_name(), token()]}]));
    let both = |tenant: &[u8]| Shown {
        attributes: vec![("tenant", tenant.to_vec())],
        ..Shown::certificate("*.payments")
    };
    assert_is(&senders, &both(b"payments"), "payments", "clientCertificate+jwt");
    assert_is(&senders, &both(&list(&["team-a", "payments"])), "payments", "clientCertificate+jwt");
    assert_nobody(&senders, &both(b"team-a"), "no namespace in common");
    assert_nobody(&senders, &Shown::certificate("*.payments"), "no verified token");
    assert_nobody(&senders, &Shown::token(&[("tenant", b"payments")]), "no client certificate");
}

#[test]
fn any_of_several_ways_may_stand_for_one_of_all() {
    let senders =
        found_by(json!([{"allOf": [own_name(), {"anyOf": [token(), key(Value::Null)]}]}]));
    let with_token = Shown {
        attributes: vec![("tenant", b"payments".to_vec())],
        ..Shown::certificate("*.payments")
    };
    assert_is(&senders, &with_token, "payments", "clientCertificate+jwt");
    assert_nobody(&senders, &Shown::certificate("*.payments"), "no verified token");
    let with_key = Shown::certificate("*.payments").header("x-api-key", "letmein");
    assert_nobody(&senders, &with_key, "from this platform's API gateway alone");
}

#[test]
fn a_certificate_is_not_read_where_nothing_asks_for_it() {
    let senders = found_by(json!([token()]));
    let asked = Cell::new(false);
    let attributes = [Some(b"payments".to_vec()), None, None];
    let mut evidence = Evidence {
        certificate: &mut || {
            asked.set(true);
            Err(NoIdentity::NoCertificate)
        },
        header: &|_| Vec::new(),
        attributes: &attributes,
        now: NOW,
    };
    assert!(senders.admit(&mut evidence, Ambiguity::Refused).is_ok());
    assert!(!asked.get());
}
