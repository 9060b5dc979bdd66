//! A gate: the stages of one configuration.

use sluice_config::ConfigProblem;
use sluice_encodings::longest_block;
use sluice_records::RecordStage;
use sluice_route::Routes;
use sluice_senders::SenderStage;
use sluice_tenant::TenantStage;

use crate::{Limits, other_paths::OtherPaths};

/// A configured gate.
#[derive(Debug)]
pub struct Gate {
    pub(crate) senders: SenderStage,
    pub(crate) tenants: TenantStage,
    pub(crate) records: RecordStage,
    /// Where requests go; `None` where the gate looks at no bodies, and every path passes.
    pub(crate) routes: Option<Routes>,
    pub(crate) limits: Limits,
    pub(crate) other_paths: OtherPaths,
    pub(crate) hold_headers: bool,
}

impl Gate {
    /// The limits in force.
    #[must_use]
    pub const fn limits(&self) -> Limits {
        self.limits
    }

    /// The longest body that goes on to a backend, in bytes: what a request decodes to at most, and what
    /// its encoding for the backend adds where nothing can be compressed. Envoy must be able to hold as much
    /// of a request whose head is held: its `request_body_buffer_limit`.
    #[must_use]
    pub const fn longest_forwarded(&self) -> usize {
        // A block of snappy adds the most of all that the gate writes for a head that it holds.
        longest_block(self.limits.decoded_bytes)
    }

    /// Whether the head of a request is held until its body has been checked.
    #[must_use]
    pub const fn holds_headers(&self) -> bool {
        self.hold_headers
    }

    /// Whether the gate looks at who sends.
    #[must_use]
    pub const fn identifies_senders(&self) -> bool {
        self.senders.is_on()
    }

    /// Whether [`RequestHead::metadata`](crate::RequestHead::metadata) is asked for.
    #[must_use]
    pub fn reads_tokens(&self) -> bool {
        self.senders.reads_tokens()
    }

    /// What in the configuration may not be meant, at `now` in seconds since the epoch.
    #[must_use]
    pub fn warnings(&self, now: u64) -> Vec<ConfigProblem> {
        self.senders.warnings(now)
    }
}
