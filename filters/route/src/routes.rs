//! The backend of each signal.

use sluice_otlp::Signal;

use crate::Backend;

/// The backend of each signal. A signal without a backend is refused.
#[derive(Clone, Debug)]
pub struct Routes {
    pub(crate) logs: Option<Backend>,
    pub(crate) metrics: Option<Backend>,
    pub(crate) profiles: Option<Backend>,
    pub(crate) traces: Option<Backend>,
}

impl Routes {
    /// The backend of a signal, if it has one.
    #[must_use]
    pub const fn pick(&self, signal: Signal) -> Option<&Backend> {
        match signal {
            Signal::Logs => self.logs.as_ref(),
            Signal::Metrics => self.metrics.as_ref(),
            Signal::Profiles => self.profiles.as_ref(),
            Signal::Traces => self.traces.as_ref(),
        }
    }
}
