//! Header maps, as Envoy stores them.

use std::{borrow::Cow, fmt};

/// Request headers that Envoy stores once: a further value is joined to the first with a comma
/// (`HeaderMapImpl::insertByKey`, `source/common/http/header_map_impl.cc`). The list was observed on Envoy 1.40.0, by
/// adding each header twice.
const OF_REQUEST: &[&str] = &[
    ":authority",
    ":method",
    ":path",
    ":protocol",
    ":scheme",
    "accept",
    "accept-encoding",
    "access-control-request-headers",
    "access-control-request-method",
    "authorization",
    "cache-control",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "grpc-accept-encoding",
    "grpc-timeout",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "keep-alive",
    "origin",
    "pragma",
    "proxy-connection",
    "proxy-status",
    "referer",
    "te",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "via",
    "x-client-trace-id",
    "x-envoy-attempt-count",
    "x-envoy-decorator-operation",
    "x-envoy-downstream-service-cluster",
    "x-envoy-expected-rq-timeout-ms",
    "x-envoy-external-address",
    "x-envoy-force-trace",
    "x-envoy-hedge-on-per-try-timeout",
    "x-envoy-internal",
    "x-envoy-ip-tags",
    "x-envoy-max-retries",
    "x-envoy-original-path",
    "x-envoy-retry-on",
    "x-envoy-upstream-rq-timeout-ms",
    "x-forwarded-client-cert",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-proto",
    "x-request-id",
];

/// The same for a reply.
const OF_RESPONSE: &[&str] = &[
    ":status",
    "access-control-allow-origin",
    "cache-control",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "date",
    "etag",
    "expires",
    "grpc-message",
    "grpc-status",
    "keep-alive",
    "last-modified",
    "location",
    "proxy-connection",
    "proxy-status",
    "server",
    "transfer-encoding",
    "upgrade",
    "vary",
    "via",
    "x-envoy-attempt-count",
    "x-envoy-decorator-operation",
    "x-envoy-degraded",
    "x-envoy-upstream-service-time",
    "x-request-id",
];

/// The same for a reply's trailers.
const OF_RESPONSE_TRAILERS: &[&str] = &["grpc-message", "grpc-status"];

/// What a map belongs to. This decides which headers Envoy stores once in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Kind {
    /// No header is stored once: a request's trailers, and a map that has not been sent yet.
    #[default]
    Plain,
    Request,
    Response,
    ResponseTrailers,
}

/// A multimap of headers or trailers.
///
/// As in Envoy: names are in lower case, whatever their case was; values are bytes; the order of arrival is kept, but
/// names that begin with a colon come first. Once the map is sent, some well-known headers are stored once, with their
/// values joined (for example `content-type`, but not `x-scope-orgid`), and a request's `host` is its `:authority`.
#[derive(Clone, Default)]
pub struct HeaderMap {
    kind: Kind,
    entries: Vec<(Vec<u8>, Vec<u8>)>,
}

impl HeaderMap {
    /// An empty map.
    #[must_use]
    pub const fn new() -> Self {
        Self { kind: Kind::Plain, entries: Vec::new() }
    }

    /// The map as Envoy stores it for this `kind`.
    pub(crate) fn into_kind(self, kind: Kind) -> Self {
        let mut map = Self { kind, entries: Vec::with_capacity(self.entries.len()) };
        map.extend(self.entries);
        map
    }

    /// Replaces the content; the kind stays (`Context::setHeaderMapPairs`).
    pub(crate) fn replace_all(&mut self, entries: Vec<(Vec<u8>, Vec<u8>)>) {
        self.entries.clear();
        self.extend(entries);
    }

    /// Returns the map with one more value under `name`; existing values stay.
    #[must_use]
    pub fn with(mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        self.add(name, value);
        self
    }

    /// Adds a value under `name` (`HeaderMapImpl::addCopy`). If Envoy stores this header once, the value is joined with
    /// a comma.
    pub fn add(&mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) {
        let name = self.key(name.as_ref());
        let value = value.as_ref();
        let kept_once = match self.kind {
            Kind::Plain => &[],
            Kind::Request => OF_REQUEST,
            Kind::Response => OF_RESPONSE,
            Kind::ResponseTrailers => OF_RESPONSE_TRAILERS,
        };
        let kept_once = kept_once.iter().any(|known| known.as_bytes() == name);
        let first = self.entries.iter_mut().find(|(n, _)| kept_once && *n == name);
        if let Some((_, joined)) = first {
            if !joined.is_empty() && !value.is_empty() {
                joined.push(b',');
            }
            joined.extend_from_slice(value);
            return;
        }
        let at = if name.starts_with(b":") {
            self.entries.iter().take_while(|(n, _)| n.starts_with(b":")).count()
        } else {
            self.entries.len()
        };
        self.entries.insert(at, (name, value.to_vec()));
    }

    /// Replaces all values of `name` with one (`HeaderMapImpl::setCopy`).
    pub fn set(&mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) {
        self.remove(name.as_ref());
        self.add(name, value);
    }

    /// Removes all values of `name`.
    pub fn remove(&mut self, name: impl AsRef<[u8]>) {
        let name = self.key(name.as_ref());
        self.entries.retain(|(n, _)| *n != name);
    }

    /// The first value of `name`, which `proxy_get_header_map_value` returns.
    #[must_use]
    pub fn get(&self, name: impl AsRef<[u8]>) -> Option<&[u8]> {
        self.all(name).next()
    }

    /// The first value of `name` as text; bytes that are not UTF-8 are replaced.
    #[must_use]
    pub fn text(&self, name: impl AsRef<[u8]>) -> Option<Cow<'_, str>> {
        self.get(name).map(String::from_utf8_lossy)
    }

    /// All values of `name`, in order.
    pub fn all(&self, name: impl AsRef<[u8]>) -> impl Iterator<Item = &[u8]> {
        let name = self.key(name.as_ref());
        self.entries.iter().filter(move |(n, _)| *n == name).map(|(_, value)| value.as_slice())
    }

    fn key(&self, name: &[u8]) -> Vec<u8> {
        match name.to_ascii_lowercase() {
            host if self.kind == Kind::Request && host == b"host" => b":authority".into(),
            name => name,
        }
    }

    /// Whether the map has a value under `name`.
    #[must_use]
    pub fn contains(&self, name: impl AsRef<[u8]>) -> bool {
        self.get(name).is_some()
    }

    /// All names and values, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.entries.iter().map(|(name, value)| (name.as_slice(), value.as_slice()))
    }

    /// The number of values.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether the map is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The number of bytes in names and values (`HeaderMapImpl::byteSize`).
    #[must_use]
    pub fn byte_size(&self) -> usize {
        self.iter().map(|(name, value)| name.len().saturating_add(value.len())).sum()
    }
}

impl<N: AsRef<[u8]>, V: AsRef<[u8]>> FromIterator<(N, V)> for HeaderMap {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Self {
        let mut map = Self::new();
        map.extend(pairs);
        map
    }
}

impl<N: AsRef<[u8]>, V: AsRef<[u8]>> Extend<(N, V)> for HeaderMap {
    fn extend<I: IntoIterator<Item = (N, V)>>(&mut self, pairs: I) {
        for (name, value) in pairs {
            self.add(name, value);
        }
    }
}

impl<N: AsRef<[u8]>, V: AsRef<[u8]>, const COUNT: usize> From<[(N, V); COUNT]> for HeaderMap {
    fn from(pairs: [(N, V); COUNT]) -> Self {
        pairs.into_iter().collect()
    }
}

/// Maps are equal if they have the same names and values in the same order.
impl PartialEq for HeaderMap {
    fn eq(&self, other: &Self) -> bool {
        self.entries == other.entries
    }
}

impl Eq for HeaderMap {}

impl fmt::Debug for HeaderMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(
                self.iter().map(|(name, value)| {
                    format!("{}: {}", name.escape_ascii(), value.escape_ascii())
                }),
            )
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values<'a>(map: &'a HeaderMap, name: &'a str) -> Vec<&'a [u8]> {
        map.all(name).collect()
    }

    #[test]
    fn a_name_is_found_in_any_case_and_kept_in_lower_case() {
        let map = HeaderMap::from([("X-Tenant", "a")]);
        assert_eq!(map.get("x-TENANT"), Some(b"a".as_slice()));
        assert_eq!(map.iter().next(), Some((b"x-tenant".as_slice(), b"a".as_slice())));
    }

    #[test]
    fn duplicates_are_kept_in_order_and_set_leaves_one() {
        let mut map = HeaderMap::from([("x-tenant", "a"), ("other", "o"), ("X-Tenant", "b")]);
        assert_eq!(values(&map, "x-tenant"), [b"a", b"b"]);
        map.set("x-tenant", "c");
        assert_eq!(values(&map, "x-tenant"), [b"c"]);
        map.remove("X-TENANT");
        assert!(!map.contains("x-tenant"));
        assert_eq!(map.len(), 1);
    }

    #[test]
    fn a_header_that_envoy_keeps_once_is_joined_when_it_is_sent() {
        let map = HeaderMap::from([("accept", "a"), ("Accept", "b"), ("date", "c"), ("date", "d")]);
        assert_eq!(values(&map, "accept"), [b"a", b"b"]);
        let request = map.clone().into_kind(Kind::Request);
        assert_eq!(values(&request, "accept"), [b"a,b"]);
        assert_eq!(values(&request, "date"), [b"c", b"d"]);
        let response = map.into_kind(Kind::Response);
        assert_eq!(values(&response, "accept"), [b"a", b"b"]);
        assert_eq!(values(&response, "date"), [b"c,d"]);
    }

    #[test]
    fn an_empty_value_is_joined_without_a_comma() {
        let mut map = HeaderMap::new().into_kind(Kind::Request);
        for value in ["", "a", "", "b"] {
            map.add("accept", value);
        }
        assert_eq!(values(&map, "accept"), [b"a,b"]);
    }

    #[test]
    fn the_host_of_a_request_is_its_authority() {
        let mut map = HeaderMap::from([("host", "a")]).into_kind(Kind::Request);
        assert_eq!(map.get(":authority"), Some(b"a".as_slice()));
        assert_eq!(map.get("Host"), Some(b"a".as_slice()));
        map.remove("host");
        assert!(map.is_empty());
    }

    #[test]
    fn names_with_a_colon_come_first() {
        let map = HeaderMap::from([("x", "1"), (":path", "/"), (":method", "GET")]);
        let names: Vec<&[u8]> = map.iter().map(|(name, _)| name).collect();
        assert_eq!(names, [b":path".as_slice(), b":method", b"x"]);
    }

    #[test]
    fn values_need_not_be_utf_8() {
        let map = HeaderMap::new().with("x", [0xff, 0xfe]);
        assert_eq!(map.get("x"), Some([0xff, 0xfe].as_slice()));
        assert_eq!(map.byte_size(), 3);
    }
}
