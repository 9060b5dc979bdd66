//! What has to change in a message so that records leave it: cuts, and the lengths of the parents
//! around them. Edits only ever shrink a message, so they are applied in place.

use crate::wire::{Nested, varint_bytes};

/// A list of changes to one buffer, in the order in which they lie in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edits(Vec<Edit>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Edit {
    start: usize,
    end: usize,
    /// The length varint that takes the place of `start..end`; `None` cuts it.
    length: Option<usize>,
}

/// Where a parent's own edit stands, while its children are still being read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark(usize);

impl Edits {
    /// Whether the buffer stays as it is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes `start..end` out. It must lie behind every edit made so far.
    pub(crate) fn cut(&mut self, start: usize, end: usize) {
        match self.0.last_mut() {
            Some(last) if last.length.is_none() && last.end == start => last.end = end,
            _ => self.0.push(Edit { start, end, length: None }),
        }
    }

    /// Reserves the place for a parent's length before its children are read.
    pub(crate) fn enter(&mut self, parent: &Nested<'_>) -> Mark {
        let mark = Mark(self.0.len());
        let length = Some(parent.bytes.len());
        self.0.push(Edit { start: parent.length_at, end: parent.content_at, length });
        mark
    }

    /// The parent stays as it came: its place is given back.
    pub(crate) fn leave_untouched(&mut self, mark: Mark) {
        self.0.truncate(mark.0);
    }

    /// The parent goes with everything in it; returns the bytes that go.
    pub(crate) fn leave_cut(&mut self, mark: Mark, parent: &Nested<'_>) -> usize {
        self.0.truncate(mark.0);
        self.cut(parent.start, parent.end());
        parent.end().saturating_sub(parent.start)
    }

    /// The parent has shrunk by `removed` bytes of content; returns the bytes by which its field
    /// has shrunk, with its length.
    pub(crate) fn leave_shrunk(
        &mut self,
        mark: Mark,
        parent: &Nested<'_>,
        removed: usize,
    ) -> usize {
        let length = parent.bytes.len().saturating_sub(removed);
        if let Some(edit) = self.0.get_mut(mark.0) {
            edit.length = Some(length);
        }
        let before = parent.content_at.saturating_sub(parent.length_at);
        let after = varint_bytes(length).1;
        removed.saturating_add(before.saturating_sub(after))
    }

    /// Applies the edits to the buffer they were made for, and cuts `front` bytes off its start
    /// (a gRPC frame's header; no edit lies in it).
    ///
    /// The buffer is compacted in place: a body may be tens of megabytes, and memory that a wasm
    /// module has taken it never gives back.
    pub fn apply(&self, buffer: &mut Vec<u8>, front: usize) {
        let size = buffer.len();
        let mut written = 0;
        let mut read = front.min(size);
        for edit in &self.0 {
            let (start, end) = (edit.start.clamp(read, size), edit.end.clamp(read, size));
            written = move_down(buffer, read, start, written);
            if let Some(length) = edit.length {
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
}

/// Moves `from..to` down to `target`, which is not behind `from`; returns the end of what was moved.
fn move_down(buffer: &mut [u8], from: usize, to: usize, target: usize) -> usize {
    let length = to.saturating_sub(from);
    if target != from && length > 0 {
        // Cannot panic: `apply` clamps `from..to` to the buffer, and `target <= from` because a
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
        assert_eq!(edits.0.len(), 2);
        let mut buffer = b"0123456789".to_vec();
        edits.apply(&mut buffer, 1);
        assert_eq!(buffer, b"1679");
    }

    #[test]
    fn a_length_that_was_written_long_becomes_minimal() {
        // Field 1 holds "abcd", its length in two bytes where one would do.
        let message = [0x0a, 0x84, 0x00, b'a', b'b', b'c', b'd', 0x10, 0x01];
        let parent = Nested { bytes: b"abcd", start: 0, length_at: 1, content_at: 3 };
        let mut edits = Edits::default();
        let mark = edits.enter(&parent);
        edits.cut(4, 6);
        assert_eq!(edits.leave_shrunk(mark, &parent, 2), 3);
        let mut buffer = message.to_vec();
        edits.apply(&mut buffer, 0);
        assert_eq!(buffer, [0x0a, 0x02, b'a', b'd', 0x10, 0x01]);
    }

    #[test]
    fn edits_of_another_buffer_do_not_panic() {
        let mut edits = Edits::default();
        edits.cut(50, 60);
        let mut buffer = b"short".to_vec();
        edits.apply(&mut buffer, 99);
        assert!(buffer.is_empty());
    }
}
