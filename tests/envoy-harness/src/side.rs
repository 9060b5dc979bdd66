//! One direction of a stream: the state that Envoy's filter manager and the wasm filter have of it.

use crate::headers::{HeaderMap, Kind};

/// The direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    /// Downstream to upstream; Envoy says "decode".
    Request,
    /// Upstream to downstream; Envoy says "encode".
    Response,
}

impl Direction {
    pub(crate) const fn headers_kind(self) -> Kind {
        match self {
            Self::Request => Kind::Request,
            Self::Response => Kind::Response,
        }
    }

    pub(crate) const fn trailers_kind(self) -> Kind {
        match self {
            Self::Request => Kind::Plain,
            Self::Response => Kind::ResponseTrailers,
        }
    }
}

/// The part of a request or a reply that has passed the filter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// Its headers, as they were when they passed.
    pub headers: Option<HeaderMap>,
    /// The part of its body that has passed.
    pub body: Vec<u8>,
    /// Its trailers, if it has any.
    pub trailers: Option<HeaderMap>,
    /// Whether its end has passed.
    pub complete: bool,
}

impl Message {
    /// The first value of a header, as text; `None` also before the headers have passed.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<String> {
        Some(self.headers.as_ref()?.text(name)?.into_owned())
    }

    /// The first value of a trailer, as text.
    #[must_use]
    pub fn trailer(&self, name: &str) -> Option<String> {
        Some(self.trailers.as_ref()?.text(name)?.into_owned())
    }

    /// The status of a reply.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        self.header(":status")?.parse().ok()
    }
}

/// Why a filter gets no more frames (`IterationState`, `source/common/http/filter_manager.h`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Iteration {
    #[default]
    Continue,
    /// The filter still gets body and trailers, but nothing is forwarded.
    StopSingle,
    /// The filter gets nothing; what arrives is buffered, up to the buffer limit.
    StopAllBuffer,
    /// The filter gets nothing; what arrives is buffered, and the peer is told to wait.
    StopAllWatermark,
}

impl Iteration {
    pub(crate) const fn stops_all(self) -> bool {
        matches!(self, Self::StopAllBuffer | Self::StopAllWatermark)
    }
}

#[derive(Debug, Default)]
pub(crate) struct Side {
    // The state of the filter manager.
    pub(crate) headers: Option<HeaderMap>,
    pub(crate) buffered: Option<Vec<u8>>,
    pub(crate) trailers: Option<HeaderMap>,
    pub(crate) iteration: Iteration,
    pub(crate) headers_continued: bool,
    /// The end has arrived, from the peer or with a local reply.
    pub(crate) ended: bool,
    /// A full buffer makes the peer wait instead of failing the stream.
    pub(crate) streaming: bool,

    // What the wasm filter (`Context`) can see.
    pub(crate) headers_shown: bool,
    pub(crate) trailers_shown: bool,
    /// The chunk of this body callback. It is kept after the callback only if the filter buffers it.
    pub(crate) data: Option<Vec<u8>>,
    pub(crate) data_shown: bool,
    /// The last body callback asked for buffering.
    pub(crate) buffering: bool,

    /// What has been forwarded.
    pub(crate) out: Message,
}

impl Side {
    pub(crate) fn new() -> Self {
        Self { streaming: true, ..Self::default() }
    }

    /// The body that the filter sees now: the whole buffer, or the current chunk (`Context::getBuffer`).
    pub(crate) fn visible_body(&self) -> Option<&[u8]> {
        if self.buffering {
            self.buffered.as_deref()
        } else {
            self.data.as_deref().filter(|_| self.data_shown)
        }
    }

    pub(crate) fn visible_body_mut(&mut self) -> Option<&mut Vec<u8>> {
        if self.buffering {
            self.buffered.as_mut()
        } else {
            let shown = self.data_shown;
            self.data.as_mut().filter(|_| shown)
        }
    }
}
