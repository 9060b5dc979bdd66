//! Values in the configuration: durations, dates, digests.

use std::sync::Arc;

use base16ct::mixed;
use der::DateTime;

use crate::identity::fingerprint_key;

/// A duration in seconds: `90s`, `30m`, `4h` or `2d`.
///
/// # Errors
/// What is wrong with it. A duration of 0 is an error too.
pub(crate) fn parse_duration(text: &str) -> Result<u64, String> {
    seconds(text)
        .ok_or_else(|| format!("{text:?} is not a duration: use for example 90s, 30m, 4h or 2d"))
}

/// A point in time: RFC 3339 in UTC, with whole seconds.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn parse_date(text: &str) -> Result<DateTime, String> {
    text.parse().map_err(|_| {
        format!(
            "{text:?} is not a date: use RFC 3339 in UTC with whole seconds, such as \
             2027-06-30T00:00:00Z"
        )
    })
}

/// The lookup key of a certificate in the entries, from its SHA-256 with or without colons.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn parse_fingerprint(text: &str) -> Result<Arc<str>, &'static str> {
    let digits: String = text.chars().filter(|c| *c != ':').collect();
    parse_sha256(&digits)?;
    Ok(fingerprint_key(&digits.to_ascii_lowercase()))
}

/// A SHA-256 in hexadecimal digits, upper or lower case.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn parse_sha256(text: &str) -> Result<[u8; 32], &'static str> {
    let mut bytes = [0; 32];
    if mixed::decode(text, &mut bytes).is_ok_and(|read| read.len() == 32) {
        return Ok(bytes);
    }
    Err("not a SHA-256: use 64 hexadecimal digits, as `sha256sum` prints them")
}

/// The seconds in `90s`, `30m`, `4h` or `2d`; `None` for anything else, including 0.
fn seconds(text: &str) -> Option<u64> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let unit = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return None,
    };
    let number: u64 = number.parse().ok().filter(|_| !number.starts_with('+'))?;
    number.checked_mul(unit).filter(|seconds| *seconds > 0)
}

#[cfg(test)]
mod tests {
    use super::seconds;

    #[test]
    fn a_span_is_a_number_and_a_unit() {
        for text in [
            "",
            "4",
            "h",
            "0h",
            "4 h",
            "4H",
            "-4h",
            "+4h",
            "4.5h",
            "1h30m",
            "99999999999999999999d",
        ] {
            assert_eq!(seconds(text), None, "{text}");
        }
        for (text, expected) in [("90s", 90), ("30m", 1_800), ("4h", 14_400), ("2d", 172_800)] {
            assert_eq!(seconds(text), Some(expected), "{text}");
        }
    }
}
