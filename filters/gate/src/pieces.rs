//! A body that waits in the module.

use crate::NoRoom;

/// A body in pieces that are never moved. A buffer that grows would hold its bytes twice, and leave
/// holes behind that nothing fits into.
#[derive(Debug, Default)]
pub struct Pieces {
    pieces: Vec<Vec<u8>>,
    len: usize,
    capacity: usize,
}

impl Pieces {
    /// The largest piece, in bytes. All but the first few pieces of a body have this length, so each can reuse the
    /// memory of another.
    pub const MAX: usize = 64 << 10;
    /// The smallest piece, in bytes.
    const MIN: usize = 4 << 10;

    /// The bytes of the body.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing has arrived.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The bytes of memory that it takes after this many more bytes: at most twice the body, and at most 64 KiB more
    /// than the body.
    #[must_use]
    pub fn capacity_with(&self, more: usize) -> usize {
        let len = self.len.saturating_add(more);
        let mut capacity = self.capacity;
        while capacity < len {
            capacity = capacity.saturating_add(Self::next(capacity));
        }
        capacity
    }

    /// The next piece is as long as all before it together.
    fn next(capacity: usize) -> usize {
        capacity.clamp(Self::MIN, Self::MAX)
    }

    /// Appends more of the body.
    ///
    /// # Errors
    /// [`NoRoom`] if there is no memory.
    pub fn push(&mut self, mut bytes: &[u8]) -> Result<(), NoRoom> {
        while !bytes.is_empty() {
            let room = self.capacity.saturating_sub(self.len);
            if room == 0 {
                let next = Self::next(self.capacity);
                self.pieces.try_reserve(1).map_err(|_| NoRoom)?;
                self.pieces.push(reserved(next)?);
                self.capacity = self.capacity.saturating_add(next);
                continue;
            }
            let (now, later) = bytes.split_at_checked(room).unwrap_or((bytes, &[]));
            let Some(piece) = self.pieces.last_mut() else { return Err(NoRoom) };
            piece.extend_from_slice(now);
            self.len = self.len.saturating_add(now.len());
            bytes = later;
        }
        Ok(())
    }

    /// The whole body, with room for the rest of it.
    ///
    /// # Errors
    /// [`NoRoom`] if there is no memory.
    pub fn join(self, rest: usize) -> Result<Vec<u8>, NoRoom> {
        let mut body = reserved(self.len.saturating_add(rest))?;
        for piece in self.pieces {
            body.extend_from_slice(&piece);
        }
        Ok(body)
    }
}

fn reserved(bytes: usize) -> Result<Vec<u8>, NoRoom> {
    let mut buffer = Vec::new();
    buffer.try_reserve_exact(bytes).map_err(|_| NoRoom)?;
    Ok(buffer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_what_came_and_takes_what_was_said() {
        for piece in [1, 1000, 4096, 70_000, 1 << 20] {
            let body: Vec<u8> = (0..300_000_u32).map(|at| at.to_le_bytes()[1]).collect();
            let mut pieces = Pieces::default();
            for chunk in body.chunks(piece) {
                let capacity = pieces.capacity_with(chunk.len());
                pieces.push(chunk).unwrap();
                let taken: usize = pieces.pieces.iter().map(Vec::capacity).sum();
                assert_eq!(taken, capacity);
                assert!(
                    taken <= Pieces::MIN.max((2 * pieces.len()).min(pieces.len() + Pieces::MAX))
                );
            }
            let joined = pieces.join(17).unwrap();
            assert_eq!(joined, body);
            assert_eq!(joined.capacity(), body.len() + 17);
        }
    }
}
