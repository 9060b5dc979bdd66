//! The content of strings, and how they are written.

use std::borrow::Cow;

use sluice_wire::{Malformed, work};

use crate::fault;

/// The content of a checked string, with escapes resolved. Half a surrogate pair becomes U+FFFD, as
/// in the readers of the backends (json-iterator, `readEscapedChar`); an escape after it is read by
/// itself, even if it is another half.
#[inline]
pub(crate) fn unescaped(content: &[u8]) -> Cow<'_, [u8]> {
    work::done(content.len());
    if content.contains(&b'\\') { Cow::Owned(unescape(content).0) } else { Cow::Borrowed(content) }
}

/// Like [`unescaped`], with the signature of [`whole`].
pub(crate) fn any(content: &[u8], _at: usize) -> Result<Cow<'_, [u8]>, Malformed> {
    Ok(unescaped(content))
}

/// Like [`unescaped`], for a string at `at` that a decision depends on.
///
/// # Errors
/// If it contains half a surrogate pair: parsers replace it by one or several characters, keep it,
/// or refuse it.
#[inline]
pub(crate) fn whole(content: &[u8], at: usize) -> Result<Cow<'_, [u8]>, Malformed> {
    work::done(content.len());
    if !content.contains(&b'\\') {
        return Ok(Cow::Borrowed(content));
    }
    match unescape(content) {
        (text, true) => Ok(Cow::Owned(text)),
        (_, false) => Err(Malformed { fault: fault::SURROGATE, at }),
    }
}

/// The content of a string, and whether every surrogate in it has its other half.
fn unescape(content: &[u8]) -> (Vec<u8>, bool) {
    let mut text = Vec::with_capacity(content.len());
    let mut whole = true;
    let mut push = |text: &mut Vec<u8>, character: Option<char>| {
        whole &= character.is_some();
        let character = character.unwrap_or(char::REPLACEMENT_CHARACTER);
        text.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    };
    let mut rest = content;
    while let Some((byte, behind)) = rest.split_first() {
        rest = behind;
        if *byte != b'\\' {
            text.push(*byte);
            continue;
        }
        let Some((escape, behind)) = rest.split_first() else { break };
        rest = behind;
        match escape {
            b'b' => text.push(8),
            b'f' => text.push(12),
            b'n' => text.push(b'\n'),
            b'r' => text.push(b'\r'),
            b't' => text.push(b'\t'),
            b'u' => {
                let first = code_unit(&mut rest).unwrap_or_default();
                let second = match first {
                    0xd800..0xe000 => rest.strip_prefix(b"\\u").and_then(|mut behind| {
                        let second = code_unit(&mut behind)?;
                        rest = behind;
                        Some(second)
                    }),
                    _ => None,
                };
                match second {
                    None => push(&mut text, char::from_u32(first)),
                    Some(second) => match pair(first, second) {
                        Some(character) => push(&mut text, Some(character)),
                        None => {
                            push(&mut text, None);
                            push(&mut text, char::from_u32(second));
                        }
                    },
                }
            }
            other => text.push(*other),
        }
    }
    (text, whole)
}

/// The character for a surrogate pair.
fn pair(high: u32, low: u32) -> Option<char> {
    if !(0xd800..0xdc00).contains(&high) || !(0xdc00..0xe000).contains(&low) {
        return None;
    }
    let pair = (high & 0x3ff) << 10 | low & 0x3ff;
    char::from_u32(pair.saturating_add(0x1_0000))
}

fn code_unit(rest: &mut &[u8]) -> Option<u32> {
    let (digits, behind) = rest.split_at_checked(4)?;
    *rest = behind;
    digits.iter().try_fold(0, |unit, digit| Some(unit << 4 | char::from(*digit).to_digit(16)?))
}

/// Writes `text` to `out` as a JSON string, with quotes.
pub fn push_string(out: &mut Vec<u8>, text: &str) {
    const DIGITS: [u8; 16] = *b"0123456789abcdef";
    out.push(b'"');
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            0..b' ' => {
                out.extend_from_slice(b"\\u00");
                let digit = |nibble: u8| DIGITS.get(usize::from(nibble)).copied();
                out.extend(digit(byte >> 4));
                out.extend(digit(byte & 15));
            }
            _ => out.push(byte),
        }
    }
    out.push(b'"');
}

/// An attribute with a string value.
pub(crate) fn attribute(key: &str, value: &str) -> Vec<u8> {
    let mut attribute = b"{\"key\":".to_vec();
    push_string(&mut attribute, key);
    attribute.extend_from_slice(b",\"value\":{\"stringValue\":");
    push_string(&mut attribute, value);
    attribute.extend_from_slice(b"}}");
    attribute
}
