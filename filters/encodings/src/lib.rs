//! How a body is framed and compressed: the one place where bytes are decoded, always with a cap.
//! Nothing here knows what the bytes say.
//!
//! A gRPC body is read as one [`grpc`] frame first; then [`decode_within`] undoes the encoding.
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
//! | [`Encoding::Zstd`] | RFC 8878, any number of frames, window of at most the cap, or 8 MiB | the frame's size and checksum, where it has them |
//! | [`Encoding::SnappyFramed`] | snappy's framing format | each chunk's CRC-32C |
//! | [`Encoding::SnappyRaw`] | one snappy block | its size |
//! | [`Encoding::Lz4`] | LZ4 frame format 1.6, any number of frames | the header's, each block's and the frame's checksum, the frame's size |
//!
//! Dictionaries are refused: no sender and this gate share one. So are bytes behind the end.

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
    /// As it is.
    Identity,
    /// RFC 1952, any number of members.
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

    /// Its name as a value of `content-encoding`.
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

    /// The encoding that `body` has where its head says `self`.
    ///
    /// Over HTTP `snappy` is one block, and in Collectors before v0.131 it was the framing format.
    /// Which of them has come is plain: no block begins with the identifier of a framed stream.
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
    /// The bytes are not what the encoding says.
    #[error("not valid {encoding}: {reason}")]
    Invalid {
        /// What they were read as.
        encoding: Encoding,
        /// What is wrong with them.
        reason: &'static str,
    },
    /// This worker has no memory left for it; another moment may.
    #[error(transparent)]
    NoMemory(#[from] NoMemory),
    /// More than the cap comes out.
    #[error("decodes to more than {limit} bytes")]
    TooLarge {
        /// The cap, in bytes.
        limit: usize,
    },
}

/// How many bytes may come out for each that goes in: what deflate can do at most (zlib technical
/// details, "Maximum Compression Factor"). Zstd has no bound of its own, and no OTLP that a sender
/// means to store needs more than the encoding that every receiver takes.
const MAX_RATIO: usize = 1032;

/// What may come out of any body, however short, in bytes: 4 MiB, the largest message that a gRPC
/// server takes unless told otherwise. Made-up load, one record over and over, may well beat
/// [`MAX_RATIO`].
const ALWAYS_ALLOWED: usize = 4 << 20;

/// Decodes a body to at most `limit` bytes, as [`decode_within`] does in as much memory as there is.
///
/// # Errors
/// As [`decode_within`].
pub fn decode(encoding: Encoding, body: &[u8], limit: usize) -> Result<Vec<u8>, DecodeError> {
    let mut room = Room::ANY;
    decode_within(encoding, body, limit, &mut room)
}

/// Decodes a body to at most `limit` bytes, in no more memory than there is room; what is decoded is
/// taken from that.
///
/// Time and memory are bounded by `limit` and by the size of the body, not by what the body would
/// decode to: beside the decoded bytes, which are there twice while their buffer grows, at most
/// 29 MiB for zstd with a window of 8 MiB or less (a buffer that doubles) and three times the window
/// with a larger one, which is at most `limit`; one block of 4 MiB for lz4; 256 KiB for any other.
///
/// # Errors
/// [`DecodeError`]. An empty body is an error as in the backends' Go: in every encoding but identity
/// and framed snappy, whose encoders write nothing for nothing.
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
        _ if body.is_empty() => Err(DecodeError::Invalid { encoding, reason: "it is empty" }),
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
