//! Snappy: the framing format and single blocks.

#![expect(clippy::disallowed_types, reason = "the one capped place")]

use sluice_wire::{NoMemory, Room};
use snap::{raw, read::FrameDecoder};

use crate::{
    DecodeError, Encoding,
    output::{CORRUPT, Output},
};

/// The start of a framed stream (framing format, section 4.1).
pub(super) const STREAM_IDENTIFIER: [u8; 10] = *b"\xff\x06\0\0sNaPpY";

/// The most memory that the framing format takes beside input and output, in bytes: two chunks of
/// 64 KiB, one of them a sixth longer, and a table.
pub(super) const FRAMED: usize = 256 << 10;

/// The largest output per byte of input, in a block: a copy of 64 bytes takes 3.
const MAX_RATIO: usize = 22;

pub(super) fn decode_frames(
    body: &[u8],
    limit: usize,
    room: &mut Room,
) -> Result<Vec<u8>, DecodeError> {
    /// How well telemetry usually compresses; in most cases, the output then needs one buffer.
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
        return Err(invalid("impossible length in the header"));
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

/// The longest snappy block for this many bytes (`snap`'s `max_compress_len`, which is not `const`).
#[must_use]
pub const fn longest_block(bytes: usize) -> usize {
    bytes.saturating_add(bytes / 6).saturating_add(32)
}

/// Compresses bytes into one snappy block, for a backend that accepts nothing else.
///
/// # Errors
/// If there is no memory, or no room for the block. Its buffer is a sixth longer than the input,
/// because the compressed length is not known before.
pub fn encode_block(bytes: &[u8], mut room: Room) -> Result<Vec<u8>, NoMemory> {
    /// The encoder's hash table for matches.
    const TABLE: usize = 64 << 10;
    let most = longest_block(bytes.len());
    let mut block = Vec::new();
    room.grow(&mut block, most, most)?;
    room.probe(TABLE)?;
    block.resize(most, 0);
    // `compress` fails only if the buffer is too short, which it is not, or for over 4 GiB. An
    // empty block would be refused by every backend.
    let written = raw::Encoder::new().compress(bytes, &mut block).unwrap_or_default();
    block.truncate(written);
    Ok(block)
}
