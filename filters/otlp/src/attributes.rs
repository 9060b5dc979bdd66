//! Attributes as they lie in a request (`opentelemetry/proto/common/v1/common.proto`).

use std::{borrow::Cow, mem, ops::Range, rc::Rc};

use sluice_wire::{
    Fault, Malformed, Nested, OverLimit, ReadLimits, Reader, Unreadable, Value, set_once,
};

use crate::{
    fault,
    json::{self, Pair, Pairs},
    profiles::Strings,
};

/// The attributes of a resource, a scope or a record, or the entries of a map in one of them.
#[derive(Clone, Debug)]
pub struct Attributes<'a> {
    list: List<'a>,
    context: Context<'a>,
    /// How many may still come.
    left: usize,
}

/// Where attributes lie.
#[derive(Clone, Debug)]
enum List<'a> {
    Json(Pairs<'a>),
    /// In a field of what is read here.
    Protobuf(Reader<'a>, u32),
}

/// What reading an attribute takes beside its bytes.
#[derive(Clone, Debug)]
pub(crate) struct Context<'a> {
    most_attributes: usize,
    most_bytes: usize,
    most_depth: usize,
    /// How many more levels of maps may be read.
    depth: usize,
    /// What profiles keep their texts in; no other signal has one.
    strings: Option<Rc<Strings<'a>>>,
}

impl<'a> Context<'a> {
    pub(crate) const fn new(limits: ReadLimits, strings: Option<Rc<Strings<'a>>>) -> Self {
        let ReadLimits { attributes, bytes: most_bytes, depth, .. } = limits;
        Self { most_attributes: attributes, most_bytes, most_depth: depth, depth, strings }
    }

    /// The text that a reference at offset `at` stands for; none in any signal but profiles.
    ///
    /// # Errors
    /// If there is no such text (what a backend makes of that is anybody's guess), or if texts have
    /// been referred to too often.
    pub(crate) fn text(&self, index: u64, at: usize) -> Result<&'a [u8], Unreadable> {
        let Some(strings) = &self.strings else { return Ok(&[]) };
        let text = strings.get(index).ok_or(Malformed { fault: fault::REFERENCE, at })?;
        strings.refer_to(text, self.most_bytes)?;
        Ok(text)
    }

    /// Whether attributes may refer to texts.
    #[inline]
    pub(crate) const fn has_strings(&self) -> bool {
        self.strings.is_some()
    }

    /// One more attribute of those that may still come.
    ///
    /// # Errors
    /// If that is too many.
    #[inline]
    pub(crate) fn spend(&self, left: &mut usize) -> Result<(), OverLimit> {
        let limit = self.most_attributes;
        *left = left.checked_sub(1).ok_or(OverLimit::Attributes { limit })?;
        Ok(())
    }

    /// The same, one level further down.
    ///
    /// # Errors
    /// If that is too deep.
    pub(crate) fn below(&self) -> Result<Self, OverLimit> {
        let limit = self.most_depth;
        let depth = self.depth.checked_sub(1).ok_or(OverLimit::Depth { limit })?;
        Ok(Self { depth, ..self.clone() })
    }
}

impl<'a> Attributes<'a> {
    /// The attributes that lie in field `field` of `owner`, and none if there is no owner.
    #[inline]
    #[must_use]
    pub(crate) fn of(owner: Option<Nested<'a>>, field: u32, context: Context<'a>) -> Self {
        let owner = owner.map_or_else(|| Reader::new(&[], 0), |owner| Reader::nested(&owner));
        Self { list: List::Protobuf(owner, field), left: context.most_attributes, context }
    }

    /// Attributes in JSON.
    #[inline]
    #[must_use]
    pub(crate) const fn json(pairs: Pairs<'a>, context: Context<'a>) -> Self {
        Self { list: List::Json(pairs), left: context.most_attributes, context }
    }

    /// How many bytes that is written with which has them, as it came; 0 if there is none. It is what
    /// has not been read of it yet once one has been asked for.
    #[must_use]
    pub fn owner_bytes(&self) -> u64 {
        match &self.list {
            List::Json(pairs) => pairs.owner_bytes(),
            List::Protobuf(owner, _) => owner.rest_bytes(),
        }
    }

    /// The next attribute whose key is `wanted`, or `None` behind the last. What is not wanted
    /// costs no more than its key.
    ///
    /// # Errors
    /// [`Unreadable`] if the owner or an attribute is, wanted or not; the attributes are not read
    /// on then.
    #[inline]
    pub fn next_where(
        &mut self,
        wanted: impl Fn(&[u8]) -> bool,
    ) -> Result<Option<Attribute<'a>>, Unreadable> {
        let Self { list, context, left } = self;
        let (owner, number) = match list {
            List::Json(pairs) => {
                let pair = pairs.next_where(left, context, wanted)?;
                return Ok(pair.map(|pair| Attribute::json(pair, context.clone())));
            }
            List::Protobuf(owner, number) => (owner, *number),
        };
        while let Some(field) = owner.next_field()? {
            if field.number != number {
                continue;
            }
            context.spend(left)?;
            let pair = field.nested()?;
            let KeyValue { key, value } = KeyValue::read(&pair, context)?;
            if wanted(key) {
                return Ok(Some(Attribute::protobuf(key, pair, value, context)));
            }
        }
        Ok(None)
    }
}

/// What has attributes that can be shown one after the other.
pub trait Attributed<'a> {
    /// Shows every attribute whose key is `wanted`.
    ///
    /// What next to every attribute is, a short key and a short text, is read here and shown
    /// without being made an [`Attribute`] first: for data points, that is most of their cost.
    ///
    /// # Errors
    /// [`Unreadable`] if an attribute is, wanted or not, and what `show` stops for.
    fn each_where(
        &self,
        wanted: impl Fn(&[u8]) -> bool,
        show: impl FnMut(Given<'_, 'a>) -> Result<(), Unreadable>,
    ) -> Result<(), Unreadable>;
}

/// An attribute as [`Attributed::each_where`] shows it.
#[derive(Clone, Copy, Debug)]
pub enum Given<'r, 'a> {
    /// Any other.
    Attribute(&'r Attribute<'a>),
    /// One with a text, which is all that there is to know of it.
    Text {
        /// Its key.
        key: &'a [u8],
        /// Its value.
        text: &'a [u8],
    },
}

impl Given<'_, '_> {
    /// The key.
    #[inline(always)]
    #[must_use]
    pub fn key(&self) -> &[u8] {
        match self {
            Self::Attribute(attribute) => attribute.key(),
            Self::Text { key, .. } => key,
        }
    }
}

impl<'a> Attributed<'a> for Attributes<'a> {
    #[inline]
    fn each_where(
        &self,
        wanted: impl Fn(&[u8]) -> bool,
        mut show: impl FnMut(Given<'_, 'a>) -> Result<(), Unreadable>,
    ) -> Result<(), Unreadable> {
        let mut attributes = self.clone();
        if let List::Protobuf(owner, number) = attributes.list {
            return each_where(owner, number, &self.context, wanted, show);
        }
        while let Some(attribute) = attributes.next_where(&wanted)? {
            show(Given::Attribute(&attribute))?;
        }
        Ok(())
    }
}

/// [`Attributed::each_where`] for field `number` of what `owner` reads.
// Always inlined, with what it calls: results that are handed on in memory cost as much as reading.
#[inline(always)]
pub(crate) fn each_where<'a>(
    mut owner: Reader<'a>,
    number: u32,
    context: &Context<'a>,
    wanted: impl Fn(&[u8]) -> bool,
    mut show: impl FnMut(Given<'_, 'a>) -> Result<(), Unreadable>,
) -> Result<(), Unreadable> {
    let mut left = context.most_attributes;
    while let Some(field) = owner.next_field()? {
        if field.number != number {
            continue;
        }
        context.spend(&mut left)?;
        let Value::Nested(pair) = field.value else {
            return Err(Malformed { fault: Fault::WIRE_TYPE, at: field.at }.into());
        };
        match plain(pair.bytes) {
            Some(Plain { key, .. }) if !wanted(key) => {}
            Some(Plain { key, text: Some(text) }) => show(Given::Text { key, text })?,
            _ => {
                if let Some(attribute) = wanted_attribute(pair, context, &wanted)? {
                    show(Given::Attribute(&attribute))?;
                }
            }
        }
    }
    Ok(())
}

#[inline(never)]
fn wanted_attribute<'a>(
    pair: Nested<'a>,
    context: &Context<'a>,
    wanted: impl Fn(&[u8]) -> bool,
) -> Result<Option<Attribute<'a>>, Unreadable> {
    let KeyValue { key, value } = KeyValue::read(&pair, context)?;
    Ok(wanted(key).then(|| Attribute::protobuf(key, pair, value, context)))
}

/// The key of an attribute in protobuf, empty if it has none.
///
/// # Errors
/// [`Unreadable`] if it is.
#[inline(always)]
pub(crate) fn key_of<'a>(pair: &Nested<'a>, context: &Context<'a>) -> Result<&'a [u8], Unreadable> {
    match plain(pair.bytes) {
        Some(Plain { key, .. }) => Ok(key),
        None => any_key(pair, context),
    }
}

#[inline(never)]
fn any_key<'a>(pair: &Nested<'a>, context: &Context<'a>) -> Result<&'a [u8], Unreadable> {
    Ok(KeyValue::read(pair, context)?.key)
}

/// A pair of a short key and a short value, and nothing else.
struct Plain<'a> {
    key: &'a [u8],
    /// The value, if it is a short text and nothing else.
    text: Option<&'a [u8]>,
}

/// Reads a pair as next to every SDK writes it. `None` for any other shape, malformed ones included.
#[inline(always)]
fn plain(pair: &[u8]) -> Option<Plain<'_>> {
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

/// A `KeyValue`, its value unread.
struct KeyValue<'a> {
    key: &'a [u8],
    value: Option<Nested<'a>>,
}

impl<'a> KeyValue<'a> {
    fn read(pair: &Nested<'a>, context: &Context<'a>) -> Result<Self, Unreadable> {
        let mut reader = Reader::nested(pair);
        let (mut key, mut value, mut index) = (None, None, None);
        while let Some(field) = reader.next_field()? {
            match (field.number, field.value) {
                (1, _) => set_once(&mut key, field.nested()?, &field)?,
                (2, _) => set_once(&mut value, field.nested()?, &field)?,
                // Receivers of logs, metrics and traces treat a reference as absent; for profiles
                // it is the key, and then there is no other.
                (3, Value::Varint(at)) if context.strings.is_some() => {
                    set_once(&mut index, at, &field)?;
                }
                (3, _) if context.strings.is_some() => {
                    return Err(Malformed { fault: Fault::WIRE_TYPE, at: field.at }.into());
                }
                _ => {}
            }
        }
        // An empty key is none to a decoder, and so is the reference 0.
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

/// One attribute.
#[derive(Clone, Debug)]
pub struct Attribute<'a> {
    key: Cow<'a, [u8]>,
    written: Written<'a>,
    context: Context<'a>,
}

#[derive(Clone, Debug)]
enum Written<'a> {
    Json(Pair<'a>),
    Protobuf { pair: Nested<'a>, value: Option<Nested<'a>> },
}

impl<'a> Attribute<'a> {
    fn protobuf(
        key: &'a [u8],
        pair: Nested<'a>,
        value: Option<Nested<'a>>,
        context: &Context<'a>,
    ) -> Self {
        let (key, written) = (Cow::Borrowed(key), Written::Protobuf { pair, value });
        Self { key, written, context: context.clone() }
    }

    fn json(mut pair: Pair<'a>, context: Context<'a>) -> Self {
        Self { key: mem::take(&mut pair.key), written: Written::Json(pair), context }
    }

    /// The key; empty where there is none, as for a `key_strindex` reference, which a receiver of
    /// logs, metrics and traces treats as absent.
    #[must_use]
    pub fn key(&self) -> &[u8] {
        &self.key
    }

    /// Where it lies: in protobuf in the buffer, with all that has to go if it goes; in JSON in the
    /// text, without a comma.
    pub(crate) const fn span(&self) -> Range<usize> {
        match &self.written {
            Written::Json(pair) => pair.span(),
            Written::Protobuf { pair, .. } => pair.start..pair.end(),
        }
    }

    /// The attribute as it is written, to be put somewhere else in the same request.
    #[must_use]
    pub fn written(&self) -> &'a [u8] {
        match &self.written {
            Written::Json(pair) => pair.written(),
            Written::Protobuf { pair, .. } => pair.bytes,
        }
    }

    /// Reads the value.
    ///
    /// # Errors
    /// [`Unreadable`] if it is not one `AnyValue`; two members of its oneof are an error, because
    /// decoders keep only the last.
    pub fn value(&self) -> Result<AnyValue<'a>, Unreadable> {
        match &self.written {
            Written::Json(pair) => pair.value(&self.context, json::any),
            Written::Protobuf { value, .. } => self.value_in(*value),
        }
    }

    /// Reads the value where a decision rests on what it says.
    ///
    /// # Errors
    /// As [`Self::value`], and for a text in JSON that parsers read in different ways.
    pub fn decisive_value(&self) -> Result<AnyValue<'a>, Unreadable> {
        match &self.written {
            Written::Json(pair) => pair.value(&self.context, json::whole),
            Written::Protobuf { value, .. } => self.value_in(*value),
        }
    }

    fn value_in(&self, value: Option<Nested<'a>>) -> Result<AnyValue<'a>, Unreadable> {
        let Some(value) = &value else { return Ok(AnyValue::Unset) };
        let mut reader = Reader::nested(value);
        let mut read = None;
        while let Some(field) = reader.next_field()? {
            let member = match (field.number, field.value) {
                (1, Value::Nested(text)) => AnyValue::String(Cow::Borrowed(text.bytes)),
                (2, Value::Varint(_)) => AnyValue::Bool,
                (3, Value::Varint(_)) => AnyValue::Int,
                (4, Value::Fixed64) => AnyValue::Double,
                (5, Value::Nested(list)) => AnyValue::Array { empty: !has_values(&list)? },
                (6, Value::Nested(list)) => AnyValue::KeyValues {
                    empty: !has_values(&list)?,
                    entries: Attributes::of(Some(list), VALUES, self.context.below()?),
                },
                (7, Value::Nested(bytes)) => AnyValue::Bytes { empty: bytes.bytes.is_empty() },
                (8, Value::Varint(index)) => match self.context.text(index, field.at)? {
                    [] => AnyValue::Unset,
                    text => AnyValue::String(Cow::Borrowed(text)),
                },
                (1..=8, _) => {
                    return Err(Malformed { fault: Fault::WIRE_TYPE, at: field.at }.into());
                }
                _ => continue,
            };
            set_once(&mut read, member, &field)?;
        }
        Ok(read.unwrap_or(AnyValue::Unset))
    }
}

/// `ArrayValue.values` and `KeyValueList.values`.
const VALUES: u32 = 1;

/// Whether a value is in an `ArrayValue` or a `KeyValueList`: to a decoder that does not know them,
/// unknown fields alone are an empty list.
fn has_values(list: &Nested<'_>) -> Result<bool, Malformed> {
    let mut reader = Reader::nested(list);
    while let Some(field) = reader.next_field()? {
        if field.number == VALUES {
            return field.nested().map(|_| true);
        }
    }
    Ok(false)
}

/// The value of an attribute, as far as a rule looks at it.
#[derive(Clone, Debug)]
pub enum AnyValue<'a> {
    /// An `ArrayValue`.
    Array {
        /// Whether no value is in it.
        empty: bool,
    },
    /// A boolean.
    Bool,
    /// Raw bytes.
    Bytes {
        /// Whether there are none.
        empty: bool,
    },
    /// A floating-point number.
    Double,
    /// An integer.
    Int,
    /// A `KeyValueList`.
    KeyValues {
        /// Whether no pair is in it.
        empty: bool,
        /// Its pairs.
        entries: Attributes<'a>,
    },
    /// Text; in protobuf, nothing has checked that it is UTF-8.
    String(Cow<'a, [u8]>),
    /// No member is set, or one that a receiver treats as absent (`string_value_strindex` in
    /// another signal than profiles).
    Unset,
}

impl AnyValue<'_> {
    /// Whether there is nothing in it: no value, or text, bytes or a list of no length. A number
    /// and a boolean are always something, `0` and `false` too.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Array { empty } | Self::Bytes { empty } | Self::KeyValues { empty, .. } => *empty,
            Self::String(text) => text.is_empty(),
            Self::Bool | Self::Double | Self::Int => false,
            Self::Unset => true,
        }
    }
}
