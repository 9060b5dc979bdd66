//! Prometheus remote write 1.0 on the wire, without policy
//! (<https://prometheus.io/docs/specs/remote_write_spec/>): which requests it consists of, and how
//! to take series out of a request, and to insert labels, without decoding the rest.
//!
//! ```text
//! WriteRequest    1 series *        3 metadata *
//!   TimeSeries    1 label *         2 sample *    3 exemplar *    4 histogram *
//!     Label       1 name            2 value
//! ```
//!
//! Everything that is not taken out or inserted stays as it was, byte for byte.

mod head;
mod series;
mod splice;

pub use head::{VERSION, VERSION_HEADER, is_content_type, is_encoding, is_path};
pub use series::{Label, Labels, Series, label_field};
pub use splice::{SeriesPolicy, WriteRequest, splice_series};
