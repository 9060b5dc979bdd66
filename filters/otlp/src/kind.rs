//! The kinds of records.

use crate::metric::MetricKind;

/// The kind of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RecordKind {
    DataPoint(MetricKind),
    LogRecord,
    Profile,
    Span,
}

impl RecordKind {
    /// Whether records of this kind have parts that may be odd.
    pub(crate) const fn has_parts(self) -> bool {
        matches!(self, Self::DataPoint(_) | Self::LogRecord)
    }
}
