//! The body of a request, step by step: framed, decoded, checked, outgoing, forwarded.

use sluice_otlp::Request;
use sluice_records::{Checked, Rejected, Violations};
use sluice_remote_write::WriteRequest;
use sluice_reply::{ExportOutcome, ExportResponse, Protocol, Refusal};
use sluice_wire::Room;

use crate::{
    Count, EnvoyBuffer, Forward, Gate, LocalReply, NoRoom, PendingRequest,
    export::Export,
    framed::{Decoded, Framed},
    outgoing::Outgoing,
};

/// What to do with a request after its body.
#[derive(Debug)]
#[must_use]
pub enum BodyStep {
    /// The request is forwarded.
    Forward(Forward),
    /// The gate makes a local reply.
    LocalReply(LocalReply),
}

impl Gate {
    /// Decides about a request with a complete body, as [`PendingRequest::receive`] has said. `buffer` is the part of
    /// the body that is in Envoy.
    pub fn decide<B: EnvoyBuffer + ?Sized>(
        &self,
        mut request: PendingRequest,
        buffer: &B,
    ) -> BodyStep {
        match request.whole(buffer) {
            Ok(body) => {
                // The body no longer counts as waiting, but it still takes memory.
                let room = request.room().saturating_sub(body.len());
                self.on_body(request, body, room)
            }
            Err(NoRoom) => BodyStep::LocalReply(request.refuse(&Refusal::NoMemory)),
        }
    }

    /// Decides about a request by its whole body.
    ///
    /// `room` is how many bytes of memory may be taken beside the body: for the decoded message, the edits and the
    /// forwarded body. A request that needs more is refused with [`Refusal::NoMemory`] and may be retried. Whether a
    /// request exceeds a limit does not depend on `room`. [`Limits`](crate::Limits) says how much a request can need at
    /// most.
    pub fn on_body(&self, request: PendingRequest, body: Vec<u8>, room: usize) -> BodyStep {
        let Export { protocol, signal, .. } = request.export;
        self.decide_body(request, body, Room::of(room)).unwrap_or_else(|refusal| {
            BodyStep::LocalReply(LocalReply::refuse(protocol, Some(signal), &refusal))
        })
    }

    fn decide_body(
        &self,
        request: PendingRequest,
        body: Vec<u8>,
        mut room: Room,
    ) -> Result<BodyStep, Refusal> {
        let limit = self.limits.body_bytes;
        if body.len() > limit {
            return Err(Refusal::BodyTooLarge { limit });
        }
        let framed = Framed::read(body, request.export)?;
        let decoded = framed.decode(self.limits.decoded_bytes, &mut room)?;
        let checked = self.check(&request, &decoded, room)?;
        if checked.is_empty()
            && let Some(reply) = nothing_stored(request.export, checked.violations())
        {
            return Ok(BodyStep::LocalReply(reply));
        }
        let outgoing = Outgoing::new(checked, decoded, &request, &mut room)?;
        let forward = Forward::new(outgoing, request, self.hold_headers, room)?;
        Ok(BodyStep::Forward(forward))
    }

    /// The third step of a body: its records are checked.
    fn check(
        &self,
        request: &PendingRequest,
        decoded: &Decoded,
        room: Room,
    ) -> Result<Checked, Refusal> {
        let Export { protocol, signal, format, .. } = request.export;
        let (message, limits) = (decoded.message(), self.limits.of_reading(room));
        let checked = match protocol {
            Protocol::RemoteWrite => {
                let write = WriteRequest { message, limits };
                self.records.check_series(&request.tenanted, &write)
            }
            Protocol::Grpc | Protocol::HttpJson | Protocol::HttpProtobuf => {
                let export = Request { message, at: decoded.at(), signal, format, limits };
                self.records.check(&request.tenanted, &export)
            }
        };
        checked.map_err(|rejected| match rejected {
            Rejected::AllDropped(violations) => Refusal::AllDropped(*violations),
            Rejected::Refused(violations) => Refusal::Violation(*violations),
            Rejected::Unreadable(unreadable) => Refusal::unreadable(unreadable, signal),
        })
    }
}

/// The local reply to a request without records, for which no backend has to be contacted. `None`
/// over gRPC, because only a backend's reply can have the body that a success needs there.
fn nothing_stored(export: Export, violations: Option<&Violations>) -> Option<LocalReply> {
    let outcome = ExportOutcome::Success(ExportResponse::default().with_violations(violations));
    let response = export.protocol.local_response(&outcome, export.signal)?;
    let mut counts = vec![Count::request(Some(export.signal), "nothing")];
    counts.extend(violations.into_iter().flat_map(Count::of_violations));
    Some(LocalReply::new(response, counts))
}
