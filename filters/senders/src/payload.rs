//! The payload of a token, as Envoy's JWT filter stores it for later filters.
//!
//! Envoy returns a single claim's value in bytes that do not show its type: a number is eight bytes, which may spell a
//! namespace, and a list looks like a map of the same strings (`serializeValue` in
//! `source/extensions/common/wasm/context.cc`). But it returns a request's whole metadata as a protobuf message,
//! `envoy.config.core.v3.Metadata`, in which each value has its type.

/// The attribute that holds the metadata: [`Evidence::metadata`](crate::Evidence::metadata).
pub(crate) const ATTRIBUTE: [&str; 2] = ["metadata", "filter_metadata"];

/// The value under a key of a payload.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Value<'a> {
    Bool,
    /// A `google.protobuf.ListValue`.
    List(&'a [u8]),
    Null,
    Number,
    /// A `google.protobuf.Struct`.
    Object(&'a [u8]),
    Text(&'a str),
}

/// The metadata is not in the form that Envoy writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unreadable;

impl<'a> Value<'a> {
    /// The value at `path` in the metadata: the filter, then the keys below it. `None` if there is none.
    pub(crate) fn find(metadata: &'a [u8], path: &[String]) -> Result<Option<Self>, Unreadable> {
        let Some((filter, keys)) = path.split_first() else { return Ok(None) };
        // Metadata.filter_metadata, a map from a filter's name to a Struct.
        let Some(object) = member(metadata, filter)? else { return Ok(None) };
        let mut value = Value::Object(object);
        for key in keys {
            let Value::Object(object) = value else { return Ok(None) };
            // Struct.fields, a map from a key to a Value.
            let Some(below) = member(object, key)? else { return Ok(None) };
            value = Value::read(below)?;
        }
        Ok(Some(value))
    }

    /// Reads a `google.protobuf.Value`, whose fields are a oneof: the last one counts.
    fn read(message: &'a [u8]) -> Result<Self, Unreadable> {
        let mut value = Value::Null;
        for field in fields(message) {
            value = match field? {
                (1, Field::Number) => Value::Null,
                (2, Field::Number) => Value::Number,
                (3, Field::Bytes(text)) => {
                    Value::Text(str::from_utf8(text).map_err(|_| Unreadable)?)
                }
                (4, Field::Number) => Value::Bool,
                (5, Field::Bytes(object)) => Value::Object(object),
                (6, Field::Bytes(list)) => Value::List(list),
                _ => return Err(Unreadable),
            };
        }
        Ok(value)
    }

    /// The strings in the value: a string itself, or the strings in a list. Any other value has none.
    pub(crate) fn texts(self) -> Result<Vec<&'a str>, Unreadable> {
        let mut texts = Vec::new();
        match self {
            Value::Text(text) => texts.push(text),
            Value::List(list) => {
                for value in values(list) {
                    if let Value::Text(text) = value? {
                        texts.push(text);
                    }
                }
            }
            Value::Bool | Value::Null | Value::Number | Value::Object(_) => {}
        }
        // Invisible text must not identify anybody.
        texts.retain(|text| !text.is_empty() && !text.contains(char::is_control));
        Ok(texts)
    }

    /// The string, alone or in a list of one; or a description of what the value is instead.
    pub(crate) fn only_text(self) -> Result<Result<&'a str, &'static str>, Unreadable> {
        let value = match self {
            Value::List(list) => {
                let mut values = values(list);
                match (values.next().transpose()?, values.next().transpose()?) {
                    (Some(Value::Text(text)), None) => return Ok(Ok(text)),
                    (Some(_), None) => "a list without a string",
                    (None, _) => "an empty list",
                    (Some(_), Some(_)) => "a list of several values",
                }
            }
            Value::Text(text) => return Ok(Ok(text)),
            Value::Bool => "a boolean",
            Value::Null => "null",
            Value::Number => "a number",
            Value::Object(_) => "an object",
        };
        Ok(Err(value))
    }
}

/// The values of a `ListValue`.
fn values(list: &[u8]) -> impl Iterator<Item = Result<Value<'_>, Unreadable>> {
    fields(list).map(|field| match field? {
        (1, Field::Bytes(value)) => Value::read(value),
        _ => Err(Unreadable),
    })
}

/// The value of `key` in a map: a repeated field 1 of entries with the key in field 1 and a message in field 2. If
/// there are several, the last one counts.
fn member<'a>(message: &'a [u8], key: &str) -> Result<Option<&'a [u8]>, Unreadable> {
    let mut found = None;
    for field in fields(message) {
        // Field 2 of Metadata is another map, with messages of another type.
        let (1, Field::Bytes(entry)) = field? else { continue };
        let (mut name, mut value) = (&b""[..], &b""[..]);
        for field in fields(entry) {
            match field? {
                (1, Field::Bytes(bytes)) => name = bytes,
                (2, Field::Bytes(bytes)) => value = bytes,
                _ => return Err(Unreadable),
            }
        }
        if name == key.as_bytes() {
            found = Some(value);
        }
    }
    Ok(found)
}

/// The value of a field.
enum Field<'a> {
    Bytes(&'a [u8]),
    /// One of any kind.
    Number,
}

/// The fields of a message (protobuf's "Encoding"). The iterator ends after an error.
fn fields(mut message: &[u8]) -> impl Iterator<Item = Result<(u64, Field<'_>), Unreadable>> {
    std::iter::from_fn(move || {
        if message.is_empty() {
            return None;
        }
        let field = field(&mut message);
        if field.is_none() {
            message = &[];
        }
        Some(field.ok_or(Unreadable))
    })
}

fn field<'a>(message: &mut &'a [u8]) -> Option<(u64, Field<'a>)> {
    let key = varint(message)?;
    let mut take = |size: usize| {
        let (taken, rest) = message.split_at_checked(size)?;
        *message = rest;
        Some(taken)
    };
    let field = match key & 7 {
        0 => {
            varint(message)?;
            Field::Number
        }
        1 => take(8).map(|_| Field::Number)?,
        2 => {
            let size = usize::try_from(varint(message)?).ok()?;
            let (bytes, rest) = message.split_at_checked(size)?;
            *message = rest;
            Field::Bytes(bytes)
        }
        5 => take(4).map(|_| Field::Number)?,
        _ => return None,
    };
    Some((key >> 3, field))
}

fn varint(message: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = message.split_first()?;
        *message = rest;
        number |= u64::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}
