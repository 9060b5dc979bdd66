//! VictoriaLogs, for logs.

use sluice_encodings::{Encoding, Encodings};
use sluice_otlp::Signal;

use crate::{Formats, GuardedHeader, Precedence, Spelling, Store, TenantAddress};

/// VictoriaLogs, for logs.
pub static VICTORIALOGS: Store = Store {
    name: "victorialogs",
    paths: &[(Signal::Logs, "/insert/opentelemetry/v1/logs")],
    remote_write: None,
    // Only recent releases support zstd. It reads a body in an unknown encoding as if it were not
    // compressed.
    encodings: Encodings::NONE.with(Encoding::Gzip),
    // It answers 400 to JSON (`app/vlinsert/opentelemetry`).
    formats: Formats::PROTOBUF,
    grpc: None,
    tenant: TenantAddress::AccountInHeaders { account: ACCOUNT_ID.name, project: PROJECT_ID.name },
    // Attributes of resource and record become fields with the same names, and the entries of maps
    // become fields of their own (`app/vlinsert/opentelemetry`, `decodeKeyValue`).
    spelling: Spelling::Flattened,
    precedence: Precedence::Any,
    labels: None,
    may_keep_names: false,
    accepts_unset_ids: false,
    refuses: &[],
    settings: &[],
    words: &[],
    stores_part_on: &[],
    guarded_headers: &[
        ACCOUNT_ID,
        PROJECT_ID,
        GuardedHeader::new(
            "vl-*",
            "has VictoriaLogs take other fields for time, message and stream, add or ignore some, or store \
             nothing",
        ),
    ],
    // The second is used between its own nodes; the third is Elasticsearch's.
    push_paths: &["/insert/*", "/internal/insert", "/_bulk"],
};

/// The headers with the tenant's account and project (`lib/logstorage/tenant_id.go`).
pub(crate) const ACCOUNT_ID: GuardedHeader = GuardedHeader::new(
    "accountid",
    "names the tenant to VictoriaLogs and, where a path does not, VictoriaMetrics",
);
pub(crate) const PROJECT_ID: GuardedHeader = GuardedHeader::new("projectid", "the same");
