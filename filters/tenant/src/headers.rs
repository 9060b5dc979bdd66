//! The headers that senders must not set.

use sluice_stores::ALL;

/// The gate's own headers, in addition to those that [any store](sluice_stores::ALL) guards.
const OWN: (&str, &str) = ("x-sluice-*", "the gate's own: names the backend, and the copy's");

/// Headers that change what a backend does with a request, and why senders must not set them. A
/// name that ends in `*` stands for all names with this prefix, including future ones.
fn guarded() -> impl Iterator<Item = (&'static str, &'static str)> {
    let of_stores = ALL.into_iter().flat_map(|store| store.guarded_headers);
    of_stores.map(|header| (header.name, header.effect)).chain([OWN])
}

/// Whether a header with this name is removed from every request.
#[must_use]
pub fn is_guarded(name: &str) -> bool {
    // Every header of every request is compared with every guarded one, and the first byte tells nearly all apart.
    let begins = name.bytes().next().map(folded);
    guarded().filter(|(guarded, _)| guarded.bytes().next() == begins).any(|(guarded, _)| {
        match guarded.strip_suffix('*') {
            Some(start) => name.get(..start.len()).is_some_and(|begins| are_one(begins, start)),
            None => are_one(name, guarded),
        }
    })
}

/// Whether some backend may treat the two names as the same header. Case is ignored (RFC 9110, section 5.1), and `_`
/// counts as `-`, because software that passes headers on as variables maps both to the same character (RFC 3875,
/// section 4.1.18).
pub(crate) fn are_one(name: &str, other: &str) -> bool {
    name.bytes().map(folded).eq(other.bytes().map(folded))
}

const fn folded(byte: u8) -> u8 {
    if byte == b'_' { b'-' } else { byte.to_ascii_lowercase() }
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

    /// The README has the same table, for readers.
    #[test]
    fn every_guarded_header_is_documented_with_its_reason() {
        let readme = include_str!("../README.md").to_lowercase();
        for (name, reason) in guarded() {
            let row = readme.lines().find(|line| line.starts_with(&format!("| `{name}` | ")));
            let row = row.unwrap_or_else(|| panic!("{name} has no row in the README"));
            assert!(row.contains(&reason.to_lowercase()), "{row}: {reason}");
        }
    }
}
