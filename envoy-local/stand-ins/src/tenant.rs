//! The tenant of a push: how dskit, a library in all four backends, reads `X-Scope-OrgID` (grafana/dskit,
//! tenant/tenant.go and tenant/resolver.go).

use std::collections::BTreeSet;

use http::HeaderMap;

/// The header that names the tenant.
pub(crate) const HEADER: &str = "x-scope-orgid";
/// The longest tenant id, in bytes.
const MAX_BYTES: usize = 150;

/// Why a tenant id is rejected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    Dots,
    Multiple,
    TooLong,
    Unsupported { id: Vec<u8>, byte: u8 },
}

impl Refused {
    /// The backends' text, or `None` if it would not be UTF-8 and so does not fit into a protobuf string.
    pub(crate) fn message(&self) -> Option<String> {
        Some(match self {
            Self::Dots => "tenant ID is '.' or '..'".to_owned(),
            Self::Multiple => "multiple org IDs present".to_owned(),
            Self::TooLong => format!("tenant ID is too long: max {MAX_BYTES} characters"),
            Self::Unsupported { id, byte } => format!(
                "tenant ID '{}' contains unsupported character '{}'",
                std::str::from_utf8(id).ok()?,
                char::from(*byte)
            ),
        })
    }
}

/// The values of the tenant header as Go's HTTP server sees them, without leading and trailing blanks.
pub(crate) fn values(headers: &HeaderMap) -> Vec<&[u8]> {
    headers.get_all(HEADER).iter().map(|value| value.as_bytes().trim_ascii()).collect()
}

/// The tenant that a value names. `a|a` names one tenant, `a:anything` names `a`.
pub(crate) fn single(value: &[u8]) -> Result<String, Refused> {
    let mut parts = value.split(|byte| *byte == b'|').map(without_metadata);
    let first = valid(parts.next().unwrap_or_default())?;
    if parts.any(|other| other != first.as_bytes()) {
        return Err(Refused::Multiple);
    }
    Ok(first)
}

/// The tenants that a value names, each once.
pub(crate) fn distinct(value: &[u8]) -> Result<BTreeSet<String>, Refused> {
    value.split(|byte| *byte == b'|').map(|part| valid(without_metadata(part))).collect()
}

fn without_metadata(part: &[u8]) -> &[u8] {
    part.split(|byte| *byte == b':').next().unwrap_or_default()
}

fn valid(id: &[u8]) -> Result<String, Refused> {
    let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"!-_.*'()".contains(byte);
    if let Some(byte) = id.iter().copied().find(|byte| !allowed(byte)) {
        return Err(Refused::Unsupported { id: id.to_vec(), byte });
    }
    if id.len() > MAX_BYTES {
        return Err(Refused::TooLong);
    }
    if id == b"." || id == b".." {
        return Err(Refused::Dots);
    }
    // Only ASCII is left here.
    Ok(id.iter().copied().map(char::from).collect())
}
