//! What decides over a request's records, and what it is shown of them. The same for protobuf and
//! for JSON: a policy does not know how a request is written.

use sluice_wire::Unreadable;

use crate::{
    attribute_edits::AttributeEdits, attributes::Attributes, metric::Metric, record::Record,
};

/// Decides what stays. `'a` is the message: what is shown to the policy can be kept while it runs.
pub trait RecordPolicy<'a> {
    /// Why it stops reading: what cannot be read, and whatever reasons it has of its own.
    type Error: From<Unreadable>;

    /// What it has to be shown to decide; resources and records alone, if it does not say.
    fn interest(&self) -> Interest {
        Interest::default()
    }

    /// A resource, before anything beneath it.
    ///
    /// # Errors
    /// [`Unreadable`] if its attributes are, or a reason of the policy's own.
    fn resource(
        &mut self,
        attributes: Attributes<'a>,
        attribute_edits: &mut AttributeEdits<'a>,
    ) -> Result<Descend, Self::Error>;

    /// Everything beneath a resource has been decided on, and this many records stay; where
    /// [`Descend::KeepAll`] was said they have not been counted, and this is not called.
    fn left_resource(&mut self, kept: u64) {
        let _: u64 = kept;
    }

    /// A scope, before its records, if [`Interest::scopes`].
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

    /// A metric, before its data points, if [`Interest::metrics`]: whether they are looked at. Without
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

    /// Whether odd [`Parts`](crate::Parts) of the latest record, which stays, go: ids and exemplars, and attributes
    /// that [`Self::is_odd`].
    fn cuts(&mut self) -> bool {
        false
    }

    /// Whether an attribute of a record goes if [`Self::cuts`], by its key.
    fn is_odd(&self, key: &[u8]) -> bool {
        let _: &[u8] = key;
        false
    }

    /// `records` records have gone because of the latest [`Descend::Drop`] or `false`.
    fn dropped(&mut self, records: u64) {
        let _: u64 = records;
    }
}

/// What a [`RecordPolicy`] has to be shown beside resources.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Interest {
    /// Scopes.
    pub scopes: bool,
    /// Metrics, with their kind and their temporality.
    pub metrics: bool,
}

/// What becomes of the records beneath a resource or a scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Descend {
    /// All of them stay, and are counted.
    CountOnly,
    /// All of them go, unread.
    Drop,
    /// All of them stay, unread and uncounted.
    KeepAll,
    /// They are looked at one by one.
    Inspect,
}
