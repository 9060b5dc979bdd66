//! The answer of an upstream.

use crate::{headers::HeaderMap, side::Direction};

/// The answer of an upstream, or of the peer of an HTTP call-out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// Its headers, including `:status`.
    pub headers: HeaderMap,
    /// Its body. Without body and trailers, the answer only has headers.
    pub body: Vec<u8>,
    /// Its trailers, if it has any.
    pub trailers: Option<HeaderMap>,
}

impl Answer {
    /// An answer that only has headers.
    #[must_use]
    pub fn new(status: u16) -> Self {
        Self { headers: HeaderMap::from([(":status", status.to_string())]), ..Self::default() }
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers.add(name, value);
        self
    }

    /// Sets the body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Adds a trailer.
    #[must_use]
    pub fn trailer(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.trailers.get_or_insert_default().add(name, value);
        self
    }

    /// The answer as Envoy stores it.
    pub(crate) fn received(self) -> Self {
        let Self { headers, body, trailers } = self;
        Self {
            headers: headers.into_kind(Direction::Response.headers_kind()),
            body,
            trailers: trailers.map(|map| map.into_kind(Direction::Response.trailers_kind())),
        }
    }
}
