//! Gzip and zlib: deflate in two different frames.

#![expect(clippy::disallowed_types, reason = "the one capped place")]

use flate2::{Decompress, FlushDecompress, Status, bufread::MultiGzDecoder};
use sluice_wire::Room;

use crate::{
    DecodeError, Encoding, MAX_RATIO,
    output::{CORRUPT, CUT_OFF, Output, TRAILING},
};

/// The most memory that inflating takes beside the output, in bytes: a window of 32 KiB, and
/// tables.
const INFLATER: usize = 64 << 10;

pub(super) fn gunzip(body: &[u8], limit: usize, room: &mut Room) -> Result<Vec<u8>, DecodeError> {
    // The size in the last member's trailer, if deflate could have produced it from this few bytes.
    let claimed = body.last_chunk::<4>().map_or(0, |size| u32::from_le_bytes(*size));
    let claimed = usize::try_from(claimed).unwrap_or(usize::MAX);
    let guess = claimed.min(body.len().saturating_mul(MAX_RATIO));
    let mut output = Output::new(limit, room);
    output.decoder_takes(INFLATER)?;
    output.read_all(MultiGzDecoder::new(body), Encoding::Gzip, guess)?;
    output.give_back_beside(INFLATER);
    Ok(output.into_bytes())
}

/// Inflates a zlib stream (RFC 1950).
///
/// flate2's `ZlibDecoder` is not used, because it accepts a stream that is cut off.
pub(super) fn inflate(body: &[u8], limit: usize, room: &mut Room) -> Result<Vec<u8>, DecodeError> {
    /// How well telemetry usually compresses; in most cases, the output then needs one buffer.
    const USUAL_RATIO: usize = 8;
    let invalid = |reason| DecodeError::Invalid { encoding: Encoding::Deflate, reason };
    let mut output = Output::new(limit, room);
    output.decoder_takes(INFLATER)?;
    let mut stream = Decompress::new(true);
    let mut rest = body;
    let mut step = body.len().saturating_mul(USUAL_RATIO);
    loop {
        step = step.clamp(1, output.room().saturating_add(1));
        let buffer = output.with_capacity(step)?;
        let (read_before, written_before) = (stream.total_in(), stream.total_out());
        let status = stream
            .decompress_vec(rest, buffer, FlushDecompress::None)
            .map_err(|_| invalid(CORRUPT))?;
        let read = stream.total_in().saturating_sub(read_before);
        rest = rest.get(usize::try_from(read).unwrap_or(usize::MAX)..).unwrap_or_default();
        if output.len() > limit {
            return Err(output.too_large());
        }
        match status {
            Status::StreamEnd if rest.is_empty() => {
                output.give_back_beside(INFLATER);
                return Ok(output.into_bytes());
            }
            Status::StreamEnd => return Err(invalid(TRAILING)),
            Status::Ok | Status::BufError => {
                if read == 0 && stream.total_out() == written_before {
                    return Err(invalid(CUT_OFF));
                }
            }
        }
        step = output.len();
    }
}
