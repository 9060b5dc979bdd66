//! Changes to a request's headers, as data, and the headers that no sender may set.

/// One change to a map of headers; only the module carries it out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeaderEdit {
    /// Every copy of the header goes.
    Remove(String),
    /// Every copy goes and one takes their place: the first of several copies wins in Loki, and
    /// two are an error in Tempo.
    Set(String, String),
}

impl HeaderEdit {
    /// An edit that removes every copy of `name`.
    #[must_use]
    pub fn remove(name: &str) -> Self {
        Self::Remove(name.to_owned())
    }

    /// An edit that leaves exactly one `name`, with `value`.
    #[must_use]
    pub fn set(name: &str, value: impl Into<String>) -> Self {
        Self::Set(name.to_owned(), value.into())
    }
}

/// The header in which Loki, Mimir and Tempo read the tenant, in lower case as Envoy has it.
pub const SCOPE_ORG_ID: &str = "x-scope-orgid";

/// Headers that change what a backend does with a request, and why no sender may bring them.
const GUARDED: [(&str, &str); 4] = [
    (SCOPE_ORG_ID, "names the tenant"),
    ("x-scope-userid", "names the user within the tenant"),
    ("x-loki-backfill-shard", "lifts Loki's age limits and adds reserved labels"),
    ("x-loki-ingestion-policy", "overrides Loki's ingestion policy"),
];

/// Mimir's switches for translating names and skipping labels, present and future.
const GUARDED_PREFIX: &str = "x-mimir-";

/// Whether a header of this name is taken from every sender. Names are compared without case.
#[must_use]
pub fn is_guarded(name: &str) -> bool {
    GUARDED.iter().any(|(guarded, _)| name.eq_ignore_ascii_case(guarded))
        || name
            .get(..GUARDED_PREFIX.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(GUARDED_PREFIX))
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
        ] {
            assert!(is_guarded(name), "{name}");
        }
    }

    #[test]
    fn other_headers_are_not() {
        for name in ["content-type", "x-mimir", "x-scope-orgid2", "x-request-id", ""] {
            assert!(!is_guarded(name), "{name}");
        }
    }
}
