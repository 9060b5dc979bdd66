//! Any OTLP server of which nothing else is known.

use sluice_encodings::{Encoding, Encodings};
use sluice_otlp::Signal;

use crate::{Formats, Precedence, Spelling, Store, TenantAddress};

/// Any OTLP server of which nothing else is known.
pub static OTLP: Store = Store {
    name: "otlp",
    paths: &[
        (Signal::Logs, Signal::Logs.http_path()),
        (Signal::Metrics, Signal::Metrics.http_path()),
        (Signal::Traces, Signal::Traces.http_path()),
        (Signal::Profiles, Signal::Profiles.http_path()),
    ],
    remote_write: None,
    // OTLP requires only gzip of a server.
    encodings: Encodings::NONE.with(Encoding::Gzip),
    formats: Formats::ALL,
    // A grpc-go server answers UNIMPLEMENTED to encodings that it was not built with, and every server has gzip.
    grpc: Some(Encodings::NONE.with(Encoding::Gzip)),
    tenant: TenantAddress::Free,
    // It may read the same names as equal that any other store does.
    spelling: Spelling::Flattened,
    precedence: Precedence::Any,
    labels: None,
    may_keep_names: false,
    accepts_unset_ids: false,
    refuses: &[],
    settings: &[],
    words: &[],
    stores_part_on: &[],
    guarded_headers: &[],
    push_paths: &[
        "/v1/logs*",
        "/v1/metrics*",
        "/v1/traces*",
        "/v1development/profiles*",
        "/opentelemetry.proto.collector.*",
    ],
};
