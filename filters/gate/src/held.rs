//! A request whose head has passed, until its body has come.

use sluice_encodings::{Encoding, Encodings};
use sluice_headers::{HeaderEdit, names::CONTENT_LENGTH};
use sluice_reply::Protocol;
use sluice_route::{Endpoint, Transport};
use sluice_stores::Store;
use sluice_tenant::Tenanted;

use crate::{ReplyHead, ReplyStep, Sent, export::Export, forward::announce, rest::saturated};

/// A request whose head has passed. It exists only until its body has come.
#[derive(Debug)]
pub struct Held {
    /// Who sends, and for which tenant.
    pub(crate) tenanted: Tenanted,
    pub(crate) export: Export,
    pub(crate) route: Route,
    pub(crate) head: Head,
    /// The length of the body, if it was announced.
    pub(crate) length: Option<usize>,
    left_to_envoy: usize,
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
    pub(crate) taken: Encodings,
}

/// Where the head is while the body comes.
#[derive(Debug)]
pub(crate) enum Head {
    /// Still here, to be edited when the body is known.
    Held(Vec<HeaderEdit>),
    /// On its way to the backend, with this encoding of the body, or of its message if that is flagged.
    Gone(Encoding),
}

impl Route {
    /// The way to an endpoint of a backend that is this store.
    pub(crate) fn to(store: &'static Store, endpoint: &Endpoint<'_>) -> Self {
        Self {
            store,
            transport: endpoint.transport(),
            cluster: endpoint.cluster().to_owned(),
            burst: endpoint.burst(),
            taken: endpoint.encodings(),
        }
    }
}

impl Held {
    /// Body bytes that are left to Envoy when the head has gone on: half of Envoy's default buffer. Beyond
    /// that, Envoy would answer 413 over HTTP/1.1, so they move into the module.
    pub const BUFFERED_BY_ENVOY: usize = 512 << 10;

    /// A request whose head waits for its body, to be edited so when that has come.
    pub(crate) fn with_head(
        tenanted: Tenanted,
        export: Export,
        route: Route,
        edits: Vec<HeaderEdit>,
        length: Option<u64>,
    ) -> Self {
        let (head, length) = (Head::Held(edits), length.map(saturated));
        Self { tenanted, export, route, head, length, left_to_envoy: usize::MAX }
    }

    /// A request whose head goes on now, with more edits than these.
    pub(crate) fn without_head(
        tenanted: Tenanted,
        export: Export,
        route: Route,
        edits: &mut Vec<HeaderEdit>,
        length: Option<u64>,
    ) -> Self {
        let fits = length.is_some_and(|length| length <= Self::BUFFERED_BY_ENVOY as u64);
        let left_to_envoy = match export.protocol {
            // It may go on decoded, which is longer than it came.
            _ if export.encoding != Encoding::Identity => 0,
            // Over HTTP/2 no piece is longer than a frame.
            Protocol::Grpc => Self::BUFFERED_BY_ENVOY,
            _ if fits => Self::BUFFERED_BY_ENVOY,
            // Over HTTP/1.1 a piece may be as long as the buffer, and there must be nothing in it yet.
            _ => 0,
        };
        // The body may yet become shorter, and whatever it becomes, it has the encoding that is
        // announced now. What the backend does not take goes decoded: a copy back from the module
        // either way, and gzip would add a checksum to it.
        let announced = match route.taken.contains(export.encoding) {
            true => export.encoding,
            false => Encoding::Identity,
        };
        edits.push(HeaderEdit::remove(CONTENT_LENGTH));
        edits.push(announce(route.transport, announced));
        let (head, length) = (Head::Gone(announced), length.map(saturated));
        Self { tenanted, export, route, head, length, left_to_envoy }
    }

    /// The same for a body that may come out longer than it came in. It would not fit where it waited: Envoy
    /// would answer 413 in the backend's place, and nothing would be stored.
    pub(crate) fn lengthened(mut self) -> Self {
        if let Head::Gone(_) = self.head {
            self.left_to_envoy = 0;
        }
        self
    }

    /// How many bytes of the body may wait in Envoy for the rest; what comes beyond that has to move.
    #[must_use]
    pub const fn left_to_envoy(&self) -> usize {
        self.left_to_envoy
    }

    /// How the sender is answered.
    pub(crate) const fn protocol(&self) -> Protocol {
        self.export.protocol
    }

    /// How the backend is spoken to.
    pub(crate) const fn transport(&self) -> Transport {
        self.route.transport
    }

    /// Whether a body in this encoding may go on as it came.
    pub(crate) fn passes(&self, encoding: Encoding) -> bool {
        match (&self.head, self.route.transport) {
            (Head::Held(_), _) => self.route.taken.contains(encoding),
            // A message says for itself that it is not compressed.
            (Head::Gone(_), Transport::Grpc) if encoding == Encoding::Identity => true,
            (Head::Gone(announced), _) => *announced == encoding,
        }
    }

    /// Decides on a reply that comes before the body has. Nothing was stored, whatever it says. It is a
    /// backend's that does not wait for the body, or Envoy's own, to a request that takes too long, say, or
    /// is over Envoy's own limit.
    pub fn on_early_reply(self, head: &ReplyHead<'_>) -> ReplyStep {
        let Route { store, transport, cluster, burst, .. } = self.route;
        let sent = Sent {
            protocol: self.export.protocol,
            signal: self.export.signal,
            store,
            cluster,
            burst,
            transport,
            violations: None,
            nothing: false,
            holds: false,
        };
        sent.on_early_reply(head)
    }
}
