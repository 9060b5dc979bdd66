//! Wraps bytes in an encoding, if possible without compressing them.

use std::io::Read;

use sluice_wire::{NoMemory, Room, varint_bytes};
use snap::read::FrameEncoder;

use crate::{Encoding, crc32::crc32, lz4, snappy::FRAMED};

/// Wraps bytes as a valid body of an encoding at the lowest cost: a copy and, if the format
/// requires one, a checksum.
///
/// For a body whose head has already been forwarded with an encoding when a record is cut out of
/// it.
///
/// # Errors
/// If there is no memory, or no room for the body, which is a few bytes longer for each 64 KiB.
pub fn wrap(encoding: Encoding, bytes: &[u8], mut room: Room) -> Result<Vec<u8>, NoMemory> {
    let (block, each) = match encoding {
        Encoding::Identity | Encoding::SnappyRaw => (usize::MAX, 0),
        Encoding::Gzip | Encoding::Deflate => (DEFLATE_BLOCK, 5),
        Encoding::Zstd => (ZSTD_BLOCK, 3),
        Encoding::SnappyFramed => (SNAPPY_CHUNK, 8),
        Encoding::Lz4 => (LZ4_BLOCK, 4),
    };
    let around = bytes.len().div_ceil(block).saturating_mul(each).saturating_add(AROUND);
    let most = bytes.len().saturating_add(around);
    let mut body = Vec::new();
    room.grow(&mut body, most, most)?;
    match encoding {
        Encoding::Identity => body.extend_from_slice(bytes),
        Encoding::Gzip => gzip(bytes, &mut body),
        Encoding::Deflate => zlib(bytes, &mut body),
        Encoding::Zstd => zstd(bytes, &mut body),
        Encoding::SnappyFramed => {
            room.probe(FRAMED)?;
            snappy_framed(bytes, &mut body);
        }
        Encoding::SnappyRaw => snappy_raw(bytes, &mut body),
        Encoding::Lz4 => lz4(bytes, &mut body),
    }
    Ok(body)
}

/// The most bytes that an encoding adds around all of its blocks.
const AROUND: usize = 64;

/// The low 32 bits of a size. That is the whole size in a wasm module and under
/// `limits.decodedBytes`.
#[expect(clippy::cast_possible_truncation, reason = "said above")]
const fn size(bytes: &[u8]) -> u32 {
    bytes.len() as u32
}

/// One member of stored blocks (RFC 1951, section 3.2.4).
fn gzip(bytes: &[u8], member: &mut Vec<u8>) {
    const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
    member.extend_from_slice(&HEADER);
    deflate_blocks(bytes, member);
    member.extend_from_slice(&crc32(bytes).to_le_bytes());
    member.extend_from_slice(&size(bytes).to_le_bytes());
}

/// A zlib stream of stored blocks.
fn zlib(bytes: &[u8], stream: &mut Vec<u8>) {
    /// Deflate with a window of 32 KiB, no dictionary, the fastest level. The format requires a
    /// multiple of 31.
    const HEADER: [u8; 2] = [0x78, 0x01];
    stream.extend_from_slice(&HEADER);
    deflate_blocks(bytes, stream);
    stream.extend_from_slice(&adler32(bytes).to_be_bytes());
}

const DEFLATE_BLOCK: usize = 0xffff;

fn deflate_blocks(bytes: &[u8], to: &mut Vec<u8>) {
    const LAST_AND_EMPTY: [u8; 5] = [1, 0, 0, 0xff, 0xff];
    for block in bytes.chunks(DEFLATE_BLOCK) {
        let length = u16::try_from(block.len()).unwrap_or(u16::MAX);
        to.push(0);
        to.extend_from_slice(&length.to_le_bytes());
        to.extend_from_slice(&(!length).to_le_bytes());
        to.extend_from_slice(block);
    }
    to.extend_from_slice(&LAST_AND_EMPTY);
}

/// Adler-32 (RFC 1950, section 8.2).
fn adler32(bytes: &[u8]) -> u32 {
    const MODULUS: u32 = 65521;
    /// The largest number of bytes whose sums fit in 32 bits.
    const RUN: usize = 5552;
    let (mut a, mut b) = (1_u32, 0_u32);
    for run in bytes.chunks(RUN) {
        for byte in run {
            a = a.wrapping_add(u32::from(*byte));
            b = b.wrapping_add(a);
        }
        a %= MODULUS;
        b %= MODULUS;
    }
    b << 16 | a
}

const ZSTD_BLOCK: usize = 128 << 10;

/// One frame of raw blocks (RFC 8878, section 3.1.1.2.2). Its window is one block, so a decoder
/// need not hold more.
fn zstd(bytes: &[u8], frame: &mut Vec<u8>) {
    const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
    /// The content size in eight bytes, a window of 2^(10 + 7) bytes, no checksum.
    const HEADER: [u8; 2] = [0b1100_0000, 7 << 3];
    /// The last block: raw and empty.
    const LAST_AND_EMPTY: [u8; 3] = [1, 0, 0];
    frame.extend_from_slice(&MAGIC);
    frame.extend_from_slice(&HEADER);
    frame.extend_from_slice(&u64::from(size(bytes)).to_le_bytes());
    for block in bytes.chunks(ZSTD_BLOCK) {
        let [low, middle, high, _] = (size(block) << 3).to_le_bytes();
        frame.extend_from_slice(&[low, middle, high]);
        frame.extend_from_slice(block);
    }
    frame.extend_from_slice(&LAST_AND_EMPTY);
}

const LZ4_BLOCK: usize = 64 << 10;

/// One frame of uncompressed blocks.
fn lz4(bytes: &[u8], frame: &mut Vec<u8>) {
    /// Version 1, independent blocks of 64 KiB, no checksums.
    const DESCRIPTOR: [u8; 2] = [0b0110_0000, 4 << 4];
    frame.extend_from_slice(&lz4::MAGIC.to_le_bytes());
    frame.extend_from_slice(&DESCRIPTOR);
    frame.push(lz4::header_checksum(&DESCRIPTOR));
    for block in bytes.chunks(LZ4_BLOCK) {
        frame.extend_from_slice(&(size(block) | lz4::UNCOMPRESSED).to_le_bytes());
        frame.extend_from_slice(block);
    }
    frame.extend_from_slice(&0_u32.to_le_bytes());
}

/// A block of a single literal.
fn snappy_raw(bytes: &[u8], block: &mut Vec<u8>) {
    /// A literal whose length follows in four bytes.
    const LITERAL: u8 = 63 << 2;
    let (length, count) = varint_bytes(bytes.len());
    block.extend(length.iter().take(count));
    if let Some(one_less) = size(bytes).checked_sub(1) {
        block.push(LITERAL);
        block.extend_from_slice(&one_less.to_le_bytes());
    }
    block.extend_from_slice(bytes);
}

/// The largest uncompressed content of a chunk (framing format, section 4.2).
const SNAPPY_CHUNK: usize = 64 << 10;

/// This one does compress: a chunk needs a CRC-32C, which snap computes but does not export, and
/// its encoder costs little more than the checksum. Chunks that would not become shorter are stored
/// uncompressed.
fn snappy_framed(bytes: &[u8], stream: &mut Vec<u8>) {
    // Reading from memory does not fail. If it did, the stream would be incomplete and the backend
    // would refuse it.
    let _read = FrameEncoder::new(bytes).read_to_end(stream);
}
