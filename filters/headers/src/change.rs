//! The fewest calls of Envoy that carry out several edits.

use crate::{HeaderEdit, Headers};

/// What has to be done with a map so that all edits are made. Each call of Envoy costs as much as several headers, so
/// at most one is needed; only a map that Envoy would not accept as a whole is edited header by header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MapChange<'a> {
    /// Nothing: the map already is as the edits would have it.
    Nothing,
    /// Remove every copy of this header.
    Remove(&'a str),
    /// Add this header, of which there is no copy.
    Add(&'a str, &'a str),
    /// Replace the value of this pseudo header, or add it.
    Replace(&'a str, &'a str),
    /// Replace the whole map: Envoy removes every header and adds these in their order
    /// (`Context::setHeaderMapPairs` in `source/extensions/common/wasm/context.cc`).
    All(Vec<(&'a str, &'a [u8])>),
    /// Make the edits one by one.
    OneByOne,
}

/// The most that proxy-wasm-cpp-host reads of a map (`PROXY_WASM_HOST_PAIRS_MAX_COUNT` and `..._MAX_BYTES` in
/// `include/proxy-wasm/limits.h`). It takes a larger one for an empty one, and would remove every header.
const MAX_PAIRS: usize = 1024;
const MAX_BYTES: usize = 1 << 20;
/// How many bytes of that a header takes apart from its name and its value: two lengths, two zero bytes.
const PAIR_BYTES: usize = 10;

impl<'a> MapChange<'a> {
    /// What to do with a map that has these headers.
    #[must_use]
    pub fn of(headers: Headers<'a>, edits: &'a [HeaderEdit]) -> Self {
        // In a request, Envoy's `host` is `:authority`, whose name is not in the map.
        if !fits(headers.0.iter().map(|(name, value)| (name.len(), value.len())))
            || edits.iter().any(|edit| edit.name().eq_ignore_ascii_case("host"))
        {
            return Self::OneByOne;
        }
        let mut map: Vec<(&str, &[u8])> =
            headers.0.iter().map(|(name, value)| (name.as_str(), value.as_slice())).collect();
        let mut change = Self::Nothing;
        for edit in edits {
            let next = match edit {
                HeaderEdit::Remove(name) => remove(&mut map, name),
                HeaderEdit::Set(name, value) => set(&mut map, name, value),
            };
            change = match (change, next) {
                (change, Self::Nothing) => change,
                (Self::Nothing, next) => next,
                _ => Self::All(Vec::new()),
            };
        }
        match change {
            Self::All(_) if !fits(map.iter().map(|(name, value)| (name.len(), value.len()))) => {
                Self::OneByOne
            }
            Self::All(_) => Self::All(map),
            change => change,
        }
    }

    /// How much memory it takes to set a whole map, in bytes: proxy-wasm writes all pairs one after the other.
    #[must_use]
    pub fn bytes_of_all(map: &[(&str, &[u8])]) -> usize {
        size(map.iter().map(|(name, value)| (name.len(), value.len()))).1
    }
}

fn fits(sizes: impl Iterator<Item = (usize, usize)>) -> bool {
    let (pairs, bytes) = size(sizes);
    pairs <= MAX_PAIRS && bytes <= MAX_BYTES
}

/// The number of pairs, and their bytes as proxy-wasm writes them.
fn size(sizes: impl Iterator<Item = (usize, usize)>) -> (usize, usize) {
    sizes.fold((0, 4), |(pairs, bytes): (usize, usize), (name, value)| {
        let pair = name.saturating_add(value).saturating_add(PAIR_BYTES);
        (pairs.saturating_add(1), bytes.saturating_add(pair))
    })
}

fn remove<'a>(map: &mut Vec<(&'a str, &'a [u8])>, name: &'a str) -> MapChange<'a> {
    let before = map.len();
    map.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
    if map.len() == before { MapChange::Nothing } else { MapChange::Remove(name) }
}

fn set<'a>(map: &mut Vec<(&'a str, &'a [u8])>, name: &'a str, value: &'a str) -> MapChange<'a> {
    let mut copies = map.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
    let (first, second) = (copies.next(), copies.next());
    if first.is_some_and(|(_, known)| *known == value.as_bytes()) && second.is_none() {
        return MapChange::Nothing;
    }
    let pair = (name, value.as_bytes());
    if !name.starts_with(':') {
        let is_new = first.is_none();
        map.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        map.push(pair);
        return if is_new { MapChange::Add(name, value) } else { MapChange::All(Vec::new()) };
    }
    // Envoy keeps one copy of a pseudo header, before all other headers.
    match map.iter_mut().find(|(known, _)| known.eq_ignore_ascii_case(name)) {
        Some(known) => *known = pair,
        None => map.insert(0, pair),
    }
    MapChange::Replace(name, value)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Map = Vec<(String, Vec<u8>)>;

    fn map(headers: &[(&str, &str)]) -> Map {
        headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec()))
            .collect()
    }

    /// Makes the edits in the plain way: one after the other, each copy of a header removed and one added.
    fn one_by_one(map: &mut Map, edits: &[HeaderEdit]) {
        for edit in edits {
            match edit {
                HeaderEdit::Remove(name) => map.retain(|(known, _)| known != name),
                HeaderEdit::Set(name, value) => {
                    map.retain(|(known, _)| known != name);
                    map.push((name.clone(), value.clone().into_bytes()));
                }
            }
        }
    }

    /// Makes the change as Envoy does.
    fn changed(mut map: Map, change: &MapChange<'_>, edits: &[HeaderEdit]) -> Map {
        match *change {
            MapChange::Nothing => {}
            MapChange::Remove(name) => one_by_one(&mut map, &[HeaderEdit::remove(name)]),
            MapChange::Add(name, value) => {
                assert!(
                    map.iter().all(|(known, _)| known != name),
                    "Envoy would join or keep both"
                );
                map.push((name.to_owned(), value.as_bytes().to_vec()));
            }
            MapChange::Replace(name, value) => {
                assert!(name.starts_with(':'), "older Envoys would replace the first copy only");
                one_by_one(&mut map, &[HeaderEdit::set(name, value)]);
            }
            MapChange::All(ref all) => {
                let owned = all.iter().map(|(name, value)| ((*name).to_owned(), value.to_vec()));
                return owned.collect();
            }
            MapChange::OneByOne => one_by_one(&mut map, edits),
        }
        map
    }

    /// Names and values, with the copies of a name in their order. That of different names means nothing.
    fn sorted(mut map: Map) -> Map {
        map.sort_by(|(one, _), (other, _)| one.cmp(other));
        map
    }

    #[test]
    fn one_edit_is_one_call_and_more_are_the_whole_map() {
        let headers = map(&[(":path", "/a"), ("te", "trailers"), ("x", "1"), ("x", "2")]);
        let [remove, set] = [HeaderEdit::remove, |name: &str| HeaderEdit::set(name, "new")];
        for (edits, expected) in [
            (vec![], MapChange::Nothing),
            (vec![remove("y"), HeaderEdit::set(":path", "/a")], MapChange::Nothing),
            (vec![HeaderEdit::set("te", "trailers"), remove("x")], MapChange::Remove("x")),
            (vec![set("y"), remove("z")], MapChange::Add("y", "new")),
            (vec![set(":path")], MapChange::Replace(":path", "new")),
            (
                vec![set("x")],
                MapChange::All(vec![(":path", b"/a"), ("te", b"trailers"), ("x", b"new")]),
            ),
            (
                vec![set(":path"), remove("te"), remove("x")],
                MapChange::All(vec![(":path", b"new")]),
            ),
            (vec![set("host"), remove("te")], MapChange::OneByOne),
        ] {
            assert_eq!(MapChange::of(Headers(&headers), &edits), expected, "{edits:?}");
        }
    }

    #[test]
    fn a_name_is_found_whatever_its_case_is() {
        let headers = map(&[("x-tenant", "a")]);
        let edits = [HeaderEdit::remove("X-Tenant")];
        assert_eq!(MapChange::of(Headers(&headers), &edits), MapChange::Remove("X-Tenant"));
    }

    #[test]
    fn a_map_that_envoy_would_take_for_an_empty_one_is_edited_one_by_one() {
        let edits = [HeaderEdit::remove("x"), HeaderEdit::set("y", "1"), HeaderEdit::set("z", "1")];
        let many = |count: usize| map(&vec![("a", "1"); count]);
        for (headers, whole) in [
            (many(1022), true),
            (many(1023), false),
            (many(1025), false),
            (map(&[("a", &"b".repeat((1 << 20) - 60))]), true),
            (map(&[("a", &"b".repeat(1 << 20))]), false),
            (map(&[("a", &"b".repeat((1 << 20) - 20))]), false),
        ] {
            let change = MapChange::of(Headers(&headers), &edits);
            assert_eq!(matches!(change, MapChange::All(_)), whole, "{} headers", headers.len());
            assert_eq!(change == MapChange::OneByOne, !whole);
        }
    }

    fn name() -> impl Strategy<Value = String> {
        prop::sample::select(vec![":path", ":method", "a", "b", "content-type", "x-scope-orgid"])
            .prop_map(str::to_owned)
    }

    proptest! {
        #[test]
        fn a_change_has_the_result_of_its_edits_one_by_one(
            headers in prop::collection::vec((name(), prop::collection::vec(any::<u8>(), 0..3)), 0..8),
            edits in prop::collection::vec(
                prop_oneof![
                    name().prop_map(HeaderEdit::Remove),
                    (name(), "[xy]{0,2}").prop_map(|(name, value)| HeaderEdit::Set(name, value)),
                ],
                0..6,
            ),
        ) {
            // Envoy has at most one copy of a pseudo header.
            let mut headers: Map = headers;
            let mut seen = Vec::new();
            headers.retain(|(name, _)| {
                let again = name.starts_with(':') && seen.contains(name);
                seen.push(name.clone());
                !again
            });
            let mut expected = headers.clone();
            one_by_one(&mut expected, &edits);
            let change = MapChange::of(Headers(&headers), &edits);
            prop_assert_eq!(sorted(changed(headers.clone(), &change, &edits)), sorted(expected));
        }
    }
}
