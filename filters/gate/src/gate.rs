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
    /// The backends; `None` if the gate checks no bodies, and every path passes.
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

    /// The longest body that can be forwarded to a backend, in bytes: the largest decoded size, plus what the encoding
    /// for the backend adds if nothing can be compressed. If heads are held, Envoy's `request_body_buffer_limit` must
    /// allow as much.
    #[must_use]
    pub const fn longest_forwarded(&self) -> usize {
        // Of all encodings that the gate writes with a held head, a snappy block adds the most.
        longest_block(self.limits.decoded_bytes)
    }

    /// Whether the head of a request is held until its body has been checked.
    #[must_use]
    pub const fn holds_headers(&self) -> bool {
        self.hold_headers
    }

    /// Whether [`RequestHead::metadata`](crate::RequestHead::metadata) is needed.
    #[must_use]
    pub fn reads_tokens(&self) -> bool {
        self.senders.reads_tokens()
    }

    /// What is probably a mistake in the configuration, at `now` in seconds since the epoch.
    #[must_use]
    pub fn warnings(&self, now: u64) -> Vec<ConfigProblem> {
        self.senders.warnings(now)
    }
}
