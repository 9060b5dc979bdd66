//! How a body is framed and compressed. This is the only place where bytes are decoded, always with
//! a limit on the output. Nothing here interprets the decoded bytes.
//!
//! A gRPC body is first read as one [`grpc`] frame; then [`decode_within`] decompresses it.
//!
//! ```
//! use sluice_encodings::{Encoding, EncodingHeader, decode, wrap};
//! use sluice_wire::Room;
//!
//! let encoding = EncodingHeader::Content.read(b"gzip").unwrap_or(Encoding::Identity);
//! let body = wrap(encoding, b"telemetry", Room::ANY)?;
//! assert_eq!(decode(encoding, &body, 1 << 20)?, b"telemetry");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | encoding | format | checked |
//! |---|---|---|
//! | [`Encoding::Gzip`] | RFC 1952, any number of members | each member's CRC-32 and size |
//! | [`Encoding::Deflate`] | RFC 1950 | Adler-32 |
//! | [`Encoding::Zstd`] | RFC 8878, any number of frames, with a window of at most the limit or 8 MiB, whichever is more | the frame's size and checksum, where it has them |
//! | [`Encoding::SnappyFramed`] | snappy's framing format | each chunk's CRC-32C |
//! | [`Encoding::SnappyRaw`] | one snappy block | its size |
//! | [`Encoding::Lz4`] | LZ4 frame format 1.6, any number of frames | the header's, each block's and the frame's checksum, the frame's size |
//!
//! Dictionaries are refused, because no sender shares one with this gate. Bytes after the end are
//! refused too.

mod crc32;
mod deflate;
mod frame;
pub mod grpc;
mod lz4;
mod names;
mod output;
mod snappy;
mod wrap;
mod zstd;

use std::fmt;

use sluice_wire::{NoMemory, Room};
use thiserror::Error;

pub use names::{EncodingHeader, Encodings};
pub use snappy::{encode_block, longest_block};
pub use wrap::wrap;

/// How a body or a gRPC message is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Not compressed.
    Identity,
    /// RFC 1952, with any number of members.
    Gzip,
    /// What HTTP and gRPC call deflate: the zlib format of RFC 1950 (RFC 9110, section 8.4.1.2).
    Deflate,
    /// RFC 8878.
    Zstd,
    /// Snappy's framing format.
    SnappyFramed,
    /// One snappy block without a frame.
    SnappyRaw,
    /// The LZ4 frame format.
    Lz4,
}

impl Encoding {
    /// Every encoding.
    pub const ALL: [Self; 7] = [
        Self::Identity,
        Self::Gzip,
        Self::Deflate,
        Self::Zstd,
        Self::SnappyFramed,
        Self::SnappyRaw,
        Self::Lz4,
    ];

    /// The name as a value of `content-encoding`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
            Self::Zstd => "zstd",
            Self::SnappyFramed => "x-snappy-framed",
            Self::SnappyRaw => "snappy",
            Self::Lz4 => "lz4",
        }
    }

    /// The actual encoding of `body` if its head says `self`.
    ///
    /// Over HTTP, `snappy` means one block, but Collectors before v0.131 sent the framing format.
    /// The two can be told apart: no block starts with the identifier of a framed stream.
    #[must_use]
    pub fn of_body(self, body: &[u8]) -> Self {
        match self {
            Self::SnappyRaw if body.starts_with(&snappy::STREAM_IDENTIFIER) => Self::SnappyFramed,
            said => said,
        }
    }
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a body could not be decoded.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// The bytes are not valid in this encoding.
    #[error("not valid {encoding} ({reason})")]
    Invalid {
        /// The encoding they were read as.
        encoding: Encoding,
        /// What is wrong with them.
        reason: &'static str,
    },
    /// This worker has no memory left for it now; a retry may succeed.
    #[error(transparent)]
    NoMemory(#[from] NoMemory),
    /// The output is longer than the limit.
    #[error("decodes to more than {limit} bytes")]
    TooLarge {
        /// The limit, in bytes.
        limit: usize,
    },
}

/// The largest allowed ratio of output to input: the most that deflate can reach (zlib technical
/// details, "Maximum Compression Factor"). Zstd itself has no bound. Real OTLP does not need a
/// higher ratio than the encoding that every receiver accepts can give.
const MAX_RATIO: usize = 1032;

/// Output that is always allowed, however short the body, in bytes: 4 MiB, the default size limit
/// of a gRPC server. Synthetic load, with one record repeated, can exceed [`MAX_RATIO`].
const ALWAYS_ALLOWED: usize = 4 << 20;

/// Decodes a body to at most `limit` bytes. Like [`decode_within`], but without a memory limit.
///
/// # Errors
/// As [`decode_within`].
pub fn decode(encoding: Encoding, body: &[u8], limit: usize) -> Result<Vec<u8>, DecodeError> {
    let mut room = Room::ANY;
    decode_within(encoding, body, limit, &mut room)
}

/// Decodes a body to at most `limit` bytes, and takes the memory for the output from `room`.
///
/// Time and memory depend on `limit` and on the size of the body, not on the size that the body
/// would decode to. Beside the decoded bytes (held twice while their buffer grows), decoding takes
/// at most: for zstd, 29 MiB with a window of up to 8 MiB (a buffer that doubles), and three times
/// the window with a larger one, which is at most `limit`; for lz4, one block of 4 MiB; for any
/// other, 256 KiB.
///
/// # Errors
/// [`DecodeError`]. An empty body is an error, as in the backends' Go code, except for identity and
/// framed snappy: the encoders of framed snappy write nothing for empty input.
pub fn decode_within(
    encoding: Encoding,
    body: &[u8],
    limit: usize,
    room: &mut Room,
) -> Result<Vec<u8>, DecodeError> {
    let most_window = limit;
    let limit = limit.min(body.len().saturating_mul(MAX_RATIO).max(ALWAYS_ALLOWED));
    match encoding {
        Encoding::Identity | Encoding::SnappyFramed if body.is_empty() => Ok(Vec::new()),
        _ if body.is_empty() => Err(DecodeError::Invalid { encoding, reason: "empty body" }),
        Encoding::Identity => output::copy(body, limit, room),
        Encoding::Gzip => deflate::gunzip(body, limit, room),
        Encoding::Deflate => deflate::inflate(body, limit, room),
        Encoding::Zstd => zstd::decode(body, limit, most_window, room),
        Encoding::SnappyFramed => snappy::decode_frames(body, limit, room),
        Encoding::SnappyRaw => snappy::decode_block(body, limit, room),
        Encoding::Lz4 => lz4::decode(body, limit, room),
    }
}

#[cfg(test)]
mod tests;
