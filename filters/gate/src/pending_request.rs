//! A request whose head has passed every stage, until its body has arrived.

use std::mem;

use sluice_encodings::{Encoding, Encodings};
use sluice_headers::{HeaderEdit, Headers, names::CONTENT_LENGTH};
use sluice_reply::{Protocol, Refusal};
use sluice_route::{Endpoint, Transport};
use sluice_stores::Store;
use sluice_tenant::Tenanted;

use crate::{
    AwaitingReply, Holding, LocalReply, NoRoom, Pieces, ReplyHead, ReplyStep, Rest, Share,
    export::Export, forward::announce, rest::saturated, worker::Allowance,
};

/// A request whose head has passed every stage. It exists only until its body has arrived.
#[derive(Debug)]
pub struct PendingRequest {
    /// The sender and the tenant.
    pub(crate) tenanted: Tenanted,
    pub(crate) export: Export,
    pub(crate) route: Route,
    pub(crate) head: Head,
    /// The length of the body, if it was announced.
    length: Option<usize>,
    envoy_buffer_limit: usize,
    pub(crate) allowance: Allowance,
    /// Its share of the worker's budget, which is given back when this is dropped.
    share: Share,
    /// What the head holds of that.
    head_holding: Holding,
    body: Body,
}

/// What has to be known about the request's route when its body has arrived.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) store: &'static Store,
    /// The protocol to the backend.
    pub(crate) transport: Transport,
    /// The value by which Envoy selects the route.
    pub(crate) cluster: String,
    /// The largest batch that the backend accepts from one tenant at once, in bytes, if that is
    /// known.
    pub(crate) burst: Option<u32>,
    /// The encodings that the backend supports.
    pub(crate) encodings: Encodings,
}

/// Where the head is while the body arrives.
#[derive(Debug)]
pub(crate) enum Head {
    /// In Envoy, to be edited when the body is known.
    Buffered(Vec<HeaderEdit>),
    /// Already forwarded to the backend, with this encoding of the body, or of its message if that is flagged.
    Forwarded(Encoding),
}

/// Where the part of the body is that has arrived.
#[derive(Debug, Default)]
struct Body {
    /// Bytes in Envoy's buffer.
    in_envoy: usize,
    /// What was moved into the module because it was too much for Envoy's buffer.
    drained: Option<Pieces>,
    /// Where it was when the request was decided.
    place: Place,
}

/// Where in Envoy a forwarded body is to be put.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Place {
    /// There is no body, and Envoy has no buffer for one.
    #[default]
    Nowhere,
    /// In Envoy's buffer, which holds all of it: this many bytes.
    Envoy(usize),
    /// Before the rest: the body was drained, and this many bytes of it are still in Envoy's
    /// buffer.
    Drained(usize),
}

/// What to do when more of a request has arrived.
#[derive(Debug)]
#[must_use]
pub enum Receive {
    /// The body stays in Envoy's buffer, and the request waits.
    Wait,
    /// The body moves into the module by [`PendingRequest::drain`], Envoy's buffer is emptied, and the request
    /// continues.
    Drain,
    /// The body is complete; call [`Gate::decide`](crate::Gate::decide).
    Decide,
    /// The request is refused.
    Refuse(LocalReply),
}

/// A body in Envoy's buffer, from its first byte.
pub trait EnvoyBuffer {
    /// Reads this many bytes at once.
    ///
    /// # Errors
    /// [`NoRoom`] if there is no memory for them, or if not all of them are there.
    fn read(&self, size: usize) -> Result<Vec<u8>, NoRoom>;

    /// Reads this many bytes, piece by piece.
    ///
    /// # Errors
    /// [`NoRoom`] if there is no memory for a piece, if `take` returns it, or if not all bytes are there.
    fn read_by(
        &self,
        size: usize,
        take: &mut dyn FnMut(&[u8]) -> Result<(), NoRoom>,
    ) -> Result<(), NoRoom>;
}

/// A body without Envoy, for tests.
impl EnvoyBuffer for [u8] {
    fn read(&self, size: usize) -> Result<Vec<u8>, NoRoom> {
        Ok(self.get(..size).ok_or(NoRoom)?.to_vec())
    }

    fn read_by(
        &self,
        size: usize,
        take: &mut dyn FnMut(&[u8]) -> Result<(), NoRoom>,
    ) -> Result<(), NoRoom> {
        self.get(..size).ok_or(NoRoom)?.chunks(Pieces::MAX).try_for_each(take)
    }
}

impl Route {
    /// The route to an endpoint of a backend of this store.
    pub(crate) fn to(store: &'static Store, endpoint: &Endpoint<'_>) -> Self {
        Self {
            store,
            transport: endpoint.transport(),
            cluster: endpoint.cluster().to_owned(),
            burst: endpoint.burst(),
            encodings: endpoint.encodings(),
        }
    }
}

impl PendingRequest {
    /// How many bytes of a body are left in Envoy if the head has been forwarded: half of Envoy's default buffer. With
    /// more, Envoy would answer 413 over HTTP/1.1, so larger bodies move into the module.
    pub const BUFFERED_BY_ENVOY: usize = 512 << 10;

    /// A request whose head is buffered until its body has arrived, and then gets these edits.
    pub(crate) fn with_head(
        tenanted: Tenanted,
        export: Export,
        route: Route,
        edits: Vec<HeaderEdit>,
        length: Option<u64>,
        allowance: Allowance,
    ) -> Self {
        Self {
            tenanted,
            export,
            route,
            head: Head::Buffered(edits),
            length: length.map(saturated),
            envoy_buffer_limit: usize::MAX,
            share: allowance.share(),
            allowance,
            head_holding: Holding::default(),
            body: Body::default(),
        }
    }

    /// The same if the head is forwarded now, with these edits. If the body `may_grow`, it may be longer in the end
    /// than it was sent.
    pub(crate) fn without_head(mut self, may_grow: bool) -> (Vec<HeaderEdit>, Self) {
        self.envoy_buffer_limit = if may_grow { 0 } else { self.buffered_by_envoy() };
        // The body may still become shorter, and in any case it must have the encoding that is
        // announced now. If the backend does not support its encoding, announce none: the body is
        // copied back from the module in either case, and gzip would only add a checksum.
        let announced = match self.route.encodings.contains(self.export.encoding) {
            true => self.export.encoding,
            false => Encoding::Identity,
        };
        let edits = match mem::replace(&mut self.head, Head::Forwarded(announced)) {
            Head::Buffered(mut edits) => {
                edits.push(HeaderEdit::remove(CONTENT_LENGTH));
                edits.push(announce(self.route.transport, announced));
                edits
            }
            Head::Forwarded(_) => Vec::new(),
        };
        (edits, self)
    }

    /// How many bytes of a body that does not grow may wait in Envoy for the rest, if the head has been forwarded. If
    /// they did not fit, Envoy would answer 413 in the backend's place, and nothing would be stored.
    fn buffered_by_envoy(&self) -> usize {
        let within_buffer = self.length.is_some_and(|length| length <= Self::BUFFERED_BY_ENVOY);
        match self.export.protocol {
            // It may be forwarded decoded, which is longer than it was sent.
            _ if self.export.encoding != Encoding::Identity => 0,
            // Over HTTP/2, no piece is longer than a frame.
            Protocol::Grpc => Self::BUFFERED_BY_ENVOY,
            _ if within_buffer => Self::BUFFERED_BY_ENVOY,
            // Over HTTP/1.1, a piece may be as long as the buffer, so the buffer must be empty.
            _ => 0,
        }
    }

    /// Makes the request hold what its head takes while its body arrives.
    ///
    /// # Errors
    /// The local reply if there is no room for the request, because its sender or the worker has too many waiting
    /// requests.
    pub(crate) fn wait(&mut self, headers: Headers<'_>) -> Result<(), Box<LocalReply>> {
        let forwarded = matches!(self.head, Head::Forwarded(_));
        self.head_holding = Holding::of_head(headers, forwarded);
        self.share.hold(self.head_holding, &self.allowance.limits).map_err(|NoRoom| {
            Box::new(self.refuse(&Refusal::NoMemory).at_head(self.rest(), !forwarded))
        })
    }

    /// Returns what to do now that this many bytes of the body are in Envoy's buffer, which are those that were not
    /// drained. `end_of_stream` says whether the body is complete.
    pub fn receive(&mut self, in_envoy: usize, end_of_stream: bool) -> Receive {
        self.body.in_envoy = in_envoy;
        let limit = self.allowance.limits.body_bytes;
        if self.body.len() > limit {
            return Receive::Refuse(
                self.refuse_in_body(&Refusal::BodyTooLarge { limit }, end_of_stream),
            );
        }
        if end_of_stream {
            self.body.place = match self.body.drained {
                Some(_) => Place::Drained(in_envoy),
                None => Place::Envoy(in_envoy),
            };
            return Receive::Decide;
        }
        let drains = self.body.drained.is_some() || in_envoy > self.envoy_buffer_limit;
        let holding = match &self.body.drained {
            _ if !drains => self.head_holding.with(in_envoy, 0),
            Some(pieces) => self.head_holding.with(0, pieces.capacity_with(in_envoy)),
            None => self.head_holding.with(0, Pieces::default().capacity_with(in_envoy)),
        };
        match self.share.hold(holding, &self.allowance.limits) {
            Ok(()) if drains => Receive::Drain,
            Ok(()) => Receive::Wait,
            Err(NoRoom) => Receive::Refuse(self.refuse_in_body(&Refusal::NoMemory, false)),
        }
    }

    /// Moves the content of Envoy's buffer into the module. The caller must then empty the buffer.
    ///
    /// # Errors
    /// The local reply if there is no memory for it.
    pub fn drain<B: EnvoyBuffer + ?Sized>(&mut self, buffer: &B) -> Result<(), Box<LocalReply>> {
        let pieces = self.body.drained.get_or_insert_default();
        let read = buffer.read_by(self.body.in_envoy, &mut |piece| pieces.push(piece));
        match read {
            Ok(()) => {
                self.body.in_envoy = 0;
                Ok(())
            }
            Err(NoRoom) => Err(Box::new(self.refuse_in_body(&Refusal::NoMemory, false))),
        }
    }

    /// Returns what to do if trailers follow the body.
    pub fn receive_trailers(&mut self) -> Receive {
        // A message cannot be inserted before them.
        if self.body.drained.is_some() {
            return Receive::Refuse(self.refuse(&Refusal::Trailers));
        }
        self.body.place = match self.body.in_envoy {
            0 => Place::Nowhere,
            in_envoy => Place::Envoy(in_envoy),
        };
        Receive::Decide
    }

    /// How many bytes of memory a body may take when it is decided, beside everything that waits.
    pub(crate) fn room(&self) -> usize {
        self.allowance.waiting.room(&self.allowance.limits)
    }

    /// The whole body, which no longer waits.
    ///
    /// # Errors
    /// [`NoRoom`] if the worker has no memory for it.
    pub(crate) fn whole<B: EnvoyBuffer + ?Sized>(&mut self, buffer: &B) -> Result<Vec<u8>, NoRoom> {
        // For a moment, what was drained exists twice.
        if self.body.len() > self.room() {
            return Err(NoRoom);
        }
        let in_envoy = self.body.in_envoy;
        let body = match self.body.drained.take() {
            Some(pieces) => {
                let mut body = pieces.join(in_envoy)?;
                buffer.read_by(in_envoy, &mut |piece| {
                    body.extend_from_slice(piece);
                    Ok(())
                })?;
                body
            }
            None => buffer.read(in_envoy)?,
        };
        self.share.hold(Holding::default(), &self.allowance.limits)?;
        Ok(body)
    }

    /// Decides about a reply that arrives before the body has. Nothing was stored, whatever the reply says. It comes
    /// from a backend that does not wait for the body, or from Envoy itself, for example because a request takes too
    /// long or exceeds Envoy's own limit.
    pub fn on_early_reply(self, head: &ReplyHead<'_>) -> ReplyStep {
        AwaitingReply::new(self.export, self.route).on_early_reply(head)
    }

    /// Refuses the request; the local reply is sent at once.
    pub(crate) fn refuse(&self, refusal: &Refusal) -> LocalReply {
        LocalReply::refuse(self.export.protocol, Some(self.export.signal), refusal)
    }

    /// Refuses the request while its body arrives.
    fn refuse_in_body(&self, refusal: &Refusal, end_of_stream: bool) -> LocalReply {
        let rest = self.rest().filter(|_| !end_of_stream);
        self.refuse(refusal).in_body(rest, self.body.len())
    }

    /// What is discarded of the request if it is refused while its body arrives; `None` if the local reply is sent at
    /// once.
    fn rest(&self) -> Option<Rest> {
        Rest::new(self.export.protocol, self.length, self.allowance.limits.discarded_bytes)
    }

    /// The protocol in which the sender is answered.
    pub(crate) const fn protocol(&self) -> Protocol {
        self.export.protocol
    }

    /// The protocol to the backend.
    pub(crate) const fn transport(&self) -> Transport {
        self.route.transport
    }

    /// Where in Envoy the body is to be put when it is forwarded.
    pub(crate) const fn place(&self) -> Place {
        self.body.place
    }

    /// Whether a body in this encoding may be forwarded unchanged.
    pub(crate) fn passes(&self, encoding: Encoding) -> bool {
        match (&self.head, self.route.transport) {
            (Head::Buffered(_), _) => self.route.encodings.contains(encoding),
            // A gRPC message has its own flag that says it is not compressed.
            (Head::Forwarded(_), Transport::Grpc) if encoding == Encoding::Identity => true,
            (Head::Forwarded(announced), _) => *announced == encoding,
        }
    }
}

impl Body {
    /// How many bytes of it have arrived.
    fn len(&self) -> usize {
        self.drained.as_ref().map_or(0, Pieces::len).saturating_add(self.in_envoy)
    }
}

#[cfg(test)]
mod tests;
