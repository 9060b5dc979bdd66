//! The walk through the levels of an export request: which step comes after which, what a policy is asked, what is
//! counted, and what becomes of a parent whose records are dropped. It is written once for all formats; how a message
//! is read and edited is the [`Form`]'s.

mod form;
mod json;
mod protobuf;

use std::{borrow::Cow, rc::Rc};

use sluice_wire::{Edits, OverLimit, ReadLimits, Room, Spliced, Unreadable};

use self::form::{Form, MetricData, Opened};
pub(crate) use self::{json::JsonForm, protobuf::ProtobufForm};
use crate::{
    attribute_edits::AttributeEdits,
    context::ReadContext,
    kind::RecordKind,
    levels::Level,
    metric::Metric,
    policy::{Descend, RecordPolicy},
    request::Request,
    signal::Signal,
};

/// Walks an export request.
///
/// # Errors
/// As [`splice_export`](crate::splice_export).
pub(crate) fn walk<'a, F: Form<'a>, P: RecordPolicy<'a>>(
    request: &Request<'a>,
    policy: &mut P,
) -> Result<Spliced, P::Error> {
    let Request { message, signal, mut limits, .. } = *request;
    let mut room = Room::of(limits.room);
    let Opened { form, entries, strings } = F::open(request, &mut room)?;
    limits.room = room.bytes();
    let mut walk = Walk {
        form,
        signal,
        limits,
        context: ReadContext::new(limits, strings.map(Rc::new)),
        policy,
        edits: Edits::new(message.len(), &limits).map_err(Unreadable::from)?,
        attribute_edits: AttributeEdits::default(),
        left: limits.records,
    };
    let tally = walk.children(entries, |walk, entry| walk.entry(entry, Level::Resource))?;
    let Walk { mut edits, .. } = walk;
    edits.finish();
    Ok(Spliced { edits, dropped: tally.dropped, kept: tally.kept > 0 })
}

/// The result for a node and everything in it.
#[derive(Clone, Copy, Default)]
struct Tally {
    dropped: u64,
    /// Records that are kept. If they are not counted, 1 stands for any number.
    kept: u64,
    /// Whether anything in it was cut: records or an empty parent.
    cut: bool,
    /// Whether anything in it changes.
    changed: bool,
    /// By how many bytes it grows; negative if it shrinks. Only forms that write lengths count them.
    delta: isize,
    /// Whether the whole node is dropped.
    goes: bool,
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.dropped = self.dropped.saturating_add(other.dropped);
        self.kept = self.kept.saturating_add(other.kept);
        self.cut |= other.cut | other.goes;
        self.changed |= other.changed | other.goes;
        self.delta = self.delta.saturating_add(other.delta);
    }

    fn untouched(kept: u64) -> Self {
        Self { kept, ..Self::default() }
    }

    fn gone(records: u64) -> Self {
        Self { dropped: records, goes: true, ..Self::default() }
    }

    fn changed(delta: isize) -> Self {
        Self { changed: true, delta, ..Self::default() }
    }
}

struct Walk<'p, 'a, F, P> {
    form: F,
    signal: Signal,
    limits: ReadLimits,
    context: ReadContext<'a>,
    policy: &'p mut P,
    edits: Edits,
    attribute_edits: AttributeEdits<'a>,
    /// How many more entries and records may be read.
    left: u64,
}

impl<'a, F: Form<'a>, P: RecordPolicy<'a>> Walk<'_, 'a, F, P> {
    /// Walks an entry of a resource or a scope.
    fn entry(&mut self, entry: F::Node, level: Level) -> Result<Tally, P::Error> {
        self.spend(1)?;
        let asks = level == Level::Resource || self.policy.interest().scopes;
        let (owner, children) = self.form.entry(entry, level, asks)?;
        let mut descend = Descend::Inspect;
        if asks {
            descend = self.ask(owner, level)?;
            if descend == Descend::Drop {
                let records = self.count(children.clone(), level)?;
                if records > 0 || !self.policy.interest().metrics {
                    return Ok(self.drop_entry(records));
                }
                // There may be metrics without data points, which the policy has to see.
                descend = Descend::Inspect;
            }
        }
        let mark = self.form.enter(entry, &mut self.edits)?;
        let mut tally = Tally::default();
        if !self.attribute_edits.is_empty() && asks {
            self.attribute_edits.sort();
            let (edits, attribute_edits) = (&mut self.edits, &self.attribute_edits);
            let delta = self.form.rewrite_owner(entry, owner, level, attribute_edits, edits)?;
            tally.add(Tally::changed(delta));
        }
        tally.add(match descend {
            Descend::KeepAll | Descend::Drop => Tally::untouched(self.any(children, level)?.into()),
            Descend::CountOnly => Tally::untouched(self.count(children, level)?),
            Descend::Inspect => self.inspect(children, level)?,
        });
        match (descend, level) {
            (Descend::KeepAll, _) => {}
            (_, Level::Resource) => self.policy.left_resource(tally.kept),
            (_, Level::Scope) => self.policy.left_scope(tally.kept),
        }
        Ok(self.leave(mark, entry, tally)?)
    }

    /// Asks the policy about a resource or a scope.
    fn ask(&mut self, owner: Option<F::Node>, level: Level) -> Result<Descend, P::Error> {
        self.attribute_edits.clear();
        let attributes = self.form.attributes(owner, level, &self.context)?;
        let edits = &mut self.attribute_edits;
        match level {
            Level::Resource => self.policy.resource(attributes, edits),
            Level::Scope => self.policy.scope(attributes, edits),
        }
    }

    fn inspect(&mut self, children: F::List, level: Level) -> Result<Tally, P::Error> {
        match (level, self.signal) {
            (Level::Resource, _) => {
                self.children(children, |walk, entry| walk.entry(entry, Level::Scope))
            }
            (Level::Scope, Signal::Metrics) => self.children(children, Self::metric),
            (Level::Scope, Signal::Logs) => self.records(children, RecordKind::LogRecord),
            (Level::Scope, Signal::Traces) => self.records(children, RecordKind::Span),
            (Level::Scope, Signal::Profiles) => self.records(children, RecordKind::Profile),
        }
    }

    fn metric(&mut self, metric: F::Node) -> Result<Tally, P::Error> {
        self.spend(1)?;
        let read = self.form.metric_data(metric)?;
        if self.policy.interest().metrics && !self.policy.metric(&self.summary(&read)?)? {
            let records = self.count_points(&read)?;
            self.policy.dropped(records);
            return Ok(Tally::gone(records));
        }
        let Some((data, kind)) = read.known else {
            return Ok(Tally::untouched(self.count_points(&read)?));
        };
        let mark = self.form.enter(metric, &mut self.edits)?;
        let within = self.form.enter(data, &mut self.edits)?;
        let points = self.form.points(data)?;
        let tally = self.records(points, RecordKind::DataPoint(kind))?;
        let tally = self.leave(within, data, tally)?;
        Ok(self.leave(mark, metric, tally)?)
    }

    /// The metric as a policy is shown it.
    fn summary(&self, read: &MetricData<F::Node>) -> Result<Metric<'a>, Unreadable> {
        let name = read.name.map_or(Ok(Cow::Borrowed(&b""[..])), |name| self.form.text(name))?;
        let (is_unknown, points) = (read.unknown > 0, read.unknown);
        let mut metric = Metric { name, kind: None, is_unknown, temporality: 0, points };
        let Some((data, kind)) = read.known else { return Ok(metric) };
        metric.kind = Some(kind);
        let points = self.form.points(data)?;
        if kind.has_temporality() {
            metric.points = self.form.count(points)?;
            metric.temporality = self.form.temporality(data)?;
        } else {
            metric.points = self.form.first(points)?.is_some().into();
        }
        Ok(metric)
    }

    /// Shows the policy every record. Separate from [`Self::children`], because most of a request's
    /// time is spent here.
    fn records(&mut self, list: F::List, kind: RecordKind) -> Result<Tally, P::Error> {
        let context = self.context.clone();
        let mut tally = Tally::default();
        let mut kept = 0_u64;
        let mut cursor = self.form.begin(list);
        while let Some(node) = self.form.next(&mut cursor, &mut self.edits)? {
            self.spend(1)?;
            let record = self.form.record(node, kind, &context)?;
            if self.policy.record(&record)? {
                kept = kept.saturating_add(1);
                self.form.keep(&mut cursor, node);
                if self.policy.cuts() {
                    tally.add(self.cut_parts(node, kind, &context)?);
                }
            } else {
                self.policy.dropped(1);
                let delta = self.form.cut(&mut cursor, node, &mut self.edits)?;
                tally.add(Tally { delta, ..Tally::gone(1) });
            }
        }
        self.form.end(cursor, &mut self.edits)?;
        tally.kept = kept;
        Ok(tally)
    }

    /// Cuts the odd parts of a record that is kept. Each cut counts like a record, because small
    /// records could otherwise cause any number of cuts.
    #[inline(never)]
    fn cut_parts(
        &mut self,
        node: F::Node,
        kind: RecordKind,
        context: &ReadContext<'a>,
    ) -> Result<Tally, Unreadable> {
        let Self { form, policy, edits, left, limits, .. } = self;
        let is_odd = |key: &[u8]| policy.is_odd(key);
        let spend = || spend(left, 1, *limits);
        Ok(Tally::changed(form.cut_parts(node, kind, context, edits, is_odd, spend)?))
    }

    /// Visits every child, and cuts those that go.
    #[inline]
    fn children(
        &mut self,
        list: F::List,
        mut each: impl FnMut(&mut Self, F::Node) -> Result<Tally, P::Error>,
    ) -> Result<Tally, P::Error> {
        let mut tally = Tally::default();
        let mut cursor = self.form.begin(list);
        while let Some(child) = self.form.next(&mut cursor, &mut self.edits)? {
            let mut result = each(self, child)?;
            if result.goes {
                result.delta = self.form.cut(&mut cursor, child, &mut self.edits)?;
            } else {
                self.form.keep(&mut cursor, child);
            }
            tally.add(result);
        }
        self.form.end(cursor, &mut self.edits)?;
        Ok(tally)
    }

    /// The result for a parent with these children. If no record is left, the parent is dropped too, unless it was
    /// empty before.
    fn leave(
        &mut self,
        mark: F::Mark,
        parent: F::Node,
        mut tally: Tally,
    ) -> Result<Tally, Unreadable> {
        tally.goes = tally.cut && tally.kept == 0;
        if tally.goes {
            self.form.take_back(mark, &mut self.edits);
        } else if tally.changed {
            tally.delta = self.form.leave(mark, parent, tally.delta, &mut self.edits)?;
        } else {
            self.form.take_back(mark, &mut self.edits);
        }
        Ok(tally)
    }

    /// The result for an entry whose records are all dropped. An entry that was empty before is kept.
    fn drop_entry(&mut self, records: u64) -> Tally {
        if records == 0 {
            return Tally::default();
        }
        self.policy.dropped(records);
        Tally::gone(records)
    }

    /// Counts entries or records against [`ReadLimits::records`].
    #[inline]
    fn spend(&mut self, records: u64) -> Result<(), Unreadable> {
        Ok(spend(&mut self.left, records, self.limits)?)
    }

    /// Counts the records in the children of an entry.
    fn count(&mut self, children: F::List, level: Level) -> Result<u64, Unreadable> {
        if level == Level::Scope && self.signal != Signal::Metrics {
            return self.count_records(children);
        }
        let mut total = 0_u64;
        let mut rest = children;
        while let Some(child) = self.form.take(&mut rest)? {
            self.spend(1)?;
            let records = if level == Level::Resource {
                let (_, records) = self.form.entry(child, Level::Scope, false)?;
                self.count(records, Level::Scope)?
            } else {
                let read = self.form.metric_data(child)?;
                self.count_points(&read)?
            };
            total = total.saturating_add(records);
        }
        Ok(total)
    }

    /// Counts the data points of a metric. For an unknown kind, this is an estimate.
    fn count_points(&mut self, metric: &MetricData<F::Node>) -> Result<u64, Unreadable> {
        if let Some((data, _)) = metric.known {
            let points = self.form.points(data)?;
            return self.count_records(points);
        }
        self.spend(metric.unknown)?;
        Ok(metric.unknown)
    }

    fn count_records(&mut self, records: F::List) -> Result<u64, Unreadable> {
        let count = self.form.count(records)?;
        self.spend(count)?;
        Ok(count)
    }

    /// Whether there is a record in the children of an entry. Stops at the first one.
    fn any(&self, children: F::List, level: Level) -> Result<bool, Unreadable> {
        if level == Level::Scope && self.signal != Signal::Metrics {
            return Ok(self.form.first(children)?.is_some());
        }
        let mut rest = children;
        while let Some(child) = self.form.take(&mut rest)? {
            let is_any = if level == Level::Resource {
                let (_, records) = self.form.entry(child, Level::Scope, false)?;
                self.any(records, Level::Scope)?
            } else {
                let read = self.form.metric_data(child)?;
                match read.known {
                    Some((data, _)) => self.form.first(self.form.points(data)?)?.is_some(),
                    None => read.unknown > 0,
                }
            };
            if is_any {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

#[inline]
fn spend(left: &mut u64, records: u64, limits: ReadLimits) -> Result<(), OverLimit> {
    let limit = limits.records;
    *left = left.checked_sub(records).ok_or(OverLimit::Records { limit })?;
    Ok(())
}
