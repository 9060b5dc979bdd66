//! The fast path for records that are written as nearly all are: without white space, each attribute with its key
//! first.
//!
//! It reads a record once, whatever has to be known of it, and skips values without looking for their ends in the
//! text's summary. Whatever is unusual, be it malformed, odd or only rare, ends it. The record is then read again by
//! [`attributes`](super::attributes), [`parts`](super::parts) and [`record`](super::record), which know every form.

use sluice_wire::work;

use super::{
    record::{RecordText, SPAN_ID_DIGITS, TRACE_ID_DIGITS},
    scan::{content_end, plain_string, scalar_end},
    text::is_other_spelling,
};
use crate::{first_bytes::FirstBytes, kind::RecordKind};

/// What a member of a record means.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Attributes,
    Exemplars,
    Links,
    /// An id that may be empty.
    ParentSpanId,
    SpanId,
    TraceId,
    /// The scale of an exponential histogram.
    Scale,
    /// Nothing.
    Other,
}

impl<'a> RecordText<'a> {
    /// Whether the record is ordinary; see [`Record::is_ordinary`](crate::Record::is_ordinary).
    #[inline(always)]
    pub(crate) fn is_ordinary(
        &self,
        kind: RecordKind,
        most_attributes: usize,
        first_bytes: &FirstBytes,
        look: impl FnMut(&'a [u8], Option<&'a [u8]>) -> bool,
    ) -> bool {
        let text = self.text.of(self.node);
        let is_span = kind == RecordKind::Span;
        kind != RecordKind::Profile
            && read(text, is_span, most_attributes, first_bytes, look).is_some()
    }
}

/// The ids that a span must have, as bits.
const IDS: u8 = 1 << Role::SpanId as u8 | 1 << Role::TraceId as u8;

/// Reads a record; `None` if it is not ordinary.
#[inline(always)]
fn read<'a>(
    text: &'a [u8],
    is_span: bool,
    most_attributes: usize,
    first_bytes: &FirstBytes,
    mut look: impl FnMut(&'a [u8], Option<&'a [u8]>) -> bool,
) -> Option<()> {
    let mut rest = text.strip_prefix(b"{")?;
    let mut seen = 0_u8;
    loop {
        let (name, behind) = string(rest)?;
        rest = behind.strip_prefix(b":")?;
        let role = role_of(name)?;
        if role != Role::Other {
            let bit = 1 << role as u8;
            if seen & bit != 0 {
                return None;
            }
            seen |= bit;
        }
        rest = match role {
            Role::Other => skip(rest)?,
            Role::Attributes => attributes(rest, most_attributes, first_bytes, &mut look)?,
            Role::Exemplars | Role::Links => rest.strip_prefix(b"[]")?,
            Role::Scale => scale(rest)?,
            Role::ParentSpanId => id::<SPAN_ID_DIGITS>(rest, false)?,
            Role::SpanId => id::<SPAN_ID_DIGITS>(rest, is_span)?,
            Role::TraceId => id::<TRACE_ID_DIGITS>(rest, is_span)?,
        };
        match rest.split_first()? {
            (b',', behind) => rest = behind,
            (b'}', []) => break,
            _ => return None,
        }
    }
    (!is_span || seen & IDS == IDS).then_some(())
}

/// What a member with this name means. `None` if it may be an unusual spelling of a name that means something.
#[inline(always)]
fn role_of(name: &[u8]) -> Option<Role> {
    match name.first()? | 0x20 {
        b'a' => known(name, b"attributes", Role::Attributes),
        b'e' => known(name, b"exemplars", Role::Exemplars),
        b'l' => known(name, b"links", Role::Links),
        b'p' => known(name, b"parentSpanId", Role::ParentSpanId),
        b's' => match known(name, b"spanId", Role::SpanId)? {
            Role::Other => known(name, b"scale", Role::Scale),
            role => Some(role),
        },
        b't' => known(name, b"traceId", Role::TraceId),
        // An underscore, with the bit that is set in small letters.
        0x7f => None,
        _ => Some(Role::Other),
    }
}

/// The role, if this is the name of a member that has it and that begins with the same letter.
#[inline(always)]
fn known(name: &[u8], known: &[u8], role: Role) -> Option<Role> {
    let second = name.get(1).copied();
    if second != known.get(1).copied()
        && second.is_none_or(|byte| !byte.is_ascii_uppercase() && byte != b'_')
    {
        return Some(Role::Other);
    }
    if name == known {
        return Some(role);
    }
    if is_other_spelling(name, known) { None } else { Some(Role::Other) }
}

/// Reads attributes; returns what follows.
#[inline(always)]
fn attributes<'a>(
    rest: &'a [u8],
    mut left: usize,
    first_bytes: &FirstBytes,
    look: &mut impl FnMut(&'a [u8], Option<&'a [u8]>) -> bool,
) -> Option<&'a [u8]> {
    let mut rest = rest.strip_prefix(b"[")?;
    if let Some(behind) = rest.strip_prefix(b"]") {
        return Some(behind);
    }
    loop {
        left = left.checked_sub(1)?;
        let (key, behind) = plain_string(after_word(rest, *b"{\"key\":\"")?)?;
        let behind = after_word(behind, *b",\"value\"")?;
        let (b':', behind) = behind.split_first()? else { return None };
        let (b'{', value) = behind.split_first()? else { return None };
        if first_bytes.has(*key.first()?) && !look(key, text_of(value)) {
            return None;
        }
        rest = skip_open(value)?;
        let (b'}', behind) = rest.split_first()? else { return None };
        match behind.split_first()? {
            (b',', behind) => rest = behind,
            (b']', behind) => return Some(behind),
            _ => return None,
        }
    }
}

/// What follows eight bytes, which are compared in one step.
#[inline(always)]
fn after_word(rest: &[u8], word: [u8; 8]) -> Option<&[u8]> {
    let (begin, behind) = rest.split_first_chunk()?;
    (u64::from_le_bytes(*begin) == u64::from_le_bytes(word)).then_some(behind)
}

/// The text of a value that has just begun, if it is nothing else.
#[inline(never)]
fn text_of(value: &[u8]) -> Option<&[u8]> {
    let (text, behind) = plain_string(value.strip_prefix(b"\"stringValue\":\"")?)?;
    behind.starts_with(b"}").then_some(text)
}

/// Reads an id; returns what follows.
#[inline(always)]
fn id<const DIGITS: usize>(rest: &[u8], must_be: bool) -> Option<&[u8]> {
    let (digits, behind) = string(rest)?;
    let is_id = if digits.is_empty() {
        !must_be
    } else {
        let is_hex = digits.iter().fold(true, |all, digit| all & digit.is_ascii_hexdigit());
        digits.len() == DIGITS && is_hex && (!must_be || digits.iter().any(|digit| *digit != b'0'))
    };
    is_id.then_some(behind)
}

/// Reads a scale; returns what follows. Few scales are negative, and some backends do not accept those.
#[inline(never)]
fn scale(rest: &[u8]) -> Option<&[u8]> {
    let (digits, behind) = rest.split_at_checked(scalar_end(rest, 0))?;
    let is_small = digits.len() < 3 && digits.iter().all(u8::is_ascii_digit);
    (is_small && !digits.is_empty()).then_some(behind)
}

/// A string without escapes, and what follows.
#[inline(always)]
fn string(rest: &[u8]) -> Option<(&[u8], &[u8])> {
    plain_string(rest.strip_prefix(b"\"")?)
}

/// What follows a value.
#[inline]
fn skip(rest: &[u8]) -> Option<&[u8]> {
    match rest.split_first()? {
        (b'"', behind) => after_string(behind),
        (b'{' | b'[', behind) => skip_open(behind),
        _ => rest.get(scalar_end(rest, 0)..),
    }
}

/// What follows an object or an array that has just begun.
#[inline]
fn skip_open(mut rest: &[u8]) -> Option<&[u8]> {
    let mut open = 1_usize;
    loop {
        let (byte, behind) = rest.split_first()?;
        rest = behind;
        work::done(1);
        match byte {
            b'"' => rest = after_string(rest)?,
            b'{' | b'[' => open = open.checked_add(1)?,
            b'}' | b']' => {
                open = open.checked_sub(1)?;
                if open == 0 {
                    return Some(rest);
                }
            }
            _ => {}
        }
    }
}

/// What follows a string whose first quote has been read.
#[inline(always)]
fn after_string(content: &[u8]) -> Option<&[u8]> {
    content.get(content_end(content, 0)..)
}
