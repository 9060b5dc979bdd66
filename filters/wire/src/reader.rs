//! Reads the protobuf wire format strictly: one field at a time, without copying.
//!
//! A gate must never be more lenient than the backend behind it. So everything that decoders
//! disagree on is an error here: groups, field number 0, varints over ten bytes, lengths past the
//! end (<https://protobuf.dev/programming-guides/encoding/>).

use crate::{
    malformed::{Fault, Malformed},
    work,
};

/// A length-delimited field (a string, bytes or a nested message) with its offsets.
#[derive(Clone, Copy, Debug)]
pub struct Nested<'a> {
    /// The content, without tag and length.
    pub bytes: &'a [u8],
    /// Offset of the tag.
    pub start: usize,
    /// Offset of the length varint.
    pub length_at: usize,
    /// Offset of the content.
    pub content_at: usize,
}

impl Nested<'_> {
    /// Offset just past the content.
    #[inline]
    #[must_use]
    pub const fn end(&self) -> usize {
        self.content_at.saturating_add(self.bytes.len())
    }
}

/// The value of a field.
#[derive(Clone, Copy, Debug)]
pub enum Value<'a> {
    /// Wire type 0.
    Varint(u64),
    /// Wire type 1.
    Fixed64,
    /// Wire type 2.
    Nested(Nested<'a>),
    /// Wire type 5.
    Fixed32,
}

/// One field of a message.
#[derive(Clone, Copy, Debug)]
pub struct Field<'a> {
    /// The field's number in the schema.
    pub number: u32,
    /// Its value.
    pub value: Value<'a>,
    /// Offset of the tag.
    pub at: usize,
}

impl<'a> Field<'a> {
    /// Returns the field as a length-delimited one.
    ///
    /// # Errors
    /// [`Fault::WIRE_TYPE`] if it is not.
    #[inline]
    pub const fn nested(&self) -> Result<Nested<'a>, Malformed> {
        match self.value {
            Value::Nested(nested) => Ok(nested),
            _ => Err(Malformed { fault: Fault::WIRE_TYPE, at: self.at }),
        }
    }
}

/// Reads the fields of one message, in the order in which they lie.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
    end: usize,
}

const MAX_FIELD_NUMBER: u64 = (1 << 29) - 1;

/// The bits of a varint that decoders keep for a field of 32 bits.
pub const INT32: u64 = 0xffff_ffff;

impl<'a> Reader<'a> {
    /// A reader of a whole message that begins at offset `at` of its buffer.
    #[inline]
    #[must_use]
    pub const fn new(message: &'a [u8], at: usize) -> Self {
        Self { rest: message, end: at.saturating_add(message.len()) }
    }

    /// A reader of a nested message.
    #[inline]
    #[must_use]
    pub const fn nested(message: &Nested<'a>) -> Self {
        Self::new(message.bytes, message.content_at)
    }

    /// Returns the next field, or `None` at the end of the message.
    ///
    /// # Errors
    /// [`Malformed`] for anything that decoders do not agree on. Do not use the reader after an
    /// error.
    // Always inlined: returning the field through memory costs as much again as reading it.
    #[inline(always)]
    pub fn next_field(&mut self) -> Result<Option<Field<'a>>, Malformed> {
        let Some((&tag, rest)) = self.rest.split_first() else {
            return Ok(None);
        };
        work::done(1);
        // Fast path for nearly every field: the number is under 16, and the value is one byte or
        // the length at most two. `any_field` reads everything else again from its start, errors
        // included.
        let at = self.position();
        let number = u32::from(tag >> 3);
        if tag < 0x80 && number != 0 {
            let read = match tag & 7 {
                2 => short_nested(rest, at, self.end)
                    .map(|(nested, rest)| (Value::Nested(nested), rest)),
                1 => rest.split_at_checked(8).map(|(_, rest)| (Value::Fixed64, rest)),
                5 => rest.split_at_checked(4).map(|(_, rest)| (Value::Fixed32, rest)),
                0 => match rest.split_first() {
                    Some((&byte, rest)) if byte < 0x80 => {
                        Some((Value::Varint(u64::from(byte)), rest))
                    }
                    _ => None,
                },
                _ => None,
            };
            if let Some((value, rest)) = read {
                self.rest = rest;
                return Ok(Some(Field { number, value, at }));
            }
        }
        // By value: a reader whose address is taken lives in memory instead of registers.
        let (field, rest) = self.clone().any_field()?;
        self.rest = rest;
        Ok(Some(field))
    }

    /// Returns the next field `number`, which is under 16 and length-delimited, and passes over
    /// others; or `None` at the end of the message.
    ///
    /// # Errors
    /// As [`Self::next_field`], and if the field is not length-delimited.
    #[inline(always)]
    pub fn next_nested(&mut self, number: u32) -> Result<Option<Nested<'a>>, Malformed> {
        loop {
            if let Some((nested, rest)) = self.short_of(number) {
                self.rest = rest;
                return Ok(Some(nested));
            }
            let (field, rest) = self.clone().next_other()?;
            self.rest = rest;
            match field {
                None => return Ok(None),
                Some(field) if field.number == number => return field.nested().map(Some),
                Some(_) => {}
            }
        }
    }

    /// Passes over the fields `number` that lie here, as far as they are length-delimited and short.
    #[inline(always)]
    pub fn pass_over(&mut self, number: u32) {
        while let Some((_, rest)) = self.short_of(number) {
            self.rest = rest;
        }
    }

    /// The field `number`, if it lies here, is length-delimited and short; and the bytes after it.
    #[inline(always)]
    fn short_of(&self, number: u32) -> Option<(Nested<'a>, &'a [u8])> {
        let (&tag, rest) = self.rest.split_first()?;
        work::done(1);
        if u32::from(tag) != number << 3 | 2 {
            return None;
        }
        short_nested(rest, self.position(), self.end)
    }

    #[inline(never)]
    fn next_other(mut self) -> Result<(Option<Field<'a>>, &'a [u8]), Malformed> {
        let field = self.next_field()?;
        Ok((field, self.rest))
    }

    /// How many bytes are left.
    #[inline]
    #[must_use]
    pub const fn rest_bytes(&self) -> u64 {
        self.rest.len() as u64
    }

    /// The next field, whatever its shape, and the bytes after it.
    #[inline(never)]
    fn any_field(mut self) -> Result<(Field<'a>, &'a [u8]), Malformed> {
        let at = self.position();
        let tag = self.varint()?;
        let number = tag >> 3;
        if number == 0 || number > MAX_FIELD_NUMBER {
            return Err(Malformed { fault: Fault::FIELD_NUMBER, at });
        }
        #[expect(clippy::cast_possible_truncation, reason = "checked to be under 2^29")]
        let number = number as u32;
        let value = match tag & 7 {
            0 => Value::Varint(self.varint()?),
            1 => {
                self.take(8)?;
                Value::Fixed64
            }
            2 => {
                let length_at = self.position();
                let length = self.varint()?;
                let content_at = self.position();
                let length = usize::try_from(length)
                    .map_err(|_| Malformed { fault: Fault::TRUNCATED, at: length_at })?;
                Value::Nested(Nested {
                    bytes: self.take(length)?,
                    start: at,
                    length_at,
                    content_at,
                })
            }
            5 => {
                self.take(4)?;
                Value::Fixed32
            }
            3 | 4 => {
                return Err(Malformed { fault: Fault::GROUP, at });
            }
            _ => {
                return Err(Malformed { fault: Fault::WIRE_TYPE, at });
            }
        };
        Ok((Field { number, value, at }, self.rest))
    }

    #[inline]
    const fn position(&self) -> usize {
        // The rest is never longer than the message.
        self.end.wrapping_sub(self.rest.len())
    }

    #[inline]
    fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let Some((taken, rest)) = self.rest.split_at_checked(length) else {
            return Err(Malformed { fault: Fault::TRUNCATED, at: self.position() });
        };
        self.rest = rest;
        Ok(taken)
    }

    #[inline]
    fn varint(&mut self) -> Result<u64, Malformed> {
        match self.rest.split_first() {
            Some((&byte, rest)) if byte < 0x80 => {
                self.rest = rest;
                Ok(u64::from(byte))
            }
            _ => self.long_varint(),
        }
    }

    fn long_varint(&mut self) -> Result<u64, Malformed> {
        let at = self.position();
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let Some((&byte, rest)) = self.rest.split_first() else {
                return Err(Malformed { fault: Fault::TRUNCATED, at });
            };
            self.rest = rest;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return Err(Malformed { fault: Fault::VARINT, at });
            }
            value |= bits << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Malformed { fault: Fault::VARINT, at })
    }
}

/// The length and the content of a field at `start` with a one-byte tag, and the bytes after it.
/// `None` if the length takes more than two bytes, or reaches past the end.
#[inline(always)]
fn short_nested(rest: &[u8], start: usize, end: usize) -> Option<(Nested<'_>, &[u8])> {
    let (&low, rest) = rest.split_first()?;
    let (length, rest) = if low < 0x80 {
        (usize::from(low), rest)
    } else {
        let (&high, rest) = rest.split_first()?;
        if high >= 0x80 {
            return None;
        }
        (usize::from(low & 0x7f) | usize::from(high) << 7, rest)
    };
    let content_at = end.wrapping_sub(rest.len());
    let (bytes, rest) = rest.split_at_checked(length)?;
    let length_at = start.saturating_add(1);
    Some((Nested { bytes, start, length_at, content_at }, rest))
}

/// Sets a singular field. An error if it was set before: decoders merge or overwrite it, and the
/// gate cannot know which kind the backend has.
#[inline]
pub fn set_once<T>(slot: &mut Option<T>, value: T, field: &Field<'_>) -> Result<(), Malformed> {
    if slot.replace(value).is_some() {
        return Err(Malformed { fault: Fault::REPEATED, at: field.at });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(bytes: &[u8]) -> Fault {
        let mut reader = Reader::new(bytes, 0);
        loop {
            match reader.next_field() {
                Ok(Some(_)) => {}
                Ok(None) => panic!("{bytes:x?} was read to its end"),
                Err(malformed) => return malformed.fault,
            }
        }
    }

    #[test]
    fn what_decoders_disagree_on_is_refused() {
        for (bytes, expected) in [
            (&[0x00, 0x00][..], Fault::FIELD_NUMBER),
            (&[0x80, 0x80, 0x80, 0x80, 0x10, 0x00], Fault::FIELD_NUMBER),
            (&[0x0b, 0x0c], Fault::GROUP),
            (&[0x0c], Fault::GROUP),
            (&[0x0e], Fault::WIRE_TYPE),
            (&[0x0f], Fault::WIRE_TYPE),
            (&[0x0a], Fault::TRUNCATED),
            (&[0x0a, 0x02, 0x01], Fault::TRUNCATED),
            (&[0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01], Fault::TRUNCATED),
            (&[0x08, 0x80], Fault::TRUNCATED),
            (&[0x09, 1, 2, 3, 4, 5, 6, 7], Fault::TRUNCATED),
            (&[0x0d, 1, 2, 3], Fault::TRUNCATED),
            (&[0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02], Fault::VARINT),
            (
                &[0x08, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00],
                Fault::VARINT,
            ),
        ] {
            assert_eq!(fault(bytes), expected, "{bytes:x?}");
        }
    }

    #[test]
    fn the_largest_varint_is_read() {
        let bytes = [0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
        let field = Reader::new(&bytes, 0).next_field().unwrap().unwrap();
        assert!(matches!(field.value, Value::Varint(u64::MAX)));
    }

    #[test]
    fn a_nested_field_knows_where_it_lies() {
        let bytes = [0x08, 0x01, 0x12, 0x83, 0x00, b'a', b'b', b'c'];
        let mut reader = Reader::new(&bytes, 100);
        reader.next_field().unwrap();
        let nested = reader.next_field().unwrap().unwrap().nested().unwrap();
        assert_eq!(
            (nested.start, nested.length_at, nested.content_at, nested.end(), nested.bytes),
            (102, 103, 105, 108, &b"abc"[..])
        );
    }
}
