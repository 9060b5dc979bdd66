//! Paths that pass although they are not telemetry.

use percent_encoding::percent_decode;
use serde::Deserialize;
use sluice_config::Place;
use sluice_headers::path_of;
use sluice_stores::ALL;

/// One entry of `otherPaths`: exactly one key.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct OtherPath {
    /// Only this path.
    exact: Option<String>,
    /// This path and every path below it: `/a/b` is below `/a`, and `/ab` is not.
    prefix: Option<String>,
}

/// The paths that pass unchecked. None, unless the configuration lists them.
#[derive(Debug, Default)]
pub(crate) struct OtherPaths {
    exact: Vec<String>,
    prefixes: Vec<String>,
}

impl OtherPaths {
    /// Compiles the entries of the list at `place`.
    pub(crate) fn compile(entries: &[OtherPath], place: &Place<'_>) -> Self {
        let mut compiled = Self::default();
        for (index, entry) in entries.iter().enumerate() {
            let place = place.index(index);
            let (text, key, list) = match entry {
                OtherPath { exact: Some(text), prefix: None } => {
                    (text, "exact", &mut compiled.exact)
                }
                OtherPath { exact: None, prefix: Some(text) } => {
                    (text, "prefix", &mut compiled.prefixes)
                }
                _ => {
                    place.add("set exactly one of exact and prefix");
                    continue;
                }
            };
            let is_prefix = key == "prefix";
            let problem = match folded(text.as_bytes()) {
                Some(path) if path == text.as_bytes() && !(is_prefix && text.ends_with('/')) => {
                    covered(text, is_prefix).map(|telemetry| {
                        format!(
                            "covers {telemetry}, and telemetry must not pass unchecked: choose a \
                             path that does not cover it"
                        )
                    })
                }
                _ => Some(
                    "not a normalized path: write /a/b, without percent-encoding, //, . or .. \
                     segments, a query, or a / at the end of a prefix"
                        .to_owned(),
                ),
            };
            match problem {
                Some(message) => place.at(key).add(message),
                None => list.push(text.clone()),
            }
        }
        compiled
    }

    /// Whether a request to `target` passes. `target` is a path, perhaps with a query.
    pub(crate) fn let_pass(&self, target: &[u8]) -> bool {
        if self.exact.is_empty() && self.prefixes.is_empty() {
            return false;
        }
        let Some(path) = folded(path_of(target)) else { return false };
        let is_listed = self.exact.iter().any(|exact| exact.as_bytes() == path)
            || self.prefixes.iter().any(|prefix| is_at_or_below(&path, prefix.as_bytes()));
        is_listed && !is_of_telemetry(&path)
    }
}

/// The path as any software behind the gate may read it, decoded once. `None` if two programs may read it differently:
/// an invalid escape, an escape of a character that has a meaning in paths, an empty segment, `.`, `..`, a backslash, a
/// parameter.
fn folded(path: &[u8]) -> Option<Vec<u8>> {
    let decoded: Vec<u8> = percent_decode(path).collect();
    let is_clear =
        |byte: &u8| !byte.is_ascii_control() && !matches!(byte, b'%' | b'\\' | b'?' | b'#' | b';');
    let slashes = |path: &[u8]| path.iter().filter(|byte| **byte == b'/').count();
    let steps = decoded.strip_prefix(b"/")?;
    let is_step = |step: &[u8]| !matches!(step, b"" | b"." | b"..");
    // The last segment may be empty, because a path may end with a slash.
    let (last, before) = match steps.iter().rposition(|byte| *byte == b'/') {
        Some(at) => {
            let (before, last) = steps.split_at_checked(at)?;
            (last.strip_prefix(b"/")?, Some(before))
        }
        None => (steps, None),
    };
    let is_folded = decoded.iter().all(is_clear)
        && slashes(path) == slashes(&decoded)
        && (last.is_empty() || is_step(last))
        && before.is_none_or(|before| before.split(|byte| *byte == b'/').all(is_step));
    is_folded.then_some(decoded)
}

fn is_at_or_below(path: &[u8], prefix: &[u8]) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| matches!(rest, [] | [b'/', ..]))
}

/// The paths at which telemetry is pushed, in any protocol, to Sluice or to any store that may be behind it. A path
/// that ends in `*` stands for all paths with this prefix. All of them may come after another prefix.
fn telemetry() -> impl Iterator<Item = &'static str> {
    ALL.into_iter().flat_map(|store| store.push_paths).copied()
}

/// Whether a folded path is one of those, after any prefix.
fn is_of_telemetry(path: &[u8]) -> bool {
    telemetry().any(|telemetry| is_it(telemetry, path))
}

fn is_it(telemetry: &str, path: &[u8]) -> bool {
    match telemetry.strip_suffix('*') {
        Some(start) => path.windows(start.len()).any(|part| part == start.as_bytes()),
        None => path.strip_suffix(b"/").unwrap_or(path).ends_with(telemetry.as_bytes()),
    }
}

/// A telemetry path that an entry would let pass.
fn covered(path: &str, is_prefix: bool) -> Option<&'static str> {
    let below = format!("{path}/");
    let is_covered = |telemetry: &&str| {
        let start = telemetry.trim_end_matches('*').trim_end_matches('/');
        is_it(telemetry, path.as_bytes())
            || is_prefix
                && (is_it(telemetry, below.as_bytes())
                    || is_at_or_below(start.as_bytes(), path.as_bytes()))
    };
    telemetry().find(is_covered)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sluice_config::check;

    use super::*;

    fn compile(entries: &str) -> Result<OtherPaths, Vec<String>> {
        let entries: Vec<OtherPath> = serde_json::from_str(entries).unwrap();
        let compiled = check("otherPaths", |place| Some(OtherPaths::compile(&entries, place)));
        compiled.map_err(|problems| problems.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn nothing_passes_unless_it_is_named() {
        let none = OtherPaths::default();
        for path in ["/", "/healthz", "/loki/api/v1/labels"] {
            assert!(!none.let_pass(path.as_bytes()), "{path}");
        }
        let some =
            compile(r#"[{"exact": "/healthz"}, {"prefix": "/loki/api/v1/label"}, {"exact": "/"}]"#);
        let some = some.unwrap();
        for path in [
            "/",
            "/?a=b",
            "/healthz",
            "/health%7A",
            "/healthz?a=/v1/logs",
            "/loki/api/v1/label",
            "/loki/api/v1/label/",
            "/loki/api/v1/label/a%20b/values?start=1",
            "/loki/api/v1/label/%E5%90%8D/values",
        ] {
            assert!(some.let_pass(path.as_bytes()), "{path}");
        }
        for path in [
            "/healthz/",
            "/healthz/a",
            "/Healthz",
            "/loki/api/v1/labels",
            "/loki/api/v1",
            "healthz",
            "",
            "*",
        ] {
            assert!(!some.let_pass(path.as_bytes()), "{path}");
        }
    }

    #[test]
    fn what_two_programs_may_read_differently_does_not_pass() {
        let all = compile(r#"[{"prefix": "/a"}]"#).unwrap();
        for path in [
            "/a//b",
            "//a",
            "/a/./b",
            "/a/../b",
            "/a/..",
            "/a/.",
            "/a/%2e%2e/b",
            "/a/.%2E/b",
            "/a%2Fb",
            "/a/%2f",
            "/a\\b",
            "/a/%5Cb",
            "/a/%252e",
            "/a/%25",
            "/a/%",
            "/a/%zz",
            "/a/%4",
            "/a/b;c=d",
            "/a/..;/b",
            "/a/%3Bb",
            "/a/b#c",
            "/a/%23",
            "/a/%3Fb",
            "/a/%00",
            "/a/%0A",
            "/a/\u{7f}",
            "/%61//b",
        ] {
            assert!(!all.let_pass(path.as_bytes()), "{path}");
        }
    }

    #[test]
    fn telemetry_does_not_pass_behind_a_prefix() {
        let all = compile(r#"[{"prefix": "/tenant-a"}]"#).unwrap();
        for path in [
            "/v1/logs",
            "/otlp/v1/logs",
            "/v1/lo%67s",
            "/v1/metrics/",
            "/v1development/profiles",
            "/api/v1/push",
            "/loki/api/v1/push",
            "/api/v1/push/influx/write",
            "/ingest",
            "/ingest?name=a",
            "/push.v1.PusherService/Push",
            "/api/v1/import",
            "/api/v1/import/prometheus",
            "/api/v1/import/csv",
            "/write",
            "/write?db=x",
            "/datadog/api/v2/series",
            "/datadog/api/v1/series",
            "/influx/api/v2/write",
            "/insert/jsonline",
            "/insert/0/prometheus/api/v1/write",
            "/opentelemetry/v1/metrics",
            "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
            "/api/v2/spans",
            "/httpgrpc.HTTP/Handle",
            "/newrelic/infra/v2/metrics/events/bulk",
            "/_bulk",
        ] {
            let path = format!("/tenant-a{path}");
            assert!(!all.let_pass(path.as_bytes()), "{path}");
        }
        for path in
            ["/api/v1/query", "/ingester/ring", "/writers", "/label/write/values", "/api/traces/1"]
        {
            assert!(all.let_pass(format!("/tenant-a{path}").as_bytes()), "{path}");
        }
    }

    #[test]
    fn an_entry_that_would_let_telemetry_pass_is_a_problem() {
        for (entry, says) in [
            (r#"{"prefix": "/v1"}"#, "covers /v1/logs*"),
            (r#"{"exact": "/v1/logs"}"#, "covers /v1/logs*"),
            (r#"{"prefix": "/loki/api/v1/push"}"#, "covers /api/v1/push*"),
            (r#"{"prefix": "/api"}"#, "covers /api/v1/push*"),
            (r#"{"prefix": "/ingest"}"#, "covers /ingest"),
            (r#"{"exact": "/write/"}"#, "covers /write"),
            (r#"{"prefix": "/datadog"}"#, "covers /datadog/*"),
            (r#"{"prefix": "/push.v1.PusherService"}"#, "covers /push.v1.PusherService/*"),
            (r#"{"prefix": "/"}"#, "not a normalized path"),
            (r#"{"prefix": "/a/"}"#, "not a normalized path"),
            (r#"{"exact": "/a%20b"}"#, "not a normalized path"),
            (r#"{"exact": "/a?b"}"#, "not a normalized path"),
            (r#"{"exact": "a"}"#, "not a normalized path"),
            (r#"{"exact": ""}"#, "not a normalized path"),
            (r#"{"prefix": ""}"#, "not a normalized path"),
            (r#"{"prefix": "/a/../b"}"#, "not a normalized path"),
            (r#"{"prefix": "/a*"}, {}"#, "otherPaths[1]: set exactly one"),
            (r#"{"prefix": "/a", "exact": "/b"}"#, "otherPaths[0]: set exactly one"),
        ] {
            let problems = compile(&format!("[{entry}]")).unwrap_err();
            assert!(problems[0].contains(says), "{entry}: {problems:?}");
        }
    }

    #[test]
    fn the_readme_names_every_path_of_telemetry() {
        let readme = include_str!("../README.md");
        for path in telemetry() {
            assert!(readme.contains(&format!("`{path}`")), "{path} is not in the README");
        }
    }

    proptest! {
        #[test]
        fn what_passes_reads_the_same_however_often_it_is_decoded(path in "(/|/a|%2[0-9a-fA-F]|%[0-9]|[.;a-c\\\\?#/]){0,12}") {
            let all = compile(r#"[{"prefix": "/a"}]"#).unwrap();
            if all.let_pass(path.as_bytes()) {
                let once: Vec<u8> = percent_decode(path.split('?').next().unwrap().as_bytes()).collect();
                let twice: Vec<u8> = percent_decode(&once).collect();
                prop_assert_eq!(&once, &twice);
                prop_assert!(!once.windows(2).any(|two| two == b"//"));
                prop_assert!(once.split(|byte| *byte == b'/').all(|step| step != b"." && step != b".."));
            }
        }
    }
}
