//! Holds a whole text against RFC 8259, in one pass, before anything in it is believed.
//!
//! What goes on to a backend has been read to its last byte, whatever rests on it: parsers differ on
//! what they forgive, and a text whose structure none has to forgive anything is the same to all of
//! them. What a string says is another matter: in a value that no decision rests on, as in protobuf,
//! it may be anything.

use sluice_wire::{Fault, Malformed, OverLimit, Room, Unreadable};

use super::{
    ends::{Blocks, Ends},
    scan::{plain_end, white_space_end},
    string::whole,
};
use crate::fault;

/// The most objects and arrays that may be open in a request, whoever reads them: the readers of the
/// backends give up a whole request for more (json-iterator, `maxDepth`). What the gate itself
/// follows is bounded where it follows it.
pub(super) const MOST_OPEN: usize = 10_000;

/// Checks that `bytes` are one object, no deeper than `depth` (at most [`MOST_OPEN`]), and returns
/// where what is in it ends.
///
/// # Errors
/// [`Unreadable`] for what is not JSON, for names that parsers read in different ways (not UTF-8, a
/// surrogate without the other half, nothing at all), and for an object that is too deep.
pub(super) fn check(bytes: &[u8], depth: usize) -> Result<Ends, Unreadable> {
    let mut room = Room::ANY;
    check_within(bytes, depth, &mut room)
}

/// The same, in no more memory than there is room. What is kept is taken from that, and what strings
/// with escapes may be read into.
///
/// # Errors
/// As [`check`], and for a text that needs more.
pub(super) fn check_within(
    bytes: &[u8],
    depth: usize,
    room: &mut Room,
) -> Result<Ends, Unreadable> {
    let blocks = Blocks::new(bytes.len(), room)?;
    let is_utf8 = str::from_utf8(bytes).is_ok();
    let mut check =
        SyntaxCheck { bytes, at: 0, depth, is_utf8, open: Vec::new(), blocks, escaped: 0 };
    check.skip_white_space();
    if check.peek() != Some(b'{') {
        return Err(malformed(fault::NO_OBJECT, check.at).into());
    }
    check.object()?;
    check.skip_white_space();
    if check.at < bytes.len() {
        return Err(malformed(fault::BEHIND, check.at).into());
    }
    // Few are, and none is kept; but nobody says how long it is.
    room.probe(check.escaped)?;
    room.take(check.escaped)?;
    Ok(check.blocks.finish())
}

const fn malformed(fault: Fault, at: usize) -> Malformed {
    Malformed { fault, at }
}

struct SyntaxCheck<'a> {
    bytes: &'a [u8],
    at: usize,
    /// The most objects and arrays that may be open.
    depth: usize,
    /// Whether every byte is of UTF-8; if not, each name is looked at.
    is_utf8: bool,
    /// The brackets of those that are, the outermost first.
    open: Vec<u8>,
    blocks: Blocks,
    /// Bytes of strings with escapes, all together.
    escaped: usize,
}

impl SyntaxCheck<'_> {
    /// The object that begins here, and everything in it. What is open is kept in a list, not on
    /// the stack: how deep it goes is the sender's choice.
    fn object(&mut self) -> Result<(), Unreadable> {
        'value: loop {
            self.skip_white_space();
            match self.peek() {
                Some(b'{') => {
                    self.enter(b'{')?;
                    self.skip_white_space();
                    if self.peek() != Some(b'}') {
                        self.name()?;
                        continue;
                    }
                }
                Some(b'[') => {
                    self.enter(b'[')?;
                    self.skip_white_space();
                    if self.peek() != Some(b']') {
                        continue;
                    }
                }
                Some(b'"') => {
                    self.string()?;
                }
                Some(b'-' | b'0'..=b'9') => self.number()?,
                Some(b't') => self.literal(b"true")?,
                Some(b'f') => self.literal(b"false")?,
                Some(b'n') => self.literal(b"null")?,
                _ => return Err(self.unexpected().into()),
            }
            loop {
                let Some(inside) = self.inside() else { return Ok(()) };
                self.skip_white_space();
                match (inside, self.peek()) {
                    (b'{', Some(b',')) => {
                        self.step(1);
                        self.skip_white_space();
                        self.name()?;
                        continue 'value;
                    }
                    (b'[', Some(b',')) => {
                        self.step(1);
                        continue 'value;
                    }
                    (b'{', Some(b'}')) | (b'[', Some(b']')) => self.leave(),
                    _ => return Err(self.unexpected().into()),
                }
            }
        }
    }

    #[inline]
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    #[inline]
    const fn step(&mut self, bytes: usize) {
        self.at = self.at.saturating_add(bytes);
    }

    #[inline]
    fn skip_white_space(&mut self) {
        self.at = white_space_end(self.bytes, self.at);
    }

    /// The bracket of the innermost object or array that is open.
    #[inline]
    fn inside(&self) -> Option<u8> {
        self.open.last().copied()
    }

    fn enter(&mut self, bracket: u8) -> Result<(), OverLimit> {
        if self.open.len() >= self.depth {
            return Err(OverLimit::Depth { limit: self.depth });
        }
        self.open.push(bracket);
        self.blocks.opens(self.at);
        self.step(1);
        Ok(())
    }

    /// The innermost object or array ends here.
    fn leave(&mut self) {
        self.open.pop();
        self.blocks.closes(self.at);
        self.step(1);
    }

    /// A member's name and its colon.
    fn name(&mut self) -> Result<(), Malformed> {
        let start = self.at;
        if self.peek() != Some(b'"') {
            return Err(self.unexpected());
        }
        let has_escapes = self.string()?;
        let first = start.saturating_add(1);
        let name = self.bytes.get(first..self.at.saturating_sub(1)).unwrap_or_default();
        if name.is_empty() {
            return Err(Malformed { fault: fault::NAMELESS, at: start });
        }
        if has_escapes {
            whole(name, start)?;
        }
        if !self.is_utf8
            && let Err(error) = str::from_utf8(name)
        {
            return Err(malformed(fault::UTF8, first.saturating_add(error.valid_up_to())));
        }
        self.skip_white_space();
        if self.peek() != Some(b':') {
            return Err(self.unexpected());
        }
        self.step(1);
        Ok(())
    }

    /// A string, and whether there are escapes in it.
    fn string(&mut self) -> Result<bool, Malformed> {
        let start = self.at;
        let mut has_escapes = false;
        self.step(1);
        loop {
            self.at = plain_end(self.bytes, self.at);
            match self.peek() {
                Some(b'"') => {
                    self.step(1);
                    self.blocks.string(start, self.at);
                    if has_escapes {
                        self.escaped = self.escaped.saturating_add(self.at.saturating_sub(start));
                    }
                    return Ok(has_escapes);
                }
                Some(b'\\') => {
                    has_escapes = true;
                    self.escape()?;
                }
                Some(_) => return Err(malformed(fault::CONTROL, self.at)),
                None => return Err(malformed(fault::CUT_OFF, self.at)),
            }
        }
    }

    fn escape(&mut self) -> Result<(), Malformed> {
        let start = self.at;
        self.step(1);
        match self.peek() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {}
            Some(b'u') => {
                for _ in 0..4 {
                    self.step(1);
                    match self.peek() {
                        Some(byte) if byte.is_ascii_hexdigit() => {}
                        Some(_) => return Err(malformed(fault::ESCAPE, self.at)),
                        None => return Err(malformed(fault::CUT_OFF, self.at)),
                    }
                }
            }
            Some(_) => return Err(malformed(fault::ESCAPE, start)),
            None => return Err(malformed(fault::CUT_OFF, self.at)),
        }
        self.step(1);
        Ok(())
    }

    fn number(&mut self) -> Result<(), Malformed> {
        if self.peek() == Some(b'-') {
            self.step(1);
        }
        if self.peek() == Some(b'0') {
            self.step(1);
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.step(1);
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.step(1);
            if let Some(b'+' | b'-') = self.peek() {
                self.step(1);
            }
            self.digits()?;
        }
        Ok(())
    }

    /// One digit or more.
    #[inline]
    fn digits(&mut self) -> Result<(), Malformed> {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.step(1);
        }
        if self.at == start { Err(self.unexpected()) } else { Ok(()) }
    }

    fn literal(&mut self, literal: &[u8]) -> Result<(), Malformed> {
        if self.bytes.get(self.at..).is_some_and(|rest| rest.starts_with(literal)) {
            self.step(literal.len());
            return Ok(());
        }
        Err(self.unexpected())
    }

    fn unexpected(&self) -> Malformed {
        let fault = if self.peek().is_some() { fault::UNEXPECTED } else { fault::CUT_OFF };
        malformed(fault, self.at)
    }
}
