//! The gate's metrics in Envoy.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
};

use proxy_wasm::{hostcalls, types::MetricType};
use sluice_gate::{Count, certificate_end_stat};

/// Metrics by their name in Envoy, each defined when it is first needed.
#[derive(Debug, Default)]
pub(crate) struct Counters(RefCell<Defined>);

#[derive(Debug, Default)]
struct Defined {
    ids: BTreeMap<String, u32>,
    senders: BTreeSet<String>,
}

/// The most senders with metrics of their own, because Envoy never frees a metric. The rest share metrics with a name
/// that no namespace has.
const MAX_SENDERS: usize = 1000;
const OTHERS: &str = "_others";

impl Counters {
    /// Adds the counts, for all senders together and for this sender. If Envoy refuses a metric, only the metric is
    /// lost, not the request.
    pub(crate) fn add(&self, counts: impl IntoIterator<Item = Count>, sender: Option<&str>) {
        let Ok(mut defined) = self.0.try_borrow_mut() else { return };
        for count in counts {
            // An offset of 0 is an error in Envoy.
            let Some(step) = i64::try_from(count.step()).ok().filter(|step| *step > 0) else {
                continue;
            };
            let of_sender = sender.and_then(|sender| count.stat_name_of(defined.name_of(sender)));
            for name in [Some(count.stat_name()), of_sender].into_iter().flatten() {
                if let Some(id) = defined.metric(MetricType::Counter, name) {
                    let _counted = hostcalls::increment_metric(id, step);
                }
            }
        }
    }

    /// Sets when a sender's certificate expires, in seconds since the epoch.
    pub(crate) fn certificate_ends(&self, sender: &str, at: u64) {
        let Ok(mut defined) = self.0.try_borrow_mut() else { return };
        let name = certificate_end_stat(defined.name_of(sender));
        if let Some(id) = defined.metric(MetricType::Gauge, name) {
            let _said = hostcalls::record_metric(id, at);
        }
    }
}

impl Defined {
    fn metric(&mut self, kind: MetricType, name: String) -> Option<u32> {
        if let Some(id) = self.ids.get(&name) {
            return Some(*id);
        }
        let id = hostcalls::define_metric(kind, &name).ok()?;
        self.ids.insert(name, id);
        Some(id)
    }

    fn name_of<'s>(&mut self, sender: &'s str) -> &'s str {
        if self.senders.contains(sender) {
            return sender;
        }
        if self.senders.len() >= MAX_SENDERS {
            return OTHERS;
        }
        self.senders.insert(sender.to_owned());
        sender
    }
}
