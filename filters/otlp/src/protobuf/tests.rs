//! Tests: what is refused, a comparison with a simpler implementation, and what is left byte for
//! byte.

mod ambiguous;
#[expect(clippy::arithmetic_side_effects, reason = "plainly")]
mod byte_for_byte;
#[expect(clippy::arithmetic_side_effects, reason = "the oracle counts plainly")]
mod oracle;

use sluice_wire::ReadLimits;

use crate::{Format, Request, Signal};

/// A request in protobuf, with limits that no test reaches.
fn request_of(message: &[u8], at: usize, signal: Signal) -> Request<'_> {
    let limits = ReadLimits {
        attributes: 1000,
        bytes: 1 << 20,
        depth: 100,
        records: 100_000,
        room: usize::MAX,
    };
    Request { message, at, signal, format: Format::Protobuf, limits }
}
