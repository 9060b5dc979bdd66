//! What has to change in a message: pieces cut out, attributes put in, and the lengths of the
//! parents around them.

use std::collections::BinaryHeap;

use crate::{
    limits::{OverLimit, ReadLimits, Unreadable},
    memory::{NoMemory, Room},
    reader::Nested,
    write::{field_head, varint_bytes},
};

/// A list of changes to one buffer.
///
/// What they may come to is said before the first is made, and held against every one before it
/// takes any memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edits {
    list: Vec<Edit>,
    /// The bytes that are put in, one after the other.
    added: Vec<u8>,
    /// How many bytes lengths become longer by.
    lengthened: usize,
    /// How many of the edits stay if what comes next is taken back: nothing becomes a part of these.
    sealed: usize,
    bounds: Bounds,
}

/// What the changes to one buffer may come to; nothing, if nobody says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Bounds {
    /// How many bytes may be put in.
    added: usize,
    /// How many edits there may be.
    edits: usize,
    /// What the message may become with what is put in, in bytes.
    bytes: usize,
    /// What they may take of memory.
    room: Room,
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
    lengthened: usize,
    sealed: usize,
}

impl Edits {
    /// No changes yet, to a message of so many bytes.
    ///
    /// # Errors
    /// If the message is over a limit as it is.
    pub const fn new(message: usize, limits: &ReadLimits) -> Result<Self, OverLimit> {
        let ReadLimits { bytes, room, .. } = *limits;
        let Some(added) = bytes.checked_sub(message) else {
            return Err(OverLimit::Bytes { limit: bytes });
        };
        let bounds = Bounds { added, edits: limits.most_changes(), bytes, room: Room::of(room) };
        Ok(Self { list: Vec::new(), added: Vec::new(), lengthened: 0, sealed: 0, bounds })
    }

    /// Whether the buffer stays as it is.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// How many bytes of memory they take.
    #[must_use]
    pub const fn memory(&self) -> usize {
        let list = self.list.capacity().saturating_mul(size_of::<Edit>());
        list.saturating_add(self.added.capacity())
    }

    /// Takes `start..end` out.
    ///
    /// # Errors
    /// If that is one change too many, or there is no memory for it; so does everything that makes one.
    pub fn cut(&mut self, start: usize, end: usize) -> Result<(), Unreadable> {
        match self.latest() {
            Some(last) if last.with == With::Nothing && last.end == start => {
                last.end = end;
                Ok(())
            }
            _ => self.push(Edit { start, end, with: With::Nothing }),
        }
    }

    /// Puts bytes in at `at`. What is put in at one place after the other is one change.
    ///
    /// # Errors
    /// If the message becomes too long by it, or as [`Self::cut`].
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

    /// Puts in a length-delimited field at `at`, of a number under 16, or its head alone where its
    /// content follows piece by piece.
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

    /// Puts in tag and length of a field of so many bytes.
    ///
    /// # Errors
    /// As [`Self::insert`].
    #[inline(never)]
    pub fn insert_head(&mut self, at: usize, number: u32, length: usize) -> Result<(), Unreadable> {
        let (head, count) = field_head(number, length);
        self.insert(at, head.get(..count).unwrap_or_default())
    }

    /// A point to which everything that is added from here on can be taken back.
    pub const fn mark(&mut self) -> Mark {
        let (list, added) = (self.list.len(), self.added.len());
        let mark = Mark { list, added, lengthened: self.lengthened, sealed: self.sealed };
        self.sealed = list;
        mark
    }

    /// Takes back what was added since `mark`.
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

    /// The parent goes with everything in it; returns the bytes that go.
    ///
    /// # Errors
    /// As [`Self::cut`].
    pub fn leave_cut(&mut self, mark: Mark, parent: &Nested<'_>) -> Result<usize, Unreadable> {
        self.take_back(mark);
        self.cut(parent.start, parent.end())?;
        Ok(parent.end().saturating_sub(parent.start))
    }

    /// The parent's content has grown by `delta` bytes, or shrunk; returns the bytes by which its
    /// field has grown, with its length.
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

    /// Puts the edits in the order in which they lie in the buffer. Only a resource or a scope that
    /// stands behind what belongs to it has made another.
    pub fn finish(&mut self) {
        if self.list.is_sorted_by_key(|edit| edit.start) {
            return;
        }
        // A heap, as a sort is several kilobytes of the module, and in place. Of what is put in at
        // one place, the first comes first: its bytes are.
        self.list = BinaryHeap::from(std::mem::take(&mut self.list)).into_sorted_vec();
    }

    /// Applies the edits to the buffer they were made for, as [`Self::apply_within`] does in as much
    /// memory as there is.
    ///
    /// # Errors
    /// As [`Self::apply_within`].
    pub fn apply(&self, buffer: &mut Vec<u8>, front: usize) -> Result<(), NoMemory> {
        self.apply_within(buffer, front, Room::ANY)
    }

    /// Applies the edits to the buffer they were made for, and cuts `front` bytes off its start
    /// (a gRPC frame's header; no edit lies in it).
    ///
    /// Where nothing is put in, the buffer is compacted in place: a body may be tens of megabytes,
    /// and memory that a wasm module has taken it never gives back.
    ///
    /// # Errors
    /// If there is no room beside the buffer for one that is longer, or no memory; it is as it was
    /// then.
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

    /// What the message may yet grow by.
    ///
    /// # Errors
    /// If that is less than so many bytes.
    fn grows_by(&self, bytes: usize) -> Result<(), OverLimit> {
        let grown = self.added.len().saturating_add(self.lengthened);
        if bytes > self.bounds.added.saturating_sub(grown) {
            return Err(OverLimit::Bytes { limit: self.bounds.bytes });
        }
        Ok(())
    }

    /// The latest edit, if the next may become a part of it.
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

    /// Shows what the buffer becomes, piece by piece.
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

/// How many bytes a message that grows is given memory for beside its own: it may yet become a gRPC
/// message, whose frame begins with as many.
pub const SPARE: usize = 5;

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
        // Field 1 holds "abcd", its length in two bytes where one would do.
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
        // A length that becomes longer counts.
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
        // One that is a part of another is none.
        edits.cut(2 * limit - 1, 900).unwrap();
    }
}
