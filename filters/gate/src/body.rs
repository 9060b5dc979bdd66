//! The body of a request, step by step: framed, decoded, checked, outgoing, forwarded.

use sluice_otlp::{Request, Signal};
use sluice_records::{Checked, Rejected, Violations};
use sluice_remote_write::WriteRequest;
use sluice_reply::{ExportResponse, Protocol, Refusal, Told};
use sluice_wire::Room;

use crate::{
    Count, Forward, Gate, Held, Reply, Rest,
    export::Export,
    framed::{Decoded, Framed},
    outgoing::Outgoing,
};

/// What is to be done with a request after its body.
#[derive(Debug)]
#[must_use]
pub enum BodyStep {
    /// It goes on.
    Forward(Forward),
    /// The gate answers.
    Reply(Reply),
}

impl Gate {
    /// What is thrown away of a request that is refused while its body comes; `None` if its answer goes
    /// at once.
    #[must_use]
    pub fn rest_of(&self, held: &Held) -> Option<Rest> {
        Rest::new(held.export.protocol, held.length, self.limits.discarded_bytes)
    }

    /// The answer to a body that has grown over its limit before it came to its end.
    pub fn on_body_too_large(&self, held: &Held) -> Reply {
        let refusal = Refusal::BodyTooLarge { limit: self.limits.body_bytes };
        Reply::refuse(held.export.protocol, Some(held.export.signal), &refusal)
    }

    /// The answer to a body that there is no room for at the moment: its sender or the worker has
    /// too many that wait.
    pub fn on_no_room(&self, held: &Held) -> Reply {
        Reply::refuse(held.export.protocol, Some(held.export.signal), &Refusal::NoMemory)
    }

    /// The answer to trailers behind a body that Envoy does not hold any more, where a message
    /// cannot be put in front of them.
    pub fn on_stray_trailers(&self, held: &Held) -> Reply {
        Reply::refuse(held.export.protocol, Some(held.export.signal), &Refusal::Trailers)
    }

    /// Decides on a request by its whole body.
    ///
    /// `room` is how many bytes of memory may be taken for it beside the body: decoded, for the edits
    /// and for what goes on. What needs more is refused with [`Refusal::NoMemory`], to be sent again;
    /// what is over a limit is over it in any room. [`Limits`](crate::Limits) says how much a request
    /// can need at all.
    pub fn on_body(&self, held: Held, body: Vec<u8>, room: usize) -> BodyStep {
        let Export { protocol, signal, .. } = held.export;
        match self.decide_body(held, body, Room::of(room)) {
            Ok(step) => step,
            Err(refusal) => BodyStep::Reply(Reply::refuse(protocol, Some(signal), &refusal)),
        }
    }

    fn decide_body(
        &self,
        request: Held,
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
            return Ok(BodyStep::Reply(reply));
        }
        let outgoing = Outgoing::new(checked, decoded, &request, &mut room)?;
        let forward = Forward::new(outgoing, request, self.hold_headers, room)?;
        Ok(BodyStep::Forward(forward))
    }

    /// The third step of a body: its records are checked.
    fn check(&self, request: &Held, decoded: &Decoded, room: Room) -> Result<Checked, Refusal> {
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
        checked.map_err(|rejected| refusal(rejected, signal))
    }
}

fn refusal(rejected: Rejected, signal: Signal) -> Refusal {
    match rejected {
        Rejected::AllDropped(violations) => Refusal::AllDropped(*violations),
        Rejected::Refused(violations) => Refusal::Violation(*violations),
        Rejected::Unreadable(unreadable) => Refusal::unreadable(unreadable, signal),
    }
}

/// The answer to a request without records, which need not trouble a backend. `None` over gRPC:
/// only a backend can give the reply the body that success needs there.
fn nothing_stored(export: Export, violations: Option<&Violations>) -> Option<Reply> {
    let told = Told::Success(ExportResponse::default().with_violations(violations));
    let reply = export.protocol.answer(&told, export.signal)?;
    let mut counts = vec![Count::request(Some(export.signal), "nothing")];
    counts.extend(violations.into_iter().flat_map(Count::of_violations));
    Some(Reply { reply, counts, log: None })
}
