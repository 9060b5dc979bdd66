//! A stream as its peers see it.

use std::{cell::RefCell, num::NonZeroUsize, rc::Rc};

use crate::{
    answer::Answer,
    context::StreamState,
    crossings::Crossings,
    error::Error,
    headers::HeaderMap,
    local_reply::Origin,
    side::{Direction, Iteration, Message},
    worker::Worker,
};

/// The state of a stream after something has arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// What arrived was forwarded, with everything that was held before it.
    Continued,
    /// The filter holds it.
    Paused,
    /// A local reply was sent: the upstream gets nothing more.
    Replied,
    /// The stream was reset.
    Reset,
}

/// One request and its reply on their way through the filter.
///
/// Some methods send as the downstream or as the upstream; the others return what each of them has received so far. A
/// trap is an error of the call that caused it, and only of that call: afterwards the stream continues as in Envoy,
/// which answers for the guest (FAIL_CLOSED).
pub struct Stream {
    worker: Rc<RefCell<Worker>>,
    id: u32,
    finished: Option<Box<StreamState>>,
}

impl Stream {
    pub(crate) const fn new(worker: Rc<RefCell<Worker>>, id: u32) -> Self {
        Self { worker, id, finished: None }
    }

    /// The id of its context, as the guest sees it.
    #[must_use]
    pub const fn context(&self) -> u32 {
        self.id
    }

    /// Sets how many bytes of a body Envoy buffers for the filter. The default is 1 MiB; 0 means no limit. (Over
    /// HTTP/1.1 this is the listener's `per_connection_buffer_limit_bytes`, over HTTP/2 the window of a stream, 16
    /// MiB.)
    pub fn set_buffer_limit(&mut self, bytes: usize) {
        self.with(|stream| stream.buffer_limit = bytes);
    }

    /// The downstream sends its headers.
    ///
    /// # Errors
    ///
    /// If the guest traps, or the headers have already been sent.
    pub fn request_headers(
        &mut self,
        headers: impl Into<HeaderMap>,
        end_of_stream: bool,
    ) -> Result<Progress, Error> {
        const WHAT: &str = "request headers";
        self.refuse_if(WHAT, "they have been sent", |stream| stream.request.headers.is_some())?;
        let headers = headers.into();
        self.drive(Direction::Request, |worker, id| {
            worker.headers(id, Direction::Request, headers, end_of_stream);
        })
    }

    /// The downstream sends a part of its body. After a local reply, Envoy does not read it any more.
    ///
    /// # Errors
    ///
    /// If the guest traps, if the downstream's headers have not been sent, or if its end has been sent.
    pub fn request_body(
        &mut self,
        body: impl AsRef<[u8]>,
        end_of_stream: bool,
    ) -> Result<Progress, Error> {
        const WHAT: &str = "a part of the request body";
        self.refuse_outside(WHAT, Direction::Request)?;
        self.drive(Direction::Request, |worker, id| {
            worker.data(id, Direction::Request, body.as_ref().to_vec(), end_of_stream);
        })
    }

    /// The downstream sends its trailers.
    ///
    /// # Errors
    ///
    /// As for its body.
    pub fn request_trailers(&mut self, trailers: impl Into<HeaderMap>) -> Result<Progress, Error> {
        const WHAT: &str = "request trailers";
        self.refuse_outside(WHAT, Direction::Request)?;
        let trailers = trailers.into();
        self.drive(Direction::Request, |worker, id| {
            worker.trailers(id, Direction::Request, trailers);
        })
    }

    /// The upstream sends its headers, including `:status`.
    ///
    /// # Errors
    ///
    /// If the guest traps, or if the upstream has not received a request or has already answered.
    pub fn response_headers(
        &mut self,
        headers: impl Into<HeaderMap>,
        end_of_stream: bool,
    ) -> Result<Progress, Error> {
        const WHAT: &str = "response headers";
        self.refuse_if(WHAT, "the upstream has not got the request's headers", |stream| {
            stream.request.out.headers.is_none()
        })?;
        self.refuse_if(WHAT, "the upstream's stream was reset", |stream| stream.upstream_reset)?;
        self.refuse_if(WHAT, "they have been sent", |stream| stream.response.headers.is_some())?;
        let headers = headers.into();
        self.drive(Direction::Response, |worker, id| {
            worker.headers(id, Direction::Response, headers, end_of_stream);
        })
    }

    /// The upstream sends a part of its body.
    ///
    /// # Errors
    ///
    /// If the guest traps, if the upstream's headers have not been sent, or if its end has been sent.
    pub fn response_body(
        &mut self,
        body: impl AsRef<[u8]>,
        end_of_stream: bool,
    ) -> Result<Progress, Error> {
        const WHAT: &str = "a part of the response body";
        self.refuse_outside(WHAT, Direction::Response)?;
        self.drive(Direction::Response, |worker, id| {
            worker.data(id, Direction::Response, body.as_ref().to_vec(), end_of_stream);
        })
    }

    /// The upstream sends its trailers.
    ///
    /// # Errors
    ///
    /// As for its body.
    pub fn response_trailers(&mut self, trailers: impl Into<HeaderMap>) -> Result<Progress, Error> {
        const WHAT: &str = "response trailers";
        self.refuse_outside(WHAT, Direction::Response)?;
        let trailers = trailers.into();
        self.drive(Direction::Response, |worker, id| {
            worker.trailers(id, Direction::Response, trailers);
        })
    }

    /// The upstream sends a complete answer: headers, the body in pieces of `piece` bytes, trailers. It stops if a
    /// local reply replaces the answer, or if the stream is reset.
    ///
    /// # Errors
    ///
    /// As for the headers.
    pub fn answer(&mut self, answer: &Answer, piece: NonZeroUsize) -> Result<Progress, Error> {
        let Answer { headers, body, trailers } = answer;
        let end = |last: bool| last && trailers.is_none();
        let mut progress = self.response_headers(headers.clone(), end(body.is_empty()))?;
        let mut pieces = body.chunks(piece.get()).peekable();
        while let Some(piece) = pieces.next() {
            if self.is_reset() || self.local_reply().is_some() {
                return Ok(progress);
            }
            progress = self.response_body(piece, end(pieces.peek().is_none()))?;
        }
        match trailers {
            Some(trailers) if !self.is_reset() && self.local_reply().is_none() => {
                self.response_trailers(trailers.clone())
            }
            _ => Ok(progress),
        }
    }

    /// Ends the stream: `proxy_on_log`, `proxy_on_done`, `proxy_on_delete`. What the peers received can still be read.
    /// A second call does nothing.
    ///
    /// # Errors
    ///
    /// If the guest traps.
    pub fn finish(&mut self) -> Result<(), Error> {
        if self.finished.is_none() {
            let mut worker = self.worker.borrow_mut();
            self.finished = worker.finish(self.id);
            worker.told()?;
        }
        Ok(())
    }

    /// The state of the request.
    #[must_use]
    pub fn request_progress(&self) -> Progress {
        self.read(|stream| progress(stream, Direction::Request))
    }

    /// The state of the reply.
    #[must_use]
    pub fn response_progress(&self) -> Progress {
        self.read(|stream| progress(stream, Direction::Response))
    }

    /// What the upstream has received.
    #[must_use]
    pub fn forwarded(&self) -> Message {
        self.read(|stream| stream.request.out.clone())
    }

    /// What the downstream has received.
    #[must_use]
    pub fn received(&self) -> Message {
        self.read(|stream| stream.response.out.clone())
    }

    /// What the downstream has received, if it is a local reply.
    #[must_use]
    pub fn local_reply(&self) -> Option<Message> {
        let local = matches!(self.origin(), Some(Origin::Envoy | Origin::Filter));
        local.then(|| self.received())
    }

    /// The source of the reply, if there is one yet.
    #[must_use]
    pub fn origin(&self) -> Option<Origin> {
        self.read(|stream| stream.origin)
    }

    /// The details of a local reply, as Envoy's access log has them (`%RESPONSE_CODE_DETAILS%`).
    #[must_use]
    pub fn details(&self) -> String {
        self.read(|stream| stream.details.clone())
    }

    /// Whether the downstream's stream was reset: the downstream saw the start of the reply, or nothing, and no end.
    #[must_use]
    pub fn is_reset(&self) -> bool {
        self.read(|stream| stream.reset)
    }

    /// Whether the upstream's stream was reset: it had received a part of the request before a local reply was sent.
    /// Over HTTP/1.1 this costs a connection.
    #[must_use]
    pub fn is_upstream_reset(&self) -> bool {
        self.read(|stream| stream.upstream_reset)
    }

    /// The value in the filter state under a name that a wasm filter has set with `proxy_set_property`.
    #[must_use]
    pub fn filter_state(&self, name: &str) -> Option<Vec<u8>> {
        self.read(|stream| stream.attributes.filter_state.get(name.as_bytes()).cloned())
    }

    /// The fuel that the guest has used in callbacks of this stream; see [`Vm::fuel`](crate::Vm::fuel).
    #[must_use]
    pub fn fuel(&self) -> u64 {
        self.read(|stream| stream.fuel)
    }

    /// How often the guest and the host have called each other for this stream. A tick is not a stream's, but what the
    /// guest does in it for a stream is.
    #[must_use]
    pub fn crossings(&self) -> Crossings {
        self.read(|stream| stream.crossings.clone())
    }

    fn drive(
        &mut self,
        direction: Direction,
        deed: impl FnOnce(&mut Worker, u32),
    ) -> Result<Progress, Error> {
        let mut worker = self.worker.borrow_mut();
        deed(&mut worker, self.id);
        worker.told()?;
        Ok(progress(worker.stream(self.id), direction))
    }

    fn refuse_outside(&self, what: &'static str, direction: Direction) -> Result<(), Error> {
        self.refuse_if(what, "the headers have not been sent", |stream| {
            stream.side(direction).headers.is_none()
        })?;
        self.refuse_if(what, "a local reply was given in the upstream's place", |stream| {
            direction == Direction::Response && stream.has_local_reply()
        })?;
        self.refuse_if(what, "the end has been sent", |stream| stream.side(direction).ended)
    }

    fn refuse_if(
        &self,
        what: &'static str,
        why: &'static str,
        wrong: impl FnOnce(&StreamState) -> bool,
    ) -> Result<(), Error> {
        if self.finished.is_some() {
            return Err(Error::OutOfOrder { what, why: "the stream is finished" });
        }
        if self.read(wrong) { Err(Error::OutOfOrder { what, why }) } else { Ok(()) }
    }

    fn read<T>(&self, look: impl FnOnce(&StreamState) -> T) -> T {
        match &self.finished {
            Some(stream) => look(stream),
            None => look(self.worker.borrow_mut().stream(self.id)),
        }
    }

    fn with(&mut self, change: impl FnOnce(&mut StreamState)) {
        match &mut self.finished {
            Some(stream) => change(stream),
            None => change(self.worker.borrow_mut().stream(self.id)),
        }
    }
}

fn progress(stream: &StreamState, direction: Direction) -> Progress {
    if stream.reset {
        Progress::Reset
    } else if stream.has_local_reply() {
        Progress::Replied
    } else if stream.side(direction).iteration == Iteration::Continue {
        Progress::Continued
    } else {
        Progress::Paused
    }
}
