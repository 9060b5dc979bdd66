//! Takes records out of an export request without decoding it: the levels are walked on the wire,
//! what a [`Policy`] drops becomes an edit, and everything else stays as it came.
//!
//! ```text
//! Export...ServiceRequest   1 resource entry *
//!   Resource{Logs,...}      1 resource   2 scope entry *
//!     Scope{Logs,...}       1 scope      2 log record | span | metric *
//!       Metric              gauge | sum | histogram | exponential histogram | summary
//!                             1 data point *
//! ```
//!
//! A parent that a drop leaves without records goes too. One that came empty stays.

use crate::{
    Signal,
    attributes::{Attributes, set_once},
    edits::{Edits, Mark},
    wire::{Malformed, Nested, Reader},
};

#[cfg(test)]
mod ambiguous;
#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, clippy::cast_possible_truncation, reason = "plainly")]
mod byte_for_byte;
#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "the oracle counts plainly")]
mod oracle;

/// Decides what stays. `'a` is the message: what is shown to the policy can be kept while it runs.
pub trait Policy<'a> {
    /// Whether scopes are to be shown. Where they are not, a scope's records are not even counted.
    fn reads_scopes(&self) -> bool;

    /// A resource, before anything beneath it.
    ///
    /// # Errors
    /// [`Malformed`] if its attributes are.
    fn resource(&mut self, attributes: Attributes<'a>) -> Result<Below, Malformed>;

    /// A scope, before its records.
    ///
    /// # Errors
    /// [`Malformed`] if its attributes are.
    fn scope(&mut self, attributes: Attributes<'a>) -> Result<Below, Malformed>;

    /// A log record, span or data point: whether it stays.
    ///
    /// # Errors
    /// [`Malformed`] if its attributes are.
    fn record(&mut self, attributes: Attributes<'a>) -> Result<bool, Malformed>;

    /// `records` records have gone because of the latest [`Below::Drop`] or `false`.
    fn dropped(&mut self, records: u64);
}

/// What becomes of the records beneath a resource or a scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Below {
    /// All of them go, unread.
    Drop,
    /// All of them stay, unread.
    Keep,
    /// They are looked at one by one.
    Look,
}

/// What came of walking a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spliced {
    /// What has to be done to the message.
    pub edits: Edits,
    /// Records that go.
    pub dropped: u64,
    /// Whether any record stays.
    pub kept: bool,
}

/// Walks an export request of `signal` that begins at offset `at` of its buffer.
///
/// # Errors
/// [`Malformed`] if what has to be read to decide is not strict protobuf. What no decision rests on
/// is not read, and left to the backend.
pub fn splice<'a, P: Policy<'a>>(
    message: &'a [u8],
    at: usize,
    signal: Signal,
    policy: &mut P,
) -> Result<Spliced, Malformed> {
    let mut walk = Walk { signal, policy, edits: Edits::default() };
    let mut tally = Tally::default();
    let mut request = Reader::new(message, at);
    while let Some(field) = request.next_field()? {
        if field.number == RESOURCE_ENTRIES {
            tally.add(walk.resource_entry(field.nested()?)?);
        }
    }
    Ok(Spliced { edits: walk.edits, dropped: tally.dropped, kept: tally.kept })
}

const RESOURCE_ENTRIES: u32 = 1;
/// `ResourceLogs.resource` and its siblings.
const RESOURCE: u32 = 1;
const RESOURCE_ATTRIBUTES: u32 = 1;
const SCOPE_ENTRIES: u32 = 2;
/// `ScopeLogs.scope` and its siblings.
const SCOPE: u32 = 1;
const SCOPE_ATTRIBUTES: u32 = 3;
/// `ScopeLogs.log_records`, `ScopeSpans.spans`, `ScopeMetrics.metrics`.
const RECORDS: u32 = 2;
const LOG_RECORD_ATTRIBUTES: u32 = 6;
const SPAN_ATTRIBUTES: u32 = 9;
/// `data_points` in each of the five kinds of metric data.
const DATA_POINTS: u32 = 1;

/// Where the attributes of a data point lie, if `field` is a member of `Metric.data`.
const fn data_point_attributes(field: u32) -> Option<u32> {
    match field {
        5 | 7 | 11 => Some(7), // gauge, sum: NumberDataPoint; summary
        9 => Some(9),          // histogram
        10 => Some(1),         // exponential histogram
        _ => None,
    }
}

/// What happened to one field and everything in it.
#[derive(Clone, Copy, Default)]
struct Tally {
    dropped: u64,
    kept: bool,
    /// Bytes by which the field has become shorter, tag and length included.
    removed: usize,
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.dropped = self.dropped.saturating_add(other.dropped);
        self.kept |= other.kept;
        self.removed = self.removed.saturating_add(other.removed);
    }

    fn untouched(kept: bool) -> Self {
        Self { kept, ..Self::default() }
    }
}

struct Walk<'p, P> {
    signal: Signal,
    policy: &'p mut P,
    edits: Edits,
}

impl<'a, P: Policy<'a>> Walk<'_, P> {
    fn resource_entry(&mut self, entry: Nested<'a>) -> Result<Tally, Malformed> {
        let resource = singular(&entry, RESOURCE)?;
        match self.policy.resource(Attributes::of(resource, RESOURCE_ATTRIBUTES))? {
            Below::Drop => self.drop_entry(&entry, count_in_resource(self.signal, &entry)?),
            Below::Keep => Ok(Tally::untouched(any_in_resource(self.signal, &entry)?)),
            Below::Look => self.children(&entry, SCOPE_ENTRIES, Self::scope_entry),
        }
    }

    fn scope_entry(&mut self, entry: Nested<'a>) -> Result<Tally, Malformed> {
        if self.policy.reads_scopes() {
            let scope = singular(&entry, SCOPE)?;
            match self.policy.scope(Attributes::of(scope, SCOPE_ATTRIBUTES))? {
                Below::Drop => {
                    return self.drop_entry(&entry, count_in_scope(self.signal, &entry)?);
                }
                Below::Keep => return Ok(Tally::untouched(any_in_scope(self.signal, &entry)?)),
                Below::Look => {}
            }
        }
        match self.signal {
            Signal::Logs => self.children(&entry, RECORDS, |walk, record| {
                walk.record(record, LOG_RECORD_ATTRIBUTES)
            }),
            Signal::Metrics => self.children(&entry, RECORDS, Self::metric),
            Signal::Traces => {
                self.children(&entry, RECORDS, |walk, record| walk.record(record, SPAN_ATTRIBUTES))
            }
        }
    }

    fn metric(&mut self, metric: Nested<'a>) -> Result<Tally, Malformed> {
        let Some((data, attributes)) = metric_data(&metric)? else {
            return Ok(Tally::default());
        };
        let mark = self.edits.enter(&metric);
        let tally =
            self.children(&data, DATA_POINTS, |walk, point| walk.record(point, attributes))?;
        Ok(self.leave(mark, &metric, tally))
    }

    fn record(&mut self, record: Nested<'a>, attributes: u32) -> Result<Tally, Malformed> {
        if self.policy.record(Attributes::of(Some(record), attributes))? {
            return Ok(Tally::untouched(true));
        }
        self.drop_entry(&record, 1)
    }

    fn children(
        &mut self,
        parent: &Nested<'a>,
        number: u32,
        mut each: impl FnMut(&mut Self, Nested<'a>) -> Result<Tally, Malformed>,
    ) -> Result<Tally, Malformed> {
        let mark = self.edits.enter(parent);
        let mut tally = Tally::default();
        let mut reader = Reader::nested(parent);
        while let Some(field) = reader.next_field()? {
            if field.number == number {
                tally.add(each(self, field.nested()?)?);
            }
        }
        Ok(self.leave(mark, parent, tally))
    }

    fn leave(&mut self, mark: Mark, parent: &Nested<'a>, mut tally: Tally) -> Tally {
        if tally.dropped == 0 {
            self.edits.leave_untouched(mark);
        } else if tally.kept {
            tally.removed = self.edits.leave_shrunk(mark, parent, tally.removed);
        } else {
            tally.removed = self.edits.leave_cut(mark, parent);
        }
        tally
    }

    fn drop_entry(&mut self, entry: &Nested<'a>, records: u64) -> Result<Tally, Malformed> {
        if records == 0 {
            // Nothing to refuse: it came empty, and an empty parent is left alone.
            return Ok(Tally::default());
        }
        self.policy.dropped(records);
        self.edits.cut(entry.start, entry.end());
        let removed = entry.end().saturating_sub(entry.start);
        Ok(Tally { dropped: records, kept: false, removed })
    }
}

/// The singular message field `number` of `owner`, wherever it lies in it.
fn singular<'a>(owner: &Nested<'a>, number: u32) -> Result<Option<Nested<'a>>, Malformed> {
    let mut reader = Reader::nested(owner);
    let mut found = None;
    while let Some(field) = reader.next_field()? {
        if field.number == number {
            set_once(&mut found, field.nested()?, &field)?;
        }
    }
    Ok(found)
}

/// The data of a metric and where its points keep their attributes.
fn metric_data<'a>(metric: &Nested<'a>) -> Result<Option<(Nested<'a>, u32)>, Malformed> {
    let mut reader = Reader::nested(metric);
    let mut found = None;
    while let Some(field) = reader.next_field()? {
        if let Some(attributes) = data_point_attributes(field.number) {
            set_once(&mut found, (field.nested()?, attributes), &field)?;
        }
    }
    Ok(found)
}

fn count_in_resource(signal: Signal, entry: &Nested<'_>) -> Result<u64, Malformed> {
    sum(entry, SCOPE_ENTRIES, |scope| count_in_scope(signal, scope))
}

fn count_in_scope(signal: Signal, entry: &Nested<'_>) -> Result<u64, Malformed> {
    match signal {
        Signal::Logs | Signal::Traces => sum(entry, RECORDS, |_| Ok(1)),
        Signal::Metrics => sum(entry, RECORDS, |metric| match metric_data(metric)? {
            Some((data, _)) => sum(&data, DATA_POINTS, |_| Ok(1)),
            None => Ok(0),
        }),
    }
}

fn sum<'a>(
    owner: &Nested<'a>,
    number: u32,
    each: impl Fn(&Nested<'a>) -> Result<u64, Malformed>,
) -> Result<u64, Malformed> {
    let mut reader = Reader::nested(owner);
    let mut total = 0_u64;
    while let Some(field) = reader.next_field()? {
        if field.number == number {
            total = total.saturating_add(each(&field.nested()?)?);
        }
    }
    Ok(total)
}

fn any_in_resource(signal: Signal, entry: &Nested<'_>) -> Result<bool, Malformed> {
    any(entry, SCOPE_ENTRIES, |scope| any_in_scope(signal, scope))
}

fn any_in_scope(signal: Signal, entry: &Nested<'_>) -> Result<bool, Malformed> {
    match signal {
        Signal::Logs | Signal::Traces => any(entry, RECORDS, |_| Ok(true)),
        Signal::Metrics => any(entry, RECORDS, |metric| match metric_data(metric)? {
            Some((data, _)) => any(&data, DATA_POINTS, |_| Ok(true)),
            None => Ok(false),
        }),
    }
}

/// Whether `each` holds for a field `number` of `owner`; nothing behind the first is read.
fn any<'a>(
    owner: &Nested<'a>,
    number: u32,
    each: impl Fn(&Nested<'a>) -> Result<bool, Malformed>,
) -> Result<bool, Malformed> {
    let mut reader = Reader::nested(owner);
    while let Some(field) = reader.next_field()? {
        if field.number == number && each(&field.nested()?)? {
            return Ok(true);
        }
    }
    Ok(false)
}
