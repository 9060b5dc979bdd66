//! Grafana Mimir, for metrics.

use sluice_encodings::{Encoding, Encodings};
use sluice_otlp::Signal;

use crate::{
    Formats, GuardedHeader,
    Outcome::{FailsAnswer, RefusesBatch},
    Precedence, RemoteWrite, Setting, Site, Spelling, Store, TenantAddress,
    grafana::{ORG_ID, USER_ID},
};

/// Grafana Mimir, for metrics.
pub static MIMIR: Store = Store {
    name: "mimir",
    paths: &[(Signal::Metrics, "/otlp/v1/metrics")],
    remote_write: Some(RemoteWrite { path: "/api/v1/push", path_of_tenant: None }),
    // Mimir also accepts zstd and lz4, but only in recent releases, and answers 415 to encodings
    // that it does not support.
    encodings: Encodings::NONE.with(Encoding::Gzip),
    formats: Formats::ALL,
    grpc: None,
    tenant: TenantAddress::OrgId,
    spelling: Spelling::Folded,
    // An attribute of a data point becomes a label before a promoted one of its resource does
    // (prometheus, `storage/remote/otlptranslator`, `createAttributes`).
    precedence: Precedence::Record,
    labels: None,
    may_keep_names: true,
    accepts_unset_ids: false,
    refuses: &[
        (Site::METRIC_RESOURCE_NAME, FailsAnswer),
        (Site::POINT_NAME, FailsAnswer),
        // `getPromExemplars` fails if there is no value.
        (Site::EXEMPLAR, RefusesBatch),
        (Site::METRIC_KIND, FailsAnswer),
        (Site::METRIC_NAME, FailsAnswer),
        (Site::NO_DATA_POINTS, FailsAnswer),
        (Site::TEMPORALITY, FailsAnswer),
        (Site::SCALE, FailsAnswer),
    ],
    settings: &[Setting::TakesDelta],
    words: &[],
    // With a 400, Mimir stores the valid samples.
    stores_part_on: &[400],
    guarded_headers: &[
        ORG_ID,
        USER_ID,
        GuardedHeader::new("x-mimir-*", "switches Mimir's name translation and label rules"),
    ],
    push_paths: &[
        "/api/v1/push*",
        "/api/v1/upload/*",
        "/distributor.Distributor/*",
        "/cortex.Ingester/*",
        "/httpgrpc.HTTP/*",
    ],
};
