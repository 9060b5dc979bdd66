//! The fourth step of a body: what goes on of it, as little changed as can be.

use sluice_encodings::{Encoding, encode_block, grpc};
use sluice_records::{Checked, Violations};
use sluice_reply::{Protocol, Refusal};
use sluice_route::Transport;
use sluice_wire::{Edits, Room};

use crate::{PendingRequest, framed::Decoded};

/// A body as it would best go on. It is made from [`Checked`] alone.
pub(crate) struct Outgoing {
    body: BodyEdit,
    encoding: Encoding,
    violations: Option<Violations>,
    is_empty: bool,
}

/// What becomes of a body. What the caller has of it need not be copied back unless it has to be.
#[derive(Debug)]
pub(crate) enum BodyEdit {
    /// It goes on as it came, without its first bytes.
    Keep {
        /// The body as it came.
        body: Vec<u8>,
        /// How many of its first bytes go: a gRPC frame's header, or none.
        skip: usize,
    },
    /// It is replaced.
    Replace(Vec<u8>),
}

impl BodyEdit {
    /// The body as it goes on.
    pub(crate) fn as_slice(&self) -> &[u8] {
        match self {
            Self::Keep { body, skip } => body.get(*skip..).unwrap_or_default(),
            Self::Replace(body) => body,
        }
    }
}

impl Outgoing {
    /// Cuts out of the message what the check does not let in.
    ///
    /// # Errors
    /// [`Refusal::NoMemory`], or [`Refusal`] of what would grow too large.
    pub(crate) fn new(
        checked: Checked,
        decoded: Decoded,
        request: &PendingRequest,
        room: &mut Room,
    ) -> Result<Self, Refusal> {
        let is_empty = checked.is_empty();
        let (violations, edits) = checked.into_parts();
        let encoding = decoded.encoding();
        let (body, encoding) = if edits.is_empty() && request.passes(encoding) {
            (decoded.into_kept(request.transport()), encoding)
        } else {
            rewrite(edits, decoded, request, room)?
        };
        Ok(Self { body, encoding, violations, is_empty })
    }

    /// How its message is compressed.
    pub(crate) const fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// What broke the rules.
    pub(crate) const fn violations(&self) -> Option<&Violations> {
        self.violations.as_ref()
    }

    /// Whether there is no record in it.
    pub(crate) const fn is_empty(&self) -> bool {
        self.is_empty
    }

    /// The body, and what broke the rules.
    pub(crate) fn into_parts(self) -> (BodyEdit, Option<Violations>) {
        (self.body, self.violations)
    }
}

/// The message with its edits, framed and compressed as it must be where the head does not say otherwise.
fn rewrite(
    edits: Edits,
    decoded: Decoded,
    request: &PendingRequest,
    room: &mut Room,
) -> Result<(BodyEdit, Encoding), Refusal> {
    // The edits count from where the message began, frame included.
    let at = decoded.at();
    let mut buffer = decoded.into_buffer(room);
    room.take(edits.memory())?;
    let before = buffer.capacity();
    edits.apply_within(&mut buffer, at, *room)?;
    room.give_back(edits.memory().saturating_add(before));
    drop(edits);
    room.take(buffer.capacity())?;
    if request.transport() == Transport::Grpc {
        grpc::frame(&mut buffer, *room)?;
    }
    match request.protocol() {
        Protocol::RemoteWrite => {
            Ok((BodyEdit::Replace(encode_block(&buffer, *room)?), Encoding::SnappyRaw))
        }
        Protocol::Grpc | Protocol::HttpJson | Protocol::HttpProtobuf => {
            Ok((BodyEdit::Replace(buffer), Encoding::Identity))
        }
    }
}
