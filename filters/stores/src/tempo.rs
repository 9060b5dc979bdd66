//! Grafana Tempo, for traces, through its OTLP receivers.

use sluice_encodings::{Encoding, Encodings};
use sluice_otlp::Signal;

use crate::{
    Formats, Meaning,
    Outcome::{Loses, RefusesBatch},
    Precedence, Setting, Site, Spelling, Store, TenantAddress, Words,
    grafana::{ORG_ID, USER_ID},
};

/// Grafana Tempo, for traces, through its OTLP receivers.
pub static TEMPO: Store = Store {
    name: "tempo",
    paths: &[(Signal::Traces, Signal::Traces.http_path())],
    remote_write: None,
    encodings: Encodings::NONE
        .with(Encoding::Gzip)
        .with(Encoding::Zstd)
        .with(Encoding::Lz4)
        .with(Encoding::Deflate)
        .with(Encoding::SnappyRaw)
        .with(Encoding::SnappyFramed),
    formats: Formats::ALL,
    // A grpc-go server answers UNIMPLEMENTED to encodings that it was not built with, and every server has gzip.
    grpc: Some(Encodings::NONE.with(Encoding::Gzip)),
    tenant: TenantAddress::OrgId,
    spelling: Spelling::Exact,
    precedence: Precedence::None,
    labels: None,
    may_keep_names: false,
    accepts_unset_ids: false,
    refuses: &[
        (Site::SPAN_ID, RefusesBatch),
        // Only if `maxTraceBytes` is set.
        (Site::TRACE_SIZE, Loses),
    ],
    settings: &[Setting::MaxTraceBytes],
    // Over gRPC, Tempo before 3.0 sends no RetryInfo with these.
    words: &[
        Words::anywhere(&[413, 429], "RATE_LIMITED: batch size (", Meaning::TooLarge),
        Words::anywhere(&[413, 429], "RATE_LIMITED: ", Meaning::Throttled),
    ],
    stores_part_on: &[],
    guarded_headers: &[ORG_ID, USER_ID],
    // From its receivers of the OpenTelemetry Collector: those of Jaeger, OpenCensus and Zipkin.
    push_paths: &[
        "/tempopb.Pusher/*",
        "/tempopb.MetricsGenerator/*",
        "/jaeger.api_v2.CollectorService/*",
        "/opencensus.proto.agent.*",
        "/api/v1/spans",
        "/api/v2/spans",
    ],
};
