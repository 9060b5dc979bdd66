//! Checks header names.

/// Why a text is not a valid header name: it is empty, or has a character that header names cannot contain. Holds the
/// text in lower case.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a valid header name")]
pub struct NotAHeaderName(pub String);

/// Returns a header name in lower case, as Envoy stores it.
///
/// # Errors
/// [`NotAHeaderName`] if the text is not a `token` (RFC 9110, section 5.1).
pub fn header_name(text: &str) -> Result<String, NotAHeaderName> {
    let name = text.to_ascii_lowercase();
    if name.is_empty() || !name.bytes().all(is_tchar) {
        Err(NotAHeaderName(name))
    } else {
        Ok(name)
    }
}

/// Whether a byte may stand in a token (`tchar`, RFC 9110, section 5.6.2).
const fn is_tchar(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_token_in_lower_case() {
        assert_eq!(header_name("X-Scope-OrgID").unwrap(), "x-scope-orgid");
        assert_eq!(header_name("a!#$%&'*+-.^_`|~9").unwrap(), "a!#$%&'*+-.^_`|~9");
        for text in ["", "a b", "a:", "a(b)", "caf\u{e9}", "a\n", "\"a\""] {
            assert_eq!(header_name(text), Err(NotAHeaderName(text.to_owned())));
        }
    }
}
