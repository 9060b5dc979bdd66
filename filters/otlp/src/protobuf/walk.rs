//! The walk through the levels of an export request in protobuf; see [`splice_export`](crate::splice_export).

use std::{borrow::Cow, rc::Rc};

use sluice_wire::{
    Edits, INT32, Malformed, Mark, Nested, OverLimit, ReadLimits, Reader, Room, Spliced,
    Unreadable, Value, field_head, set_once,
};

use super::{profiles, record::RecordBytes};
use crate::{
    Signal,
    attribute_edits::AttributeEdits,
    attributes::Attributes,
    context::ReadContext,
    fault,
    kind::RecordKind,
    metric::{Metric, MetricKind},
    policy::{Descend, RecordPolicy},
    record::Record,
    request::Request,
    strings::Strings,
};

/// Walks an export request in protobuf.
///
/// # Errors
/// As [`splice_export`](crate::splice_export).
pub(crate) fn walk_protobuf<'a, P: RecordPolicy<'a>>(
    request: &Request<'a>,
    policy: &mut P,
) -> Result<Spliced, P::Error> {
    let whole = Nested {
        bytes: request.message,
        start: request.at,
        length_at: request.at,
        content_at: request.at,
    };
    let mut walk = Walk::new(request, &whole, policy)?;
    let mut tally = Tally::default();
    let mut reader = Reader::nested(&whole);
    while let Some(entry) = reader.next_nested(RESOURCE_ENTRIES).map_err(Unreadable::from)? {
        tally.add(walk.resource_entry(entry)?);
    }
    let Walk { mut edits, .. } = walk;
    edits.finish();
    Ok(Spliced { edits, dropped: tally.dropped, kept: tally.kept > 0 })
}

const RESOURCE_ENTRIES: u32 = 1;
/// `ResourceLogs.resource` and its siblings.
const RESOURCE: u32 = 1;
const RESOURCE_ATTRIBUTES: u32 = 1;
const SCOPE_ENTRIES: u32 = CHILDREN;
/// `deprecated_scope_logs` and its siblings. The number is reserved in OTLP, but the OpenTelemetry
/// Collector, and software built on it, uses this field if there are no scope entries.
const DEPRECATED_SCOPE_ENTRIES: u32 = 1000;
/// `ScopeLogs.scope` and its siblings.
const SCOPE: u32 = 1;
const SCOPE_ATTRIBUTES: u32 = 3;
/// `ScopeLogs.log_records`, `ScopeSpans.spans`, `ScopeProfiles.profiles`, `ScopeMetrics.metrics`.
const RECORDS: u32 = CHILDREN;
/// What a resource's or a scope's entry holds beside its resource or its scope.
const CHILDREN: u32 = 2;
/// `Metric.name`.
const METRIC_NAME: u32 = 1;
/// `data_points` in each of the five kinds of metric data.
const DATA_POINTS: u32 = 1;
/// `aggregation_temporality` in those kinds that have one.
const TEMPORALITY: u32 = 2;

/// The kind of data that a field of `Metric` holds, if it is a member of `Metric.data`.
const fn metric_kind(field: u32) -> Option<MetricKind> {
    match field {
        5 => Some(MetricKind::Gauge),
        7 => Some(MetricKind::Sum),
        9 => Some(MetricKind::Histogram),
        10 => Some(MetricKind::ExponentialHistogram),
        11 => Some(MetricKind::Summary),
        _ => None,
    }
}

/// Whether a field of `Metric` is known but holds no data: its name, description, unit and
/// metadata.
const fn describes_metric(field: u32) -> bool {
    matches!(field, 1..=3 | 12)
}

/// The result for one field and everything in it.
#[derive(Clone, Copy, Default)]
struct Tally {
    dropped: u64,
    /// Records that are kept. If they are not counted, 1 stands for any number.
    kept: u64,
    /// Whether anything was cut: records or an empty parent.
    cut: bool,
    /// Whether anything in it changes.
    changed: bool,
    /// By how many bytes the field grows, tag and length included; negative if it shrinks.
    delta: isize,
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.dropped = self.dropped.saturating_add(other.dropped);
        self.kept = self.kept.saturating_add(other.kept);
        self.cut |= other.cut;
        self.changed |= other.changed;
        self.delta = self.delta.saturating_add(other.delta);
    }

    fn untouched(kept: u64) -> Self {
        Self { kept, ..Self::default() }
    }
}

struct Walk<'p, 'a, P> {
    signal: Signal,
    limits: ReadLimits,
    strings: Option<Rc<Strings<'a>>>,
    policy: &'p mut P,
    edits: Edits,
    attribute_edits: AttributeEdits<'a>,
    /// How many more entries and records may be read.
    left: u64,
}

impl<'p, 'a, P: RecordPolicy<'a>> Walk<'p, 'a, P> {
    fn new(
        request: &Request<'a>,
        whole: &Nested<'a>,
        policy: &'p mut P,
    ) -> Result<Self, Unreadable> {
        let Request { signal, mut limits, .. } = *request;
        let mut room = Room::of(limits.room);
        let strings = match signal {
            Signal::Profiles => Some(Rc::new(profiles::strings(whole, limits, &mut room)?)),
            Signal::Logs | Signal::Metrics | Signal::Traces => None,
        };
        let left = limits.records;
        limits.room = room.bytes();
        let edits = Edits::new(request.message.len(), &limits)?;
        let attribute_edits = AttributeEdits::default();
        Ok(Self { signal, limits, strings, policy, edits, attribute_edits, left })
    }

    fn resource_entry(&mut self, entry: Nested<'a>) -> Result<Tally, P::Error> {
        self.spend()?;
        let resource = singular(&entry, RESOURCE)?;
        self.attribute_edits.clear();
        let attributes = self.attributes(resource, RESOURCE_ATTRIBUTES);
        let mut descend = self.policy.resource(attributes, &mut self.attribute_edits)?;
        if descend == Descend::Drop {
            let records = self.count_in_resource(&entry)?;
            if records > 0 || !self.policy.interest().metrics {
                return Ok(self.drop_entry(&entry, records)?);
            }
            // There may be metrics without data points, which the policy has to see.
            descend = Descend::Inspect;
        }
        let mark = self.edits.enter(&entry)?;
        let mut tally = self.rewrite_owner(&entry, resource, RESOURCE, RESOURCE_ATTRIBUTES)?;
        tally.add(match descend {
            Descend::KeepAll | Descend::Drop => {
                Tally::untouched(any_in_resource(self.signal, &entry)?)
            }
            Descend::CountOnly => Tally::untouched(self.count_in_resource(&entry)?),
            Descend::Inspect => self.children(&entry, SCOPE_ENTRIES, Self::scope_entry)?,
        });
        if descend != Descend::KeepAll {
            self.policy.left_resource(tally.kept);
        }
        Ok(self.leave(mark, &entry, tally)?)
    }

    fn scope_entry(&mut self, entry: Nested<'a>) -> Result<Tally, P::Error> {
        self.spend()?;
        let mark = self.edits.enter(&entry)?;
        let (mut tally, mut descend) = (Tally::default(), Descend::Inspect);
        if self.policy.interest().scopes {
            let scope = singular(&entry, SCOPE)?;
            self.attribute_edits.clear();
            let attributes = self.attributes(scope, SCOPE_ATTRIBUTES);
            descend = self.policy.scope(attributes, &mut self.attribute_edits)?;
            if descend == Descend::Drop {
                let records = self.count_in_scope(&entry)?;
                if records > 0 || !self.policy.interest().metrics {
                    self.edits.take_back(mark);
                    return Ok(self.drop_entry(&entry, records)?);
                }
                descend = Descend::Inspect;
            }
            tally = self.rewrite_owner(&entry, scope, SCOPE, SCOPE_ATTRIBUTES)?;
        }
        tally.add(match (descend, self.signal) {
            (Descend::KeepAll | Descend::Drop, _) => {
                Tally::untouched(any_in_scope(self.signal, &entry)?)
            }
            (Descend::CountOnly, _) => Tally::untouched(self.count_in_scope(&entry)?),
            (Descend::Inspect, Signal::Metrics) => self.children(&entry, RECORDS, Self::metric)?,
            (Descend::Inspect, Signal::Logs) => {
                self.records(&entry, RECORDS, RecordKind::LogRecord)?
            }
            (Descend::Inspect, Signal::Traces) => {
                self.records(&entry, RECORDS, RecordKind::Span)?
            }
            (Descend::Inspect, Signal::Profiles) => {
                self.records(&entry, RECORDS, RecordKind::Profile)?
            }
        });
        if descend != Descend::KeepAll {
            self.policy.left_scope(tally.kept);
        }
        Ok(self.leave(mark, &entry, tally)?)
    }

    fn metric(&mut self, metric: Nested<'a>) -> Result<Tally, P::Error> {
        self.spend()?;
        let read = MetricData::read(&metric)?;
        if self.policy.interest().metrics && !self.policy.metric(&read.summary()?)? {
            let records = self.count_points(&read)?;
            self.policy.dropped(records);
            return Ok(self.cut(&metric, records)?);
        }
        let Some((data, kind)) = read.known else {
            return Ok(Tally::untouched(self.count_points(&read)?));
        };
        let mark = self.edits.enter(&metric)?;
        let within = self.edits.enter(&data)?;
        let tally = self.records(&data, DATA_POINTS, RecordKind::DataPoint(kind))?;
        let tally = self.leave(within, &data, tally)?;
        Ok(self.leave(mark, &metric, tally)?)
    }

    /// Shows the policy every record in field `number` of `parent`. Separate from
    /// [`Self::children`], because most of a request's time is spent here.
    fn records(
        &mut self,
        parent: &Nested<'a>,
        number: u32,
        kind: RecordKind,
    ) -> Result<Tally, P::Error> {
        let context = ReadContext::new(self.limits, self.strings.clone());
        let mut tally = Tally::default();
        let mut kept = 0_u64;
        let mut reader = Reader::nested(parent);
        while let Some(message) = reader.next_nested(number).map_err(Unreadable::from)? {
            self.spend()?;
            let record = Record::protobuf(RecordBytes::new(message), kind, &context);
            if self.policy.record(&record)? {
                kept = kept.saturating_add(1);
                if self.policy.cuts() {
                    tally.add(self.cut_parts(&message, kind, &context)?);
                }
            } else {
                tally.add(self.drop_entry(&message, 1)?);
            }
        }
        tally.kept = kept;
        Ok(tally)
    }

    /// Cuts the odd parts of a record that is kept. Each cut counts like a record, because small
    /// records could otherwise cause any number of cuts.
    #[inline(never)]
    fn cut_parts(
        &mut self,
        message: &Nested<'a>,
        kind: RecordKind,
        context: &ReadContext<'a>,
    ) -> Result<Tally, Unreadable> {
        let mark = self.edits.enter(message)?;
        let Self { policy, edits, left, limits, .. } = self;
        let mut delta = 0_isize;
        RecordBytes::new(*message).each_odd_part(
            kind,
            context,
            |key| policy.is_odd(key),
            |_, part| {
                spend(left, 1, *limits)?;
                edits.cut(part.start, part.end)?;
                delta = delta.saturating_sub_unsigned(part.len());
                Ok(())
            },
        )?;
        let delta = self.edits.leave_changed(mark, message, delta)?;
        Ok(Tally { changed: true, delta, ..Tally::default() })
    }

    #[inline]
    fn children(
        &mut self,
        parent: &Nested<'a>,
        number: u32,
        mut each: impl FnMut(&mut Self, Nested<'a>) -> Result<Tally, P::Error>,
    ) -> Result<Tally, P::Error> {
        let mut tally = Tally::default();
        let mut reader = Reader::nested(parent);
        while let Some(child) = reader.next_nested(number).map_err(Unreadable::from)? {
            tally.add(each(self, child)?);
        }
        Ok(tally)
    }

    fn leave(
        &mut self,
        mark: Mark,
        parent: &Nested<'a>,
        mut tally: Tally,
    ) -> Result<Tally, Unreadable> {
        if tally.cut && tally.kept == 0 {
            tally.delta = 0_isize.saturating_sub_unsigned(self.edits.leave_cut(mark, parent)?);
        } else if tally.changed {
            tally.delta = self.edits.leave_changed(mark, parent, tally.delta)?;
        } else {
            self.edits.take_back(mark);
        }
        Ok(tally)
    }

    /// Removes attributes from the resource or scope of an entry and adds others, as the policy has
    /// just decided.
    fn rewrite_owner(
        &mut self,
        entry: &Nested<'a>,
        owner: Option<Nested<'a>>,
        number: u32,
        attributes: u32,
    ) -> Result<Tally, Unreadable> {
        if self.attribute_edits.is_empty() {
            return Ok(Tally::default());
        }
        self.attribute_edits.sort();
        let Self { edits, attribute_edits: AttributeEdits { taken, put }, .. } = self;
        let field = |length: usize| length.saturating_add(field_head(attributes, length).1);
        let sizes = put.iter().map(|put| field(put.bytes().len()));
        let size = sizes.fold(0, usize::saturating_add);
        let (mark, at) = match &owner {
            Some(owner) => (Some((owner, edits.enter(owner)?)), owner.end()),
            None => (None, entry.content_at),
        };
        let mut delta = 0_isize.saturating_add_unsigned(size);
        for taken in taken {
            edits.cut(taken.start, taken.end)?;
            delta = delta.saturating_sub_unsigned(taken.len());
        }
        if owner.is_none() {
            edits.insert_head(at, number, size)?;
            delta = delta.saturating_add_unsigned(field_head(number, size).1);
        }
        for put in put {
            edits.insert_field(at, attributes, put.bytes())?;
        }
        if let Some((owner, mark)) = mark {
            delta = edits.leave_changed(mark, owner, delta)?;
        }
        Ok(Tally { changed: true, delta, ..Tally::default() })
    }

    fn drop_entry(&mut self, entry: &Nested<'a>, records: u64) -> Result<Tally, Unreadable> {
        if records == 0 {
            // Nothing to drop: the parent was empty before, and empty parents are kept.
            return Ok(Tally::default());
        }
        self.policy.dropped(records);
        self.cut(entry, records)
    }

    fn cut(&mut self, entry: &Nested<'a>, records: u64) -> Result<Tally, Unreadable> {
        self.edits.cut(entry.start, entry.end())?;
        let delta = 0_isize.saturating_sub_unsigned(entry.end().saturating_sub(entry.start));
        Ok(Tally { dropped: records, cut: true, changed: true, delta, kept: 0 })
    }

    fn attributes(&self, owner: Option<Nested<'a>>, field: u32) -> Attributes<'a> {
        Attributes::of(owner, field, ReadContext::new(self.limits, self.strings.clone()))
    }

    /// Counts one more entry or record.
    #[inline]
    fn spend(&mut self) -> Result<(), Unreadable> {
        self.spend_all(1)
    }

    #[inline]
    fn spend_all(&mut self, records: u64) -> Result<(), Unreadable> {
        spend(&mut self.left, records, self.limits)
    }

    fn count_in_resource(&mut self, entry: &Nested<'_>) -> Result<u64, Unreadable> {
        let mut total = 0_u64;
        each(entry, SCOPE_ENTRIES, |scope| {
            self.spend()?;
            total = total.saturating_add(self.count_in_scope(scope)?);
            Ok(())
        })?;
        Ok(total)
    }

    fn count_in_scope(&mut self, entry: &Nested<'_>) -> Result<u64, Unreadable> {
        if self.signal != Signal::Metrics {
            return self.count(entry, RECORDS);
        }
        let mut total = 0_u64;
        each(entry, RECORDS, |metric| {
            self.spend()?;
            let read = MetricData::read(metric)?;
            total = total.saturating_add(self.count_points(&read)?);
            Ok(())
        })?;
        Ok(total)
    }

    /// Counts the data points of a metric. For an unknown kind, this is an estimate.
    fn count_points(&mut self, metric: &MetricData<'_>) -> Result<u64, Unreadable> {
        match (&metric.known, metric.unknown) {
            (Some((data, _)), _) => self.count(data, DATA_POINTS),
            (None, points) => {
                self.spend_all(points)?;
                Ok(points)
            }
        }
    }

    fn count(&mut self, owner: &Nested<'_>, number: u32) -> Result<u64, Unreadable> {
        let mut records = 0_u64;
        each(owner, number, |_| {
            records = records.saturating_add(1);
            Ok(())
        })?;
        self.spend_all(records)?;
        Ok(records)
    }
}

/// The singular message field `number` of a resource's or a scope's entry, wherever it is.
fn singular<'a>(owner: &Nested<'a>, number: u32) -> Result<Option<Nested<'a>>, Unreadable> {
    let mut reader = Reader::nested(owner);
    let mut found = None;
    loop {
        // There may be many children, and nothing else after them.
        reader.pass_over(CHILDREN);
        let Some(field) = reader.next_field()? else { break };
        if field.number == number {
            set_once(&mut found, field.nested()?, &field)?;
        } else if field.number == DEPRECATED_SCOPE_ENTRIES {
            return Err(Malformed { fault: fault::DEPRECATED, at: field.at }.into());
        }
    }
    Ok(found)
}

/// Counts records against [`ReadLimits::records`].
#[inline]
fn spend(left: &mut u64, records: u64, limits: ReadLimits) -> Result<(), Unreadable> {
    let limit = limits.records;
    *left = left.checked_sub(records).ok_or(OverLimit::Records { limit })?;
    Ok(())
}

/// What is read of a metric before its data points.
struct MetricData<'a> {
    name: &'a [u8],
    /// Its data, and their kind.
    known: Option<(Nested<'a>, MetricKind)>,
    /// The number of data points in a field that OTLP does not define, which may be data of another
    /// kind.
    unknown: u64,
}

impl<'a> MetricData<'a> {
    #[inline]
    fn read(metric: &Nested<'a>) -> Result<Self, Unreadable> {
        let mut reader = Reader::nested(metric);
        let (mut name, mut known, mut other) = (None, None, None);
        while let Some(field) = reader.next_field()? {
            match (metric_kind(field.number), field.value) {
                (Some(kind), _) => set_once(&mut known, (field.nested()?, kind), &field)?,
                (None, Value::Nested(text)) if field.number == METRIC_NAME => name = Some(text),
                (None, Value::Nested(nested)) if !describes_metric(field.number) => {
                    other = other.or(Some(nested));
                }
                _ => {}
            }
        }
        let unknown = match (&known, other) {
            (None, Some(other)) => points_if_data(&other),
            _ => 0,
        };
        Ok(Self { name: name.map_or(&[], |name| name.bytes), known, unknown })
    }

    /// The metric as a policy is shown it.
    fn summary(&self) -> Result<Metric<'a>, Unreadable> {
        let mut metric = Metric {
            name: Cow::Borrowed(self.name),
            kind: None,
            is_unknown: self.unknown > 0,
            temporality: 0,
            points: self.unknown,
        };
        let Some((data, kind)) = &self.known else { return Ok(metric) };
        metric.kind = Some(*kind);
        let has_temporality = kind.has_temporality();
        let mut reader = Reader::nested(data);
        while let Some(field) = reader.next_field()? {
            match (field.number, field.value) {
                (DATA_POINTS, _) => metric.points = metric.points.saturating_add(1),
                (TEMPORALITY, Value::Varint(value)) if has_temporality => {
                    metric.temporality = value & INT32
                }
                _ => {}
            }
            if metric.points > 0 && !has_temporality {
                break;
            }
        }
        Ok(metric)
    }
}

/// Counts the data points of a field that may be data. If it is not built like the kinds known so far, including the
/// deprecated ones, it counts as 1.
fn points_if_data(data: &Nested<'_>) -> u64 {
    let mut points = 0_u64;
    let counted = each(data, DATA_POINTS, |_| {
        points = points.saturating_add(1);
        Ok(())
    });
    if counted.is_err() { 1 } else { points.max(1) }
}

fn any_in_resource(signal: Signal, entry: &Nested<'_>) -> Result<u64, Unreadable> {
    Ok(any(entry, SCOPE_ENTRIES, |scope| any_in_scope(signal, scope).map(|kept| kept > 0))?.into())
}

fn any_in_scope(signal: Signal, entry: &Nested<'_>) -> Result<u64, Unreadable> {
    let found = match signal {
        Signal::Logs | Signal::Profiles | Signal::Traces => any(entry, RECORDS, |_| Ok(true)),
        Signal::Metrics => any(entry, RECORDS, |metric| {
            let metric = MetricData::read(metric)?;
            match metric.known {
                Some((data, _)) => any(&data, DATA_POINTS, |_| Ok(true)),
                None => Ok(metric.unknown > 0),
            }
        }),
    };
    Ok(found?.into())
}

/// Whether `holds` is true for a field `number` of `owner`. Stops at the first one.
fn any<'a>(
    owner: &Nested<'a>,
    number: u32,
    holds: impl Fn(&Nested<'a>) -> Result<bool, Unreadable>,
) -> Result<bool, Unreadable> {
    let mut reader = Reader::nested(owner);
    while let Some(child) = reader.next_nested(number)? {
        if holds(&child)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Calls the function with every field `number` of `owner`.
fn each<'a>(
    owner: &Nested<'a>,
    number: u32,
    mut show: impl FnMut(&Nested<'a>) -> Result<(), Unreadable>,
) -> Result<(), Unreadable> {
    let mut reader = Reader::nested(owner);
    while let Some(child) = reader.next_nested(number)? {
        show(&child)?;
    }
    Ok(())
}
