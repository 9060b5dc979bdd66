//! Checks the whole text against RFC 8259, in one pass, before anything in it is used.
//!
//! What goes on to a backend is checked to its last byte, even the parts that no decision depends
//! on: parsers differ in what they tolerate, and they all read a text the same way if its structure
//! needs no tolerance. The content of strings is different: in a value that no decision depends on,
//! any bytes are allowed, as in protobuf.

use sluice_wire::{Fault, Malformed, OverLimit, Room, Unreadable};

use super::{
    ends::{Blocks, Ends},
    scan::{plain_end, white_space_end},
    string::whole,
};
use crate::fault;

/// The largest number of nested objects and arrays in a request, including those that the gate does
/// not read. With more, the backends' readers refuse the whole request (json-iterator, `maxDepth`).
/// The depth of what the gate itself reads is limited separately.
pub(super) const MOST_OPEN: usize = 10_000;

/// Checks that `bytes` are exactly one JSON object, nested no deeper than `depth` (at most
/// [`MOST_OPEN`]), and returns where the objects and arrays in it end.
///
/// # Errors
/// [`Unreadable`] if it is not JSON, if a member name is read in different ways by parsers (not
/// UTF-8, half a surrogate pair, empty), or if it is nested too deeply.
pub(super) fn check(bytes: &[u8], depth: usize) -> Result<Ends, Unreadable> {
    let mut room = Room::ANY;
    check_within(bytes, depth, &mut room)
}

/// Like [`check`], with a memory limit. The result, and the memory for unescaping strings later,
/// are taken from `room`.
///
/// # Errors
/// As [`check`], and if it needs more memory than that.
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
    // Strings with escapes are rare, and none is kept unescaped; but their length is not limited.
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
    /// The largest number of objects and arrays that may be open.
    depth: usize,
    /// Whether the whole text is UTF-8. If not, each member name is checked.
    is_utf8: bool,
    /// The brackets that are open, the outermost first.
    open: Vec<u8>,
    blocks: Blocks,
    /// The total bytes of strings with escapes.
    escaped: usize,
}

impl SyntaxCheck<'_> {
    /// Checks the object that starts here, and everything in it. The open brackets are kept in a
    /// list instead of on the stack, because the sender chooses the depth.
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

    /// The bracket of the innermost open object or array.
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

    /// Closes the innermost object or array.
    fn leave(&mut self) {
        self.open.pop();
        self.blocks.closes(self.at);
        self.step(1);
    }

    /// Checks a member's name and its colon.
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

    /// Checks a string, and returns whether it contains escapes.
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

    /// Checks one or more digits.
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
