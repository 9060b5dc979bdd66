//! The frame around a gRPC message: one flag byte and four length bytes
//! (gRPC over HTTP/2, "Length-Prefixed-Message").

use sluice_wire::{NoMemory, Room, SPARE};
use thiserror::Error;

/// Bytes of a frame's header.
pub const HEADER: usize = 5;

// An edited message can be framed in its own buffer.
const _: () = assert!(HEADER <= SPARE);

/// The one message of a unary call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Whether the message is compressed as `grpc-encoding` says.
    pub compressed: bool,
    /// The message. It starts [`HEADER`] bytes into the body and reaches to the body's end.
    pub message: &'a [u8],
}

/// Why a body is not exactly one gRPC message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum FrameError {
    /// The flag is neither 0 nor 1.
    #[error("invalid gRPC frame: the compressed flag is {0}, expected 0 or 1")]
    Flag(u8),
    /// More bytes follow the first message, but a unary call has only one.
    #[error(
        "invalid gRPC frame: {extra} bytes follow the message of {announced} bytes, but a unary \
         call carries one message"
    )]
    Trailing {
        /// The length in the header, in bytes.
        announced: usize,
        /// The bytes after the message.
        extra: usize,
    },
    /// The body ends before the message does.
    #[error("truncated gRPC frame: {announced} bytes announced, {present} received")]
    Truncated {
        /// The length in the header, in bytes.
        announced: usize,
        /// The bytes of the message that are there.
        present: usize,
    },
    /// The body is shorter than a frame's header.
    #[error("truncated gRPC frame: {0} bytes received, less than a frame header")]
    TooShort(usize),
}

/// Reads the body of a unary call.
///
/// # Errors
/// [`FrameError`] if the body is not exactly one complete frame.
pub fn read(body: &[u8]) -> Result<Frame<'_>, FrameError> {
    let Some((&[flag, a, b, c, d], message)) = body.split_first_chunk::<HEADER>() else {
        return Err(FrameError::TooShort(body.len()));
    };
    let compressed = match flag {
        0 => false,
        1 => true,
        _ => return Err(FrameError::Flag(flag)),
    };
    // A length over the address space is over the body's length too.
    let announced = usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap_or(usize::MAX);
    let present = message.len();
    if present < announced {
        return Err(FrameError::Truncated { announced, present });
    }
    if present > announced {
        return Err(FrameError::Trailing { announced, extra: present.saturating_sub(announced) });
    }
    Ok(Frame { compressed, message })
}

/// Frames an uncompressed message. `None` if it is over 4 GiB, which does not fit the frame's
/// length field.
#[must_use]
pub fn write(message: &[u8]) -> Option<Vec<u8>> {
    let length = u32::try_from(message.len()).ok()?;
    let mut framed = Vec::with_capacity(message.len().saturating_add(HEADER));
    framed.push(0);
    framed.extend_from_slice(&length.to_be_bytes());
    framed.extend_from_slice(message);
    Some(framed)
}

/// Frames an uncompressed message in its own buffer.
///
/// # Errors
/// If the buffer has to grow and there is no memory, or no room for the new buffer beside the old
/// one; or if the message is over 4 GiB, which does not fit the frame's length field.
pub fn frame(message: &mut Vec<u8>, mut room: Room) -> Result<(), NoMemory> {
    let size = message.len();
    let framed = size.saturating_add(HEADER);
    let length = u32::try_from(size).map_err(|_| NoMemory(framed))?;
    room.grow(message, HEADER, framed)?;
    message.resize(framed, 0);
    // Cannot panic: the buffer has just been made as long.
    message.copy_within(..size, HEADER);
    let header = [0].into_iter().chain(length.to_be_bytes());
    message.iter_mut().zip(header).for_each(|(slot, byte)| *slot = byte);
    Ok(())
}

/// Returns a `grpc-timeout` in milliseconds, rounded up (gRPC over HTTP/2, "Timeout"): one to eight digits and a unit.
/// More than a day counts as a day. `None` means no timeout: for 0, which the specification does not allow, and for any
/// other text that is not valid.
#[must_use]
pub fn timeout(value: &[u8]) -> Option<u64> {
    const DAY: u64 = 86_400_000;
    let (unit, digits) = value.split_last()?;
    if digits.len() > 8 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let count: u64 = str::from_utf8(digits).ok()?.parse().ok()?;
    let milliseconds = match unit {
        b'H' => count.saturating_mul(3_600_000),
        b'M' => count.saturating_mul(60_000),
        b'S' => count.saturating_mul(1000),
        b'm' => count,
        b'u' => count.div_ceil(1000),
        b'n' => count.div_ceil(1_000_000),
        _ => return None,
    };
    (milliseconds > 0).then_some(milliseconds.min(DAY))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anything_but_one_whole_frame_is_refused() {
        assert_eq!(read(b""), Err(FrameError::TooShort(0)));
        assert_eq!(read(&[0, 0, 0, 0]), Err(FrameError::TooShort(4)));
        assert_eq!(read(&[2, 0, 0, 0, 0]), Err(FrameError::Flag(2)));
        assert_eq!(
            read(&[0, 0, 0, 0, 2, 9]),
            Err(FrameError::Truncated { announced: 2, present: 1 })
        );
        assert_eq!(
            read(&[0, 0xff, 0xff, 0xff, 0xff]),
            Err(FrameError::Truncated { announced: 0xffff_ffff, present: 0 })
        );
        assert_eq!(
            read(&[0, 0, 0, 0, 1, 9, 9]),
            Err(FrameError::Trailing { announced: 1, extra: 1 })
        );
        // Two messages, but a unary call has one.
        assert!(matches!(
            read(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
            Err(FrameError::Trailing { extra: 5, .. })
        ));
    }

    #[test]
    fn what_was_framed_is_read_back() {
        for message in [&b""[..], b"x", &[7; 70_000]] {
            let framed = write(message).unwrap();
            let mut in_place = message.to_vec();
            assert_eq!(frame(&mut in_place, Room::ANY), Ok(()));
            assert_eq!(in_place, framed);
            assert_eq!(read(&framed), Ok(Frame { compressed: false, message }));
        }
    }

    #[test]
    fn a_timeout_is_so_many_milliseconds() {
        for (value, expected) in [
            ("2S", 2000),
            ("300m", 300),
            ("1M", 60_000),
            ("1H", 3_600_000),
            ("1500u", 2),
            ("1n", 1),
            ("99999999n", 100),
            ("99999999H", 86_400_000),
        ] {
            assert_eq!(timeout(value.as_bytes()), Some(expected), "{value}");
        }
        for none in ["", "S", "2", "2s", "-2S", "+2S", "2.5S", "100000000S", "0S", "2S, 2S", " 2S"]
        {
            assert_eq!(timeout(none.as_bytes()), None, "{none}");
        }
    }
}
