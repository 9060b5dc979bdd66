//! The walk through the levels of an export request in JSON; see [`splice_export`](crate::splice_export).

use std::rc::Rc;

use sluice_wire::{
    Edits, Fault, INT32, Malformed, OverLimit, ReadLimits, Room, Spliced, Unreadable,
};

use super::{
    attributes::Pairs,
    check::{MOST_OPEN, check_within},
    profiles,
    record::RecordText,
    string::unescaped,
    text::{Node, Text, wrong_type},
};
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

/// Walks an export request in JSON.
///
/// # Errors
/// As [`splice_export`](crate::splice_export).
pub(crate) fn walk_json<'a, P: RecordPolicy<'a>>(
    request: &Request<'a>,
    policy: &mut P,
) -> Result<Spliced, P::Error> {
    let Request { message, at: base, signal, mut limits, .. } = *request;
    let mut room = Room::of(limits.room);
    let text = Text::new(message, check_within(message, MOST_OPEN, &mut room)?);
    let names = Names::of(signal);
    let root = text.root();
    let (entries, strings) = if signal == Signal::Profiles {
        let [entries, dictionary] =
            text.members(root, &[names.resources, "dictionary"]).map_err(Unreadable::from)?;
        (entries, Some(Rc::new(profiles::strings(&text, dictionary, limits, &mut room)?)))
    } else {
        let [entries] = text.members(root, &[names.resources]).map_err(Unreadable::from)?;
        (entries, None)
    };
    limits.room = room.bytes();
    let edits = Edits::new(message.len(), &limits).map_err(Unreadable::from)?;
    let (attribute_edits, left) = (AttributeEdits::default(), limits.records);
    let mut walk = Walk {
        text: &text,
        base,
        signal,
        names,
        limits,
        strings,
        policy,
        edits,
        attribute_edits,
        left,
    };
    let entries = text.array(entries).map_err(Unreadable::from)?;
    let tally = walk.children(entries, Walk::resource_entry)?;
    let Walk { mut edits, .. } = walk;
    edits.finish();
    Ok(Spliced { edits, dropped: tally.dropped, kept: tally.kept > 0 })
}

/// The names of a signal's levels.
struct Names {
    resources: &'static str,
    scopes: &'static str,
    /// Members that some backends read in place of `scopes` if `scopes` is empty.
    deprecated: [&'static str; 2],
    records: &'static str,
}

impl Names {
    const fn of(signal: Signal) -> &'static Self {
        match signal {
            Signal::Logs => &Self {
                resources: "resourceLogs",
                scopes: "scopeLogs",
                deprecated: ["deprecatedScopeLogs", "instrumentationLibraryLogs"],
                records: "logRecords",
            },
            Signal::Metrics => &Self {
                resources: "resourceMetrics",
                scopes: "scopeMetrics",
                deprecated: ["deprecatedScopeMetrics", "instrumentationLibraryMetrics"],
                records: "metrics",
            },
            Signal::Profiles => &Self {
                resources: "resourceProfiles",
                scopes: "scopeProfiles",
                deprecated: ["deprecatedScopeProfiles", "instrumentationLibraryProfiles"],
                records: "profiles",
            },
            Signal::Traces => &Self {
                resources: "resourceSpans",
                scopes: "scopeSpans",
                deprecated: ["deprecatedScopeSpans", "instrumentationLibrarySpans"],
                records: "spans",
            },
        }
    }
}

/// The members of a metric that are read: its name, and those of `Metric.data`. No other known member is an object.
const METRIC_MEMBERS: [&str; 6] =
    ["name", "gauge", "sum", "histogram", "exponentialHistogram", "summary"];
/// The kind of each of the data members.
const METRIC_KINDS: [MetricKind; 5] = [
    MetricKind::Gauge,
    MetricKind::Sum,
    MetricKind::Histogram,
    MetricKind::ExponentialHistogram,
    MetricKind::Summary,
];

/// What is read of a metric before its data points.
struct MetricData {
    name: Option<Node>,
    /// Its data, and their kind.
    known: Option<(Node, MetricKind)>,
    /// The number of data points in a member that OTLP does not define, which may be data of
    /// another kind.
    unknown: u64,
}

/// The result for an element and everything in it.
#[derive(Clone, Copy, Default)]
struct Tally {
    dropped: u64,
    /// Records that are kept. If they are not counted, 1 stands for any number.
    kept: u64,
    /// Whether anything in it was cut: records or an empty parent.
    cut: bool,
    /// Whether the whole element is dropped.
    goes: bool,
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.dropped = self.dropped.saturating_add(other.dropped);
        self.kept = self.kept.saturating_add(other.kept);
        self.cut |= other.cut | other.goes;
    }

    fn untouched(kept: u64) -> Self {
        Self { kept, ..Self::default() }
    }

    fn gone(records: u64) -> Self {
        Self { dropped: records, goes: true, ..Self::default() }
    }

    /// The tally of a parent with these children. If no record is left, the parent is dropped too,
    /// unless it was empty before.
    const fn of_parent(mut self) -> Self {
        self.goes = self.cut && self.kept == 0;
        self
    }
}

/// The form in which attributes are inserted.
#[derive(Clone, Copy)]
enum PutAs {
    /// As elements of a list.
    Elements,
    /// As a list.
    List,
    /// As an object that holds them in a list.
    Object,
}

struct Walk<'p, 't, 'a, P> {
    text: &'t Text<'a>,
    /// Where the text starts in the buffer that is edited.
    base: usize,
    signal: Signal,
    names: &'static Names,
    limits: ReadLimits,
    strings: Option<Rc<Strings<'a>>>,
    policy: &'p mut P,
    edits: Edits,
    attribute_edits: AttributeEdits<'a>,
    /// How many more entries and records may be read.
    left: u64,
}

impl<'a, P: RecordPolicy<'a>> Walk<'_, '_, 'a, P> {
    fn resource_entry(&mut self, entry: Node) -> Result<Tally, P::Error> {
        self.spend()?;
        let (resource, scopes) = self.resource_members(entry)?;
        self.attribute_edits.clear();
        let attributes = self.attributes(resource)?;
        let mut descend = self.policy.resource(attributes, &mut self.attribute_edits)?;
        if descend == Descend::Drop {
            let records = self.count_in_scopes(scopes)?;
            if records > 0 || !self.policy.interest().metrics {
                return Ok(self.drop_parent(records));
            }
            // There may be metrics without data points, which the policy has to see.
            descend = Descend::Inspect;
        }
        self.rewrite_owner(entry, "resource", resource)?;
        let mut tally = Tally::default();
        tally.add(match descend {
            Descend::KeepAll | Descend::Drop => {
                Tally::untouched(self.any_in_scopes(scopes)?.into())
            }
            Descend::CountOnly => Tally::untouched(self.count_in_scopes(scopes)?),
            Descend::Inspect => self.children(scopes, Self::scope_entry)?,
        });
        if descend != Descend::KeepAll {
            self.policy.left_resource(tally.kept);
        }
        Ok(tally.of_parent())
    }

    fn scope_entry(&mut self, entry: Node) -> Result<Tally, P::Error> {
        self.spend()?;
        let (scope, records) = self.scope_members(entry)?;
        let mut descend = Descend::Inspect;
        if self.policy.interest().scopes {
            self.attribute_edits.clear();
            let attributes = self.attributes(scope)?;
            descend = self.policy.scope(attributes, &mut self.attribute_edits)?;
            if descend == Descend::Drop {
                let count = self.count_records(records)?;
                if count > 0 || !self.policy.interest().metrics {
                    return Ok(self.drop_parent(count));
                }
                descend = Descend::Inspect;
            }
            self.rewrite_owner(entry, "scope", scope)?;
        }
        let mut tally = Tally::default();
        tally.add(match (descend, self.signal) {
            (Descend::KeepAll | Descend::Drop, _) => {
                Tally::untouched(self.any_record(records)?.into())
            }
            (Descend::CountOnly, _) => Tally::untouched(self.count_records(records)?),
            (Descend::Inspect, Signal::Metrics) => self.children(records, Self::metric)?,
            (Descend::Inspect, Signal::Logs) => {
                self.children(records, |walk, record| walk.record(record, RecordKind::LogRecord))?
            }
            (Descend::Inspect, Signal::Traces) => {
                self.children(records, |walk, record| walk.record(record, RecordKind::Span))?
            }
            (Descend::Inspect, Signal::Profiles) => {
                self.children(records, |walk, record| walk.record(record, RecordKind::Profile))?
            }
        });
        if descend != Descend::KeepAll {
            self.policy.left_scope(tally.kept);
        }
        Ok(tally.of_parent())
    }

    fn metric(&mut self, metric: Node) -> Result<Tally, P::Error> {
        self.spend()?;
        let read = self.metric_data(metric)?;
        if self.policy.interest().metrics {
            let seen = self.seen_of(&read)?;
            if !self.policy.metric(&seen)? {
                let records = self.count_points(&read)?;
                self.policy.dropped(records);
                return Ok(Tally::gone(records));
            }
        }
        let Some((data, kind)) = read.known else {
            return Ok(Tally::untouched(self.count_points(&read)?));
        };
        let points = self.points(data)?;
        let mut tally = Tally::default();
        tally.add(
            self.children(points, |walk, point| walk.record(point, RecordKind::DataPoint(kind)))?,
        );
        Ok(tally.of_parent())
    }

    #[inline]
    fn record(&mut self, record: Node, kind: RecordKind) -> Result<Tally, P::Error> {
        self.spend()?;
        self.require_object(record)?;
        let context = ReadContext::new(self.limits, self.strings.clone());
        let text = RecordText::new(self.text.clone(), record);
        let seen = Record::json(text, kind, &context);
        if self.policy.record(&seen)? {
            if self.policy.cuts() {
                let text = RecordText::new(self.text.clone(), record);
                self.cut_parts(&text, kind, &context)?;
            }
            return Ok(Tally::untouched(1));
        }
        self.policy.dropped(1);
        Ok(Tally::gone(1))
    }

    /// Cuts odd parts, as the walk through protobuf does.
    #[inline(never)]
    fn cut_parts(
        &mut self,
        record: &RecordText<'a>,
        kind: RecordKind,
        context: &ReadContext<'a>,
    ) -> Result<(), Unreadable> {
        for (place, node) in record.places(kind)?.into_iter().flatten() {
            let is_odd =
                |policy: &P, node| record.is_odd(place, node, context, |key| policy.is_odd(key));
            if !place.is_list() {
                if is_odd(self.policy, node)? {
                    self.spend()?;
                    self.clear_id(node)?;
                }
                continue;
            }
            let mut cuts = ElementCuts::default();
            for element in self.text.elements(Some(node)) {
                cuts.element_begins(element, self.base, &mut self.edits)?;
                let goes = is_odd(self.policy, element)?;
                if goes {
                    self.spend()?;
                }
                cuts.element_ends(element, goes, self.base, &mut self.edits)?;
            }
            cuts.array_ends(self.base, &mut self.edits)?;
        }
        Ok(())
    }

    /// Replaces an id by an unset one: an empty string.
    fn clear_id(&mut self, id: Node) -> Result<(), Unreadable> {
        if self.text.is_null(id) {
            cut(&mut self.edits, self.base, id.at, id.end)?;
            self.edits.insert(self.base.saturating_add(id.end), b"\"\"")?;
        } else {
            let (start, end) = (id.at.saturating_add(1), id.end.saturating_sub(1));
            cut(&mut self.edits, self.base, start, end)?;
        }
        Ok(())
    }

    /// Visits every element of an array, and cuts dropped ones, each with one comma.
    #[inline]
    fn children(
        &mut self,
        array: Option<Node>,
        mut each: impl FnMut(&mut Self, Node) -> Result<Tally, P::Error>,
    ) -> Result<Tally, P::Error> {
        let mut tally = Tally::default();
        let mut cuts = ElementCuts::default();
        for element in self.text.elements(array) {
            cuts.element_begins(element, self.base, &mut self.edits)?;
            let mark = self.edits.mark();
            let child = each(self, element)?;
            if child.goes {
                self.edits.take_back(mark);
            }
            cuts.element_ends(element, child.goes, self.base, &mut self.edits)?;
            tally.add(child);
        }
        cuts.array_ends(self.base, &mut self.edits)?;
        Ok(tally)
    }

    /// The tally of a parent whose records are all dropped. A parent that was empty before is kept.
    fn drop_parent(&mut self, records: u64) -> Tally {
        if records == 0 {
            return Tally::default();
        }
        self.policy.dropped(records);
        Tally::gone(records)
    }

    /// Removes attributes from the resource or scope of an entry and adds others, as the policy has
    /// just decided. `owner` is the member `name` of `entry`; it may be `null`.
    fn rewrite_owner(
        &mut self,
        entry: Node,
        name: &str,
        owner: Option<Node>,
    ) -> Result<(), Unreadable> {
        if self.attribute_edits.is_empty() {
            return Ok(());
        }
        self.attribute_edits.sort();
        let puts = !self.attribute_edits.put.is_empty();
        match owner {
            None if !puts => {}
            None => self.put_member(entry, name, PutAs::Object)?,
            Some(null) if self.text.is_null(null) => self.put_for_null(null, PutAs::Object)?,
            Some(owner) => {
                let [list] = self.text.members(owner, &["attributes"])?;
                match list {
                    None if !puts => {}
                    None => self.put_member(owner, "attributes", PutAs::List)?,
                    Some(null) if self.text.is_null(null) => {
                        self.put_for_null(null, PutAs::List)?;
                    }
                    Some(list) => self.rewrite_list(list)?,
                }
            }
        }
        Ok(())
    }

    /// Inserts a member before the others of an object.
    fn put_member(&mut self, object: Node, name: &str, value: PutAs) -> Result<(), Unreadable> {
        let at = self.base.saturating_add(object.at).saturating_add(1);
        for piece in [&b"\""[..], name.as_bytes(), b"\":"] {
            self.edits.insert(at, piece)?;
        }
        self.put(at, value)?;
        if !self.text.is_empty(object) {
            self.edits.insert(at, b",")?;
        }
        Ok(())
    }

    fn put_for_null(&mut self, null: Node, value: PutAs) -> Result<(), Unreadable> {
        if !self.attribute_edits.put.is_empty() {
            cut(&mut self.edits, self.base, null.at, null.end)?;
            self.put(self.base.saturating_add(null.end), value)?;
        }
        Ok(())
    }

    /// Removes elements from an array of attributes and adds others after those that are kept.
    fn rewrite_list(&mut self, list: Node) -> Result<(), Unreadable> {
        let mut cuts = ElementCuts::default();
        let mut taken = self.attribute_edits.taken.iter().peekable();
        let mut end = list.at.saturating_add(1);
        for element in self.text.elements(Some(list)) {
            cuts.element_begins(element, self.base, &mut self.edits)?;
            while taken.next_if(|taken| taken.start < element.at).is_some() {}
            let goes = taken.next_if(|taken| taken.start == element.at).is_some();
            cuts.element_ends(element, goes, self.base, &mut self.edits)?;
            end = element.end;
        }
        cuts.array_ends(self.base, &mut self.edits)?;
        if !self.attribute_edits.put.is_empty() {
            let at = self.base.saturating_add(end);
            if cuts.stays {
                self.edits.insert(at, b",")?;
            }
            self.put(at, PutAs::Elements)?;
        }
        Ok(())
    }

    /// Inserts the attributes that the policy has just added.
    fn put(&mut self, at: usize, put_as: PutAs) -> Result<(), Unreadable> {
        let (before, behind): (&[u8], &[u8]) = match put_as {
            PutAs::Elements => (b"", b""),
            PutAs::List => (b"[", b"]"),
            PutAs::Object => (b"{\"attributes\":[", b"]}"),
        };
        let Self { edits, attribute_edits, .. } = self;
        edits.insert(at, before)?;
        for (index, put) in attribute_edits.put.iter().enumerate() {
            edits.insert(at, if index > 0 { b"," } else { b"" })?;
            edits.insert(at, put.bytes())?;
        }
        edits.insert(at, behind)
    }

    fn attributes(&self, owner: Option<Node>) -> Result<Attributes<'a>, Unreadable> {
        let owner = self.text.object(owner)?;
        let context = ReadContext::new(self.limits, self.strings.clone());
        Ok(Attributes::json(Pairs::of(self.text.clone(), owner), context))
    }

    /// The resource of an entry, as it is written, and its scope entries.
    fn resource_members(&self, entry: Node) -> Result<(Option<Node>, Option<Node>), Unreadable> {
        let [older, oldest] = self.names.deprecated;
        let names = ["resource", self.names.scopes, older, oldest];
        let [resource, scopes, older, oldest] = self.text.members(entry, &names)?;
        if let Some(node) = older.or(oldest) {
            return Err(Malformed { fault: fault::DEPRECATED, at: node.at }.into());
        }
        Ok((resource, self.text.array(scopes)?))
    }

    /// The scope of an entry, as it is written, and its records or metrics.
    fn scope_members(&self, entry: Node) -> Result<(Option<Node>, Option<Node>), Unreadable> {
        let [scope, records] = self.text.members(entry, &["scope", self.names.records])?;
        Ok((scope, self.text.array(records)?))
    }

    /// Reads what is needed of a metric before its data points.
    fn metric_data(&self, metric: Node) -> Result<MetricData, Unreadable> {
        let [name, data @ ..] = self.text.members(metric, &METRIC_MEMBERS)?;
        let mut set =
            data.into_iter().zip(METRIC_KINDS).filter_map(|(data, kind)| Some((data?, kind)));
        let first = set.next();
        if let (Some(_), Some((second, _))) = (first, set.next()) {
            return Err(Malformed { fault: Fault::REPEATED, at: second.at }.into());
        }
        let known = match first {
            Some((data, kind)) => self.text.object(Some(data))?.map(|data| (data, kind)),
            None => None,
        };
        // A member with the name of a known kind is not data of an unknown kind, even if it is `null`.
        let other = match first {
            Some(_) => None,
            None => self.text.other_object(metric, &METRIC_MEMBERS),
        };
        Ok(MetricData { name, known, unknown: other.map_or(0, |data| self.points_if_data(data)) })
    }

    /// Counts the data points of a member that may be data. If it is not built like the kinds known
    /// so far, it counts as 1.
    fn points_if_data(&self, data: Node) -> u64 {
        let points = self.points(data).map_or(0, |points| self.text.elements(points).count());
        (points as u64).max(1)
    }

    /// The metric as a policy is shown it.
    fn seen_of(&self, read: &MetricData) -> Result<Metric<'a>, Unreadable> {
        let name = unescaped(self.text.string(read.name)?.unwrap_or_default());
        let (is_unknown, points) = (read.unknown > 0, read.unknown);
        let mut metric = Metric { name, kind: None, is_unknown, temporality: 0, points };
        let Some((data, kind)) = read.known else { return Ok(metric) };
        metric.kind = Some(kind);
        let points = self.text.elements(self.points(data)?);
        let counted = if kind.has_temporality() { usize::MAX } else { 1 };
        metric.points = points.take(counted).fold(0, |count, _| count.saturating_add(1));
        if kind.has_temporality() {
            let [temporality] = self.text.members(data, &["aggregationTemporality"])?;
            metric.temporality = self.enumeration(temporality)?;
        }
        Ok(metric)
    }

    /// Reads an enum, which is an integer in OTLP/JSON. The specification does not allow names,
    /// although some readers accept them.
    fn enumeration(&self, node: Option<Node>) -> Result<u64, Malformed> {
        let Some(node) = node else { return Ok(0) };
        if self.text.of(node).starts_with(b"\"") {
            return Err(Malformed { fault: fault::ENUM_NAME, at: node.at });
        }
        let number = self.text.integer(Some(node))?.unwrap_or_default();
        if i32::try_from(number).is_err() {
            return Err(wrong_type(node));
        }
        Ok(number.cast_unsigned() & INT32)
    }

    fn points(&self, data: Node) -> Result<Option<Node>, Unreadable> {
        let [points] = self.text.members(data, &["dataPoints"])?;
        Ok(self.text.array(points)?)
    }

    /// # Errors
    /// If an element of an array of messages is not an object. `null` is not allowed there.
    #[inline]
    fn require_object(&self, element: Node) -> Result<(), Unreadable> {
        self.text.object(Some(element))?.ok_or(wrong_type(element))?;
        Ok(())
    }

    /// Counts one more entry or record.
    #[inline]
    fn spend(&mut self) -> Result<(), Unreadable> {
        let limit = self.limits.records;
        self.left = self.left.checked_sub(1).ok_or(OverLimit::Records { limit })?;
        Ok(())
    }
}

/// Counts records, and checks whether there are any.
impl<'a, P: RecordPolicy<'a>> Walk<'_, '_, 'a, P> {
    fn count_in_scopes(&mut self, scopes: Option<Node>) -> Result<u64, Unreadable> {
        let mut total = 0_u64;
        for scope in self.text.elements(scopes) {
            self.spend()?;
            let (_, records) = self.scope_members(scope)?;
            total = total.saturating_add(self.count_records(records)?);
        }
        Ok(total)
    }

    fn count_records(&mut self, records: Option<Node>) -> Result<u64, Unreadable> {
        if self.signal != Signal::Metrics {
            return self.count(records);
        }
        let mut total = 0_u64;
        for metric in self.text.elements(records) {
            self.spend()?;
            let read = self.metric_data(metric)?;
            total = total.saturating_add(self.count_points(&read)?);
        }
        Ok(total)
    }

    /// Counts the data points of a metric. For an unknown kind, this is an estimate.
    fn count_points(&mut self, metric: &MetricData) -> Result<u64, Unreadable> {
        if let Some((data, _)) = metric.known {
            let points = self.points(data)?;
            return self.count(points);
        }
        for _ in 0..metric.unknown {
            self.spend()?;
        }
        Ok(metric.unknown)
    }

    fn count(&mut self, records: Option<Node>) -> Result<u64, Unreadable> {
        let mut total = 0_u64;
        for record in self.text.elements(records) {
            self.spend()?;
            self.require_object(record)?;
            total = total.saturating_add(1);
        }
        Ok(total)
    }

    fn any_in_scopes(&self, scopes: Option<Node>) -> Result<bool, Unreadable> {
        for scope in self.text.elements(scopes) {
            let (_, records) = self.scope_members(scope)?;
            if self.any_record(records)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn any_record(&self, records: Option<Node>) -> Result<bool, Unreadable> {
        for record in self.text.elements(records) {
            let is_any = match self.signal {
                Signal::Logs | Signal::Profiles | Signal::Traces => {
                    self.require_object(record).map(|()| true)?
                }
                Signal::Metrics => {
                    let metric = self.metric_data(record)?;
                    match metric.known {
                        Some((data, _)) => self.text.elements(self.points(data)?).next().is_some(),
                        None => metric.unknown > 0,
                    }
                }
            };
            if is_any {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// The cuts that take elements out of an array, each with one comma.
///
/// Elements before the first kept one are cut with the comma after them; later ones with the comma
/// before them.
#[derive(Default)]
struct ElementCuts {
    /// Whether an element has been kept so far.
    stays: bool,
    /// The end of the latest element.
    end: usize,
    /// The start of a cut that reaches to the next element, or to `end` if there is none.
    open: Option<usize>,
}

impl ElementCuts {
    fn element_begins(
        &mut self,
        element: Node,
        base: usize,
        edits: &mut Edits,
    ) -> Result<(), Unreadable> {
        self.open.take().map_or(Ok(()), |start| cut(edits, base, start, element.at))
    }

    fn element_ends(
        &mut self,
        element: Node,
        goes: bool,
        base: usize,
        edits: &mut Edits,
    ) -> Result<(), Unreadable> {
        match (goes, self.stays) {
            (true, true) => cut(edits, base, self.end, element.end)?,
            (true, false) => self.open = Some(element.at),
            (false, _) => self.stays = true,
        }
        self.end = element.end;
        Ok(())
    }

    fn array_ends(&mut self, base: usize, edits: &mut Edits) -> Result<(), Unreadable> {
        self.open.take().map_or(Ok(()), |start| cut(edits, base, start, self.end))
    }
}

/// Cuts a range of the text, which starts at `base` in its buffer.
fn cut(edits: &mut Edits, base: usize, start: usize, end: usize) -> Result<(), Unreadable> {
    edits.cut(base.saturating_add(start), base.saturating_add(end))
}
