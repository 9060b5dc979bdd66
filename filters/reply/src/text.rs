//! Keeps messages short and printable.

/// The longest message to a sender, in bytes as in `grpc-message`. The whole reply stays far below 4 MiB, the limit for
/// replies that the specification recommends. Together with what [`MAX_DETAILS`] allows, and both once more in base64,
/// it stays below 8 KiB, which gRPC clients allow for headers and trailers.
pub(crate) const MAX_MESSAGE: usize = 2048;

/// The most bytes of all texts in a status' details.
pub(crate) const MAX_DETAILS: usize = 1024;

/// The text on one line, without control characters, cut at [`MAX_MESSAGE`].
pub(crate) fn one_line(text: &str) -> String {
    cut(text, MAX_MESSAGE)
}

/// The text on one line, without control characters, cut to at most `max` bytes as in
/// `grpc-message`, where each byte that is not ASCII counts as three.
pub(crate) fn cut(text: &str, max: usize) -> String {
    const ELLIPSIS: &str = "...";
    let mut line = String::with_capacity(text.len().min(max));
    let mut left = max.saturating_sub(ELLIPSIS.len());
    for character in text.trim().chars() {
        let character = if character.is_control() { ' ' } else { character };
        let length = match character {
            '%' => 3,
            _ if character.is_ascii() => 1,
            _ => character.len_utf8().saturating_mul(3),
        };
        let Some(rest) = left.checked_sub(length) else {
            line.push_str(ELLIPSIS);
            break;
        };
        left = rest;
        line.push(character);
    }
    line
}

/// Joins two messages. Either may be empty.
pub(crate) fn join(first: &str, second: &str) -> String {
    match (first.is_empty(), second.is_empty()) {
        (true, _) => one_line(second),
        (_, true) => one_line(first),
        _ => one_line(&format!("{first}; {second}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let line = one_line(&"\u{20ac}".repeat(MAX_MESSAGE));
        assert!(line.len() <= MAX_MESSAGE && line.ends_with("\u{20ac}..."));
    }

    #[test]
    fn control_characters_cannot_break_a_line() {
        assert_eq!(one_line(" no org id\n"), "no org id");
        assert_eq!(one_line("a\r\nx: y\u{0}"), "a  x: y ");
    }

    #[test]
    fn nothing_is_joined_to_nothing() {
        assert_eq!(join("a", "b"), "a; b");
        assert_eq!(join("", "b"), "b");
        assert_eq!(join("a", ""), "a");
    }
}
