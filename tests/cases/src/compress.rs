//! Compresses what a case sends, with encoders other than the gate's.

use std::io::Write;

use anyhow::Result;
use flate2::{
    Compression,
    write::{GzEncoder, ZlibEncoder},
};
use sluice_encodings::Encoding;

/// Encodes the bytes.
///
/// # Errors
/// If an encoder fails.
pub fn encode(encoding: Encoding, bytes: Vec<u8>) -> Result<Vec<u8>> {
    Ok(match encoding {
        Encoding::Identity => bytes,
        Encoding::Gzip => {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
            encoder.write_all(&bytes)?;
            encoder.finish()?
        }
        Encoding::Deflate => {
            let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
            encoder.write_all(&bytes)?;
            encoder.finish()?
        }
        Encoding::Zstd => zstd::encode_all(&bytes[..], 0)?,
        Encoding::SnappyFramed => {
            let mut encoder = snap::write::FrameEncoder::new(Vec::new());
            encoder.write_all(&bytes)?;
            encoder.into_inner()?
        }
        Encoding::SnappyRaw => snap::raw::Encoder::new().compress_vec(&bytes)?,
        Encoding::Lz4 => {
            let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::new());
            encoder.write_all(&bytes)?;
            encoder.finish()?
        }
    })
}
