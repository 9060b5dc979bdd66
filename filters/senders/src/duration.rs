//! Spans of time as a configuration writes them.

/// Seconds in `90s`, `30m`, `4h` or `2d`; `None` for anything else, and for none at all.
pub(crate) fn seconds(text: &str) -> Option<u64> {
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
