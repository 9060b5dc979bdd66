//! VictoriaLogs, for logs.

use sluice_encodings::{Encoding, Encodings};
use sluice_otlp::Signal;

use crate::{Formats, GuardedHeader, Precedence, Spelling, Store, TenantAddress};

/// VictoriaLogs, for logs.
pub static VICTORIALOGS: Store = Store {
    name: "victorialogs",
    paths: &[(Signal::Logs, "/insert/opentelemetry/v1/logs")],
    remote_write: None,
    // It has not taken zstd for long, and reads what it does not know as it is.
    encodings: Encodings::NONE.with(Encoding::Gzip),
    // It answers 400 to JSON (`app/vlinsert/opentelemetry`).
    formats: Formats::PROTOBUF,
    grpc: None,
    tenant: TenantAddress::AccountInHeaders { account: ACCOUNT_ID.name, project: PROJECT_ID.name },
    // Attributes of resource and record become fields of one name, and maps fields of theirs
    // (`app/vlinsert/opentelemetry`, `decodeKeyValue`).
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
    // The second between its own nodes; the third as Elasticsearch has it.
    push_paths: &["/insert/*", "/internal/insert", "/_bulk"],
};

/// The headers in which the tenant's account and project stand (`lib/logstorage/tenant_id.go`).
pub(crate) const ACCOUNT_ID: GuardedHeader = GuardedHeader::new(
    "accountid",
    "names the tenant to VictoriaLogs and, where a path does not, VictoriaMetrics",
);
pub(crate) const PROJECT_ID: GuardedHeader = GuardedHeader::new("projectid", "the same");
