//! The plugin's configuration, and the streams that are created from it.

use std::{rc::Rc, time::Duration};

use log::{error, info, warn};
use proxy_wasm::{
    traits::{Context, HttpContext, RootContext},
    types::{BufferType, ContextType},
};
use sluice_gate::Gate;

use crate::{host, shared::Shared, stream::Stream};

/// One configured plugin on one worker.
#[derive(Default)]
pub(crate) struct Root {
    /// `None` until a configuration has been accepted. A stream without a gate is refused.
    gate: Option<Rc<Gate>>,
    shared: Rc<Shared>,
}

/// How often the plugin's timer fires, unless replies wait: so soon is every count handed over.
pub(crate) const PERIOD: Duration = Duration::from_secs(1);

impl Context for Root {}

impl RootContext for Root {
    /// An invalid configuration is refused as a whole, and the one before it stays in force.
    fn on_configure(&mut self, size: usize) -> bool {
        host::tick(PERIOD);
        let json = host::read(BufferType::PluginConfiguration, size);
        match Gate::from_json(&json) {
            Ok(gate) => {
                for warning in gate.warnings(host::now()) {
                    warn!("sluice configuration: {warning}");
                }
                info!("sluice {} is configured", env!("CARGO_PKG_VERSION"));
                self.gate = Some(Rc::new(gate));
                // The cached results depend on the old configuration.
                self.shared.worker.forget_certificates();
                true
            }
            Err(problems) => {
                for problem in problems {
                    error!("sluice configuration: {problem}");
                }
                false
            }
        }
    }

    fn on_tick(&mut self) {
        self.shared.counters.hand_over();
        self.shared.waiting.look();
    }

    fn create_http_context(&self, context: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Stream::new(context, self.gate.clone(), Rc::clone(&self.shared))))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}
