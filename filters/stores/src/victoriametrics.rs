//! VictoriaMetrics, for metrics: a cluster's vminsert, unless its path says otherwise.

use sluice_encodings::{Encoding, Encodings};
use sluice_otlp::Signal;

use crate::{
    Formats,
    Outcome::Loses,
    Precedence, RemoteWrite, Setting, Site, Spelling, Store, TenantAddress,
    victorialogs::{ACCOUNT_ID, PROJECT_ID},
};

/// VictoriaMetrics, for metrics: a cluster's vminsert, unless its path says otherwise.
pub static VICTORIAMETRICS: Store = Store {
    name: "victoriametrics",
    paths: &[(Signal::Metrics, "/insert/{tenant}/opentelemetry/v1/metrics")],
    remote_write: Some(RemoteWrite {
        path: "/api/v1/write",
        path_of_tenant: Some("/insert/{tenant}/prometheus/api/v1/write"),
    }),
    // Only recent releases support zstd. It reads a body in an unknown encoding as if it were not
    // compressed.
    encodings: Encodings::NONE.with(Encoding::Gzip),
    // It answers 400 to JSON since it reads only protobuf, which its documentation asks for.
    formats: Formats::PROTOBUF,
    grpc: None,
    tenant: TenantAddress::AccountInPath,
    // Every attribute becomes a label, folded if it is configured so (`-opentelemetry.*` flags).
    spelling: Spelling::Folded,
    precedence: Precedence::Any,
    labels: None,
    may_keep_names: false,
    accepts_unset_ids: false,
    // It only writes a line in its own log.
    refuses: &[(Site::METRIC_KIND, Loses), (Site::TEMPORALITY, Loses)],
    settings: &[Setting::TakesDelta],
    words: &[],
    stores_part_on: &[],
    guarded_headers: &[ACCOUNT_ID, PROJECT_ID],
    // Including the protocols of other systems: InfluxDB, OpenTSDB, Datadog, New Relic, Zabbix and Graphite.
    push_paths: &[
        "/opentelemetry/*",
        "/insert/*",
        "/api/v1/write",
        "/api/v1/import*",
        "/write",
        "/influx/*",
        "/api/v2/write",
        "/api/put",
        "/datadog/*",
        "/newrelic/*",
        "/zabbixconnector/*",
        "/graphite/tags/tagSeries",
        "/graphite/tags/tagMultiSeries",
    ],
};
