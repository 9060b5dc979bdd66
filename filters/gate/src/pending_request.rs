//! A request whose head has passed every stage, until its body has come.

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

/// A request whose head has passed every stage. It exists only until its body has come.
#[derive(Debug)]
pub struct PendingRequest {
    /// Who sends, and for which tenant.
    pub(crate) tenanted: Tenanted,
    pub(crate) export: Export,
    pub(crate) route: Route,
    pub(crate) head: Head,
    /// The length of the body, if it was announced.
    length: Option<usize>,
    envoy_buffer_limit: usize,
    pub(crate) allowance: Allowance,
    /// Its part of the worker's budget, given back with this.
    share: Share,
    /// What the head has of that.
    head_holding: Holding,
    body: Body,
}

/// Where a request goes, as far as that matters when its body has come.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) store: &'static Store,
    /// How the backend is spoken to.
    pub(crate) transport: Transport,
    /// What Envoy's route is chosen by.
    pub(crate) cluster: String,
    /// The most bytes of one tenant's that the backend takes at once, if that is known.
    pub(crate) burst: Option<u32>,
    /// The encodings that the backend takes.
    pub(crate) encodings: Encodings,
}

/// Where the head is while the body comes.
#[derive(Debug)]
pub(crate) enum Head {
    /// In Envoy, to be edited when the body is known.
    Buffered(Vec<HeaderEdit>),
    /// On its way to the backend, with this encoding of the body, or of its message if that is flagged.
    Forwarded(Encoding),
}

/// Where the body is that has come.
#[derive(Debug, Default)]
struct Body {
    /// Bytes in Envoy's buffer.
    in_envoy: usize,
    /// What was moved into the module, once it had become too much for that.
    drained: Option<Pieces>,
    /// Where it was when the request was decided on.
    place: Place,
}

/// Where in Envoy a body is to be put that goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Place {
    /// There is no body, and Envoy has no buffer for one.
    #[default]
    Nowhere,
    /// Where it is: all of it, so many bytes, is in Envoy's buffer.
    Envoy(usize),
    /// In front of the rest: it was drained, and so many bytes of it are in Envoy's buffer still.
    Drained(usize),
}

/// What is to be done when more of a request has come.
#[derive(Debug)]
#[must_use]
pub enum Receive {
    /// It stays in Envoy's buffer, and the request waits.
    Wait,
    /// It moves into the module by [`PendingRequest::drain`], Envoy's buffer is emptied, and the request goes on.
    Drain,
    /// The body is whole: [`Gate::decide`](crate::Gate::decide).
    Decide,
    /// The request is refused.
    Refuse(LocalReply),
}

/// A body in Envoy's buffer, from its first byte.
pub trait EnvoyBuffer {
    /// Reads so many bytes at once.
    ///
    /// # Errors
    /// [`NoRoom`] if there is no memory for them, or they are not all there.
    fn read(&self, size: usize) -> Result<Vec<u8>, NoRoom>;

    /// Reads so many bytes, piece by piece.
    ///
    /// # Errors
    /// [`NoRoom`] if there is no memory for a piece, if `take` says so, or if they are not all there.
    fn read_by(
        &self,
        size: usize,
        take: &mut dyn FnMut(&[u8]) -> Result<(), NoRoom>,
    ) -> Result<(), NoRoom>;
}

/// A body that is there without Envoy, as tests have it.
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
    /// The way to an endpoint of a backend of this store.
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
    /// Body bytes that are left to Envoy when the head has gone on: half of Envoy's default buffer. Beyond
    /// that, Envoy would answer 413 over HTTP/1.1, so they move into the module.
    pub const BUFFERED_BY_ENVOY: usize = 512 << 10;

    /// A request whose head is buffered until its body has come, and is then edited so.
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

    /// The same where the head goes on now, with these edits. A body that `may_grow` may come out longer than it
    /// came in.
    pub(crate) fn without_head(mut self, may_grow: bool) -> (Vec<HeaderEdit>, Self) {
        self.envoy_buffer_limit = if may_grow { 0 } else { self.buffered_by_envoy() };
        // The body may yet become shorter, and whatever it becomes, it has the encoding that is
        // announced now. What the backend does not take goes decoded: a copy back from the module
        // either way, and gzip would add a checksum to it.
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

    /// How many bytes of a body that does not grow may wait in Envoy for the rest, when the head has gone on. What does
    /// not fit where it waits, Envoy answers with 413 in the backend's place, and nothing is stored.
    fn buffered_by_envoy(&self) -> usize {
        let within_buffer = self.length.is_some_and(|length| length <= Self::BUFFERED_BY_ENVOY);
        match self.export.protocol {
            // It may go on decoded, which is longer than it came.
            _ if self.export.encoding != Encoding::Identity => 0,
            // Over HTTP/2 no piece is longer than a frame.
            Protocol::Grpc => Self::BUFFERED_BY_ENVOY,
            _ if within_buffer => Self::BUFFERED_BY_ENVOY,
            // Over HTTP/1.1 a piece may be as long as the buffer, and there must be nothing in it yet.
            _ => 0,
        }
    }

    /// Has the request hold what its head holds while its body comes.
    ///
    /// # Errors
    /// The local reply to a request that there is no room for: its sender or the worker has too many that wait.
    pub(crate) fn wait(&mut self, headers: Headers<'_>) -> Result<(), Box<LocalReply>> {
        let forwarded = matches!(self.head, Head::Forwarded(_));
        self.head_holding = Holding::of_head(headers, forwarded);
        self.share.hold(self.head_holding, &self.allowance.limits).map_err(|NoRoom| {
            Box::new(self.refuse(&Refusal::NoMemory).at_head(self.rest(), !forwarded))
        })
    }

    /// What is to be done now that so many bytes of the body are in Envoy's buffer: what has come and was not
    /// drained. `end_of_stream` says whether that is all.
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

    /// Moves into the module what is in Envoy's buffer, which is to be emptied then.
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

    /// What is to be done when trailers come behind the body.
    pub fn receive_trailers(&mut self) -> Receive {
        // A message cannot be put in front of them.
        if self.body.drained.is_some() {
            return Receive::Refuse(self.refuse(&Refusal::Trailers));
        }
        self.body.place = match self.body.in_envoy {
            0 => Place::Nowhere,
            in_envoy => Place::Envoy(in_envoy),
        };
        Receive::Decide
    }

    /// How many bytes of memory a body may take that is decided on, beside all that waits.
    pub(crate) fn room(&self) -> usize {
        self.allowance.waiting.room(&self.allowance.limits)
    }

    /// The whole body, of which nothing waits any more.
    ///
    /// # Errors
    /// [`NoRoom`] if the worker has no memory for it.
    pub(crate) fn whole<B: EnvoyBuffer + ?Sized>(&mut self, buffer: &B) -> Result<Vec<u8>, NoRoom> {
        // For a moment what was drained is there twice.
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

    /// Decides on a reply that comes before the body has. Nothing was stored, whatever it says. It is a
    /// backend's that does not wait for the body, or Envoy's own, to a request that takes too long, say, or
    /// is over Envoy's own limit.
    pub fn on_early_reply(self, head: &ReplyHead<'_>) -> ReplyStep {
        AwaitingReply::new(self.export, self.route).on_early_reply(head)
    }

    /// Refuses the request; the local reply goes at once.
    pub(crate) fn refuse(&self, refusal: &Refusal) -> LocalReply {
        LocalReply::refuse(self.export.protocol, Some(self.export.signal), refusal)
    }

    /// Refuses the request while its body comes.
    fn refuse_in_body(&self, refusal: &Refusal, end_of_stream: bool) -> LocalReply {
        let rest = self.rest().filter(|_| !end_of_stream);
        self.refuse(refusal).in_body(rest, self.body.len())
    }

    /// What is thrown away of the request if it is refused while its body comes; `None` if the local reply goes
    /// at once.
    fn rest(&self) -> Option<Rest> {
        Rest::new(self.export.protocol, self.length, self.allowance.limits.discarded_bytes)
    }

    /// How the sender is answered.
    pub(crate) const fn protocol(&self) -> Protocol {
        self.export.protocol
    }

    /// How the backend is spoken to.
    pub(crate) const fn transport(&self) -> Transport {
        self.route.transport
    }

    /// Where in Envoy the body is to be put when it goes on.
    pub(crate) const fn place(&self) -> Place {
        self.body.place
    }

    /// Whether a body in this encoding may go on as it came.
    pub(crate) fn passes(&self, encoding: Encoding) -> bool {
        match (&self.head, self.route.transport) {
            (Head::Buffered(_), _) => self.route.encodings.contains(encoding),
            // A message says for itself that it is not compressed.
            (Head::Forwarded(_), Transport::Grpc) if encoding == Encoding::Identity => true,
            (Head::Forwarded(announced), _) => *announced == encoding,
        }
    }
}

impl Body {
    /// Bytes of it so far.
    fn len(&self) -> usize {
        self.drained.as_ref().map_or(0, Pieces::len).saturating_add(self.in_envoy)
    }
}

#[cfg(test)]
mod tests;
