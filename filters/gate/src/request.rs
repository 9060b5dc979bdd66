//! The head of a request: who sends, for which tenant, what, and where to.

use log::Level;
use sluice_headers::{
    HeaderEdit, Headers,
    names::{CONTENT_LENGTH, FORWARDED_CLIENT_CERT, PATH},
};
use sluice_otlp::Signal;
use sluice_remote_write::{VERSION, VERSION_HEADER};
use sluice_reply::{LocalReply, Protocol, Refusal};
use sluice_route::{Routes, foreign_header_edits};
use sluice_senders::{Admission, Ambiguity, Evidence, Expiry, PeerEvidence};
use sluice_tenant::Tenanted;

use crate::{
    BodyStep, Certificates, Count, Gate, Held, Rest,
    export::{Export, protocol, timeout},
    held::Route,
    rest::saturated,
};

/// The head of a request, as Envoy hands it out.
#[derive(Clone, Copy, Debug)]
pub struct RequestHead<'a> {
    /// The headers, pseudo headers included.
    pub headers: Headers<'a>,
    /// What Envoy says of the connection's certificate; `xfcc` is filled in from the headers.
    pub peer: PeerEvidence<'a>,
    /// Envoy's attribute `metadata`, where [`Gate::reads_tokens`] asks for it; `None` where Envoy has none.
    pub metadata: Option<&'a [u8]>,
    /// Whether nothing follows.
    pub end_of_stream: bool,
    /// The time, in seconds since the epoch.
    pub now: u64,
}

/// Who sends and for which tenant, for Envoy's logs, metrics and other filters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identified {
    /// The sender's namespace, if it was asked who sends.
    pub sender: Option<String>,
    /// By what it was found: `clientCertificate`, or `clientCertificate+jwt`.
    pub by: Option<String>,
    /// When its certificate ends, if one names it.
    pub expiry: Option<Expiry>,
    /// The tenant, if one is assigned.
    pub tenant: Option<String>,
    /// What to count of it.
    pub counts: Vec<Count>,
    /// What to log of it.
    pub log: Option<(Level, String)>,
}

/// What is to be done with a request after its head.
#[derive(Debug)]
#[must_use]
pub enum HeadStep {
    /// The body decides. Until then the head is held, or it goes on with these edits, and cannot be
    /// changed any more.
    Body {
        /// The edits to make now; none while the head is held.
        edits: Vec<HeaderEdit>,
        /// What the body is checked with.
        held: Held,
    },
    /// No body follows, and the request is decided.
    Decided(BodyStep),
    /// It goes on with these edits, and the gate has no more to do with it.
    Pass(Vec<HeaderEdit>),
    /// The gate answers.
    Reply {
        /// The answer.
        reply: Reply,
        /// What is thrown away before it goes; `None` if it goes at once.
        rest: Option<Rest>,
    },
}

/// An answer of the gate's own.
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct Reply {
    /// The answer.
    pub reply: LocalReply,
    /// What to count.
    pub counts: Vec<Count>,
    /// What to log.
    pub log: Option<(Level, String)>,
}

impl Identified {
    /// Warns once of a certificate that should have been renewed.
    fn warn(&mut self, certificates: &mut Certificates) {
        let Some(expiry) = self.expiry.filter(|expiry| expiry.renewal_overdue) else { return };
        let sender = self.sender.as_deref().unwrap_or_default();
        if certificates.first_warning(sender, expiry.at) {
            self.counts.push(Count::CertificateEnding);
            let line = format!(
                "the certificate of {sender} ends at {expiry}: it should have been renewed by now"
            );
            self.log = Some((Level::Warn, line));
        }
    }
}

impl Reply {
    pub(crate) fn refuse(protocol: Protocol, signal: Option<Signal>, refusal: &Refusal) -> Self {
        let label = refusal.label();
        let mut counts = vec![Count::request(signal, label)];
        if let Refusal::AllDropped(violations) = refusal {
            counts.extend(Count::of_violations(violations));
        }
        let reply = protocol.refuse(refusal);
        // One line for each refused request would let a stranger fill the disk; the counters show
        // them all, and the debug level shows why.
        let log = Some((Level::Debug, format!("refused: {label}: {refusal}")));
        Self { reply, counts, log }
    }
}

impl Gate {
    /// Decides on a request by its head, and says whose it is as far as that has been found.
    pub fn on_head(
        &self,
        head: &RequestHead<'_>,
        certificates: &mut Certificates,
    ) -> (HeadStep, Identified) {
        let protocol = protocol(head.headers);
        let mut identified = Identified::default();
        let step = match self.decide_head(head, protocol, certificates, &mut identified) {
            Ok(step) => step,
            Err((signal, refusal)) => {
                let limit = self.limits.discarded_bytes;
                let rest = match head.end_of_stream {
                    true => None,
                    false => Rest::of(head.headers, protocol, limit),
                };
                HeadStep::Reply { reply: Reply::refuse(protocol, signal, &refusal), rest }
            }
        };
        (step, identified)
    }

    fn decide_head(
        &self,
        head: &RequestHead<'_>,
        protocol: Protocol,
        certificates: &mut Certificates,
        identified: &mut Identified,
    ) -> Result<HeadStep, (Option<Signal>, Refusal)> {
        let headers = head.headers;
        let tenanted = self.identify(head, certificates, identified).map_err(|why| (None, why))?;
        let edits = self.own_edits(&tenanted, headers);
        let Some(routes) = &self.routes else {
            return Ok(HeadStep::Pass(edits));
        };
        if self.other_paths.let_pass(headers.first(PATH).unwrap_or_default()) {
            let foreign = foreign_header_edits(headers.names());
            return Ok(HeadStep::Pass(edits.into_iter().chain(foreign).collect()));
        }
        let export = Export::from_head(headers, protocol).map_err(|why| (None, why))?;
        let routed = self.route(routes, tenanted, export, headers, edits);
        let (edits, held) = routed.map_err(|refusal| (Some(export.signal), refusal))?;
        if !head.end_of_stream {
            return Ok(HeadStep::Body { edits, held });
        }
        Ok(HeadStep::Decided(match self.on_body(held, Vec::new(), usize::MAX) {
            BodyStep::Forward(forward) => BodyStep::Forward(forward.with_edits(edits)),
            reply @ BodyStep::Reply(_) => reply,
        }))
    }

    /// Finds out who sends and for which tenant, and whether that may be.
    fn identify(
        &self,
        head: &RequestHead<'_>,
        certificates: &mut Certificates,
        identified: &mut Identified,
    ) -> Result<Tenanted, Refusal> {
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

    /// Lets the sender in.
    fn admit(
        &self,
        head: &RequestHead<'_>,
        certificates: &mut Certificates,
    ) -> Result<Admission, Refusal> {
        let headers = head.headers;
        let xfcc: Vec<_> = headers.all(FORWARDED_CLIENT_CERT).collect();
        let peer = PeerEvidence { xfcc: &xfcc, ..head.peer };
        let mut evidence = Evidence {
            certificate: &mut || certificates.read(&peer),
            header: &|name| headers.all(name).collect(),
            metadata: head.metadata,
            now: head.now,
        };
        let ambiguity =
            if self.tenants.is_fixed() { Ambiguity::Tolerated } else { Ambiguity::Refused };
        Ok(self.senders.admit(&mut evidence, ambiguity)?)
    }

    /// What the sender's and the tenant's stage change of a head.
    fn own_edits(&self, tenanted: &Tenanted, headers: Headers<'_>) -> Vec<HeaderEdit> {
        let taken = |name: &&str| self.senders.headers_taken().iter().any(|taken| taken == name);
        let mut edits: Vec<_> = headers.names().filter(taken).map(HeaderEdit::remove).collect();
        // These come after what was taken off: the tenant's header may be one of them.
        edits.extend(tenanted.header_edits(headers.names()));
        edits
    }

    /// Sends an export on its way, and gives the edits to make now: none while the head is held.
    fn route(
        &self,
        routes: &Routes,
        tenanted: Tenanted,
        export: Export,
        headers: Headers<'_>,
        mut edits: Vec<HeaderEdit>,
    ) -> Result<(Vec<HeaderEdit>, Held), Refusal> {
        let backend = routes.pick(export.signal).ok_or(Refusal::NoBackend(export.signal))?;
        let limit = self.limits.body_bytes;
        let length = headers.number(CONTENT_LENGTH);
        if saturated(length.unwrap_or(0)) > limit {
            return Err(Refusal::BodyTooLarge { limit });
        }
        let endpoint = export.endpoint(backend, &tenanted, headers)?;
        edits.extend(endpoint.header_edits(export.format, headers.names()));
        match export.protocol {
            Protocol::Grpc => edits.extend(timeout(headers)),
            Protocol::RemoteWrite => edits.push(HeaderEdit::set(VERSION_HEADER, VERSION)),
            Protocol::HttpJson | Protocol::HttpProtobuf => {}
        }
        let route = Route::to(backend.store(), &endpoint);
        if self.hold_headers {
            return Ok((Vec::new(), Held::with_head(tenanted, export, route, edits, length)));
        }
        let held = Held::without_head(tenanted, export, route, &mut edits, length);
        let stamps = self.records.stamps(export.signal);
        Ok((edits, if stamps { held.lengthened() } else { held }))
    }
}
