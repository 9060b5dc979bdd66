//! Pairs on their way between host and guest.
//!
//! A count, then the two lengths of each pair, then each name and value with a NUL after it; all
//! numbers are 32 bits, little-endian (proxy-wasm-cpp-host, `src/pairs_util.cc`).

/// Above this many bytes a guest's pairs are not read (`include/proxy-wasm/limits.h`).
const MAX_BYTES: usize = 1024 * 1024;
/// Above this many, too.
const MAX_COUNT: usize = 1024;

pub(crate) type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

/// The bytes of pairs. None are no bytes at all: the host then hands the guest a null pointer.
pub(crate) fn write<'a>(pairs: impl Iterator<Item = (&'a [u8], &'a [u8])> + Clone) -> Vec<u8> {
    let count = pairs.clone().count();
    if count == 0 {
        return Vec::new();
    }
    let mut out = number(count).to_vec();
    for (name, value) in pairs.clone() {
        out.extend(number(name.len()));
        out.extend(number(value.len()));
    }
    for part in pairs.flat_map(|(name, value)| [name, value]) {
        out.extend_from_slice(part);
        out.push(0);
    }
    out
}

/// Reads a guest's pairs. As in Envoy, bytes that are not pairs are no pairs, without an error.
pub(crate) fn read(bytes: &[u8]) -> Pairs {
    if bytes.len() > MAX_BYTES { Vec::new() } else { parse(bytes).unwrap_or_default() }
}

fn parse(bytes: &[u8]) -> Option<Pairs> {
    let (count, mut rest) = length(bytes)?;
    if count > MAX_COUNT {
        return None;
    }
    let mut lengths = Vec::with_capacity(count);
    for _ in 0..count {
        let (name, after) = length(rest)?;
        let (value, after) = length(after)?;
        lengths.push((name, value));
        rest = after;
    }
    let mut pairs = Vec::with_capacity(count);
    for (name_length, value_length) in lengths {
        let (name, after) = terminated(rest, name_length)?;
        let (value, after) = terminated(after, value_length)?;
        pairs.push((name.to_vec(), value.to_vec()));
        rest = after;
    }
    rest.is_empty().then_some(pairs)
}

fn length(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (number, rest) = bytes.split_first_chunk::<4>()?;
    Some((usize::try_from(u32::from_le_bytes(*number)).ok()?, rest))
}

fn terminated(bytes: &[u8], length: usize) -> Option<(&[u8], &[u8])> {
    let (part, rest) = bytes.split_at_checked(length)?;
    match rest.split_first() {
        Some((0, rest)) => Some((part, rest)),
        _ => None,
    }
}

fn number(n: usize) -> [u8; 4] {
    u32::try_from(n).unwrap_or(u32::MAX).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(pairs: &Pairs) -> Vec<u8> {
        write(pairs.iter().map(|(name, value)| (name.as_slice(), value.as_slice())))
    }

    #[test]
    fn what_is_cut_short_or_too_long_is_no_pairs() {
        let bytes = written(&vec![(b"name".to_vec(), b"value".to_vec())]);
        assert_eq!(read(&bytes).len(), 1);
        for end in 0..bytes.len() {
            assert!(read(&bytes[..end]).is_empty(), "cut at {end}");
        }
        assert!(read(&[bytes.as_slice(), b"x"].concat()).is_empty());
    }

    #[test]
    fn more_pairs_than_envoy_reads_are_none() {
        let pairs = vec![(b"n".to_vec(), b"v".to_vec()); MAX_COUNT];
        assert_eq!(read(&written(&pairs)).len(), MAX_COUNT);
        let more = vec![(b"n".to_vec(), b"v".to_vec()); MAX_COUNT + 1];
        assert!(read(&written(&more)).is_empty());
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(pairs: Vec<(Vec<u8>, Vec<u8>)>) {
            prop_assert_eq!(read(&written(&pairs)), pairs);
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>) {
            let _ = read(&bytes);
        }
    }
}
