//! How a store reads attributes.

use serde::Deserialize;

/// How a store compares attribute names; in the configuration `exact`, `flattened` or `folded`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum Spelling {
    /// Byte by byte.
    Exact,
    /// As [`Self::Folded`], and the entries of a map become names of their own, with the map's key
    /// before theirs: `source: {name: ..}` is `source_name` (Loki, `pkg/loghttp/push/otlp.go`).
    Flattened,
    /// As a label: every character except ASCII letters, digits and `_` becomes `_`, so
    /// `source.name`, `source_name` and `source-name` are the same name (Prometheus' label syntax,
    /// which Loki and Mimir follow). Repeated `_` count as one, as in newer releases of Mimir.
    Folded,
}

/// Which attributes override others of the same name; in the configuration `any`, `none`, `record`, `resource` or
/// `scope`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum Precedence {
    /// Not known: attributes of any level may override those of any other.
    Any,
    /// None: the levels are separate.
    None,
    /// The record's override the resource's.
    Record,
    /// The resource's override the record's; the scope's are discarded.
    Resource,
    /// The scope's override the resource's, which override the record's.
    Scope,
}

/// A store's defaults for the resource attributes that become labels.
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
    /// What happens to attributes over the limit.
    pub overflow: Overflow,
}

/// What happens to attributes over a [`LabelLimit`]; in the configuration `drop` or `move`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum Overflow {
    /// They are dropped, and the sender is told.
    Drop,
    /// They move to the scopes of the resource, whose attributes are not labels.
    Move,
}
