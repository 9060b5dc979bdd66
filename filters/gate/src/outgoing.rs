//! The fourth step of a body: what is forwarded, with as few changes as possible.

use sluice_encodings::{Encoding, encode_block, grpc};
use sluice_records::{Checked, Violations};
use sluice_reply::{Protocol, Refusal};
use sluice_route::Transport;
use sluice_wire::{Edits, Room};

use crate::{PendingRequest, framed::Decoded};

/// A body in the best form for forwarding. It can be made only from [`Checked`].
pub(crate) struct Outgoing {
    body: BodyEdit,
    encoding: Encoding,
    violations: Option<Violations>,
    is_empty: bool,
}

/// What happens to a body. The caller copies it back only if it has to.
#[derive(Debug)]
pub(crate) enum BodyEdit {
    /// It is forwarded as received, without its first bytes.
    Keep {
        /// The body as received.
        body: Vec<u8>,
        /// How many of its first bytes are removed: a gRPC frame's header, or none.
        skip: usize,
    },
    /// It is replaced.
    Replace(Vec<u8>),
}

impl BodyEdit {
    /// The body in the form in which it is forwarded.
    pub(crate) fn as_slice(&self) -> &[u8] {
        match self {
            Self::Keep { body, skip } => body.get(*skip..).unwrap_or_default(),
            Self::Replace(body) => body,
        }
    }
}

impl Outgoing {
    /// Cuts the records out of the message that the check does not accept.
    ///
    /// # Errors
    /// [`Refusal::NoMemory`], or the [`Refusal`] of a message that would become too large.
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

    /// Whether it has no records.
    pub(crate) const fn is_empty(&self) -> bool {
        self.is_empty
    }

    /// The body, and what broke the rules.
    pub(crate) fn into_parts(self) -> (BodyEdit, Option<Violations>) {
        (self.body, self.violations)
    }
}

/// The message after its edits, framed and compressed as needed, unless the head has said otherwise.
fn rewrite(
    edits: Edits,
    decoded: Decoded,
    request: &PendingRequest,
    room: &mut Room,
) -> Result<(BodyEdit, Encoding), Refusal> {
    // Edits are counted from the start of the message, after the frame.
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
