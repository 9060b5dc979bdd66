//! The answers of a backend: by its own rules, or because a test asked for them.

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::{
    HeaderMap, Response, StatusCode,
    header::{CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER},
};
use http_body_util::{BodyExt, Full};

use crate::{
    Backend,
    status::{Code, Status},
};

/// Media type of protobuf bodies, OTLP 1.x section "OTLP/HTTP".
pub(crate) const PROTOBUF: &str = "application/x-protobuf";
/// Media type of JSON bodies, same section.
pub(crate) const JSON: &str = "application/json";

/// A complete HTTP answer, sent after `delay`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status; the default is 200.
    pub status: StatusCode,
    /// The headers. The server adds `content-length` and `date`.
    pub headers: HeaderMap,
    /// The body; must be empty with 204.
    pub body: Bytes,
    /// Trailers after the body, which only HTTP/2 carries; none if empty.
    pub trailers: Vec<(HeaderName, HeaderValue)>,
    /// How long the request waits for the answer.
    pub delay: Duration,
}

impl Answer {
    /// An answer with this status, without headers, body or delay.
    pub fn new(status: StatusCode) -> Self {
        Self { status, ..Self::default() }
    }

    /// The same answer with one more header.
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.append(name, value);
        self
    }

    /// The same answer with this body.
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// The same answer with one more trailer.
    pub fn trailer(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.trailers.push((name, value));
        self
    }

    /// The same answer, sent after a delay.
    pub fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// The answer of the real backend when a tenant exceeds its rate limit.
    ///
    /// Loki: 429, a Status without code, no `Retry-After`. Mimir: 429, `Retry-After`, the HTTP number as code. Tempo:
    /// 429, code 8 with RetryInfo, `Retry-After: 5`. Pyroscope: unknown, here a text.
    pub fn rate_limited(backend: Backend) -> Self {
        let answer = Self::new(StatusCode::TOO_MANY_REQUESTS);
        match backend {
            Backend::Loki => answer
                .header(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"))
                .body(Status::new(Code::UNSET, "ingestion rate limit exceeded").protobuf()),
            Backend::Mimir => answer
                .header(CONTENT_TYPE, HeaderValue::from_static(PROTOBUF))
                .header(RETRY_AFTER, HeaderValue::from_static("6"))
                .body(
                    Status::new(Code::http(StatusCode::TOO_MANY_REQUESTS), "request rate limit")
                        .protobuf(),
                ),
            Backend::Tempo => answer
                .header(CONTENT_TYPE, HeaderValue::from_static(PROTOBUF))
                .header(RETRY_AFTER, HeaderValue::from_static("5"))
                .body(
                    Status::new(Code::RESOURCE_EXHAUSTED, "rate limit exceeded")
                        .retry_after(Duration::from_secs(5))
                        .protobuf(),
                ),
            Backend::Pyroscope => Self::go_error(answer.status, "rate limit exceeded"),
        }
    }

    /// A `text/plain` answer as Go's `http.Error` writes it, with a line break at the end.
    pub(crate) fn go_error(status: StatusCode, text: &str) -> Self {
        Self::text(status, "text/plain; charset=utf-8", format!("{text}\n"))
            .header(http::header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"))
    }

    /// An answer with a text body of the given type.
    pub(crate) fn text(
        status: StatusCode,
        content_type: &'static str,
        body: impl Into<Bytes>,
    ) -> Self {
        Self::new(status).header(CONTENT_TYPE, HeaderValue::from_static(content_type)).body(body)
    }

    pub(crate) fn into_response(self) -> Response<Body> {
        let body = Full::new(self.body);
        let trailers = (!self.trailers.is_empty()).then(|| HeaderMap::from_iter(self.trailers));
        let mut response = Response::new(match trailers {
            Some(trailers) => Body::new(body.with_trailers(std::future::ready(Some(Ok(trailers))))),
            None => Body::new(body),
        });
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        response
    }
}

/// What a backend does with a push instead of its normal work. The push is recorded as a [`crate::Request`]; its
/// telemetry is not stored, except with [`Reaction::StoreAndClose`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reaction {
    /// Send this answer.
    Answer(Answer),
    /// Read the request, then close the connection without an answer (HTTP/2: reset the stream).
    Close,
    /// Do the normal work and store, then close as [`Reaction::Close`] does, so that the sender cannot know that it was
    /// stored.
    StoreAndClose,
    /// Read the request and never answer. This ends when the sender disconnects or the backends stop.
    Hang,
}

impl From<Answer> for Reaction {
    fn from(answer: Answer) -> Self {
        Self::Answer(answer)
    }
}
