//! Takes records out of an export request without decoding it: the levels are walked in place, each
//! record that a [`RecordPolicy`] drops becomes an edit, and everything else stays as it was.
//!
//! ```text
//! Export...ServiceRequest   1 resource entry *
//!   Resource{Logs,...}      1 resource   2 scope entry *
//!     Scope{Logs,...}       1 scope      2 log record | span | profile | metric *
//!       Metric              gauge | sum | histogram | exponential histogram | summary
//!                             1 data point *
//! ```
//!
//! A parent that loses its last records is dropped too. A parent that was empty before is kept.

use sluice_wire::Spliced;

use crate::{
    Format,
    policy::RecordPolicy,
    request::Request,
    walk::{JsonForm, ProtobufForm, walk},
};

/// Walks an export request.
///
/// # Errors
/// [`Unreadable`](sluice_wire::Unreadable) if something that decisions depend on is malformed or over a limit; and the
/// policy's own errors. The parts that no decision depends on are not read, and the backend checks them.
pub fn splice_export<'a, P: RecordPolicy<'a>>(
    request: &Request<'a>,
    policy: &mut P,
) -> Result<Spliced, P::Error> {
    match request.format {
        Format::Json => walk::<JsonForm<'a>, P>(request, policy),
        Format::Protobuf => walk::<ProtobufForm, P>(request, policy),
    }
}
