//! `Retry-After` in a backend's reply.

use std::time::{Duration, UNIX_EPOCH};

/// The seconds that a `Retry-After` asks to wait from `now`, which is in seconds since the epoch and is asked only for
/// a date. The value is a number of seconds, or a date in any of the three required forms (RFC 9110, sections 10.2.3
/// and 5.6.7). A date that has passed gives 0. `None` for any other value.
#[must_use]
pub fn parse_retry_after(value: &[u8], now: &dyn Fn() -> u64) -> Option<u32> {
    let value = std::str::from_utf8(value).ok()?.trim();
    value.parse().ok().or_else(|| {
        let date = httpdate::parse_http_date(value).ok()?;
        let now = UNIX_EPOCH.checked_add(Duration::from_secs(now()))?;
        u32::try_from(date.duration_since(now).unwrap_or_default().as_secs()).ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_seconds() {
        assert_eq!(parse_retry_after(b" 17 ", &|| 0), Some(17));
        for none in [&b"-1"[..], b"1.5", b"99999999999", b"soon", b"\xff", b""] {
            assert_eq!(parse_retry_after(none, &|| 0), None);
        }
    }

    #[test]
    fn a_date_is_so_many_seconds_away() {
        for date in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
        ] {
            let date = date.as_bytes();
            assert_eq!(parse_retry_after(date, &|| 784_111_677), Some(100));
            assert_eq!(parse_retry_after(date, &|| 784_111_777), Some(0));
            assert_eq!(parse_retry_after(date, &|| 784_111_999), Some(0));
            assert_eq!(parse_retry_after(date, &|| u64::MAX), None);
        }
        for none in [
            "Sun, 06 Nov 1994 08:49:37",
            "Sun, 06 Nov 1994 08:49:37 CET",
            "Mon, 06 Nov 1994 08:49:37 GMT",
            "Sun, 31 Feb 1994 08:49:37 GMT",
            "Sun, 06 Non 1994 08:49:37 GMT",
            "Sun, 06 Nov 9994 08:49:37 GMT",
            "\u{661}, \u{661} \u{661} \u{661} \u{661} GMT",
        ] {
            assert_eq!(parse_retry_after(none.as_bytes(), &|| 0), None, "{none}");
        }
    }
}
