//! CRC-32 as gzip has it, without tables.
//!
//! WebAssembly has no instruction for a CRC, and one byte after the other in a table costs as much as inflating. But a
//! CRC is a remainder, so a message may be changed by any multiple of the polynomial. This one has only five terms:
//! `x^2400 + x^1240 + x^936 + x^712 + 1`. It replaces a byte by the same byte 145, 183, 211 and 300 bytes later. That
//! needs nothing but XOR, many bytes at a time, and leaves a short message at the end that has the same CRC. The
//! method is Chorba (Russell and Kadatch, 2024); zlib-ng has it too.

use flate2::Crc;

/// How many bytes later a byte comes back.
const DISTANCES: [usize; 4] = [145, 183, 211, LONGEST];
const LONGEST: usize = 300;

/// How many bytes are replaced at a time: fewer than the shortest distance, so that they do not depend on each other.
const STEP: usize = 128;

/// The last replaced bytes, and room for those that follow. It stays in the first level of the processor's cache.
type Replaced = [u8; LONGEST + 32 * STEP];

/// The CRC-32 of these bytes (RFC 1952, section 8).
pub(super) fn crc32(bytes: &[u8]) -> u32 {
    without_tables(bytes).unwrap_or_else(|| with_tables(bytes))
}

fn with_tables(bytes: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(bytes);
    crc.sum()
}

/// `None` if there are too few bytes.
fn without_tables(bytes: &[u8]) -> Option<u32> {
    let steps = bytes.len().checked_sub(LONGEST)?.checked_div(STEP)?;
    let (replaced, rest) = bytes.split_at_checked(steps.checked_mul(STEP)?)?;
    let (replaced, _) = replaced.as_chunks::<STEP>();
    let mut ring: Replaced = [0; LONGEST + 32 * STEP];
    let mut end = LONGEST;
    for (index, step) in replaced.iter().enumerate() {
        if end.checked_add(STEP)? > ring.len() {
            ring.copy_within(end.checked_sub(LONGEST)?..end, 0);
            end = LONGEST;
        }
        replace(&mut ring, end, step)?;
        if index == 0 {
            invert(ring.get_mut(end..)?);
        }
        end = end.checked_add(STEP)?;
    }
    let mut last = [0; LONGEST + STEP];
    let last = last.get_mut(..rest.len())?;
    last.copy_from_slice(rest);
    for distance in DISTANCES {
        let came_back = ring.get(end.checked_sub(distance)?..end)?;
        for (byte, replaced) in last.iter_mut().zip(came_back) {
            *byte ^= replaced;
        }
    }
    if steps > 0 {
        // The start has been inverted above, and `with_tables` inverts the start of what it gets.
        invert(last);
    }
    Some(with_tables(last))
}

/// A CRC-32 inverts the first four bytes of a message.
fn invert(message: &mut [u8]) {
    for byte in message.iter_mut().take(4) {
        *byte = !*byte;
    }
}

/// Appends bytes to those that have been replaced, each with the bytes that come back there.
///
/// It takes eight bytes at a time itself, because the module's link-time optimisation, which is for size, makes no
/// vectors of loops over bytes.
#[inline(always)]
fn replace(ring: &mut Replaced, end: usize, bytes: &[u8; STEP]) -> Option<()> {
    let (before, after) = ring.split_at_mut_checked(end)?;
    let came_back = |distance| {
        let bytes = before.get(end.checked_sub(distance)?..)?.first_chunk::<STEP>()?;
        Some(bytes.as_chunks::<8>().0)
    };
    let [first, second, third, fourth] = DISTANCES.map(came_back);
    let (bytes, _) = bytes.as_chunks::<8>();
    let all = bytes.iter().zip(first?).zip(second?).zip(third?).zip(fourth?);
    let (after, _) = after.first_chunk_mut::<STEP>()?.as_chunks_mut::<8>();
    let word = |bytes: &[u8; 8]| u64::from_ne_bytes(*bytes);
    for (new, ((((bytes, a), b), c), d)) in after.iter_mut().zip(all) {
        *new = (word(bytes) ^ word(a) ^ word(b) ^ word(c) ^ word(d)).to_ne_bytes();
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Bytes that do not repeat.
    fn bytes(len: usize) -> Vec<u8> {
        let mut state = 1_u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            state.to_be_bytes()[0]
        };
        (0..len).map(|_| next()).collect()
    }

    #[test]
    fn every_length_has_the_crc_that_tables_give() {
        let bytes = bytes(12_000);
        for len in (0..1_500).chain(4_000..5_200).chain(8_300..8_900).chain([12_000]) {
            assert_eq!(crc32(&bytes[..len]), with_tables(&bytes[..len]), "{len} bytes");
        }
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926, "the check value of CRC-32");
    }

    proptest! {
        #[test]
        fn any_bytes_have_the_crc_that_tables_give(bytes in prop::collection::vec(any::<u8>(), 0..20_000)) {
            prop_assert_eq!(crc32(&bytes), with_tables(&bytes));
        }

        #[test]
        fn a_flipped_bit_changes_it(at in 0_usize..9_000 * 8) {
            let mut bytes = bytes(9_000);
            let crc = crc32(&bytes);
            bytes[at / 8] ^= 1 << (at % 8);
            prop_assert_ne!(crc32(&bytes), crc);
        }
    }
}
