//! What is known of a store.

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

/// Everything that the gate knows of one store. In a configuration a store is its [name](Self::name).
#[derive(Debug)]
pub struct Store {
    /// Its name in the configuration (`kind`), in messages and in log lines.
    pub name: &'static str,
    /// The signals that it stores, each with the path of its OTLP/HTTP endpoint for it. `{tenant}` stands
    /// for the tenant.
    pub paths: &'static [(Signal, &'static str)],
    /// Where it accepts Prometheus remote write; `None` if it does not.
    pub remote_write: Option<RemoteWrite>,
    /// The content encodings that it accepts over HTTP in every release that is supported, beside
    /// `identity`.
    pub encodings: Encodings,
    /// The formats that it accepts over HTTP.
    pub formats: Formats,
    /// The encodings of messages that it accepts over gRPC; `None` if it does not speak OTLP/gRPC.
    pub grpc: Option<Encodings>,
    /// How it is told the tenant, beside the tenant header.
    pub tenant: TenantAddress,
    /// How it tells one attribute name from another.
    pub spelling: Spelling,
    /// Which attributes it writes over others of the same name.
    pub precedence: Precedence,
    /// How many resource attributes become labels, and which, if there is such a limit.
    pub labels: Option<LabelDefaults>,
    /// Whether it makes no labels of names where `spelling: exact` says that it keeps them.
    pub may_keep_names: bool,
    /// Whether it accepts spans without ids, and refuses those alone whose ids have another length.
    pub accepts_unset_ids: bool,
    /// What it refuses a whole batch for, or loses.
    pub refuses: &'static [(Site, Outcome)],
    /// The settings that mean something to it, beside those that every store has.
    pub settings: &'static [Setting],
    /// What its own words mean, where a status alone says too little; what
    /// [any store's](crate::ANY_STORES_WORDS) mean goes before these.
    pub words: &'static [Words],
    /// The statuses with which it may have stored a part of the request all the same.
    pub stores_part_on: &'static [u16],
    /// Headers by which a sender could steer it.
    pub guarded_headers: &'static [GuardedHeader],
    /// The paths at which it accepts telemetry, in whatever protocol. One that ends in `*` is every path
    /// that begins so. All of them may stand behind a prefix.
    pub push_paths: &'static [&'static str],
}

/// Where a store accepts Prometheus remote write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RemoteWrite {
    /// The path.
    pub path: &'static str,
    /// The path where its OTLP path has the tenant in it, if that is another.
    pub path_of_tenant: Option<&'static str>,
}

/// How a store is told the tenant, beside the tenant header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TenantAddress {
    /// By the account's number in the path, if that has it.
    AccountInPath,
    /// By the account's number in headers of its own.
    AccountInHeaders {
        /// The header of the account, in lower case.
        account: &'static str,
        /// The header of the project.
        project: &'static str,
    },
    /// By the tenant header, as Grafana's stores are.
    OrgId,
    /// Not at all, or as its path says.
    Free,
}

/// A setting of some stores alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setting {
    /// What it accepts of one tenant at once, in bytes.
    BurstBytes,
    /// The resource attributes that become labels.
    Labels,
    /// What it accepts of one trace, in bytes.
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
    /// The path, where its OTLP path has the tenant in it (`by_tenant`) or has not.
    #[must_use]
    pub const fn path(self, by_tenant: bool) -> &'static str {
        match self.path_of_tenant {
            Some(path) if by_tenant => path,
            Some(_) | None => self.path,
        }
    }
}

/// Two stores are one if they have one name.
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
            // The text of serde's own enums.
            E::custom(format_args!("unknown variant `{name}`, expected one of {names}"))
        })
    }
}
