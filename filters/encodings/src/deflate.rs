//! Gzip and zlib: deflate in two different frames.

#![expect(clippy::disallowed_types, reason = "the one capped place")]

use flate2::{Decompress, FlushDecompress, Status};
use sluice_wire::Room;

use crate::{
    DecodeError, Encoding, MAX_RATIO,
    crc32::crc32,
    frame::Input,
    output::{CORRUPT, CUT_OFF, Output, TRAILING},
};

/// The most memory that inflating takes beside the output, in bytes: a window of 32 KiB, and
/// tables.
const INFLATER: usize = 64 << 10;

/// Inflates every member of a gzip file (RFC 1952).
///
/// flate2's `MultiGzDecoder` is not used, because most of its time in V8 goes into its CRC-32.
pub(super) fn gunzip(body: &[u8], limit: usize, room: &mut Room) -> Result<Vec<u8>, DecodeError> {
    // The size in the last member's trailer, if deflate could have produced it from this few bytes.
    let claimed = body.last_chunk::<4>().map_or(0, |size| u32::from_le_bytes(*size));
    let claimed = usize::try_from(claimed).unwrap_or(usize::MAX);
    let guess = claimed.min(body.len().saturating_mul(MAX_RATIO)).saturating_add(1);
    let mut output = Output::new(limit, room);
    output.decoder_takes(INFLATER)?;
    let mut stream = Decompress::new(false);
    let mut input = Input::new(body, Encoding::Gzip);
    while !input.is_empty() {
        header(&mut input)?;
        let start = output.len();
        inflate_to_end(&mut stream, &mut input, &mut output, guess)?;
        let (checksum, size) = (input.u32()?, input.u32()?);
        let member = output.since(start);
        if checksum != crc32(member) {
            return Err(input.invalid("content checksum mismatch"));
        }
        // It is the size modulo 2^32, which no limit reaches.
        if usize::try_from(size) != Ok(member.len()) {
            return Err(input.invalid("content size differs from the trailer"));
        }
        stream.reset(false);
    }
    output.give_back_beside(INFLATER);
    Ok(output.into_bytes())
}

/// Reads the header of a member (RFC 1952, section 2.3).
fn header(input: &mut Input<'_>) -> Result<(), DecodeError> {
    const HEADER_CRC: u8 = 1 << 1;
    const EXTRA: u8 = 1 << 2;
    const NAME: u8 = 1 << 3;
    const COMMENT: u8 = 1 << 4;
    const RESERVED: u8 = 0b1110_0000;
    let member = input.rest;
    let [0x1f, 0x8b, 8, flags, ..] = input.array::<10>()? else {
        return Err(input.invalid(CORRUPT));
    };
    if flags & RESERVED != 0 {
        return Err(input.invalid(CORRUPT));
    }
    if flags & EXTRA != 0 {
        let len = u16::from_le_bytes(input.array()?);
        input.bytes(len.into())?;
    }
    for text in [NAME, COMMENT] {
        if flags & text != 0 {
            input.skip_to_nul()?;
        }
    }
    if flags & HEADER_CRC != 0 {
        let len = member.len().saturating_sub(input.rest.len());
        let crc = crc32(member.get(..len).unwrap_or_default());
        // Its lower half.
        let [low, high, ..] = crc.to_le_bytes();
        if input.array()? != [low, high] {
            return Err(input.invalid(CORRUPT));
        }
    }
    Ok(())
}

/// Inflates a zlib stream (RFC 1950).
///
/// flate2's `ZlibDecoder` is not used, because it accepts a stream that is cut off.
pub(super) fn inflate(body: &[u8], limit: usize, room: &mut Room) -> Result<Vec<u8>, DecodeError> {
    /// How well telemetry usually compresses; in most cases, the output then needs one buffer.
    const USUAL_RATIO: usize = 8;
    let mut output = Output::new(limit, room);
    output.decoder_takes(INFLATER)?;
    let mut stream = Decompress::new(true);
    let mut input = Input::new(body, Encoding::Deflate);
    let guess = body.len().saturating_mul(USUAL_RATIO);
    inflate_to_end(&mut stream, &mut input, &mut output, guess)?;
    if !input.is_empty() {
        return Err(input.invalid(TRAILING));
    }
    output.give_back_beside(INFLATER);
    Ok(output.into_bytes())
}

/// Inflates up to the end of the stream, straight into the output. `guess` is the expected number of bytes of the whole
/// output, and one more.
fn inflate_to_end(
    stream: &mut Decompress,
    input: &mut Input<'_>,
    output: &mut Output<'_>,
    guess: usize,
) -> Result<(), DecodeError> {
    let mut step = guess.saturating_sub(output.len());
    loop {
        // One byte over the limit distinguishes "exactly the limit" from "more".
        step = step.clamp(1, output.room().saturating_add(1));
        let buffer = output.with_capacity(step)?;
        let (read_before, written_before) = (stream.total_in(), stream.total_out());
        // If all of it fits, `Finish` spares a copy of the last 32 KiB.
        let status = stream
            .decompress_vec(input.rest, buffer, FlushDecompress::Finish)
            .map_err(|_| input.invalid(CORRUPT))?;
        let read = stream.total_in().saturating_sub(read_before);
        let read = usize::try_from(read).unwrap_or(usize::MAX);
        input.rest = input.rest.get(read..).unwrap_or_default();
        if output.is_over() {
            return Err(output.too_large());
        }
        match status {
            Status::StreamEnd => return Ok(()),
            Status::Ok | Status::BufError => {
                if read == 0 && stream.total_out() == written_before {
                    return Err(input.invalid(CUT_OFF));
                }
            }
        }
        step = output.len();
    }
}
