//! A checked text, and where the values in it are.

use std::{borrow::Cow, rc::Rc};

use sluice_wire::{Fault, Malformed, work};

use super::{
    ends::Ends,
    scan::{scalar_end, string_end, white_space_end},
    string::unescaped,
};
use crate::fault;

/// The place of a value.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Node {
    /// Offset of its first byte.
    pub(crate) at: usize,
    /// Offset just after its last byte.
    pub(crate) end: usize,
}

/// A text that has passed [`check`](super::check).
#[derive(Clone, Debug)]
pub(crate) struct Text<'a> {
    bytes: &'a [u8],
    ends: Rc<Ends>,
}

impl<'a> Text<'a> {
    pub(crate) fn new(bytes: &'a [u8], ends: Ends) -> Self {
        Self { bytes, ends: Rc::new(ends) }
    }

    /// The object that the whole text is.
    pub(crate) fn root(&self) -> Node {
        Node { at: white_space_end(self.bytes, 0), end: self.bytes.len() }
    }

    /// The text of a value.
    #[inline]
    pub(crate) fn of(&self, node: Node) -> &'a [u8] {
        self.bytes.get(node.at..node.end).unwrap_or_default()
    }

    #[inline]
    fn byte(&self, at: usize) -> Option<u8> {
        self.bytes.get(at).copied()
    }

    /// The value that begins at `at`.
    #[inline]
    fn node(&self, at: usize) -> Node {
        let end = match self.byte(at) {
            Some(b'"') => string_end(self.bytes, at),
            Some(b'{' | b'[') => self.ends.of(self.bytes, at),
            _ => scalar_end(self.bytes, at),
        };
        Node { at, end }
    }

    pub(crate) fn is_null(&self, node: Node) -> bool {
        self.byte(node.at) == Some(b'n')
    }

    /// Reads a member as an object. `null` counts as unset (protobuf's JSON mapping).
    ///
    /// # Errors
    /// If it is anything else.
    pub(crate) fn object(&self, node: Option<Node>) -> Result<Option<Node>, Malformed> {
        self.typed(node, b'{')
    }

    /// Reads a member as an array, like [`Self::object`].
    ///
    /// # Errors
    /// If it is anything else.
    pub(crate) fn array(&self, node: Option<Node>) -> Result<Option<Node>, Malformed> {
        self.typed(node, b'[')
    }

    /// Reads a member as a string; returns its content with escapes.
    ///
    /// # Errors
    /// If it is anything else.
    pub(crate) fn string(&self, node: Option<Node>) -> Result<Option<&'a [u8]>, Malformed> {
        Ok(self.typed(node, b'"')?.map(|string| self.content(string)))
    }

    /// The text between the quotes of a string.
    #[inline]
    fn content(&self, string: Node) -> &'a [u8] {
        let (at, end) = (string.at.saturating_add(1), string.end.saturating_sub(1));
        self.of(Node { at, end })
    }

    fn typed(&self, node: Option<Node>, first: u8) -> Result<Option<Node>, Malformed> {
        let Some(node) = node else { return Ok(None) };
        match self.byte(node.at) {
            Some(byte) if byte == first => Ok(Some(node)),
            Some(b'n') => Ok(None),
            _ => Err(wrong_type(node)),
        }
    }

    /// Reads a member as an integer: a number, or a string that holds one.
    ///
    /// # Errors
    /// If it is anything else, or is out of range.
    pub(crate) fn integer(&self, node: Option<Node>) -> Result<Option<i64>, Malformed> {
        let Some(node) = node else { return Ok(None) };
        if self.is_null(node) {
            return Ok(None);
        }
        let digits = match self.byte(node.at) {
            Some(b'"') => unescaped(self.content(node)),
            _ => Cow::Borrowed(self.of(node)),
        };
        if digits.starts_with(b"+") {
            return Err(wrong_type(node));
        }
        let integer = str::from_utf8(&digits).ok().and_then(|digits| digits.parse().ok());
        integer.map(Some).ok_or(wrong_type(node))
    }

    /// The elements of an array; empty if there is no array.
    pub(crate) fn elements(&self, array: Option<Node>) -> Elements<'_, 'a> {
        self.elements_from(array.map_or(self.bytes.len(), |array| array.at.saturating_add(1)))
    }

    /// The elements of an array, starting at an offset after one of them.
    #[inline]
    pub(crate) const fn elements_from(&self, at: usize) -> Elements<'_, 'a> {
        Elements { text: self, at }
    }

    /// Whether an object or an array is empty.
    pub(crate) fn is_empty(&self, container: Node) -> bool {
        let first = white_space_end(self.bytes, container.at.saturating_add(1));
        matches!(self.byte(first), None | Some(b']' | b'}'))
    }

    /// The members of `object` with these `names`, in any order. A member that is `null` counts as
    /// present.
    ///
    /// # Errors
    /// As [`Self::members_at`].
    #[inline]
    pub(crate) fn members<const N: usize>(
        &self,
        object: Node,
        names: &[&str; N],
    ) -> Result<[Option<Node>; N], Malformed> {
        self.members_at(object.at, names).map(|(members, _)| members)
    }

    /// The first member of `object` that is an object and has none of these `names`.
    pub(crate) fn other_object(&self, object: Node, names: &[&str]) -> Option<Node> {
        let mut at = object.at.saturating_add(1);
        loop {
            at = white_space_end(self.bytes, at);
            match self.byte(at) {
                Some(b'"') => {}
                Some(b',') => {
                    at = at.saturating_add(1);
                    continue;
                }
                _ => return None,
            }
            let name = Node { at, end: string_end(self.bytes, at) };
            let colon = white_space_end(self.bytes, name.end);
            let value = self.node(white_space_end(self.bytes, colon.saturating_add(1)));
            at = value.end;
            let name = unescaped(self.content(name));
            let is_known = names.iter().any(|known| known.as_bytes() == &*name);
            if !is_known && self.byte(value.at) == Some(b'{') {
                return Some(value);
            }
        }
    }

    /// The members with these `names` of the object that starts at `at`, and the object's end.
    ///
    /// # Errors
    /// If it is not an object, or if one of the members occurs twice or in another spelling.
    /// OTLP/JSON does not allow `resource_logs` for `resourceLogs`, but some readers accept it.
    #[inline]
    pub(super) fn members_at<const N: usize>(
        &self,
        at: usize,
        names: &[&str; N],
    ) -> Result<([Option<Node>; N], usize), Malformed> {
        let mut members = [None; N];
        let end = self.read_members(at, names, &mut members)?;
        Ok((members, end))
    }

    /// One function for any number of names, which keeps the module small.
    fn read_members(
        &self,
        at: usize,
        names: &[&str],
        members: &mut [Option<Node>],
    ) -> Result<usize, Malformed> {
        if self.byte(at) != Some(b'{') {
            return Err(Malformed { fault: Fault::WIRE_TYPE, at });
        }
        let mut at = at.saturating_add(1);
        loop {
            at = white_space_end(self.bytes, at);
            match self.byte(at) {
                Some(b'"') => {}
                Some(b',') => {
                    at = at.saturating_add(1);
                    continue;
                }
                _ => return Ok(at.saturating_add(1)),
            }
            work::done(names.len());
            let name = Node { at, end: string_end(self.bytes, at) };
            let colon = white_space_end(self.bytes, name.end);
            let value = self.node(white_space_end(self.bytes, colon.saturating_add(1)));
            at = value.end;
            if let Some(index) = known(self.content(name), names, name.at)?
                && let Some(member) = members.get_mut(index)
                && member.replace(value).is_some()
            {
                return Err(Malformed { fault: Fault::REPEATED, at: name.at });
            }
        }
    }
}

/// The index in `names` of a member's name, which is written like this at `at`.
#[inline]
fn known(written: &[u8], names: &[&str], at: usize) -> Result<Option<usize>, Malformed> {
    let is = |name: &[u8]| names.iter().position(|known| known.as_bytes() == name);
    if let Some(index) = is(written) {
        return Ok(Some(index));
    }
    let name = unescaped(written);
    if let Cow::Owned(name) = &name
        && let Some(index) = is(name)
    {
        return Ok(Some(index));
    }
    if names.iter().any(|known| is_other_spelling(&name, known.as_bytes())) {
        return Err(Malformed { fault: fault::SPELLING, at });
    }
    Ok(None)
}

/// Whether two names differ only in case and underscores.
#[inline]
pub(super) fn is_other_spelling(name: &[u8], known: &[u8]) -> bool {
    // Nearly always already the first letters differ.
    let (first, expected) = (name.first(), known.first());
    let may_be = first == Some(&b'_')
        || first.map(u8::to_ascii_lowercase) == expected.map(u8::to_ascii_lowercase);
    may_be && is_other_spelling_whole(name, known)
}

#[inline(never)]
fn is_other_spelling_whole(name: &[u8], known: &[u8]) -> bool {
    letters(name).eq(letters(known))
}

fn letters(name: &[u8]) -> impl Iterator<Item = u8> {
    name.iter().filter(|byte| **byte != b'_').map(u8::to_ascii_lowercase)
}

pub(crate) const fn wrong_type(node: Node) -> Malformed {
    Malformed { fault: Fault::WIRE_TYPE, at: node.at }
}

/// Reads the elements of an array in order.
#[derive(Clone, Debug)]
pub(crate) struct Elements<'t, 'a> {
    text: &'t Text<'a>,
    at: usize,
}

impl Elements<'_, '_> {
    /// Where the next element starts, or `None` after the last. Before the next call,
    /// [`Self::go_on`] must be told where the element ends.
    #[inline]
    pub(super) fn begin(&mut self) -> Option<usize> {
        let bytes = self.text.bytes;
        self.at = white_space_end(bytes, self.at);
        if bytes.get(self.at) == Some(&b',') {
            self.at = white_space_end(bytes, self.at.saturating_add(1));
        }
        match bytes.get(self.at) {
            None | Some(b']') => None,
            Some(_) => Some(self.at),
        }
    }

    /// An offset after the elements read so far.
    #[inline]
    pub(crate) const fn at(&self) -> usize {
        self.at
    }

    #[inline]
    pub(super) const fn go_on(&mut self, end: usize) {
        self.at = end;
    }
}

impl Iterator for Elements<'_, '_> {
    type Item = Node;

    #[inline]
    fn next(&mut self) -> Option<Node> {
        let at = self.begin()?;
        let node = self.text.node(at);
        self.go_on(node.end);
        Some(node)
    }
}
