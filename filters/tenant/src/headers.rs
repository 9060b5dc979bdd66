//! The headers that no sender may set.

use sluice_headers::names::SCOPE_ORG_ID;

/// The headers in which VictoriaLogs reads the tenant's account and project
/// (`lib/logstorage/tenant_id.go`).
pub const ACCOUNT_ID: &str = "accountid";

/// See [`ACCOUNT_ID`].
pub const PROJECT_ID: &str = "projectid";

/// Headers that change what a backend does with a request, and why no sender may bring them. A name
/// that ends in `*` is every name that begins so, present and future.
const GUARDED: [(&str, &str); 10] = [
    (SCOPE_ORG_ID, "names the tenant to Loki, Mimir, Tempo and Pyroscope"),
    ("x-scope-userid", "names the user within the tenant"),
    (ACCOUNT_ID, "names the tenant to VictoriaLogs and, where a path does not, VictoriaMetrics"),
    (PROJECT_ID, "the same"),
    ("x-loki-backfill-shard", "lifts Loki's age limits and adds reserved labels"),
    ("x-loki-ingestion-policy", "overrides Loki's ingestion policy"),
    ("x-mimir-*", "switches Mimir's name translation and label rules"),
    (
        "vl-*",
        "has VictoriaLogs take other fields for time, message and stream, add or ignore some, or store nothing",
    ),
    ("signoz-*", "names the account at SigNoz, by its ingestion key or access token"),
    ("x-sluice-*", "the gate's own: names the backend, and the copy's"),
];

/// Whether a header of this name is taken from every sender.
#[must_use]
pub fn is_guarded(name: &str) -> bool {
    GUARDED.iter().any(|(guarded, _)| match guarded.strip_suffix('*') {
        Some(start) => name.get(..start.len()).is_some_and(|begins| are_one(begins, start)),
        None => are_one(name, guarded),
    })
}

/// Whether some backend may take the two names for one: they are compared without case (RFC 9110, section
/// 5.1), and with `_` as `-`, because what passes headers on as variables makes one of both (RFC 3875,
/// section 4.1.18).
pub(crate) fn are_one(name: &str, other: &str) -> bool {
    let folded = |byte: u8| if byte == b'_' { b'-' } else { byte.to_ascii_lowercase() };
    name.bytes().map(folded).eq(other.bytes().map(folded))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_that_steer_a_backend_are_guarded_in_any_case() {
        for name in [
            "x-scope-orgid",
            "X-Scope-OrgID",
            "X-Scope-UserID",
            "X-Loki-Backfill-Shard",
            "x-loki-ingestion-policy",
            "X-Mimir-OTLP-AddSuffixes",
            "x-mimir-skiplabelnamevalidation",
            "AccountID",
            "projectid",
            "VL-Stream-Fields",
            "vl-debug",
            "signoz-ingestion-key",
            "signoz-access-token",
            "x-sluice-mirror",
            "X-Sluice-Backend",
            "x_scope_orgid",
            "X_Scope-OrgID",
            "x_mimir_otlp_addsuffixes",
        ] {
            assert!(is_guarded(name), "{name}");
        }
    }

    #[test]
    fn other_headers_are_not() {
        for name in [
            "content-type",
            "x-mimir",
            "x-scope-orgid2",
            "x.scope.orgid",
            "x-request-id",
            "vl",
            "account",
            "",
        ] {
            assert!(!is_guarded(name), "{name}");
        }
    }

    /// The README has the same table, for people.
    #[test]
    fn every_guarded_header_is_documented_with_its_reason() {
        let readme = include_str!("../README.md").to_lowercase();
        for (name, reason) in GUARDED {
            let row = readme.lines().find(|line| line.starts_with(&format!("| `{name}` | ")));
            let row = row.unwrap_or_else(|| panic!("{name} has no row in the README"));
            assert!(row.contains(&reason.to_lowercase()), "{row}: {reason}");
        }
    }
}
