//! JSON, as the walk reads and edits it: the children of an object are the elements of an array, and each element is
//! cut with one comma.

use std::borrow::Cow;

use sluice_wire::{Edits, Fault, INT32, Malformed, Mark, OverLimit, Room, Unreadable};

use super::form::{Form, MetricData, Opened};
use crate::{
    attribute_edits::AttributeEdits,
    attributes::Attributes,
    context::ReadContext,
    fault,
    json::{
        attributes::Pairs,
        check::{MOST_OPEN, check_within},
        profiles,
        record::RecordText,
        string::unescaped,
        text::{Node, Text, wrong_type},
    },
    kind::RecordKind,
    levels::{DATA_POINTS, Level, Levels, METRIC_DATA, METRIC_NAME, TEMPORALITY},
    record::Record,
    request::Request,
    signal::Signal,
};

/// A request in JSON.
pub(crate) struct JsonForm<'a> {
    text: Text<'a>,
    /// Where the text starts in the buffer that is edited.
    base: usize,
    levels: &'static Levels,
}

/// The members of a metric that are read: its name, and those of `Metric.data`. No other known member is an object.
const METRIC_MEMBERS: [&str; 6] = {
    let [gauge, sum, histogram, exponential, summary] = METRIC_DATA;
    let (gauge, sum, histogram) = (gauge.0.json, sum.0.json, histogram.0.json);
    [METRIC_NAME.json, gauge, sum, histogram, exponential.0.json, summary.0.json]
};

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

impl<'a> Form<'a> for JsonForm<'a> {
    type Node = Node;
    /// An offset in an array, after the elements that have been read.
    type List = usize;
    type Cursor = (usize, ElementCuts);
    type Mark = Mark;

    fn open(request: &Request<'a>, room: &mut Room) -> Result<Opened<'a, Self>, Unreadable> {
        let &Request { message, at: base, signal, limits, .. } = request;
        let text = Text::new(message, check_within(message, MOST_OPEN, room)?);
        let levels = Levels::of(signal);
        let root = text.root();
        let (entries, strings) = if signal == Signal::Profiles {
            let [entries, dictionary] = text.members(root, &[levels.entries.json, "dictionary"])?;
            (entries, Some(profiles::strings(&text, dictionary, limits, room)?))
        } else {
            let [entries] = text.members(root, &[levels.entries.json])?;
            (entries, None)
        };
        let entries = text.elements(text.array(entries)?).at();
        Ok(Opened { form: Self { text, base, levels }, entries, strings })
    }

    fn entry(
        &self,
        entry: Node,
        level: Level,
        _asks: bool,
    ) -> Result<(Option<Node>, usize), Unreadable> {
        let names = self.levels.entry(level);
        let (owner, children) = (names.owner.json, names.children.json);
        let (owner, children) = match level {
            Level::Resource => {
                let [older, oldest] = names.deprecated.map(|deprecated| deprecated.json);
                let [owner, children, older, oldest] =
                    self.text.members(entry, &[owner, children, older, oldest])?;
                if let Some(node) = older.or(oldest) {
                    return Err(Malformed { fault: fault::DEPRECATED, at: node.at }.into());
                }
                (owner, children)
            }
            Level::Scope => {
                let [owner, children] = self.text.members(entry, &[owner, children])?;
                (owner, children)
            }
        };
        Ok((owner, self.text.elements(self.text.array(children)?).at()))
    }

    fn attributes(
        &self,
        owner: Option<Node>,
        _: Level,
        context: &ReadContext<'a>,
    ) -> Result<Attributes<'a>, Unreadable> {
        let owner = self.text.object(owner)?;
        Ok(Attributes::json(Pairs::of(self.text.clone(), owner), context.clone()))
    }

    fn metric_data(&self, metric: Node) -> Result<MetricData<Node>, Unreadable> {
        let [name, data @ ..] = self.text.members(metric, &METRIC_MEMBERS)?;
        let kinds = METRIC_DATA.map(|(_, kind)| kind);
        let mut set = data.into_iter().zip(kinds).filter_map(|(data, kind)| Some((data?, kind)));
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
        let unknown = other.map_or(0, |data| {
            let points = self.points(data).map_or(0, |at| self.text.elements_from(at).count());
            (points as u64).max(1)
        });
        Ok(MetricData { name, known, unknown })
    }

    fn text(&self, node: Node) -> Result<Cow<'a, [u8]>, Unreadable> {
        Ok(unescaped(self.text.string(Some(node))?.unwrap_or_default()))
    }

    fn points(&self, data: Node) -> Result<usize, Unreadable> {
        let [points] = self.text.members(data, &[DATA_POINTS.json])?;
        Ok(self.text.elements(self.text.array(points)?).at())
    }

    fn temporality(&self, data: Node) -> Result<u64, Unreadable> {
        let [temporality] = self.text.members(data, &[TEMPORALITY.json])?;
        Ok(self.enumeration(temporality)?)
    }

    #[inline(always)]
    fn record<'r>(
        &self,
        node: Node,
        kind: RecordKind,
        context: &'r ReadContext<'a>,
    ) -> Result<Record<'r, 'a>, Unreadable> {
        self.require_object(node)?;
        Ok(Record::json(RecordText::new(self.text.clone(), node), kind, context))
    }

    #[inline]
    fn take(&self, list: &mut usize) -> Result<Option<Node>, Unreadable> {
        let mut elements = self.text.elements_from(*list);
        let element = elements.next();
        *list = elements.at();
        Ok(element)
    }

    fn first(&self, mut list: usize) -> Result<Option<Node>, Unreadable> {
        let first = self.take(&mut list)?;
        first.map_or(Ok(()), |first| self.require_object(first))?;
        Ok(first)
    }

    fn count(&self, mut list: usize) -> Result<u64, Unreadable> {
        let mut count = 0_u64;
        while let Some(element) = self.take(&mut list)? {
            self.require_object(element)?;
            count = count.saturating_add(1);
        }
        Ok(count)
    }

    fn begin(&self, list: usize) -> Self::Cursor {
        (list, ElementCuts::default())
    }

    #[inline]
    fn next(
        &self,
        (list, cuts): &mut Self::Cursor,
        edits: &mut Edits,
    ) -> Result<Option<Node>, Unreadable> {
        let element = self.take(list)?;
        if let Some(element) = element {
            cuts.element_begins(element, self.base, edits)?;
        }
        Ok(element)
    }

    #[inline]
    fn keep(&self, (_, cuts): &mut Self::Cursor, child: Node) {
        cuts.element_stays(child);
    }

    fn cut(
        &self,
        (_, cuts): &mut Self::Cursor,
        child: Node,
        edits: &mut Edits,
    ) -> Result<isize, Unreadable> {
        cuts.element_goes(child, self.base, edits)?;
        Ok(0)
    }

    fn end(&self, (_, mut cuts): Self::Cursor, edits: &mut Edits) -> Result<(), Unreadable> {
        cuts.array_ends(self.base, edits)
    }

    fn enter(&self, _: Node, edits: &mut Edits) -> Result<Mark, Unreadable> {
        Ok(edits.mark())
    }

    fn take_back(&self, mark: Mark, edits: &mut Edits) {
        edits.take_back(mark);
    }

    fn leave(&self, _: Mark, _: Node, _: isize, _: &mut Edits) -> Result<isize, Unreadable> {
        Ok(0)
    }

    fn rewrite_owner(
        &self,
        entry: Node,
        owner: Option<Node>,
        level: Level,
        attribute_edits: &AttributeEdits<'a>,
        edits: &mut Edits,
    ) -> Result<isize, Unreadable> {
        let names = self.levels.entry(level);
        let (name, attributes) = (names.owner.json, names.attributes.json);
        let mut rewrite = Rewrite { form: self, attribute_edits, edits };
        let puts = !attribute_edits.put.is_empty();
        match owner {
            None if !puts => {}
            None => rewrite.put_member(entry, name, PutAs::Object)?,
            Some(null) if self.text.is_null(null) => rewrite.put_for_null(null, PutAs::Object)?,
            Some(owner) => {
                let [list] = self.text.members(owner, &[attributes])?;
                match list {
                    None if !puts => {}
                    None => rewrite.put_member(owner, attributes, PutAs::List)?,
                    Some(null) if self.text.is_null(null) => {
                        rewrite.put_for_null(null, PutAs::List)?;
                    }
                    Some(list) => rewrite.list(list)?,
                }
            }
        }
        Ok(0)
    }

    fn cut_parts(
        &self,
        record: Node,
        kind: RecordKind,
        context: &ReadContext<'a>,
        edits: &mut Edits,
        is_odd: impl Fn(&[u8]) -> bool,
        mut spend: impl FnMut() -> Result<(), OverLimit>,
    ) -> Result<isize, Unreadable> {
        let record = RecordText::new(self.text.clone(), record);
        for (place, node) in record.places(kind)?.into_iter().flatten() {
            if !place.is_list() {
                if record.is_odd(place, node, context, &is_odd)? {
                    spend()?;
                    self.clear_id(node, edits)?;
                }
                continue;
            }
            let mut cuts = ElementCuts::default();
            for element in self.text.elements(Some(node)) {
                cuts.element_begins(element, self.base, edits)?;
                if record.is_odd(place, element, context, &is_odd)? {
                    spend()?;
                    cuts.element_goes(element, self.base, edits)?;
                } else {
                    cuts.element_stays(element);
                }
            }
            cuts.array_ends(self.base, edits)?;
        }
        Ok(0)
    }
}

impl JsonForm<'_> {
    /// # Errors
    /// If an element of an array of messages is not an object. `null` is not allowed there.
    #[inline]
    fn require_object(&self, element: Node) -> Result<(), Unreadable> {
        self.text.object(Some(element))?.ok_or(wrong_type(element))?;
        Ok(())
    }

    /// Replaces an id by an unset one: an empty string.
    fn clear_id(&self, id: Node, edits: &mut Edits) -> Result<(), Unreadable> {
        if self.text.is_null(id) {
            cut(edits, self.base, id.at, id.end)?;
            edits.insert(self.base.saturating_add(id.end), b"\"\"")?;
        } else {
            let (start, end) = (id.at.saturating_add(1), id.end.saturating_sub(1));
            cut(edits, self.base, start, end)?;
        }
        Ok(())
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
}

/// The rewriting of the attributes of a resource or a scope.
struct Rewrite<'r, 'a> {
    form: &'r JsonForm<'a>,
    attribute_edits: &'r AttributeEdits<'a>,
    edits: &'r mut Edits,
}

impl Rewrite<'_, '_> {
    /// Inserts a member before the others of an object.
    fn put_member(&mut self, object: Node, name: &str, value: PutAs) -> Result<(), Unreadable> {
        let at = self.form.base.saturating_add(object.at).saturating_add(1);
        for piece in [&b"\""[..], name.as_bytes(), b"\":"] {
            self.edits.insert(at, piece)?;
        }
        self.put(at, value)?;
        if !self.form.text.is_empty(object) {
            self.edits.insert(at, b",")?;
        }
        Ok(())
    }

    fn put_for_null(&mut self, null: Node, value: PutAs) -> Result<(), Unreadable> {
        if !self.attribute_edits.put.is_empty() {
            cut(self.edits, self.form.base, null.at, null.end)?;
            self.put(self.form.base.saturating_add(null.end), value)?;
        }
        Ok(())
    }

    /// Removes elements from an array of attributes and adds others after those that are kept.
    fn list(&mut self, list: Node) -> Result<(), Unreadable> {
        let mut cuts = ElementCuts::default();
        let mut taken = self.attribute_edits.taken.iter().peekable();
        let mut end = list.at.saturating_add(1);
        for element in self.form.text.elements(Some(list)) {
            cuts.element_begins(element, self.form.base, self.edits)?;
            while taken.next_if(|taken| taken.start < element.at).is_some() {}
            let goes = taken.next_if(|taken| taken.start == element.at).is_some();
            if goes {
                cuts.element_goes(element, self.form.base, self.edits)?;
            } else {
                cuts.element_stays(element);
            }
            end = element.end;
        }
        cuts.array_ends(self.form.base, self.edits)?;
        if !self.attribute_edits.put.is_empty() {
            let at = self.form.base.saturating_add(end);
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
}

/// The cuts that take elements out of an array, each with one comma.
///
/// Elements before the first kept one are cut with the comma after them; later ones with the comma
/// before them.
#[derive(Default)]
pub(crate) struct ElementCuts {
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

    const fn element_stays(&mut self, element: Node) {
        (self.stays, self.end) = (true, element.end);
    }

    fn element_goes(
        &mut self,
        element: Node,
        base: usize,
        edits: &mut Edits,
    ) -> Result<(), Unreadable> {
        if self.stays {
            cut(edits, base, self.end, element.end)?;
        } else {
            self.open = Some(element.at);
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
