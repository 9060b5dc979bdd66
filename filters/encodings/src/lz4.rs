//! The LZ4 frame format, version 1.6.
//!
//! The frames are read here and the blocks by lz4_flex, because lz4_flex's own frame reader accepts
//! a stream that is cut off between two blocks.

use lz4_flex::block::decompress_into_with_dict;
use sluice_wire::Room;
use twox_hash::XxHash32;

use crate::{
    DecodeError, Encoding,
    frame::Input,
    output::{CORRUPT, Output},
};

pub(super) const MAGIC: u32 = 0x184d_2204;

/// How far back a match can reach, in bytes. Linked blocks can refer to earlier blocks.
const WINDOW: usize = 64 << 10;

/// This bit in a block's size says that the block is not compressed.
pub(super) const UNCOMPRESSED: u32 = 1 << 31;

pub(super) fn decode(body: &[u8], limit: usize, room: &mut Room) -> Result<Vec<u8>, DecodeError> {
    let mut output = Output::new(limit, room);
    let mut scratch = Vec::new();
    let mut input = Input::new(body, Encoding::Lz4);
    while !input.is_empty() {
        if !input.skip_frame()? {
            frame(&mut input, &mut output, &mut scratch)?;
        }
    }
    output.give_back_beside(scratch.capacity());
    Ok(output.into_bytes())
}

/// The largest output per byte of input: the length of a match is written in bytes of up to 255.
const MAX_RATIO: usize = 255;

/// Reads one frame. `scratch` holds one block. It only grows, so many small blocks do not clear it
/// each time.
fn frame(
    input: &mut Input<'_>,
    output: &mut Output<'_>,
    scratch: &mut Vec<u8>,
) -> Result<(), DecodeError> {
    let header = Header::read(input)?;
    let start = output.len();
    if let Some(size) = header.content_size {
        match usize::try_from(size) {
            Ok(size) if size <= output.room() => output.with_capacity(size)?,
            _ => return Err(output.too_large()),
        };
    }
    while next_block(&header, start, input, output, scratch)? {}
    let content = output.since(start);
    if header.content_size.is_some_and(|size| u64::try_from(content.len()) != Ok(size)) {
        return Err(input.invalid("content size differs from the frame header"));
    }
    if header.content_checksum && input.u32()? != checksum(content) {
        return Err(input.invalid("content checksum mismatch"));
    }
    Ok(())
}

/// Reads the next block of a frame whose content starts at `start` of the output. Returns whether there was one.
fn next_block(
    header: &Header,
    start: usize,
    input: &mut Input<'_>,
    output: &mut Output<'_>,
    scratch: &mut Vec<u8>,
) -> Result<bool, DecodeError> {
    let size = input.u32()?;
    if size == 0 {
        return Ok(false);
    }
    let bytes = input.bytes(size & !UNCOMPRESSED)?;
    if bytes.len() > header.block_size {
        return Err(input.invalid("a block exceeds the block size of the frame header"));
    }
    if header.block_checksums && input.u32()? != checksum(bytes) {
        return Err(input.invalid("block checksum mismatch"));
    }
    if size & UNCOMPRESSED != 0 {
        output.push(bytes)?;
        return Ok(true);
    }
    let most = bytes.len().saturating_mul(MAX_RATIO).min(header.block_size);
    output.grow_beside(scratch, most)?;
    let since = if header.linked { start } else { output.len() };
    let window = output.since(since.max(output.len().saturating_sub(WINDOW)));
    let written = block(bytes, window, most, scratch)?;
    output.push(written)?;
    Ok(true)
}

/// Decodes a block to at most `most` bytes, for which `scratch` has room.
fn block<'s>(
    bytes: &[u8],
    window: &[u8],
    most: usize,
    scratch: &'s mut [u8],
) -> Result<&'s [u8], DecodeError> {
    let invalid = DecodeError::Invalid { encoding: Encoding::Lz4, reason: CORRUPT };
    let target = scratch.get_mut(..most).unwrap_or_default();
    #[expect(clippy::disallowed_methods, reason = "the one capped place")]
    let written = decompress_into_with_dict(bytes, target, window).map_err(|_| invalid.clone())?;
    target.get(..written).ok_or(invalid)
}

/// The header of a frame.
struct Header {
    linked: bool,
    block_checksums: bool,
    content_checksum: bool,
    content_size: Option<u64>,
    /// The largest size of a block, in bytes.
    block_size: usize,
}

impl Header {
    fn read(input: &mut Input<'_>) -> Result<Self, DecodeError> {
        if input.u32()? != MAGIC {
            return Err(input.invalid("no frame at the start"));
        }
        let after_magic = input.rest;
        let [flags, block] = input.array()?;
        let is_set = |bit: u8| flags & (1 << bit) != 0;
        if flags >> 6 != 1 || is_set(1) || block & 0b1000_1111 != 0 {
            return Err(input.invalid("unknown frame version"));
        }
        if is_set(0) {
            return Err(input.invalid("needs a dictionary, which is not supported"));
        }
        let block_size = match block >> 4 {
            4 => 64 << 10,
            5 => 256 << 10,
            6 => 1 << 20,
            7 => 4 << 20,
            _ => return Err(input.invalid("unknown block size in the frame header")),
        };
        let content_size = match is_set(3) {
            true => Some(u64::from_le_bytes(input.array()?)),
            false => None,
        };
        let read = after_magic.len().saturating_sub(input.rest.len());
        let described = after_magic.get(..read).unwrap_or_default();
        let [expected] = input.array()?;
        if expected != header_checksum(described) {
            return Err(input.invalid("frame header checksum mismatch"));
        }
        Ok(Self {
            linked: !is_set(5),
            block_checksums: is_set(4),
            content_checksum: is_set(2),
            content_size,
            block_size,
        })
    }
}

/// The checksum of a frame header's bytes between the magic number and the last byte.
pub(super) fn header_checksum(described: &[u8]) -> u8 {
    let [_, second, ..] = checksum(described).to_le_bytes();
    second
}

fn checksum(bytes: &[u8]) -> u32 {
    XxHash32::oneshot(0, bytes)
}
