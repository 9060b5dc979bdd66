//! What is known of the backend that a signal goes to, as far as its records are concerned.

use serde::Deserialize;

use crate::{Refuses, Spelling};

/// How a backend reads records, and which ones it refuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackendTraits {
    /// Its name in messages.
    pub name: &'static str,
    /// How it tells attribute names apart.
    pub spelling: Spelling,
    /// Whether it writes the attributes of record, resource and scope into one set of names, and
    /// which of them over which.
    pub precedence: Precedence,
    /// What it refuses a whole batch for, or loses.
    pub refuses: Refuses,
    /// How many resource attributes it takes as labels, if there is such a limit.
    pub labels: Option<LabelLimit>,
}

impl BackendTraits {
    /// A backend of which nothing is known: whatever any of them reads as one, it may.
    #[must_use]
    pub const fn strictest() -> Self {
        Self {
            name: "the backend",
            spelling: Spelling::Flattened,
            precedence: Precedence::Any,
            refuses: Refuses::NOTHING,
            labels: None,
        }
    }
}

/// Which attributes a backend writes over others of the same name; in the configuration as `any`, `none`,
/// `record`, `resource` or `scope`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Precedence {
    /// Not known: any level's may be written over any other's.
    Any,
    /// None: the attributes of each level keep to themselves.
    None,
    /// The record's over the resource's.
    Record,
    /// The resource's over the record's; the scope's are thrown away.
    Resource,
    /// The scope's over the resource's over the record's.
    Scope,
}

/// A limit on the resource attributes that become labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelLimit {
    /// The most labels of one resource.
    pub max: usize,
    /// The attributes that become labels, the most important first.
    pub names: Vec<String>,
    /// What becomes of those over the limit.
    pub overflow: Overflow,
}

/// What becomes of attributes over a [`LabelLimit`]; in the configuration as `drop` or `move`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Overflow {
    /// They go, and the sender is told.
    Drop,
    /// They move to the scopes of the resource, whose attributes are no labels.
    Move,
}
