//! Attributes as they lie in a request (`opentelemetry/proto/common/v1/common.proto`).

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

/// The attributes of a resource, a scope or a record, or the entries of a map in one of them.
#[derive(Clone, Debug)]
pub struct Attributes<'a> {
    list: List<'a>,
    context: ReadContext<'a>,
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

impl<'a> Attributes<'a> {
    /// The attributes that lie in field `field` of `owner`, and none if there is no owner.
    #[inline]
    #[must_use]
    pub(crate) fn of(owner: Option<Nested<'a>>, field: u32, context: ReadContext<'a>) -> Self {
        let owner = owner.map_or_else(|| Reader::new(&[], 0), |owner| Reader::nested(&owner));
        Self { list: List::Protobuf(owner, field), left: context.most_attributes(), context }
    }

    /// Attributes in JSON.
    #[inline]
    #[must_use]
    pub(crate) const fn json(pairs: Pairs<'a>, context: ReadContext<'a>) -> Self {
        Self { list: List::Json(pairs), left: context.most_attributes(), context }
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
pub trait HasAttributes<'a> {
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
        show: impl FnMut(AttributeRef<'_, 'a>) -> Result<(), Unreadable>,
    ) -> Result<(), Unreadable>;
}

/// An attribute as [`HasAttributes::each_where`] shows it.
#[derive(Clone, Copy, Debug)]
pub enum AttributeRef<'r, 'a> {
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

/// [`HasAttributes::each_where`] for field `number` of what `owner` reads.
// Always inlined, with what it calls: results that are handed on in memory cost as much as reading.
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

    /// The key; empty where there is none, as for a `key_strindex` reference, which a receiver of
    /// logs, metrics and traces treats as absent.
    #[must_use]
    pub fn key(&self) -> &[u8] {
        &self.key
    }

    /// Where it lies: in protobuf in the buffer, with all that has to go if it goes; in JSON in the
    /// text, without a comma.
    pub(crate) const fn span(&self) -> Range<usize> {
        match &self.encoded {
            EncodedPair::Json(pair) => pair.span(),
            EncodedPair::Protobuf { pair, .. } => pair.start..pair.end(),
        }
    }

    /// The attribute as it is written, to be put somewhere else in the same request.
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
    /// [`Unreadable`] if it is not one `AnyValue`; two members of its oneof are an error, because
    /// decoders keep only the last.
    pub fn value(&self) -> Result<AnyValue<'a>, Unreadable> {
        match &self.encoded {
            EncodedPair::Json(pair) => pair.value(&self.context, string::any).map(json_value),
            EncodedPair::Protobuf { value, .. } => self.protobuf_value(*value),
        }
    }

    /// Reads the value where a decision rests on what it says.
    ///
    /// # Errors
    /// As [`Self::value`], and for a text in JSON that parsers read in different ways.
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

/// The value of an attribute, as far as a rule looks at it.
pub type AnyValue<'a> = ValueOf<'a, Attributes<'a>>;
