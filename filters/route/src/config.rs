//! The `backends` section as it is written, and how it is compiled into [`Routes`].

use serde::Deserialize;
use sluice_config::Place;
use sluice_encodings::{Encoding, Encodings};
use sluice_otlp::{Format, Signal};
use sluice_stores::{Formats, Precedence, Spelling, Store, TenantAddress};
use sluice_tenant::TenantIds;

use crate::{
    Backend, Routes,
    backend::{Canary, Clusters},
    path::Path,
    settings::{LabelsConfig, ScopeAttributes},
    share::Share,
    tenants::Tenants,
};

/// Where requests go, by their signal.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct BackendsConfig {
    /// Where logs go. Without it, they are refused.
    pub(crate) logs: Option<BackendConfig>,
    /// Where metrics go.
    pub(crate) metrics: Option<BackendConfig>,
    /// Where profiles go.
    pub(crate) profiles: Option<BackendConfig>,
    /// Where traces go.
    pub(crate) traces: Option<BackendConfig>,
}

/// What backends depend on in the rest of the configuration.
#[derive(Clone, Copy, Debug, Default)]
pub struct Context {
    /// The rules for tenant ids; `None` if requests have no tenant.
    pub tenant_ids: Option<TenantIds>,
}

/// One backend as it is written.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct BackendConfig {
    /// The kind of store.
    #[serde(rename = "kind")]
    pub(crate) store: &'static Store,
    /// The value of the header by which Envoy routes: a cluster's name, or whatever a route matches
    /// on.
    #[cfg_attr(feature = "schema", schemars(example = &"loki"))]
    cluster: String,
    /// The same for requests that arrive over gRPC, if the kind supports gRPC. If left out, they go to `cluster` over
    /// HTTP.
    grpc_cluster: Option<String>,
    /// The path for OTLP over HTTP, in which `{tenant}` stands for the tenant. The default is the
    /// kind's.
    path: Option<String>,
    /// The path for Prometheus remote write, as `path`, if the kind supports it. The default is the kind's.
    remote_write_path: Option<String>,
    /// The content encodings that it accepts, by their names in `content-encoding`. The default is
    /// the kind's.
    encodings: Option<Vec<String>>,
    /// The formats that it accepts over HTTP. The default is the kind's.
    formats: Option<Vec<Format>>,
    /// Tenants with clusters of their own. The first matching entry counts.
    #[serde(default)]
    cells: Vec<CellConfig>,
    /// A share of the tenants that have no cell.
    canary: Option<CanaryConfig>,
    /// Tenants whose requests are mirrored to a second cluster. The first matching entry counts.
    #[serde(default)]
    mirror: Vec<CellConfig>,
    /// Which spellings of attribute names it reads as the same. The default is the kind's.
    pub(crate) spelling: Option<Spelling>,
    /// Which attributes it writes over others of the same name. The default is the kind's.
    pub(crate) precedence: Option<Precedence>,
    /// Loki: the resource attributes that become labels.
    pub(crate) labels: Option<LabelsConfig>,
    /// Loki: whether it keeps the attributes of scopes. The default is that it does.
    pub(crate) scope_attributes: Option<ScopeAttributes>,
    /// Loki: the largest batch of one tenant, in bytes (its `ingestion_burst_size_mb`). The default is Loki's own.
    pub(crate) burst_bytes: Option<u32>,
    /// Tempo: the largest trace, in bytes (its `max_bytes_per_trace`). If left out, sizes are not checked.
    pub(crate) max_trace_bytes: Option<u64>,
    /// Mimir, Prometheus, VictoriaMetrics: whether it accepts delta temporality. The default is
    /// that it does not.
    pub(crate) takes_delta: Option<bool>,
}

/// Some tenants, and where their requests go, or are mirrored to.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct CellConfig {
    /// The tenants, or prefixes of tenants: `team-*`.
    tenants: Vec<String>,
    /// The cluster for them.
    cluster: String,
    /// The cluster for those of their requests that arrive over gRPC.
    grpc_cluster: Option<String>,
}

/// A share of the tenants that goes elsewhere.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct CanaryConfig {
    /// The cluster for them.
    cluster: String,
    /// The cluster for those of their requests that arrive over gRPC.
    grpc_cluster: Option<String>,
    /// Which share of the tenants, 1 to 99.
    percent: u32,
    #[serde(default)]
    #[expect(dead_code, reason = "reading it refuses every other value")]
    by: CanaryBy,
}

/// The unit of a canary's share.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
enum CanaryBy {
    #[default]
    Tenant,
}

impl BackendsConfig {
    /// Checks and compiles the section at `place`. Returns `None` if there is any problem, after adding all problems.
    #[must_use]
    pub fn compile(self, place: &Place<'_>, context: Context) -> Option<Routes> {
        let backend = |signal: Signal, config: Option<BackendConfig>| {
            let check = Check { signal, context, place: place.at(signal.as_str()) };
            config.map(|config| check.backend(config))
        };
        let routes = Routes {
            logs: backend(Signal::Logs, self.logs),
            metrics: backend(Signal::Metrics, self.metrics),
            profiles: backend(Signal::Profiles, self.profiles),
            traces: backend(Signal::Traces, self.traces),
        };
        if Signal::ALL.into_iter().all(|signal| routes.pick(signal).is_none()) {
            let message = "empty section: add at least one of logs, metrics, traces and profiles";
            place.add(message);
        }
        if place.has_problems() { None } else { Some(routes) }
    }
}

/// The check of one backend.
struct Check<'p> {
    signal: Signal,
    context: Context,
    /// The entry's place.
    place: Place<'p>,
}

impl Check<'_> {
    fn backend(&self, config: BackendConfig) -> Backend {
        let store = config.store;
        let own_path = self.own_path(store);
        let traits = config.traits(&self.place);
        let http_path = Path::parse(config.path.as_deref().unwrap_or(own_path));
        let http_path = http_path.unwrap_or_else(|message| {
            self.place.at("path").add(message);
            Path::default()
        });
        self.tenants(store, "path", &http_path);
        let write_path = self.write_path(store, config.remote_write_path, &http_path);
        let encodings = match config.encodings {
            Some(names) => self.encodings(&names),
            None => store.encodings,
        };
        let formats = match config.formats {
            Some(listed) => self.formats(&listed),
            None => store.formats,
        };
        let clusters = self.clusters(&self.place, store, config.cluster, config.grpc_cluster);
        let cells = self.cells("cells", store, config.cells);
        let mirrors = self.cells("mirror", store, config.mirror).into_iter();
        let mirrors = mirrors.map(|(tenants, clusters)| (tenants, clusters.http)).collect();
        let canary = config.canary.map(|canary| self.canary(store, &clusters, canary));
        let grpc = (self.signal.grpc_path(), store.grpc.unwrap_or(Encodings::NONE));
        Backend {
            store,
            traits,
            path: http_path,
            write_path,
            encodings,
            formats,
            burst: config.burst_bytes,
            grpc,
            clusters,
            cells,
            canary,
            mirrors,
        }
    }

    /// The store's path for the signal.
    fn own_path(&self, store: &Store) -> &'static str {
        store.path(self.signal).unwrap_or_else(|| {
            let stores: Vec<_> = store.signals().map(Signal::as_str).collect();
            let (name, stores) = (store.name, stores.join(", "));
            let message = format!("{name} stores {stores}, not {}", self.signal.as_str());
            self.place.at("kind").add(message);
            store.paths.first().map(|(_, path)| *path).unwrap_or_default()
        })
    }

    fn formats(&self, listed: &[Format]) -> Formats {
        Formats::listed(listed).unwrap_or_else(|| {
            self.place.at("formats").add("empty list: add protobuf, json or both");
            Formats::ALL
        })
    }

    /// The path for remote write; `None` if the backend does not support it.
    fn write_path(&self, store: &Store, named: Option<String>, http: &Path) -> Option<Path> {
        let own = store.remote_write.map(|write| write.path(http.names_tenant()));
        if own.is_none() && named.is_some() {
            let message =
                format!("{} does not support remote write: remove remoteWritePath", store.name);
            self.place.at("remoteWritePath").add(message);
        }
        let own = own?;
        let is_named = named.is_some();
        match Path::parse(named.as_deref().unwrap_or(own)) {
            Ok(path) => {
                if is_named && path.names_tenant() && !http.names_tenant() {
                    self.tenants(store, "remoteWritePath", &path);
                }
                Some(path)
            }
            Err(message) => {
                self.place.at("remoteWritePath").add(message);
                None
            }
        }
    }

    /// Checks that the backend can be told exactly this tenant. `at` is the place of `path`.
    fn tenants(&self, store: &Store, at: &str, path: &Path) {
        let name = store.name;
        let by_number = match store.tenant {
            TenantAddress::AccountInHeaders { .. } => true,
            TenantAddress::AccountInPath => path.names_tenant(),
            TenantAddress::OrgId | TenantAddress::Free => false,
        };
        match (self.context.tenant_ids, store.tenant) {
            (None, TenantAddress::AccountInHeaders { .. }) => {
                let message = format!(
                    "{name} reads the tenant from headers that any sender can set: add a tenant section"
                );
                self.place.at("kind").add(message);
            }
            (None, _) if path.names_tenant() => {
                let message = "the path contains {tenant}, but there is no tenant section: add \
                               one, or remove {tenant}";
                self.place.at(at).add(message);
            }
            (Some(TenantIds::OrgId | TenantIds::Text), _) if by_number => {
                let message = format!("{name} uses numeric tenants: set tenant.ids: account");
                self.place.at("kind").add(message);
            }
            (Some(TenantIds::Text), TenantAddress::OrgId) => {
                let message = format!(
                    "{name} gives some characters in tenant ids a meaning: set tenant.ids: orgId"
                );
                self.place.at("kind").add(message);
            }
            _ => {}
        }
    }

    fn clusters(
        &self,
        at: &Place<'_>,
        store: &Store,
        http: String,
        grpc: Option<String>,
    ) -> Clusters {
        if grpc.is_some() && store.grpc.is_none() {
            let message =
                format!("{} does not support OTLP over gRPC: remove grpcCluster", store.name);
            at.at("grpcCluster").add(message);
        }
        let http = cluster(&at.at("cluster"), http);
        let grpc = grpc.map(|grpc| cluster(&at.at("grpcCluster"), grpc));
        Clusters { http, grpc }
    }

    /// The set of encodings with these names.
    fn encodings(&self, names: &[String]) -> Encodings {
        let mut listed = Encodings::NONE;
        for (index, name) in names.iter().enumerate() {
            match Encoding::ALL.into_iter().find(|encoding| encoding.as_str() == name) {
                Some(encoding) => listed = listed.with(encoding),
                None => {
                    let known = Encoding::ALL.map(Encoding::as_str).join(", ");
                    let message = format!("unknown encoding {name:?}: use {known}");
                    self.place.at("encodings").index(index).add(message);
                }
            }
        }
        listed
    }

    /// Compiles the entries under `key`: `cells`, or `mirror`, whose requests use the same protocol
    /// as the original.
    fn cells(&self, key: &str, store: &Store, cells: Vec<CellConfig>) -> Vec<(Tenants, Clusters)> {
        let place = self.place.at(key);
        if !cells.is_empty() && self.context.tenant_ids.is_none() {
            place.add("requests are selected by tenant, but there is no tenant section: add one");
        }
        let ids = self.context.tenant_ids.unwrap_or_default();
        let mut compiled = Vec::new();
        for (index, cell) in cells.into_iter().enumerate() {
            let at = place.index(index);
            let mut grpc = cell.grpc_cluster;
            if key == "mirror" && grpc.take().is_some() {
                let message = "grpcCluster is not supported for mirrors: remove it";
                at.at("grpcCluster").add(message);
            }
            let tenants = Tenants::compile(cell.tenants, ids, &at.at("tenants"));
            compiled.push((tenants, self.clusters(&at, store, cell.cluster, grpc)));
        }
        compiled
    }

    fn canary(&self, store: &Store, stable: &Clusters, canary: CanaryConfig) -> Canary {
        let at = &self.place.at("canary");
        let clusters = self.clusters(at, store, canary.cluster, canary.grpc_cluster);
        if clusters.grpc.is_none() && stable.grpc.is_some() && store.grpc.is_some() {
            let message = "the backend has a grpcCluster, so the canary needs one as well";
            at.at("grpcCluster").add(message);
        }
        if clusters.grpc.is_some() && stable.grpc.is_none() {
            let message =
                "the backend has no grpcCluster: remove the canary's, or add one to the backend";
            at.at("grpcCluster").add(message);
        }
        let share = Share::new(canary.percent);
        if share.is_none() {
            let message = format!("must be between 1 and 99, but is {}", canary.percent);
            at.at("percent").add(message);
        }
        if self.context.tenant_ids.is_none() {
            let message =
                "requests are selected by tenant, but there is no tenant section: add one";
            at.at("by").add(message);
        }
        Canary { clusters, share: share.unwrap_or_default() }
    }
}

/// A cluster's name, checked for characters that a header cannot carry.
fn cluster(at: &Place<'_>, name: String) -> String {
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_graphic()) {
        at.add(format!("{name:?} is not a valid cluster name: use visible ASCII without spaces"));
    }
    name
}

#[cfg(test)]
mod tests;
