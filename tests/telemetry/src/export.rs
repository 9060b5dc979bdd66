//! The levels of an export request: records in a scope, scopes on a resource, resources in a request. They are the same
//! for each signal, and only their names differ.

use opentelemetry_proto::tonic::{
    collector::{
        logs::v1::ExportLogsServiceRequest, metrics::v1::ExportMetricsServiceRequest,
        profiles::v1development::ExportProfilesServiceRequest,
        trace::v1::ExportTraceServiceRequest,
    },
    common::v1::InstrumentationScope,
    logs::v1::{LogRecord, ResourceLogs, ScopeLogs},
    metrics::v1::{Metric, ResourceMetrics, ScopeMetrics},
    profiles::v1development::{Profile, ResourceProfiles, ScopeProfiles},
    resource::v1::Resource,
    trace::v1::{ResourceSpans, ScopeSpans, Span},
};
use prost::Message;
use serde::Serialize;

/// What a scope holds: log records, metrics, profiles or spans.
pub trait InScope: Sized {
    /// A scope and what it holds, such as `ScopeLogs`.
    type Scope: Clone + Default;
    /// A resource and its scopes, such as `ResourceLogs`.
    type Resource;
    /// The request.
    type Export: Message + Serialize;

    /// Returns a scope that holds `records`.
    #[must_use]
    fn scope(
        scope: Option<InstrumentationScope>,
        records: Vec<Self>,
        schema_url: &str,
    ) -> Self::Scope;

    /// Returns a resource with these scopes.
    #[must_use]
    fn resource(
        resource: Option<Resource>,
        scopes: Vec<Self::Scope>,
        schema_url: &str,
    ) -> Self::Resource;

    /// Returns the request. Profiles have no dictionary.
    #[must_use]
    fn export(resources: Vec<Self::Resource>) -> Self::Export;

    /// Returns the request with one resource, one scope, and `records` in it.
    #[must_use]
    fn export_of(
        resource: Option<Resource>,
        scope: Option<InstrumentationScope>,
        records: Vec<Self>,
    ) -> Self::Export {
        let scope = Self::scope(scope, records, "");
        Self::export(vec![Self::resource(resource, vec![scope], "")])
    }
}

macro_rules! in_scope {
    ($record:ident: $scope:ident.$records:ident, $resource:ident.$scopes:ident,
     $export:ident.$resources:ident) => {
        impl InScope for $record {
            type Scope = $scope;
            type Resource = $resource;
            type Export = $export;

            fn scope(
                scope: Option<InstrumentationScope>,
                $records: Vec<Self>,
                schema_url: &str,
            ) -> $scope {
                $scope { scope, $records, schema_url: schema_url.to_owned() }
            }

            fn resource(
                resource: Option<Resource>,
                $scopes: Vec<$scope>,
                schema_url: &str,
            ) -> $resource {
                $resource { resource, $scopes, schema_url: schema_url.to_owned() }
            }

            #[allow(clippy::needless_update, reason = "an export of profiles has a dictionary too")]
            fn export($resources: Vec<$resource>) -> $export {
                $export { $resources, ..$export::default() }
            }
        }
    };
}

in_scope!(LogRecord: ScopeLogs.log_records, ResourceLogs.scope_logs, ExportLogsServiceRequest.resource_logs);
in_scope!(Metric: ScopeMetrics.metrics, ResourceMetrics.scope_metrics, ExportMetricsServiceRequest.resource_metrics);
in_scope!(Profile: ScopeProfiles.profiles, ResourceProfiles.scope_profiles, ExportProfilesServiceRequest.resource_profiles);
in_scope!(Span: ScopeSpans.spans, ResourceSpans.scope_spans, ExportTraceServiceRequest.resource_spans);

/// Returns a request in OTLP/JSON.
///
/// # Panics
/// Never: a request has no map whose keys JSON does not have.
#[must_use]
pub fn json(request: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(request).expect("a request has no map with odd keys")
}
