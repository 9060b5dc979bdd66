//! The output of a decoder, with its limit.

use std::io::{ErrorKind, Read};

use sluice_wire::{NoMemory, Room};

use crate::{DecodeError, Encoding};

/// Decoded bytes: at most `limit`, in a buffer that is at most one byte larger.
pub(super) struct Output<'r> {
    bytes: Vec<u8>,
    limit: usize,
    room: &'r mut Room,
}

impl<'r> Output<'r> {
    pub(super) const fn new(limit: usize, room: &'r mut Room) -> Self {
        Self { bytes: Vec::new(), limit, room }
    }

    /// Counts the memory that a decoder takes beside the output, and checks that it can be
    /// allocated, because a decoder that cannot allocate aborts the worker.
    ///
    /// # Errors
    /// If there is no room or no memory for it.
    pub(super) fn decoder_takes(&mut self, bytes: usize) -> Result<(), NoMemory> {
        self.room.probe(bytes)?;
        self.room.take(bytes)
    }

    /// Grows a scratch buffer to this length, beside the output.
    ///
    /// # Errors
    /// As [`Room::grow`].
    pub(super) fn grow_beside(
        &mut self,
        scratch: &mut Vec<u8>,
        length: usize,
    ) -> Result<(), NoMemory> {
        if let Some(more) = length.checked_sub(scratch.len()) {
            self.room.grow(scratch, more, length)?;
            scratch.resize(length, 0);
        }
        Ok(())
    }

    /// Gives back the memory that a decoder took beside the output.
    pub(super) const fn give_back_beside(&mut self, bytes: usize) {
        self.room.give_back(bytes);
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// How many more bytes may be written.
    pub(super) fn room(&self) -> usize {
        self.limit.saturating_sub(self.bytes.len())
    }

    /// Whether the one byte over the limit has been written.
    pub(super) fn is_over(&self) -> bool {
        self.bytes.len() > self.limit
    }

    pub(super) const fn too_large(&self) -> DecodeError {
        DecodeError::TooLarge { limit: self.limit }
    }

    /// The bytes from `start` on.
    pub(super) fn since(&self, start: usize) -> &[u8] {
        self.bytes.get(start..).unwrap_or_default()
    }

    /// The buffer, with capacity for `more` bytes. `more` may be at most one byte over
    /// [`room`](Self::room).
    pub(super) fn with_capacity(&mut self, more: usize) -> Result<&mut Vec<u8>, DecodeError> {
        self.room.grow(&mut self.bytes, more, self.limit.saturating_add(1))?;
        Ok(&mut self.bytes)
    }

    /// Appends decoded bytes.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<(), DecodeError> {
        if bytes.len() > self.room() {
            return Err(self.too_large());
        }
        self.with_capacity(bytes.len())?.extend_from_slice(bytes);
        Ok(())
    }

    /// Appends everything that a decoder of `encoding` produces. `guess` is the expected number of
    /// bytes.
    pub(super) fn read_all(
        &mut self,
        mut decoder: impl Read,
        encoding: Encoding,
        guess: usize,
    ) -> Result<(), DecodeError> {
        // One byte over the limit distinguishes "exactly the limit" from "more".
        let mut step = guess.saturating_add(1);
        loop {
            step = step.clamp(1, self.room().saturating_add(1));
            let wanted = u64::try_from(step).unwrap_or(u64::MAX);
            let read = decoder
                .by_ref()
                .take(wanted)
                .read_to_end(self.with_capacity(step)?)
                .map_err(|error| match error.kind() {
                    ErrorKind::UnexpectedEof => DecodeError::Invalid { encoding, reason: CUT_OFF },
                    _ => DecodeError::Invalid { encoding, reason: CORRUPT },
                })?;
            if self.is_over() {
                return Err(self.too_large());
            }
            if read < step {
                return Ok(());
            }
            step = self.bytes.len();
        }
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

pub(super) const CORRUPT: &str = "corrupt data";
pub(super) const CUT_OFF: &str = "truncated data";
pub(super) const TRAILING: &str = "unexpected bytes after the end";

pub(super) fn copy(body: &[u8], limit: usize, room: &mut Room) -> Result<Vec<u8>, DecodeError> {
    let mut output = Output::new(limit, room);
    output.push(body)?;
    Ok(output.into_bytes())
}
