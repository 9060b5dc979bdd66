//! The gate's counters in Envoy.

use std::{cell::RefCell, collections::BTreeMap};

use proxy_wasm::{hostcalls, types::MetricType};
use sluice_gate::Count;

/// Counters by the name that Envoy knows them by, each defined when it is first needed.
#[derive(Debug, Default)]
pub(crate) struct Counters(RefCell<BTreeMap<String, u32>>);

impl Counters {
    /// Counts. An Envoy that refuses a metric costs the metric, not the request.
    pub(crate) fn add(&self, counts: impl IntoIterator<Item = Count>) {
        let Ok(mut ids) = self.0.try_borrow_mut() else { return };
        for count in counts {
            let name = count.stat_name();
            let id = match ids.get(&name) {
                Some(id) => *id,
                None => {
                    let Ok(id) = hostcalls::define_metric(MetricType::Counter, &name) else {
                        continue;
                    };
                    ids.insert(name, id);
                    id
                }
            };
            // An offset of 0 is an error in Envoy.
            if let Some(step) = i64::try_from(count.step()).ok().filter(|step| *step > 0) {
                let _counted = hostcalls::increment_metric(id, step);
            }
        }
    }
}
