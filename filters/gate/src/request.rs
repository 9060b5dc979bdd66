//! The head of a request: who sends, for which tenant, what, and where to.

use log::Level;
use sluice_headers::{
    HeaderEdit, Headers,
    names::{CONTENT_LENGTH, FORWARDED_CLIENT_CERT, PATH},
};
use sluice_otlp::Signal;
use sluice_remote_write::{VERSION, VERSION_HEADER};
use sluice_reply::{LocalReply, Protocol, Refusal};
use sluice_route::foreign_header_edits;
use sluice_senders::{Admitted, Ambiguity, Ending, Evidence, PeerEvidence};
use sluice_tenant::Tenanted;

use crate::{
    BodyStep, Certificates, Count, Gate, Held, Rest,
    export::{Export, protocol, timeout},
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
    pub ending: Option<Ending>,
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
        let Some(ending) = self.ending.filter(|ending| ending.is_near) else { return };
        let sender = self.sender.as_deref().unwrap_or_default();
        if certificates.is_news(sender, ending.at) {
            self.counts.push(Count::CertificateEnding);
            let line = format!(
                "the certificate of {sender} ends at {ending}: it should have been renewed by now"
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
        let unknown = |refusal: Refusal| (None, refusal);
        let headers = head.headers;
        let admitted = self.admit(head, certificates).map_err(unknown)?;
        let mut edits = Vec::new();
        if let (Some(senders), Some(admitted)) = (&self.senders, &admitted) {
            identified.sender = Some(admitted.namespace().to_owned());
            identified.by = Some(admitted.identified_by().to_string());
            identified.ending = admitted.ending();
            identified.warn(certificates);
            let taken = |name: &&str| senders.headers_taken().iter().any(|taken| taken == name);
            edits.extend(headers.names().filter(taken).map(HeaderEdit::remove));
        }
        let tenanted = match &self.tenancy {
            Some(tenancy) => {
                let tenanted = tenancy.assign(admitted.as_ref());
                Some(tenanted.map_err(|refusal| unknown(refusal.into()))?)
            }
            None => None,
        };
        if let Some(tenanted) = &tenanted {
            identified.tenant = Some(tenanted.tenant().as_str().to_owned());
            // These come after what was taken off: the tenant's header may be one of them.
            edits.extend(tenanted.header_edits(headers.names()));
        }
        let Some(routes) = &self.routes else {
            return Ok(HeadStep::Pass(edits));
        };
        if self.other_paths.let_pass(headers.first(PATH).unwrap_or_default()) {
            edits.extend(foreign_header_edits(headers.names()));
            return Ok(HeadStep::Pass(edits));
        }

        let export = Export::from_head(headers, protocol).map_err(unknown)?;
        let known = |refusal: Refusal| (Some(export.signal), refusal);
        let backend =
            routes.pick(export.signal).ok_or_else(|| known(Refusal::NoBackend(export.signal)))?;
        let limit = self.limits.body_bytes;
        let length = headers.number(CONTENT_LENGTH);
        let announced = length.unwrap_or(0);
        if usize::try_from(announced).unwrap_or(usize::MAX) > limit {
            return Err(known(Refusal::BodyTooLarge { limit }));
        }
        let tenant = tenanted.as_ref().map(Tenanted::tenant);
        let endpoint = export.endpoint(backend, tenant, headers).map_err(known)?;
        edits.extend(endpoint.header_edits(export.format, headers.names()));
        match protocol {
            Protocol::Grpc => edits.extend(timeout(headers)),
            Protocol::RemoteWrite => edits.push(HeaderEdit::set(VERSION_HEADER, VERSION)),
            Protocol::HttpJson | Protocol::HttpProtobuf => {}
        }

        let (edits, held) = Held::new(
            admitted,
            export,
            backend.kind(),
            &endpoint,
            edits,
            length,
            self.hold_headers,
        );
        let stamps = self.rules.as_ref().is_some_and(|rules| rules.stamps(export.signal));
        let held = if stamps { held.lengthened() } else { held };
        if head.end_of_stream {
            let mut step = self.on_body(held, Vec::new(), usize::MAX);
            if let BodyStep::Forward(forward) = &mut step {
                forward.edits.splice(..0, edits);
            }
            return Ok(HeadStep::Decided(step));
        }
        Ok(HeadStep::Body { edits, held })
    }

    /// Lets the sender in. `None` only where the configuration does not ask who sends.
    fn admit(
        &self,
        head: &RequestHead<'_>,
        certificates: &mut Certificates,
    ) -> Result<Option<Admitted>, Refusal> {
        let Some(senders) = &self.senders else { return Ok(None) };
        let headers = head.headers;
        let xfcc: Vec<_> = headers.all(FORWARDED_CLIENT_CERT).collect();
        let peer = PeerEvidence { xfcc: &xfcc, ..head.peer };
        let mut evidence = Evidence {
            certificate: &mut || certificates.read(&peer),
            header: &|name| headers.all(name).collect(),
            metadata: head.metadata,
            now: head.now,
        };
        let fixed = self.tenancy.as_ref().is_some_and(|tenancy| tenancy.is_fixed());
        let ambiguity = if fixed { Ambiguity::Tolerated } else { Ambiguity::Refused };
        Ok(Some(senders.admit(&mut evidence, ambiguity)?))
    }
}
