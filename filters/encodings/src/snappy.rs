//! Snappy, in frames and without.

#![expect(clippy::disallowed_types, reason = "the one capped place")]

use sluice_wire::{NoMemory, Room};
use snap::{raw, read::FrameDecoder};

use crate::{
    DecodeError, Encoding,
    output::{CORRUPT, Output},
};

/// What a framed stream begins with (framing format, section 4.1).
pub(super) const STREAM_IDENTIFIER: [u8; 10] = *b"\xff\x06\0\0sNaPpY";

/// The most that the framing format takes beside what comes out or goes in, in bytes: two chunks of
/// 64 KiB, one of them a sixth longer, and a table.
pub(super) const FRAMED: usize = 256 << 10;

/// The most that comes out of a block for one byte: a copy of 64 bytes takes 3.
const MAX_RATIO: usize = 22;

pub(super) fn decode_frames(
    body: &[u8],
    limit: usize,
    room: &mut Room,
) -> Result<Vec<u8>, DecodeError> {
    /// How well telemetry compresses, in most cases: what is decoded needs one buffer.
    const USUAL_RATIO: usize = 4;
    let mut output = Output::new(limit, room);
    output.decoder_takes(FRAMED)?;
    let guess = body.len().saturating_mul(USUAL_RATIO);
    output.read_all(FrameDecoder::new(body), Encoding::SnappyFramed, guess)?;
    output.give_back_beside(FRAMED);
    Ok(output.into_bytes())
}

pub(super) fn decode_block(
    body: &[u8],
    limit: usize,
    room: &mut Room,
) -> Result<Vec<u8>, DecodeError> {
    let invalid = |reason| DecodeError::Invalid { encoding: Encoding::SnappyRaw, reason };
    let size = raw::decompress_len(body).map_err(|_| invalid(CORRUPT))?;
    if size > body.len().saturating_mul(MAX_RATIO) {
        return Err(invalid("it cannot be as long as it says"));
    }
    let mut output = Output::new(limit, room);
    if size > output.room() {
        return Err(output.too_large());
    }
    let buffer = output.with_capacity(size)?;
    buffer.resize(size, 0);
    raw::Decoder::new().decompress(body, buffer).map_err(|_| invalid(CORRUPT))?;
    Ok(output.into_bytes())
}

/// The most that so many bytes take as a snappy block (`snap`'s `max_compress_len`, which is no `const`).
#[must_use]
pub const fn longest_block(bytes: usize) -> usize {
    bytes.saturating_add(bytes / 6).saturating_add(32)
}

/// Compresses bytes into one snappy block, for a backend that takes nothing else.
///
/// # Errors
/// If there is no room for the block, which may take a sixth more than the bytes before it is known
/// how short it is; or no memory.
pub fn encode_block(bytes: &[u8], mut room: Room) -> Result<Vec<u8>, NoMemory> {
    /// What the encoder looks matches up in.
    const TABLE: usize = 64 << 10;
    let most = longest_block(bytes.len());
    let mut block = Vec::new();
    room.grow(&mut block, most, most)?;
    room.probe(TABLE)?;
    block.resize(most, 0);
    // It fails where the buffer is too short, which it is not, or where there are over 4 GiB; and a
    // block of nothing is one that every backend refuses.
    let written = raw::Encoder::new().compress(bytes, &mut block).unwrap_or_default();
    block.truncate(written);
    Ok(block)
}
