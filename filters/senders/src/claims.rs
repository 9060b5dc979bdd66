//! The values of a claim, as Envoy hands them out.

/// The one text that a claim is, out of the attribute in which Envoy has it; `None` for none, for several, and for what
/// is no text.
#[must_use]
pub fn only_value(attribute: &[u8]) -> Option<&str> {
    match values(attribute)[..] {
        [value] => Some(value),
        _ => None,
    }
}

/// The texts in an attribute: one that is a text is itself, one that is a list has one or more, anything else none.
///
/// A list comes as proxy-wasm writes pairs, each with an element and nothing (`serializeValue` in Envoy's
/// `source/extensions/common/wasm/context.cc`). A text could be written to look like one; whoever may write a whole claim
/// as he likes may as well name himself in it. A text with control characters names nobody.
pub(crate) fn values(attribute: &[u8]) -> Vec<&str> {
    let values = elements(attribute).unwrap_or_else(|| vec![attribute]);
    let is_plain = |value: &&str| !value.is_empty() && !value.contains(char::is_control);
    values.into_iter().filter_map(|value| str::from_utf8(value).ok()).filter(is_plain).collect()
}

/// The elements of a list: a count, for each pair the sizes of both sides, and for each pair both, each with a zero
/// behind it. Numbers are 32 bits, the lowest first.
fn elements(attribute: &[u8]) -> Option<Vec<&[u8]>> {
    let (count, rest) = number(attribute)?;
    let (sizes, mut texts) = rest.split_at_checked(count.checked_mul(8)?)?;
    let mut sizes = sizes.chunks_exact(4).filter_map(|size| number(size).map(|(size, _)| size));
    let mut elements = Vec::new();
    while let (Some(first), Some(second)) = (sizes.next(), sizes.next()) {
        elements.push(text(&mut texts, first)?);
        text(&mut texts, second)?.is_empty().then_some(())?;
    }
    texts.is_empty().then_some(elements)
}

fn number(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (number, rest) = bytes.split_first_chunk::<4>()?;
    Some((usize::try_from(u32::from_le_bytes(*number)).ok()?, rest))
}

fn text<'a>(texts: &mut &'a [u8], size: usize) -> Option<&'a [u8]> {
    let (text, rest) = texts.split_at_checked(size)?;
    *texts = rest.strip_prefix(&[0])?;
    Some(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// As Envoy writes a list.
    pub(crate) fn list(elements: &[&str]) -> Vec<u8> {
        let number = |number: usize| u32::try_from(number).unwrap().to_le_bytes();
        let mut bytes = number(elements.len()).to_vec();
        for element in elements {
            bytes.extend(number(element.len()));
            bytes.extend(number(0));
        }
        for element in elements {
            bytes.extend(element.as_bytes());
            bytes.extend([0, 0]);
        }
        bytes
    }

    #[test]
    fn what_is_no_text_has_no_values() {
        for attribute in [&b""[..], b"\0", b"a\nb", &[0xff], &8.5_f64.to_le_bytes(), &list(&[])] {
            assert_eq!(values(attribute), Vec::<&str>::new(), "{attribute:?}");
        }
    }

    #[test]
    fn a_map_is_no_list() {
        let mut map = list(&["key"]);
        // Its second side has a byte.
        map.splice(8..12, 1_u32.to_le_bytes());
        map.insert(map.len() - 1, b'v');
        assert_eq!(values(&map), Vec::<&str>::new());
    }

    #[test]
    fn a_text_is_one_value_and_a_list_has_its_own() {
        assert_eq!(values(b"payments"), ["payments"]);
        assert_eq!(values(&list(&["/a/writers", "", "b"])), ["/a/writers", "b"]);
        assert_eq!(values(&list(&["a", "b\0"])), ["a"]);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _any = values(&bytes);
        }

        #[test]
        fn every_list_is_read_back(elements in proptest::collection::vec("[!-~]{1,20}", 0..8)) {
            let elements: Vec<_> = elements.iter().map(String::as_str).collect();
            let written = list(&elements);
            prop_assert_eq!(values(&written), elements);
        }
    }
}
