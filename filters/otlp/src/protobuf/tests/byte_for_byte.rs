//! A cut leaves everything else as it was, byte for byte: unknown fields at every level, varints
//! that are longer than necessary, fields in any order, values of any depth, empty parents.
//!
//! The tests build a request as a tree of [`Field`]s, which knows its bytes and what must be left
//! of them. No decoder is involved.

use proptest::{collection::vec, option, prelude::*, sample::Index};
use sluice_wire::{Fault, Malformed, Unreadable};

use super::{
    oracle::{KEY, Level, Required, spliced},
    request_of,
};
use crate::{Signal, splice_export};

/// One field of a message, with everything in it.
#[derive(Clone, Debug)]
enum Field {
    /// A field that a cut does not touch, as it is sent.
    Other(Vec<u8>),
    Parent(Parent),
    Record {
        /// The field, as it is sent.
        bytes: Vec<u8>,
        named: bool,
    },
}

/// A field that holds records.
#[derive(Clone, Debug)]
struct Parent {
    tag: Vec<u8>,
    /// By how many bytes its length is longer than necessary.
    padding: usize,
    /// The level whose entry it is; `None` for a metric and its data.
    level: Option<Level>,
    /// Whether its resource or scope has the attribute.
    named: bool,
    children: Vec<Field>,
}

/// What is left of a field.
#[derive(Default)]
struct Left {
    bytes: Vec<u8>,
    kept: u64,
    dropped: u64,
}

impl Field {
    fn sent(&self) -> Vec<u8> {
        match self {
            Self::Other(bytes) | Self::Record { bytes, .. } => bytes.clone(),
            Self::Parent(parent) => {
                let content: Vec<_> = parent.children.iter().flat_map(Self::sent).collect();
                let length = varint(content.len() as u64, parent.padding);
                [parent.tag.as_slice(), &length, &content].concat()
            }
        }
    }

    /// What is left if `level` decides. `above` is the decision of an outer level, if that level
    /// decides.
    fn left(&self, level: Level, above: Option<bool>) -> Left {
        match self {
            Self::Other(bytes) => Left { bytes: bytes.clone(), ..Left::default() },
            Self::Record { bytes, named } if above.unwrap_or(*named) => {
                Left { bytes: bytes.clone(), kept: 1, dropped: 0 }
            }
            Self::Record { .. } => Left { dropped: 1, ..Left::default() },
            Self::Parent(parent) => {
                let decides = parent.level == Some(level);
                let mut left =
                    left(&parent.children, level, above.or(decides.then_some(parent.named)));
                if left.dropped == 0 {
                    left.bytes = self.sent();
                } else if left.kept == 0 {
                    left.bytes.clear();
                } else {
                    let length = varint(left.bytes.len() as u64, 0);
                    left.bytes = [parent.tag.as_slice(), &length, &left.bytes].concat();
                }
                left
            }
        }
    }
}

fn left(fields: &[Field], level: Level, above: Option<bool>) -> Left {
    fields.iter().fold(Left::default(), |mut all, field| {
        let left = field.left(level, above);
        all.bytes.extend(left.bytes);
        all.kept += left.kept;
        all.dropped += left.dropped;
        all
    })
}

/// A varint that is `padding` bytes longer than necessary, up to ten bytes.
fn varint(mut value: u64, padding: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    for _ in 0..padding.min(10 - bytes.len()) {
        *bytes.last_mut().unwrap() |= 0x80;
        bytes.push(0);
    }
    bytes
}

fn tag(number: u32, wire_type: u64, padding: usize) -> Vec<u8> {
    varint(u64::from(number) << 3 | wire_type, padding)
}

fn nested(number: u32, content: &[u8], padding: usize) -> Vec<u8> {
    let length = varint(content.len() as u64, padding);
    [tag(number, 2, padding).as_slice(), &length, content].concat()
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
    (0..depth).fold(nested(1, b"bottom", 0), |value, _| nested(5, &nested(1, &value, 0), 0))
}

/// A `KeyValue` with this key and some value.
fn attribute(key: &'static str) -> impl Strategy<Value = Vec<u8>> {
    let value = prop_oneof![
        "[a-z]{1,9}".prop_map(|text| nested(1, text.as_bytes(), 0)),
        (0..150_usize).prop_map(deep),
        any::<u64>().prop_map(|number| [tag(3, 0, 0), varint(number, 0)].concat()),
    ];
    (value, vec(unknown(), 0..2), padding(), any::<bool>()).prop_map(
        move |(value, unknown, padding, value_first)| {
            let value = nested(2, &[value, unknown.concat()].concat(), padding);
            let key = nested(1, key.as_bytes(), padding);
            if value_first { [value, key].concat() } else { [key, value].concat() }
        },
    )
}

/// An owner of attributes in field `number`: its content, and whether it has the attribute.
fn owner(number: u32) -> impl Strategy<Value = (Vec<u8>, bool)> {
    let named = option::of(attribute(KEY));
    let others = vec(prop_oneof![attribute("other"), attribute("source_name")], 0..3);
    (named, others, vec(unknown(), 0..3), padding()).prop_flat_map(
        move |(named, others, mut fields, padding)| {
            let is_named = named.is_some();
            let attributes = others.into_iter().chain(named);
            fields.extend(attributes.map(|attribute| nested(number, &attribute, padding)));
            Just(fields).prop_shuffle().prop_map(move |fields| (fields.concat(), is_named))
        },
    )
}

fn record(number: u32, attributes: u32) -> impl Strategy<Value = Field> {
    (owner(attributes), padding()).prop_map(move |((content, named), padding)| Field::Record {
        bytes: nested(number, &content, padding),
        named,
    })
}

/// A parent in field `number` with `children` in any order, and with its resource or scope if it
/// has one.
fn parent(
    number: u32,
    level: Option<Level>,
    own: impl Strategy<Value = Option<(Vec<u8>, bool)>>,
    children: impl Strategy<Value = Vec<Field>>,
) -> impl Strategy<Value = Field> {
    let others = vec(unknown().prop_map(Field::Other), 0..2);
    (own, children, others, padding()).prop_flat_map(move |(own, mut children, others, padding)| {
        let named = own.as_ref().is_some_and(|(_, named)| *named);
        children.extend(own.map(|(own, _)| Field::Other(nested(1, &own, padding))));
        children.extend(others);
        Just(children).prop_shuffle().prop_map(move |children| {
            let tag = tag(number, 2, padding);
            Field::Parent(Parent { tag, padding, level, named, children })
        })
    })
}

/// A metric with one kind of data or none.
fn metric() -> impl Strategy<Value = Field> {
    let kind = prop::sample::select(vec![(5, 7), (7, 7), (9, 9), (10, 1), (11, 7)]);
    let data = kind.prop_flat_map(|(data, attributes)| {
        parent(data, None, Just(None), vec(record(1, attributes), 0..4))
    });
    // Without data, unknown fields would be data of an unknown kind and count as data points.
    let empty = Field::Other(nested(2, &nested(1, b"empty", 0), 0));
    prop_oneof![4 => parent(2, None, Just(None), vec(data, 1..2)), 1 => Just(empty)]
}

/// The fields of an export request.
fn request(signal: Signal) -> impl Strategy<Value = Vec<Field>> {
    let record = match signal {
        Signal::Logs | Signal::Profiles => record(2, 6).boxed(),
        Signal::Metrics => metric().boxed(),
        Signal::Traces => record(2, 9).boxed(),
    };
    let scope = parent(2, Some(Level::Scope), option::of(owner(3)), vec(record, 0..3));
    let entry = parent(1, Some(Level::Resource), option::of(owner(1)), vec(scope, 0..3));
    vec(prop_oneof![8 => entry.boxed(), 1 => unknown().prop_map(Field::Other).boxed()], 0..4)
}

fn any_request() -> impl Strategy<Value = (Signal, Vec<Field>)> {
    // A profile has no attributes of its own to check.
    prop::sample::select(vec![Signal::Logs, Signal::Metrics, Signal::Traces])
        .prop_flat_map(|signal| (Just(signal), request(signal)))
}

fn sent(request: &[Field]) -> Vec<u8> {
    request.iter().flat_map(Field::sent).collect()
}

/// Every entry of `level`.
fn entries(fields: &mut [Field], level: Option<Level>) -> Vec<&mut Parent> {
    let mut found = Vec::new();
    for field in fields {
        if let Field::Parent(parent) = field {
            if parent.level == level {
                found.push(parent);
            } else {
                found.extend(entries(&mut parent.children, level));
            }
        }
    }
    found
}

/// Adds a field somewhere in some entry of `level`; returns whether there was one.
fn insert(
    request: &mut [Field],
    level: Option<Level>,
    (which, place): (Index, Index),
    field: &[u8],
) -> bool {
    let entries = entries(request, level);
    let chosen = which.index(entries.len().max(1));
    let Some(entry) = entries.into_iter().nth(chosen) else { return false };
    let children = &mut entry.children;
    children.insert(place.index(children.len() + 1), Field::Other(field.to_vec()));
    true
}

fn is_refused_as_repeated(signal: Signal, request: &[Field], decides: Level) -> bool {
    let mut policy = Required { level: decides, dropped: 0 };
    let read = splice_export(&request_of(&sent(request), 0, signal), &mut policy);
    matches!(read, Err(Unreadable::Malformed(Malformed { fault: Fault::REPEATED, .. })))
}

fn any_level() -> impl Strategy<Value = Level> {
    prop::sample::select(vec![Level::Resource, Level::Scope, Level::Record])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn a_second_resource_anywhere_is_refused(
        (signal, mut request) in any_request(), at in any::<(Index, Index)>(), decides in any_level(),
    ) {
        for _ in 0..2 {
            prop_assume!(insert(&mut request, Some(Level::Resource), at, &nested(1, &[], 0)));
        }
        prop_assert!(is_refused_as_repeated(signal, &request, decides));
    }

    #[test]
    fn a_second_scope_anywhere_is_refused_where_scopes_decide(
        (signal, mut request) in any_request(), at in any::<(Index, Index)>(),
    ) {
        for _ in 0..2 {
            prop_assume!(insert(&mut request, Some(Level::Scope), at, &nested(1, &[], 0)));
        }
        prop_assert!(is_refused_as_repeated(signal, &request, Level::Scope));
    }

    #[test]
    fn a_second_kind_of_data_in_any_metric_is_refused_where_data_points_decide(
        mut request in request(Signal::Metrics), at in any::<(Index, Index)>(),
    ) {
        for kind in [5, 11] {
            prop_assume!(insert(&mut request, None, at, &nested(kind, &[], 0)));
        }
        prop_assert!(is_refused_as_repeated(Signal::Metrics, &request, Level::Record));
    }

    #[test]
    fn what_is_left_is_as_it_came(
        (signal, request) in any_request(), level in any_level(), at in 0..9_usize,
    ) {
        let bytes = sent(&request);
        let expected = left(&request, level, None);
        let (spliced, edited) = spliced(&bytes, signal, level);
        prop_assert_eq!((spliced.dropped, spliced.kept), (expected.dropped, expected.kept > 0));
        prop_assert_eq!(&edited, &expected.bytes);
        if expected.dropped == 0 {
            prop_assert!(spliced.edits.is_empty());
            prop_assert_eq!(&edited, &bytes);
        }
        // The same after a frame, which is removed together with the cuts.
        let mut framed = [vec![0xff; at], bytes].concat();
        let mut policy = Required { level, dropped: 0 };
        let spliced = splice_export(&request_of(&framed[at..], at, signal), &mut policy).unwrap();
        spliced.edits.apply(&mut framed, at).unwrap();
        prop_assert_eq!(framed, expected.bytes);
    }
}
