//! Prometheus, for metrics, through its OTLP receiver.

use sluice_encodings::{Encoding, Encodings};
use sluice_otlp::Signal;

use crate::{
    Formats,
    Outcome::{RefusesBatch, RefusesBatchBefore},
    Precedence, RemoteWrite, Setting, Site, Spelling, Store, TenantAddress,
};

/// Prometheus, for metrics, through its OTLP receiver.
pub static PROMETHEUS: Store = Store {
    name: "prometheus",
    paths: &[(Signal::Metrics, "/api/v1/otlp/v1/metrics")],
    remote_write: Some(RemoteWrite { path: "/api/v1/write", path_of_tenant: None }),
    encodings: Encodings::NONE.with(Encoding::Gzip),
    formats: Formats::ALL,
    grpc: None,
    tenant: TenantAddress::Free,
    spelling: Spelling::Folded,
    // An attribute of a data point becomes a label before a promoted one of its resource does
    // (`storage/remote/otlptranslator`, `createAttributes`).
    precedence: Precedence::Record,
    labels: None,
    may_keep_names: true,
    accepts_unset_ids: false,
    // Prometheus rolls the whole batch back and answers 500. Up to 3.5, it answered 200 and left the metric out.
    refuses: &[
        (Site::METRIC_RESOURCE_NAME, RefusesBatch),
        (Site::POINT_NAME, RefusesBatch),
        (Site::EXEMPLAR, RefusesBatch),
        (Site::METRIC_KIND, RefusesBatch),
        (Site::METRIC_NAME, RefusesBatch),
        (Site::NO_DATA_POINTS, RefusesBatchBefore("3.15")),
        (Site::TEMPORALITY, RefusesBatch),
        (Site::SCALE, RefusesBatch),
    ],
    settings: &[Setting::TakesDelta],
    words: &[],
    stores_part_on: &[],
    guarded_headers: &[],
    // The second is the path at which Thanos accepts remote write.
    push_paths: &["/api/v1/write", "/api/v1/receive"],
};
