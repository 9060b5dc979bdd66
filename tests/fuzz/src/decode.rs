//! Decoding in every encoding, with a size limit.

use sluice_encodings::{DecodeError, Encoding, decode, wrap};
use sluice_wire::Room;

/// The size limit of a decoded body, in bytes.
const LIMIT: usize = 64 << 10;

/// The first byte of an input in `encoding`.
#[must_use]
pub fn choice(encoding: Encoding) -> u8 {
    encoding as u8
}

/// Decodes the bytes.
pub fn read(data: &[u8]) {
    let Some((choice, body)) = data.split_first() else { return };
    let encoding = Encoding::ALL[usize::from(*choice) % Encoding::ALL.len()];
    let _: Result<_, _> = decode(encoding, body, LIMIT);
}

/// The first byte chooses the encoding of the rest.
///
/// The limit decides whether a body is accepted, never what comes out. No more memory is used than the limit allows.
/// What the gate encodes can be decoded again.
pub fn run(data: &[u8]) {
    let Some((choice, body)) = data.split_first() else { return };
    let encoding = Encoding::ALL[usize::from(*choice) % Encoding::ALL.len()];
    let whole = decode(encoding, body, LIMIT);
    match &whole {
        Ok(decoded) => {
            assert!(decoded.len() <= LIMIT);
            assert!(decoded.capacity() <= LIMIT + 1, "{} bytes were kept", decoded.capacity());
            assert_eq!(decode(encoding, body, decoded.len()).as_ref(), Ok(decoded));
            if let Some(less) = decoded.len().checked_sub(1) {
                let too_large = Err(DecodeError::TooLarge { limit: less });
                assert_eq!(decode(encoding, body, less), too_large);
            }
        }
        Err(DecodeError::TooLarge { limit }) => assert_eq!(*limit, LIMIT),
        Err(DecodeError::Invalid { encoding: named, .. }) => assert_eq!(*named, encoding),
        Err(DecodeError::NoMemory(bytes)) => panic!("{bytes} bytes were asked for at once"),
    }
    let wrapped = wrap(encoding, body, Room::ANY).expect("there is memory");
    assert_eq!(decode(encoding, &wrapped, body.len()).as_deref(), Ok(body));
    // A second member or frame is decoded as if its content followed that of the first.
    let several = matches!(
        encoding,
        Encoding::Gzip | Encoding::Zstd | Encoding::Lz4 | Encoding::SnappyFramed
    );
    if let Ok(first) = &whole
        && several
        && !body.is_empty()
        && first.len() + body.len() <= LIMIT
    {
        let both = decode(encoding, &[body, &wrapped].concat(), LIMIT);
        assert_eq!(both.as_deref(), Ok(&[first.as_slice(), body].concat()[..]));
    }
}
