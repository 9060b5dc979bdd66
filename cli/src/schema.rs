//! The JSON Schema of a policy, which is generated from the types that read it and committed.

/// The schema (2020-12).
pub const SCHEMA: &str = include_str!("../policy.schema.json");
