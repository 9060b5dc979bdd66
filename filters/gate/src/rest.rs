//! The rest of a request that is refused before all of it has arrived.
//!
//! Most clients read no reply before they have sent their whole request. If the connection is
//! closed in the meantime (RFC 9112, section 9.6), or the stream is reset (RFC 9113, section 8.1),
//! they never see the refusal, and send the same request again. So the gate receives the rest and
//! discards it, within limits, and only then sends the local reply.

use std::time::Duration;

use sluice_headers::{Headers, names::CONTENT_LENGTH};
use sluice_reply::Protocol;

/// What is still to come of a refused request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rest {
    /// The most that is received of a body, in bytes.
    limit: usize,
    /// The length of the body, if it was announced.
    length: Option<usize>,
}

impl Rest {
    /// What to receive of a request with this head; `None` if its local reply is sent at once.
    pub(crate) fn of(headers: Headers<'_>, protocol: Protocol, limit: usize) -> Option<Self> {
        // A client that asks first has sent nothing yet, and reads the reply at once. But unless `proxy_100_continue`
        // is set, Envoy has told it to continue and removed the header.
        if headers.first("expect").is_some() {
            return None;
        }
        let length = headers.number(CONTENT_LENGTH);
        Self::new(protocol, length.map(saturated), limit)
    }

    /// As [`Self::of`], when a part of the body has arrived.
    pub(crate) fn new(protocol: Protocol, length: Option<usize>, limit: usize) -> Option<Self> {
        // A gRPC client reads while it writes, so the status may be sent at any time.
        if protocol == Protocol::Grpc {
            return None;
        }
        let rest = Self { limit, length };
        // If not all of it is received, the reply would be lost anyway.
        (!rest.is_too_long(length.unwrap_or(0))).then_some(rest)
    }

    /// Whether to send the local reply although more is to come, because this many bytes of the body have already
    /// arrived.
    pub(crate) const fn is_too_long(self, came: usize) -> bool {
        came > self.limit
    }
}

/// A rest that the filter discards. None of it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Discard {
    rest: Rest,
    /// How many bytes of the body have arrived.
    came: usize,
}

impl Discard {
    /// A rest of whose body this many bytes have already arrived.
    pub(crate) const fn new(rest: Rest, came: usize) -> Self {
        Self { rest, came }
    }

    /// Whether to send the local reply, after this many more bytes of the body.
    pub const fn is_over(&mut self, size: usize, end_of_stream: bool) -> bool {
        self.came = self.came.saturating_add(size);
        end_of_stream || self.rest.is_too_long(self.came)
    }
}

/// A rest that Envoy itself discards while it holds the local reply back. Envoy does not say when the request has
/// ended; only the number of bytes that have arrived is known.
#[derive(Clone, Copy, Debug)]
pub struct Unseen {
    rest: Rest,
    /// How many bytes of the body have arrived.
    came: usize,
    /// How many checks were made since some of it arrived.
    quiet: u32,
    /// How many checks were made in all.
    looks: u32,
}

impl Unseen {
    /// How often to check.
    pub const PERIOD: Duration = Duration::from_millis(10);

    /// The last byte of a body with an announced length is not yet its end: over HTTP/2, the end may come in a frame of
    /// its own.
    const QUIET_AT_ITS_END: u32 = 1;

    /// A body without an announced length has ended if nothing has arrived for a quarter of a
    /// second.
    const QUIET: u32 = 25;

    /// Nothing waits longer than a minute: Envoy's `request_timeout` in the shipped configuration, which no longer
    /// applies once there is a reply.
    const LOOKS: u32 = 6_000;

    /// A rest of which nothing is known yet.
    #[must_use]
    pub const fn new(rest: Rest) -> Self {
        Self { rest, came: 0, quiet: 0, looks: 0 }
    }

    /// Whether to send the local reply, now that this many bytes of the body have arrived. Call it once each
    /// [`Self::PERIOD`].
    pub fn is_over(&mut self, came: usize) -> bool {
        self.looks = self.looks.saturating_add(1);
        self.quiet = if came > self.came { 0 } else { self.quiet.saturating_add(1) };
        self.came = came;
        let enough = match self.rest.length {
            Some(length) if came < length => Self::LOOKS,
            Some(_) => Self::QUIET_AT_ITS_END,
            None => Self::QUIET,
        };
        self.quiet >= enough || self.looks >= Self::LOOKS || self.rest.is_too_long(came)
    }
}

/// The length, or the largest possible value if it does not fit.
pub(crate) fn saturated(length: u64) -> usize {
    usize::try_from(length).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HTTP: Protocol = Protocol::HttpProtobuf;

    fn rest_of(protocol: Protocol, headers: &[(&str, &str)]) -> Option<Rest> {
        let headers: Vec<_> = headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec()))
            .collect();
        Rest::of(Headers(&headers), protocol, 1000)
    }

    /// After how many checks the rest is over, if this much has arrived at each, and nothing after
    /// that.
    fn looks(length: Option<usize>, came: impl IntoIterator<Item = usize>) -> usize {
        let mut unseen = Unseen::new(Rest::new(HTTP, length, 1000).expect("it is to be taken"));
        let (mut last, mut looks) = (0, 0_usize);
        let mut came = came.into_iter();
        loop {
            last = came.next().unwrap_or(last);
            looks = looks.saturating_add(1);
            if unseen.is_over(last) {
                return looks;
            }
        }
    }

    #[test]
    fn it_is_taken_if_the_client_may_not_read_before_it_has_written() {
        assert!(rest_of(HTTP, &[]).is_some());
        assert!(rest_of(Protocol::RemoteWrite, &[("content-length", "1000")]).is_some());
        assert_eq!(rest_of(Protocol::HttpJson, &[("content-length", "1001")]), None);
        assert_eq!(rest_of(HTTP, &[("expect", "100-continue")]), None);
        assert_eq!(rest_of(Protocol::Grpc, &[]), None);
    }

    #[test]
    fn what_the_filter_throws_away_is_over_at_its_end_or_when_it_is_too_long() {
        let rest = Rest::new(HTTP, None, 1000).expect("it is to be taken");
        let mut discard = Discard::new(rest, 400);
        assert!(!discard.is_over(600, false));
        assert!(discard.is_over(1, false));
        assert!(Discard::new(rest, 0).is_over(0, true));
    }

    #[test]
    fn it_is_over_when_all_has_come() {
        assert_eq!(looks(Some(300), [300]), 2);
        assert_eq!(looks(Some(300), [100, 100, 200, 200, 300]), 6);
        assert_eq!(looks(None, [300]), 26);
        assert_eq!(looks(None, [100; 20].into_iter().chain([200])), 46);
    }

    #[test]
    fn it_is_over_when_it_is_too_long_or_takes_too_long() {
        assert_eq!(looks(None, (0..).map(|look| look * 500)), 4);
        assert_eq!(looks(Some(300), [100]), 6_000);
        assert_eq!(looks(None, (0..).map(|look| look / 20)), 6_000);
    }
}
