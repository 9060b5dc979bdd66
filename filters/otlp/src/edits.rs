//! What has to change in a message: pieces cut out, attributes put in, and the lengths of the
//! parents around them.

use std::collections::{BinaryHeap, TryReserveError};

use crate::wire::{Nested, varint_bytes};

/// A list of changes to one buffer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edits {
    list: Vec<Edit>,
    /// The bytes that are put in, one after the other.
    added: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Edit {
    start: usize,
    end: usize,
    with: With,
}

/// What takes the place of an edit's `start..end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum With {
    /// Nothing: it is cut.
    Nothing,
    /// A length, as a varint.
    Length(usize),
    /// This many of the added bytes, from this offset on.
    Added(usize, usize),
}

/// Where a parent's own edit stands, while its children are still being read.
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    list: usize,
    added: usize,
}

impl Edits {
    /// Whether the buffer stays as it is.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// How many bytes are put in, lengths aside.
    #[must_use]
    pub const fn added(&self) -> usize {
        self.added.len()
    }

    /// Takes `start..end` out.
    pub fn cut(&mut self, start: usize, end: usize) {
        match self.list.last_mut() {
            Some(last) if last.with == With::Nothing && last.end == start => last.end = end,
            _ => self.list.push(Edit { start, end, with: With::Nothing }),
        }
    }

    /// Puts bytes in at `at`.
    pub fn insert(&mut self, at: usize, bytes: &[u8]) {
        let with = With::Added(self.added.len(), bytes.len());
        self.added.extend_from_slice(bytes);
        self.list.push(Edit { start: at, end: at, with });
    }

    /// A point to which everything that is added from here on can be taken back.
    #[must_use]
    pub const fn mark(&self) -> Mark {
        Mark { list: self.list.len(), added: self.added.len() }
    }

    /// Takes back what was added since `mark`.
    pub fn take_back(&mut self, mark: Mark) {
        self.list.truncate(mark.list);
        self.added.truncate(mark.added);
    }

    /// Reserves the place for a parent's length before its children are read.
    pub fn enter(&mut self, parent: &Nested<'_>) -> Mark {
        let mark = self.mark();
        let with = With::Length(parent.bytes.len());
        self.list.push(Edit { start: parent.length_at, end: parent.content_at, with });
        mark
    }

    /// The parent goes with everything in it; returns the bytes that go.
    pub fn leave_cut(&mut self, mark: Mark, parent: &Nested<'_>) -> usize {
        self.take_back(mark);
        self.cut(parent.start, parent.end());
        parent.end().saturating_sub(parent.start)
    }

    /// The parent's content has grown by `delta` bytes, or shrunk; returns the bytes by which its
    /// field has grown, with its length.
    pub fn leave_changed(&mut self, mark: Mark, parent: &Nested<'_>, delta: isize) -> isize {
        let length = parent.bytes.len().saturating_add_signed(delta);
        if let Some(edit) = self.list.get_mut(mark.list) {
            edit.with = With::Length(length);
        }
        let before = parent.content_at.saturating_sub(parent.length_at).cast_signed();
        let after = varint_bytes(length).1.cast_signed();
        delta.saturating_add(after.saturating_sub(before))
    }

    /// Puts the edits in the order in which they lie in the buffer. Only a resource or a scope that
    /// stands behind what belongs to it has made another.
    pub fn finish(&mut self) {
        if self.list.is_sorted_by_key(|edit| edit.start) {
            return;
        }
        // A heap, as a sort is several kilobytes of the module. Edits at one place keep their order.
        let edits = self.list.drain(..).enumerate();
        let heap: BinaryHeap<_> = edits.map(|(index, edit)| (edit.start, index, edit)).collect();
        self.list.extend(heap.into_sorted_vec().into_iter().map(|(_, _, edit)| edit));
    }

    /// Applies the edits to the buffer they were made for, and cuts `front` bytes off its start
    /// (a gRPC frame's header; no edit lies in it).
    ///
    /// Where nothing is put in, the buffer is compacted in place: a body may be tens of megabytes,
    /// and memory that a wasm module has taken it never gives back.
    ///
    /// # Errors
    /// If there is no memory for a buffer that grows; it is as it was then.
    pub fn apply(&self, buffer: &mut Vec<u8>, front: usize) -> Result<(), TryReserveError> {
        if self.added.is_empty() {
            self.compact(buffer, front);
            return Ok(());
        }
        *buffer = self.rebuilt(buffer, front)?;
        Ok(())
    }

    fn compact(&self, buffer: &mut Vec<u8>, front: usize) {
        let size = buffer.len();
        let mut written = 0;
        let mut read = front.min(size);
        for edit in &self.list {
            let (start, end) = (edit.start.clamp(read, size), edit.end.clamp(read, size));
            written = move_down(buffer, read, start, written);
            if let With::Length(length) = edit.with {
                let (bytes, count) = varint_bytes(length);
                for (slot, byte) in buffer.iter_mut().skip(written).zip(bytes.iter().take(count)) {
                    *slot = *byte;
                }
                written = written.saturating_add(count);
            }
            read = end.max(start);
        }
        written = move_down(buffer, read, size, written);
        buffer.truncate(written);
    }

    fn rebuilt(&self, buffer: &[u8], front: usize) -> Result<Vec<u8>, TryReserveError> {
        /// The most by which a length can become longer, for each edit.
        const LONGER: usize = 9;
        let lengths = self.list.len().saturating_mul(LONGER);
        let most = buffer.len().saturating_add(self.added.len()).saturating_add(lengths);
        let mut rebuilt = Vec::new();
        rebuilt.try_reserve_exact(most)?;
        let mut read = front;
        for edit in &self.list {
            rebuilt.extend_from_slice(buffer.get(read..edit.start).unwrap_or_default());
            match edit.with {
                With::Nothing => {}
                With::Length(length) => {
                    let (bytes, count) = varint_bytes(length);
                    rebuilt.extend(bytes.iter().take(count));
                }
                With::Added(from, count) => {
                    rebuilt.extend(self.added.iter().skip(from).take(count))
                }
            }
            read = edit.end.max(read);
        }
        rebuilt.extend_from_slice(buffer.get(read..).unwrap_or_default());
        Ok(rebuilt)
    }
}

/// Moves `from..to` down to `target`, which is not behind `from`; returns the end of what was moved.
fn move_down(buffer: &mut [u8], from: usize, to: usize, target: usize) -> usize {
    let length = to.saturating_sub(from);
    if target != from && length > 0 {
        // Cannot panic: `compact` clamps `from..to` to the buffer, and `target <= from` because a
        // minimal varint is never longer than the one it replaces.
        buffer.copy_within(from..to, target);
    }
    target.saturating_add(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbouring_cuts_become_one() {
        let mut edits = Edits::default();
        edits.cut(2, 4);
        edits.cut(4, 6);
        edits.cut(8, 9);
        assert_eq!(edits.list.len(), 2);
        let mut buffer = b"0123456789".to_vec();
        edits.apply(&mut buffer, 1).unwrap();
        assert_eq!(buffer, b"1679");
    }

    #[test]
    fn what_is_put_in_stands_where_it_was_put() {
        let mut edits = Edits::default();
        edits.insert(6, b"yz");
        edits.cut(7, 9);
        edits.insert(2, b"x");
        edits.finish();
        let mut buffer = b"0123456789".to_vec();
        edits.apply(&mut buffer, 1).unwrap();
        assert_eq!(buffer, b"1x2345yz69");
    }

    #[test]
    fn a_length_that_was_written_long_becomes_minimal() {
        // Field 1 holds "abcd", its length in two bytes where one would do.
        let message = [0x0a, 0x84, 0x00, b'a', b'b', b'c', b'd', 0x10, 0x01];
        let parent = Nested { bytes: b"abcd", start: 0, length_at: 1, content_at: 3 };
        let mut edits = Edits::default();
        let mark = edits.enter(&parent);
        edits.cut(4, 6);
        assert_eq!(edits.leave_changed(mark, &parent, -2), -3);
        let mut buffer = message.to_vec();
        edits.apply(&mut buffer, 0).unwrap();
        assert_eq!(buffer, [0x0a, 0x02, b'a', b'd', 0x10, 0x01]);
    }

    #[test]
    fn a_length_grows_with_what_is_put_in() {
        let message = [&[0x0a, 100][..], &[b'a'; 100]].concat();
        let parent = Nested { bytes: &message[2..], start: 0, length_at: 1, content_at: 2 };
        let mut edits = Edits::default();
        let mark = edits.enter(&parent);
        edits.insert(102, &[b'b'; 100]);
        assert_eq!(edits.leave_changed(mark, &parent, 100), 101);
        let mut buffer = message.clone();
        edits.apply(&mut buffer, 0).unwrap();
        assert_eq!(buffer, [&[0x0a, 200, 1][..], &[b'a'; 100], &[b'b'; 100]].concat());
    }

    #[test]
    fn edits_of_another_buffer_do_not_panic() {
        let mut edits = Edits::default();
        edits.cut(50, 60);
        let mut buffer = b"short".to_vec();
        edits.apply(&mut buffer, 99).unwrap();
        assert!(buffer.is_empty());
        edits.insert(70, b"x");
        edits.apply(&mut b"short".to_vec(), 99).unwrap();
    }
}
