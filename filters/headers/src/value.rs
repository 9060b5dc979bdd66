//! The part of a header's value that is compared.

/// The media type in a `content-type`, without parameters and surrounding spaces (RFC 9110, section
/// 8.3.1). Upper and lower case are kept.
#[must_use]
pub fn media_type(content_type: &[u8]) -> &[u8] {
    content_type.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii()
}

/// Whether a `content-type` has the media type `expected`, ignoring case and parameters.
#[must_use]
pub fn is_media_type(content_type: &[u8], expected: &str) -> bool {
    media_type(content_type).eq_ignore_ascii_case(expected.as_bytes())
}

/// The path of a request's target (`:path`), without the query.
#[must_use]
pub fn path_of(target: &[u8]) -> &[u8] {
    target.split(|byte| *byte == b'?').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_no_part_of_a_media_type() {
        for (content_type, expected) in [
            (&b""[..], &b""[..]),
            (b"application/json", b"application/json"),
            (b" Application/JSON ; charset=utf-8; x=y", b"Application/JSON"),
            (b";application/json", b""),
        ] {
            assert_eq!(media_type(content_type), expected);
        }
        assert!(is_media_type(b"Application/JSON; charset=utf-8", "application/json"));
        assert!(!is_media_type(b"application/jsonl", "application/json"));
    }

    #[test]
    fn a_query_is_no_part_of_a_path() {
        for (target, expected) in
            [(&b""[..], &b""[..]), (b"/a", b"/a"), (b"/a?b=c?d", b"/a"), (b"?a", b"")]
        {
            assert_eq!(path_of(target), expected);
        }
    }
}
