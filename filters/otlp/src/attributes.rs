//! Attributes as they lie on the wire (`opentelemetry/proto/common/v1/common.proto`).

use crate::wire::{Fault, Field, Malformed, Nested, Reader, Value};

/// The attributes of a resource, a scope or a record, read one by one.
#[derive(Clone, Debug)]
pub struct Attributes<'a> {
    owner: Reader<'a>,
    field: u32,
}

impl<'a> Attributes<'a> {
    /// The attributes that lie in field `field` of `owner`, and none if there is no owner.
    #[must_use]
    pub(crate) fn of(owner: Option<Nested<'a>>, field: u32) -> Self {
        let owner = owner.map_or_else(|| Reader::new(&[], 0), |owner| Reader::nested(&owner));
        Self { owner, field }
    }

    /// The next attribute, or `None` behind the last.
    ///
    /// # Errors
    /// [`Malformed`] if the owner or the attribute is; the attributes are not read on then.
    #[inline]
    pub fn next_attribute(&mut self) -> Result<Option<Attribute<'a>>, Malformed> {
        while let Some(field) = self.owner.next_field()? {
            if field.number == self.field {
                return Attribute::read(&field.nested()?).map(Some);
            }
        }
        Ok(None)
    }
}

/// One `KeyValue`.
#[derive(Clone, Copy, Debug)]
pub struct Attribute<'a> {
    /// The key; empty where there is none, as for a `key_strindex` reference, which a receiver of
    /// logs, metrics and traces treats as absent.
    pub key: &'a [u8],
    value: Option<Nested<'a>>,
}

impl<'a> Attribute<'a> {
    #[inline]
    fn read(attribute: &Nested<'a>) -> Result<Self, Malformed> {
        let mut reader = Reader::nested(attribute);
        let (mut key, mut value) = (None, None);
        while let Some(field) = reader.next_field()? {
            match field.number {
                1 => set_once(&mut key, field.nested()?, &field)?,
                2 => set_once(&mut value, field.nested()?, &field)?,
                _ => {}
            }
        }
        Ok(Self { key: key.map_or(&[], |key: Nested<'a>| key.bytes), value })
    }

    /// Reads the value.
    ///
    /// # Errors
    /// [`Malformed`] if it is not one `AnyValue`; two members of its oneof are an error, because
    /// decoders keep only the last.
    pub fn value(&self) -> Result<AnyValue<'a>, Malformed> {
        let Some(value) = self.value else {
            return Ok(AnyValue::Unset);
        };
        let mut reader = Reader::nested(&value);
        let mut read = None;
        while let Some(field) = reader.next_field()? {
            let member = match (field.number, field.value) {
                (1, Value::Nested(text)) => AnyValue::String(text.bytes),
                (2, Value::Varint(value)) => AnyValue::Bool(value != 0),
                (3, Value::Varint(value)) => AnyValue::Int(value.cast_signed()),
                (4, Value::Fixed64) => AnyValue::Double,
                (5, Value::Nested(list)) => AnyValue::Array(entries(&list)?),
                (6, Value::Nested(list)) => AnyValue::KeyValues(entries(&list)?),
                (7, Value::Nested(bytes)) => AnyValue::Bytes(bytes.bytes),
                (8, Value::Varint(_)) => AnyValue::Unset,
                (1..=8, _) => {
                    return Err(Malformed { fault: Fault::WireType, at: field.at });
                }
                _ => continue,
            };
            set_once(&mut read, member, &field)?;
        }
        Ok(read.unwrap_or(AnyValue::Unset))
    }
}

/// The content of an `ArrayValue` or a `KeyValueList`, or nothing if no value is in it: to a decoder
/// that does not know them, unknown fields alone are an empty list.
fn entries<'a>(list: &Nested<'a>) -> Result<&'a [u8], Malformed> {
    const VALUES: u32 = 1;
    let mut reader = Reader::nested(list);
    while let Some(field) = reader.next_field()? {
        if field.number == VALUES {
            return field.nested().map(|_| list.bytes);
        }
    }
    Ok(&[])
}

/// The value of an attribute, as far as a rule looks at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnyValue<'a> {
    /// The content of an `ArrayValue`; empty if no value is in it.
    Array(&'a [u8]),
    /// A boolean.
    Bool(bool),
    /// Raw bytes.
    Bytes(&'a [u8]),
    /// A floating-point number.
    Double,
    /// An integer.
    Int(i64),
    /// The content of a `KeyValueList`; empty if no pair is in it.
    KeyValues(&'a [u8]),
    /// Text; nothing has checked that it is UTF-8.
    String(&'a [u8]),
    /// No member is set, or one that a receiver treats as absent (`string_value_strindex`).
    Unset,
}

impl AnyValue<'_> {
    /// Whether there is nothing in it: no value, or text, bytes or a list of no length. A number
    /// and a boolean are always something, `0` and `false` too.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        match self {
            Self::Array(content)
            | Self::Bytes(content)
            | Self::KeyValues(content)
            | Self::String(content) => content.is_empty(),
            Self::Bool(_) | Self::Double | Self::Int(_) => false,
            Self::Unset => true,
        }
    }
}

/// Sets a singular field, which must not have been set before: decoders merge or overwrite it, and
/// the gate does not guess which one stands behind it.
#[inline]
pub(crate) fn set_once<T>(
    slot: &mut Option<T>,
    value: T,
    field: &Field<'_>,
) -> Result<(), Malformed> {
    if slot.replace(value).is_some() {
        return Err(Malformed { fault: Fault::Repeated, at: field.at });
    }
    Ok(())
}
