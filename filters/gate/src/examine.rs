//! What a gate finds in a message, for programs that show it to a person.

use sluice_otlp::{Format, Request, Signal};
use sluice_records::{Rejected, Violations};
use sluice_remote_write::WriteRequest;
use sluice_reply::{Protocol, Refusal};
use sluice_tenant::Tenanted;
use sluice_wire::{ReadLimits, Room, Unreadable};

use crate::{
    Gate, Identified, RequestHead, Worker,
    export::{Export, request_protocol},
    framed::Framed,
};

/// A request whose sender has been admitted and whose body has been decoded. It can say what breaks a rule in the
/// message, and in any other message of the same sender. Nothing can be forwarded from it.
#[derive(Debug)]
pub struct Examined<'g> {
    gate: &'g Gate,
    tenanted: Tenanted,
    export: Export,
    message: Vec<u8>,
}

impl Gate {
    /// Admits the sender of a request and decodes its body, as [`on_head`](Self::on_head) and
    /// [`decide`](Self::decide) do.
    ///
    /// # Errors
    /// The [`Refusal`] of the request.
    pub fn examine(&self, head: &RequestHead<'_>, body: Vec<u8>) -> Result<Examined<'_>, Refusal> {
        let worker = Worker::default();
        let tenanted = self.identify(head, &worker, &mut Identified::default())?;
        let protocol = request_protocol(head.headers);
        let export = Export::from_head(head.headers, protocol)?;
        let decoded = Framed::read(body, export)?;
        let decoded = decoded.decode(self.limits.decoded_bytes, &mut Room::of(usize::MAX))?;
        let message = decoded.message().to_vec();
        Ok(Examined { gate: self, tenanted, export, message })
    }
}

impl Examined<'_> {
    /// The decoded message.
    #[must_use]
    pub fn message(&self) -> &[u8] {
        &self.message
    }

    /// Its signal.
    #[must_use]
    pub const fn signal(&self) -> Signal {
        self.export.signal
    }

    /// Its format.
    #[must_use]
    pub const fn format(&self) -> Format {
        self.export.format
    }

    /// The protocol of the request.
    #[must_use]
    pub const fn protocol(&self) -> Protocol {
        self.export.protocol
    }

    /// The limits with which the gate reads a message.
    #[must_use]
    pub const fn limits(&self) -> ReadLimits {
        self.gate.limits.of_reading(Room::of(usize::MAX))
    }

    /// What breaks a rule in a message of this signal and format from this sender, whatever happens to it.
    ///
    /// # Errors
    /// [`Unreadable`] if something that a rule has to read cannot be read.
    pub fn violations(&self, message: &[u8]) -> Result<Option<Violations>, Unreadable> {
        let limits = self.limits();
        let checked = match self.export.protocol {
            Protocol::RemoteWrite => {
                let write = WriteRequest { message, limits };
                self.gate.records.check_series(&self.tenanted, &write)
            }
            Protocol::Grpc | Protocol::HttpJson | Protocol::HttpProtobuf => {
                let Export { signal, format, .. } = self.export;
                let export = Request { message, at: 0, signal, format, limits };
                self.gate.records.check(&self.tenanted, &export)
            }
        };
        match checked {
            Ok(checked) => Ok(checked.into_parts().0),
            Err(Rejected::AllDropped(violations) | Rejected::Refused(violations)) => {
                Ok(Some(*violations))
            }
            Err(Rejected::Unreadable(unreadable)) => Err(unreadable),
        }
    }
}
