//! Takes records out of an export request without decoding it: the levels are walked as they lie,
//! what a [`RecordPolicy`] drops becomes an edit, and everything else stays as it came.
//!
//! ```text
//! Export...ServiceRequest   1 resource entry *
//!   Resource{Logs,...}      1 resource   2 scope entry *
//!     Scope{Logs,...}       1 scope      2 log record | span | profile | metric *
//!       Metric              gauge | sum | histogram | exponential histogram | summary
//!                             1 data point *
//! ```
//!
//! A parent that a drop leaves without records goes too. One that came empty stays.

use sluice_wire::Spliced;

use crate::{Format, json, policy::RecordPolicy, protobuf, request::Request};

/// Walks an export request.
///
/// # Errors
/// [`Unreadable`](sluice_wire::Unreadable) if what has to be read to decide is not strict, or is over
/// a limit, and whatever the policy stops for. What no decision rests on is not read, and left to
/// the backend.
pub fn splice_export<'a, P: RecordPolicy<'a>>(
    request: &Request<'a>,
    policy: &mut P,
) -> Result<Spliced, P::Error> {
    match request.format {
        Format::Json => json::walk::walk_json(request, policy),
        Format::Protobuf => protobuf::walk::walk_protobuf(request, policy),
    }
}
