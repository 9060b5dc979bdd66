//! What decides over a request's records, and what it is shown of them. The same for protobuf and
//! for JSON: a policy does not know how a request is written.

use std::{borrow::Cow, ops::Range, rc::Rc};

use sluice_wire::{NoMemory, Unreadable, memory::push};

use crate::{
    attributes::{Attribute, Attributes},
    splice::Record,
};

/// Decides what stays. `'a` is the message: what is shown to the policy can be kept while it runs.
pub trait Policy<'a> {
    /// Why it stops reading: what cannot be read, and whatever reasons it has of its own.
    type Error: From<Unreadable>;

    /// What it has to be shown to decide; resources and records alone, if it does not say.
    fn reads(&self) -> Reads {
        Reads::default()
    }

    /// A resource, before anything beneath it.
    ///
    /// # Errors
    /// [`Unreadable`] if its attributes are, or a reason of the policy's own.
    fn resource(
        &mut self,
        attributes: Attributes<'a>,
        rewrite: &mut Rewrite<'a>,
    ) -> Result<Below, Self::Error>;

    /// Everything beneath a resource has been decided on, and this many records stay; where
    /// [`Below::Keep`] was said they have not been counted, and this is not called.
    fn left_resource(&mut self, kept: u64) {
        let _: u64 = kept;
    }

    /// A scope, before its records, if [`Reads::scopes`].
    ///
    /// # Errors
    /// [`Unreadable`] if its attributes are, or a reason of the policy's own.
    fn scope(
        &mut self,
        attributes: Attributes<'a>,
        rewrite: &mut Rewrite<'a>,
    ) -> Result<Below, Self::Error>;

    /// As [`Self::left_resource`], for a scope.
    fn left_scope(&mut self, kept: u64) {
        let _: u64 = kept;
    }

    /// A metric, before its data points, if [`Reads::metrics`]: whether they are looked at. Without
    /// it they go, and [`Self::dropped`] is told how many.
    ///
    /// # Errors
    /// A reason of the policy's own.
    fn metric(&mut self, metric: &Metric<'_>) -> Result<bool, Self::Error> {
        let _: &Metric<'_> = metric;
        Ok(true)
    }

    /// A log record, span or data point: whether it stays.
    ///
    /// # Errors
    /// [`Unreadable`] if it is, or a reason of the policy's own.
    fn record(&mut self, record: &Record<'_, 'a>) -> Result<bool, Self::Error>;

    /// Whether odd [`Parts`] of the latest record, which stays, go: ids and exemplars, and attributes
    /// that [`Self::is_odd`].
    fn cuts(&mut self) -> bool {
        false
    }

    /// Whether an attribute of a record goes if [`Self::cuts`], by its key.
    fn is_odd(&self, key: &[u8]) -> bool {
        let _: &[u8] = key;
        false
    }

    /// `records` records have gone because of the latest [`Below::Drop`] or `false`.
    fn dropped(&mut self, records: u64);
}

/// How many parts of a record are odd: no reader of OTLP has to take them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Parts {
    /// Attributes whose key the policy does not want.
    pub attributes: u64,
    /// Exemplars without a value, or with an id that is not valid.
    pub exemplars: u64,
    /// Ids of a log record that are not valid: neither as long as OTLP has them, nor empty.
    pub ids: u64,
}

/// One of [`Parts`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Attribute,
    Exemplar,
    Id,
}

impl Parts {
    pub(crate) const fn add(&mut self, part: Part) {
        let count = match part {
            Part::Attribute => &mut self.attributes,
            Part::Exemplar => &mut self.exemplars,
            Part::Id => &mut self.ids,
        };
        *count = count.saturating_add(1);
    }
}

/// What a [`Policy`] has to be shown beside resources.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reads {
    /// Scopes.
    pub scopes: bool,
    /// Metrics, with their kind and their temporality.
    pub metrics: bool,
}

/// What becomes of the records beneath a resource or a scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Below {
    /// All of them stay, and are counted.
    Count,
    /// All of them go, unread.
    Drop,
    /// All of them stay, unread and uncounted.
    Keep,
    /// They are looked at one by one.
    Look,
}

/// A metric, without its data points.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metric<'a> {
    /// Its name, the last one where it is set twice.
    pub name: Cow<'a, [u8]>,
    /// What kind of data it has, if any.
    pub kind: Option<MetricKind>,
    /// Where it has none: whether it has something else that OTLP does not know, which may be data
    /// of a newer kind, or of one that OTLP has given up.
    pub is_unknown: bool,
    /// `AggregationTemporality`, 0 where it is not set; the last one where it is set twice, which
    /// is how every decoder reads it.
    pub temporality: u64,
    /// How many data points it has; of kinds without a temporality, 1 stands for any number. What is
    /// not known counts as the points that it would have if it were like the known kinds, and at
    /// least as one.
    pub points: u64,
}

/// The kinds of metric data (`Metric.data`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    /// `ExponentialHistogram`.
    ExponentialHistogram,
    /// `Gauge`.
    Gauge,
    /// `Histogram`.
    Histogram,
    /// `Sum`.
    Sum,
    /// `Summary`.
    Summary,
}

impl MetricKind {
    /// Whether data of this kind has an `AggregationTemporality`.
    pub(crate) const fn has_temporality(self) -> bool {
        match self {
            Self::ExponentialHistogram | Self::Histogram | Self::Sum => true,
            Self::Gauge | Self::Summary => false,
        }
    }
}

/// What is to change in the attributes of one resource or scope. It holds no copy of what the sender
/// wrote.
#[derive(Clone, Debug, Default)]
pub struct Rewrite<'a> {
    pub(crate) taken: Vec<Range<usize>>,
    pub(crate) put: Vec<Put<'a>>,
}

/// An attribute to be put somewhere, in the request's own format.
#[derive(Clone, Debug)]
pub enum Put<'a> {
    /// As [`Format::attribute`](crate::Format::attribute) has written it.
    Made(Rc<[u8]>),
    /// As it is [written](Attribute::written) in the request.
    Moved(&'a [u8]),
}

impl Put<'_> {
    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Self::Made(bytes) => bytes,
            Self::Moved(bytes) => bytes,
        }
    }
}

impl<'a> Rewrite<'a> {
    /// Takes an attribute away, if that has not been done yet.
    ///
    /// # Errors
    /// If there is no memory to note it.
    pub fn take(&mut self, attribute: &Attribute<'_>) -> Result<(), NoMemory> {
        push(&mut self.taken, attribute.span())
    }

    /// Puts an attribute behind the others.
    ///
    /// # Errors
    /// If there is no memory to note it.
    pub fn put(&mut self, attribute: Put<'a>) -> Result<(), NoMemory> {
        push(&mut self.put, attribute)
    }

    /// Whether nothing is to change.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.taken.is_empty() && self.put.is_empty()
    }

    /// Brings what is taken into the order in which it lies, each once.
    pub(crate) fn sort(&mut self) {
        if !self.taken.is_sorted_by(|one, next| one.start < next.start) {
            self.taken.sort_unstable_by_key(|taken| taken.start);
            self.taken.dedup();
        }
    }

    pub(crate) fn clear(&mut self) {
        self.taken.clear();
        self.put.clear();
    }
}
