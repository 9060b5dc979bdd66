//! Grafana Pyroscope, for profiles.

use sluice_encodings::{Encoding, Encodings};
use sluice_otlp::Signal;

use crate::{
    Formats, Precedence, Spelling, Store, TenantAddress,
    grafana::{ORG_ID, USER_ID},
};

/// Grafana Pyroscope, for profiles.
pub static PYROSCOPE: Store = Store {
    name: "pyroscope",
    paths: &[(Signal::Profiles, Signal::Profiles.http_path())],
    remote_write: None,
    // Pyroscope decompresses gzip, and reads a body in any other announced encoding as if it were
    // not compressed.
    encodings: Encodings::NONE.with(Encoding::Gzip),
    formats: Formats::ALL,
    grpc: None,
    tenant: TenantAddress::OrgId,
    spelling: Spelling::Folded,
    // Only strings become labels. If the resource's value is a number, the scope's string becomes
    // the label (`pkg/ingester/otlp/ingest_handler.go`, `appendAttributesUnique`).
    precedence: Precedence::Scope,
    labels: None,
    may_keep_names: false,
    accepts_unset_ids: false,
    refuses: &[],
    settings: &[],
    words: &[],
    // With a 500, Pyroscope has stored what came before the error.
    stores_part_on: &[500],
    guarded_headers: &[ORG_ID, USER_ID],
    push_paths: &[
        "/ingest",
        "/push.v1.PusherService/*",
        "/ingester.v1.IngesterService/Push",
        "/adhocprofiles.v1.AdHocProfileService/Upload",
    ],
};
