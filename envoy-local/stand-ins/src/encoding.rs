//! Content encodings: the only place where bodies are decompressed, with a limit.

#![expect(
    clippy::disallowed_types,
    reason = "all members are read, and `read` bounds what comes out"
)]

use std::io::Read;

use bytes::Bytes;

/// A content encoding that some backend supports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Coding {
    /// RFC 9110's deflate: the zlib format of RFC 1950.
    Deflate,
    Gzip,
    /// The LZ4 frame format.
    Lz4,
    /// No encoding.
    None,
    /// One raw snappy block.
    Snappy,
    SnappyFramed,
    Zstd,
}

/// Why a body could not be decompressed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InflateError {
    #[error("the body is not valid {coding:?}: {reason}")]
    Broken { coding: Coding, reason: String },
    #[error("the inflated body is larger than {limit} bytes")]
    TooLarge { limit: usize },
}

/// Decompresses a body. Fails if the body is invalid or would exceed `limit` bytes.
pub(crate) fn inflate(body: &Bytes, coding: Coding, limit: usize) -> Result<Bytes, InflateError> {
    let broken = |reason: String| InflateError::Broken { coding, reason };
    let input = body.as_ref();
    match coding {
        Coding::None if body.len() > limit => Err(InflateError::TooLarge { limit }),
        Coding::None => Ok(body.clone()),
        Coding::Deflate => read(flate2::read::ZlibDecoder::new(input), coding, limit),
        Coding::Gzip => read(gunzip(input), coding, limit),
        Coding::Lz4 => read(lz4_flex::frame::FrameDecoder::new(input), coding, limit),
        Coding::SnappyFramed => read(snap::read::FrameDecoder::new(input), coding, limit),
        Coding::Snappy => {
            let announced =
                snap::raw::decompress_len(input).map_err(|error| broken(error.to_string()))?;
            if announced > limit {
                return Err(InflateError::TooLarge { limit });
            }
            snap::raw::Decoder::new()
                .decompress_vec(input)
                .map(Bytes::from)
                .map_err(|error| broken(error.to_string()))
        }
        Coding::Zstd => {
            let decoder = ruzstd::decoding::StreamingDecoder::new(input)
                .map_err(|error| broken(error.to_string()))?;
            read(decoder, coding, limit)
        }
    }
}

fn gunzip(input: &[u8]) -> flate2::read::MultiGzDecoder<&[u8]> {
    flate2::read::MultiGzDecoder::new(input)
}

fn read(from: impl Read, coding: Coding, limit: usize) -> Result<Bytes, InflateError> {
    let mut inflated = Vec::new();
    from.take(limit as u64 + 1)
        .read_to_end(&mut inflated)
        .map_err(|error| InflateError::Broken { coding, reason: error.to_string() })?;
    if inflated.len() > limit {
        return Err(InflateError::TooLarge { limit });
    }
    Ok(Bytes::from(inflated))
}
