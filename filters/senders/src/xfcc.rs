//! The `Cert=` pair of the `x-forwarded-client-cert` header.
//!
//! Envoy writes `URI=` and `DNS=` without quotes or escapes (`conn_manager_utility.cc`), so a SAN can forge pairs
//! there. They are never read. `Cert=` is percent-encoded, and the caller compares it with the connection's digest.

/// The value of the `Cert=` pair in the last element of a header value, without its quotes and still percent-encoded.
///
/// Elements are separated by `,` and pairs by `;`; keys may be in any case; a quoted value may contain both separators
/// (Envoy's documentation of the header, `http_conn_man/headers`). `None` if the last element has no such pair or two
/// of them, or if a quote is left open. Envoy's JSON form of the header has no such pair; but an Envoy that can write
/// that form has `connection.peer_certificate`, so the header is not read.
pub(crate) fn last_certificate(value: &[u8]) -> Option<&[u8]> {
    let mut certificates = pairs(last(value, b',')?, b';').filter_map(certificate);
    let certificate = certificates.next()?;
    certificates.next().is_none().then_some(certificate)
}

fn certificate(pair: &[u8]) -> Option<&[u8]> {
    let (key, value) = key_and_value(pair)?;
    key.eq_ignore_ascii_case(b"Cert").then_some(value)
}

/// The two sides of a pair, with the value's quotes removed.
fn key_and_value(pair: &[u8]) -> Option<(&[u8], &[u8])> {
    let pair = pair.trim_ascii();
    let equals = pair.iter().position(|&byte| byte == b'=')?;
    let (key, value) = pair.split_at_checked(equals)?;
    let value = value.strip_prefix(b"=")?;
    Some(match value.strip_prefix(b"\"") {
        Some(quoted) => (key, quoted.strip_suffix(b"\"")?),
        None => (key, value),
    })
}

/// The text after the last separator outside of quotes; `None` if a quote is left open.
fn last(text: &[u8], separator: u8) -> Option<&[u8]> {
    let mut quotes = Quotes::default();
    let mut start = 0;
    for (position, &byte) in text.iter().enumerate() {
        if quotes.are_closed_at(byte) && byte == separator {
            start = position.saturating_add(1);
        }
    }
    if quotes.open { None } else { text.get(start..) }
}

/// The parts between separators outside of quotes.
fn pairs(text: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let mut quotes = Quotes::default();
    text.split(move |&byte| quotes.are_closed_at(byte) && byte == separator)
}

/// Tracks whether a scan is inside quotes. `\"` inside quotes does not end them.
#[derive(Default)]
struct Quotes {
    open: bool,
    escaped: bool,
}

impl Quotes {
    /// Passes `byte` and returns whether it was outside of quotes.
    fn are_closed_at(&mut self, byte: u8) -> bool {
        let was_escaped = std::mem::take(&mut self.escaped);
        match byte {
            b'"' if !was_escaped => self.open = !self.open,
            b'\\' => self.escaped = self.open && !was_escaped,
            _ => {}
        }
        !self.open
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(value: &str) -> Option<&str> {
        last_certificate(value.as_bytes()).map(|found| str::from_utf8(found).unwrap())
    }

    #[test]
    fn a_header_without_a_certificate_in_its_last_element_has_none() {
        for value in [
            "",
            ",",
            "Hash=1",
            "Cert",
            "Certificate=x",
            "By=x;DNS=Cert=y",
            "Cert=first,Hash=2",
            "Cert=first,",
            r#"Subject="CN=a;Cert=forged""#,
            r#"Subject="CN=a\";Cert=forged""#,
        ] {
            assert_eq!(read(value), None, "{value}");
        }
    }

    #[test]
    fn two_certificates_in_one_element_are_none() {
        assert_eq!(read("Cert=a;URI=x;Cert=b"), None);
        assert_eq!(read("cert=a;CERT=a"), None);
    }

    #[test]
    fn an_open_quote_is_none() {
        assert_eq!(read(r#"Cert="a"#), None);
        assert_eq!(read(r#"Cert=a;Subject="x"#), None);
        assert_eq!(read(r#"Subject="x,Cert=a"#), None);
    }

    #[test]
    fn the_last_element_is_the_one_that_is_read() {
        for (value, certificate) in [
            ("Cert=a", "a"),
            (r#"cErT="a%0A""#, "a%0A"),
            ("Hash=1;Cert=a;URI=;DNS=x", "a"),
            ("Cert=first, Hash=2; Cert=second ;DNS=x", "second"),
            (r#"Subject="CN=x,Cert=no;O=\"y,";Cert="b""#, "b"),
            (r#"Subject="CN=x\\";Cert="b""#, "b"),
        ] {
            assert_eq!(read(value), Some(certificate), "{value}");
        }
    }

    proptest! {
        #[test]
        fn what_a_client_sent_before_the_last_element_is_never_read(
            earlier in proptest::collection::vec("[ -!#-~]{0,40}", 0..4),
        ) {
            let value = format!("{},Cert=\"own\"", earlier.join(","));
            prop_assert_eq!(read(&value), Some("own"));
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(value in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = last_certificate(&value);
        }
    }
}
