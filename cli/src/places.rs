//! Where in a message the records are that break a rule.
//!
//! The gate counts what breaks a rule and names the first. To find the others, the message is cut with the gate's own
//! walk, and the gate is asked about the pieces: what breaks no rule is not looked at further.

use std::{collections::BTreeMap, ops::Range};

use sluice_gate::Examined;
use sluice_otlp::{
    AnyValue, AttributeEdits, AttributeRef, Attributes, Descend, HasAttributes, Interest, Metric,
    MetricKind, Record, RecordPolicy, Request, Signal, splice_export,
};
use sluice_records::{Fate, Level, Reason, Violation};
use sluice_remote_write::{Series, SeriesPolicy, WriteRequest, splice_series};
use sluice_reply::Protocol;
use sluice_stores::Defect;
use sluice_wire::{Edits, Unreadable};

/// A record and its place: a log record, a span, a profile, a data point, a series, or a metric whose data points
/// cannot be told apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Which resource, counted from 0.
    resource: usize,
    /// Which scope of the resource.
    scope: usize,
    /// Which metric of the scope.
    metric: Option<usize>,
    /// Which record of the metric or scope; `None` for a whole metric.
    record: Option<usize>,
}

/// The records of a message.
#[derive(Clone, Debug)]
pub struct Items {
    signal: Signal,
    is_write: bool,
    items: Vec<Item>,
    /// What can only be judged together, for each record.
    traits: Vec<Traits>,
    /// The `service.name` of each resource.
    services: Vec<Option<String>>,
    /// The names of the metrics, in order, with the places of their first items.
    metrics: Vec<(usize, String, Option<MetricKind>)>,
}

/// What a record is, apart from its place.
#[derive(Clone, Copy, Debug, Default)]
struct Traits {
    /// Whether it is a metric without data points.
    is_empty: bool,
    /// The trace of a span, if its id is valid.
    trace: Option<u128>,
    /// Its size, in bytes.
    bytes: u64,
    /// Of how many records it consists, if it is a metric whose data points cannot be told apart; 0 otherwise.
    points: u64,
}

/// What breaks one rule in one way, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What the gate says about it, for the whole message.
    pub violation: Violation,
    /// Where: paths as in OTLP's JSON, with the name that the sender knows it by, and the number of records there.
    pub places: Vec<Place>,
}

/// A place in a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The path as in OTLP's JSON: `resourceLogs[0].scopeLogs[0].logRecords[2]`.
    pub path: String,
    /// The name that the sender knows it by: `service.name="cart"`.
    pub name: Option<String>,
    /// How many records there break the rule.
    pub records: usize,
}

/// What becomes of each record, and which rules they break.
#[derive(Clone, Debug)]
pub struct Verdicts {
    /// The records.
    pub items: Items,
    /// What breaks a rule, in the order of the gate's message.
    pub findings: Vec<Finding>,
    /// For each record, whether it is dropped.
    pub dropped: Vec<bool>,
}

/// Finds what breaks the rules in the message of a request.
///
/// # Errors
/// [`Unreadable`] if the gate cannot read the message.
pub fn verdicts(examined: &Examined<'_>) -> Result<Verdicts, Unreadable> {
    let message = examined.message();
    let whole = violations(examined, message)?;
    let items = Items::of(examined)?;
    let count = items.items.len();
    let mut search = Search { examined, baseline: Vec::new(), broken: vec![Vec::new(); count] };
    if !whole.is_empty() {
        // What resources without records break is not the fault of any record.
        search.baseline = violations(examined, &search.only(message, &Keep::Range(0..0))?)?;
        search.settle(message, 0, count)?;
        search.empty_metrics(&whole, &items);
        search.large_traces(&whole, &items)?;
    }
    let broken = search.broken;
    let dropped = broken.iter().map(|found| found.iter().any(is_drop)).collect();
    let findings = whole.into_iter().map(|violation| {
        let places = items.places(&violation, &broken);
        Finding { violation, places }
    });
    let findings = findings.collect();
    Ok(Verdicts { items, findings, dropped })
}

fn violations(examined: &Examined<'_>, message: &[u8]) -> Result<Vec<Violation>, Unreadable> {
    let violations = examined.violations(message)?;
    Ok(violations.map(|violations| violations.by_rule().to_vec()).unwrap_or_default())
}

/// Whether the record is lost that breaks this rule.
fn is_drop(violation: &Violation) -> bool {
    let is_of_attributes = violation.reason == Reason::Unstorable(Defect::Labels);
    matches!(violation.fate, Fate::Dropped | Fate::Refused) && !is_of_attributes
}

/// Whether two violations are of one rule in one way.
fn is_same(one: &Violation, other: &Violation) -> bool {
    (&one.attribute, one.level, one.reason, one.fate, &one.detail)
        == (&other.attribute, other.level, other.reason, other.fate, &other.detail)
}

struct Search<'e, 'g> {
    examined: &'e Examined<'g>,
    baseline: Vec<Violation>,
    /// What each record breaks.
    broken: Vec<Vec<Violation>>,
}

impl Search<'_, '_> {
    /// A message with only these of its records.
    fn only(&self, message: &[u8], keep: &Keep) -> Result<Vec<u8>, Unreadable> {
        let mut walk = Walk { keep: Some(keep), ..Walk::default() };
        let edits = walk.through(self.examined, message)?;
        let mut cut = message.to_vec();
        edits.apply(&mut cut, 0)?;
        Ok(cut)
    }

    /// Finds what the records in `message` break: those from `from` to `to` of the whole.
    fn settle(&mut self, message: &[u8], from: usize, to: usize) -> Result<(), Unreadable> {
        let mut found = violations(self.examined, message)?;
        for violation in &mut found {
            let before = self.baseline.iter().find(|before| is_same(before, violation));
            violation.records -= before.map_or(0, |before| before.records).min(violation.records);
        }
        // A series may have no samples, and is dropped all the same.
        found.retain(|violation| {
            violation.records > 0 || !self.baseline.iter().any(|before| is_same(before, violation))
        });
        let count = to - from;
        if found.is_empty() || count == 0 {
            return Ok(());
        }
        let is_of_all = |violation: &Violation| {
            u64::try_from(count).is_ok_and(|count| violation.records == count)
                && !matches!(violation.fate, Fate::Cut | Fate::Uncut | Fate::Refused)
                && matches!(violation.level, Level::Resource | Level::Scope | Level::Record)
                && !matches!(violation.reason, Reason::Unstorable(_))
        };
        if count == 1 || matches!(&found[..], [one] if is_of_all(one)) {
            self.broken[from..to].fill(found);
            return Ok(());
        }
        let half = count / 2;
        let first = self.only(message, &Keep::Range(0..half))?;
        self.settle(&first, from, from + half)?;
        drop(first);
        let second = self.only(message, &Keep::Range(half..count))?;
        self.settle(&second, from + half, to)
    }

    /// Metrics without data points are cut with what is around them, so the gate cannot be asked about one alone. It
    /// looks at all of them whose resource and scope it does not drop.
    fn empty_metrics(&mut self, whole: &[Violation], items: &Items) {
        let defect = Reason::Unstorable(Defect::NoDataPoints);
        let Some(violation) = whole.iter().find(|one| one.reason == defect) else { return };
        let is_above = |one: &Violation| matches!(one.level, Level::Resource | Level::Scope);
        let dropped: Vec<Item> = (items.items.iter().zip(&self.broken))
            .filter(|(_, broken)| broken.iter().any(|one| is_drop(one) && is_above(one)))
            .map(|(item, _)| item.clone())
            .collect();
        for (index, item) in items.items.iter().enumerate() {
            let is_beside =
                |other: &Item| (other.resource, other.scope) == (item.resource, item.scope);
            if items.traits[index].is_empty && !dropped.iter().any(is_beside) {
                self.broken[index].push(Violation { records: 1, ..violation.clone() });
            }
        }
    }

    /// A trace is too large only with all its spans, so the gate is asked about whole traces, the largest first.
    fn large_traces(&mut self, whole: &[Violation], items: &Items) -> Result<(), Unreadable> {
        let defect = Reason::Unstorable(Defect::TraceTooLarge);
        let Some(violation) = whole.iter().find(|one| one.reason == defect) else { return Ok(()) };
        let mut traces: BTreeMap<u128, (u64, Vec<usize>)> = BTreeMap::new();
        for (index, Traits { trace, bytes, .. }) in items.traits.iter().enumerate() {
            if let Some(trace) = trace {
                let (size, spans) = traces.entry(*trace).or_default();
                *size += bytes;
                spans.push(index);
            }
        }
        let mut traces: Vec<_> = traces.into_values().collect();
        traces.sort_by_key(|(size, _)| std::cmp::Reverse(*size));
        let mut left = violation.records;
        for (_, spans) in traces.into_iter().take(MOST_TRACES) {
            if left == 0 {
                break;
            }
            let mut keep = vec![false; items.len()];
            spans.iter().for_each(|span| keep[*span] = true);
            let trace = self.only(self.examined.message(), &Keep::These(keep))?;
            let found = violations(self.examined, &trace)?;
            if let Some(found) = found.into_iter().find(|one| is_same(one, violation)) {
                left = left.saturating_sub(found.records);
                for span in spans {
                    // A span that breaks another rule is dropped for that.
                    let broken = &mut self.broken[span];
                    if broken.is_empty() {
                        broken.push(Violation { records: 1, ..found.clone() });
                    }
                }
            }
        }
        Ok(())
    }
}

/// How many traces are asked about, the largest first: each costs a walk through the message.
const MOST_TRACES: usize = 1_000;

/// Which records a walk keeps, by their numbers.
#[derive(Debug)]
enum Keep {
    /// Those in a range.
    Range(Range<usize>),
    /// Those that are true.
    These(Vec<bool>),
}

impl Keep {
    fn has(&self, index: usize) -> bool {
        match self {
            Self::Range(range) => range.contains(&index),
            Self::These(these) => these.get(index).copied().unwrap_or(false),
        }
    }
}

impl Items {
    /// The records of a message.
    ///
    /// # Errors
    /// [`Unreadable`] if the message cannot be read.
    fn of(examined: &Examined<'_>) -> Result<Self, Unreadable> {
        let mut walk = Walk::default();
        walk.through(examined, examined.message())?;
        let is_write = examined.protocol() == Protocol::RemoteWrite;
        let Walk { items, traits, services, metrics, .. } = walk;
        Ok(Self { signal: examined.signal(), is_write, items, traits, services, metrics })
    }

    /// How many there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.items.len()
    }

    /// Their signal.
    #[must_use]
    pub const fn signal(&self) -> Signal {
        self.signal
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// How many records one of them stands for.
    fn records(&self, index: usize) -> usize {
        let points = self.traits.get(index).map_or(0, |traits| traits.points);
        usize::try_from(points).unwrap_or(usize::MAX).max(1)
    }

    fn places(&self, violation: &Violation, broken: &[Vec<Violation>]) -> Vec<Place> {
        let breaks = |found: &[Violation]| found.iter().any(|one| is_same(one, violation));
        let those = (0..self.items.len()).filter(|&index| breaks(&broken[index]));
        self.grouped(those, |item| self.owner(violation, item))
    }

    /// The places of some records, given by their numbers: those with the same owner are one.
    #[must_use]
    pub fn grouped(
        &self,
        those: impl Iterator<Item = usize>,
        owner: impl Fn(&Item) -> Item,
    ) -> Vec<Place> {
        let mut places: Vec<(Item, usize, usize)> = Vec::new();
        for index in those {
            let owner = owner(&self.items[index]);
            match places.last_mut() {
                Some((last, _, records)) if *last == owner => *records += self.records(index),
                _ => places.push((owner, index, self.records(index))),
            }
        }
        let place = |(owner, first, records)| Place {
            path: self.path(&owner, first),
            name: self.name(&owner, first),
            records,
        };
        places.into_iter().map(place).collect()
    }

    /// The resources of some records, given by their numbers.
    #[must_use]
    pub fn by_resource(&self, those: impl Iterator<Item = usize>) -> Vec<Place> {
        self.grouped(those, |item| match self.is_write {
            true => item.clone(),
            false => Item { scope: WHOLE, metric: None, record: None, ..*item },
        })
    }

    /// What a violation is about: a resource, a scope, a metric, or the record itself.
    fn owner(&self, violation: &Violation, item: &Item) -> Item {
        let is_of_resource = violation.reason == Reason::Unstorable(Defect::Labels);
        match violation.level {
            Level::Resource if !self.is_write => {
                Item { scope: WHOLE, metric: None, record: None, ..*item }
            }
            _ if is_of_resource => Item { scope: WHOLE, metric: None, record: None, ..*item },
            Level::Scope => Item { metric: None, record: None, ..*item },
            Level::Record if is_of_metric(violation.reason) => Item { record: None, ..*item },
            Level::Resource | Level::Record | Level::Series => item.clone(),
        }
    }

    fn metric_of(&self, index: usize) -> Option<&(usize, String, Option<MetricKind>)> {
        let after = self.metrics.partition_point(|(first, ..)| *first <= index);
        self.metrics.get(after.checked_sub(1)?)
    }

    /// The path of an owner as in OTLP's JSON. `first` is the number of its first record.
    fn path(&self, owner: &Item, first: usize) -> String {
        let Item { resource, scope, metric, record } = owner;
        if self.is_write {
            return format!("timeseries[{resource}]");
        }
        let (plural, records) = match self.signal {
            Signal::Logs => ("Logs", "logRecords"),
            Signal::Metrics => ("Metrics", "metrics"),
            Signal::Profiles => ("Profiles", "profiles"),
            Signal::Traces => ("Spans", "spans"),
        };
        let mut path = format!("resource{plural}[{resource}]");
        if *scope != WHOLE {
            path += &format!(".scope{plural}[{scope}]");
        }
        if let Some(metric) = metric {
            path += &format!(".metrics[{metric}]");
        }
        match (record, metric) {
            (None, _) => {}
            (Some(record), None) => path += &format!(".{records}[{record}]"),
            (Some(record), Some(_)) => {
                let kind = match self.metric_of(first).and_then(|(.., kind)| *kind) {
                    Some(MetricKind::ExponentialHistogram) => ".exponentialHistogram",
                    Some(MetricKind::Gauge) => ".gauge",
                    Some(MetricKind::Histogram) => ".histogram",
                    Some(MetricKind::Sum) => ".sum",
                    Some(MetricKind::Summary) => ".summary",
                    None => "",
                };
                path += &format!("{kind}.dataPoints[{record}]");
            }
        }
        path
    }

    fn name(&self, owner: &Item, first: usize) -> Option<String> {
        if self.is_write || owner.metric.is_some() {
            let (_, name, _) = self.metric_of(first)?;
            let key = if self.is_write { "__name__" } else { "metric" };
            return Some(format!("{key}={name:?}"));
        }
        let service = self.services.get(owner.resource)?.as_ref()?;
        Some(format!("service.name={service:?}"))
    }
}

/// Stands for all scopes of a resource.
const WHOLE: usize = usize::MAX;

/// Whether a reason is about a metric and not about its data points.
const fn is_of_metric(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::Unstorable(
            Defect::MetricName | Defect::NoDataPoints | Defect::Temporality | Defect::UnknownKind
        )
    )
}

/// A walk through a message that lists its records, and keeps some of them.
#[derive(Debug, Default)]
struct Walk<'k> {
    /// The records to keep; all if `None`.
    keep: Option<&'k Keep>,
    items: Vec<Item>,
    traits: Vec<Traits>,
    services: Vec<Option<String>>,
    metrics: Vec<(usize, String, Option<MetricKind>)>,
    resources: usize,
    scopes: usize,
    metrics_of_scope: usize,
    records: usize,
    in_metric: bool,
}

impl Walk<'_> {
    fn through(&mut self, examined: &Examined<'_>, message: &[u8]) -> Result<Edits, Unreadable> {
        let limits = examined.limits();
        let spliced = if examined.protocol() == Protocol::RemoteWrite {
            splice_series(&WriteRequest { message, limits }, self)?
        } else {
            let (signal, format) = (examined.signal(), examined.format());
            splice_export(&Request { message, at: 0, signal, format, limits }, self)?
        };
        Ok(spliced.edits)
    }

    /// Adds a record. Returns whether it is kept.
    fn add(&mut self, record: Option<usize>, traits: Traits) -> bool {
        let index = self.items.len();
        self.traits.push(traits);
        self.items.push(Item {
            resource: self.resources.saturating_sub(1),
            scope: self.scopes.saturating_sub(1),
            metric: self.in_metric.then(|| self.metrics_of_scope.saturating_sub(1)),
            record,
        });
        self.keep.is_none_or(|keep| keep.has(index))
    }
}

impl<'a> RecordPolicy<'a> for Walk<'_> {
    type Error = Unreadable;

    fn interest(&self) -> Interest {
        Interest { scopes: true, metrics: true }
    }

    fn resource(
        &mut self,
        attributes: Attributes<'a>,
        _: &mut AttributeEdits<'a>,
    ) -> Result<Descend, Unreadable> {
        self.resources += 1;
        (self.scopes, self.metrics_of_scope, self.records, self.in_metric) = (0, 0, 0, false);
        let mut service = None;
        if self.keep.is_none() {
            let wanted = |key: &[u8]| key == b"service.name";
            attributes.each_where(wanted, |given| {
                service = match given {
                    AttributeRef::Text { text, .. } => Some(text.to_vec()),
                    AttributeRef::Attribute(attribute) => match attribute.decisive_value()? {
                        AnyValue::String(text) => Some(text.into_owned()),
                        _ => None,
                    },
                };
                Ok(())
            })?;
        }
        self.services.push(service.map(|name| excerpt(&name)));
        Ok(Descend::Inspect)
    }

    fn scope(
        &mut self,
        _: Attributes<'a>,
        _: &mut AttributeEdits<'a>,
    ) -> Result<Descend, Unreadable> {
        self.scopes += 1;
        (self.metrics_of_scope, self.records, self.in_metric) = (0, 0, false);
        Ok(Descend::Inspect)
    }

    fn metric(&mut self, metric: &Metric<'_>) -> Result<bool, Unreadable> {
        self.metrics_of_scope += 1;
        (self.records, self.in_metric) = (0, true);
        self.metrics.push((self.items.len(), excerpt(&metric.name), metric.kind));
        if metric.kind.is_none() || metric.points == 0 {
            let is_empty = metric.points == 0;
            return Ok(
                self.add(None, Traits { is_empty, points: metric.points, ..Traits::default() })
            );
        }
        Ok(true)
    }

    fn record(&mut self, record: &Record<'_, 'a>) -> Result<bool, Unreadable> {
        self.records += 1;
        let mut traits = Traits { bytes: record.written_bytes(), ..Traits::default() };
        // An id that cannot be read is the gate's to refuse.
        traits.trace = record.trace_id().ok().flatten();
        Ok(self.add(Some(self.records - 1), traits))
    }
}

impl<'a> SeriesPolicy<'a> for Walk<'_> {
    type Error = Unreadable;

    fn series(&mut self, series: &Series<'a>) -> Result<bool, Unreadable> {
        self.resources += 1;
        let name = excerpt(series.metric_name().unwrap_or_default());
        self.metrics.push((self.items.len(), name, None));
        Ok(self.add(None, Traits::default()))
    }

    fn relabels(&self) -> bool {
        false
    }

    fn takes(&self, _: &[u8]) -> bool {
        false
    }

    fn puts(&self) -> &[(&str, std::rc::Rc<[u8]>)] {
        &[]
    }
}

/// A sender's text, cut short.
fn excerpt(text: &[u8]) -> String {
    const MAX_CHARS: usize = 64;
    String::from_utf8_lossy(text).chars().take(MAX_CHARS).collect()
}
