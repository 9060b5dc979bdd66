//! Finds the path of an error in a JSON text: `senders.allow[2].until`.
//!
//! `serde_json` gives a line and a column, but people need the key. Tracking the path while reading
//! would add a seventh to the module's size; this code reads the text again only if it is wrong.

/// The path of the last value or key in `json` that starts before `line` and `column`, both counted
/// from 1 and in bytes, as `serde_json::Error` gives them. Empty for the text as a whole.
pub(crate) fn path(json: &[u8], line: usize, column: usize) -> String {
    let mut path = Path::default();
    let mut rest = json.get(..offset(json, line, column)).unwrap_or(json);
    while let Some((first, behind)) = rest.split_first() {
        rest = match first {
            b'{' | b'[' => {
                path.open(*first == b'[');
                behind
            }
            b'}' | b']' => {
                path.levels.pop();
                behind
            }
            b',' => {
                path.next();
                behind
            }
            b'"' => {
                let (text, behind) = string(behind);
                path.string(text);
                behind
            }
            _ => behind,
        };
    }
    path.to_string()
}

/// The number of bytes before a line and a column.
fn offset(json: &[u8], line: usize, column: usize) -> usize {
    let lines = json.split_inclusive(|byte| *byte == b'\n').take(line.saturating_sub(1));
    lines.map(<[u8]>::len).sum::<usize>().saturating_add(column)
}

/// A string without its quotes, and what follows it.
fn string(text: &[u8]) -> (&[u8], &[u8]) {
    let mut escaped = false;
    let end = text.iter().position(|byte| {
        let ends = *byte == b'"' && !escaped;
        escaped = *byte == b'\\' && !escaped;
        ends
    });
    let (string, rest) = text.split_at_checked(end.unwrap_or(text.len())).unwrap_or((text, &[]));
    (string, rest.get(1..).unwrap_or_default())
}

/// The objects and arrays that are open.
#[derive(Default)]
struct Path<'j> {
    levels: Vec<Level<'j>>,
}

enum Level<'j> {
    Array(usize),
    /// An object, and its latest key. If `in_key`, a key comes next.
    Object {
        key: Option<&'j [u8]>,
        in_key: bool,
    },
}

impl<'j> Path<'j> {
    fn open(&mut self, is_array: bool) {
        self.levels.push(if is_array {
            Level::Array(0)
        } else {
            Level::Object { key: None, in_key: true }
        });
    }

    fn next(&mut self) {
        match self.levels.last_mut() {
            Some(Level::Array(index)) => *index = index.saturating_add(1),
            Some(Level::Object { in_key, .. }) => *in_key = true,
            None => {}
        }
    }

    fn string(&mut self, text: &'j [u8]) {
        if let Some(Level::Object { key, in_key: in_key @ true }) = self.levels.last_mut() {
            (*key, *in_key) = (Some(text), false);
        }
    }
}

impl std::fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut dot = "";
        for level in &self.levels {
            match level {
                Level::Array(index) => write!(f, "[{index}]")?,
                Level::Object { key: Some(key), .. } => {
                    write!(f, "{dot}{}", String::from_utf8_lossy(key))?;
                }
                Level::Object { key: None, .. } => {}
            }
            dot = ".";
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_thing_before_an_error_is_named() {
        let json = br#"{
  "a": {"b": [{"c": 1}, {"d \"e": [true, "x,y"]}]},
  "f": {"g": {}}
}"#;
        for (line, column, expected) in [
            (1, 1, ""),
            (2, 5, "a"),
            (2, 12, "a.b"),
            (2, 20, "a.b[0].c"),
            (2, 22, "a.b[0]"),
            (2, 34, r#"a.b[1].d \"e"#),
            (2, 39, r#"a.b[1].d \"e[0]"#),
            (2, 45, r#"a.b[1].d \"e[1]"#),
            (3, 15, "f.g"),
            (3, 16, "f"),
            (4, 1, ""),
            (99, 99, ""),
        ] {
            assert_eq!(path(json, line, column), expected, "{line}:{column}");
        }
    }

    #[test]
    fn no_text_makes_it_panic() {
        for json in [&b"]]}},,\"\\"[..], b"\"", b"{\"a", b"{,,", b"\xff\"\xff"] {
            path(json, 1, json.len());
        }
    }
}
