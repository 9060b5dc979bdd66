//! The head of a write request.

use sluice_headers::is_media_type;

/// The paths to which senders write: Prometheus' own, and Mimir's.
const PATHS: [&str; 2] = ["/api/v1/write", "/api/v1/push"];

/// The media type of every version.
const MEDIA_TYPE: &str = "application/x-protobuf";

/// The message of remote write 1.0, which a content type may name (remote write 2.0, "Protocol").
const MESSAGE: &[u8] = b"prometheus.WriteRequest";

/// The header with the version of a request.
pub const VERSION_HEADER: &str = "x-prometheus-remote-write-version";

/// The value of that header for remote write 1.0 ("Protocol").
pub const VERSION: &str = "0.1.0";

/// Whether this is the path of a write request. It must not include a query string.
#[must_use]
pub fn is_path(path: &[u8]) -> bool {
    PATHS.iter().any(|known| known.as_bytes() == path)
}

/// Whether a content type is that of remote write 1.0: protobuf, with no message named or with
/// `prometheus.WriteRequest`. Remote write 2.0 names another message and is not accepted.
#[must_use]
pub fn is_content_type(value: &[u8]) -> bool {
    let mut parameters = value.split(|byte| *byte == b';').map(<[u8]>::trim_ascii).skip(1);
    is_media_type(value, MEDIA_TYPE) && parameters.all(names_the_message)
}

fn names_the_message(parameter: &[u8]) -> bool {
    let mut parts = parameter.splitn(2, |byte| *byte == b'=');
    let (name, value) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    name.eq_ignore_ascii_case(b"proto") && value == MESSAGE
}

/// Whether a content encoding is the one that a write request must have: snappy, which always means
/// one block here.
#[must_use]
pub fn is_encoding(value: &[u8]) -> bool {
    value.trim_ascii().eq_ignore_ascii_case(b"snappy")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_message_of_1_0_is_taken() {
        for (value, expected) in [
            (&b"application/x-protobuf"[..], true),
            (b"Application/X-Protobuf", true),
            (b"application/x-protobuf;proto=prometheus.WriteRequest", true),
            (b"application/x-protobuf; Proto=prometheus.WriteRequest", true),
            (b"application/x-protobuf;proto=io.prometheus.write.v2.Request", false),
            (b"application/x-protobuf; proto=io.prometheus.write.v2.Request", false),
            (
                b"application/x-protobuf;proto=prometheus.WriteRequest;proto=io.prometheus.write.v2.Request",
                false,
            ),
            (b"application/x-protobuf;proto", false),
            (b"application/x-protobuf;", false),
            (b"application/x-protobuf, application/x-protobuf", false),
            (b"application/json", false),
            (b"", false),
        ] {
            let shown = String::from_utf8_lossy(value);
            assert_eq!(is_content_type(value), expected, "{shown}");
        }
    }

    #[test]
    fn only_snappy_is_taken() {
        for (value, expected) in [
            (&b"snappy"[..], true),
            (b" Snappy ", true),
            (b"", false),
            (b"identity", false),
            (b"zstd", false),
            (b"snappy, snappy", false),
        ] {
            assert_eq!(is_encoding(value), expected, "{value:?}");
        }
    }
}
