//! Protobuf, as the walk reads and edits it: the children of a message are fields between others, and a message whose
//! content changes has a new length.

use std::borrow::Cow;

use sluice_wire::{
    Edits, INT32, Malformed, Mark, Nested, OverLimit, Reader, Room, Unreadable, Value, field_head,
    set_once,
};

use super::form::{Form, MetricData, Opened};
use crate::{
    attribute_edits::AttributeEdits,
    attributes::Attributes,
    context::ReadContext,
    fault,
    kind::RecordKind,
    levels::{DATA_POINTS, Level, Levels, METRIC_DATA, METRIC_NAME, TEMPORALITY},
    metric::MetricKind,
    protobuf::{profiles, record::RecordBytes},
    record::Record,
    request::Request,
    signal::Signal,
};

/// A request in protobuf.
pub(crate) struct ProtobufForm {
    levels: &'static Levels,
}

/// The fields with one number in a message.
#[derive(Clone)]
pub(crate) struct Fields<'a> {
    reader: Reader<'a>,
    number: u32,
}

impl<'a> Fields<'a> {
    fn of(message: &Nested<'a>, number: u32) -> Self {
        Self { reader: Reader::nested(message), number }
    }
}

impl<'a> Form<'a> for ProtobufForm {
    type Node = Nested<'a>;
    type List = Fields<'a>;
    type Cursor = Fields<'a>;
    type Mark = Mark;

    fn open(request: &Request<'a>, room: &mut Room) -> Result<Opened<'a, Self>, Unreadable> {
        let &Request { message, at, signal, limits, .. } = request;
        let whole = Nested { bytes: message, start: at, length_at: at, content_at: at };
        let levels = Levels::of(signal);
        let strings = match signal {
            Signal::Profiles => Some(profiles::strings(&whole, limits, room)?),
            Signal::Logs | Signal::Metrics | Signal::Traces => None,
        };
        let entries = Fields::of(&whole, levels.entries.number);
        Ok(Opened { form: Self { levels }, entries, strings })
    }

    fn entry(
        &self,
        entry: Nested<'a>,
        level: Level,
        asks: bool,
    ) -> Result<(Option<Nested<'a>>, Fields<'a>), Unreadable> {
        let names = self.levels.entry(level);
        let children = Fields::of(&entry, names.children.number);
        if !asks {
            return Ok((None, children));
        }
        let mut reader = Reader::nested(&entry);
        let mut owner = None;
        loop {
            // There may be many children, and nothing else after them.
            reader.pass_over(names.children.number);
            let Some(field) = reader.next_field()? else { return Ok((owner, children)) };
            if field.number == names.owner.number {
                set_once(&mut owner, field.nested()?, &field)?;
            } else if names.deprecated.iter().any(|deprecated| deprecated.number == field.number) {
                return Err(Malformed { fault: fault::DEPRECATED, at: field.at }.into());
            }
        }
    }

    fn attributes(
        &self,
        owner: Option<Nested<'a>>,
        level: Level,
        context: &ReadContext<'a>,
    ) -> Result<Attributes<'a>, Unreadable> {
        let field = self.levels.entry(level).attributes.number;
        Ok(Attributes::of(owner, field, context.clone()))
    }

    fn metric_data(&self, metric: Nested<'a>) -> Result<MetricData<Nested<'a>>, Unreadable> {
        let mut reader = Reader::nested(&metric);
        let (mut name, mut known, mut other) = (None, None, None);
        while let Some(field) = reader.next_field()? {
            match (metric_kind(field.number), field.value) {
                (Some(kind), _) => set_once(&mut known, (field.nested()?, kind), &field)?,
                (None, Value::Nested(text)) if field.number == METRIC_NAME.number => {
                    name = Some(text);
                }
                (None, Value::Nested(nested)) if !describes_metric(field.number) => {
                    other = other.or(Some(nested));
                }
                _ => {}
            }
        }
        let unknown = match (&known, other) {
            (None, Some(other)) => {
                self.count(self.points(other)?).map_or(1, |points| points.max(1))
            }
            _ => 0,
        };
        Ok(MetricData { name, known, unknown })
    }

    fn text(&self, node: Nested<'a>) -> Result<Cow<'a, [u8]>, Unreadable> {
        Ok(Cow::Borrowed(node.bytes))
    }

    fn points(&self, data: Nested<'a>) -> Result<Fields<'a>, Unreadable> {
        Ok(Fields::of(&data, DATA_POINTS.number))
    }

    fn temporality(&self, data: Nested<'a>) -> Result<u64, Unreadable> {
        let mut temporality = 0;
        let mut reader = Reader::nested(&data);
        loop {
            reader.pass_over(DATA_POINTS.number);
            let Some(field) = reader.next_field()? else { return Ok(temporality) };
            if let (true, Value::Varint(value)) = (field.number == TEMPORALITY.number, field.value)
            {
                temporality = value & INT32;
            }
        }
    }

    #[inline(always)]
    fn record<'r>(
        &self,
        node: Nested<'a>,
        kind: RecordKind,
        context: &'r ReadContext<'a>,
    ) -> Result<Record<'r, 'a>, Unreadable> {
        Ok(Record::protobuf(RecordBytes::new(node), kind, context))
    }

    #[inline(always)]
    fn take(&self, list: &mut Fields<'a>) -> Result<Option<Nested<'a>>, Unreadable> {
        Ok(list.reader.next_nested(list.number)?)
    }

    fn first(&self, mut list: Fields<'a>) -> Result<Option<Nested<'a>>, Unreadable> {
        self.take(&mut list)
    }

    fn count(&self, mut list: Fields<'a>) -> Result<u64, Unreadable> {
        let mut count = 0_u64;
        while self.take(&mut list)?.is_some() {
            count = count.saturating_add(1);
        }
        Ok(count)
    }

    #[inline(always)]
    fn begin(&self, list: Fields<'a>) -> Fields<'a> {
        list
    }

    #[inline(always)]
    fn next(
        &self,
        cursor: &mut Fields<'a>,
        _: &mut Edits,
    ) -> Result<Option<Nested<'a>>, Unreadable> {
        self.take(cursor)
    }

    #[inline(always)]
    fn keep(&self, _: &mut Fields<'a>, _: Nested<'a>) {}

    fn cut(
        &self,
        _: &mut Fields<'a>,
        child: Nested<'a>,
        edits: &mut Edits,
    ) -> Result<isize, Unreadable> {
        edits.cut(child.start, child.end())?;
        Ok(0_isize.saturating_sub_unsigned(child.end().saturating_sub(child.start)))
    }

    fn end(&self, _: Fields<'a>, _: &mut Edits) -> Result<(), Unreadable> {
        Ok(())
    }

    fn enter(&self, parent: Nested<'a>, edits: &mut Edits) -> Result<Mark, Unreadable> {
        edits.enter(&parent)
    }

    fn take_back(&self, mark: Mark, edits: &mut Edits) {
        edits.take_back(mark);
    }

    fn leave(
        &self,
        mark: Mark,
        parent: Nested<'a>,
        delta: isize,
        edits: &mut Edits,
    ) -> Result<isize, Unreadable> {
        edits.leave_changed(mark, &parent, delta)
    }

    fn rewrite_owner(
        &self,
        entry: Nested<'a>,
        owner: Option<Nested<'a>>,
        level: Level,
        attribute_edits: &AttributeEdits<'a>,
        edits: &mut Edits,
    ) -> Result<isize, Unreadable> {
        let names = self.levels.entry(level);
        let (number, attributes) = (names.owner.number, names.attributes.number);
        let AttributeEdits { taken, put } = attribute_edits;
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
        Ok(delta)
    }

    fn cut_parts(
        &self,
        record: Nested<'a>,
        kind: RecordKind,
        context: &ReadContext<'a>,
        edits: &mut Edits,
        is_odd: impl Fn(&[u8]) -> bool,
        mut spend: impl FnMut() -> Result<(), OverLimit>,
    ) -> Result<isize, Unreadable> {
        let mark = edits.enter(&record)?;
        let mut delta = 0_isize;
        RecordBytes::new(record).each_odd_part(kind, context, is_odd, |_, part| {
            spend()?;
            edits.cut(part.start, part.end)?;
            delta = delta.saturating_sub_unsigned(part.len());
            Ok(())
        })?;
        edits.leave_changed(mark, &record, delta)
    }
}

/// The kind of data that a field of `Metric` holds, if it is a member of `Metric.data`.
fn metric_kind(number: u32) -> Option<MetricKind> {
    METRIC_DATA.into_iter().find_map(|(field, kind)| (field.number == number).then_some(kind))
}

/// Whether a field of `Metric` is known but holds no data: its name, description, unit and
/// metadata.
const fn describes_metric(field: u32) -> bool {
    matches!(field, 1..=3 | 12)
}
