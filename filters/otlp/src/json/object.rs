//! Objects of a few members, such as a backend's reply.

use super::{
    check::check,
    string::unescaped,
    text::{Node, Text},
};

/// The deepest nesting of objects and arrays: a reply has three levels.
const DEPTH: usize = 16;

/// An object in a text that is JSON to its last byte.
#[derive(Clone, Debug)]
pub struct Object<'a> {
    text: Text<'a>,
    node: Node,
}

impl<'a> Object<'a> {
    /// Reads `text` as an object; `None` if it is not one, or is nested more than 16 levels deep.
    #[must_use]
    pub fn read(text: &'a [u8]) -> Option<Self> {
        let text = Text::new(text, check(text, DEPTH).ok()?);
        Some(Self { node: text.root(), text })
    }

    /// Returns the member with the first of these names that exists, if it is an object. A member
    /// that occurs twice or in another spelling counts as missing.
    #[must_use]
    pub fn object(&self, names: &[&str]) -> Option<Self> {
        let node = self.text.object(self.member(names)).ok()??;
        Some(Self { text: self.text.clone(), node })
    }

    /// Like [`Self::object`], for a string; returns its content.
    #[must_use]
    pub fn string(&self, names: &[&str]) -> Option<String> {
        let content = self.text.string(self.member(names)).ok()??;
        String::from_utf8(unescaped(content).into_owned()).ok()
    }

    /// Like [`Self::object`], for an integer: a number, or a string that holds one.
    #[must_use]
    pub fn integer(&self, names: &[&str]) -> Option<i64> {
        self.text.integer(self.member(names)).ok()?
    }

    fn member(&self, names: &[&str]) -> Option<Node> {
        names.iter().find_map(|name| self.text.members(self.node, &[name]).ok()?[0])
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    proptest! {
        #[test]
        fn members_are_what_serde_json_reads(
            text in any::<String>(),
            number in any::<i64>(),
            other in "[b-z]{1,8}",
        ) {
            let inner = json!({"text": text, "number": number, "a": {other: [text, null, 1.5]}});
            let json = json!({"inner": inner}).to_string();
            let inner = Object::read(json.as_bytes()).and_then(|object| object.object(&["inner"]));
            let inner = inner.unwrap();
            prop_assert_eq!(inner.string(&["no", "text"]), Some(text));
            prop_assert_eq!(inner.integer(&["number"]), Some(number));
        }

        #[test]
        fn what_serde_json_does_not_read_is_not_read(bytes in "[{}\\[\\]\",:a1\\\\ ]{0,12}") {
            if Object::read(bytes.as_bytes()).is_some() {
                prop_assert!(serde_json::from_str::<Value>(&bytes).is_ok_and(|read| read.is_object()));
            }
        }
    }

    #[test]
    fn members_are_found_by_any_of_their_names() {
        let text = br#" {"a_b": {"s": "\u00fc\n", "n": "-7", "m": 8}, "c": null, "d": [1]} "#;
        let object = Object::read(text).unwrap();
        let inner = object.object(&["aB", "a_b"]).unwrap();
        assert_eq!(inner.string(&["s"]).as_deref(), Some("\u{fc}\n"));
        assert_eq!((inner.integer(&["n"]), inner.integer(&["m"])), (Some(-7), Some(8)));
        assert!(object.object(&["c"]).is_none() && object.object(&["d"]).is_none());
        assert!(object.string(&["d"]).is_none() && inner.integer(&["s"]).is_none());
    }

    #[test]
    fn what_is_there_twice_is_not_there() {
        let object = Object::read(br#"{"s": "a", "s": "b", "tU": "c", "t_u": "d"}"#).unwrap();
        assert_eq!((object.string(&["s"]), object.string(&["tU", "t_u"])), (None, None));
    }

    #[test]
    fn what_is_no_object_is_not_read() {
        let deep = format!("{}{}", "{\"a\":".repeat(DEPTH + 1), "}".repeat(DEPTH + 1));
        for text in [&b""[..], b"[]", b"{", b"{} {}", b"{\"a\": \xff}", deep.as_bytes()] {
            assert!(Object::read(text).is_none(), "{text:?}");
        }
    }
}
