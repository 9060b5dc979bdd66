//! What is wrong with a configuration, all of it at once.

use serde_json::{Value, json};
use sluice_senders::{Senders, SendersConfig};

fn problems(config: Value) -> Vec<String> {
    let config: SendersConfig = serde_json::from_value(config).unwrap();
    match Senders::compile(&config, "senders") {
        Ok(_) => Vec::new(),
        Err(problems) => problems.iter().map(ToString::to_string).collect(),
    }
}

/// Whether each problem begins as expected, in the order of the configuration.
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
            "senders.identify: it is empty: say how a sender is recognised",
            "senders.allow: it is empty, so nobody could send",
        ],
    );
    assert_problems(
        json!({"identify": [{"clientCertificate": {"names": []}}], "allow": [{"namespace": "a"}]}),
        &["senders.identify[0].clientCertificate.names: it is empty"],
    );
    assert_problems(
        json!({"identify": [{}, identify()[0]], "allow": [{"namespace": "a"}]}),
        &["senders.identify[0]: it is empty: clientCertificate"],
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
            "senders.identify[0].clientCertificate.names[1].dns: {team} is not known",
            "senders.identify[0].clientCertificate.names[2].uri: it has no {namespace}",
            "senders.identify[0].clientCertificate.names[3]: it must have exactly one of dns and uri",
            "senders.identify[0].clientCertificate.names[4]: it must have exactly one of dns and uri",
            "senders.identify[1]: clientCertificate is there already",
            r#"senders.allow[1].namespace: "*" would match everyone"#,
            r#"senders.allow[2].until: "tomorrow" is not a date: write RFC 3339"#,
            r#"senders.allow[2].namespace: "Payments" is not a DNS label"#,
            r#"senders.allow[2].trustDomain: "prod.*" has a '*', which has no meaning here"#,
            r#"senders.allow[2].serviceAccount: "a*b" has a '*' that is not its last character"#,
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
