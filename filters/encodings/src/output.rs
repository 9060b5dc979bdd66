//! What comes out of a decoder, held to its cap.

use std::io::{ErrorKind, Read};

use sluice_wire::{NoMemory, Room};

use crate::{DecodeError, Encoding};

/// Decoded bytes that never become more than `limit`, in a buffer that never takes more than one
/// byte over it.
pub(super) struct Output<'r> {
    bytes: Vec<u8>,
    limit: usize,
    room: &'r mut Room,
}

impl<'r> Output<'r> {
    pub(super) const fn new(limit: usize, room: &'r mut Room) -> Self {
        Self { bytes: Vec::new(), limit, room }
    }

    /// Counts what a decoder takes beside this, and looks whether it is there: a decoder that finds
    /// none takes the worker with it.
    ///
    /// # Errors
    /// If there is no room for it, or no memory.
    pub(super) fn decoder_takes(&mut self, bytes: usize) -> Result<(), NoMemory> {
        self.room.probe(bytes)?;
        self.room.take(bytes)
    }

    /// Makes a scratch buffer as long, beside this.
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

    /// Gives back what a decoder has taken beside this.
    pub(super) const fn give_back_beside(&mut self, bytes: usize) {
        self.room.give_back(bytes);
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// How many bytes may still come.
    pub(super) fn room(&self) -> usize {
        self.limit.saturating_sub(self.bytes.len())
    }

    pub(super) const fn too_large(&self) -> DecodeError {
        DecodeError::TooLarge { limit: self.limit }
    }

    /// The bytes from `start` on.
    pub(super) fn since(&self, start: usize) -> &[u8] {
        self.bytes.get(start..).unwrap_or_default()
    }

    /// The buffer, with capacity for `more` bytes, which must be within [`room`](Self::room) or one
    /// byte over it.
    pub(super) fn with_capacity(&mut self, more: usize) -> Result<&mut Vec<u8>, DecodeError> {
        self.room.grow(&mut self.bytes, more, self.limit.saturating_add(1))?;
        Ok(&mut self.bytes)
    }

    /// Adds bytes that are there already.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<(), DecodeError> {
        if bytes.len() > self.room() {
            return Err(self.too_large());
        }
        self.with_capacity(bytes.len())?.extend_from_slice(bytes);
        Ok(())
    }

    /// Adds everything that a decoder of `encoding` gives. `guess` is how many bytes that most
    /// likely is.
    pub(super) fn read_all(
        &mut self,
        mut decoder: impl Read,
        encoding: Encoding,
        guess: usize,
    ) -> Result<(), DecodeError> {
        // One byte over the limit tells "exactly the limit" from "more".
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
            if self.bytes.len() > self.limit {
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

pub(super) const CORRUPT: &str = "it is corrupt";
pub(super) const CUT_OFF: &str = "it is cut off";
pub(super) const TRAILING: &str = "bytes follow its end";

pub(super) fn copy(body: &[u8], limit: usize, room: &mut Room) -> Result<Vec<u8>, DecodeError> {
    let mut output = Output::new(limit, room);
    output.push(body)?;
    Ok(output.into_bytes())
}
