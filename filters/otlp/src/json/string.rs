//! What strings say, and how they are written.

use std::borrow::Cow;

/// The content of a string that has been checked, without its escapes.
#[inline]
pub(crate) fn unescaped(content: &[u8]) -> Cow<'_, [u8]> {
    if content.contains(&b'\\') { Cow::Owned(unescape(content)) } else { Cow::Borrowed(content) }
}

fn unescape(content: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(content.len());
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
                let character = code_point(&mut rest).unwrap_or(char::REPLACEMENT_CHARACTER);
                text.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            }
            other => text.push(*other),
        }
    }
    text
}

/// The character whose code units begin behind the `\u` in front of `rest`.
fn code_point(rest: &mut &[u8]) -> Option<char> {
    let first = code_unit(rest)?;
    if !(0xd800..0xdc00).contains(&first) {
        return char::from_u32(first);
    }
    *rest = rest.strip_prefix(b"\\u")?;
    let second = code_unit(rest)?;
    let pair = (first & 0x3ff) << 10 | second & 0x3ff;
    char::from_u32(pair.saturating_add(0x1_0000)).filter(|_| (0xdc00..0xe000).contains(&second))
}

fn code_unit(rest: &mut &[u8]) -> Option<u32> {
    let (digits, behind) = rest.split_at_checked(4)?;
    *rest = behind;
    digits.iter().try_fold(0, |unit, digit| Some(unit << 4 | char::from(*digit).to_digit(16)?))
}

/// Writes `text` to `out` as a string, quotes and all.
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

/// An attribute with a text as its value.
pub(crate) fn attribute(key: &str, value: &str) -> Vec<u8> {
    let mut attribute = b"{\"key\":".to_vec();
    push_string(&mut attribute, key);
    attribute.extend_from_slice(b",\"value\":{\"stringValue\":");
    push_string(&mut attribute, value);
    attribute.extend_from_slice(b"}}");
    attribute
}
