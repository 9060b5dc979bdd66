//! What the gzip, zstd and LZ4 formats have in common: parts of a known length, one after the other.

use crate::{DecodeError, Encoding, output::CUT_OFF};

/// Bytes that are read from the front.
pub(super) struct Input<'b> {
    pub(super) rest: &'b [u8],
    encoding: Encoding,
}

impl<'b> Input<'b> {
    pub(super) const fn new(rest: &'b [u8], encoding: Encoding) -> Self {
        Self { rest, encoding }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(super) const fn invalid(&self, reason: &'static str) -> DecodeError {
        DecodeError::Invalid { encoding: self.encoding, reason }
    }

    /// The next `N` bytes.
    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (array, rest) = self.rest.split_first_chunk().ok_or_else(|| self.invalid(CUT_OFF))?;
        self.rest = rest;
        Ok(*array)
    }

    /// The next `len` bytes.
    pub(super) fn bytes(&mut self, len: u32) -> Result<&'b [u8], DecodeError> {
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        let (bytes, rest) = self.rest.split_at_checked(len).ok_or_else(|| self.invalid(CUT_OFF))?;
        self.rest = rest;
        Ok(bytes)
    }

    /// The next four bytes as a number, little-endian as in all of these formats.
    pub(super) fn u32(&mut self) -> Result<u32, DecodeError> {
        self.array().map(u32::from_le_bytes)
    }

    /// Passes a text that ends with a zero byte, as in gzip's header.
    pub(super) fn skip_to_nul(&mut self) -> Result<(), DecodeError> {
        let mut bytes = self.rest.iter();
        let _nul = bytes.find(|byte| **byte == 0).ok_or_else(|| self.invalid(CUT_OFF))?;
        self.rest = bytes.as_slice();
        Ok(())
    }

    /// Passes a skippable frame if one is next (RFC 8878, section 3.1.2; LZ4 has the same), and
    /// returns whether there was one.
    pub(super) fn skip_frame(&mut self) -> Result<bool, DecodeError> {
        const MAGIC: u32 = 0x184d_2a50;
        let magic = self.rest.first_chunk().map_or(0, |magic| u32::from_le_bytes(*magic));
        if magic & !0xf != MAGIC {
            return Ok(false);
        }
        let (_magic, len) = (self.u32()?, self.u32()?);
        self.bytes(len)?;
        Ok(true)
    }
}
