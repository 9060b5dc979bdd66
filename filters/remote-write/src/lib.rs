//! Prometheus remote write 1.0 on the wire, without policy
//! (<https://prometheus.io/docs/specs/remote_write_spec/>): which requests it is, and how series
//! are taken out of one, and labels put in, without decoding the rest.
//!
//! ```text
//! WriteRequest    1 series *        3 metadata *
//!   TimeSeries    1 label *         2 sample *    3 exemplar *    4 histogram *
//!     Label       1 name            2 value
//! ```
//!
//! What is neither taken out nor put in stays as it came, byte for byte.

mod head;
mod series;
mod splice;

pub use head::{VERSION, VERSION_HEADER, is_content_type, is_encoding, is_path};
pub use series::{Label, Labels, Series, label_field};
pub use splice::{SeriesPolicy, WriteRequest, splice_series};
