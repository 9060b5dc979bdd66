//! All problems of a configuration are found at once.

use serde_json::{Value, json};
use sluice_config::check;
use sluice_senders::SendersConfig;

fn problems(config: Value) -> Vec<String> {
    let config: SendersConfig = serde_json::from_value(config).unwrap();
    match check("senders", |place| config.compile(place)) {
        Ok(_) => Vec::new(),
        Err(problems) => problems.iter().map(ToString::to_string).collect(),
    }
}

/// Asserts that each problem starts as expected, in the order of the configuration.
#[track_caller]
fn assert_problems(config: Value, expected: &[&str]) {
    let found = problems(config);
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(found.starts_with(expected), "{found}\nshould begin with\n{expected}");
    }
}

fn identify() -> Value {
    json!([{"clientCertificate": {"names": [{"dns": "*.{namespace}"}]}}])
}

#[test]
fn an_empty_list_is_a_problem_wherever_it_guards() {
    assert_problems(
        json!({"identify": [], "allow": []}),
        &[
            "senders.identify: empty list: add at least one way",
            "senders.allow: empty list: add at least one namespace",
        ],
    );
    assert_problems(
        json!({"identify": [{"clientCertificate": {"names": []}}], "allow": [{"namespace": "a"}]}),
        &["senders.identify[0].clientCertificate.names: empty list"],
    );
    assert_problems(
        json!({"identify": [{}, identify()[0]], "allow": [{"namespace": "a"}]}),
        &["senders.identify[0]: set exactly one of clientCertificate, jwt"],
    );
}

#[test]
fn every_problem_is_found_at_once_and_at_its_place() {
    assert_problems(
        json!({
            "identify": [
                {"clientCertificate": {"names": [
                    {"dns": "*.{namespace}"},
                    {"dns": "*.{team}"},
                    {"uri": "spiffe://x"},
                    {"dns": "a.{namespace}", "uri": "b.{namespace}"},
                    {},
                ]}},
                {"clientCertificate": {"names": [{"dns": "{namespace}"}]}},
            ],
            "allow": [
                {"namespace": "payments"},
                {"namespace": "*"},
                {"namespace": "Payments", "trustDomain": "prod.*", "serviceAccount": "a*b", "until": "tomorrow"},
            ],
            "deny": [
                {"namespace": "*"},
                {"namespace": "a b", "trustDomain": "spiffe://prod", "serviceAccount": "*"},
            ],
        }),
        &[
            "senders.identify[0].clientCertificate.names[1].dns: unknown placeholder {team}",
            "senders.identify[0].clientCertificate.names[2].uri: the pattern has no {namespace}",
            "senders.identify[0].clientCertificate.names[3]: set exactly one of dns and uri",
            "senders.identify[0].clientCertificate.names[4]: set exactly one of dns and uri",
            "senders.identify[1]: duplicate clientCertificate",
            r#"senders.allow[1].namespace: "*" would match everyone"#,
            r#"senders.allow[2].until: "tomorrow" is not a date: use RFC 3339"#,
            r#"senders.allow[2].namespace: "Payments" is not a DNS label"#,
            r#"senders.allow[2].trustDomain: "prod.*" has a '*', which is not supported here"#,
            r#"senders.allow[2].serviceAccount: "a*b" has a '*' that is not at its end: only prefixes such as team-* are supported"#,
            r#"senders.deny[0].namespace: "*" would match everyone"#,
            r#"senders.deny[1].namespace: "a b" is not a DNS label"#,
            r#"senders.deny[1].trustDomain: "spiffe://prod" is not a SPIFFE trust domain"#,
            r#"senders.deny[1].serviceAccount: "*" would match everyone"#,
        ],
    );
}

#[test]
fn a_date_is_rfc_3339_in_utc_with_whole_seconds() {
    for until in [
        "",
        "2027-06-30",
        "2027-06-30T00:00:00",
        "2027-06-30T00:00:00+00:00",
        "2027-06-30T02:00:00+02:00",
        "2027-06-30T00:00:00.5Z",
        "2027-06-31T00:00:00Z",
        "2027-13-01T00:00:00Z",
        "2027-06-30T24:00:00Z",
        "2027-02-29T00:00:00Z",
        "1969-12-31T23:59:59Z",
        "2027-06-30 00:00:00Z",
    ] {
        assert_problems(
            json!({"identify": identify(), "allow": [{"namespace": "a", "until": until}]}),
            &["senders.allow[0].until: "],
        );
    }
    assert_problems(
        json!({"identify": identify(), "allow": [{"namespace": "a", "until": "2028-02-29T23:59:59Z"}]}),
        &[],
    );
}

#[test]
fn a_key_that_is_not_known_or_is_missing_is_refused() {
    let entry = json!([{"namespace": "a"}]);
    for config in [
        json!({}),
        json!({"identify": identify()}),
        json!({"allow": entry}),
        json!({"identify": identify(), "allow": entry, "permit": []}),
        json!({"identify": identify(), "allow": [{}]}),
        json!({"identify": identify(), "allow": [{"namespace": "a", "trust_domain": "x"}]}),
        json!({"identify": identify(), "allow": entry, "deny": [{"namespace": "a", "until": "2027-06-30T00:00:00Z"}]}),
        json!({"identify": [{"jwt": {}}], "allow": entry}),
        json!({"identify": [{"clientCertificate": {}}], "allow": entry}),
        json!({"identify": [{"clientCertificate": {"names": [{"email": "x"}]}}], "allow": entry}),
    ] {
        assert!(serde_json::from_value::<SendersConfig>(config.clone()).is_err(), "{config}");
    }
}

#[test]
fn each_way_tells_its_problems_at_its_place() {
    assert_problems(
        json!({
            "identify": [
                {"jwt": {"names": [], "payload": []}},
                {"jwt": {"names": [
                    {"claim": "", "pattern": "{namespace}"},
                    {"claim": "a", "pattern": "{team}"},
                    {"claim": "b", "pattern": "{namespace}.a"},
                    {"claim": "b", "pattern": "b.{namespace}"},
                ]}},
                {"apiKey": {"header": "not a header", "from": [], "keys": []}},
                {"apiKey": {
                    "header": "Content-Type",
                    "from": [{}, {"dns": "a", "uri": "b"}, {"dns": ""}, {"fingerprint": "ab"}],
                    "keys": [
                        {"sha256": "letmein", "namespace": "A", "until": "tomorrow"},
                        {"sha256": "00".repeat(32), "namespace": "a"},
                        {"sha256": "00".repeat(32), "namespace": "b"},
                    ],
                }},
                {"forwarded": {"from": []}},
                {"forwarded": {"from": [
                    {"dns": "gate", "namespaces": []},
                    {"dns": "gate", "namespaces": ["*"]},
                ]}},
                {"allOf": [], "anyOf": [{"jwt": {"names": [{"claim": "a", "pattern": "x"}]}}]},
                {"clientCertificate": {"names": [{"dns": "{namespace}.a"}, {"dns": "b.{namespace}"}],
                                       "warnBeforeEnd": "soon"}},
            ],
            "allow": [{"namespace": "a", "from": "2027-01-01T00:00:00Z", "until": "2027-01-01T00:00:00Z"}],
            "deny": [{}, {"issuer": "CN=x", "serviceAccount": "y"}, {"fingerprint": "zz"}],
            "chooseBy": "x y",
        }),
        &[
            "senders.identify[0].jwt.payload: must be the attribute under which",
            "senders.identify[0].jwt.names: empty list",
            "senders.identify[1].jwt.names[0].claim: a claim's name must not be empty",
            "senders.identify[1].jwt.names[1].pattern: unknown placeholder {team}",
            "senders.identify[1].jwt.names[3].pattern: ambiguous patterns: an earlier pattern \
             takes another namespace from \"b.a\"",
            "senders.identify[2].apiKey.header: \"not a header\" is not a valid header name",
            "senders.identify[2].apiKey.from: empty list",
            "senders.identify[2].apiKey.keys: empty list",
            "senders.identify[3].apiKey.header: \"content-type\" is a header that HTTP or gRPC itself needs",
            "senders.identify[3].apiKey.from[0]: set exactly one",
            "senders.identify[3].apiKey.from[1]: set exactly one",
            "senders.identify[3].apiKey.from[2]: set exactly one",
            "senders.identify[3].apiKey.from[3].fingerprint: not a SHA-256",
            "senders.identify[3].apiKey.keys[0].sha256: not a SHA-256",
            "senders.identify[3].apiKey.keys[0].namespace: \"A\" is not a DNS label",
            "senders.identify[3].apiKey.keys[0].until: \"tomorrow\" is not a date",
            "senders.identify[3].apiKey.keys[2].sha256: duplicate key: an earlier entry has the same sha256",
            "senders.identify[4].forwarded.from: empty list",
            "senders.identify[5].forwarded.from[0].namespaces: empty list",
            "senders.identify[5].forwarded.from[1].namespaces[0]: \"*\" would match everyone",
            "senders.identify[6].allOf: empty list",
            "senders.identify[6].anyOf[0].jwt.names[0].pattern: the pattern has no {namespace}",
            "senders.identify[6]: set exactly one of",
            "senders.identify[7].clientCertificate.warnBeforeEnd: \"soon\" is not a duration",
            "senders.identify[7].clientCertificate.names[1]: ambiguous patterns: an earlier \
             pattern takes another namespace from \"b.a\"",
            "senders.allow[0].until: until must be later than from",
            "senders.deny[0]: the entry denies nobody",
            "senders.deny[1]: trustDomain and serviceAccount only apply together with a namespace",
            "senders.deny[2].fingerprint: not a SHA-256",
            "senders.chooseBy: \"x y\" is not a valid header name",
        ],
    );
}

#[test]
fn a_date_that_has_passed_is_warned_about() {
    let config = json!({
        "identify": identify(),
        "allow": [
            {"namespace": "a", "until": "2026-01-01T00:00:00Z"},
            {"namespace": "b", "until": "2027-01-01T00:00:00Z"},
        ],
    });
    let config: SendersConfig = serde_json::from_value(config).unwrap();
    let senders = check("senders", |place| config.compile(place)).unwrap();
    let warned = |now| {
        let warnings = senders.warnings(now);
        warnings.into_iter().map(|warning| warning.path).collect::<Vec<_>>()
    };
    assert_eq!(warned(1_790_000_000), ["senders.allow[0].until"]);
    assert_eq!(warned(0), Vec::<String>::new());
}

#[test]
fn an_entry_that_nobody_could_meet_is_a_problem() {
    let names = json!([{"claim": "tenant", "pattern": "{namespace}"}]);
    let a = json!([{"namespace": "a"}]);
    assert_problems(
        json!({
            "identify": [{"jwt": {"names": names}}],
            "allow": a,
            "deny": [
                {"namespace": "a", "fingerprint": "0".repeat(64)},
                {"namespace": "a", "trustDomain": "x", "serviceAccount": "y", "issuer": "https://idp"},
            ],
        }),
        &[
            "senders.deny[0].fingerprint: no sender can match this entry",
            "senders.deny[1].trustDomain: no sender can match this entry",
            "senders.deny[1].serviceAccount: no sender can match this entry",
        ],
    );
    let key = json!({"sha256": "0".repeat(64), "namespace": "a"});
    assert_problems(
        json!({
            "identify": [{"apiKey": {"header": "x-api-key", "from": [{"dns": "a"}], "keys": [key]}}],
            "allow": a,
            "deny": [{"namespace": "a", "issuer": "CN=a"}],
        }),
        &["senders.deny[0].issuer: no sender can match this entry"],
    );
}
