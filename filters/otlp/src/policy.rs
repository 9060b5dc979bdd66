//! The trait that decides about a request's records, and what it is shown. It is the same for
//! protobuf and JSON: a policy does not know the format of a request.

use sluice_wire::Unreadable;

use crate::{
    attribute_edits::AttributeEdits, attributes::Attributes, metric::Metric, record::Record,
};

/// Decides what is kept. `'a` is the message: the policy may hold on to what it is shown.
pub trait RecordPolicy<'a> {
    /// Why the policy stops reading: unreadable input, or reasons of its own.
    type Error: From<Unreadable>;

    /// What the policy has to be shown. By default only resources and records.
    fn interest(&self) -> Interest {
        Interest::default()
    }

    /// Called with a resource, before anything in it.
    ///
    /// # Errors
    /// [`Unreadable`] if its attributes are, or a reason of the policy's own.
    fn resource(
        &mut self,
        attributes: Attributes<'a>,
        attribute_edits: &mut AttributeEdits<'a>,
    ) -> Result<Descend, Self::Error>;

    /// Called when everything in a resource has been decided, with the number of records that are
    /// kept. Not called after [`Descend::KeepAll`], which does not count them.
    fn left_resource(&mut self, kept: u64) {
        let _: u64 = kept;
    }

    /// Called with a scope, before its records, if [`Interest::scopes`] is set.
    ///
    /// # Errors
    /// [`Unreadable`] if its attributes are, or a reason of the policy's own.
    fn scope(
        &mut self,
        attributes: Attributes<'a>,
        attribute_edits: &mut AttributeEdits<'a>,
    ) -> Result<Descend, Self::Error> {
        let _: (Attributes<'a>, &mut AttributeEdits<'a>) = (attributes, attribute_edits);
        Ok(Descend::Inspect)
    }

    /// As [`Self::left_resource`], for a scope.
    fn left_scope(&mut self, kept: u64) {
        let _: u64 = kept;
    }

    /// Called with a metric, before its data points, if [`Interest::metrics`] is set. Returns whether to look at its
    /// data points. If not, they are dropped, and [`Self::dropped`] is told how many.
    ///
    /// # Errors
    /// A reason of the policy's own.
    fn metric(&mut self, metric: &Metric<'_>) -> Result<bool, Self::Error> {
        let _: &Metric<'_> = metric;
        Ok(true)
    }

    /// Called with a log record, span or data point. Returns whether it is kept.
    ///
    /// # Errors
    /// [`Unreadable`] if the record is, or a reason of the policy's own.
    fn record(&mut self, record: &Record<'_, 'a>) -> Result<bool, Self::Error>;

    /// Whether to cut odd [`Parts`](crate::Parts) out of the latest record, which is kept: ids and exemplars, and
    /// attributes that [`Self::is_odd`].
    fn cuts(&mut self) -> bool {
        false
    }

    /// Whether an attribute with this key is cut out of a record if [`Self::cuts`].
    fn is_odd(&self, key: &[u8]) -> bool {
        let _: &[u8] = key;
        false
    }

    /// Called when `records` records were dropped because of the latest [`Descend::Drop`] or
    /// `false`.
    fn dropped(&mut self, records: u64) {
        let _: u64 = records;
    }
}

/// What a [`RecordPolicy`] has to be shown in addition to resources and records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Interest {
    /// Scopes.
    pub scopes: bool,
    /// Metrics, with their kind and their temporality.
    pub metrics: bool,
}

/// What happens to the records in a resource or a scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Descend {
    /// All of them are kept and counted.
    CountOnly,
    /// All of them are dropped, unread.
    Drop,
    /// All of them are kept, unread and uncounted.
    KeepAll,
    /// They are inspected one by one.
    Inspect,
}
