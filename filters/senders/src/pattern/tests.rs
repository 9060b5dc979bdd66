use proptest::prelude::*;

use super::*;

fn dns(pattern: &str, san: &str) -> Option<String> {
    let pattern = NamePattern::compile(pattern, SanKind::Dns).unwrap();
    pattern.read(&San::Dns(san.to_owned())).map(shown)
}

fn uri(pattern: &str, san: &str) -> Option<String> {
    let pattern = NamePattern::compile(pattern, SanKind::Uri).unwrap();
    pattern.read(&San::Uri(san.to_owned())).map(shown)
}

/// `namespace service-account trust-domain`, with `-` for a part that is not stated.
fn shown(sender: Identity) -> String {
    let stated = |part: Option<String>| part.unwrap_or_else(|| "-".to_owned());
    let Identity { namespace, service_account, trust_domain, .. } = sender;
    format!("{namespace} {} {}", stated(service_account), stated(trust_domain))
}

const SPIFFE: &str = "spiffe://{trustDomain}/ns/{namespace}/sa/{serviceAccount}";

#[test]
fn a_pattern_that_cannot_be_meant_is_refused() {
    use PatternError::*;
    let unknown = |name: &str| Placeholder(PlaceholderError::Unknown(name.to_owned()));
    let unbalanced = || Placeholder(PlaceholderError::UnbalancedBrace);
    for (kind, text, error) in [
        (SanKind::Dns, "", NoNamespace),
        (SanKind::Dns, "*.payments", NoNamespace),
        (SanKind::Dns, "{serviceAccount}.svc", NoNamespace),
        (SanKind::Dns, "{team}.{namespace}", unknown("team")),
        (SanKind::Dns, "{}.{namespace}", unknown("")),
        (SanKind::Dns, "{Namespace}", unknown("Namespace")),
        (SanKind::Dns, "{namespace", unbalanced()),
        (SanKind::Dns, "namespace}", unbalanced()),
        (SanKind::Dns, "{namespace}}", unbalanced()),
        (SanKind::Dns, "{{namespace}}", unbalanced()),
        (SanKind::Dns, "{a{namespace}", unbalanced()),
        (SanKind::Dns, "{namespace}.{namespace}", Repeated(SenderName::Namespace)),
        (SanKind::Dns, "{namespace}{serviceAccount}", Ambiguous(SenderName::Namespace)),
        (SanKind::Dns, "{namespace}-x", Ambiguous(SenderName::Namespace)),
        (SanKind::Dns, "{namespace}X", Ambiguous(SenderName::Namespace)),
        (SanKind::Dns, "{trustDomain}.{namespace}", Ambiguous(SenderName::TrustDomain)),
        (SanKind::Uri, "x://{serviceAccount}.{namespace}", Ambiguous(SenderName::ServiceAccount)),
        (SanKind::Dns, "{namespace}.caf\u{e9}", NotPrintable('\u{e9}')),
        (SanKind::Dns, "{namespace} ", NotPrintable(' ')),
        (SanKind::Uri, "x:{namespace}\n", NotPrintable('\n')),
    ] {
        assert_eq!(NamePattern::compile(text, kind).unwrap_err(), error, "{text}");
    }
}

#[test]
fn a_dns_san_that_is_not_the_whole_pattern_names_nobody() {
    for san in [
        "",
        "*.",
        "payments",
        "*payments",
        "*..payments",
        "*.pay.ments",
        "*.pay_ments",
        "*.-payments",
        "*.payments-",
        "*.payments..",
        "*.payments.svc",
        "x.*.payments",
        "otel.payments",
        "*.payments\0",
        "*.payments;DNS=*.other",
        "*.*",
        &format!("*.{}", "a".repeat(64)),
    ] {
        assert_eq!(dns("*.{namespace}", san), None, "{san}");
    }
}

#[test]
fn a_dns_san_is_read_in_either_case_and_without_its_trailing_dot() {
    for (pattern, san, names) in [
        ("*.{namespace}", "*.payments", "payments - -"),
        ("*.{namespace}", "*.PayMents.", "payments - -"),
        ("*.{namespace}.", "*.payments", "payments - -"),
        ("{namespace}", "payments", "payments - -"),
        ("ns-{namespace}.X", "NS-a-b.x", "a-b - -"),
        ("{serviceAccount}.{namespace}.svc", "otel.payments.SVC", "payments otel -"),
        ("{namespace}.{trustDomain}", "a.prod.example", "a - prod.example"),
    ] {
        assert_eq!(dns(pattern, san).as_deref(), Some(names), "{san}");
    }
}

#[test]
fn a_uri_san_that_is_not_the_whole_pattern_names_nobody() {
    for san in [
        "spiffe://prod.example/ns/payments",
        "spiffe://prod.example/ns/payments/sa/",
        "spiffe://prod.example/ns/payments/sa/otel/",
        "spiffe://prod.example/ns/payments/sa/otel/x",
        "spiffe://prod.example/ns//sa/otel",
        "spiffe:///ns/payments/sa/otel",
        "spiffe://prod.example/NS/payments/sa/otel",
        "spiffe://prod.example/ns/Payments/sa/otel",
        "spiffe://prod.example/ns/payments/sa/Otel",
        "spiffe://prod.example:1/ns/payments/sa/otel",
        "spiffe://prod.example/ns/pay.ments/sa/otel",
        "spiffe://prod.example/ns/payments/sa/otel;DNS=*.other",
        "spiffe://prod.example/ns/payments/sa/otel,Hash=1",
        "spiffe://prod.example/ns/payments%2F/sa/otel",
        "spiffe://prod.example/ns/payments/sa/otel?x",
        "x-spiffe://prod.example/ns/payments/sa/otel",
        "http://prod.example/ns/payments/sa/otel",
        "",
        "spiffe",
    ] {
        assert_eq!(uri(SPIFFE, san), None, "{san}");
    }
}

#[test]
fn a_uri_san_is_read_in_either_case_up_to_its_path() {
    for (pattern, san, names) in [
        (SPIFFE, "spiffe://prod.example/ns/payments/sa/otel", "payments otel prod.example"),
        (SPIFFE, "SPIFFE://Prod.Example/ns/payments/sa/otel", "payments otel prod.example"),
        (SPIFFE, "spiffe://a_b/ns/p/sa/otel.agent-1", "p otel.agent-1 a_b"),
        ("https://id.Example/Teams/{namespace}", "https://ID.example/Teams/a", "a - -"),
        ("urn:Team:{namespace}", "URN:Team:a", "a - -"),
        ("{namespace}", "a", "a - -"),
    ] {
        assert_eq!(uri(pattern, san).as_deref(), Some(names), "{san}");
    }
    assert_eq!(uri("https://id.example/Teams/{namespace}", "https://id.example/teams/a"), None);
    assert_eq!(uri("urn:Team:{namespace}", "urn:team:a"), None);
}

#[test]
fn a_pattern_reads_its_own_kind_of_san_alone() {
    let dns = NamePattern::compile("*.{namespace}", SanKind::Dns).unwrap();
    assert_eq!(dns.read(&San::Uri("*.payments".to_owned())), None);
    let uri = NamePattern::compile(SPIFFE, SanKind::Uri).unwrap();
    assert_eq!(uri.read(&San::Dns("spiffe://a/ns/b/sa/c".to_owned())), None);
}

#[test]
fn a_service_account_has_dots_in_a_uri_and_none_in_a_dns_name() {
    assert_eq!(uri(SPIFFE, "spiffe://t/ns/n/sa/a.b").as_deref(), Some("n a.b t"));
    assert_eq!(dns("{serviceAccount}.{namespace}.svc", "a.b.n.svc"), None);
}

/// Every way to read `text` with `parts`, found by trying each end of each placeholder.
fn every_reading(parts: &[Part], text: &[u8]) -> Vec<Vec<String>> {
    let Some((part, parts)) = parts.split_first() else {
        return if text.is_empty() { vec![Vec::new()] } else { Vec::new() };
    };
    match part {
        Part::Literal(literal) => match text.strip_prefix(&**literal) {
            Some(text) => every_reading(parts, text),
            None => Vec::new(),
        },
        Part::Placeholder(_, kind) => (0..=text.len())
            .map(|end| text.split_at(end))
            .filter(|(name, _)| kind.is_name(name))
            .flat_map(|(name, rest)| {
                let name = String::from_utf8(name.to_vec()).unwrap();
                every_reading(parts, rest).into_iter().map(move |mut names| {
                    names.insert(0, name.clone());
                    names
                })
            })
            .collect(),
    }
}

/// The sender's names in the order of the pattern's placeholders.
fn in_order(pattern: &NamePattern, sender: &Identity) -> Vec<String> {
    let named = pattern.parts.iter().filter_map(|part| match part {
        Part::Literal(_) => None,
        Part::Placeholder(SenderName::Namespace, _) => Some(sender.namespace.clone()),
        Part::Placeholder(SenderName::ServiceAccount, _) => sender.service_account.clone(),
        Part::Placeholder(SenderName::TrustDomain, _) => sender.trust_domain.clone(),
    });
    named.collect()
}

fn pattern_text() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        Just("{namespace}"),
        Just("{serviceAccount}"),
        Just("{trustDomain}"),
        Just("."),
        Just("*"),
        Just("/"),
        Just("a"),
        Just("-"),
        Just("_"),
    ];
    proptest::collection::vec(part, 1..7).prop_map(|parts| parts.concat())
}

#[test]
fn two_patterns_that_see_different_namespaces_in_one_name_clash() {
    for (one, other, clash) in [
        ("{serviceAccount}.{namespace}", "{namespace}.{serviceAccount}", None),
        ("{namespace}.svc", "otel.{namespace}", Some("otel.svc")),
        ("*.{namespace}", "{serviceAccount}.{namespace}.svc", None),
        ("{namespace}.a.b", "x.{namespace}.b", Some("x.a.b")),
        ("{namespace}.a", "{namespace}.b", None),
        ("{namespace}.a", "{namespace}.a", None),
    ] {
        let compile = |text| NamePattern::compile(text, SanKind::Dns).unwrap();
        assert_eq!(compile(one).clash(&compile(other)).as_deref(), clash, "{one} {other}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_san_is_read_as_trying_every_reading_does(text in pattern_text(), san in "[a._*/-]{0,9}") {
        for kind in [SanKind::Claim, SanKind::Dns, SanKind::Uri] {
            let Ok(pattern) = NamePattern::compile(&text, kind) else { continue };
            let (read, compared) = match kind {
                SanKind::Claim => (pattern.read_claim(&san), &*san),
                SanKind::Dns => (pattern.read(&San::Dns(san.clone())), without_trailing_dot(&san)),
                SanKind::Uri => (pattern.read(&San::Uri(san.clone())), &*san),
            };
            let readings = every_reading(&pattern.parts, compared.as_bytes());
            prop_assert!(readings.len() <= 1, "{text} reads {compared} in several ways: {readings:?}");
            let read = read.map(|sender| in_order(&pattern, &sender));
            prop_assert_eq!(read, readings.into_iter().next());
        }
    }

    #[test]
    fn what_is_written_by_a_pattern_is_read_back(
        namespace in "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?",
        service_account in "[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?(\\.[a-z0-9]{1,9}){0,3}",
        trust_domain in "[a-z0-9._-]{1,60}",
    ) {
        let san = format!("spiffe://{trust_domain}/ns/{namespace}/sa/{service_account}");
        prop_assert_eq!(uri(SPIFFE, &san), Some(format!("{namespace} {service_account} {trust_domain}")));
        prop_assert_eq!(dns("*.{namespace}", &format!("*.{namespace}")), Some(format!("{namespace} - -")));
    }
}
