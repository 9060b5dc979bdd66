//! The reply to an export: `Export{Logs,Metrics,Trace}ServiceResponse`, which are alike on the wire.

use prost::Message;
use sluice_records::Violations;

use crate::text::{join, one_line};

/// An export's reply.
#[derive(Clone, PartialEq, Message)]
pub struct ExportResponse {
    /// Unset when everything was taken, which is how a sender tells full from partial success.
    #[prost(message, optional, tag = "1")]
    pub partial_success: Option<PartialSuccess>,
}

/// `Export*PartialSuccess`.
#[derive(Clone, PartialEq, Message)]
pub struct PartialSuccess {
    /// `rejected_log_records`, `rejected_data_points` or `rejected_spans`.
    #[prost(int64, tag = "1")]
    pub rejected: i64,
    /// Why, for a person; alone, with nothing rejected, it is a warning.
    #[prost(string, tag = "2")]
    pub error_message: String,
}

impl ExportResponse {
    /// The reply with what the gate dropped added to what the backend rejected: counts summed,
    /// messages joined. A partial success that says nothing is unset.
    #[must_use]
    pub fn with_dropped(self, dropped: Option<&Violations>) -> Self {
        let backend = self.partial_success.unwrap_or_default();
        let (count, message) = dropped.map_or((0, String::new()), |violations| {
            (i64::try_from(violations.records()).unwrap_or(i64::MAX), violations.to_string())
        });
        let merged = PartialSuccess {
            rejected: backend.rejected.max(0).saturating_add(count),
            error_message: join(&message, &one_line(&backend.error_message)),
        };
        let says_nothing = merged.rejected == 0 && merged.error_message.is_empty();
        Self { partial_success: (!says_nothing).then_some(merged) }
    }
}
