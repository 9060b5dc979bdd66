//! The path at which a backend accepts a signal.

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use sluice_tenant::TenantId;

/// The placeholder for the tenant.
const TENANT: &str = "{tenant}";

/// The characters that a tenant id may contain but a path segment must encode, because they are not
/// `pchar` (RFC 3986, section 3.3).
const NOT_IN_A_SEGMENT: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'/')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// A path with placeholders for the tenant: the texts between them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Path(Vec<String>);

impl Path {
    /// Reads a path as it is written.
    ///
    /// # Errors
    /// What is wrong with the path.
    pub(crate) fn parse(path: &str) -> Result<Self, &'static str> {
        let between: Vec<_> = path.split(TENANT).map(str::to_owned).collect();
        let all = || between.iter().flat_map(|part| part.bytes());
        if !path.starts_with('/') {
            return Err("must begin with /");
        }
        if !all().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'?' | b'#')) {
            return Err("must be visible ASCII without ? and #");
        }
        if all().any(|byte| matches!(byte, b'{' | b'}')) {
            return Err("unknown placeholder: only {tenant} is supported");
        }
        Ok(Self(between))
    }

    /// Whether the path contains the tenant.
    pub(crate) const fn names_tenant(&self) -> bool {
        self.0.len() > 1
    }

    /// The path for a tenant; `None` if the path contains the tenant and there is none.
    pub(crate) fn of(&self, tenant: Option<&TenantId>) -> Option<String> {
        let (first, others) = self.0.split_first()?;
        let mut path = first.clone();
        for part in others {
            path.extend(utf8_percent_encode(tenant?.as_str(), NOT_IN_A_SEGMENT));
            path.push_str(part);
        }
        Some(path)
    }
}

#[cfg(test)]
mod tests {
    use sluice_tenant::TenantIds;

    use super::*;

    #[test]
    fn a_tenant_is_one_segment_of_a_path_whatever_is_in_it() {
        let path = Path::parse("/api/{tenant}/v1/{tenant}").unwrap();
        for (tenant, expected) in [
            ("a", "/api/a/v1/a"),
            ("a!-_.*'()", "/api/a!-_.*'()/v1/a!-_.*'()"),
            ("12:3", "/api/12:3/v1/12:3"),
            ("a|b", "/api/a%7Cb/v1/a%7Cb"),
            ("{tenant}", "/api/%7Btenant%7D/v1/%7Btenant%7D"),
            ("\\[x]^`<>", "/api/%5C%5Bx%5D%5E%60%3C%3E/v1/%5C%5Bx%5D%5E%60%3C%3E"),
        ] {
            let tenant = TenantId::new(tenant, TenantIds::Text).unwrap();
            assert_eq!(path.of(Some(&tenant)).as_deref(), Some(expected));
        }
        assert_eq!(path.of(None), None);
        assert_eq!(Path::parse("/v1/logs").unwrap().of(None).as_deref(), Some("/v1/logs"));
    }

    #[test]
    fn what_is_no_path_is_refused() {
        for path in
            ["", "v1/logs", "{tenant}", "/a?b=c", "/a#b", "/a b", "/\u{e9}", "/{org}/x", "/}"]
        {
            assert!(Path::parse(path).is_err(), "{path}");
        }
    }
}
