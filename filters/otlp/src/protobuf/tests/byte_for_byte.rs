//! A cut leaves everything else as it was, byte for byte: unknown fields at every level, varints
//! that are longer than necessary, fields in any order, values of any depth, empty parents.
//!
//! A request is a tree of [`Field`]s, which knows its bytes. The tests say what must be left of them. No
//! decoder is involved.

use proptest::{
    prelude::*,
    sample::{Index, select},
};
use sluice_telemetry::{
    raw::{self, Field, Level, Parent, sent},
    wire::{field, varint},
};
use sluice_wire::{Fault, Malformed, Unreadable};

use super::{
    oracle::{Required, spliced},
    request_of,
};
use crate::{Signal, splice_export};

/// What is left of a field.
#[derive(Default)]
struct Left {
    bytes: Vec<u8>,
    kept: u64,
    dropped: u64,
}

/// What is left of a field if `level` decides. `above` is the decision of an outer level, if that
/// level decides.
fn left_of(field: &Field, level: Level, above: Option<bool>) -> Left {
    match field {
        Field::Other(bytes) => Left { bytes: bytes.clone(), ..Left::default() },
        Field::Record { bytes, named } if above.unwrap_or(*named) => {
            Left { bytes: bytes.clone(), kept: 1, dropped: 0 }
        }
        Field::Record { .. } => Left { dropped: 1, ..Left::default() },
        Field::Parent(parent) => {
            let decides = parent.level == Some(level);
            let mut left = left(&parent.children, level, above.or(decides.then_some(parent.named)));
            if left.dropped == 0 {
                left.bytes = field.sent();
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

fn left(fields: &[Field], level: Level, above: Option<bool>) -> Left {
    fields.iter().fold(Left::default(), |mut all, field| {
        let left = left_of(field, level, above);
        all.bytes.extend(left.bytes);
        all.kept += left.kept;
        all.dropped += left.dropped;
        all
    })
}

/// A request of any signal whose records have attributes. A profile has none of its own.
fn any_request() -> impl Strategy<Value = (Signal, Vec<Field>)> {
    prop_oneof![
        raw::logs().prop_map(|request| (Signal::Logs, request)),
        raw::metrics().prop_map(|request| (Signal::Metrics, request)),
        raw::traces().prop_map(|request| (Signal::Traces, request)),
    ]
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
    select(&Level::ALL[..])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn a_second_resource_anywhere_is_refused(
        (signal, mut request) in any_request(), at in any::<(Index, Index)>(), decides in any_level(),
    ) {
        for _ in 0..2 {
            prop_assume!(insert(&mut request, Some(Level::Resource), at, &field(1, &[])));
        }
        prop_assert!(is_refused_as_repeated(signal, &request, decides));
    }

    #[test]
    fn a_second_scope_anywhere_is_refused_where_scopes_decide(
        (signal, mut request) in any_request(), at in any::<(Index, Index)>(),
    ) {
        for _ in 0..2 {
            prop_assume!(insert(&mut request, Some(Level::Scope), at, &field(1, &[])));
        }
        prop_assert!(is_refused_as_repeated(signal, &request, Level::Scope));
    }

    #[test]
    fn a_second_kind_of_data_in_any_metric_is_refused_where_data_points_decide(
        mut request in raw::metrics(), at in any::<(Index, Index)>(),
    ) {
        for kind in [5, 11] {
            prop_assume!(insert(&mut request, None, at, &field(kind, &[])));
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
