//! Content encodings: the one place where bytes are inflated, always with a cap.

use std::io::Read;

use thiserror::Error;

/// How a body or a gRPC message is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// As it is.
    Identity,
    /// RFC 1952, any number of members.
    Gzip,
}

impl Encoding {
    /// The encoding that a `content-encoding` or `grpc-encoding` value names. Names are compared
    /// without case (RFC 9110, section 8.4.1); a list of several encodings is none that is known.
    #[must_use]
    pub fn from_header(value: &[u8]) -> Option<Self> {
        let value = value.trim_ascii();
        if value.is_empty() || value.eq_ignore_ascii_case(b"identity") {
            Some(Self::Identity)
        } else if value.eq_ignore_ascii_case(b"gzip") || value.eq_ignore_ascii_case(b"x-gzip") {
            Some(Self::Gzip)
        } else {
            None
        }
    }
}

/// Why a body could not be decoded.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// The bytes are not what the encoding says.
    #[error("not valid gzip: {0}")]
    Invalid(String),
    /// This worker has no memory left for it; another moment may.
    #[error("no memory for a decoded body of {0} bytes")]
    NoMemory(usize),
    /// More than the cap comes out.
    #[error("decodes to more than {limit} bytes")]
    TooLarge {
        /// The cap, in bytes.
        limit: usize,
    },
}

/// Inflates a gzip body of any number of members to at most `limit` bytes.
///
/// Time and memory are bounded by `limit`, not by what the body would inflate to.
///
/// # Errors
/// [`DecodeError`]; bytes after the last member are an error, as they are in the backends' Go.
#[expect(clippy::disallowed_types, reason = "the one capped place")]
pub fn gunzip(body: &[u8], limit: usize) -> Result<Vec<u8>, DecodeError> {
    let mut decoder = flate2::bufread::MultiGzDecoder::new(body);
    let mut decoded = Vec::new();
    // One byte over the limit tells "exactly the limit" from "more".
    let ceiling = limit.saturating_add(1);
    let mut step = first_guess(body).clamp(1, ceiling);
    loop {
        decoded.try_reserve_exact(step).map_err(|_| DecodeError::NoMemory(step))?;
        let wanted = u64::try_from(step).unwrap_or(u64::MAX);
        let read = decoder
            .by_ref()
            .take(wanted)
            .read_to_end(&mut decoded)
            .map_err(|error| DecodeError::Invalid(error.to_string()))?;
        if decoded.len() > limit {
            return Err(DecodeError::TooLarge { limit });
        }
        if read < step {
            return Ok(decoded);
        }
        step = decoded.len().clamp(1, ceiling.saturating_sub(decoded.len()));
    }
}

/// What the body most likely inflates to, in bytes: the size in the last member's trailer, if
/// deflate could have made it from so few bytes, and one more to see the end.
fn first_guess(body: &[u8]) -> usize {
    /// The most that deflate can shrink (zlib technical details, "Maximum Compression Factor").
    const MAX_RATIO: usize = 1032;
    let claimed = body.last_chunk::<4>().map_or(0, |size| u32::from_le_bytes(*size));
    let claimed = usize::try_from(claimed).unwrap_or(usize::MAX).saturating_add(1);
    claimed.min(body.len().saturating_mul(MAX_RATIO))
}

/// Wraps bytes as one gzip member without compressing them (stored blocks, RFC 1951 section 3.2.4).
///
/// For a body whose headers have already gone out saying `gzip` when a record was cut from it: the
/// price is a checksum and a copy, not a compression.
#[must_use]
pub fn gzip_stored(bytes: &[u8]) -> Vec<u8> {
    const BLOCK: usize = 0xffff;
    const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
    const LAST_EMPTY_BLOCK: [u8; 5] = [1, 0, 0, 0xff, 0xff];
    let overhead = bytes.len().div_ceil(BLOCK).saturating_mul(5).saturating_add(23);
    let mut member = Vec::with_capacity(bytes.len().saturating_add(overhead));
    member.extend_from_slice(&HEADER);
    for block in bytes.chunks(BLOCK) {
        let length = u16::try_from(block.len()).unwrap_or(u16::MAX);
        member.push(0);
        member.extend_from_slice(&length.to_le_bytes());
        member.extend_from_slice(&(!length).to_le_bytes());
        member.extend_from_slice(block);
    }
    member.extend_from_slice(&LAST_EMPTY_BLOCK);
    member.extend_from_slice(&crc32fast::hash(bytes).to_le_bytes());
    #[expect(clippy::cast_possible_truncation, reason = "ISIZE is the size modulo 2^32 (RFC 1952)")]
    let size = bytes.len() as u32;
    member.extend_from_slice(&size.to_le_bytes());
    member
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, write::GzEncoder};
    use proptest::prelude::*;
    use std::io::Write;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn more_than_the_limit_is_refused_and_exactly_the_limit_is_not() {
        let body = gzip(&[7; 1000]);
        assert_eq!(gunzip(&body, 999), Err(DecodeError::TooLarge { limit: 999 }));
        assert_eq!(gunzip(&body, 1000), Ok(vec![7; 1000]));
    }

    #[test]
    fn a_trailer_that_lies_about_the_size_changes_nothing() {
        let mut body = gzip(&[7; 100_000]);
        let end = body.len();
        body[end - 4..].copy_from_slice(&3_u32.to_le_bytes());
        assert!(matches!(gunzip(&body, 1 << 20), Err(DecodeError::Invalid(_))));
        assert_eq!(gunzip(&body, 50_000), Err(DecodeError::TooLarge { limit: 50_000 }));
    }

    #[test]
    fn every_member_counts() {
        let body = [gzip(b"one "), gzip(b""), gzip(b"two")].concat();
        assert_eq!(gunzip(&body, 100), Ok(b"one two".to_vec()));
        assert_eq!(gunzip(&body, 6), Err(DecodeError::TooLarge { limit: 6 }));
    }

    #[test]
    fn broken_gzip_is_refused() {
        let whole = gzip(b"some telemetry");
        for body in [
            b"".to_vec(),
            b"not gzip at all, but long enough".to_vec(),
            whole[..whole.len() - 1].to_vec(),
            [whole.clone(), b"trailing".to_vec()].concat(),
        ] {
            assert!(matches!(gunzip(&body, 1000), Err(DecodeError::Invalid(_))), "{body:x?}");
        }
    }

    #[test]
    fn names_of_encodings_are_read_without_case() {
        for (value, expected) in [
            (&b""[..], Some(Encoding::Identity)),
            (b"Identity", Some(Encoding::Identity)),
            (b" GZIP ", Some(Encoding::Gzip)),
            (b"x-gzip", Some(Encoding::Gzip)),
            (b"gzip, gzip", None),
            (b"br", None),
            (b"\xff", None),
        ] {
            assert_eq!(Encoding::from_header(value), expected);
        }
    }

    proptest! {
        #[test]
        fn stored_gzip_inflates_to_what_went_in(bytes in prop::collection::vec(any::<u8>(), 0..200_000)) {
            prop_assert_eq!(gunzip(&gzip_stored(&bytes), bytes.len()), Ok(bytes));
        }
    }
}
