//! What kinds of records there are.

use crate::metric::MetricKind;

/// What a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RecordKind {
    DataPoint(MetricKind),
    LogRecord,
    Profile,
    Span,
}

impl RecordKind {
    /// Whether the record has parts that may be odd.
    pub(crate) const fn has_parts(self) -> bool {
        matches!(self, Self::DataPoint(_) | Self::LogRecord)
    }
}
