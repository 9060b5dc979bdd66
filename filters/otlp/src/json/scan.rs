//! Finds where pieces of a text end. Nothing is checked here, because [`check`](super::check) has
//! done that.

use sluice_wire::work;

/// The offset of the first byte at or after `at` that is not white space.
#[inline(always)]
pub(super) fn white_space_end(bytes: &[u8], at: usize) -> usize {
    match bytes.get(at) {
        Some(byte) if *byte > b' ' => at,
        _ => after_white_space(bytes, at),
    }
}

#[inline(never)]
fn after_white_space(bytes: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\n' | b'\r' | b'\t') = bytes.get(at) {
        work::done(1);
        at = at.saturating_add(1);
    }
    at
}

/// The offset just after the string that starts at `at`.
#[inline]
pub(super) fn string_end(bytes: &[u8], at: usize) -> usize {
    content_end(bytes, at.saturating_add(1))
}

/// The content, up to its quote, of a string that has just begun, and what follows the quote. `None` if it contains an
/// escape.
#[inline]
pub(super) fn plain_string(rest: &[u8]) -> Option<(&[u8], &[u8])> {
    let (content, behind) = rest.split_at_checked(quote_or_escape(rest, 0))?;
    let (b'"', behind) = behind.split_first()? else { return None };
    Some((content, behind))
}

#[inline]
fn quote_or_escape(bytes: &[u8], at: usize) -> usize {
    first(
        bytes,
        at,
        |word| (before(word, b'"') | before(word, b'\\')) & !word & HIGH_BITS,
        |byte| byte == b'"' || byte == b'\\',
    )
}

/// The offset just after the string in which `at` lies.
#[inline]
pub(super) fn content_end(bytes: &[u8], mut at: usize) -> usize {
    loop {
        at = quote_or_escape(bytes, at);
        match bytes.get(at) {
            Some(b'\\') => at = at.saturating_add(2),
            Some(_) => return at.saturating_add(1),
            None => return bytes.len(),
        }
    }
}

/// The offset just after the number or literal that starts at `at`.
#[inline]
pub(super) fn scalar_end(bytes: &[u8], mut at: usize) -> usize {
    while let Some(b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'+' | b'-' | b'.') = bytes.get(at) {
        work::done(1);
        at = at.saturating_add(1);
    }
    at
}

/// The offset of the first byte at or after `at` that is special in a string (a quote, a backslash
/// or a control character), or the end.
#[inline]
pub(super) fn plain_end(bytes: &[u8], at: usize) -> usize {
    first(
        bytes,
        at,
        |word| {
            let below = word.wrapping_sub(ONES.wrapping_mul(0x20));
            (before(word, b'"') | before(word, b'\\') | below) & !word & HIGH_BITS
        },
        |byte| byte == b'"' || byte == b'\\' || byte < b' ',
    )
}

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH_BITS: u64 = 0x8080_8080_8080_8080;

/// Sets the high bit of each byte equal to `byte`, which is under 128, and perhaps those of bytes that are not ASCII.
/// Bytes after the first match may be marked by mistake.
const fn before(word: u64, byte: u8) -> u64 {
    (word ^ ONES.wrapping_mul(byte as u64)).wrapping_sub(ONES)
}

/// The offset of the first matching byte at or after `at`, or the end. Searches eight bytes at a
/// time with `in_word`, which marks matches, and single bytes with `is`.
#[inline]
fn first(
    bytes: &[u8],
    mut at: usize,
    in_word: impl Fn(u64) -> u64,
    is: impl Fn(u8) -> bool,
) -> usize {
    let (words, rest) = bytes.get(at..).unwrap_or_default().as_chunks();
    for word in words {
        work::done(8);
        let found = in_word(u64::from_le_bytes(*word));
        if found != 0 {
            let byte = found.trailing_zeros() >> 3;
            return at.saturating_add(usize::try_from(byte).unwrap_or_default());
        }
        at = at.saturating_add(8);
    }
    at.saturating_add(rest.iter().position(|byte| is(*byte)).unwrap_or(rest.len()))
}
