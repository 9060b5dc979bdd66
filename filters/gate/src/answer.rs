//! The reply: what the backend said, merged with what the gate dropped, in the sender's protocol.

use log::Level;
use sluice_otlp::Signal;
use sluice_records::Violations;
use sluice_reply::{BackendReply, Code, Failure, LocalReply, Protocol, Told, Written, told};
use sluice_tenant::HeaderEdit;

use crate::{Count, Headers, Reply};

/// A request that is with its backend, and what its reply must take into account.
#[derive(Debug)]
pub struct Sent {
    protocol: Protocol,
    signal: Signal,
    /// Who answers, as the sender is told: the backend, or the gateway itself.
    answers: &'static str,
    violations: Option<Violations>,
    /// Whether there was no record in it.
    nothing: bool,
}

/// The head of a backend's reply, as Envoy hands it out.
#[derive(Clone, Copy, Debug)]
pub struct ReplyHead<'a> {
    /// The headers, pseudo headers included.
    pub headers: Headers<'a>,
    /// Whether nothing follows.
    pub end_of_stream: bool,
}

/// What is to be done with a reply after its head.
#[derive(Debug)]
#[must_use]
pub enum ReplyStep {
    /// The gate answers in its place.
    Answer(Reply),
    /// It goes on with these edits to its head, and the gate has no more to do with it.
    Pass {
        /// The edits to the head.
        edits: Vec<HeaderEdit>,
        /// What to count.
        counts: Vec<Count>,
    },
    /// Its head goes on with these edits, and its body is to be replaced.
    Rewrite {
        /// The edits to the head.
        edits: Vec<HeaderEdit>,
        /// What the body is read with.
        reading: Reading,
    },
}

/// A reply whose head has gone on. It exists only until its body has come.
#[derive(Debug)]
pub struct Reading {
    sent: Sent,
    status: u16,
    content_type: Vec<u8>,
    retry_after: Option<Vec<u8>>,
    /// The body is the Lua filter's stand-in for none.
    header_only: bool,
}

/// The header by which the Lua filter behind the module says that a reply had no body, and what
/// its status was. A wasm filter can add neither body nor trailers to such a reply.
pub const HEADER_ONLY: &str = "x-sluice-header-only";

impl Sent {
    pub(crate) const fn new(
        protocol: Protocol,
        signal: Signal,
        answers: &'static str,
        violations: Option<Violations>,
        nothing: bool,
    ) -> Self {
        Self { protocol, signal, answers, violations, nothing }
    }

    /// Decides on a reply by its head.
    pub fn on_reply_head(self, head: &ReplyHead<'_>) -> ReplyStep {
        let headers = head.headers;
        if self.protocol == Protocol::Grpc && headers.first("grpc-status").is_some() {
            // Backends are spoken to over HTTP: this is Envoy's own answer, and is gRPC already.
            let counts = vec![Count::request(Some(self.signal), "failed")];
            return ReplyStep::Pass { edits: Vec::new(), counts };
        }
        let header_only = headers.number(HEADER_ONLY);
        let status = header_only.or_else(|| headers.number(":status"));
        let reading = Reading {
            status: status.and_then(|status| u16::try_from(status).ok()).unwrap_or(500),
            content_type: headers.first("content-type").unwrap_or_default().to_vec(),
            retry_after: headers.first("retry-after").map(<[u8]>::to_vec),
            header_only: header_only.is_some(),
            sent: self,
        };
        // Status and headers do not depend on what the body says.
        let told = reading.told(&[]);
        let mut edits = reading.sent.protocol.reply_edits(&told);
        edits.push(HeaderEdit::remove(HEADER_ONLY));
        if head.end_of_stream {
            let counts = vec![reading.count(&told)];
            return match reading.sent.protocol.write(&told, reading.sent.signal) {
                // What is to be said fits the head. A local reply would not do: Envoy takes the
                // content type off one without a body.
                Written { body, trailers } if body.is_empty() && trailers.is_empty() => {
                    ReplyStep::Pass { edits, counts }
                }
                _ => ReplyStep::Answer(reading.answer(&told)),
            };
        }
        ReplyStep::Rewrite { edits, reading }
    }
}

impl Reading {
    /// The most of a reply's body that is read, in bytes. OTLP's replies are a count and a text.
    pub const MAX_BODY: usize = 64 << 10;

    /// What takes the place of the reply's body. Of one over [`Self::MAX_BODY`] nothing is read,
    /// and it may as well be given empty: its status has said what matters.
    #[must_use]
    pub fn finish(&self, body: &[u8]) -> (Written, Count) {
        let unread = self.header_only || body.len() > Self::MAX_BODY;
        let body = if unread { &[] } else { body };
        let told = self.told(body);
        (self.sent.protocol.write(&told, self.sent.signal), self.count(&told))
    }

    /// The trailers of a gRPC reply into which no message can be put any more. Over HTTP the head
    /// has said what there is to say.
    #[must_use]
    pub fn finish_without_message(&self) -> (Written, Count) {
        let told = match self.told(&[]) {
            Told::Success(_) if self.sent.protocol == Protocol::Grpc => {
                Told::Failure(self.voiceless())
            }
            told => told,
        };
        (self.sent.protocol.write(&told, self.sent.signal), self.count(&told))
    }

    fn told(&self, body: &[u8]) -> Told {
        let reply = BackendReply {
            name: self.sent.answers,
            status: self.status,
            content_type: &self.content_type,
            retry_after: self.retry_after.as_deref(),
            body,
        };
        told(&reply, self.sent.violations.as_ref(), self.sent.nothing)
    }

    /// Answers a reply that is a head alone.
    fn answer(&self, told: &Told) -> Reply {
        let protocol = self.sent.protocol;
        if let Some(reply) = protocol.answer(told, self.sent.signal) {
            return Reply { reply, counts: vec![self.count(told)], log: None };
        }
        let failure = self.voiceless();
        let log = Some((Level::Error, failure.message.clone()));
        let counts = vec![Count::request(Some(self.sent.signal), "failed")];
        let reply = LocalReply::Grpc { status: failure.status(), metadata: Vec::new() };
        Reply { reply, counts, log }
    }

    /// The records are stored and there is no way to say so: an error that is final, as trying
    /// again would store them twice.
    fn voiceless(&self) -> Failure {
        let name = self.sent.answers;
        Failure {
            http_status: 500,
            code: Code::Internal,
            message: format!(
                "{name} stored the records and answered without a body, and this gateway lacks \
                 the header-only Lua filter that lets it say so over gRPC: do not send them again"
            ),
            retry_after: None,
        }
    }

    fn count(&self, told: &Told) -> Count {
        let outcome = match told {
            Told::Failure(_) => "failed",
            Told::Success(_) if self.sent.nothing => "nothing",
            Told::Success(response) if response.partial_success.is_some() => "partial",
            Told::Success(_) => "stored",
        };
        Count::request(Some(self.sent.signal), outcome)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a reply with this status and no message counts as, and its trailers' status.
    fn without_message(protocol: Protocol, status: &[u8]) -> (&'static str, Option<String>) {
        let sent = Sent::new(protocol, Signal::Metrics, "mimir", None, false);
        let headers = [(":status".to_owned(), status.to_vec())];
        let head = ReplyHead { headers: Headers(&headers), end_of_stream: false };
        let ReplyStep::Rewrite { reading, .. } = sent.on_reply_head(&head) else {
            panic!("a body follows");
        };
        let (Written { trailers, .. }, Count::Request { outcome, .. }) =
            reading.finish_without_message()
        else {
            panic!("a reply counts a request");
        };
        (outcome, trailers.first().map(|(_, status)| status.clone()))
    }

    #[test]
    fn success_without_a_message_is_an_error_over_grpc_alone() {
        assert_eq!(without_message(Protocol::Grpc, b"200"), ("failed", Some("13".to_owned())));
        assert_eq!(without_message(Protocol::HttpProtobuf, b"200"), ("stored", None));
        assert_eq!(without_message(Protocol::HttpProtobuf, b"503"), ("failed", None));
    }
}
