//! What the walk needs of a format.

use std::borrow::Cow;

use sluice_wire::{Edits, OverLimit, Room, Unreadable};

use crate::{
    attribute_edits::AttributeEdits, attributes::Attributes, context::ReadContext,
    kind::RecordKind, levels::Level, metric::MetricKind, record::Record, request::Request,
    strings::Strings,
};

/// A request in one format, as the walk reads and edits it. The walk is compiled once for each.
pub(crate) trait Form<'a>: Sized {
    /// A message or an object.
    type Node: Copy;
    /// A repeated field or an array, of which some children may have been read.
    type List: Clone;
    /// The children of a list while some of them are cut.
    type Cursor;
    /// A point to which edits can be taken back.
    type Mark;

    /// Opens a request. What has to be remembered of it is taken from `room`.
    ///
    /// # Errors
    /// [`Unreadable`] if it cannot be read, or there is no room. This holds for every method that reads.
    fn open(request: &Request<'a>, room: &mut Room) -> Result<Opened<'a, Self>, Unreadable>;

    /// The owner of the attributes of an entry, if `asks` for it, and the entry's children.
    fn entry(
        &self,
        entry: Self::Node,
        level: Level,
        asks: bool,
    ) -> Result<(Option<Self::Node>, Self::List), Unreadable>;

    /// The attributes of a resource or a scope; none if there is none.
    fn attributes(
        &self,
        owner: Option<Self::Node>,
        level: Level,
        context: &ReadContext<'a>,
    ) -> Result<Attributes<'a>, Unreadable>;

    /// What is read of a metric before its data points.
    fn metric_data(&self, metric: Self::Node) -> Result<MetricData<Self::Node>, Unreadable>;

    /// A string.
    fn text(&self, node: Self::Node) -> Result<Cow<'a, [u8]>, Unreadable>;

    /// The data points in a metric's data.
    fn points(&self, data: Self::Node) -> Result<Self::List, Unreadable>;

    /// The temporality of a metric's data of a kind that has one.
    fn temporality(&self, data: Self::Node) -> Result<u64, Unreadable>;

    /// A record.
    fn record<'r>(
        &self,
        node: Self::Node,
        kind: RecordKind,
        context: &'r ReadContext<'a>,
    ) -> Result<Record<'r, 'a>, Unreadable>;

    /// The next child of a list, which is read on.
    fn take(&self, list: &mut Self::List) -> Result<Option<Self::Node>, Unreadable>;

    /// The first child of a list, if it is a message.
    fn first(&self, list: Self::List) -> Result<Option<Self::Node>, Unreadable>;

    /// The number of children, which must be messages.
    fn count(&self, list: Self::List) -> Result<u64, Unreadable>;

    /// Begins to read a list of which children may be cut. Each child of [`Self::next`] is then passed to
    /// [`Self::keep`] or [`Self::cut`], and the cursor to [`Self::end`].
    fn begin(&self, list: Self::List) -> Self::Cursor;

    /// The next child.
    fn next(
        &self,
        cursor: &mut Self::Cursor,
        edits: &mut Edits,
    ) -> Result<Option<Self::Node>, Unreadable>;

    /// Keeps a child.
    fn keep(&self, cursor: &mut Self::Cursor, child: Self::Node);

    /// Cuts a child; returns by how many bytes its parent grows.
    fn cut(
        &self,
        cursor: &mut Self::Cursor,
        child: Self::Node,
        edits: &mut Edits,
    ) -> Result<isize, Unreadable>;

    /// Ends the reading of a list.
    fn end(&self, cursor: Self::Cursor, edits: &mut Edits) -> Result<(), Unreadable>;

    /// Begins to edit what is in a parent.
    fn enter(&self, parent: Self::Node, edits: &mut Edits) -> Result<Self::Mark, Unreadable>;

    /// Takes back what has been edited since.
    fn take_back(&self, mark: Self::Mark, edits: &mut Edits);

    /// Ends the editing of a parent that has grown by `delta`; returns by how many bytes its own parent grows.
    fn leave(
        &self,
        mark: Self::Mark,
        parent: Self::Node,
        delta: isize,
        edits: &mut Edits,
    ) -> Result<isize, Unreadable>;

    /// Removes attributes from the owner of an entry and adds others; returns by how many bytes the entry grows.
    fn rewrite_owner(
        &self,
        entry: Self::Node,
        owner: Option<Self::Node>,
        level: Level,
        attribute_edits: &AttributeEdits<'a>,
        edits: &mut Edits,
    ) -> Result<isize, Unreadable>;

    /// Cuts the odd parts of a record, and spends for each; returns by how many bytes the record's parent grows.
    fn cut_parts(
        &self,
        record: Self::Node,
        kind: RecordKind,
        context: &ReadContext<'a>,
        edits: &mut Edits,
        is_odd: impl Fn(&[u8]) -> bool,
        spend: impl FnMut() -> Result<(), OverLimit>,
    ) -> Result<isize, Unreadable>;
}

/// A request that has been opened.
pub(crate) struct Opened<'a, F: Form<'a>> {
    pub(crate) form: F,
    /// The entries of its resources.
    pub(crate) entries: F::List,
    /// The strings to which its attributes refer, if it is a request of profiles.
    pub(crate) strings: Option<Strings<'a>>,
}

/// What is read of a metric before its data points.
pub(crate) struct MetricData<Node> {
    pub(crate) name: Option<Node>,
    /// Its data, and their kind.
    pub(crate) known: Option<(Node, MetricKind)>,
    /// The number of data points in a field that OTLP does not define, which may be data of another kind. If it is not
    /// built like the kinds known so far, including the deprecated ones, it counts as 1.
    pub(crate) unknown: u64,
}
