//! Holds a whole text against RFC 8259, in one pass, before anything in it is believed.
//!
//! What goes on to a backend has been read to its last byte, whatever rests on it: parsers differ on
//! what they forgive, and a text that none has to forgive anything is the same to all of them.

use super::{
    scan::{plain_end, white_space_end},
    text::{DEEP, LONG, LONG_AND_DEEP, Node},
};
use crate::{
    limits::{OverLimit, Unreadable},
    wire::{Fault, Malformed, Syntax},
};

/// Checks that `bytes` are one object, no deeper than `depth`, and returns where its long objects and
/// arrays lie, in the order in which they begin.
///
/// # Errors
/// [`Unreadable`] for what is not JSON, for what parsers read in different ways (a surrogate
/// without the other half, a member without a name), and for an object that is too deep.
pub(super) fn check(bytes: &[u8], depth: usize) -> Result<Vec<Node>, Unreadable> {
    if let Err(error) = str::from_utf8(bytes) {
        return Err(syntax(Syntax::Utf8, error.valid_up_to()).into());
    }
    let mut check = Check { bytes, at: 0, depth, open: Vec::new(), long: Vec::new() };
    check.skip_white_space();
    if check.peek() != Some(b'{') {
        return Err(syntax(Syntax::NoObject, check.at).into());
    }
    check.object()?;
    check.skip_white_space();
    if check.at < bytes.len() {
        return Err(syntax(Syntax::Behind, check.at).into());
    }
    Ok(check.long)
}

const fn syntax(syntax: Syntax, at: usize) -> Malformed {
    Malformed { fault: Fault::Json(syntax), at }
}

struct Check<'a> {
    bytes: &'a [u8],
    at: usize,
    /// The most objects and arrays that may be open.
    depth: usize,
    /// Where in `long` those lie that are.
    open: Vec<usize>,
    /// The long ones, and the open ones.
    long: Vec<Node>,
}

impl Check<'_> {
    /// The object that begins here, and everything in it. What is open is kept in a list, not on
    /// the stack: how deep it goes is the sender's choice.
    fn object(&mut self) -> Result<(), Unreadable> {
        'value: loop {
            self.skip_white_space();
            match self.peek() {
                Some(b'{') => {
                    self.enter()?;
                    self.skip_white_space();
                    if self.peek() != Some(b'}') {
                        self.name()?;
                        continue;
                    }
                }
                Some(b'[') => {
                    self.enter()?;
                    self.skip_white_space();
                    if self.peek() != Some(b']') {
                        continue;
                    }
                }
                Some(b'"') => self.string()?,
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
        let innermost = self.long.get(*self.open.last()?)?;
        self.bytes.get(innermost.at).copied()
    }

    fn enter(&mut self) -> Result<(), OverLimit> {
        if self.open.len() >= self.depth {
            return Err(OverLimit::Depth { limit: self.depth });
        }
        self.open.push(self.long.len());
        self.long.push(Node { at: self.at, end: self.at });
        self.step(1);
        Ok(())
    }

    /// The innermost object or array ends here. If it is too short for the list, so is everything in
    /// it, and it is the last there.
    fn leave(&mut self) {
        self.step(1);
        let Some(index) = self.open.pop() else { return };
        let Some(node) = self.long.get_mut(index) else { return };
        node.end = self.at;
        let long = if self.open.len() < DEEP { LONG } else { LONG_AND_DEEP };
        if node.end.saturating_sub(node.at) < long {
            self.long.truncate(index);
        }
    }

    /// A member's name and its colon.
    fn name(&mut self) -> Result<(), Malformed> {
        let start = self.at;
        if self.peek() != Some(b'"') {
            return Err(self.unexpected());
        }
        self.string()?;
        if self.at == start.saturating_add(2) {
            return Err(Malformed { fault: Fault::Nameless, at: start });
        }
        self.skip_white_space();
        if self.peek() != Some(b':') {
            return Err(self.unexpected());
        }
        self.step(1);
        Ok(())
    }

    fn string(&mut self) -> Result<(), Malformed> {
        self.step(1);
        loop {
            self.at = plain_end(self.bytes, self.at);
            match self.peek() {
                Some(b'"') => {
                    self.step(1);
                    return Ok(());
                }
                Some(b'\\') => self.escape()?,
                Some(_) => return Err(syntax(Syntax::Control, self.at)),
                None => return Err(syntax(Syntax::Truncated, self.at)),
            }
        }
    }

    fn escape(&mut self) -> Result<(), Malformed> {
        let start = self.at;
        self.step(1);
        match self.peek() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {
                self.step(1);
                Ok(())
            }
            Some(b'u') => {
                let lone = syntax(Syntax::Surrogate, start);
                match self.code_unit()? {
                    0xd800..=0xdbff => {
                        if self.bytes.get(self.at..).is_none_or(|rest| !rest.starts_with(b"\\u")) {
                            return Err(lone);
                        }
                        self.step(1);
                        match self.code_unit()? {
                            0xdc00..=0xdfff => Ok(()),
                            _ => Err(lone),
                        }
                    }
                    0xdc00..=0xdfff => Err(lone),
                    _ => Ok(()),
                }
            }
            Some(_) => Err(syntax(Syntax::Escape, start)),
            None => Err(syntax(Syntax::Truncated, self.at)),
        }
    }

    /// The four digits behind the `u` that stands here.
    fn code_unit(&mut self) -> Result<u32, Malformed> {
        let mut unit = 0;
        for _ in 0..4 {
            self.step(1);
            let Some(byte) = self.peek() else {
                return Err(syntax(Syntax::Truncated, self.at));
            };
            let Some(digit) = char::from(byte).to_digit(16) else {
                return Err(syntax(Syntax::Escape, self.at));
            };
            unit = unit << 4 | digit;
        }
        self.step(1);
        Ok(unit)
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
        let fault = if self.peek().is_some() { Syntax::Unexpected } else { Syntax::Truncated };
        syntax(fault, self.at)
    }
}
