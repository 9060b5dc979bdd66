//! A whole request and its answer in one go.

use std::num::NonZeroUsize;

use crate::{
    answer::Answer, error::Error, headers::HeaderMap, plugin::PluginId, property::Attributes,
    side::Message, stream::Stream, vm::Vm,
};

type Upstream<'a> = Box<dyn FnMut(&Message) -> Answer + 'a>;

/// A request that is sent whole, and the upstream that it comes to.
///
/// ```
/// # fn test(vm: &envoy_harness::Vm, plugin: envoy_harness::PluginId) -> Result<(), envoy_harness::Error> {
/// use envoy_harness::{Answer, Exchange};
///
/// let stream = Exchange::new([(":method", "POST"), (":path", "/"), (":authority", "a")])
///     .body("hello")
///     .in_pieces_of(2)
///     .upstream(|request| Answer::new(200).body(request.body.clone()))
///     .run(vm, plugin)?;
/// assert_eq!(stream.received().body, b"hello");
/// # Ok(())
/// # }
/// ```
pub struct Exchange<'a> {
    headers: HeaderMap,
    body: Option<Vec<u8>>,
    trailers: Option<HeaderMap>,
    piece: NonZeroUsize,
    attributes: Attributes,
    buffer_limit: Option<usize>,
    upstream: Upstream<'a>,
}

impl<'a> Exchange<'a> {
    /// A request of headers alone, to an upstream that answers 200 and no more.
    pub fn new(headers: impl Into<HeaderMap>) -> Self {
        Self {
            headers: headers.into(),
            body: None,
            trailers: None,
            piece: NonZeroUsize::MAX,
            attributes: Attributes::new(),
            buffer_limit: None,
            upstream: Box::new(|_| Answer::new(200)),
        }
    }

    /// With a body. An empty one ends the request by an empty piece, and not by its headers.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// With trailers.
    #[must_use]
    pub fn trailers(mut self, trailers: impl Into<HeaderMap>) -> Self {
        self.trailers = Some(trailers.into());
        self
    }

    /// Sends both bodies in pieces of this many bytes; whole unless it is set, and for 0.
    #[must_use]
    pub fn in_pieces_of(mut self, bytes: usize) -> Self {
        self.piece = NonZeroUsize::new(bytes).unwrap_or(NonZeroUsize::MAX);
        self
    }

    /// On a stream of which Envoy knows this.
    #[must_use]
    pub fn attributes(mut self, attributes: Attributes) -> Self {
        self.attributes = attributes;
        self
    }

    /// With this limit; see [`Stream::set_buffer_limit`].
    #[must_use]
    pub const fn buffer_limit(mut self, bytes: usize) -> Self {
        self.buffer_limit = Some(bytes);
        self
    }

    /// To an upstream that answers as `upstream` does, once it has got the whole request.
    #[must_use]
    pub fn upstream(mut self, upstream: impl FnMut(&Message) -> Answer + 'a) -> Self {
        self.upstream = Box::new(upstream);
        self
    }

    /// Sends it. The stream that comes back says what both sides have got; it is not finished.
    /// If the filter still holds the request, the upstream has not been asked.
    ///
    /// # Errors
    ///
    /// If there is no such plugin, or the guest traps.
    pub fn run(mut self, vm: &Vm, plugin: PluginId) -> Result<Stream, Error> {
        let mut stream = vm.stream(plugin, self.attributes)?;
        if let Some(bytes) = self.buffer_limit {
            stream.set_buffer_limit(bytes);
        }
        let body = self.body.as_deref();
        let ends_with_body = self.trailers.is_none();
        stream.request_headers(self.headers, body.is_none() && ends_with_body)?;
        let mut rest = body;
        while let Some(body) = rest {
            let (piece, after) = body.split_at(self.piece.get().min(body.len()));
            rest = (!after.is_empty()).then_some(after);
            stream.request_body(piece, rest.is_none() && ends_with_body)?;
        }
        if let Some(trailers) = self.trailers {
            stream.request_trailers(trailers)?;
        }
        if stream.forwarded().complete && stream.origin().is_none() {
            let answer = (self.upstream)(&stream.forwarded());
            stream.answer(&answer, self.piece)?;
        }
        Ok(stream)
    }
}
