//! Finds where pieces of a text end. Nothing is checked here, because [`check`](super::check) has
//! done that.

use sluice_wire::work;

/// The offset of the first byte at or after `at` that is not white space.
#[inline]
pub(super) fn white_space_end(bytes: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\n' | b'\r' | b'\t') = bytes.get(at) {
        work::done(1);
        at = at.saturating_add(1);
    }
    at
}

/// The offset just after the string that starts at `at`.
#[inline]
pub(super) fn string_end(bytes: &[u8], at: usize) -> usize {
    let mut at = at.saturating_add(1);
    loop {
        at = first(
            bytes,
            at,
            |word| equal(word, b'"') | equal(word, b'\\'),
            |byte| byte == b'"' || byte == b'\\',
        );
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
        |word| equal(word, b'"') | equal(word, b'\\') | below(word, b' '),
        |byte| byte == b'"' || byte == b'\\' || byte < b' ',
    )
}

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH_BITS: u64 = 0x8080_8080_8080_8080;

/// Sets the high bit of each byte that is under `limit` (at most 128). Bytes after the first match
/// may be marked by mistake.
const fn below(word: u64, limit: u8) -> u64 {
    word.wrapping_sub(ONES.wrapping_mul(limit as u64)) & !word & HIGH_BITS
}

/// Sets the high bit of each byte equal to `byte`. Bytes after the first match may be marked by
/// mistake.
const fn equal(word: u64, byte: u8) -> u64 {
    below(word ^ ONES.wrapping_mul(byte as u64), 1)
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
