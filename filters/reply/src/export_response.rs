//! The reply to an export: `Export{Logs,Metrics,Trace}ServiceResponse`, which have the same form on
//! the wire.

use prost::Message;
use sluice_otlp::{
    Signal,
    json::{Object, push_string},
};
use sluice_records::Violations;

use crate::text::{join, one_line};

/// The reply to an export.
#[derive(Clone, PartialEq, Message)]
pub struct ExportResponse {
    /// Unset if everything was accepted. This is how a sender distinguishes full from partial
    /// success.
    #[prost(message, optional, tag = "1")]
    pub partial_success: Option<PartialSuccess>,
}

/// `Export*PartialSuccess`.
#[derive(Clone, PartialEq, Message)]
pub struct PartialSuccess {
    /// `rejected_log_records`, `rejected_data_points`, `rejected_spans` or `rejected_profiles`.
    #[prost(int64, tag = "1")]
    pub rejected: i64,
    /// Why, for people. If nothing was rejected, it is a warning.
    #[prost(string, tag = "2")]
    pub error_message: String,
}

/// The name of the count in OTLP/JSON, by signal.
const fn rejected_name(signal: Signal) -> &'static str {
    match signal {
        Signal::Logs => "rejectedLogRecords",
        Signal::Metrics => "rejectedDataPoints",
        Signal::Profiles => "rejectedProfiles",
        Signal::Traces => "rejectedSpans",
    }
}

impl ExportResponse {
    /// Adds the gate's own violations to the backend's response: counts are summed and messages
    /// joined. An empty partial success becomes unset.
    #[must_use]
    pub fn with_violations(self, violations: Option<&Violations>) -> Self {
        let backend = self.partial_success.unwrap_or_default();
        let (count, message) = violations.map_or((0, String::new()), |violations| {
            (i64::try_from(violations.dropped()).unwrap_or(i64::MAX), violations.to_string())
        });
        let merged = PartialSuccess {
            rejected: backend.rejected.max(0).saturating_add(count),
            error_message: join(&message, &one_line(&backend.error_message)),
        };
        let says_nothing = merged.rejected == 0 && merged.error_message.is_empty();
        Self { partial_success: (!says_nothing).then_some(merged) }
    }

    /// The reply as OTLP/JSON, in which a 64-bit integer is a string.
    #[must_use]
    pub fn to_json(&self, signal: Signal) -> Vec<u8> {
        let Some(PartialSuccess { rejected, error_message }) = &self.partial_success else {
            return b"{}".to_vec();
        };
        let name = rejected_name(signal);
        let json = format!(r#"{{"partialSuccess":{{"{name}":"{rejected}","errorMessage":"#);
        let mut json = json.into_bytes();
        push_string(&mut json, error_message);
        json.extend_from_slice(b"}}");
        json
    }

    /// Reads a JSON reply. Names may be those of the specification or, as Go's own encoder may
    /// write them, those of the protobuf files. `None` if it is not a JSON object.
    #[must_use]
    pub fn from_json(json: &[u8]) -> Option<Self> {
        const REJECTED: [&str; 8] = [
            "rejectedLogRecords",
            "rejected_log_records",
            "rejectedDataPoints",
            "rejected_data_points",
            "rejectedSpans",
            "rejected_spans",
            "rejectedProfiles",
            "rejected_profiles",
        ];
        let response = Object::read(json)?;
        let partial = response.object(&["partialSuccess", "partial_success"]);
        let partial_success = partial.map(|partial| PartialSuccess {
            rejected: partial.integer(&REJECTED).unwrap_or_default(),
            error_message: partial.string(&["errorMessage", "error_message"]).unwrap_or_default(),
        });
        Some(Self { partial_success })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn what_is_written_in_json_is_read_back() {
        let full = ExportResponse::default();
        assert_eq!(full.to_json(Signal::Logs), b"{}");
        assert_eq!(ExportResponse::from_json(b"{}"), Some(full));
        let partial_success =
            Some(PartialSuccess { rejected: 3, error_message: "\"cart\"".to_owned() });
        let partial = ExportResponse { partial_success };
        for signal in Signal::ALL {
            assert_eq!(ExportResponse::from_json(&partial.to_json(signal)), Some(partial.clone()));
        }
        for (signal, name) in [
            (Signal::Logs, "rejectedLogRecords"),
            (Signal::Metrics, "rejectedDataPoints"),
            (Signal::Profiles, "rejectedProfiles"),
            (Signal::Traces, "rejectedSpans"),
        ] {
            let json: Value = serde_json::from_slice(&partial.to_json(signal)).unwrap();
            assert_eq!(json["partialSuccess"][name], "3");
        }
    }

    #[test]
    fn what_a_backend_writes_in_json_is_read() {
        for (json, rejected, message) in [
            (r#"{"partialSuccess":{}}"#, 0, ""),
            (r#"{"partialSuccess":{"rejectedSpans":2}}"#, 2, ""),
            (r#"{"partial_success":{"rejected_data_points":"7","error_message":"old"}}"#, 7, "old"),
            (r#"{"partialSuccess":{"rejectedSpans":"many"}}"#, 0, ""),
        ] {
            let read = ExportResponse::from_json(json.as_bytes()).unwrap();
            let partial = read.partial_success.unwrap();
            assert_eq!((partial.rejected, partial.error_message.as_str()), (rejected, message));
        }
        assert_eq!(ExportResponse::from_json(b"\xff"), None);
        assert_eq!(ExportResponse::from_json(b"[]"), None);
    }
}
