//! Any server of OTLP, of which nothing else is known.

use sluice_encodings::{Encoding, Encodings};
use sluice_otlp::Signal;

use crate::{Formats, Precedence, Spelling, Store, TenantAddress};

/// Any server of OTLP, of which nothing else is known.
pub static OTLP: Store = Store {
    name: "otlp",
    paths: &[
        (Signal::Logs, Signal::Logs.http_path()),
        (Signal::Metrics, Signal::Metrics.http_path()),
        (Signal::Traces, Signal::Traces.http_path()),
        (Signal::Profiles, Signal::Profiles.http_path()),
    ],
    remote_write: None,
    // OTLP asks for gzip alone of a server.
    encodings: Encodings::NONE.with(Encoding::Gzip),
    formats: Formats::ALL,
    // What a server of grpc-go has not been given it answers UNIMPLEMENTED to, and gzip is what each has.
    grpc: Some(Encodings::NONE.with(Encoding::Gzip)),
    tenant: TenantAddress::Free,
    // Whatever any store reads as one, it may.
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
