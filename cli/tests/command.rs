//! The command itself: what it prints, and its exit codes. `output/NAME.txt` has whole outputs.

#![expect(clippy::unwrap_used, reason = "a test fails by it")]

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use serde_json::Value as Json;

/// While the certificate is valid.
const NOW: &str = "2026-12-15T00:00:00Z";

fn sluice(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sluice"));
    command.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("example"));
    command.args(arguments).output().unwrap()
}

/// The standard output of a command that ends with this code, compared with a file if it has a name.
fn output(name: Option<&str>, code: i32, arguments: &[&str]) -> String {
    let output = sluice(arguments);
    let (out, err) =
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {out}{err}");
    assert!(!out.contains('\u{1b}'), "colours without a terminal: {out}");
    if let Some(name) = name {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/output/{name}.txt"));
        if std::env::var_os("BLESS").is_some() {
            fs::write(&file, &out).unwrap();
        }
        let expected = fs::read_to_string(&file).unwrap_or_default();
        assert!(
            out == expected,
            "{name}: BLESS=1 cargo test -p sluice-cli --test command writes this:\n{out}"
        );
    }
    out
}

fn json(code: i32, arguments: &[&str]) -> Json {
    serde_json::from_str(&output(None, code, arguments)).unwrap()
}

const SIMULATE: [&str; 8] =
    ["simulate", "--policy", "policy.yaml", "--request", "logs.json", "--at", NOW, "--json"];

#[test]
fn simulate_says_what_becomes_of_a_request() {
    let [plain @ .., _] = SIMULATE;
    let arguments = [&plain[..], &["--cert", "payments.pem"]].concat();
    output(Some("simulate"), 1, &arguments);
    let shown = json(1, &[&SIMULATE[..], &["--cert", "payments.pem"]].concat());
    assert_eq!(shown["outcome"], "part");
    assert_eq!(shown["sender"]["sans"], serde_json::json!(["DNS:*.payments"]));
    let places = &shown["records"]["findings"][0]["places"];
    assert_eq!(places[0]["path"], "resourceLogs[1]");
    assert_eq!(shown["told"].as_array().unwrap().len(), 3);
}

#[test]
fn simulate_fails_by_what_is_lost() {
    // Without a certificate, nothing goes on.
    let refused = json(3, &SIMULATE);
    assert_eq!((&refused["outcome"], &refused["backend"]), (&"nothing".into(), &Json::Null));
    assert_eq!(refused["told"][1]["status"], 401);
    // A denied path of the command line, and what cannot be read.
    for wrong in [
        &["simulate", "--policy", "none.yaml", "--request", "logs.json"][..],
        &["simulate", "--policy", "policy.yaml", "--request", "policy.yaml"],
        &["simulate", "--policy", "logs.json", "--request", "logs.json"],
        &["simulate", "--policy", "policy.yaml", "--request", "logs.json", "--at", "soon"],
        &["simulate", "--policy", "policy.yaml", "--request", "logs.json", "--api-key", "x"],
        &["simulate"],
    ] {
        let output = sluice(wrong);
        assert_eq!(output.status.code(), Some(2), "{wrong:?}");
        assert!(!output.stderr.is_empty(), "{wrong:?}: nothing is said");
    }
}

#[test]
fn simulate_shows_what_another_policy_would_change() {
    let [plain @ .., _] = SIMULATE;
    let with = ["--cert", "payments.pem", "--against", "stricter.yaml"];
    output(Some("against"), 1, &[&plain[..], &with].concat());
    let shown = json(1, &[&SIMULATE[..], &with].concat());
    assert_eq!(shown["against"]["newlyLost"]["records"], 2);
    let same = ["--cert", "payments.pem", "--against", "policy.yaml"];
    let shown = json(0, &[&SIMULATE[..], &same].concat());
    assert_eq!(shown["against"]["newlyLost"]["records"], 0);
}

#[test]
fn a_directory_of_captures_is_read_file_by_file() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("captures");
    fs::create_dir_all(&folder).unwrap();
    let logs = Path::new(env!("CARGO_MANIFEST_DIR")).join("example/logs.json");
    for name in ["a.json", "b.json"] {
        fs::copy(&logs, folder.join(name)).unwrap();
    }
    let folder = folder.to_str().unwrap();
    let arguments =
        ["simulate", "-p", "policy.yaml", "-r", folder, "--at", NOW, "--cert", "payments.pem"];
    let text = output(None, 1, &arguments);
    assert_eq!(text.matches("1 log record dropped").count(), 2 + 2 * 3, "{text}");
    let lines = output(None, 1, &[&arguments[..], &["--json"]].concat());
    let files: Vec<String> = lines
        .lines()
        .map(|line| serde_json::from_str::<Json>(line).unwrap()["file"].to_string())
        .collect();
    assert!(files[0].ends_with("a.json\"") && files[1].ends_with("b.json\""), "{files:?}");
}

#[test]
fn check_fails_by_what_is_wrong() {
    output(None, 0, &["check", "policy.yaml", "stricter.yaml", "--at", NOW]);
    output(None, 0, &["check", "--strict", "policy.yaml", "--at", NOW]);
    let mistakes = "../tests/mistakes";
    let risky = format!("{mistakes}/a_date_is_past_or_near.yaml");
    output(None, 0, &["check", &risky, "--at", NOW]);
    output(None, 1, &["check", "--strict", &risky, "--at", NOW]);
    let wrong = format!("{mistakes}/a_value_is_misspelt.yaml");
    let lines = output(None, 1, &["check", "--json", &wrong]);
    let first: Json = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
    assert_eq!(first["path"], "records.onViolation");
    assert_eq!((&first["line"], &first["column"]), (&12.into(), &16.into()));
    assert_eq!(sluice(&["check", "logs.json"]).status.code(), Some(1));
    assert_eq!(sluice(&["check", "none.yaml"]).status.code(), Some(2));
}

#[test]
fn explain_says_what_each_pattern_makes_of_each_san() {
    let arguments = ["explain", "cert", "payments.pem", "-p", "policy.yaml", "--at", NOW];
    output(Some("explain"), 0, &arguments);
    let shown = json(0, &[&arguments[..], &["--json"]].concat());
    assert_eq!(shown["namespaces"], serde_json::json!(["payments"]));
    let late =
        ["explain", "cert", "payments.pem", "-p", "policy.yaml", "--at", "2037-01-01T00:00:00Z"];
    output(None, 1, &late);
}

#[test]
fn schema_completions_and_manual_pages_are_printed() {
    let schema: Json = serde_json::from_str(&output(None, 0, &["schema"])).unwrap();
    assert_eq!(schema["title"], "Sluice policy");
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        assert!(output(None, 0, &["completions", shell]).contains("simulate"), "{shell}");
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("man");
    fs::create_dir_all(&folder).unwrap();
    output(None, 0, &["man", folder.to_str().unwrap()]);
    assert!(fs::read_to_string(folder.join("sluice-simulate.1")).unwrap().contains("Exit codes"));
}

#[test]
fn colours_are_for_terminals() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sluice"));
    command.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("example"));
    command.args(["check", "policy.yaml", "--at", NOW]).env("CLICOLOR_FORCE", "1");
    let coloured = command.output().unwrap().stdout;
    assert!(coloured.contains(&0x1b), "no colours although they are forced");
}

/// A file with this text, for one test.
fn file(name: &str, text: &str) -> String {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

/// The example's policy with these `allow` and `deny`.
fn policy_with(name: &str, lists: &str) -> String {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("example/policy.yaml");
    let policy = fs::read_to_string(example).unwrap();
    let (before, rest) = policy.split_once("  allow:\n").unwrap();
    let (_, after) = rest.split_once("tenant:").unwrap();
    file(name, &format!("{before}{lists}\ntenant:{after}"))
}

#[test]
fn explain_says_why_a_certificate_is_not_let_in() {
    for (name, lists, namespaces, standing) in [
        (
            "denied",
            "  allow: [{namespace: payments}]\n  deny: [{namespace: payments}]",
            0,
            "denied",
        ),
        (
            "by_another_name",
            "  allow: [{namespace: payments}]\n  deny: [{namespace: team-a}]",
            0,
            "allowed",
        ),
        (
            "expired",
            "  allow: [{namespace: payments, until: \"2026-12-01T00:00:00Z\"}]",
            0,
            "expired",
        ),
        (
            "to_begin",
            "  allow: [{namespace: payments, from: \"2027-12-01T00:00:00Z\"}]",
            0,
            "notYet",
        ),
        ("unlisted", "  allow: [{namespace: shop}]", 0, "unlisted"),
        ("of_another_issuer", "  allow: [{namespace: payments, issuer: CN=other}]", 0, "unlisted"),
        ("ambiguous", "  allow: [{namespace: payments}, {namespace: team-a}]", 2, "allowed"),
    ] {
        let policy = policy_with(&format!("{name}.yaml"), lists);
        let shown =
            json(1, &["explain", "cert", "payments.pem", "-p", &policy, "--at", NOW, "--json"]);
        assert_eq!(shown["namespaces"].as_array().unwrap().len(), namespaces, "{name}: {shown}");
        let identity = &shown["sans"][0]["patterns"][0]["identity"];
        assert_eq!(identity["standing"], standing, "{name}: {shown}");
        // What the gate does with this certificate is the same.
        let arguments =
            ["simulate", "-p", &policy, "-r", "logs.json", "--at", NOW, "--cert", "payments.pem"];
        output(None, 3, &arguments);
    }
}

#[test]
fn a_token_and_a_key_identify_a_sender() {
    let backends = "backends: {logs: {kind: loki, cluster: loki}}\ntenant: {fromNamespace: {}}\n";
    let jwt = "senders: {identify: [{jwt: {names: [{claim: sub, pattern: \"{namespace}\"}]}}], \
               allow: [{namespace: shop}]}\n";
    let (jwt, claims) =
        (file("jwt.yaml", &format!("{jwt}{backends}")), file("claims.json", "{\"sub\": \"shop\"}"));
    let simulate = |policy, more: &[&str]| {
        let arguments = ["simulate", "-p", policy, "-r", "logs.json", "--at", NOW, "--json"];
        json(0, &[&arguments[..], more].concat())
    };
    let shown = simulate(&jwt, &["--jwt", &claims]);
    assert_eq!(
        (&shown["sender"]["namespace"], &shown["sender"]["by"]),
        (&"shop".into(), &"jwt".into())
    );
    // The SHA-256 of "secret".
    let key = "senders: {identify: [{apiKey: {header: x-api-key, from: [{dns: \"*.payments\"}], keys: [{sha256: \
               2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b, namespace: shop}]}}], \
               allow: [{namespace: shop}]}\n";
    let key = file("key.yaml", &format!("{key}{backends}"));
    let shown = simulate(&key, &["--api-key", "secret", "--cert", "payments.pem"]);
    assert_eq!(shown["sender"]["by"], "apiKey");
    assert!(
        shown["backend"]["removed"].as_array().unwrap().contains(&"x-api-key".into()),
        "{shown}"
    );
}
