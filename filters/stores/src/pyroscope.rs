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
    // It inflates gzip, and reads whatever else is announced as it is.
    encodings: Encodings::NONE.with(Encoding::Gzip),
    formats: Formats::ALL,
    grpc: None,
    tenant: TenantAddress::OrgId,
    spelling: Spelling::Folded,
    // Only texts are labels: beside a number on the resource, the scope's text is
    // (`pkg/ingester/otlp/ingest_handler.go`, `appendAttributesUnique`).
    precedence: Precedence::Scope,
    labels: None,
    may_keep_names: false,
    accepts_unset_ids: false,
    refuses: &[],
    settings: &[],
    words: &[],
    // It stores what came before what it answers 500 for.
    stores_part_on: &[500],
    guarded_headers: &[ORG_ID, USER_ID],
    push_paths: &[
        "/ingest",
        "/push.v1.PusherService/*",
        "/ingester.v1.IngesterService/Push",
        "/adhocprofiles.v1.AdHocProfileService/Upload",
    ],
};
