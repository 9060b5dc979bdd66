//! Compares what the check accepts as JSON with `serde_json`.

#![expect(clippy::arithmetic_side_effects, reason = "the plain reader counts plainly")]

use proptest::{collection::vec, prelude::*, sample::select};
use serde::de::IgnoredAny;
use sluice_wire::{Malformed, OverLimit, Unreadable};

use crate::{
    fault,
    json::check::{MOST_OPEN, check},
};

/// Whether the check passes. `None` for what it refuses and `serde_json` accepts: a member with an
/// empty name, or with a name that parsers read in different ways.
fn passes(bytes: &[u8]) -> Option<bool> {
    match check(bytes, 60) {
        Ok(_) => Some(true),
        Err(Unreadable::Malformed(Malformed {
            fault: fault::NAMELESS | fault::SURROGATE | fault::UTF8,
            ..
        })) => None,
        Err(Unreadable::OverLimit(over)) => panic!("{over}"),
        Err(Unreadable::NoMemory(no_memory)) => panic!("{no_memory}"),
        Err(Unreadable::Malformed(_)) => Some(false),
    }
}

fn agrees(bytes: &[u8]) -> Result<(), TestCaseError> {
    // Values are ignored, because neither the content of a string nor the size of a number decides
    // whether a text is JSON.
    let is_json = serde_json::from_slice::<IgnoredAny>(bytes).is_ok();
    let plain = is_json && bytes.trim_ascii_start().first() == Some(&b'{');
    if let Some(passes) = passes(bytes) {
        prop_assert_eq!(passes, plain, "{}", String::from_utf8_lossy(bytes));
    }
    Ok(())
}

/// Texts made of pieces of JSON; most of them are not JSON.
fn pieces() -> impl Strategy<Value = Vec<u8>> {
    const PIECES: [&str; 40] = [
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"",
        "\"\"",
        "\"a\":",
        "\"b\" : ",
        "{}",
        "[]",
        "1",
        "-0",
        "0",
        "01",
        "1.5",
        "1.",
        "2e3",
        "2E-3",
        "-",
        "+",
        ".",
        "true",
        "false",
        "null",
        "nul",
        " ",
        "\n",
        "\t",
        "\\",
        "\"\\\"",
        "\"\\u0041\"",
        "\"\\ud83d\\ude00\"",
        "\"\\ud83d\"",
        "\"\\/\"",
        "\"\u{e4}\"",
        "\u{1}",
        "x",
        "\"01234567\"",
    ];
    vec(select(&PIECES[..]), 0..12).prop_map(|pieces| pieces.concat().into_bytes())
}

/// The text of a value, with white space of any kind.
fn written() -> impl Strategy<Value = String> {
    let space = || select(vec!["", "", " ", "\n", "\r\n\t"]);
    let string = || {
        let piece = select(vec![
            "a",
            "01234567",
            "\\n",
            "\\\"",
            "\\\\",
            "\\u00e4",
            "\\ud83d\\ude00",
            "\u{e4}",
            "[",
            "}",
            ",",
            "\u{7f}",
            "\u{10ffff}",
        ]);
        vec(piece, 0..6).prop_map(|pieces| format!("\"{}\"", pieces.concat()))
    };
    let leaf = prop_oneof![
        string(),
        select(vec!["0", "-0", "12", "-1.5", "1e9", "1E-9", "0.0e+0", "true", "false", "null"])
            .prop_map(str::to_owned),
    ];
    let value = leaf.prop_recursive(6, 40, 5, move |inner| {
        let spaced = (space(), inner, space()).prop_map(|(a, b, c)| format!("{a}{b}{c}"));
        let member = (space(), string(), space(), spaced.clone())
            .prop_map(|(a, name, b, value)| format!("{a}{name}{b}:{value}"));
        prop_oneof![
            vec(spaced, 0..5).prop_map(|items| format!("[{}]", items.join(","))),
            vec(member, 0..5).prop_map(|items| format!("{{{}}}", items.join(","))),
        ]
    });
    (space(), value, space()).prop_map(|(a, value, b)| format!("{a}{{\"v\":{value}}}{b}"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2048))]

    #[test]
    fn pieces_are_json_if_serde_json_says_so(text in pieces()) {
        agrees(&text)?;
        agrees(&[b"{\"a\":".as_slice(), &text, b"}"].concat())?;
    }

    #[test]
    fn what_is_written_well_passes(text in written()) {
        agrees(text.as_bytes())?;
        prop_assert!(passes(text.as_bytes()) != Some(false));
    }

    #[test]
    fn what_is_spoiled_passes_if_serde_json_says_so(
        text in written(), at in any::<prop::sample::Index>(), with in any::<u8>(), kind in 0..3,
    ) {
        let mut bytes = text.into_bytes();
        let at = at.index(bytes.len());
        match kind {
            0 => bytes[at] = with,
            1 => bytes.insert(at, with),
            _ => drop(bytes.remove(at)),
        }
        agrees(&bytes)?;
    }

    #[test]
    fn any_bytes_pass_if_serde_json_says_so(bytes in vec(any::<u8>(), 0..40)) {
        agrees(&bytes)?;
        agrees(&[b"{\"a\":\"".as_slice(), &bytes, b"\"}"].concat())?;
    }
}

#[test]
fn strings_are_looked_through_at_every_offset() {
    for length in 0..40 {
        for bad in ["\"", "\\", "\u{1f}", "\u{0}"] {
            let text = format!("{{\"a\":\"{}{bad}\"}}", "x".repeat(length));
            assert_eq!(passes(text.as_bytes()), Some(false), "{text}");
        }
        for good in ["", " ", "\u{7f}", "\u{80}", "\u{ff}", "!#[]^", "\\\"", "\\\\"] {
            let text = format!("{{\"a\":\"{}{good}\"}}", "x".repeat(length));
            assert_eq!(passes(text.as_bytes()), Some(true), "{text}");
        }
    }
}

/// Where the object or array that starts at `start` ends, found by reading it.
fn plain_end(text: &[u8], start: usize) -> usize {
    let (mut open, mut at) = (0, start);
    loop {
        match text[at] {
            b'"' => {
                at += 1;
                while text[at] != b'"' {
                    at += if text[at] == b'\\' { 2 } else { 1 };
                }
            }
            b'{' | b'[' => open += 1,
            b'}' | b']' => open -= 1,
            _ => {}
        }
        at += 1;
        if open == 0 {
            return at;
        }
    }
}

/// The offsets of all objects and arrays.
fn containers(text: &[u8]) -> Vec<usize> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < text.len() {
        match text[at] {
            b'"' => {
                at += 1;
                while text[at] != b'"' {
                    at += if text[at] == b'\\' { 2 } else { 1 };
                }
            }
            b'{' | b'[' => found.push(at),
            _ => {}
        }
        at += 1;
    }
    found
}

/// Texts of some thousand bytes: deep, wide, and with strings longer than a block.
fn long() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        (1..400_usize).prop_map(|times| format!("[{}[]]", "[],".repeat(times))),
        (0..400_usize).prop_map(|length| format!("\"{}\"", "[\\\"}\\\\".repeat(length / 4))),
        (0..300_usize).prop_map(|levels| "[".repeat(levels) + "1" + &"]".repeat(levels)),
        (0..200_usize).prop_map(|length| format!("{}1{}", " ".repeat(length), " ".repeat(length))),
        Just("{}".to_owned()),
    ];
    leaf.prop_recursive(5, 30, 6, |inner| {
        let name = (0..80_usize).prop_map(|length| format!("\"n{}\"", "]".repeat(length)));
        let member = (name, inner.clone()).prop_map(|(name, value)| format!("{name}:{value}"));
        prop_oneof![
            vec(inner, 0..6).prop_map(|items| format!("[{}]", items.join(","))),
            vec(member, 0..6).prop_map(|items| format!("{{{}}}", items.join(", "))),
        ]
    })
    .prop_map(|value| format!("{{\"v\":{value}}}"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn every_end_is_where_a_plain_reading_finds_it(text in long()) {
        let text = text.as_bytes();
        let ends = check(text, MOST_OPEN).unwrap();
        for at in containers(text) {
            prop_assert_eq!(ends.of(text, at), plain_end(text, at), "the one at {}", at);
        }
    }
}

#[test]
fn the_depth_counts_objects_and_arrays() {
    assert!(check(br#"{"a":[{}]}"#, 3).is_ok());
    let over = check(br#"{"a":[{}]}"#, 2).unwrap_err();
    assert_eq!(over, Unreadable::OverLimit(OverLimit::Depth { limit: 2 }));
}
