//! The identity sources. Each test is a row of the README's behaviour table.

use std::{cell::Cell, rc::Rc};

use serde_json::{Value, json};
use sluice_config::check;
use sluice_senders::{
    Admitted, Ambiguity, Certificate, Claimed, Evidence, ForwardedError, IdentityError, JwtError,
    NotAdmitted, PeerError, Senders, SendersConfig,
};

use crate::{pki, tokens};

const NOW: u64 = 1_800_000_000; // 2027-01-15T08:00:00Z

/// What a request of these tests shows.
#[derive(Default)]
struct Shown {
    certificate: Option<Certificate>,
    headers: Vec<(&'static str, &'static str)>,
    tokens: Vec<(&'static str, Value)>,
    now: Option<u64>,
}

impl Shown {
    fn certificate(san: &str) -> Self {
        Self { certificate: Some(certificate(san)), ..Self::default() }
    }

    fn token(claims: Value) -> Self {
        Self::default().and_token("payload", claims)
    }

    fn and_token(mut self, key: &'static str, claims: Value) -> Self {
        self.tokens.push((key, claims));
        self
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
    check("senders", |place| config.compile(place)).unwrap()
}

/// A gate with these identity sources that allows payments and team-*.
fn found_by(identify: Value) -> Senders {
    senders(json!({
        "identify": identify,
        "allow": [{"namespace": "payments"}, {"namespace": "team-*"}],
    }))
}

fn token_names_nobody(refused: &NotAdmitted) -> bool {
    matches!(refused, NotAdmitted::NotIdentified(IdentityError::Jwt(JwtError::NamesNobody { .. })))
}

fn admit(senders: &Senders, shown: &Shown) -> Result<Admitted, NotAdmitted> {
    let certificate = shown.certificate.clone().map(Rc::new);
    let metadata = tokens::metadata(&shown.tokens);
    let mut evidence = Evidence {
        certificate: &mut || certificate.clone().ok_or(PeerError::NoCertificate),
        header: &|name| {
            let values = shown.headers.iter().filter(|(known, _)| *known == name);
            values.map(|(_, value)| value.as_bytes()).collect()
        },
        metadata: Some(&metadata),
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
    for value in ["Payments", "payments/x", "/payments/root/writers", "\0", "payments\n", ""] {
        let refused = admit(&senders, &Shown::token(json!({"tenant": value}))).unwrap_err();
        assert!(token_names_nobody(&refused), "{refused}");
    }
    let readers = ["/payments/root/readers", "/payments/root/writers/x"];
    let token = Shown::token(json!({"realm_access": {"groups": readers}}));
    assert_nobody(&senders, &token, "/payments/root/readers");
}

#[test]
fn a_claim_names_a_sender_as_a_text_or_in_a_list() {
    let senders = found_by(json!([token()]));
    assert_is(&senders, &Shown::token(json!({"tenant": "payments"})), "payments", "jwt");
    let groups = json!([null, "/elsewhere/root/readers", 7, "/team-a/root/writers", {"a": "b"}]);
    let token = Shown::token(json!({"realm_access": {"groups": groups}}));
    assert_is(&senders, &token, "team-a", "jwt");
}

#[test]
fn a_token_of_several_allowed_namespaces_is_ambiguous() {
    let senders = found_by(json!([token()]));
    let token = Shown::token(json!({"tenant": ["payments", "team-a", "elsewhere"]}));
    let refused = admit(&senders, &token).unwrap_err();
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
    let token = || Shown::token(json!({"tenant": ["payments", "team-a", "elsewhere"]}));
    assert_nobody(&senders, &token(), "or name one of them in x-scope-orgid");
    let chosen = token().header("x-scope-orgid", "team-a");
    assert_is(&senders, &chosen, "team-a", "jwt");
    for other in ["team-b", "elsewhere", "payments|team-a", "", "PAYMENTS"] {
        let refused = admit(&senders, &token().header("x-scope-orgid", other)).unwrap_err();
        assert!(matches!(refused, NotAdmitted::NotAllowed { .. }), "{other}: {refused}");
    }
    let twice = token().header("x-scope-orgid", "team-a").header("x-scope-orgid", "payments");
    assert!(matches!(admit(&senders, &twice), Err(NotAdmitted::NotAllowed { .. })));
    // A sender with only one namespace cannot choose another one either.
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
    let by = |issuer: &str| Shown::token(json!({"tenant": "payments", "iss": issuer}));
    assert_is(&senders, &by("https://idp.example"), "payments", "jwt");
    assert!(matches!(admit(&senders, &by("https://other")), Err(NotAdmitted::NotAllowed { .. })));
    let unsaid = Shown::token(json!({"tenant": "payments"}));
    assert!(matches!(admit(&senders, &unsaid), Err(NotAdmitted::NotAllowed { .. })));
    // The certificates of these tests are self-signed.
    assert_is(&senders, &Shown::certificate("*.team-a"), "team-a", "clientCertificate");
    let token = Shown::token(json!({"tenant": "team-a", "iss": "https://idp.example"}));
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
        for shown in [Shown::default(), Shown::token(json!({"tenant": "payments"}))] {
            let shown = Shown { certificate: Some(own.clone()), ..shown };
            assert_eq!(admit(&senders, &shown), Err(NotAdmitted::CertificateDenied));
        }
        let without = Shown::token(json!({"tenant": "payments"}));
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
    assert!(early.to_string().contains("starts at 2027-01-15T08:00:00Z"), "{early}");
}

#[test]
fn a_certificate_that_has_ended_on_a_live_connection_is_nobody() {
    let senders = found_by(json!([own_name()]));
    let at = |now| admit(&senders, &Shown::certificate("*.payments").at(now));
    assert!(at(pki::NOT_AFTER - 1).is_ok());
    let ended = at(pki::NOT_AFTER).unwrap_err();
    assert!(ended.to_string().contains("expired at 2031-01-01T00:00:00Z"), "{ended}");
}

#[test]
fn a_certificate_is_warned_about_before_its_end() {
    let near = |config: Value, left| {
        let senders = found_by(json!([{"clientCertificate": config}]));
        let shown = Shown::certificate("*.payments").at(pki::NOT_AFTER - left);
        admit(&senders, &shown).unwrap().expiry().unwrap().renewal_overdue
    };
    let names = json!([{"dns": "*.{namespace}"}]);
    let four_hours = || json!({"names": names, "warnBeforeEnd": "4h"});
    assert!(near(four_hours(), 4 * 3_600 - 1) && !near(four_hours(), 4 * 3_600));
    // A sixth of the five years for which the certificates of these tests are valid.
    let year = 365 * 86_400;
    assert!(near(json!({"names": names}), year / 2) && !near(json!({"names": names}), year));
}

#[test]
fn an_api_key_from_elsewhere_is_nobody() {
    let senders = found_by(json!([key(Value::Null)]));
    assert_nobody(
        &senders,
        &Shown::certificate("gateway.edge.example"),
        "the request has no API key in the header x-api-key",
    );
    let direct = Shown::default().header("x-api-key", "letmein");
    assert_nobody(&senders, &direct, "no client certificate was presented");
    for san in ["gateway.edge.example.evil", "*.payments", "dns://gateway.edge.example"] {
        let other = Shown::certificate(san).header("x-api-key", "letmein");
        assert_nobody(&senders, &other, "only from the platform's API gateway");
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
        assert_nobody(&senders, &shown, "unknown or expired API key");
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
    assert_nobody(
        &senders,
        &eu().header("x-scope-orgid", "shop"),
        "not allowed to send on behalf of namespace shop",
    );
    // What a gateway may name must still be on the allowlist.
    let us = Shown::certificate("spiffe://us/gate").header("x-scope-orgid", "shop");
    assert!(matches!(admit(&senders, &us), Err(NotAdmitted::NotAllowed { .. })));
}

#[test]
fn nobody_but_a_gate_speaks_for_others() {
    let senders = found_by(json!([gate()]));
    for shown in [
        Shown::certificate("gate.eu.example"),
        Shown::certificate("*.payments").header("x-scope-orgid", "payments"),
    ] {
        assert_nobody(&senders, &shown, "not that of a trusted forwarding gateway");
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
    let all =
        || Shown::certificate("gate.eu.example").and_token("payload", json!({"tenant": "team-t"}));
    assert_is(&senders, &all().header("x-scope-orgid", "team-f"), "team-f", "forwarded");
    assert_is(&senders, &all(), "team-t", "jwt");
    assert_is(&senders, &Shown::certificate("*.team-c"), "team-c", "clientCertificate");
    // An identity that is shown but matches nothing gives a better reason than one that is not
    // shown.
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
    assert_nobody(&senders, &oversteps, "not allowed to send on behalf of namespace shop");
}

#[test]
fn all_of_several_ways_must_agree_on_a_namespace() {
    let senders = found_by(json!([{"allOf": [own_name(), token()]}]));
    let both = |tenant: Value| {
        Shown::certificate("*.payments").and_token("payload", json!({"tenant": tenant}))
    };
    assert_is(&senders, &both(json!("payments")), "payments", "clientCertificate+jwt");
    assert_is(&senders, &both(json!(["team-a", "payments"])), "payments", "clientCertificate+jwt");
    assert_nobody(&senders, &both(json!("team-a")), "name different namespaces");
    assert_nobody(&senders, &Shown::certificate("*.payments"), "no verified token");
    assert_nobody(&senders, &Shown::token(json!({"tenant": "payments"})), "no client certificate");
}

#[test]
fn any_of_several_ways_may_stand_for_one_of_all() {
    let senders =
        found_by(json!([{"allOf": [own_name(), {"anyOf": [token(), key(Value::Null)]}]}]));
    let with_token =
        Shown::certificate("*.payments").and_token("payload", json!({"tenant": "payments"}));
    assert_is(&senders, &with_token, "payments", "clientCertificate+jwt");
    assert_nobody(&senders, &Shown::certificate("*.payments"), "no verified token");
    let with_key = Shown::certificate("*.payments").header("x-api-key", "letmein");
    assert_nobody(&senders, &with_key, "only from the platform's API gateway");
}

#[test]
fn a_certificate_is_not_read_where_nothing_asks_for_it() {
    let senders = found_by(json!([token()]));
    let asked = Cell::new(false);
    let metadata = tokens::metadata(&[("payload", json!({"tenant": "payments"}))]);
    let mut evidence = Evidence {
        certificate: &mut || {
            asked.set(true);
            Err(PeerError::NoCertificate)
        },
        header: &|_| Vec::new(),
        metadata: Some(&metadata),
        now: NOW,
    };
    assert!(senders.admit(&mut evidence, Ambiguity::Refused).is_ok());
    assert!(!asked.get());
}

#[test]
fn a_gate_that_names_no_one_namespace_is_not_asked_for_its_own_name() {
    let senders = found_by(json!([
        {"forwarded": {"from": [{"dns": "*.payments", "namespaces": ["payments", "team-*"]}]}},
        own_name(),
    ]));
    let gate = || Shown::certificate("*.payments");
    let said = ["PAYMENTS", "team_a", "team-a,team-b", "team-a|team-b", "", " ", "pay\u{e9}"];
    for said in said {
        let refused = admit(&senders, &gate().header("x-scope-orgid", said)).unwrap_err();
        let for_nobody = matches!(
            refused,
            NotAdmitted::NotIdentified(IdentityError::Forwarded(ForwardedError::ForNobody { .. }))
        );
        assert!(for_nobody, "{said}: {refused}");
    }
    let twice = gate().header("x-scope-orgid", "team-a").header("x-scope-orgid", "team-a");
    assert_nobody(&senders, &twice, r#"received: "team-a", "team-a""#);
    assert_is(&senders, &gate(), "payments", "clientCertificate");
}

#[test]
fn what_is_no_text_names_nobody() {
    let senders = found_by(json!([token()]));
    // The number whose eight bytes spell the namespace.
    let spells = f64::from_le_bytes(*b"payments");
    for value in
        [json!(spells), json!({"payments": ""}), json!(true), json!(null), json!([["payments"]])]
    {
        let refused = admit(&senders, &Shown::token(json!({"tenant": value}))).unwrap_err();
        assert!(token_names_nobody(&refused), "{value}: {refused}");
    }
    let within = Shown::token(json!({"realm_access": "/payments/root/writers"}));
    assert!(token_names_nobody(&admit(&senders, &within).unwrap_err()));
}

#[test]
fn a_token_that_cannot_be_read_is_not_taken_for_none() {
    let senders = found_by(json!([token(), own_name()]));
    let own = Rc::new(certificate("*.payments"));
    let good = tokens::metadata(&[("payload", json!({"tenant": "team-a"}))]);
    for cut in 1..good.len() {
        let mut evidence = Evidence {
            certificate: &mut || Ok(Rc::clone(&own)),
            header: &|_| Vec::new(),
            metadata: good.get(..cut),
            now: NOW,
        };
        // If it is cut between two fields, it is a valid message without the second field.
        match senders.admit(&mut evidence, Ambiguity::Refused) {
            Ok(admitted) => assert!(matches!(admitted.namespace(), "payments" | "team-a")),
            Err(refused) => {
                assert_eq!(refused, IdentityError::from(JwtError::Unreadable).into(), "{cut}")
            }
        }
    }
}

#[test]
fn the_claim_of_the_tenant_is_of_the_token_that_found_the_sender() {
    let claimed = |identify: Value, shown: &Shown| {
        let mut senders = found_by(identify);
        assert!(senders.read_claim("t"));
        admit(&senders, shown).map(|admitted| admitted.claimed().clone())
    };
    let at = |key: &str| {
        let payload = json!(["metadata", "filter_metadata", tokens::FILTER, key]);
        json!({"jwt": {"payload": payload, "names": [{"claim": "tenant", "pattern": "{namespace}"}]}})
    };
    let text = |text: &str| Ok(Claimed::Text(text.to_owned()));
    let one = || Shown::default().and_token("a", json!({"t": "victim"}));
    let both = one().and_token("b", json!({"tenant": "payments", "t": "tb"}));
    assert_eq!(claimed(json!([at("a"), at("b")]), &both), text("tb"));
    assert_eq!(claimed(json!([at("b"), at("a")]), &both), text("tb"));
    let unsaid = one().and_token("b", json!({"tenant": "payments"}));
    assert_eq!(claimed(json!([at("a"), at("b")]), &unsaid), Ok(Claimed::Nothing));
    // A certificate has identified the sender.
    let mine = Shown::certificate("*.payments").and_token("a", json!({"t": "victim"}));
    assert_eq!(claimed(json!([at("a"), own_name()]), &mine), Ok(Claimed::Nothing));
    // All of them have to identify the sender.
    let together = json!([{"allOf": [at("a"), own_name(), at("b")]}]);
    let agree = |a: Value, b: Value| {
        let shown = Shown::certificate("*.payments").and_token("a", a).and_token("b", b);
        claimed(together.clone(), &shown)
    };
    let says = |t: Value| json!({"tenant": "payments", "t": t});
    assert_eq!(agree(says(json!("x")), says(json!("x"))), text("x"));
    assert_eq!(agree(says(json!("x")), json!({"tenant": "payments"})), text("x"));
    assert_eq!(agree(says(json!("x")), says(json!("y"))), Ok(Claimed::Contradiction));
    for (value, is) in [
        (json!(12), "a number"),
        (json!(true), "a boolean"),
        (json!(null), "null"),
        (json!({"a": "b"}), "an object"),
        (json!([]), "an empty list"),
        (json!([12]), "a list without a string"),
        (json!(["a", "b"]), "a list of several values"),
        (json!(["a", null]), "a list of several values"),
    ] {
        let shown = Shown::token(json!({"tenant": "payments", "t": value}));
        assert_eq!(claimed(json!([token()]), &shown), Ok(Claimed::Other(is)));
    }
    let listed = Shown::token(json!({"tenant": "payments", "t": ["x"]}));
    assert_eq!(claimed(json!([token()]), &listed), text("x"));
}

#[test]
fn a_denied_name_is_not_hidden_by_another_way() {
    let both = |tenant: Value, sans: &[&str]| {
        let sans = sans.iter().map(|san| pki::dns(san));
        let certificate = Certificate::from_der(pki::certificate(sans).der()).unwrap();
        Shown { certificate: Some(certificate), ..Shown::token(json!({"tenant": tenant})) }
    };
    for identify in [
        json!([{"allOf": [own_name(), token()]}]),
        json!([{"allOf": [token(), own_name()]}]),
        json!([{"anyOf": [own_name(), token()]}]),
        json!([own_name(), token()]),
        json!([token(), own_name()]),
    ] {
        let senders = senders(json!({
            "identify": identify,
            "allow": [{"namespace": "payments"}],
            "deny": [{"namespace": "team-rogue"}],
            "chooseBy": "x-scope-orgid",
        }));
        for shown in [
            both(json!("payments"), &["*.payments", "*.team-rogue"]),
            both(json!(["payments", "team-rogue"]), &["*.payments"]),
            both(json!("payments"), &["*.payments", "*.team-rogue"])
                .header("x-scope-orgid", "payments"),
        ] {
            let denied = NotAdmitted::Denied { namespace: "team-rogue".to_owned() };
            assert_eq!(admit(&senders, &shown), Err(denied), "{identify}");
        }
        assert!(admit(&senders, &both(json!("payments"), &["*.payments"])).is_ok());
    }
}

#[test]
fn a_certificate_that_cannot_be_judged_is_refused_where_certificates_are_denied() {
    let metadata = tokens::metadata(&[("payload", json!({"tenant": "payments"}))]);
    let admit = |senders: &Senders, why: &PeerError| {
        let mut evidence = Evidence {
            certificate: &mut || Err(why.clone()),
            header: &|_| Vec::new(),
            metadata: Some(&metadata),
            now: NOW,
        };
        senders.admit(&mut evidence, Ambiguity::Refused).map(|_| ())
    };
    let config = |identify: Value, deny: Value| {
        let allow = [json!({"namespace": "payments"})];
        senders(json!({"identify": identify, "allow": allow, "deny": deny}))
    };
    let shut = || json!([{"namespace": "shut"}]);
    let too_many = PeerError::Unreadable(sluice_senders::CertificateError::TooManySans);
    for why in [too_many, PeerError::NotVerified, PeerError::NotInXfcc] {
        for senders in [
            config(json!([token()]), json!([{"issuer": "CN=Bad"}])),
            config(json!([token()]), json!([{"fingerprint": LETMEIN}])),
            config(json!([token(), own_name()]), shut()),
            config(json!([token(), gate()]), shut()),
        ] {
            assert_eq!(admit(&senders, &why), Err(why.clone().into()));
            assert_eq!(admit(&senders, &PeerError::NoCertificate), Ok(()));
        }
        // No entry could deny anything in it.
        assert_eq!(admit(&config(json!([token()]), shut()), &why), Ok(()));
        assert_eq!(admit(&config(json!([token(), own_name()]), json!([])), &why), Ok(()));
    }
}

#[test]
fn a_denied_certificate_stays_denied_when_it_has_ended() {
    let own = certificate("*.payments");
    let senders = senders(json!({
        "identify": [token()],
        "allow": [{"namespace": "payments"}],
        "deny": [{"fingerprint": own.sha256()}],
    }));
    for now in [NOW, pki::NOT_AFTER - 1, pki::NOT_AFTER, pki::NOT_AFTER + 1] {
        let shown = Shown::token(json!({"tenant": "payments"})).at(now);
        let shown = Shown { certificate: Some(own.clone()), ..shown };
        assert_eq!(admit(&senders, &shown), Err(NotAdmitted::CertificateDenied), "{now}");
        let other = Shown { certificate: Some(certificate("*.other")), ..shown };
        assert_is(&senders, &other, "payments", "jwt");
    }
}

#[test]
fn a_token_of_a_denied_issuer_is_cut_off() {
    let senders = senders(json!({
        "identify": [own_name(), token()],
        "allow": [{"namespace": "payments"}],
        "deny": [{"issuer": "https://bad.example"}],
    }));
    let by = |iss: &str, tenant: Value| {
        let claims = json!({"iss": iss, "tenant": tenant});
        Shown::certificate("*.payments").and_token("payload", claims)
    };
    assert_is(&senders, &by("https://good.example", json!("x")), "payments", "clientCertificate");
    let bad = "https://bad.example";
    assert_eq!(admit(&senders, &by(bad, json!(7))), Err(NotAdmitted::TokenDenied));
    assert!(matches!(admit(&senders, &by(bad, json!("x"))), Err(NotAdmitted::Denied { .. })));
}
