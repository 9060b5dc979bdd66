//! Finds where the objects and arrays of a text end, without reading their content again.
//!
//! While a text is checked, each [`BLOCK`] of it is summed up in four bytes: how many objects and
//! arrays are open at its start, and how many of these end in it. An object that does not end in
//! its own block ends in the first later block in which fewer are open. That block is found through
//! rows of minima, in which each entry covers sixteen entries of the row below. So finding an end
//! costs two blocks and a few steps, however long or deeply nested the object is. The blocks take a
//! sixteenth of the text's length, whatever the text contains.

use sluice_wire::{NoMemory, Room, work};

use super::scan::string_end;

/// How many bytes of text one block covers.
const BLOCK: usize = 64;

/// How many entries of a row one entry of the row above covers.
const FAN_OUT: usize = 16;

/// The summary of one block.
#[derive(Clone, Copy, Debug)]
struct Block {
    /// Objects and arrays that are open at its start.
    open: u16,
    /// How many of these end in it.
    ended: u8,
    /// How many bytes at its start belong to a string that started before it; [`BLOCK`] if all do.
    string: u8,
}

impl Block {
    /// The smallest number of open objects and arrays anywhere in it.
    fn lowest(self) -> u16 {
        self.open.saturating_sub(self.ended.into())
    }
}

/// The blocks of a text.
#[derive(Clone, Debug)]
pub(crate) struct Ends {
    blocks: Vec<Block>,
    /// The smallest number of open objects and arrays in each sixteen blocks, in each sixteen of
    /// these, and so on.
    rows: Vec<Vec<u16>>,
}

impl Ends {
    /// The offset just after the object or array that starts at `at`.
    pub(super) fn of(&self, bytes: &[u8], at: usize) -> usize {
        let next = (at / BLOCK).saturating_add(1);
        let inside = match read_on(bytes, at, next.saturating_mul(BLOCK), 0) {
            Ok(end) => return end,
            Err(open) => open,
        };
        let Some(block) = self.blocks.get(next) else { return bytes.len() };
        let around = usize::from(block.open).saturating_sub(inside);
        let found = self.first_with(u16::try_from(around).unwrap_or_default(), next);
        let Some(block) = self.blocks.get(found) else { return bytes.len() };
        let start = found.saturating_mul(BLOCK);
        let inside = usize::from(block.open).saturating_sub(around);
        let first = start.saturating_add(block.string.into());
        read_on(bytes, first, start.saturating_add(BLOCK), inside).unwrap_or(bytes.len())
    }

    /// The first block, from `from` on, that somewhere has at most `around` objects and arrays
    /// open.
    fn first_with(&self, around: u16, from: usize) -> usize {
        let (mut index, mut row) = (from, 0_usize);
        loop {
            let group = (index / FAN_OUT).saturating_add(1);
            let behind = group.saturating_mul(FAN_OUT);
            match (index..behind).find(|index| self.lowest(row, *index) <= around) {
                Some(found) => {
                    index = found;
                    break;
                }
                None if row >= self.rows.len() => return self.blocks.len(),
                None => (index, row) = (group, row.saturating_add(1)),
            }
        }
        while let Some(below) = row.checked_sub(1) {
            let first = index.saturating_mul(FAN_OUT);
            let mut group = first..first.saturating_add(FAN_OUT);
            index = group.find(|index| self.lowest(below, *index) <= around).unwrap_or(first);
            row = below;
        }
        index
    }

    /// The smallest number of open objects and arrays in an entry of a row. Row 0 is the blocks.
    fn lowest(&self, row: usize, index: usize) -> u16 {
        work::done(1);
        let lowest = match row.checked_sub(1) {
            None => self.blocks.get(index).map(|block| block.lowest()),
            Some(row) => self.rows.get(row).and_then(|row| row.get(index)).copied(),
        };
        lowest.unwrap_or(u16::MAX)
    }
}

/// Reads brackets in `at..to`, with `inside` of them open at the start. Returns the offset just
/// after the one that closes the last, or how many are open at the end.
fn read_on(bytes: &[u8], mut at: usize, to: usize, mut inside: usize) -> Result<usize, usize> {
    let bytes = bytes.get(..to).unwrap_or(bytes);
    while let Some(byte) = bytes.get(at) {
        work::done(1);
        match byte {
            b'"' => {
                at = string_end(bytes, at);
                continue;
            }
            b'{' | b'[' => inside = inside.saturating_add(1),
            b'}' | b']' => {
                inside = inside.saturating_sub(1);
                if inside == 0 {
                    return Ok(at.saturating_add(1));
                }
            }
            _ => {}
        }
        at = at.saturating_add(1);
    }
    Err(inside)
}

/// Builds the summary while a text is read.
#[derive(Debug)]
pub(super) struct Blocks {
    blocks: Vec<Block>,
    /// Where the next block starts.
    next: usize,
    open: u16,
}

impl Blocks {
    /// A summary for a text of this many bytes. The memory for its blocks and rows is taken from
    /// `room`.
    ///
    /// # Errors
    /// If there is not enough memory.
    pub(super) fn new(bytes: usize, room: &mut Room) -> Result<Self, NoMemory> {
        let count = (bytes / BLOCK).saturating_add(1);
        let mut blocks = Vec::new();
        room.grow(&mut blocks, count, count)?;
        // Two bytes for each sixteen blocks, and a fifteenth of that for all rows above.
        let rows = (count / 4).saturating_add(64);
        room.probe(rows)?;
        room.take(rows)?;
        Ok(Self { blocks, next: 0, open: 0 })
    }

    /// Records a string that starts and ends at these offsets.
    #[inline]
    pub(super) fn string(&mut self, start: usize, end: usize) {
        if self.next < end {
            self.begin_up_to(start);
            self.begin_in(end);
        }
    }

    /// Records that an object or array starts at this offset.
    #[inline]
    pub(super) fn opens(&mut self, at: usize) {
        self.begin_up_to(at);
        self.open = self.open.saturating_add(1);
    }

    /// Records that the innermost object or array ends with the bracket at this offset.
    #[inline]
    pub(super) fn closes(&mut self, at: usize) {
        self.begin_up_to(at);
        self.open = self.open.saturating_sub(1);
        if let Some(block) = self.blocks.last_mut() {
            let ended = u8::try_from(block.open.saturating_sub(self.open)).unwrap_or_default();
            block.ended = block.ended.max(ended);
        }
    }

    #[inline]
    fn begin_up_to(&mut self, at: usize) {
        while self.next <= at {
            self.begin(0);
        }
    }

    /// Starts the blocks that lie inside a string, up to its end.
    fn begin_in(&mut self, end: usize) {
        while self.next < end {
            self.begin(end.saturating_sub(self.next).min(BLOCK));
        }
    }

    fn begin(&mut self, string: usize) {
        let string = u8::try_from(string).unwrap_or_default();
        self.blocks.push(Block { open: self.open, ended: 0, string });
        self.next = self.next.saturating_add(BLOCK);
    }

    /// The summary of the whole text.
    pub(super) fn finish(self) -> Ends {
        let blocks = self.blocks;
        let lowest = |blocks: &[Block]| blocks.iter().map(|block| block.lowest()).min();
        let mut row: Vec<_> = blocks.chunks(FAN_OUT).filter_map(lowest).collect();
        let mut rows = Vec::new();
        while row.len() > 1 {
            let above = row.chunks(FAN_OUT).filter_map(|group| group.iter().min().copied());
            let above = above.collect();
            rows.push(std::mem::replace(&mut row, above));
        }
        Ends { blocks, rows }
    }
}
