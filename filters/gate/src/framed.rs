//! The first two steps of a body: its frame is removed, and it is decoded.

use sluice_encodings::{Encoding, decode_within, grpc};
use sluice_reply::{Protocol, Refusal};
use sluice_route::Transport;
use sluice_wire::Room;

use crate::{export::Export, outgoing::BodyEdit};

/// A body in which the one message has been found.
pub(crate) struct Framed {
    body: Vec<u8>,
    /// How many bytes of a frame come before the message.
    skip: usize,
    /// How the message is compressed.
    encoding: Encoding,
}

/// A body whose message can be read.
pub(crate) struct Decoded {
    framed: Framed,
    /// The decoded message; `None` if it is in the body, not encoded.
    decoded: Option<Vec<u8>>,
}

impl Framed {
    /// Finds the message in a body.
    ///
    /// # Errors
    /// The [`Refusal`] of a gRPC body that is not exactly one message.
    pub(crate) fn read(body: Vec<u8>, export: Export) -> Result<Self, Refusal> {
        let (skip, announced) = match export.protocol {
            Protocol::Grpc => (grpc::HEADER, message_encoding(&body, export.encoding)?),
            Protocol::HttpJson | Protocol::HttpProtobuf | Protocol::RemoteWrite => {
                (0, export.encoding)
            }
        };
        let payload = body.get(skip..).unwrap_or_default();
        let encoding = match export.protocol {
            // In remote write, snappy is always one block, whatever the body starts with.
            Protocol::RemoteWrite => announced,
            Protocol::Grpc | Protocol::HttpJson | Protocol::HttpProtobuf => {
                announced.of_body(payload)
            }
        };
        Ok(Self { body, skip, encoding })
    }

    /// Decodes the message, to at most `limit` bytes.
    ///
    /// # Errors
    /// The [`Refusal`] of a body that cannot be decoded, or is too large.
    pub(crate) fn decode(self, limit: usize, room: &mut Room) -> Result<Decoded, Refusal> {
        let decoded = match self.encoding {
            Encoding::Identity if self.payload().len() > limit => {
                return Err(Refusal::DecodedTooLarge { limit });
            }
            Encoding::Identity => None,
            encoding => Some(decode_within(encoding, self.payload(), limit, room)?),
        };
        Ok(Decoded { framed: self, decoded })
    }

    fn payload(&self) -> &[u8] {
        self.body.get(self.skip..).unwrap_or_default()
    }
}

impl Decoded {
    /// The message.
    pub(crate) fn message(&self) -> &[u8] {
        self.decoded.as_deref().unwrap_or_else(|| self.framed.payload())
    }

    /// Where the message starts in the buffer that holds it.
    pub(crate) const fn at(&self) -> usize {
        match self.decoded {
            Some(_) => 0,
            None => self.framed.skip,
        }
    }

    /// How the message was compressed.
    pub(crate) const fn encoding(&self) -> Encoding {
        self.framed.encoding
    }

    /// The body unchanged, but without its frame if the backend does not use gRPC.
    pub(crate) fn into_kept(self, transport: Transport) -> BodyEdit {
        let skip = match transport {
            Transport::Grpc => 0,
            Transport::Http => self.framed.skip,
        };
        BodyEdit::Keep { body: self.framed.body, skip }
    }

    /// The buffer that holds the message; everything else is dropped.
    pub(crate) fn into_buffer(self, room: &mut Room) -> Vec<u8> {
        match self.decoded {
            Some(decoded) => {
                // Only the decoded message is needed for what is forwarded.
                room.give_back(self.framed.body.capacity());
                decoded
            }
            None => self.framed.body,
        }
    }
}

/// How the one message of a gRPC body is compressed.
fn message_encoding(body: &[u8], announced: Encoding) -> Result<Encoding, Refusal> {
    let frame = grpc::read(body)?;
    match (frame.compressed, announced) {
        (false, _) => Ok(Encoding::Identity),
        (true, Encoding::Identity) => Err(Refusal::CompressedWithoutEncoding),
        (true, encoding) => Ok(encoding),
    }
}
