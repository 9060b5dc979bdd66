//! Changes to a message: bytes cut out, attributes inserted, and the lengths of the parents
//! adjusted.

use std::collections::BinaryHeap;

use crate::{
    limits::{OverLimit, ReadLimits, Unreadable},
    memory::{NoMemory, Room},
    reader::Nested,
    write::{field_head, varint_bytes},
};

/// A list of changes to one buffer.
///
/// The limits of the changes are set before the first change. Each change is checked against them,
/// together with all earlier ones, before it takes memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edits {
    list: Vec<Edit>,
    /// The bytes to insert, one piece after the other.
    added: Vec<u8>,
    /// By how many bytes length fields become longer.
    lengthened: usize,
    /// How many edits must not be merged with the next one, so that the next can be taken back
    /// alone.
    sealed: usize,
    bounds: Bounds,
}

/// The limits of the changes to one buffer; zero unless set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Bounds {
    /// How many bytes may be inserted.
    added: usize,
    /// How many edits there may be.
    edits: usize,
    /// How long the message may become, in bytes, by insertions.
    bytes: usize,
    /// How much memory the edits may take.
    room: Room,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Edit {
    start: usize,
    end: usize,
    with: With,
}

/// What replaces an edit's `start..end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum With {
    /// Nothing: the bytes are cut.
    Nothing,
    /// A length, as a varint.
    Length(usize),
    /// A range of the added bytes: offset and length.
    Added(usize, usize),
}

/// The position of a parent's own edit, while its children are still being read.
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    list: usize,
    added: usize,
    lengthened: usize,
    sealed: usize,
}

impl Edits {
    /// An empty list of changes, for a message of this many bytes.
    ///
    /// # Errors
    /// If the message is over a limit already.
    pub const fn new(message: usize, limits: &ReadLimits) -> Result<Self, OverLimit> {
        let ReadLimits { bytes, room, .. } = *limits;
        let Some(added) = bytes.checked_sub(message) else {
            return Err(OverLimit::Bytes { limit: bytes });
        };
        let bounds = Bounds { added, edits: limits.most_changes(), bytes, room: Room::of(room) };
        Ok(Self { list: Vec::new(), added: Vec::new(), lengthened: 0, sealed: 0, bounds })
    }

    /// Whether there are no changes.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// How many bytes of memory the changes take.
    #[must_use]
    pub const fn memory(&self) -> usize {
        let list = self.list.capacity().saturating_mul(size_of::<Edit>());
        list.saturating_add(self.added.capacity())
    }

    /// Cuts out `start..end`.
    ///
    /// # Errors
    /// If this is one change too many, or there is no memory for it. This holds for every method that adds a change.
    pub fn cut(&mut self, start: usize, end: usize) -> Result<(), Unreadable> {
        match self.latest() {
            Some(last) if last.with == With::Nothing && last.end == start => {
                last.end = end;
                Ok(())
            }
            _ => self.push(Edit { start, end, with: With::Nothing }),
        }
    }

    /// Inserts bytes at `at`. Several insertions at the same place, one after the other, count as
    /// one change.
    ///
    /// # Errors
    /// If the message becomes too long, or as [`Self::cut`].
    #[inline(never)]
    pub fn insert(&mut self, at: usize, bytes: &[u8]) -> Result<(), Unreadable> {
        self.grows_by(bytes.len())?;
        let Bounds { added: most, room, .. } = &mut self.bounds;
        room.grow(&mut self.added, bytes.len(), *most)?;
        let from = self.added.len();
        self.added.extend_from_slice(bytes);
        if let Some(Edit { start, with: With::Added(first, count), .. }) = self.latest()
            && *start == at
            && first.saturating_add(*count) == from
        {
            *count = count.saturating_add(bytes.len());
            return Ok(());
        }
        self.push(Edit { start: at, end: at, with: With::Added(from, bytes.len()) })
    }

    /// Inserts a length-delimited field at `at`, with a field number under 16; or only its head, if
    /// the content follows piece by piece.
    ///
    /// # Errors
    /// As [`Self::insert`].
    pub fn insert_field(
        &mut self,
        at: usize,
        number: u32,
        content: &[u8],
    ) -> Result<(), Unreadable> {
        self.insert_head(at, number, content.len())?;
        self.insert(at, content)
    }

    /// Inserts the tag and length of a field with this many bytes of content.
    ///
    /// # Errors
    /// As [`Self::insert`].
    #[inline(never)]
    pub fn insert_head(&mut self, at: usize, number: u32, length: usize) -> Result<(), Unreadable> {
        let (head, count) = field_head(number, length);
        self.insert(at, head.get(..count).unwrap_or_default())
    }

    /// A point to which later changes can be taken back.
    pub const fn mark(&mut self) -> Mark {
        let (list, added) = (self.list.len(), self.added.len());
        let mark = Mark { list, added, lengthened: self.lengthened, sealed: self.sealed };
        self.sealed = list;
        mark
    }

    /// Takes back all changes since `mark`.
    pub fn take_back(&mut self, mark: Mark) {
        self.list.truncate(mark.list);
        self.added.truncate(mark.added);
        (self.lengthened, self.sealed) = (mark.lengthened, mark.sealed);
    }

    /// Reserves the place for a parent's length before its children are read.
    ///
    /// # Errors
    /// As [`Self::cut`].
    pub fn enter(&mut self, parent: &Nested<'_>) -> Result<Mark, Unreadable> {
        let mark = self.mark();
        let with = With::Length(parent.bytes.len());
        self.push(Edit { start: parent.length_at, end: parent.content_at, with })?;
        Ok(mark)
    }

    /// Cuts out the parent with everything in it; returns the number of bytes cut.
    ///
    /// # Errors
    /// As [`Self::cut`].
    pub fn leave_cut(&mut self, mark: Mark, parent: &Nested<'_>) -> Result<usize, Unreadable> {
        self.take_back(mark);
        self.cut(parent.start, parent.end())?;
        Ok(parent.end().saturating_sub(parent.start))
    }

    /// Records that the parent's content has grown (or shrunk) by `delta` bytes; returns by how
    /// many bytes the parent's field has grown, including its length.
    ///
    /// # Errors
    /// As [`Self::insert`].
    #[inline(never)]
    pub fn leave_changed(
        &mut self,
        mark: Mark,
        parent: &Nested<'_>,
        delta: isize,
    ) -> Result<isize, Unreadable> {
        let length = parent.bytes.len().saturating_add_signed(delta);
        let before = parent.content_at.saturating_sub(parent.length_at);
        let after = varint_bytes(length).1;
        if let Some(longer) = after.checked_sub(before) {
            self.grows_by(longer)?;
            self.lengthened = self.lengthened.saturating_add(longer);
        }
        if let Some(edit) = self.list.get_mut(mark.list) {
            edit.with = With::Length(length);
        }
        Ok(delta.saturating_add(after.cast_signed().saturating_sub(before.cast_signed())))
    }

    /// Sorts the edits into the order of the buffer. They can be out of order only if a resource or
    /// a scope comes after the items that belong to it.
    pub fn finish(&mut self) {
        if self.list.is_sorted_by_key(|edit| edit.start) {
            return;
        }
        // A heap sorts in place, and the standard sort would add several kilobytes to the module.
        // Of several insertions at one place, the first comes first, because its bytes come first
        // in `added`.
        self.list = BinaryHeap::from(std::mem::take(&mut self.list)).into_sorted_vec();
    }

    /// Applies the edits to the buffer they were made for. Like [`Self::apply_within`], but without
    /// a memory limit.
    ///
    /// # Errors
    /// As [`Self::apply_within`].
    pub fn apply(&self, buffer: &mut Vec<u8>, front: usize) -> Result<(), NoMemory> {
        self.apply_within(buffer, front, Room::ANY)
    }

    /// Applies the edits to the buffer they were made for, and cuts `front` bytes off its start
    /// (the header of a gRPC frame, in which no edit lies).
    ///
    /// If nothing is inserted, the buffer is compacted in place: a body can be tens of megabytes,
    /// and a wasm module never gives memory back.
    ///
    /// # Errors
    /// If a longer buffer is needed and there is no room or no memory for it beside the old one.
    /// The old buffer is unchanged then.
    pub fn apply_within(
        &self,
        buffer: &mut Vec<u8>,
        front: usize,
        room: Room,
    ) -> Result<(), NoMemory> {
        if self.added.is_empty() && self.lengthened == 0 {
            self.compact(buffer, front);
            return Ok(());
        }
        *buffer = self.rebuilt(buffer, front, room)?;
        Ok(())
    }

    /// How much the message may still grow.
    ///
    /// # Errors
    /// If it may not grow by this many bytes.
    fn grows_by(&self, bytes: usize) -> Result<(), OverLimit> {
        let grown = self.added.len().saturating_add(self.lengthened);
        if bytes > self.bounds.added.saturating_sub(grown) {
            return Err(OverLimit::Bytes { limit: self.bounds.bytes });
        }
        Ok(())
    }

    /// The latest edit, if the next one may be merged with it.
    #[inline]
    fn latest(&mut self) -> Option<&mut Edit> {
        self.list.get_mut(self.sealed..)?.last_mut()
    }

    #[inline]
    fn push(&mut self, edit: Edit) -> Result<(), Unreadable> {
        let Bounds { edits: limit, room, .. } = &mut self.bounds;
        if self.list.len() >= *limit {
            return Err(OverLimit::Changes { limit: *limit }.into());
        }
        room.grow(&mut self.list, 1, *limit)?;
        self.list.push(edit);
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

    fn rebuilt(&self, buffer: &[u8], front: usize, mut room: Room) -> Result<Vec<u8>, NoMemory> {
        let mut size = 0_usize;
        self.pieces(buffer, front, |piece| size = size.saturating_add(piece.len()));
        let most = size.saturating_add(SPARE);
        let mut rebuilt = Vec::new();
        room.grow(&mut rebuilt, most, most)?;
        self.pieces(buffer, front, |piece| rebuilt.extend_from_slice(piece));
        Ok(rebuilt)
    }

    /// Calls `show` with the pieces of the resulting buffer, in order.
    fn pieces(&self, buffer: &[u8], front: usize, mut show: impl FnMut(&[u8])) {
        let mut read = front;
        for edit in &self.list {
            show(buffer.get(read..edit.start).unwrap_or_default());
            match edit.with {
                With::Nothing => {}
                With::Length(length) => {
                    let (bytes, count) = varint_bytes(length);
                    show(bytes.get(..count).unwrap_or_default());
                }
                With::Added(from, count) => {
                    let end = from.saturating_add(count);
                    show(self.added.get(from..end).unwrap_or_default());
                }
            }
            read = edit.end.max(read);
        }
        show(buffer.get(read..).unwrap_or_default());
    }
}

/// Spare bytes in the buffer of a message that grows. It may still become a gRPC message, and the
/// frame's header takes this many bytes.
pub const SPARE: usize = 5;

/// Moves `from..to` down to `target`, which is not after `from`; returns the end of the moved
/// bytes.
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

    const LIMITS: ReadLimits =
        ReadLimits { attributes: 0, bytes: 1000, depth: 1, records: 10, room: 1 << 20 };

    fn edits() -> Edits {
        Edits::new(0, &LIMITS).unwrap()
    }

    #[test]
    fn neighbouring_cuts_become_one() {
        let mut edits = edits();
        edits.cut(2, 4).unwrap();
        edits.cut(4, 6).unwrap();
        edits.cut(8, 9).unwrap();
        assert_eq!(edits.list.len(), 2);
        let mut buffer = b"0123456789".to_vec();
        edits.apply(&mut buffer, 1).unwrap();
        assert_eq!(buffer, b"1679");
    }

    #[test]
    fn what_is_put_in_stands_where_it_was_put() {
        let mut edits = edits();
        edits.insert(6, b"yz").unwrap();
        edits.cut(7, 9).unwrap();
        edits.insert(2, b"x").unwrap();
        edits.finish();
        let mut buffer = b"0123456789".to_vec();
        edits.apply(&mut buffer, 1).unwrap();
        assert_eq!(buffer, b"1x2345yz69");
    }

    #[test]
    fn a_length_that_was_written_long_becomes_minimal() {
        // Field 1 holds "abcd"; its length takes two bytes although one would be enough.
        let message = [0x0a, 0x84, 0x00, b'a', b'b', b'c', b'd', 0x10, 0x01];
        let parent = Nested { bytes: b"abcd", start: 0, length_at: 1, content_at: 3 };
        let mut edits = edits();
        let mark = edits.enter(&parent).unwrap();
        edits.cut(4, 6).unwrap();
        assert_eq!(edits.leave_changed(mark, &parent, -2), Ok(-3));
        let mut buffer = message.to_vec();
        edits.apply(&mut buffer, 0).unwrap();
        assert_eq!(buffer, [0x0a, 0x02, b'a', b'd', 0x10, 0x01]);
    }

    #[test]
    fn a_length_grows_with_what_is_put_in() {
        let message = [&[0x0a, 100][..], &[b'a'; 100]].concat();
        let parent = Nested { bytes: &message[2..], start: 0, length_at: 1, content_at: 2 };
        let mut edits = edits();
        let mark = edits.enter(&parent).unwrap();
        edits.insert(102, &[b'b'; 100]).unwrap();
        assert_eq!(edits.leave_changed(mark, &parent, 100), Ok(101));
        let mut buffer = message.clone();
        edits.apply(&mut buffer, 0).unwrap();
        assert_eq!(buffer, [&[0x0a, 200, 1][..], &[b'a'; 100], &[b'b'; 100]].concat());
    }

    #[test]
    fn edits_of_another_buffer_do_not_panic() {
        let mut edits = edits();
        edits.cut(50, 60).unwrap();
        let mut buffer = b"short".to_vec();
        edits.apply(&mut buffer, 99).unwrap();
        assert!(buffer.is_empty());
        edits.insert(70, b"x").unwrap();
        edits.apply(&mut b"short".to_vec(), 99).unwrap();
    }

    #[test]
    fn what_is_put_in_at_one_place_is_one_change() {
        let mut edits = edits();
        for piece in [&b"a"[..], b"b", b""] {
            edits.insert(1, piece).unwrap();
        }
        edits.insert(2, b"c").unwrap();
        assert_eq!(edits.list.len(), 2);
        let mut buffer = b"123".to_vec();
        edits.apply(&mut buffer, 0).unwrap();
        assert_eq!(buffer, b"1ab2c3");
    }

    #[test]
    fn what_comes_out_of_order_keeps_the_order_of_one_place() {
        let mut edits = edits();
        edits.insert(3, b"x").unwrap();
        edits.cut(5, 6).unwrap();
        edits.insert(3, b"y").unwrap();
        edits.cut(3, 4).unwrap();
        edits.insert(0, b"z").unwrap();
        edits.finish();
        let mut buffer = b"0123456".to_vec();
        edits.apply(&mut buffer, 0).unwrap();
        assert_eq!(buffer, b"z012xy46");
    }

    #[test]
    fn nothing_grows_over_a_limit_or_takes_more_than_its_room() {
        let limits = ReadLimits { bytes: 110, ..LIMITS };
        let too_long = Err(Unreadable::from(OverLimit::Bytes { limit: 110 }));
        assert_eq!(Edits::new(111, &limits), Err(OverLimit::Bytes { limit: 110 }));
        let mut edits = Edits::new(100, &limits).unwrap();
        edits.insert(0, b"12345678").unwrap();
        assert_eq!(edits.insert(0, b"901"), too_long);
        // A length field that becomes longer counts too.
        let parent = Nested { bytes: &[0; 98], start: 0, length_at: 1, content_at: 2 };
        let mark = edits.enter(&parent).unwrap();
        assert_eq!(edits.leave_changed(mark, &parent, 8), Ok(8));
        assert_eq!(edits.leave_changed(mark, &parent, 30), Ok(31));
        assert_eq!(edits.insert(0, b"90"), too_long);
        edits.insert(0, b"9").unwrap();
        assert_eq!(edits.leave_changed(mark, &parent, 30), too_long.map(|()| 0));
        edits.take_back(mark);
        edits.insert(0, b"9").unwrap();
        let room = edits.memory();
        assert!(room >= 10 + size_of::<Edit>());

        let mut edits = Edits::new(0, &ReadLimits { room: 100, ..LIMITS }).unwrap();
        let no_memory = Err(Unreadable::from(NoMemory(101)));
        assert_eq!(edits.insert(0, &[0; 101]), no_memory);
        let mut buffer = vec![0; 50];
        let mut edits = tests::edits();
        edits.insert(0, b"x").unwrap();
        assert!(edits.apply_within(&mut buffer, 0, Room::of(50)).is_err());
        assert_eq!(buffer, [0; 50]);
        edits.apply_within(&mut buffer, 0, Room::of(60)).unwrap();
        assert_eq!(buffer.len(), 51);
    }

    #[test]
    fn there_are_no_more_changes_than_may_be() {
        let mut edits = edits();
        let limit = LIMITS.most_changes();
        let made = (0..100).take_while(|at| edits.cut(2 * at, 2 * at + 1).is_ok()).count();
        assert_eq!(made, limit);
        assert_eq!(edits.cut(900, 901), Err(OverLimit::Changes { limit }.into()));
        // An edit that is merged with another does not count.
        edits.cut(2 * limit - 1, 900).unwrap();
    }
}
