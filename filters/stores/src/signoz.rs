//! SigNoz, through its OpenTelemetry Collector.

use sluice_encodings::{Encoding, Encodings};
use sluice_otlp::Signal;

use crate::{
    Formats, GuardedHeader, Outcome::RefusesBatch, Precedence, Site, Spelling, Store, TenantAddress,
};

/// SigNoz, through its OpenTelemetry Collector.
pub static SIGNOZ: Store = Store {
    name: "signoz",
    paths: &[
        (Signal::Logs, Signal::Logs.http_path()),
        (Signal::Metrics, Signal::Metrics.http_path()),
        (Signal::Traces, Signal::Traces.http_path()),
    ],
    remote_write: None,
    // Its Collector supports other encodings only in recent releases.
    encodings: Encodings::NONE.with(Encoding::Gzip).with(Encoding::Zstd).with(Encoding::Deflate),
    formats: Formats::ALL,
    // A grpc-go server answers UNIMPLEMENTED to encodings that it was not built with, and every server has gzip.
    grpc: Some(Encodings::NONE.with(Encoding::Gzip)),
    tenant: TenantAddress::Free,
    // Its tables keep the levels separate, but its queries need not. Names that differ only in a
    // dot are the same where they become labels.
    spelling: Spelling::Folded,
    precedence: Precedence::Any,
    labels: None,
    may_keep_names: false,
    // A Collector accepts spans without ids.
    accepts_unset_ids: true,
    refuses: &[
        (Site::LOG_ID, RefusesBatch),
        (Site::EXEMPLAR, RefusesBatch),
        (Site::SPAN_ID, RefusesBatch),
    ],
    settings: &[],
    words: &[],
    stores_part_on: &[],
    guarded_headers: &[GuardedHeader::new(
        "signoz-*",
        "names the account at SigNoz, by its ingestion key or access token",
    )],
    // OTLP's own.
    push_paths: &[],
};
