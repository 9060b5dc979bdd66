//! Zstandard (RFC 8878).

#![expect(clippy::disallowed_types, reason = "the one capped place")]

use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder, errors::FrameDecoderError};

use super::{
    DecodeError, Encoding,
    frame::Input,
    output::{CORRUPT, Output},
};

/// The largest window, in bytes: what RFC 8878, section 3.1.1.1.2, asks a decoder to support, and
/// the most that encoders use unless told to do their utmost.
const MAX_WINDOW: u64 = 8 << 20;

/// About how many bytes are decoded at a time: that much more than its window is what a decoder
/// holds.
const STEP: usize = 1 << 20;

pub(super) fn decode(body: &[u8], limit: usize) -> Result<Vec<u8>, DecodeError> {
    let mut output = Output::new(limit);
    let mut decoder = FrameDecoder::new();
    decoder.set_max_window_size(MAX_WINDOW);
    let mut input = Input::new(body, Encoding::Zstd);
    while !input.is_empty() {
        if !input.skip_frame()? {
            frame(&mut decoder, &mut input, &mut output)?;
        }
    }
    Ok(output.into_bytes())
}

fn frame(
    decoder: &mut FrameDecoder,
    input: &mut Input<'_>,
    output: &mut Output,
) -> Result<(), DecodeError> {
    let descriptor = Descriptor(input.rest.get(4).copied().unwrap_or_default());
    if descriptor.has_reserved_bit() {
        return Err(input.invalid("its frame header has a reserved bit set"));
    }
    decoder.reset(&mut input.rest).map_err(|error| input.invalid(reason(&error)))?;
    let (start, room) = (output.len(), output.room());
    let size = descriptor.has_content_size().then(|| decoder.content_size());
    if let Some(size) = size {
        match usize::try_from(size) {
            Ok(size) if size <= room => output.with_capacity(size)?,
            _ => return Err(output.too_large()),
        };
    }
    // A part of what was decoded stays in the decoder as its window. These many bytes have come out
    // at least, there and in `output`.
    let mut decoded: usize = 0;
    loop {
        let step = room.saturating_sub(decoded).saturating_add(1).min(STEP);
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
            break;
        }
        decoded = decoded.saturating_add(step);
        if decoded > room {
            return Err(output.too_large());
        }
    }
    // The decoder reads both and compares neither.
    let written = u64::try_from(output.len().saturating_sub(start)).unwrap_or(u64::MAX);
    if size.is_some_and(|size| size != written) {
        return Err(input.invalid("it is not as long as its frame header says"));
    }
    let expected = decoder.get_checksum_from_data();
    if expected.is_some() && expected != decoder.get_calculated_checksum() {
        return Err(input.invalid("its checksum does not match"));
    }
    Ok(())
}

/// The descriptor of a frame header (RFC 8878, section 3.1.1.1.1).
struct Descriptor(u8);

impl Descriptor {
    /// Whether the frame says how long its content is: by a field of its own, or because there is no
    /// window but the content.
    const fn has_content_size(&self) -> bool {
        self.0 & 0b1110_0000 != 0
    }

    const fn has_reserved_bit(&self) -> bool {
        self.0 & 0b0000_1000 != 0
    }
}

const fn reason(error: &FrameDecoderError) -> &'static str {
    match error {
        FrameDecoderError::DictNotProvided { .. } => "it needs a dictionary",
        FrameDecoderError::WindowSizeTooBig { .. } => "its window is over 8 MiB",
        _ => "it is cut off or corrupt",
    }
}
