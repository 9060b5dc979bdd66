//! Grafana Loki, for logs.

use sluice_encodings::{Encoding, Encodings};
use sluice_otlp::Signal;

use crate::{
    Burst, Formats, GuardedHeader, LabelDefaults, Meaning,
    Outcome::{LosesRecords, RefusesBatch},
    Precedence, Setting, Site, Spelling, Store, TenantAddress, Words,
    grafana::{ORG_ID, USER_ID},
};

/// Grafana Loki, for logs.
pub static LOKI: Store = Store {
    name: "loki",
    paths: &[(Signal::Logs, "/otlp/v1/logs")],
    remote_write: None,
    encodings: Encodings::NONE.with(Encoding::Gzip).with(Encoding::Zstd).with(Encoding::Lz4),
    formats: Formats::ALL,
    grpc: None,
    tenant: TenantAddress::OrgId,
    spelling: Spelling::Flattened,
    precedence: Precedence::Scope,
    labels: Some(LabelDefaults {
        // `max_label_names_per_series`.
        max: 15,
        names: &LABELS,
    }),
    may_keep_names: false,
    accepts_unset_ids: false,
    refuses: &[
        (Site::LOG_ID, RefusesBatch),
        (Site::LOG_RESOURCE_NAME, RefusesBatch),
        (Site::LOG_SCOPE_NAME, RefusesBatch),
        (Site::LOG_NAME, RefusesBatch),
        // `pkg/loghttp/push/otlp.go`: the streams of a resource with invalid labels are skipped.
        (Site::LOG_LABEL_VALUE, LosesRecords),
    ],
    settings: &[Setting::BurstBytes, Setting::Labels, Setting::ScopeAttributes],
    words: &[Words::anywhere(&[429], "ngestion rate limit exceeded", Meaning::Burst(&BURST))],
    // With a 400, Loki stores the valid entries; with a 429, it stores the streams that are within their limits.
    stores_part_on: &[400, 429],
    guarded_headers: &[
        ORG_ID,
        USER_ID,
        GuardedHeader::new(
            "x-loki-backfill-shard",
            "lifts Loki's age limits and adds reserved labels",
        ),
        GuardedHeader::new("x-loki-ingestion-policy", "overrides Loki's ingestion policy"),
    ],
    push_paths: &[
        "/api/v1/push*",
        "/api/prom/push",
        "/logproto.Pusher/*",
        "/logproto.StreamData/*",
        "/httpgrpc.HTTP/*",
    ],
};

/// `.. (limit: 4194304 bytes/sec) .. totaling '7372862' bytes ..`, and Loki's defaults
/// (`ingestion_rate_mb`, `ingestion_burst_size_mb`).
static BURST: Burst =
    Burst { rate: "(limit: ", total: "totaling '", default_rate: 4 << 20, default_burst: 6 << 20 };

/// The resource attributes that become labels in Loki's default configuration
/// (`pkg/loghttp/push/otlp_config.go`, `DefaultOTLPConfig`), the most important first: those that
/// name the workload, then where it runs, then other names for it.
const LABELS: [&str; 18] = [
    "service.name",
    "service.namespace",
    "service.instance.id",
    "deployment.environment",
    "deployment.environment.name",
    "k8s.cluster.name",
    "k8s.namespace.name",
    "k8s.pod.name",
    "k8s.container.name",
    "container.name",
    "cloud.region",
    "cloud.availability_zone",
    "k8s.deployment.name",
    "k8s.statefulset.name",
    "k8s.daemonset.name",
    "k8s.cronjob.name",
    "k8s.job.name",
    "k8s.replicaset.name",
];
