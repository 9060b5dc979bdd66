//! JSON in unusual but valid forms: members in any order, white space, escapes, unknown members, integers as numbers
//! and as strings.

use serde_json::{Map, Value};

/// Writes a message in a form that `seed` determines.
#[must_use]
pub fn write(message: &Value, seed: u64) -> String {
    let mut scribe = Scribe { dice: Dice::new(seed), text: String::new() };
    scribe.value(message, "");
    scribe.text
}

/// A sequence of numbers determined by a seed.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// The sequence of this seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number, less than `count`.
    pub const fn below(&mut self, count: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ mixed >> 31) % count
    }

    /// One of `choices`, of which there is at least one.
    pub fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.index(choices.len())]
    }

    fn index(&mut self, count: usize) -> usize {
        usize::try_from(self.below(count as u64)).expect("it is less than a usize")
    }
}

/// Writes requests in unusual but valid forms.
struct Scribe {
    dice: Dice,
    text: String,
}

impl Scribe {
    fn space(&mut self) {
        self.text += self.dice.of(&["", "", "", "", " ", "\n  ", "\r\n\t"]);
    }

    fn value(&mut self, value: &Value, name: &str) {
        self.space();
        match value {
            Value::Object(members) => self.object(members, name),
            Value::Array(elements) => {
                self.text.push('[');
                for (index, element) in elements.iter().enumerate() {
                    self.text += if index > 0 { "," } else { "" };
                    self.value(element, name);
                }
                self.space();
                self.text.push(']');
            }
            Value::String(text) if name == "intValue" && self.dice.below(2) == 0 => {
                self.text += text;
            }
            Value::String(text) if VERBATIM.contains(&name) => self.text += &format!("\"{text}\""),
            Value::String(text) => self.string(text, name == "stringValue"),
            other => self.text += &other.to_string(),
        }
        self.space();
    }

    fn object(&mut self, members: &Map<String, Value>, called: &str) {
        let mut members: Vec<_> =
            members.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        for _ in 0..self.dice.below(8).saturating_sub(5) {
            let unknown = match self.dice.of(&UNKNOWN) {
                // An unknown object in a metric could count as its data.
                object if object.starts_with('{') && called == "metrics" => "true",
                unknown => unknown,
            };
            let unknown = serde_json::from_str(unknown).expect("it is JSON");
            members.push((UNKNOWN_NAME.to_owned(), unknown));
        }
        for index in (1..members.len()).rev() {
            members.swap(index, self.dice.index(index + 1));
        }
        self.text.push('{');
        for (index, (name, value)) in members.iter().enumerate() {
            self.text += if index > 0 { "," } else { "" };
            self.space();
            self.string(name, false);
            self.space();
            self.text.push(':');
            self.value(value, name);
        }
        self.space();
        self.text.push('}');
    }

    /// Writes a string. U+FFFD may be written as [half a surrogate pair](HALF).
    fn string(&mut self, text: &str, halves: bool) {
        self.text.push('"');
        for character in text.chars() {
            // If the character were escaped, readers would combine its first half with the half before it; and who
            // looks for that escape would find it in the character's second half.
            let is_of_halves = self.text.ends_with(HALF) || u32::from(character) & 0x3ff == 0x3ff;
            if halves && character == '\u{fffd}' && self.dice.below(2) == 0 {
                self.text += HALF;
            } else if is_of_halves && character > '\u{ffff}' {
                self.text.push(character);
            } else if self.dice.below(16) == 0 || character < ' ' || "\"\\".contains(character) {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    self.text += &format!("\\u{unit:04X}");
                }
            } else {
                self.text.push(character);
            }
        }
        self.text.push('"');
    }
}

/// The name of members that OTLP does not have.
pub const UNKNOWN_NAME: &str = "zz";

/// What such members hold.
const UNKNOWN: [&str; 5] =
    [r#"{"key":["]",{"values":[{}]}]}"#, r#""\"}""#, "null", "-1.5e+3", "[[],[{}]]"];

/// Members in which backends do not read escapes.
const VERBATIM: [&str; 4] = ["traceId", "spanId", "parentSpanId", "bytesValue"];

/// An escape that the backends' readers read as U+FFFD, and that a plain JSON reader refuses.
pub const HALF: &str = r"\uDFFF";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_pair_is_found_only_where_it_was_written() {
        let text = Value::from("\u{1c3ff}".repeat(20));
        for seed in 0..50 {
            assert!(!write(&text, seed).contains(HALF));
        }
    }
}
