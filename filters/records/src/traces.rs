//! How large the traces of one request are.

use std::collections::BTreeMap;

use sluice_otlp::{limits::Unreadable, splice::Record};

/// The traces of one request.
#[derive(Clone, Debug, Default)]
pub(crate) enum Traces {
    /// Of any size: the backend has no limit, or the whole request is under it.
    #[default]
    Any,
    /// On the first of two walks over the request.
    Weighing(BTreeMap<u128, u64>),
    /// On the second.
    Weighed {
        /// The bytes of each trace, by its id.
        bytes: BTreeMap<u128, u64>,
        /// How many the backend takes of one.
        max: u64,
    },
}

impl Traces {
    pub(crate) const fn is_weighing(&self) -> bool {
        matches!(self, Self::Weighing(_))
    }

    /// Adds a span to its trace; one without a trace is in none.
    pub(crate) fn weigh(&mut self, span: &Record<'_, '_>) -> Result<(), Unreadable> {
        if let (Self::Weighing(bytes), Some(trace)) = (self, span.trace_id()?) {
            let bytes = bytes.entry(trace).or_default();
            *bytes = bytes.saturating_add(span.written_bytes());
        }
        Ok(())
    }

    /// What was weighed, to be held against a limit.
    pub(crate) fn weighed(self, max: u64) -> Self {
        match self {
            Self::Weighing(bytes) => Self::Weighed { bytes, max },
            other => other,
        }
    }

    /// Whether a span is of a trace that is over the limit.
    pub(crate) fn is_too_large(&self, span: &Record<'_, '_>) -> Result<bool, Unreadable> {
        let Self::Weighed { bytes, max } = self else { return Ok(false) };
        let trace = span.trace_id()?;
        Ok(trace.and_then(|trace| bytes.get(&trace)).is_some_and(|bytes| bytes > max))
    }
}
