//! Protobuf, byte by byte, for what no encoder writes. <https://protobuf.dev/programming-guides/encoding/>

/// A varint that is `padding` bytes longer than necessary, up to ten bytes.
#[must_use]
pub fn varint(mut value: u64, padding: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(low_bits(value) | 0x80);
        value >>= 7;
    }
    bytes.push(low_bits(value));
    for _ in 0..padding.min(10 - bytes.len()) {
        if let Some(last) = bytes.last_mut() {
            *last |= 0x80;
        }
        bytes.push(0);
    }
    bytes
}

fn low_bits(value: u64) -> u8 {
    (value & 0x7f) as u8
}

/// A field's tag, `padding` bytes longer than necessary.
#[must_use]
pub fn tag(number: u32, wire_type: u64, padding: usize) -> Vec<u8> {
    varint(u64::from(number) << 3 | wire_type, padding)
}

/// A length-delimited field (wire type 2).
#[must_use]
pub fn field(number: u32, content: &[u8]) -> Vec<u8> {
    padded(number, content, 0)
}

/// The same, with a tag and a length that are each `padding` bytes longer than necessary.
#[must_use]
pub fn padded(number: u32, content: &[u8], padding: usize) -> Vec<u8> {
    let length = varint(content.len() as u64, padding);
    [tag(number, 2, padding).as_slice(), &length, content].concat()
}

/// The content of an attribute (`KeyValue`) with an encoded value.
#[must_use]
pub fn pair(key: &[u8], value: &[u8]) -> Vec<u8> {
    [field(1, key), field(2, value)].concat()
}

/// The content of a value (`AnyValue`) that is a text.
#[must_use]
pub fn text(text: &[u8]) -> Vec<u8> {
    field(1, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_varint_is_as_long_as_it_shall_be() {
        assert_eq!(varint(300, 0), [0xac, 0x02]);
        assert_eq!(varint(300, 2), [0xac, 0x82, 0x80, 0x00]);
        assert_eq!(varint(u64::MAX, 5).len(), 10);
        for (value, padding) in [(0, 0), (0, 20), (127, 1), (128, 3), (u64::MAX, 0)] {
            let bytes = varint(value, padding);
            let read = prost::encoding::decode_varint(&mut bytes.as_slice());
            assert_eq!(read.ok(), Some(value));
        }
    }
}
