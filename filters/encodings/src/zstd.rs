//! Zstandard (RFC 8878).

#![expect(clippy::disallowed_types, reason = "the one capped place")]

use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder, errors::FrameDecoderError};
use sluice_wire::Room;

use crate::{
    DecodeError, Encoding,
    frame::Input,
    output::{CORRUPT, Output},
};

/// The window that every decoder supports, in bytes (RFC 8878, section 3.1.1.1.2). Encoders use no
/// larger one unless they are set to their highest levels.
const USUAL_WINDOW: u64 = 8 << 20;

/// About how many bytes are decoded at a time. A decoder holds this many bytes and one block beside
/// its window. Its buffer has 256 KiB of slack for them, and doubles if they do not fit.
const STEP: usize = 64 << 10;

/// The same for a larger window, of which little has been decoded yet.
const LONG_STEP: usize = 1 << 20;

/// The most that a decoder takes of one block before it notices that the block is too long, in
/// bytes.
const BLOCK: usize = 3 << 19;

/// Decodes to at most `limit` bytes, with windows of at most `most_window` bytes or 8 MiB,
/// whichever is more.
pub(super) fn decode(
    body: &[u8],
    limit: usize,
    most_window: usize,
    room: &mut Room,
) -> Result<Vec<u8>, DecodeError> {
    let mut output = Output::new(limit, room);
    let mut decoder = FrameDecoder::new();
    decoder.set_max_window_size(USUAL_WINDOW);
    let mut input = Input::new(body, Encoding::Zstd);
    let mut memory = Memory { taken: 0 };
    while !input.is_empty() {
        if !input.skip_frame()? {
            if memory.taken > 0 {
                // A decoder that is reused takes memory for the whole window at once.
                memory.hold(usize::try_from(USUAL_WINDOW).unwrap_or(usize::MAX), &mut output)?;
            }
            frame(&mut decoder, &mut input, &mut output, most_window, &mut memory)?;
        }
    }
    output.give_back_beside(memory.taken);
    Ok(output.into_bytes())
}

fn frame(
    decoder: &mut FrameDecoder,
    input: &mut Input<'_>,
    output: &mut Output<'_>,
    most_window: usize,
    memory: &mut Memory,
) -> Result<(), DecodeError> {
    let descriptor = Descriptor(input.rest.get(4).copied().unwrap_or_default());
    if descriptor.has_reserved_bit() {
        return Err(input.invalid("reserved bit set in the frame header"));
    }
    let window = begin(decoder, input, most_window)?;
    let is_usual = window == usize::try_from(USUAL_WINDOW).unwrap_or(usize::MAX);
    let start = output.len();
    let size = descriptor.has_content_size().then(|| decoder.content_size());
    if let Some(size) = size {
        match usize::try_from(size) {
            Ok(size) if size > output.room() => return Err(output.too_large()),
            // A decoder returns nothing until it holds more than its window.
            Ok(size) if is_usual => output.with_capacity(size)?,
            Ok(_) => output.with_capacity(0)?,
            Err(_) => return Err(output.too_large()),
        };
    }
    let most_step = if is_usual { STEP } else { LONG_STEP };
    blocks(decoder, input, output, Steps { window, most_step }, memory)?;
    // The decoder reads both sizes but does not compare them.
    let written = u64::try_from(output.len().saturating_sub(start)).unwrap_or(u64::MAX);
    if size.is_some_and(|size| size != written) {
        return Err(input.invalid("content size differs from the frame header"));
    }
    let expected = decoder.get_checksum_from_data();
    if expected.is_some() && expected != decoder.get_calculated_checksum() {
        return Err(input.invalid("content checksum mismatch"));
    }
    Ok(())
}

/// How a frame's blocks are decoded, in bytes.
#[derive(Clone, Copy)]
struct Steps {
    window: usize,
    most_step: usize,
}

/// Decodes the blocks of a frame.
fn blocks(
    decoder: &mut FrameDecoder,
    input: &mut Input<'_>,
    output: &mut Output<'_>,
    Steps { window, most_step }: Steps,
    memory: &mut Memory,
) -> Result<(), DecodeError> {
    let room = output.room();
    // The decoder keeps a part of what was decoded as its window. `decoded` and `most_decoded` are
    // the lower and upper bounds of what has been decoded, in the decoder and in `output`.
    let (mut decoded, mut most_decoded) = (0_usize, 0_usize);
    loop {
        let step = room.saturating_sub(decoded).saturating_add(1).min(most_step);
        most_decoded = most_decoded.saturating_add(step).saturating_add(BLOCK);
        let held = most_decoded.min(window.saturating_add(step).saturating_add(BLOCK));
        memory.hold(held, output)?;
        let finished = decoder
            .decode_blocks(&mut input.rest, BlockDecodingStrategy::UptoBytes(step))
            .map_err(|error| input.invalid(reason(&error)))?;
        let ready = decoder.can_collect();
        if ready > output.room() {
            return Err(output.too_large());
        }
        decoder
            .collect_to_writer(output.with_capacity(ready)?)
            .map_err(|_| input.invalid(CORRUPT))?;
        if finished {
            return Ok(());
        }
        decoded = decoded.saturating_add(step);
        if decoded > room {
            return Err(output.too_large());
        }
    }
}

/// Reads a frame's header, and returns the largest size of its window, in bytes.
fn begin(
    decoder: &mut FrameDecoder,
    input: &mut Input<'_>,
    most_window: usize,
) -> Result<usize, DecodeError> {
    let header = input.rest;
    let usual = usize::try_from(USUAL_WINDOW).unwrap_or(usize::MAX);
    match decoder.reset(&mut input.rest) {
        Ok(()) => Ok(usual),
        Err(FrameDecoderError::WindowSizeTooBig { requested, .. })
            if usize::try_from(requested).is_ok_and(|window| window <= most_window) =>
        {
            // Do not reuse the decoder here: a reused one takes memory for the whole window at
            // once, whatever the frame holds, while a new one takes only as much as it decodes.
            *decoder = FrameDecoder::new();
            decoder.set_max_window_size(requested);
            input.rest = header;
            decoder.reset(&mut input.rest).map_err(|error| input.invalid(reason(&error)))?;
            decoder.set_max_window_size(USUAL_WINDOW);
            Ok(usize::try_from(requested).unwrap_or(usize::MAX))
        }
        Err(error) => Err(input.invalid(reason(&error))),
    }
}

/// The memory that a decoder takes. The decoder cannot report a failed allocation: it would abort the worker.
struct Memory {
    taken: usize,
}

impl Memory {
    /// Accounts for the memory that a decoder needs to hold this many bytes: a buffer whose size is a power of two plus
    /// slack, half of that again while it doubles, and the literals, sequences and tables of a block.
    fn hold(&mut self, bytes: usize, output: &mut Output<'_>) -> Result<(), DecodeError> {
        const SLACK: usize = 257 << 10;
        const OF_A_BLOCK: usize = 4 << 20;
        let power = bytes.checked_next_power_of_two().unwrap_or(usize::MAX);
        let buffer = power.saturating_add(SLACK);
        let needed = buffer.saturating_add(buffer / 2).saturating_add(OF_A_BLOCK);
        if let Some(more @ 1..) = needed.checked_sub(self.taken) {
            output.decoder_takes(more)?;
            self.taken = needed;
        }
        Ok(())
    }
}

/// The descriptor of a frame header (RFC 8878, section 3.1.1.1.1).
struct Descriptor(u8);

impl Descriptor {
    /// Whether the frame gives the length of its content: in a field of its own, or because the
    /// window is the content.
    const fn has_content_size(&self) -> bool {
        self.0 & 0b1110_0000 != 0
    }

    const fn has_reserved_bit(&self) -> bool {
        self.0 & 0b0000_1000 != 0
    }
}

const fn reason(error: &FrameDecoderError) -> &'static str {
    match error {
        FrameDecoderError::DictNotProvided { .. } => "needs a dictionary, which is not supported",
        FrameDecoderError::WindowSizeTooBig { .. } => {
            "window over 8 MiB and over limits.decodedBytes"
        }
        _ => "truncated or corrupt data",
    }
}
