//! Inflating, and the limit that it keeps.

use sluice_otlp::content::{DecodeError, gunzip, gzip_stored};

/// The most that a body may inflate to here, in bytes.
const LIMIT: usize = 64 << 10;

/// A limit decides whether a body is taken and never what comes out; no more memory is taken than
/// it allows; and what the gate wraps itself comes out as it went in.
pub fn run(data: &[u8]) {
    let whole = gunzip(data, LIMIT);
    match &whole {
        Ok(decoded) => {
            assert!(decoded.len() <= LIMIT);
            assert!(decoded.capacity() <= LIMIT + 1, "{} bytes were taken", decoded.capacity());
            assert_eq!(gunzip(data, decoded.len()).as_ref(), Ok(decoded));
            if let Some(less) = decoded.len().checked_sub(1) {
                assert_eq!(gunzip(data, less), Err(DecodeError::TooLarge { limit: less }));
            }
        }
        Err(DecodeError::TooLarge { limit }) => assert_eq!(*limit, LIMIT),
        Err(DecodeError::Invalid(_)) => {}
        Err(DecodeError::NoMemory(bytes)) => panic!("{bytes} bytes were asked for at once"),
    }
    let stored = gzip_stored(data);
    assert_eq!(gunzip(&stored, data.len()).as_deref(), Ok(data));
    // A second member is read as if its content stood behind the first's.
    if let Ok(first) = &whole
        && first.len() + data.len() <= LIMIT
    {
        let both = gunzip(&[data, &stored].concat(), LIMIT);
        assert_eq!(both.as_deref(), Ok(&[first.as_slice(), data].concat()[..]));
    }
}
