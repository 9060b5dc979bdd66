//! Local replies: those that Envoy sends itself, for a filter or for its own reasons.

use crate::{
    headers::{HeaderMap, Kind},
    pairs::Pairs,
};

/// The highest gRPC status (`WellKnownGrpcStatus::MaximumKnown`). A higher number means "not given"; SDKs write it as
/// -1.
const LAST_GRPC_STATUS: u32 = 16;
const UNAVAILABLE: u32 = 14;

/// The source of a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The upstream: the reply is not a local reply.
    Upstream,
    /// The filter, with `proxy_send_local_response`.
    Filter,
    /// Envoy, because the guest failed or a body was too large for the buffer.
    Envoy,
}

#[derive(Clone, Debug)]
pub(crate) struct LocalReply {
    pub(crate) origin: Origin,
    pub(crate) status: u32,
    pub(crate) headers: Pairs,
    pub(crate) body: Vec<u8>,
    pub(crate) grpc_status: Option<u32>,
    pub(crate) details: String,
}

impl LocalReply {
    pub(crate) fn of_filter(
        status: u32,
        headers: Pairs,
        body: Vec<u8>,
        grpc_status: u32,
        details: &[u8],
    ) -> Self {
        Self {
            origin: Origin::Filter,
            status,
            headers,
            body,
            grpc_status: (grpc_status <= LAST_GRPC_STATUS).then_some(grpc_status),
            details: String::from_utf8_lossy(details).replace(char::is_whitespace, "_"),
        }
    }

    /// The reply for a stream whose guest has failed (`Context::failStream`).
    pub(crate) fn of_failure() -> Self {
        Self { grpc_status: Some(UNAVAILABLE), ..Self::of_envoy(503, "", "wasm_fail_stream") }
    }

    /// The reply to a request that is too large for the buffer (`ActiveStreamDecoderFilter::requestDataTooLarge`).
    pub(crate) fn of_long_request() -> Self {
        Self::of_envoy(413, "Payload Too Large", "request_payload_too_large")
    }

    /// The reply in place of an answer that is too large for the buffer
    /// (`ActiveStreamEncoderFilter::responseDataTooLarge`).
    pub(crate) fn of_long_response() -> Self {
        Self::of_envoy(500, "Internal Server Error", "response_payload_too_large")
    }

    fn of_envoy(status: u32, body: &str, details: &str) -> Self {
        Self {
            origin: Origin::Envoy,
            status,
            headers: Pairs::new(),
            body: body.into(),
            grpc_status: None,
            details: details.into(),
        }
    }

    /// Headers and body as they are sent (`Utility::prepareLocalReply` and `encodeLocalReply` of
    /// `source/common/http/utility.cc`). To a gRPC request, the reply only has headers.
    pub(crate) fn prepare(&self, is_grpc: bool, is_head: bool) -> (HeaderMap, Vec<u8>) {
        let mut headers = HeaderMap::new().into_kind(Kind::Response);
        headers.add(":status", self.status.to_string());
        headers.extend(self.headers.iter().map(|(name, value)| (name, value)));
        if is_grpc {
            headers.set(":status", "200");
            headers.set("content-type", "application/grpc");
            if headers.get("grpc-status").is_none_or(<[u8]>::is_empty) {
                let status = self.grpc_status.unwrap_or_else(|| grpc_status_of(self.status));
                headers.set("grpc-status", status.to_string());
            }
            if !self.body.is_empty() && !is_head {
                headers.set("grpc-message", percent_encoded(&self.body));
            }
            headers.remove("content-length");
            return (headers, Vec::new());
        }
        if self.body.is_empty() {
            headers.remove("content-length");
            headers.remove("content-type");
        } else {
            headers.set("content-length", self.body.len().to_string());
            if !headers.contains("content-type") {
                headers.add("content-type", "text/plain");
            }
        }
        (headers, if is_head { Vec::new() } else { self.body.clone() })
    }
}

/// `Grpc::Utility::httpToGrpcStatus` (`source/common/grpc/status.cc`).
pub(crate) const fn grpc_status_of(http_status: u32) -> u32 {
    match http_status {
        400 => 13,
        401 => 16,
        403 => 7,
        404 => 12,
        429 | 502 | 503 | 504 => UNAVAILABLE,
        _ => 2,
    }
}

/// `Http::Utility::PercentEncoding::encode`: encodes all bytes except printable ASCII, and also the percent sign.
fn percent_encoded(bytes: &[u8]) -> String {
    bytes
        .iter()
        .map(|&byte| match byte {
            b' '..b'~' if byte != b'%' => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

/// Returns whether a request is gRPC (`Grpc::Common::isGrpcRequestHeaders`, `source/common/grpc/common.cc`).
pub(crate) fn is_grpc(headers: &HeaderMap) -> bool {
    headers.get("content-type").is_some_and(|content_type| {
        content_type == b"application/grpc" || content_type.starts_with(b"application/grpc+")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(status: u32, headers: &[(&str, &str)], body: &str, grpc_status: u32) -> LocalReply {
        let headers = headers.iter().map(|(n, v)| ((*n).into(), (*v).into())).collect();
        LocalReply::of_filter(status, headers, body.into(), grpc_status, b"a b")
    }

    #[test]
    fn without_a_body_the_content_type_is_taken_off() {
        let (headers, body) =
            reply(204, &[("content-type", "application/json")], "", u32::MAX).prepare(false, false);
        assert_eq!(headers, HeaderMap::from([(":status", "204")]));
        assert!(body.is_empty());
    }

    #[test]
    fn a_body_has_a_length_and_a_type() {
        let (headers, body) = reply(403, &[], "no", u32::MAX).prepare(false, false);
        let expected =
            [(":status", "403"), ("content-length", "2"), ("content-type", "text/plain")];
        assert_eq!(headers, HeaderMap::from(expected));
        assert_eq!(body, b"no");
    }

    #[test]
    fn to_a_head_request_the_length_goes_out_alone() {
        let (headers, body) = reply(403, &[], "no", u32::MAX).prepare(false, true);
        assert_eq!(headers.get("content-length"), Some(b"2".as_slice()));
        assert!(body.is_empty());
    }

    #[test]
    fn to_grpc_the_body_becomes_the_message() {
        let (headers, body) =
            reply(403, &[("x", "1")], "50% \u{fc}~", u32::MAX).prepare(true, false);
        let expected = [
            (":status", "200"),
            ("x", "1"),
            ("content-type", "application/grpc"),
            ("grpc-status", "7"),
            ("grpc-message", "50%25 %C3%BC%7E"),
        ];
        assert_eq!(headers, HeaderMap::from(expected));
        assert!(body.is_empty());
    }

    #[test]
    fn a_grpc_status_that_is_given_wins_over_the_mapped_one() {
        let status = |reply: LocalReply| {
            let (headers, _) = reply.prepare(true, false);
            headers.text("grpc-status").unwrap().into_owned()
        };
        assert_eq!(status(reply(403, &[], "", 3)), "3");
        assert_eq!(status(reply(403, &[("grpc-status", "5")], "", 3)), "5");
        assert_eq!(status(reply(403, &[], "", 17)), "7");
        let mapped: Vec<u32> =
            [200, 400, 401, 403, 404, 413, 429, 500, 502, 503, 504].map(grpc_status_of).into();
        assert_eq!(mapped, [2, 13, 16, 7, 12, 2, 14, 2, 14, 14, 14]);
    }

    #[test]
    fn only_grpc_proper_is_grpc() {
        for (content_type, expected) in [
            ("application/grpc", true),
            ("application/grpc+proto", true),
            ("application/grpc-web", false),
            ("application/json", false),
        ] {
            assert_eq!(is_grpc(&HeaderMap::from([("content-type", content_type)])), expected);
        }
        assert!(!is_grpc(&HeaderMap::new()));
    }

    #[test]
    fn details_have_no_blanks() {
        assert_eq!(reply(200, &[], "", 0).details, "a_b");
    }
}
