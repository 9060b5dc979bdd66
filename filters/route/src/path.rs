//! The path at which a backend takes a signal.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use sluice_tenant::TenantId;

/// What stands for the tenant.
const TENANT: &str = "{tenant}";

/// What is no `pchar` (RFC 3986, section 3.3), of what a tenant id may have in it.
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

/// A path, with places for the tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Path(Cow<'static, str>);

impl Path {
    /// The path that a kind of backend has.
    pub(crate) const fn known(path: &'static str) -> Self {
        Self(Cow::Borrowed(path))
    }

    /// The path that a configuration gives.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn parse(path: String) -> Result<Self, &'static str> {
        let around = path.replace(TENANT, "");
        if !path.starts_with('/') {
            return Err("a path begins with /");
        }
        let is_in_path = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'?' | b'#');
        if !around.bytes().all(is_in_path) {
            return Err("a path is visible ASCII, without ? and #");
        }
        if around.contains(['{', '}']) {
            return Err("of what stands in braces only {tenant} is known");
        }
        Ok(Self(Cow::Owned(path)))
    }

    /// Whether it has the tenant in it.
    pub(crate) fn names_tenant(&self) -> bool {
        self.0.contains(TENANT)
    }

    /// The path for a tenant; `None` if it has one in it and there is none.
    pub(crate) fn of(&self, tenant: Option<&TenantId>) -> Option<String> {
        if !self.names_tenant() {
            return Some(self.0.clone().into_owned());
        }
        let tenant = utf8_percent_encode(tenant?.as_str(), NOT_IN_A_SEGMENT).to_string();
        Some(self.0.replace(TENANT, &tenant))
    }
}

#[cfg(test)]
mod tests {
    use sluice_tenant::TenantIds;

    use super::*;

    #[test]
    fn a_tenant_is_one_segment_of_a_path_whatever_is_in_it() {
        let path = Path::parse("/api/{tenant}/v1/{tenant}".to_owned()).unwrap();
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
        assert_eq!(Path::known("/v1/logs").of(None).as_deref(), Some("/v1/logs"));
    }

    #[test]
    fn what_is_no_path_is_refused() {
        for path in
            ["", "v1/logs", "{tenant}", "/a?b=c", "/a#b", "/a b", "/\u{e9}", "/{org}/x", "/}"]
        {
            assert!(Path::parse(path.to_owned()).is_err(), "{path}");
        }
    }
}
