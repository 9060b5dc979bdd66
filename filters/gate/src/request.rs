//! The head of a request: who sends, for which tenant, what, and where to.

use log::Level;
use sluice_headers::{
    HeaderEdit, Headers,
    names::{CONTENT_LENGTH, FORWARDED_CLIENT_CERT, PATH},
};
use sluice_otlp::Signal;
use sluice_remote_write::{VERSION, VERSION_HEADER};
use sluice_reply::{Protocol, Refusal};
use sluice_route::{Routes, strip_own_headers};
use sluice_senders::{Admission, Admitted, Ambiguity, Evidence, Expiry};
use sluice_tenant::Tenanted;

use crate::{
    BodyStep, Certificates, Count, Gate, LocalReply, PeerConnection, PendingRequest, Rest, Worker,
    export::{Export, grpc_timeout_edit, request_protocol},
    pending_request::Route,
    rest::saturated,
    worker::Allowance,
};

/// The head of a request, as Envoy gives it.
#[derive(Clone, Copy, Debug)]
pub struct RequestHead<'a> {
    /// The headers, including pseudo headers.
    pub headers: Headers<'a>,
    /// The connection that it came over.
    pub connection: &'a dyn PeerConnection,
    /// Envoy's attribute `metadata`, if [`Gate::reads_tokens`] needs it; `None` if Envoy has none.
    pub metadata: Option<&'a [u8]>,
    /// Whether nothing follows the head.
    pub end_of_stream: bool,
    /// The time, in seconds since the epoch.
    pub now: u64,
}

/// The sender and the tenant, for Envoy's logs, metrics and other filters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identified {
    /// The sender's namespace, if there is a `senders` section.
    pub sender: Option<String>,
    /// What identified it: `clientCertificate`, or `clientCertificate+jwt`.
    pub by: Option<String>,
    /// When its certificate expires, if a certificate identified it.
    pub expiry: Option<Expiry>,
    /// The tenant, if one is assigned.
    pub tenant: Option<String>,
    /// What to count for it.
    pub counts: Vec<Count>,
    /// What to log for it.
    pub log: Option<(Level, String)>,
}

/// A request that passes unchecked, because the configuration lists its path or has no backends. Its sender has been
/// admitted all the same: this can be made only from a [`Tenanted`].
#[derive(Debug)]
pub struct Pass {
    edits: Vec<HeaderEdit>,
}

/// What to do with a request after its head.
#[derive(Debug)]
#[must_use]
pub enum HeadStep {
    /// The body decides. Until then, the head is held, or is forwarded now with these edits and
    /// cannot be changed any more.
    Body {
        /// The edits to make now; none if the head is held.
        edits: Vec<HeaderEdit>,
        /// The state for receiving the body.
        pending: Box<PendingRequest>,
    },
    /// No body follows, and the request is decided.
    Decided(BodyStep),
    /// The request passes unchecked, and the gate has nothing more to do.
    Pass(Pass),
    /// The gate makes a local reply.
    LocalReply(LocalReply),
}

impl Pass {
    fn new(_: Tenanted, edits: Vec<HeaderEdit>) -> Self {
        Self { edits }
    }

    /// The edits to its head.
    #[must_use]
    pub fn edits(&self) -> &[HeaderEdit] {
        &self.edits
    }
}

impl Identified {
    /// Warns once about a certificate that should have been renewed.
    fn warn(&mut self, certificates: &mut Certificates) {
        let Some(expiry) = self.expiry.filter(|expiry| expiry.renewal_overdue) else { return };
        let sender = self.sender.as_deref().unwrap_or_default();
        if certificates.first_warning(sender, expiry.at) {
            self.counts.push(Count::CertificateEnding);
            let line = format!(
                "the client certificate of {sender} expires at {expiry} and should have been renewed by now"
            );
            self.log = Some((Level::Warn, line));
        }
    }
}

impl Gate {
    /// Decides about a request by its head. Also returns who the sender is, as far as that is
    /// known.
    pub fn on_head(&self, head: &RequestHead<'_>, worker: &Worker) -> (HeadStep, Identified) {
        let protocol = request_protocol(head.headers);
        let mut identified = Identified::default();
        let step = self.decide_head(head, protocol, worker, &mut identified);
        let step = step.unwrap_or_else(|(signal, refusal)| {
            let limit = self.limits.discarded_bytes;
            let rest = match head.end_of_stream {
                true => None,
                false => Rest::of(head.headers, protocol, limit),
            };
            let reply = LocalReply::refuse(protocol, signal, &refusal);
            HeadStep::LocalReply(reply.at_head(rest, self.hold_headers))
        });
        (step, identified)
    }

    fn decide_head(
        &self,
        head: &RequestHead<'_>,
        protocol: Protocol,
        worker: &Worker,
        identified: &mut Identified,
    ) -> Result<HeadStep, (Option<Signal>, Refusal)> {
        let headers = head.headers;
        let tenanted = self.identify(head, worker, identified).map_err(|why| (None, why))?;
        let edits = self.own_edits(&tenanted, headers);
        let Some(routes) = &self.routes else {
            return Ok(HeadStep::Pass(Pass::new(tenanted, edits)));
        };
        if self.other_paths.let_pass(headers.first(PATH).unwrap_or_default()) {
            let edits = edits.into_iter().chain(strip_own_headers(headers.names()));
            return Ok(HeadStep::Pass(Pass::new(tenanted, edits.collect())));
        }
        let export = Export::from_head(headers, protocol).map_err(|why| (None, why))?;
        let pending = self.route(routes, tenanted, export, (headers, edits), worker);
        let pending = pending.map_err(|refusal| (Some(export.signal), refusal))?;
        Ok(self.await_body(pending, head))
    }

    /// Makes a request wait for its body, or decides about it if there is none.
    fn await_body(&self, pending: PendingRequest, head: &RequestHead<'_>) -> HeadStep {
        let (edits, mut pending) = match self.hold_headers {
            true => (Vec::new(), pending),
            false => {
                let may_grow = self.records.stamps(pending.export.signal);
                pending.without_head(may_grow)
            }
        };
        if head.end_of_stream {
            return HeadStep::Decided(match self.on_body(pending, Vec::new(), usize::MAX) {
                BodyStep::Forward(forward) => BodyStep::Forward(forward.with_edits(edits)),
                reply @ BodyStep::LocalReply(_) => reply,
            });
        }
        match pending.wait(head.headers) {
            Ok(()) => HeadStep::Body { edits, pending: Box::new(pending) },
            Err(reply) => HeadStep::LocalReply(*reply),
        }
    }

    /// Identifies the sender and the tenant, and checks that the sender is admitted.
    pub(crate) fn identify(
        &self,
        head: &RequestHead<'_>,
        worker: &Worker,
        identified: &mut Identified,
    ) -> Result<Tenanted, Refusal> {
        // Nothing else uses them in the meantime. If something did, they would be read again.
        let (mut shared, mut own) =
            (worker.certificates.try_borrow_mut().ok(), Certificates::default());
        let certificates = shared.as_deref_mut().unwrap_or(&mut own);
        let admission = self.admit(head, certificates)?;
        if let Some(sender) = admission.sender() {
            identified.sender = Some(sender.namespace().to_owned());
            identified.by = Some(sender.identified_by().to_string());
            identified.expiry = sender.expiry();
            identified.warn(certificates);
        }
        let tenanted = self.tenants.assign(admission)?;
        identified.tenant = tenanted.tenant().map(|tenant| tenant.as_str().to_owned());
        Ok(tenanted)
    }

    /// Admits the sender.
    fn admit(
        &self,
        head: &RequestHead<'_>,
        certificates: &mut Certificates,
    ) -> Result<Admission, Refusal> {
        let headers = head.headers;
        let xfcc: Vec<_> = headers.all(FORWARDED_CLIENT_CERT).collect();
        let mut evidence = Evidence {
            certificate: &mut || certificates.read(head.connection, &xfcc),
            header: &|name| headers.all(name).collect(),
            metadata: head.metadata,
            now: head.now,
        };
        let ambiguity =
            if self.tenants.is_fixed() { Ambiguity::Tolerated } else { Ambiguity::Refused };
        Ok(self.senders.admit(&mut evidence, ambiguity)?)
    }

    /// The edits of the sender's and the tenant's stage to a head.
    fn own_edits(&self, tenanted: &Tenanted, headers: Headers<'_>) -> Vec<HeaderEdit> {
        let taken = |name: &&str| self.senders.headers_taken().iter().any(|taken| taken == name);
        let mut edits: Vec<_> = headers.names().filter(taken).map(HeaderEdit::remove).collect();
        // These come after the removals, because the tenant's header may be among the removed ones.
        edits.extend(tenanted.header_edits(headers.names()));
        edits
    }

    /// Finds the route of an export to its backend. Its head has not been forwarded yet and is
    /// edited at the end.
    fn route(
        &self,
        routes: &Routes,
        tenanted: Tenanted,
        export: Export,
        (headers, mut edits): (Headers<'_>, Vec<HeaderEdit>),
        worker: &Worker,
    ) -> Result<PendingRequest, Refusal> {
        let backend = routes.pick(export.signal).ok_or(Refusal::NoBackend(export.signal))?;
        let limit = self.limits.body_bytes;
        let length = headers.number(CONTENT_LENGTH);
        if saturated(length.unwrap_or(0)) > limit {
            return Err(Refusal::BodyTooLarge { limit });
        }
        let endpoint = export.endpoint(backend, &tenanted, headers)?;
        edits.extend(endpoint.header_edits(export.format, headers.names()));
        match export.protocol {
            Protocol::Grpc => edits.extend(grpc_timeout_edit(headers)),
            Protocol::RemoteWrite => edits.push(HeaderEdit::set(VERSION_HEADER, VERSION)),
            Protocol::HttpJson | Protocol::HttpProtobuf => {}
        }
        let route = Route::to(backend.store(), &endpoint);
        let sender = tenanted.sender().map(Admitted::namespace);
        let allowance = Allowance::new(self.limits, worker, sender);
        Ok(PendingRequest::with_head(tenanted, export, route, edits, length, allowance))
    }
}
