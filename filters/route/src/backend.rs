//! A backend, and where the requests of one tenant go there.

use sluice_encodings::{Encoding, Encodings};
use sluice_headers::{
    HeaderEdit,
    names::{ACCEPT_ENCODING, CONTENT_TYPE, FORWARDED_CLIENT_CERT, PATH, TE},
};
use sluice_otlp::Format;
use sluice_stores::{BackendTraits, Formats, Store, TenantAddress};
use sluice_tenant::{NoTenant, TenantId, Tenanted};

use crate::{path::Path, share::Share, tenants::Tenants};

/// The header by which Envoy selects the backend: a route's `cluster_header`, or a match in a
/// VirtualService or an HTTPRoute. The gate removes a sender's own copies.
pub const BACKEND_HEADER: &str = "x-sluice-backend";

/// The header by which Envoy selects the cluster for the mirrored request: the `cluster_header` of
/// a route's `request_mirror_policies`. The gate removes a sender's own copies.
pub const MIRROR_HEADER: &str = "x-sluice-mirror";

/// The prefix of the gate's own headers.
const OWN: &str = "x-sluice-";

/// Prefixes of headers that the gate removes: its own; those of gRPC, if a call is forwarded as HTTP; and those with
/// which a sender could make Envoy's router wait longer, retry, or count under another name. Envoy removes the latter
/// only if it considers the sender external.
const STRIPPED_PREFIXES: [&str; 7] = [
    OWN,
    "grpc-",
    "x-envoy-expected-rq-",
    "x-envoy-hedge-",
    "x-envoy-max-retries",
    "x-envoy-retr",
    "x-envoy-upstream-",
];

/// The protocol to a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// OTLP/gRPC.
    Grpc,
    /// OTLP/HTTP.
    Http,
}

/// The backend of a signal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backend {
    pub(crate) store: &'static Store,
    pub(crate) traits: BackendTraits,
    pub(crate) path: Path,
    /// The path for remote write, if the backend supports it.
    pub(crate) write_path: Option<Path>,
    pub(crate) encodings: Encodings,
    pub(crate) formats: Formats,
    /// The largest batch that it accepts from one tenant at once, in bytes, if configured.
    pub(crate) burst: Option<u32>,
    /// The path of gRPC calls, and the encodings of their messages. Not used if the clusters do not
    /// support gRPC.
    pub(crate) grpc: (&'static str, Encodings),
    pub(crate) clusters: Clusters,
    /// Tenants with clusters of their own. The first matching entry counts.
    pub(crate) cells: Vec<(Tenants, Clusters)>,
    pub(crate) canary: Option<Canary>,
    /// Tenants whose requests are mirrored, and the clusters for that. The first matching entry
    /// counts.
    pub(crate) mirrors: Vec<(Tenants, String)>,
}

/// The clusters of one place; or any values that a route matches on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Clusters {
    pub(crate) http: String,
    /// The cluster for gRPC, if there is one.
    pub(crate) grpc: Option<String>,
}

/// A share of the tenants that have no cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Canary {
    pub(crate) clusters: Clusters,
    pub(crate) share: Share,
}

/// Where a backend receives the requests of one tenant, and with which protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint<'b> {
    transport: Transport,
    cluster: &'b str,
    path: String,
    encodings: Encodings,
    formats: Formats,
    burst: Option<u32>,
    account: Option<Account<'b>>,
    mirror: Option<&'b str>,
}

/// The account and project that are sent to a backend in headers of their own, each with its
/// header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Account<'b> {
    account: (&'static str, &'b str),
    project: (&'static str, &'b str),
}

impl Clusters {
    /// The protocol and the cluster for a request that arrived over `from`.
    fn of(&self, from: Transport) -> (Transport, &str) {
        match (from, &self.grpc) {
            (Transport::Grpc, Some(grpc)) => (Transport::Grpc, grpc),
            _ => (Transport::Http, &self.http),
        }
    }
}

impl Backend {
    /// The kind of store.
    #[must_use]
    pub const fn store(&self) -> &'static Store {
        self.store
    }

    /// What is known about how it reads records.
    #[must_use]
    pub const fn traits(&self) -> &BackendTraits {
        &self.traits
    }

    /// Where a request goes that arrived over gRPC or over HTTP.
    ///
    /// ```
    /// use sluice_route::{Backend, Endpoint, Transport};
    /// use sluice_tenant::{NoTenant, Tenanted};
    ///
    /// fn route<'b>(
    ///     backend: &'b Backend,
    ///     tenanted: &'b Tenanted,
    /// ) -> Result<Endpoint<'b>, NoTenant> {
    ///     backend.endpoint(tenanted, Transport::Http)
    /// }
    /// ```
    ///
    /// A request without an assigned tenant cannot be routed:
    ///
    /// ```compile_fail,E0308
    /// use sluice_route::{Backend, Endpoint, Transport};
    /// use sluice_tenant::NoTenant;
    ///
    /// fn route<'b>(backend: &'b Backend) -> Result<Endpoint<'b>, NoTenant> {
    ///     backend.endpoint(None, Transport::Http)
    /// }
    /// ```
    ///
    /// # Errors
    /// [`NoTenant`] if the backend would read the tenant as a different one, or cannot be told the
    /// tenant.
    pub fn endpoint<'b>(
        &'b self,
        tenanted: &'b Tenanted,
        from: Transport,
    ) -> Result<Endpoint<'b>, NoTenant> {
        self.endpoint_at(from, &self.path, self.encodings, tenanted.tenant())
    }

    /// Where a Prometheus write request goes; `None` if the backend does not support it.
    ///
    /// # Errors
    /// As [`endpoint`](Self::endpoint).
    pub fn write_endpoint<'b>(
        &'b self,
        tenanted: &'b Tenanted,
    ) -> Option<Result<Endpoint<'b>, NoTenant>> {
        // Backends accept only snappy there, whatever they accept for OTLP.
        let encodings = Encodings::NONE.with(Encoding::SnappyRaw);
        let path = self.write_path.as_ref()?;
        Some(self.endpoint_at(Transport::Http, path, encodings, tenanted.tenant()))
    }

    fn endpoint_at<'b>(
        &'b self,
        from: Transport,
        http_path: &Path,
        http_encodings: Encodings,
        tenant: Option<&'b TenantId>,
    ) -> Result<Endpoint<'b>, NoTenant> {
        let account = self.account(tenant)?;
        let of_tenant = |tenants: &Tenants| tenant.is_some_and(|tenant| tenants.have(tenant));
        let cell = self.cells.iter().find(|(tenants, _)| of_tenant(tenants));
        let clusters = match (cell, &self.canary) {
            (Some((_, clusters)), _) => clusters,
            (None, Some(Canary { clusters, share })) => {
                let inside = tenant.is_some_and(|tenant| share.has(tenant.as_str().as_bytes()));
                if inside { clusters } else { &self.clusters }
            }
            (None, None) => &self.clusters,
        };
        let (transport, cluster) = clusters.of(from);
        let (path, encodings) = match transport {
            Transport::Grpc => (self.grpc.0.to_owned(), self.grpc.1),
            Transport::Http => {
                (http_path.of(tenant).ok_or(NoTenant::Unidentified)?, http_encodings)
            }
        };
        let mirror = self.mirrors.iter().find(|(tenants, _)| of_tenant(tenants));
        Ok(Endpoint {
            transport,
            cluster,
            path,
            encodings,
            formats: self.formats,
            burst: self.burst,
            account,
            mirror: mirror.map(|(_, cluster)| cluster.as_str()),
        })
    }

    /// The account and project that are sent to the backend in headers of their own.
    fn account<'b>(&self, tenant: Option<&'b TenantId>) -> Result<Option<Account<'b>>, NoTenant> {
        match (self.store.tenant, tenant) {
            (TenantAddress::AccountInHeaders { account, project }, Some(tenant)) => {
                let (number, of_project) = tenant.account();
                Ok(Some(Account { account: (account, number), project: (project, of_project) }))
            }
            // "12:3" would be tenant 12 with metadata (grafana/dskit, `tenant`).
            (TenantAddress::OrgId, Some(tenant)) if tenant.as_str().contains(':') => {
                let (tenant, backend) = (tenant.as_str().to_owned(), self.store.name);
                Err(NoTenant::Foreign { tenant, backend })
            }
            _ => Ok(None),
        }
    }
}

impl Endpoint<'_> {
    /// The protocol to the backend.
    #[must_use]
    pub const fn transport(&self) -> Transport {
        self.transport
    }

    /// The value by which Envoy selects the route.
    #[must_use]
    pub const fn cluster(&self) -> &str {
        self.cluster
    }

    /// The largest batch that it accepts from one tenant at once, in bytes, if configured.
    #[must_use]
    pub const fn burst(&self) -> Option<u32> {
        self.burst
    }

    /// The content encodings, or the encodings of gRPC messages, that it accepts.
    #[must_use]
    pub const fn encodings(&self) -> Encodings {
        self.encodings
    }

    /// The formats that it accepts over HTTP.
    #[must_use]
    pub const fn formats(&self) -> Formats {
        self.formats
    }

    /// Whether it accepts a message in this format. Over gRPC there is only one format.
    #[must_use]
    pub fn takes(&self, format: Format) -> bool {
        self.transport == Transport::Grpc || self.formats.contains(format)
    }

    /// The edits to send a request in `format`, with headers of these `names`, to this endpoint.
    /// `accept-encoding` is removed, because the gate reads the reply, which must not be
    /// compressed. Headers that belong to the sender's gRPC call or to Envoy's router are removed
    /// too, and so is the certificate, which only the gate needs and which is most of the head's
    /// bytes.
    #[must_use]
    pub fn header_edits<'n>(
        &self,
        format: Format,
        names: impl Iterator<Item = &'n str>,
    ) -> Vec<HeaderEdit> {
        let is_stripped =
            |name: &&str| STRIPPED_PREFIXES.iter().any(|start| name.starts_with(start));
        let mut edits: Vec<_> = names.filter(is_stripped).map(HeaderEdit::remove).collect();
        let (content_type, te) = match self.transport {
            // gRPC over HTTP/2, "Requests": this header detects proxies that lose trailers.
            Transport::Grpc => ("application/grpc", HeaderEdit::set(TE, "trailers")),
            Transport::Http => (format.content_type(), HeaderEdit::remove(TE)),
        };
        edits.extend([
            HeaderEdit::set(BACKEND_HEADER, self.cluster),
            HeaderEdit::set(PATH, self.path.as_str()),
            HeaderEdit::set(CONTENT_TYPE, content_type),
            HeaderEdit::remove(ACCEPT_ENCODING),
            te,
            HeaderEdit::remove(FORWARDED_CLIENT_CERT),
        ]);
        if let Some(Account { account, project }) = self.account {
            edits.extend([account, project].map(|(name, value)| HeaderEdit::set(name, value)));
        }
        edits.extend(self.mirror.map(|cluster| HeaderEdit::set(MIRROR_HEADER, cluster)));
        edits
    }
}

/// The edits to a request that does not belong to the gate, with headers of these `names`: the
/// gate's own headers are removed, because with them the request could choose a backend.
pub fn strip_own_headers<'n>(
    names: impl Iterator<Item = &'n str>,
) -> impl Iterator<Item = HeaderEdit> {
    names.filter(|name| name.starts_with(OWN)).map(HeaderEdit::remove)
}
