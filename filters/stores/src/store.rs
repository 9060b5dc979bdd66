//! What is known about a store.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{Error, Visitor},
};
use sluice_encodings::Encodings;
use sluice_otlp::Signal;

use crate::{
    ALL, Formats, GuardedHeader, LabelDefaults, Outcome, Precedence, Site, Spelling, Words,
};

/// Everything that the gate knows about one store. The configuration refers to a store by its [name](Self::name).
#[derive(Debug)]
pub struct Store {
    /// Its name in the configuration (`kind`), in messages and in log lines.
    pub name: &'static str,
    /// The signals that it stores, each with the path of its OTLP/HTTP endpoint for it. `{tenant}` stands
    /// for the tenant.
    pub paths: &'static [(Signal, &'static str)],
    /// Where it accepts Prometheus remote write; `None` if it does not.
    pub remote_write: Option<RemoteWrite>,
    /// The content encodings, beside `identity`, that every supported release accepts over HTTP.
    pub encodings: Encodings,
    /// The formats that it accepts over HTTP.
    pub formats: Formats,
    /// The encodings of messages that it accepts over gRPC; `None` if it does not speak OTLP/gRPC.
    pub grpc: Option<Encodings>,
    /// How it is told the tenant, in addition to the tenant header.
    pub tenant: TenantAddress,
    /// How it compares attribute names.
    pub spelling: Spelling,
    /// Which attributes override others of the same name.
    pub precedence: Precedence,
    /// How many resource attributes become labels, and which, if there is a limit.
    pub labels: Option<LabelDefaults>,
    /// Whether it can be configured to keep names instead of turning them into labels, which
    /// `spelling: exact` says.
    pub may_keep_names: bool,
    /// Whether it accepts spans without ids, and refuses only those with ids of the wrong length.
    pub accepts_unset_ids: bool,
    /// What makes it refuse a whole batch, or lose records.
    pub refuses: &'static [(Site, Outcome)],
    /// The settings that have a meaning for this store, in addition to those of every store.
    pub settings: &'static [Setting],
    /// The meaning of its own words, if a status alone is not enough. [Any store's
    /// words](crate::ANY_STORES_WORDS) are compared first.
    pub words: &'static [Words],
    /// The error statuses with which it may have stored a part of the request.
    pub stores_part_on: &'static [u16],
    /// Headers with which a sender could steer it.
    pub guarded_headers: &'static [GuardedHeader],
    /// The paths at which it accepts telemetry, in whatever protocol. A path that ends in `*` stands for all paths with
    /// this prefix. All of them may come after another prefix.
    pub push_paths: &'static [&'static str],
}

/// Where a store accepts Prometheus remote write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RemoteWrite {
    /// The path.
    pub path: &'static str,
    /// The path if its OTLP path contains the tenant and this path differs.
    pub path_of_tenant: Option<&'static str>,
}

/// How a store is told the tenant, in addition to the tenant header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TenantAddress {
    /// By the account's number in the path, if the path has a place for it.
    AccountInPath,
    /// By the account's number in its own headers.
    AccountInHeaders {
        /// The header of the account, in lower case.
        account: &'static str,
        /// The header of the project.
        project: &'static str,
    },
    /// By the tenant header, as in Grafana's stores.
    OrgId,
    /// Not at all, or as its path says.
    Free,
}

/// A setting that only some stores have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setting {
    /// The burst limit of one tenant, in bytes.
    BurstBytes,
    /// The resource attributes that become labels.
    Labels,
    /// The largest trace that it accepts, in bytes.
    MaxTraceBytes,
    /// Whether it keeps the attributes of scopes.
    ScopeAttributes,
    /// Whether it accepts delta temporality.
    TakesDelta,
}

impl Setting {
    /// Its key in the configuration.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::BurstBytes => "burstBytes",
            Self::Labels => "labels",
            Self::MaxTraceBytes => "maxTraceBytes",
            Self::ScopeAttributes => "scopeAttributes",
            Self::TakesDelta => "takesDelta",
        }
    }

    /// The stores that have it.
    pub fn stores(self) -> impl Iterator<Item = &'static Store> {
        ALL.into_iter().filter(move |store| store.settings.contains(&self))
    }
}

impl Store {
    /// The path of its OTLP/HTTP endpoint for a signal; `None` if it does not store the signal.
    #[must_use]
    pub fn path(&self, signal: Signal) -> Option<&'static str> {
        self.paths.iter().find(|(stored, _)| *stored == signal).map(|(_, path)| *path)
    }

    /// The signals that it stores.
    pub fn signals(&self) -> impl Iterator<Item = Signal> {
        self.paths.iter().map(|(signal, _)| *signal)
    }
}

impl RemoteWrite {
    /// The path, depending on whether its OTLP path contains the tenant (`by_tenant`).
    #[must_use]
    pub const fn path(self, by_tenant: bool) -> &'static str {
        match self.path_of_tenant {
            Some(path) if by_tenant => path,
            Some(_) | None => self.path,
        }
    }
}

/// Two stores are equal if their names are.
impl PartialEq for Store {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Store {}

/// Reads a store by its name.
impl<'de> Deserialize<'de> for &'static Store {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Name)
    }
}

/// A store is written as its name.
#[cfg(feature = "schema")]
impl schemars::JsonSchema for Store {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Store".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let one = |store: &&Self| {
            let signals: Vec<_> = store.signals().map(Signal::as_str).collect();
            let description = format!("Stores {}.", signals.join(", "));
            schemars::json_schema!({"type": "string", "const": store.name, "description": description})
        };
        let all: Vec<_> = ALL.iter().map(one).collect();
        schemars::json_schema!({"oneOf": all})
    }
}

struct Name;

impl Visitor<'_> for Name {
    type Value = &'static Store;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a store")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Self::Value, E> {
        ALL.into_iter().find(|store| store.name == name).ok_or_else(|| {
            let names: Vec<_> = ALL.iter().map(|store| format!("`{}`", store.name)).collect();
            let names = names.join(", ");
            // The text that serde's own enums use.
            E::custom(format_args!("unknown variant `{name}`, expected one of {names}"))
        })
    }
}
