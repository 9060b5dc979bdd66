//! Requests as trees of protobuf fields, with what decoders pass over and encoders do not write: unknown fields at
//! every level, varints that are longer than necessary, fields in any order, values of any depth, empty parents.
//!
//! A tree knows its bytes, and which of its records have the required attribute. Nothing has to decode it.

use proptest::{collection::vec, option, prelude::*, sample::select};

use crate::{
    ordinary::REQUIRED,
    wire::{field, padded, tag, varint},
};

/// One field of a message, with everything in it.
#[derive(Clone, Debug)]
pub enum Field {
    /// A field that a cut does not touch, as it is sent.
    Other(Vec<u8>),
    /// A field that holds records.
    Parent(Parent),
    /// A record.
    Record {
        /// The field, as it is sent.
        bytes: Vec<u8>,
        /// Whether it has the required attribute.
        named: bool,
    },
}

/// A field that holds records.
#[derive(Clone, Debug)]
pub struct Parent {
    /// Its tag, as it is sent.
    pub tag: Vec<u8>,
    /// By how many bytes its length is longer than necessary.
    pub padding: usize,
    /// The level whose entry it is; `None` for a metric and its data.
    pub level: Option<Level>,
    /// Whether its resource or scope has the required attribute.
    pub named: bool,
    /// Its fields.
    pub children: Vec<Field>,
}

/// A level of attributes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// The resource.
    Resource,
    /// The scope.
    Scope,
    /// The log record, span or data point.
    Record,
}

impl Level {
    /// Every level, from the outermost.
    pub const ALL: [Self; 3] = [Self::Resource, Self::Scope, Self::Record];
}

impl Field {
    /// The field, as it is sent.
    #[must_use]
    pub fn sent(&self) -> Vec<u8> {
        match self {
            Self::Other(bytes) | Self::Record { bytes, .. } => bytes.clone(),
            Self::Parent(parent) => {
                let content = sent(&parent.children);
                let length = varint(content.len() as u64, parent.padding);
                [parent.tag.as_slice(), &length, &content].concat()
            }
        }
    }
}

/// The fields, as they are sent.
#[must_use]
pub fn sent(fields: &[Field]) -> Vec<u8> {
    fields.iter().flat_map(Field::sent).collect()
}

/// An export request of logs.
pub fn logs() -> impl Strategy<Value = Vec<Field>> {
    request(record(2, 6))
}

/// An export request of metrics.
pub fn metrics() -> impl Strategy<Value = Vec<Field>> {
    request(metric())
}

/// An export request of traces.
pub fn traces() -> impl Strategy<Value = Vec<Field>> {
    request(record(2, 9))
}

/// Mostly 0, so that ordinary requests occur too.
fn padding() -> impl Strategy<Value = usize> {
    prop_oneof![4 => Just(0), 1 => 1..3_usize, 1 => Just(10)]
}

/// A field that no OTLP message has, of any wire type.
fn unknown() -> impl Strategy<Value = Vec<u8>> {
    let number = prop_oneof![60..900_u32, Just((1 << 29) - 1)];
    let value = prop_oneof![
        (any::<u64>(), padding()).prop_map(|(value, padding)| (0, varint(value, padding))),
        any::<u64>().prop_map(|value| (1, value.to_le_bytes().to_vec())),
        (vec(any::<u8>(), 0..40), padding()).prop_map(|(content, padding)| {
            (2, [varint(content.len() as u64, padding), content].concat())
        }),
        any::<u32>().prop_map(|value| (5, value.to_le_bytes().to_vec())),
    ];
    (number, padding(), value).prop_map(|(number, padding, (wire_type, value))| {
        [tag(number, wire_type, padding), value].concat()
    })
}

/// An `AnyValue` that holds a list of a list, and so on.
fn deep(depth: usize) -> Vec<u8> {
    (0..depth).fold(field(1, b"bottom"), |value, _| field(5, &field(1, &value)))
}

/// A `KeyValue` with this key and some value.
fn attribute(key: &'static str) -> impl Strategy<Value = Vec<u8>> {
    let value = prop_oneof![
        "[a-z]{1,9}".prop_map(|text| field(1, text.as_bytes())),
        (0..150_usize).prop_map(deep),
        any::<u64>().prop_map(|number| [tag(3, 0, 0), varint(number, 0)].concat()),
    ];
    (value, vec(unknown(), 0..2), padding(), any::<bool>()).prop_map(
        move |(value, unknown, padding, value_first)| {
            let value = padded(2, &[value, unknown.concat()].concat(), padding);
            let key = padded(1, key.as_bytes(), padding);
            if value_first { [value, key].concat() } else { [key, value].concat() }
        },
    )
}

/// An owner of attributes in field `number`: its content, and whether it has the required attribute.
fn owner(number: u32) -> impl Strategy<Value = (Vec<u8>, bool)> {
    let named = option::of(attribute(REQUIRED));
    let others = vec(prop_oneof![attribute("other"), attribute("source_name")], 0..3);
    (named, others, vec(unknown(), 0..3), padding()).prop_flat_map(
        move |(named, others, mut fields, padding)| {
            let is_named = named.is_some();
            let attributes = others.into_iter().chain(named);
            fields.extend(attributes.map(|attribute| padded(number, &attribute, padding)));
            Just(fields).prop_shuffle().prop_map(move |fields| (fields.concat(), is_named))
        },
    )
}

fn record(number: u32, attributes: u32) -> impl Strategy<Value = Field> {
    (owner(attributes), padding()).prop_map(move |((content, named), padding)| Field::Record {
        bytes: padded(number, &content, padding),
        named,
    })
}

/// A parent in field `number` with `children` in any order, and with its resource or scope if it has one.
fn parent(
    number: u32,
    level: Option<Level>,
    own: impl Strategy<Value = Option<(Vec<u8>, bool)>>,
    children: impl Strategy<Value = Vec<Field>>,
) -> impl Strategy<Value = Field> {
    let others = vec(unknown().prop_map(Field::Other), 0..2);
    (own, children, others, padding()).prop_flat_map(move |(own, mut children, others, padding)| {
        let named = own.as_ref().is_some_and(|(_, named)| *named);
        children.extend(own.map(|(own, _)| Field::Other(padded(1, &own, padding))));
        children.extend(others);
        Just(children).prop_shuffle().prop_map(move |children| {
            let tag = tag(number, 2, padding);
            Field::Parent(Parent { tag, padding, level, named, children })
        })
    })
}

/// A metric with one kind of data or none.
fn metric() -> impl Strategy<Value = Field> {
    let kind = select(vec![(5, 7), (7, 7), (9, 9), (10, 1), (11, 7)]);
    let data = kind.prop_flat_map(|(data, attributes)| {
        parent(data, None, Just(None), vec(record(1, attributes), 0..4))
    });
    // Without data, unknown fields would be data of an unknown kind and count as data points.
    let empty = Field::Other(field(2, &field(1, b"empty")));
    prop_oneof![4 => parent(2, None, Just(None), vec(data, 1..2)), 1 => Just(empty)]
}

/// The fields of an export request with these records.
fn request(record: impl Strategy<Value = Field> + 'static) -> impl Strategy<Value = Vec<Field>> {
    let scope = parent(2, Some(Level::Scope), option::of(owner(3)), vec(record, 0..3));
    let entry = parent(1, Some(Level::Resource), option::of(owner(1)), vec(scope, 0..3));
    vec(prop_oneof![8 => entry.boxed(), 1 => unknown().prop_map(Field::Other).boxed()], 0..4)
}
