//! The requests of the demo.

use envoy_local::SenderName;

use crate::{Protocol, Sdk, Signal};

/// The number of records in each request.
pub const RECORDS: usize = 10;

/// The senders.
const SDKS: [Sdk; 2] = [Sdk::Python, Sdk::Rust];

/// One request of the demo.
#[derive(Clone, Debug)]
pub struct Row {
    /// The sender, whose certificate is shown.
    pub sender: SenderName,
    /// The SDK.
    pub sdk: Sdk,
    /// The signal.
    pub signal: Signal,
    /// The protocol.
    pub protocol: Protocol,
    /// Whether the request is compressed.
    pub gzip: bool,
    /// The number of the [`RECORDS`] that lack `source.name`.
    pub without: usize,
    /// An `X-Scope-OrgID` that the sender sets.
    pub claims: Option<&'static str>,
}

/// All rows, in the order of sending. Every pair of settings occurs, but not every combination of all settings.
pub fn plan() -> Vec<Row> {
    let mut rows = Vec::new();
    for sdk in SDKS {
        for signal in Signal::ALL {
            for protocol in Protocol::ALL {
                rows.push(row(SenderName::Payments, sdk, signal, protocol, rows.len()));
            }
        }
    }
    for sender in [SenderName::TeamBlue, SenderName::Stranger] {
        for signal in Signal::ALL {
            for protocol in Protocol::ALL {
                let sdk = SDKS[(rows.len() / 3) % 2];
                rows.push(row(sender, sdk, signal, protocol, rows.len() / 2));
            }
        }
    }
    for (sdk, signal, protocol) in [
        (Sdk::Python, Signal::Logs, Protocol::Grpc),
        (Sdk::Python, Signal::Metrics, Protocol::Http),
        (Sdk::Rust, Signal::Traces, Protocol::Grpc),
        (Sdk::Rust, Signal::Logs, Protocol::Http),
    ] {
        rows.push(row(SenderName::Outsider, sdk, signal, protocol, rows.len()));
    }
    for (sdk, signal, protocol) in
        [(Sdk::Python, Signal::Logs, Protocol::Grpc), (Sdk::Rust, Signal::Metrics, Protocol::Http)]
    {
        rows.push(Row {
            claims: Some("victim"),
            ..row(SenderName::Payments, sdk, signal, protocol, rows.len())
        });
    }
    rows
}

fn row(sender: SenderName, sdk: Sdk, signal: Signal, protocol: Protocol, turn: usize) -> Row {
    // The Rust SDK has one resource in a request, so either all or none of its logs and traces lack the attribute.
    let without = match (sdk, signal) {
        (Sdk::Rust, Signal::Logs) => 0,
        (Sdk::Rust, Signal::Traces) if protocol == Protocol::Grpc => 0,
        (Sdk::Rust, Signal::Traces) => RECORDS,
        _ => 3,
    };
    Row {
        sender,
        sdk,
        signal,
        protocol,
        gzip: turn.is_multiple_of(2) != (turn % 4 > 1),
        without,
        claims: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every setting of a row, as a name and a value.
    fn settings(row: &Row) -> [(&'static str, String); 5] {
        [
            ("sender", row.sender.as_str().to_owned()),
            ("sdk", row.sdk.to_string()),
            ("signal", row.signal.to_string()),
            ("protocol", row.protocol.to_string()),
            ("gzip", row.gzip.to_string()),
        ]
    }

    #[test]
    fn every_pair_of_settings_is_sent_at_least_once() {
        let rows: Vec<_> = plan().iter().map(settings).collect();
        let mut missing = Vec::new();
        for first in rows.iter().flatten() {
            for second in rows.iter().flatten().filter(|second| second.0 != first.0) {
                if !rows.iter().any(|row| row.contains(first) && row.contains(second)) {
                    missing.push((first, second));
                }
            }
        }
        assert!(missing.is_empty(), "never together: {missing:?}");
    }

    #[test]
    fn the_plan_has_rows_of_every_outcome() {
        let admitted =
            |row: &&Row| matches!(row.sender, SenderName::Payments | SenderName::TeamBlue);
        let rows = plan();
        for without in [0, 3, RECORDS] {
            assert!(
                rows.iter().filter(admitted).any(|row| row.without == without),
                "{without} without"
            );
        }
        assert!(rows.iter().any(|row| row.claims.is_some()));
        for sender in SenderName::ALL {
            assert!(rows.iter().any(|row| row.sender == sender), "{}", sender.as_str());
        }
    }
}
