//! Attributes and their values.

use std::{borrow::Cow, ops::Range};

use sluice_wire::{Fault, Malformed, Unreadable};

use super::{
    string::{unescaped, whole},
    text::{Node, Text, wrong_type},
};
use crate::{context::ReadContext, value::ValueOf};

/// The key-value pairs of a resource, a scope, a record or a map.
#[derive(Clone, Debug)]
pub(crate) struct Pairs<'a> {
    text: Text<'a>,
    /// The owner of the `attributes`, until they are read for the first time.
    owner: Option<Node>,
    /// An offset in the array, after the pairs read so far.
    at: usize,
}

/// One key-value pair.
#[derive(Clone, Debug)]
pub(crate) struct Pair<'a> {
    text: Text<'a>,
    node: Node,
    pub(crate) key: Cow<'a, [u8]>,
    value: Option<Node>,
}

impl<'a> Pairs<'a> {
    /// The attributes of `owner`; empty if there is no owner. Reads nothing yet.
    #[inline]
    pub(crate) fn of(text: Text<'a>, owner: Option<Node>) -> Self {
        let at = text.elements(None).at();
        Self { text, owner, at }
    }

    /// The size of the owner's text, in bytes.
    pub(crate) fn owner_bytes(&self) -> u64 {
        self.owner.map_or(0, |owner| owner.end.saturating_sub(owner.at) as u64)
    }

    /// Returns the next pair whose key is `wanted`.
    ///
    /// # Errors
    /// [`Unreadable`] if the owner or a pair is, or if there are more pairs than `left` allows.
    #[inline]
    pub(crate) fn next_where(
        &mut self,
        left: &mut usize,
        context: &ReadContext<'a>,
        wanted: impl Fn(&[u8]) -> bool,
    ) -> Result<Option<Pair<'a>>, Unreadable> {
        if let Some(owner) = self.owner.take() {
            let [attributes] = self.text.members(owner, &["attributes"])?;
            self.at = self.text.elements(self.text.array(attributes)?).at();
        }
        let mut elements = self.text.elements_from(self.at);
        while let Some(at) = elements.begin() {
            context.spend(left)?;
            let (pair, end) = KeyValue::read(&self.text, at, context)?;
            elements.go_on(end);
            if wanted(&pair.key) {
                let KeyValue { key, value } = pair;
                self.at = end;
                let node = Node { at, end };
                return Ok(Some(Pair { text: self.text.clone(), node, key, value }));
            }
        }
        self.at = elements.at();
        Ok(None)
    }
}

/// The parts of a pair that are needed to see whether it is wanted.
pub(super) struct KeyValue<'a> {
    pub(super) key: Cow<'a, [u8]>,
    value: Option<Node>,
}

impl<'a> KeyValue<'a> {
    /// Reads the pair that starts at `at`; returns it and its end.
    #[inline]
    pub(super) fn read(
        text: &Text<'a>,
        at: usize,
        context: &ReadContext<'a>,
    ) -> Result<(Self, usize), Unreadable> {
        // Receivers of logs, metrics and traces ignore a reference. In profiles, the reference is
        // the key, and no other key may be set.
        let (key, value, index, end) = if context.has_strings() {
            let ([key, value, index], end) =
                text.members_at(at, &["key", "value", "keyStrindex"])?;
            (key, value, text.integer(index)?.filter(|index| *index != 0), end)
        } else {
            let ([key, value], end) = text.members_at(at, &["key", "value"])?;
            (key, value, None, end)
        };
        // Writers that also write unset fields write an empty key.
        let key = match (text.string(key)?.filter(|key| !key.is_empty()), index) {
            (Some(_), Some(_)) => return Err(Malformed { fault: Fault::REPEATED, at }.into()),
            (Some(key), None) => key,
            (None, Some(index)) => context.text(index.cast_unsigned(), at)?,
            (None, None) => &[],
        };
        Ok((Self { key: whole(key, at)?, value: text.object(value)? }, end))
    }
}

/// A function that reads the string at an offset.
type ReadText<'a> = fn(&'a [u8], usize) -> Result<Cow<'a, [u8]>, Malformed>;

impl<'a> Pair<'a> {
    /// The range of the pair in the text.
    pub(crate) const fn span(&self) -> Range<usize> {
        self.node.at..self.node.end
    }

    /// The text of the pair.
    pub(crate) fn written(&self) -> &'a [u8] {
        self.text.of(self.node)
    }

    /// Returns the value. `read` reads a string in it, given its offset.
    ///
    /// # Errors
    /// [`Unreadable`] if it is not a valid `AnyValue`.
    pub(crate) fn value(
        &self,
        context: &ReadContext<'a>,
        read: ReadText<'a>,
    ) -> Result<ValueOf<'a, (Pairs<'a>, ReadContext<'a>)>, Unreadable> {
        const MEMBERS: [&str; 8] = [
            "stringValue",
            "boolValue",
            "intValue",
            "doubleValue",
            "arrayValue",
            "kvlistValue",
            "bytesValue",
            "stringValueStrindex",
        ];
        let Some(value) = self.value else { return Ok(ValueOf::Unset) };
        let text = &self.text;
        let members = text.members(value, &MEMBERS)?;
        let mut set =
            members.into_iter().enumerate().filter_map(|(member, node)| Some((member, node?)));
        let Some((member, node)) = set.next() else { return Ok(ValueOf::Unset) };
        if let Some((_, second)) = set.next() {
            return Err(Malformed { fault: Fault::REPEATED, at: second.at }.into());
        }
        if text.is_null(node) {
            return Ok(ValueOf::Unset);
        }
        let string = || text.string(Some(node)).map(Option::unwrap_or_default);
        let first = text.of(node).first();
        Ok(match member {
            0 => ValueOf::String(read(string()?, node.at)?),
            1 if matches!(first, Some(b't' | b'f')) => ValueOf::Bool,
            2 => text.integer(Some(node)).map(|_| ValueOf::Int)?,
            3 if is_double(text.of(node)) => ValueOf::Double,
            4 => ValueOf::Array { empty: self.list(node)?.1 },
            5 => {
                let (at, empty) = self.list(node)?;
                let pairs = Pairs { text: self.text.clone(), owner: None, at };
                ValueOf::KeyValues { empty, entries: (pairs, context.below()?) }
            }
            6 => {
                let base64 = string()?;
                if !base64
                    .iter()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"+/-_=".contains(byte))
                {
                    return Err(wrong_type(node).into());
                }
                ValueOf::Bytes { empty: base64.is_empty() }
            }
            7 => {
                let index = text.integer(Some(node))?.unwrap_or_default();
                match context.text(index.cast_unsigned(), node.at)? {
                    [] => ValueOf::Unset,
                    content => ValueOf::String(read(content, node.at)?),
                }
            }
            _ => return Err(wrong_type(node).into()),
        })
    }

    /// Where the `values` of an `ArrayValue` or a `KeyValueList` start, and whether they are empty.
    fn list(&self, list: Node) -> Result<(usize, bool), Malformed> {
        let [values] = self.text.members(list, &["values"])?;
        let mut elements = self.text.elements(self.text.array(values)?);
        Ok((elements.at(), elements.begin().is_none()))
    }
}

/// Whether a member has the form of a `double` in protobuf's JSON mapping: a number, or a string
/// that holds a number, `NaN` or an infinity. Its value does not matter here.
fn is_double(written: &[u8]) -> bool {
    let in_string = written.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\""));
    let number = unescaped(in_string.unwrap_or(written));
    let begins = number.first().is_some_and(|first| *first == b'-' || first.is_ascii_digit());
    let is_number = begins && number.iter().all(|b| b.is_ascii_digit() || b"+-.eE".contains(b));
    is_number || in_string.is_some() && matches!(&*number, b"NaN" | b"Infinity" | b"-Infinity")
}
