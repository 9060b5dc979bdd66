//! Attributes and their values.

use std::borrow::Cow;

use sluice_wire::{Fault, Malformed, Nested, Reader, Unreadable, Value, set_once};

use crate::{context::ReadContext, value::ValueOf};

/// The key of an attribute in protobuf; empty if it has none.
///
/// # Errors
/// [`Unreadable`] if the attribute is.
#[inline(always)]
pub(super) fn key_of<'a>(
    pair: &Nested<'a>,
    context: &ReadContext<'a>,
) -> Result<&'a [u8], Unreadable> {
    match plain(pair.bytes) {
        Some(Plain { key, .. }) => Ok(key),
        None => any_key(pair, context),
    }
}

#[inline(never)]
fn any_key<'a>(pair: &Nested<'a>, context: &ReadContext<'a>) -> Result<&'a [u8], Unreadable> {
    Ok(KeyValue::read(pair, context)?.key)
}

/// A pair of a short key and a short value, and nothing else.
pub(crate) struct Plain<'a> {
    pub(crate) key: &'a [u8],
    /// The value, if it is just a short string.
    pub(crate) text: Option<&'a [u8]>,
}

/// Reads a pair in the form that nearly every SDK writes. `None` for any other form, including
/// malformed ones.
#[inline(always)]
pub(crate) fn plain(pair: &[u8]) -> Option<Plain<'_>> {
    const KEY: u8 = 1 << 3 | 2;
    const VALUE: u8 = 2 << 3 | 2;
    const TEXT: u8 = 1 << 3 | 2;
    let &[KEY, key_length @ ..0x80, ref rest @ ..] = pair else { return None };
    let (key, rest) = rest.split_at_checked(usize::from(key_length))?;
    let &[VALUE, length @ ..0x80, ref value @ ..] = rest else { return None };
    if value.len() != usize::from(length) {
        return None;
    }
    let text = match value {
        &[TEXT, length @ ..0x80, ref text @ ..] if text.len() == usize::from(length) => Some(text),
        _ => None,
    };
    Some(Plain { key, text })
}

/// A `KeyValue` whose value has not been read.
pub(crate) struct KeyValue<'a> {
    pub(crate) key: &'a [u8],
    pub(crate) value: Option<Nested<'a>>,
}

impl<'a> KeyValue<'a> {
    pub(crate) fn read(pair: &Nested<'a>, context: &ReadContext<'a>) -> Result<Self, Unreadable> {
        let mut reader = Reader::nested(pair);
        let (mut key, mut value, mut index) = (None, None, None);
        while let Some(field) = reader.next_field()? {
            match (field.number, field.value) {
                (1, _) => set_once(&mut key, field.nested()?, &field)?,
                (2, _) => set_once(&mut value, field.nested()?, &field)?,
                // Receivers of logs, metrics and traces ignore a reference. In profiles, the
                // reference is the key, and no other key may be set.
                (3, Value::Varint(at)) if context.has_strings() => {
                    set_once(&mut index, at, &field)?;
                }
                (3, _) if context.has_strings() => {
                    return Err(Malformed { fault: Fault::WIRE_TYPE, at: field.at }.into());
                }
                _ => {}
            }
        }
        // To a decoder, an empty key is unset, and so is the reference 0.
        let key = key.filter(|key: &Nested<'_>| !key.bytes.is_empty());
        let key = match (key, index.filter(|index| *index != 0)) {
            (Some(_), Some(_)) => {
                return Err(Malformed { fault: Fault::REPEATED, at: pair.start }.into());
            }
            (Some(key), None) => key.bytes,
            (None, Some(index)) => context.text(index, pair.start)?,
            (None, None) => &[],
        };
        Ok(Self { key, value })
    }
}

/// Reads the value of a pair. A map is returned as the message that holds its entries, with the
/// context to read them.
///
/// # Errors
/// [`Unreadable`] if it is not a valid `AnyValue`.
pub(crate) fn read_value<'a>(
    value: Option<Nested<'a>>,
    context: &ReadContext<'a>,
) -> Result<ValueOf<'a, (Nested<'a>, ReadContext<'a>)>, Unreadable> {
    let Some(value) = &value else { return Ok(ValueOf::Unset) };
    let mut reader = Reader::nested(value);
    let mut read = None;
    while let Some(field) = reader.next_field()? {
        let member = match (field.number, field.value) {
            (1, Value::Nested(text)) => ValueOf::String(Cow::Borrowed(text.bytes)),
            (2, Value::Varint(_)) => ValueOf::Bool,
            (3, Value::Varint(_)) => ValueOf::Int,
            (4, Value::Fixed64) => ValueOf::Double,
            (5, Value::Nested(list)) => ValueOf::Array { empty: !has_values(&list)? },
            (6, Value::Nested(list)) => {
                ValueOf::KeyValues { empty: !has_values(&list)?, entries: (list, context.below()?) }
            }
            (7, Value::Nested(bytes)) => ValueOf::Bytes { empty: bytes.bytes.is_empty() },
            (8, Value::Varint(index)) => match context.text(index, field.at)? {
                [] => ValueOf::Unset,
                text => ValueOf::String(Cow::Borrowed(text)),
            },
            (1..=8, _) => {
                return Err(Malformed { fault: Fault::WIRE_TYPE, at: field.at }.into());
            }
            _ => continue,
        };
        set_once(&mut read, member, &field)?;
    }
    Ok(read.unwrap_or(ValueOf::Unset))
}

/// `ArrayValue.values` and `KeyValueList.values`.
pub(crate) const VALUES: u32 = 1;

/// Whether an `ArrayValue` or a `KeyValueList` contains a value. With only unknown fields, it is an
/// empty list to a decoder that does not know them.
fn has_values(list: &Nested<'_>) -> Result<bool, Malformed> {
    let mut reader = Reader::nested(list);
    while let Some(field) = reader.next_field()? {
        if field.number == VALUES {
            return field.nested().map(|_| true);
        }
    }
    Ok(false)
}
