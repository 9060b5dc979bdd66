//! Which certificates are admitted. Each test is a row of the README's behaviour table.

use std::rc::Rc;

use proptest::prelude::*;
use rcgen::SanType;
use serde_json::{Value, json};
use sluice_config::check;
use sluice_senders::{
    Admitted, Ambiguity, Certificate, ClientCertificateError, Evidence, IdentityError, NotAdmitted,
    Senders, SendersConfig,
};

use crate::pki;

const NOW: u64 = 1_800_000_000; // 2027-01-15T08:00:00Z

fn senders(allow: Value, deny: Value) -> Senders {
    let config: SendersConfig = serde_json::from_value(json!({
        "identify": [{"clientCertificate": {"names": [
            {"dns": "*.{namespace}"},
            {"dns": "{serviceAccount}.{namespace}.svc"},
            {"uri": "spiffe://{trustDomain}/ns/{namespace}/sa/{serviceAccount}"},
        ]}}],
        "allow": allow,
        "deny": deny,
    }))
    .unwrap();
    check("senders", |place| config.compile(place)).unwrap()
}

fn certificate(sans: impl IntoIterator<Item = SanType>) -> Certificate {
    Certificate::from_der(pki::certificate(sans).der()).unwrap()
}

fn dns<const N: usize>(names: [&str; N]) -> Certificate {
    certificate(names.map(pki::dns))
}

fn names_nobody(refused: &NotAdmitted) -> bool {
    let NotAdmitted::NotIdentified(IdentityError::ClientCertificate(error)) = refused else {
        return false;
    };
    matches!(error, ClientCertificateError::NamesNobody { .. })
}

fn admit(senders: &Senders, certificate: &Certificate) -> Result<Admitted, NotAdmitted> {
    admit_at(senders, certificate, NOW, Ambiguity::Refused)
}

fn admit_at(
    senders: &Senders,
    certificate: &Certificate,
    now: u64,
    ambiguity: Ambiguity,
) -> Result<Admitted, NotAdmitted> {
    let certificate = Rc::new(certificate.clone());
    let mut evidence = Evidence {
        certificate: &mut || Ok(Rc::clone(&certificate)),
        header: &|_| Vec::new(),
        metadata: None,
        now,
    };
    senders.admit(&mut evidence, ambiguity)
}

fn refusal(senders: &Senders, certificate: &Certificate) -> String {
    admit(senders, certificate).unwrap_err().to_string()
}

#[test]
fn a_certificate_without_sans_names_nobody() {
    let senders = senders(json!([{"namespace": "payments"}]), json!([]));
    // Its common name is `*.payments`.
    let refused = admit(&senders, &certificate([])).unwrap_err();
    assert!(names_nobody(&refused));
    assert!(refused.to_string().ends_with("its DNS and URI SANs: none"), "{refused}");
}

#[test]
fn sans_that_match_no_pattern_name_nobody() {
    let senders = senders(json!([{"namespace": "payments"}]), json!([]));
    let sans = ["payments", "payments.example", "*.pay_ments", "a", "b", "c"].map(pki::dns);
    let others = [pki::email("otel@payments"), pki::ip("10.0.0.1")];
    let refused = admit(&senders, &certificate(others.into_iter().chain(sans))).unwrap_err();
    assert!(names_nobody(&refused));
    assert!(
        refused.to_string().ends_with(
            "SANs: DNS:payments, DNS:payments.example, DNS:*.pay_ments, DNS:a, DNS:b and 1 more"
        ),
        "{refused}"
    );
}

#[test]
fn dns_text_injected_into_a_uri_san_names_nobody() {
    let senders = senders(json!([{"namespace": "payments"}]), json!([]));
    for uri in [
        "spiffe://x;DNS=*.payments",
        "spiffe://prod.example/ns/a/sa/b;DNS=*.payments",
        "spiffe://prod.example/ns/payments/sa/b,URI=c",
        "x://a\r\n*.payments",
    ] {
        let refused = admit(&senders, &certificate([pki::uri(uri)])).unwrap_err();
        assert!(names_nobody(&refused), "{uri}: {refused}");
        assert!(refused.to_string().bytes().all(|byte| (b' '..=b'~').contains(&byte)));
    }
}

#[test]
fn a_namespace_that_no_entry_allows_is_refused() {
    let senders = senders(json!([{"namespace": "payments"}, {"namespace": "team-*"}]), json!([]));
    for san in ["*.payment", "*.payments2", "*.team", "*.xteam-a", "*.other"] {
        let refused = admit(&senders, &dns([san])).unwrap_err();
        assert!(matches!(refused, NotAdmitted::NotAllowed { .. }), "{san}: {refused}");
    }
    let many = dns(["*.g", "*.f", "*.e", "*.d", "*.c", "*.b", "*.b", "b.a.svc"]);
    assert!(refusal(&senders, &many).contains("allowlist: a, b, c, d, e and 2 more."));
}

#[test]
fn an_entrys_conditions_must_be_met_by_one_san() {
    let senders = senders(
        json!([{"namespace": "payments", "trustDomain": "prod.example", "serviceAccount": "otel-*"}]),
        json!([]),
    );
    let uri = |domain: &str, namespace: &str, account: &str| {
        pki::uri(&format!("spiffe://{domain}/ns/{namespace}/sa/{account}"))
    };
    for sans in [
        vec![pki::dns("*.payments")],
        vec![pki::dns("otel-a.payments.svc")],
        vec![uri("test.example", "payments", "otel-a")],
        vec![uri("prod.example", "payments", "web")],
        vec![uri("prod.example", "other", "otel-a")],
        // All conditions are met, but only by three SANs together.
        vec![
            pki::dns("*.payments"),
            uri("prod.example", "payments", "web"),
            uri("test.example", "payments", "otel-a"),
        ],
    ] {
        let refused = admit(&senders, &certificate(sans)).unwrap_err();
        assert!(matches!(refused, NotAdmitted::NotAllowed { .. }), "{refused}");
    }
    let met = certificate([uri("prod.example", "payments", "otel-a")]);
    assert!(admit(&senders, &met).is_ok());
}

#[test]
fn one_denied_name_refuses_the_whole_certificate() {
    let senders = senders(
        json!([{"namespace": "payments"}, {"namespace": "team-*"}]),
        json!([
            {"namespace": "team-rogue"},
            {"namespace": "old-*"},
            {"namespace": "payments", "trustDomain": "test.example", "serviceAccount": "web*"},
        ]),
    );
    let web = pki::uri("spiffe://test.example/ns/payments/sa/web-1");
    for (sans, denied) in [
        (vec![pki::dns("*.team-rogue")], "team-rogue"),
        (vec![pki::dns("*.payments"), pki::dns("*.TEAM-Rogue.")], "team-rogue"),
        (vec![pki::dns("*.payments"), pki::dns("x.old-1.svc")], "old-1"),
        (vec![pki::dns("*.payments"), web], "payments"),
    ] {
        for ambiguity in [Ambiguity::Refused, Ambiguity::Tolerated] {
            let refused = admit_at(&senders, &certificate(sans.clone()), NOW, ambiguity);
            assert_eq!(refused, Err(NotAdmitted::Denied { namespace: denied.to_owned() }));
        }
    }
    assert!(admit(&senders, &dns(["*.payments", "*.team-a"])).is_err());
    assert!(admit(&senders, &dns(["*.team-a"])).is_ok());
}

#[test]
fn a_deny_entry_holds_for_a_name_that_states_all_of_it_alone() {
    let senders = senders(
        json!([{"namespace": "payments"}]),
        json!([{"namespace": "payments", "serviceAccount": "web"}]),
    );
    assert!(admit(&senders, &dns(["web.payments.svc"])).is_err());
    assert!(admit(&senders, &dns(["otel.payments.svc", "*.payments"])).is_ok());
}

#[test]
fn an_entry_holds_until_the_moment_that_it_names() {
    let until = "2027-06-30T00:00:00Z";
    let end = 1_814_313_600;
    let senders = senders(
        json!([
            {"namespace": "payments", "until": "2026-01-01T00:00:00Z"},
            {"namespace": "payments", "until": until},
        ]),
        json!([]),
    );
    let at = |now| admit_at(&senders, &dns(["*.payments"]), now, Ambiguity::Refused);
    assert!(at(end - 1).is_ok());
    let refused = at(end).unwrap_err();
    assert!(matches!(refused, NotAdmitted::Expired { .. }));
    assert!(
        refused
            .to_string()
            .starts_with(&format!("access for namespace payments expired at {until}.")),
        "{refused}"
    );
    assert_eq!(at(pki::NOT_AFTER - 1), Err(refused));
}

#[test]
fn of_several_that_ended_the_last_to_end_is_told() {
    let senders = senders(
        json!([
            {"namespace": "a", "until": "2026-01-01T00:00:00Z"},
            {"namespace": "b", "until": "2026-01-02T00:00:00Z"},
            {"namespace": "c", "until": "2025-01-01T00:00:00Z"},
        ]),
        json!([]),
    );
    let text = refusal(&senders, &dns(["*.a", "*.b", "*.c", "*.d"]));
    assert!(text.contains("namespace b expired at 2026-01-02T00:00:00Z"), "{text}");
}

#[test]
fn an_ended_entry_does_not_matter_beside_one_that_holds() {
    let senders = senders(
        json!([
            {"namespace": "payments", "until": "2026-01-01T00:00:00Z"},
            {"namespace": "pay*"},
            {"namespace": "old", "until": "2026-01-01T00:00:00Z"},
        ]),
        json!([]),
    );
    // Not ambiguous either, because `old` is no longer allowed.
    assert_eq!(admit(&senders, &dns(["*.old", "*.payments"])).unwrap().namespace(), "payments");
}

#[test]
fn two_allowed_namespaces_are_ambiguous() {
    let senders = senders(json!([{"namespace": "payments"}, {"namespace": "team-*"}]), json!([]));
    let refused = admit(&senders, &dns(["*.team-b", "*.payments", "*.other"])).unwrap_err();
    assert!(matches!(refused, NotAdmitted::Ambiguous { .. }));
    assert!(refused.to_string().contains("(payments, team-b)"), "{refused}");
}

#[test]
fn two_allowed_namespaces_are_admitted_where_the_tenant_is_fixed() {
    let senders = senders(json!([{"namespace": "payments"}, {"namespace": "team-*"}]), json!([]));
    let certificate = dns(["*.team-b", "x.payments.svc", "*.other", "y.team-a.svc"]);
    let admitted = admit_at(&senders, &certificate, NOW, Ambiguity::Tolerated).unwrap();
    assert_eq!(admitted.namespace(), "payments");
    assert_eq!(admitted.namespaces().collect::<Vec<_>>(), ["payments", "team-a", "team-b"]);
    assert_eq!(admitted.service_account(), None);
}

#[test]
fn names_that_no_entry_allows_are_ignored_beside_one_that_is_allowed() {
    let senders = senders(json!([{"namespace": "payments"}]), json!([]));
    let sans = [
        pki::email("a@example"),
        pki::dns("*.other"),
        pki::dns("payments.example"),
        pki::uri("https://example/x"),
        pki::dns("*.payments"),
    ];
    let admitted = admit(&senders, &certificate(sans)).unwrap();
    assert_eq!(admitted.namespaces().collect::<Vec<_>>(), ["payments"]);
}

#[test]
fn every_way_to_say_one_allowed_namespace_is_the_same_namespace() {
    let senders = senders(json!([{"namespace": "payments"}]), json!([]));
    let admitted = admit(
        &senders,
        &certificate([
            pki::dns("*.payments"),
            pki::dns("*.PAYMENTS."),
            pki::dns("otel.payments.svc"),
            pki::uri("spiffe://prod.example/ns/payments/sa/otel"),
        ]),
    )
    .unwrap();
    assert_eq!(admitted.namespace(), "payments");
    assert_eq!(admitted.service_account(), Some("otel"));
    assert_eq!(admitted.trust_domain(), Some("prod.example"));
}

#[test]
fn a_service_account_or_trust_domain_is_known_if_all_who_state_it_agree() {
    let senders = senders(json!([{"namespace": "payments"}]), json!([]));
    let uri = |domain: &str, account: &str| {
        pki::uri(&format!("spiffe://{domain}/ns/payments/sa/{account}"))
    };
    for (sans, account, domain) in [
        (vec![pki::dns("*.payments")], None, None),
        (vec![uri("a", "x"), uri("a", "y")], None, Some("a")),
        (vec![uri("a", "x"), uri("b", "x")], Some("x"), None),
        (vec![pki::dns("x.payments.svc"), uri("a", "y")], None, Some("a")),
        // Names that are not admitted do not count.
        (vec![pki::dns("x.payments.svc"), pki::dns("y.other.svc")], Some("x"), None),
    ] {
        let admitted = admit(&senders, &certificate(sans)).unwrap();
        assert_eq!((admitted.service_account(), admitted.trust_domain()), (account, domain));
    }
}

#[test]
fn a_text_for_the_sender_stays_short() {
    let senders = senders(json!([{"namespace": "payments"}]), json!([]));
    let long = |number: usize| format!("spiffe://{}{number}", "x".repeat(2000));
    let nobody = certificate((0..100).map(|number| pki::uri(&long(number))).take(20));
    assert!(refusal(&senders, &nobody).len() < 700);
    let label = |number: usize| format!("*.{}{number:02}", "x".repeat(61));
    let not_allowed = certificate((0..99).map(|number| pki::dns(&label(number))));
    assert!(refusal(&senders, &not_allowed).len() < 700);
}

#[test]
fn a_text_for_the_sender_says_nothing_of_what_the_lists_hold() {
    let senders = senders(
        json!([{"namespace": "secret-*", "trustDomain": "hidden.example"}]),
        json!([{"namespace": "covert"}]),
    );
    for san in ["*.other", "*.secret-a", "x"] {
        let text = refusal(&senders, &dns([san]));
        assert!(!text.contains("hidden") && !text.contains("covert") && !text.contains("secret-*"));
    }
}

proptest! {
    #[test]
    fn whoever_is_admitted_has_a_san_that_says_so(
        names in proptest::collection::vec("[a-c]{1,2}", 0..5),
        allowed in proptest::collection::btree_set("[a-c]{1,2}", 1..5),
        denied in proptest::collection::btree_set("[a-c]{1,2}", 0..2),
    ) {
        let entries = |list: &std::collections::BTreeSet<String>| -> Value {
            list.iter().map(|name| json!({"namespace": name})).collect()
        };
        let senders = senders(entries(&allowed), entries(&denied));
        let certificate = certificate(names.iter().map(|name| pki::dns(&format!("*.{name}"))));
        let expected: std::collections::BTreeSet<&String> =
            names.iter().filter(|name| allowed.contains(*name)).collect();
        let is_denied = names.iter().any(|name| denied.contains(name));

        let tolerated = admit_at(&senders, &certificate, NOW, Ambiguity::Tolerated);
        match &tolerated {
            Ok(admitted) => prop_assert!(!is_denied && admitted.namespaces().eq(expected.iter().copied())),
            Err(_) => prop_assert!(is_denied || expected.is_empty()),
        }
        let refused = admit_at(&senders, &certificate, NOW, Ambiguity::Refused);
        prop_assert_eq!(refused.is_ok(), tolerated.is_ok() && expected.len() == 1);
    }
}
