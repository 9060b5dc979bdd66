//! OTLP in protobuf and in JSON, without policy: which signal a request carries, and how to take
//! records out of it without decoding the rest.
//!
//! [`splice_export`] walks an export request through the levels resource, scope and record. What is
//! not taken out stays as it was, byte for byte.
//!
//! Modules depend on each other in one direction. From the bottom: the parts of a request ([`Metric`], [`Parts`]); the
//! readers of each format (`protobuf`, [`json`]); [`Attributes`] and [`Record`], which are the same for both formats;
//! [`RecordPolicy`], which is shown them; the walk, which is written once for both; and [`splice_export`] at the top.

mod attribute_edits;
mod attributes;
mod context;
mod fault;
mod first_bytes;
mod format;
pub mod json;
mod kind;
mod levels;
mod metric;
mod parts;
mod policy;
mod protobuf;
mod record;
mod request;
mod signal;
mod splice;
mod strings;
mod value;
mod walk;

pub use attribute_edits::{AttributeEdits, Put};
pub use attributes::{AnyValue, Attribute, AttributeRef, Attributes, HasAttributes};
pub use first_bytes::FirstBytes;
pub use format::Format;
pub use metric::{Metric, MetricKind};
pub use parts::Parts;
pub use policy::{Descend, Interest, RecordPolicy};
pub use record::Record;
pub use request::Request;
pub use signal::Signal;
pub use splice::splice_export;
pub use value::ValueOf;
