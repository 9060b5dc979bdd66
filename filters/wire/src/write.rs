//! Writes the fields that are inserted into a message.

/// `value` as a minimal varint, and how many of the returned bytes it uses.
#[must_use]
pub fn varint_bytes(mut value: usize) -> ([u8; 10], usize) {
    let mut bytes = [0; 10];
    let mut length: usize = 0;
    for slot in &mut bytes {
        length = length.saturating_add(1);
        #[expect(clippy::cast_possible_truncation, reason = "masked to seven bits")]
        let low = (value & 0x7f) as u8;
        value >>= 7;
        if value == 0 {
            *slot = low;
            break;
        }
        *slot = low | 0x80;
    }
    (bytes, length)
}

/// The tag and the length of a length-delimited field whose number is under 16, and how many of the
/// returned bytes they use.
#[must_use]
pub fn field_head(number: u32, length: usize) -> ([u8; 11], usize) {
    const LENGTH_DELIMITED: u32 = 2;
    let mut head = [0; 11];
    let (length, count) = varint_bytes(length);
    let tag = u8::try_from(number << 3 | LENGTH_DELIMITED).unwrap_or_default();
    let bytes = [tag].into_iter().chain(length);
    head.iter_mut().zip(bytes).for_each(|(slot, byte)| *slot = byte);
    (head, count.saturating_add(1))
}

/// Writes a length-delimited field whose number is under 16. It is used for text from the gate's
/// own configuration, so it does not check for memory.
pub fn push_field(message: &mut Vec<u8>, number: u32, content: &[u8]) {
    let (head, count) = field_head(number, content.len());
    message.extend_from_slice(head.get(..count).unwrap_or_default());
    message.extend_from_slice(content);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_are_written_minimally() {
        for (value, expected) in [
            (0, &[0][..]),
            (127, &[0x7f]),
            (128, &[0x80, 0x01]),
            (16_384, &[0x80, 0x80, 0x01]),
            (usize::MAX, &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]),
        ] {
            let (bytes, length) = varint_bytes(value);
            assert_eq!(&bytes[..length], expected);
        }
    }
}
