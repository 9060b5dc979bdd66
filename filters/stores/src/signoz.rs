//! SigNoz, by its OpenTelemetry Collector.

use sluice_encodings::{Encoding, Encodings};
use sluice_otlp::Signal;

use crate::{
    Formats, GuardedHeader, Outcome::RefusesBatch, Precedence, Site, Spelling, Store, TenantAddress,
};

/// SigNoz, by its OpenTelemetry Collector.
pub static SIGNOZ: Store = Store {
    name: "signoz",
    paths: &[
        (Signal::Logs, Signal::Logs.http_path()),
        (Signal::Metrics, Signal::Metrics.http_path()),
        (Signal::Traces, Signal::Traces.http_path()),
    ],
    remote_write: None,
    // What its Collector takes beside these three it has not taken for long.
    encodings: Encodings::NONE.with(Encoding::Gzip).with(Encoding::Zstd).with(Encoding::Deflate),
    formats: Formats::ALL,
    // What a server of grpc-go has not been given it answers UNIMPLEMENTED to, and gzip is what each has.
    grpc: Some(Encodings::NONE.with(Encoding::Gzip)),
    tenant: TenantAddress::Free,
    // Its tables keep the levels apart, its queries need not; names that differ in a dot are one
    // where labels are made of them.
    spelling: Spelling::Folded,
    precedence: Precedence::Any,
    labels: None,
    may_keep_names: false,
    // A Collector takes spans without ids.
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
