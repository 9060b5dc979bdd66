//! `Retry-After`, as a backend writes it.

use der::DateTime;

/// The seconds that a `Retry-After` asks to wait from `now`, itself in seconds since the epoch: a
/// number of them, or a date (RFC 9110, section 10.2.3), which is 0 if it has passed. `None` if it is
/// neither.
#[must_use]
pub fn seconds(value: &[u8], now: u64) -> Option<u32> {
    let value = std::str::from_utf8(value).ok()?.trim();
    value.parse().ok().or_else(|| u32::try_from(date(value)?.saturating_sub(now)).ok())
}

/// An IMF-fixdate, `Sun, 06 Nov 1994 08:49:37 GMT`, in seconds since the epoch. Of the three forms of
/// a date (RFC 9110, section 5.6.7) it is the only one that may be sent.
fn date(value: &str) -> Option<u64> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let mut parts = value.split(' ').skip(1);
    let (day, month, year, time) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let month = MONTHS.iter().position(|name| *name == month)?.saturating_add(1);
    let date: DateTime = format!("{year}-{month:02}-{day}T{time}Z").parse().ok()?;
    (parts.next() == Some("GMT")).then(|| date.unix_duration().as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_seconds() {
        assert_eq!(seconds(b" 17 ", 0), Some(17));
        for none in [&b"-1"[..], b"1.5", b"99999999999", b"soon", b"\xff", b""] {
            assert_eq!(seconds(none, 0), None);
        }
    }

    #[test]
    fn a_date_is_so_many_seconds_away() {
        let date = b"Sun, 06 Nov 1994 08:49:37 GMT";
        assert_eq!(seconds(date, 784_111_677), Some(100));
        assert_eq!(seconds(date, 784_111_777), Some(0));
        assert_eq!(seconds(date, 784_111_999), Some(0));
        for none in [
            "Sun, 06 Nov 1994 08:49:37",
            "Sun, 06 Nov 1994 08:49:37 CET",
            "Sun, 31 Feb 1994 08:49:37 GMT",
            "Sun, 06 Non 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "\u{661}, \u{661} \u{661} \u{661} \u{661} GMT",
        ] {
            assert_eq!(seconds(none.as_bytes(), 0), None, "{none}");
        }
    }
}
