//! Properties: what `proxy_get_property` finds, and how their values are encoded.

use std::{collections::BTreeMap, time::Duration};

use crate::{headers::HeaderMap, local_reply::grpc_status_of, pairs};

/// A property's value, in the bytes that Envoy gives to a guest (`serializeValue` of
/// `source/extensions/common/wasm/context.cc`): text and bytes unchanged; numbers in 8 little-endian bytes; a bool in
/// one byte; a duration or a time in nanoseconds; a map and a list as pairs (the items of a list are the names); a
/// message in its protobuf encoding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value(Vec<u8>);

impl Value {
    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// A map of text to values.
    #[must_use]
    pub fn map<'a>(entries: impl IntoIterator<Item = (&'a str, Self)>) -> Self {
        let entries: Vec<(&str, Self)> = entries.into_iter().collect();
        Self(pairs::write(entries.iter().map(|(key, value)| (key.as_bytes(), value.bytes()))))
    }

    /// A list of values.
    #[must_use]
    pub fn list(items: impl IntoIterator<Item = Self>) -> Self {
        let items: Vec<Self> = items.into_iter().collect();
        Self(pairs::write(items.iter().map(|item| (item.bytes(), [].as_slice()))))
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl From<&[u8]> for Value {
    fn from(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }
}

impl From<Vec<u8>> for Value {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self(number.to_le_bytes().into())
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self(number.to_le_bytes().into())
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self(number.to_le_bytes().into())
    }
}

impl From<bool> for Value {
    fn from(yes: bool) -> Self {
        Self(vec![u8::from(yes)])
    }
}

impl From<Duration> for Value {
    fn from(duration: Duration) -> Self {
        i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX).into()
    }
}

/// What Envoy knows about a stream and its connection before the filter runs.
///
/// A path that is not set here is not found, except those that Envoy derives from the headers (see the crate's
/// documentation) and `connection_id`, `plugin_name`, `plugin_root_id` and `plugin_vm_id`.
#[derive(Clone, Debug, Default)]
pub struct Attributes {
    pub(crate) values: BTreeMap<Vec<u8>, Value>,
    pub(crate) filter_state: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl Attributes {
    /// No attributes: a plain-text connection.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets `value` at `path`, for example `["connection", "mtls"]`.
    #[must_use]
    pub fn with<const DEPTH: usize>(
        mut self,
        path: [&str; DEPTH],
        value: impl Into<Value>,
    ) -> Self {
        self.values.insert(path.join("\0").into_bytes(), value.into());
        self
    }

    /// Sets a value in the filter state, as if another wasm filter had called `proxy_set_property` with `name`.
    #[must_use]
    pub fn with_filter_state(mut self, name: &str, value: impl Into<Vec<u8>>) -> Self {
        self.filter_state.insert(name.into(), value.into());
        self
    }
}

/// What Envoy derives from the request's headers (`RequestWrapper` of
/// `source/extensions/filters/common/expr/context.cc`); `path` is what follows `request`.
pub(crate) fn of_request(headers: &HeaderMap, path: &[u8]) -> Option<Value> {
    let target = || headers.get(":path");
    let cut = |at: usize| target().map(|t| t.splitn(2, |b| *b == b'?').nth(at).unwrap_or_default());
    let value = match path {
        b"path" => target(),
        b"url_path" => cut(0),
        b"query" => cut(1),
        b"host" => headers.get(":authority"),
        b"scheme" => headers.get(":scheme"),
        b"method" => headers.get(":method"),
        b"referer" => headers.get("referer"),
        b"useragent" => headers.get("user-agent"),
        b"id" => headers.get("x-request-id"),
        _ => return of_header(headers, path.strip_prefix(b"headers\0")?),
    };
    value.map(Into::into)
}

/// What Envoy derives from the reply's headers and trailers (`ResponseWrapper`); `path` is what follows `response`.
pub(crate) fn of_response(
    headers: Option<&HeaderMap>,
    trailers: Option<&HeaderMap>,
    path: &[u8],
) -> Option<Value> {
    if let Some(name) = path.strip_prefix(b"headers\0") {
        return of_header(headers?, name);
    }
    if let Some(name) = path.strip_prefix(b"trailers\0") {
        return of_header(trailers?, name);
    }
    let number = |value: &[u8]| std::str::from_utf8(value).ok()?.parse::<i64>().ok();
    match path {
        b"code" => number(headers?.get(":status")?).map(Into::into),
        // If the reply has no gRPC status, Envoy derives it from the HTTP status.
        b"grpc_status" => [trailers, headers]
            .into_iter()
            .flatten()
            .find_map(|map| number(map.get("grpc-status")?))
            .or_else(|| {
                let status = u32::try_from(number(headers?.get(":status")?)?).ok()?;
                Some(grpc_status_of(status).into())
            })
            .map(Into::into),
        _ => None,
    }
}

fn of_header(headers: &HeaderMap, name: &[u8]) -> Option<Value> {
    let values: Vec<&[u8]> = headers.all(name).collect();
    (!values.is_empty()).then(|| values.join(b",".as_slice()).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_written_as_envoy_writes_them() {
        assert_eq!(Value::from("text").bytes(), b"text");
        assert_eq!(Value::from(-2i64).bytes(), [0xfe, 255, 255, 255, 255, 255, 255, 255]);
        assert_eq!(Value::from(true).bytes(), [1]);
        assert_eq!(Value::from(Duration::from_micros(1)).bytes(), Value::from(1000i64).bytes());
        let map = Value::map([("k", Value::from("v"))]);
        assert_eq!(map.bytes(), b"\x01\0\0\0\x01\0\0\0\x01\0\0\0k\0v\0");
        assert_eq!(Value::list([Value::from("i")]).bytes(), b"\x01\0\0\0\x01\0\0\0\0\0\0\0i\0\0");
    }

    #[test]
    fn the_grpc_status_is_the_trailers_then_the_headers_then_the_http_statuss() {
        let status = |trailers: &[(&str, &str)], headers: &[(&str, &str)]| {
            let [trailers, headers] =
                [trailers, headers].map(|map| map.iter().copied().collect::<HeaderMap>());
            of_response(Some(&headers), Some(&trailers), b"grpc_status")
        };
        let found = |status: i64| Some(Value::from(status));
        assert_eq!(status(&[("grpc-status", "3")], &[("grpc-status", "4")]), found(3));
        assert_eq!(status(&[], &[("grpc-status", "4"), (":status", "200")]), found(4));
        assert_eq!(status(&[], &[(":status", "503")]), found(14));
        assert_eq!(status(&[], &[]), None);
    }

    #[test]
    fn a_path_is_split_at_its_question_mark() {
        let headers = HeaderMap::from([(":path", "/a?b=c?d")]);
        assert_eq!(of_request(&headers, b"url_path"), Some("/a".into()));
        assert_eq!(of_request(&headers, b"query"), Some("b=c?d".into()));
        assert_eq!(of_request(&headers, b"referer"), None);
    }
}
