//! How a store reads attributes.

use serde::Deserialize;

/// How a store tells one attribute name from another; in the configuration as `exact`, `flattened` or
/// `folded`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Spelling {
    /// Byte by byte.
    Exact,
    /// As [`Self::Folded`], and a map's entries are names of their own, its key in front of theirs:
    /// `source: {name: ..}` is `source_name` (Loki, `pkg/loghttp/push/otlp.go`).
    Flattened,
    /// As a label: every character but ASCII letters, digits and `_` becomes `_`, so `source.name`,
    /// `source_name` and `source-name` are one (Prometheus' label syntax, kept by Loki and Mimir).
    /// Several `_` in a row are one, as newer releases of Mimir have it.
    Folded,
}

/// Which attributes a store writes over others of the same name; in the configuration as `any`, `none`,
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

/// The resource attributes that become labels, unless the store is told otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LabelDefaults {
    /// The most labels of one resource.
    pub max: usize,
    /// The attributes that become labels, the most important first.
    pub names: &'static [&'static str],
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
