//! Attributes in place in a request (`opentelemetry/proto/common/v1/common.proto`).

use std::{borrow::Cow, mem, ops::Range};

use sluice_wire::{Fault, Malformed, Nested, Reader, Unreadable, Value};

use crate::{
    context::ReadContext,
    json::{
        attributes::{Pair, Pairs},
        string,
    },
    protobuf::attributes::{KeyValue, Plain, VALUES, plain, read_value},
    value::ValueOf,
};

/// The attributes of a resource, a scope or a record, or the entries of a map inside an attribute.
#[derive(Clone, Debug)]
pub struct Attributes<'a> {
    list: List<'a>,
    context: ReadContext<'a>,
    /// How many more attributes may be read.
    left: usize,
}

/// Where the attributes are.
#[derive(Clone, Debug)]
enum List<'a> {
    Json(Pairs<'a>),
    /// In the protobuf field with this number, of the message that the reader reads.
    Protobuf(Reader<'a>, u32),
}

impl<'a> Attributes<'a> {
    /// The attributes in field `field` of `owner`; empty if there is no owner.
    #[inline]
    #[must_use]
    pub(crate) fn of(owner: Option<Nested<'a>>, field: u32, context: ReadContext<'a>) -> Self {
        let owner = owner.map_or_else(|| Reader::new(&[], 0), |owner| Reader::nested(&owner));
        Self { list: List::Protobuf(owner, field), left: context.most_attributes(), context }
    }

    /// The attributes in JSON.
    #[inline]
    #[must_use]
    pub(crate) const fn json(pairs: Pairs<'a>, context: ReadContext<'a>) -> Self {
        Self { list: List::Json(pairs), left: context.most_attributes(), context }
    }

    /// The size of the attributes' owner as received, in bytes; 0 if there is no owner. After the first attribute has
    /// been read, it is the size of what has not been read yet.
    #[must_use]
    pub fn owner_bytes(&self) -> u64 {
        match &self.list {
            List::Json(pairs) => pairs.owner_bytes(),
            List::Protobuf(owner, _) => owner.rest_bytes(),
        }
    }

    /// Returns the next attribute whose key is `wanted`, or `None` after the last one. For other
    /// attributes, only the key is read.
    ///
    /// # Errors
    /// [`Unreadable`] if the owner or any attribute is, wanted or not. Do not read on after an
    /// error.
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

/// An owner of attributes that can be passed to a function one after the other.
pub trait HasAttributes<'a> {
    /// Calls `show` with every attribute whose key is `wanted`.
    ///
    /// Fast path: almost every attribute is a short key with a short string value. It is passed to
    /// `show` without building an [`Attribute`], which dominates the cost for data points.
    ///
    /// # Errors
    /// [`Unreadable`] if any attribute is, wanted or not; and errors of `show`.
    fn each_where(
        &self,
        wanted: impl Fn(&[u8]) -> bool,
        show: impl FnMut(AttributeRef<'_, 'a>) -> Result<(), Unreadable>,
    ) -> Result<(), Unreadable>;
}

/// An attribute as [`HasAttributes::each_where`] passes it on.
#[derive(Clone, Copy, Debug)]
pub enum AttributeRef<'r, 'a> {
    /// An attribute of any other shape.
    Attribute(&'r Attribute<'a>),
    /// An attribute with a string value. There is nothing else to know about it.
    Text {
        /// Its key.
        key: &'a [u8],
        /// Its value.
        text: &'a [u8],
    },
}

impl AttributeRef<'_, '_> {
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

impl<'a> HasAttributes<'a> for Attributes<'a> {
    #[inline]
    fn each_where(
        &self,
        wanted: impl Fn(&[u8]) -> bool,
        mut show: impl FnMut(AttributeRef<'_, 'a>) -> Result<(), Unreadable>,
    ) -> Result<(), Unreadable> {
        let mut attributes = self.clone();
        if let List::Protobuf(owner, number) = attributes.list {
            return each_where(owner, number, &self.context, wanted, show);
        }
        while let Some(attribute) = attributes.next_where(&wanted)? {
            show(AttributeRef::Attribute(&attribute))?;
        }
        Ok(())
    }
}

/// [`HasAttributes::each_where`] for field `number` of the message that `owner` reads.
// Always inlined, with what it calls: passing results through memory costs as much as reading them.
#[inline(always)]
pub(crate) fn each_where<'a>(
    mut owner: Reader<'a>,
    number: u32,
    context: &ReadContext<'a>,
    wanted: impl Fn(&[u8]) -> bool,
    mut show: impl FnMut(AttributeRef<'_, 'a>) -> Result<(), Unreadable>,
) -> Result<(), Unreadable> {
    let mut left = context.most_attributes();
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
            Some(Plain { key, text: Some(text) }) => show(AttributeRef::Text { key, text })?,
            _ => {
                if let Some(attribute) = wanted_attribute(pair, context, &wanted)? {
                    show(AttributeRef::Attribute(&attribute))?;
                }
            }
        }
    }
    Ok(())
}

#[inline(never)]
fn wanted_attribute<'a>(
    pair: Nested<'a>,
    context: &ReadContext<'a>,
    wanted: impl Fn(&[u8]) -> bool,
) -> Result<Option<Attribute<'a>>, Unreadable> {
    let KeyValue { key, value } = KeyValue::read(&pair, context)?;
    Ok(wanted(key).then(|| Attribute::protobuf(key, pair, value, context)))
}

/// One attribute.
#[derive(Clone, Debug)]
pub struct Attribute<'a> {
    key: Cow<'a, [u8]>,
    encoded: EncodedPair<'a>,
    context: ReadContext<'a>,
}

#[derive(Clone, Debug)]
enum EncodedPair<'a> {
    Json(Pair<'a>),
    Protobuf { pair: Nested<'a>, value: Option<Nested<'a>> },
}

impl<'a> Attribute<'a> {
    fn protobuf(
        key: &'a [u8],
        pair: Nested<'a>,
        value: Option<Nested<'a>>,
        context: &ReadContext<'a>,
    ) -> Self {
        let (key, encoded) = (Cow::Borrowed(key), EncodedPair::Protobuf { pair, value });
        Self { key, encoded, context: context.clone() }
    }

    fn json(mut pair: Pair<'a>, context: ReadContext<'a>) -> Self {
        Self { key: mem::take(&mut pair.key), encoded: EncodedPair::Json(pair), context }
    }

    /// The key. Empty if there is none, and for a `key_strindex` reference, which receivers of
    /// logs, metrics and traces ignore.
    #[must_use]
    pub fn key(&self) -> &[u8] {
        &self.key
    }

    /// The range to cut if the attribute is removed: in protobuf an offset range of the buffer; in
    /// JSON a range of the text, without a comma.
    pub(crate) const fn span(&self) -> Range<usize> {
        match &self.encoded {
            EncodedPair::Json(pair) => pair.span(),
            EncodedPair::Protobuf { pair, .. } => pair.start..pair.end(),
        }
    }

    /// The attribute as it is written, so that it can be inserted elsewhere in the same request.
    #[must_use]
    pub fn written(&self) -> &'a [u8] {
        match &self.encoded {
            EncodedPair::Json(pair) => pair.written(),
            EncodedPair::Protobuf { pair, .. } => pair.bytes,
        }
    }

    /// Reads the value.
    ///
    /// # Errors
    /// [`Unreadable`] if it is not a valid `AnyValue`. Two members of its oneof are an error,
    /// because decoders keep only the last.
    pub fn value(&self) -> Result<AnyValue<'a>, Unreadable> {
        match &self.encoded {
            EncodedPair::Json(pair) => pair.value(&self.context, string::any).map(json_value),
            EncodedPair::Protobuf { value, .. } => self.protobuf_value(*value),
        }
    }

    /// Reads the value if a decision depends on its content.
    ///
    /// # Errors
    /// As [`Self::value`], and also for a JSON string that parsers read in different ways.
    pub fn decisive_value(&self) -> Result<AnyValue<'a>, Unreadable> {
        match &self.encoded {
            EncodedPair::Json(pair) => pair.value(&self.context, string::whole).map(json_value),
            EncodedPair::Protobuf { value, .. } => self.protobuf_value(*value),
        }
    }

    fn protobuf_value(&self, value: Option<Nested<'a>>) -> Result<AnyValue<'a>, Unreadable> {
        let value = read_value(value, &self.context)?;
        Ok(value.map_entries(|(list, context)| Attributes::of(Some(list), VALUES, context)))
    }
}

fn json_value<'a>(value: ValueOf<'a, (Pairs<'a>, ReadContext<'a>)>) -> AnyValue<'a> {
    value.map_entries(|(pairs, context)| Attributes::json(pairs, context))
}

/// The value of an attribute, as far as rules look at it.
pub type AnyValue<'a> = ValueOf<'a, Attributes<'a>>;
