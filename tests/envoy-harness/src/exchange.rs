//! A complete request and its answer in one call.

use std::num::NonZeroUsize;

use crate::{
    answer::Answer, error::Error, headers::HeaderMap, plugin::PluginId, property::Attributes,
    side::Message, stream::Stream, vm::Vm,
};

type Upstream<'a> = Box<dyn FnMut(&Message) -> Answer + 'a>;

/// A complete request, and the upstream that answers it.
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
    /// A request that only has headers, to an upstream that answers 200 without a body.
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

    /// Sets the body. An empty body ends the request with an empty piece, not with its headers.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// Sets the trailers.
    #[must_use]
    pub fn trailers(mut self, trailers: impl Into<HeaderMap>) -> Self {
        self.trailers = Some(trailers.into());
        self
    }

    /// Sends both bodies in pieces of this many bytes. The default, and 0, is to send each body whole.
    #[must_use]
    pub fn in_pieces_of(mut self, bytes: usize) -> Self {
        self.piece = NonZeroUsize::new(bytes).unwrap_or(NonZeroUsize::MAX);
        self
    }

    /// Sets the attributes of the stream.
    #[must_use]
    pub fn attributes(mut self, attributes: Attributes) -> Self {
        self.attributes = attributes;
        self
    }

    /// Sets the buffer limit; see [`Stream::set_buffer_limit`].
    #[must_use]
    pub const fn buffer_limit(mut self, bytes: usize) -> Self {
        self.buffer_limit = Some(bytes);
        self
    }

    /// Sets the upstream: `upstream` is called once the upstream has received the complete request, and returns the
    /// answer.
    #[must_use]
    pub fn upstream(mut self, upstream: impl FnMut(&Message) -> Answer + 'a) -> Self {
        self.upstream = Box::new(upstream);
        self
    }

    /// Sends the request. The returned stream shows what both sides received; it is not finished. If the filter still
    /// holds the request, the upstream has not been called.
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
