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
pub(crate) const MOST_OPEN: usize = 10_000;

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
pub(crate) fn check_within(
    bytes: &[u8],
    depth: usize,
    room: &mut Room,
) -> Result<Ends, Unreadable> {
    let blocks = Blocks::new(bytes.len(), room)?;
    let is_utf8 = str::from_utf8(bytes).is_ok();
    let mut check = SyntaxCheck { bytes, depth, is_utf8, open: Vec::new(), blocks, escaped: 0 };
    let at = white_space_end(bytes, 0);
    if bytes.get(at) != Some(&b'{') {
        return Err(malformed(fault::NO_OBJECT, at).into());
    }
    let end = white_space_end(bytes, check.object(at)?);
    if end < bytes.len() {
        return Err(malformed(fault::BEHIND, end).into());
    }
    // Strings with escapes are rare, and none is kept unescaped; but their length is not limited.
    room.probe(check.escaped)?;
    room.take(check.escaped)?;
    Ok(check.blocks.finish())
}

const fn malformed(fault: Fault, at: usize) -> Malformed {
    Malformed { fault, at }
}

/// The check of a text. Offsets are passed from one function to the next, because they are faster in registers than in
/// memory.
struct SyntaxCheck<'a> {
    bytes: &'a [u8],
    /// The largest number of objects and arrays that may be open.
    depth: usize,
    /// Whether the whole text is UTF-8. If not, each member name is checked.
    is_utf8: bool,
    /// The brackets that are open around the innermost, the outermost first. The outermost itself is in no bracket.
    open: Vec<u8>,
    blocks: Blocks,
    /// The total bytes of strings with escapes.
    escaped: usize,
}

/// In place of a bracket: outside of every object.
const OUTSIDE: u8 = 0;

impl SyntaxCheck<'_> {
    /// Checks the object that starts at `at`, and everything in it; returns its end. The open brackets are kept in a
    /// list instead of on the stack, because the sender chooses the depth.
    fn object(&mut self, mut at: usize) -> Result<usize, Unreadable> {
        let bytes = self.bytes;
        // The innermost bracket that is open, and whether a member's name comes next.
        let (mut inside, mut at_name) = (OUTSIDE, false);
        loop {
            at = white_space_end(bytes, at);
            if at_name {
                at = self.name(at)?;
            }
            match bytes.get(at) {
                Some(b'"') => at = self.string(at)?.0,
                Some(bracket @ (b'{' | b'[')) => {
                    self.enter(at, inside)?;
                    inside = *bracket;
                    at = white_space_end(bytes, at.saturating_add(1));
                    at_name = inside == b'{';
                    if bytes.get(at) != Some(if at_name { &b'}' } else { &b']' }) {
                        continue;
                    }
                }
                Some(b'-' | b'0'..=b'9') => at = self.number(at)?,
                Some(b't') => at = self.literal(at, b"true")?,
                Some(b'f') => at = self.literal(at, b"false")?,
                Some(b'n') => at = self.literal(at, b"null")?,
                _ => return Err(self.unexpected(at).into()),
            }
            loop {
                at = white_space_end(bytes, at);
                match (bytes.get(at), inside) {
                    (Some(b','), _) => break,
                    (Some(b'}'), b'{') | (Some(b']'), b'[') => {}
                    _ => return Err(self.unexpected(at).into()),
                }
                inside = self.leave(at);
                at = at.saturating_add(1);
                if inside == OUTSIDE {
                    return Ok(at);
                }
            }
            at = at.saturating_add(1);
            at_name = inside == b'{';
        }
    }

    /// Enters an object or array that lies in a bracket.
    #[inline]
    fn enter(&mut self, at: usize, inside: u8) -> Result<(), OverLimit> {
        if self.open.len() >= self.depth {
            return Err(OverLimit::Depth { limit: self.depth });
        }
        self.open.push(inside);
        self.blocks.opens(at);
        Ok(())
    }

    /// Closes the innermost object or array; returns the bracket in which it lies.
    #[inline]
    fn leave(&mut self, at: usize) -> u8 {
        self.blocks.closes(at);
        self.open.pop().unwrap_or(OUTSIDE)
    }

    /// Checks a member's name and its colon; returns where its value is.
    #[inline(always)]
    fn name(&mut self, start: usize) -> Result<usize, Malformed> {
        let bytes = self.bytes;
        if bytes.get(start) != Some(&b'"') {
            return Err(self.unexpected(start));
        }
        let (end, has_escapes) = self.string(start)?;
        let first = start.saturating_add(1);
        if end.saturating_sub(first) < 2 {
            return Err(malformed(fault::NAMELESS, start));
        }
        if has_escapes || !self.is_utf8 {
            self.check_name(start, end, has_escapes)?;
        }
        let colon = white_space_end(bytes, end);
        if bytes.get(colon) != Some(&b':') {
            return Err(self.unexpected(colon));
        }
        Ok(white_space_end(bytes, colon.saturating_add(1)))
    }

    /// Checks that all parsers read a name alike.
    #[inline(never)]
    fn check_name(&self, start: usize, end: usize, has_escapes: bool) -> Result<(), Malformed> {
        let first = start.saturating_add(1);
        let name = self.bytes.get(first..end.saturating_sub(1)).unwrap_or_default();
        if has_escapes {
            whole(name, start)?;
        }
        if !self.is_utf8
            && let Err(error) = str::from_utf8(name)
        {
            return Err(malformed(fault::UTF8, first.saturating_add(error.valid_up_to())));
        }
        Ok(())
    }

    /// Checks the string that starts here; returns its end, and whether it contains escapes.
    #[inline(always)]
    fn string(&mut self, start: usize) -> Result<(usize, bool), Malformed> {
        let special = plain_end(self.bytes, start.saturating_add(1));
        let (end, has_escapes) = match self.bytes.get(special) {
            Some(b'"') => (special.saturating_add(1), false),
            _ => (self.long_string(start, special)?, true),
        };
        self.blocks.string(start, end);
        Ok((end, has_escapes))
    }

    /// Checks a string on from its first special byte, which is not a quote; returns its end.
    #[inline(never)]
    fn long_string(&mut self, start: usize, mut at: usize) -> Result<usize, Malformed> {
        loop {
            match self.bytes.get(at) {
                Some(b'"') => {
                    let end = at.saturating_add(1);
                    self.escaped = self.escaped.saturating_add(end.saturating_sub(start));
                    return Ok(end);
                }
                Some(b'\\') => at = self.escape(at)?,
                Some(_) => return Err(malformed(fault::CONTROL, at)),
                None => return Err(malformed(fault::CUT_OFF, at)),
            }
            at = plain_end(self.bytes, at);
        }
    }

    fn escape(&self, start: usize) -> Result<usize, Malformed> {
        let mut at = start.saturating_add(1);
        match self.bytes.get(at) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {}
            Some(b'u') => {
                for _ in 0..4 {
                    at = at.saturating_add(1);
                    match self.bytes.get(at) {
                        Some(byte) if byte.is_ascii_hexdigit() => {}
                        Some(_) => return Err(malformed(fault::ESCAPE, at)),
                        None => return Err(malformed(fault::CUT_OFF, at)),
                    }
                }
            }
            Some(_) => return Err(malformed(fault::ESCAPE, start)),
            None => return Err(malformed(fault::CUT_OFF, at)),
        }
        Ok(at.saturating_add(1))
    }

    fn number(&self, mut at: usize) -> Result<usize, Malformed> {
        let bytes = self.bytes;
        if bytes.get(at) == Some(&b'-') {
            at = at.saturating_add(1);
        }
        if bytes.get(at) == Some(&b'0') {
            at = at.saturating_add(1);
        } else {
            at = self.digits(at)?;
        }
        if bytes.get(at) == Some(&b'.') {
            at = self.digits(at.saturating_add(1))?;
        }
        if let Some(b'e' | b'E') = bytes.get(at) {
            at = at.saturating_add(1);
            if let Some(b'+' | b'-') = bytes.get(at) {
                at = at.saturating_add(1);
            }
            at = self.digits(at)?;
        }
        Ok(at)
    }

    /// Checks one or more digits; returns their end.
    #[inline]
    fn digits(&self, start: usize) -> Result<usize, Malformed> {
        let mut at = start;
        while self.bytes.get(at).is_some_and(u8::is_ascii_digit) {
            at = at.saturating_add(1);
        }
        if at == start { Err(self.unexpected(at)) } else { Ok(at) }
    }

    fn literal(&self, at: usize, literal: &[u8]) -> Result<usize, Malformed> {
        if self.bytes.get(at..).is_some_and(|rest| rest.starts_with(literal)) {
            return Ok(at.saturating_add(literal.len()));
        }
        Err(self.unexpected(at))
    }

    #[cold]
    fn unexpected(&self, at: usize) -> Malformed {
        let fault = if at < self.bytes.len() { fault::UNEXPECTED } else { fault::CUT_OFF };
        malformed(fault, at)
    }
}
