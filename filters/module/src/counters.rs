//! The gate's metrics in Envoy.
//!
//! Each metric that a request changes would cost it a call of Envoy. So counts are gathered, and handed over when the
//! worker's last stream ends, or by a timer while there are always others. A plugin is only deleted after its streams,
//! so nothing is lost with it; if the module crashes, the counts of at most one period are.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    mem,
};

use proxy_wasm::{hostcalls, types::MetricType};
use sluice_gate::{Count, certificate_end_stat};

/// Metrics by their name in Envoy, each defined when it is first needed.
#[derive(Debug, Default)]
pub(crate) struct Counters(RefCell<Defined>);

#[derive(Debug, Default)]
struct Defined {
    /// Where in `metrics` each one is, by its name.
    places: BTreeMap<String, usize>,
    metrics: Vec<Metric>,
    /// The counters with something that has not been handed over.
    gathered: Vec<usize>,
    senders: BTreeSet<String>,
}

#[derive(Debug)]
struct Metric {
    /// Its id in Envoy.
    id: u32,
    /// Of a counter, what has not been handed over; of a gauge, what this worker has said last.
    value: u64,
    /// Of a gauge, when that was, in seconds since the epoch.
    said: u64,
}

/// The most senders with metrics of their own, because Envoy never frees a metric. The rest share metrics with a name
/// that no namespace has.
const MAX_SENDERS: usize = 1000;
/// After how many seconds a gauge is set again. All workers of an Envoy set the same gauges, so another one may have
/// replaced what this worker has said: its sender's other replica may show a certificate that expires later.
const SAID_FOR: u64 = 10;
const OTHERS: &str = "_others";

impl Counters {
    /// Adds the counts, for all senders together and for this sender. If Envoy refuses a metric, only the metric is
    /// lost, not the request.
    pub(crate) fn add(&self, counts: impl IntoIterator<Item = Count>, sender: Option<&str>) {
        let Ok(mut defined) = self.0.try_borrow_mut() else { return };
        for count in counts {
            let of_sender = sender.and_then(|sender| count.stat_name_of(defined.name_of(sender)));
            for name in [Some(count.stat_name()), of_sender].into_iter().flatten() {
                defined.gather(name, count.step());
            }
        }
    }

    /// Hands over what has been gathered. Safe in any callback.
    pub(crate) fn hand_over(&self) {
        let Ok(mut defined) = self.0.try_borrow_mut() else { return };
        while let Some(place) = defined.gathered.pop() {
            if let Some(Metric { id, value, .. }) = defined.metrics.get_mut(place) {
                // What an offset cannot hold was never counted.
                let sum = i64::try_from(mem::take(value)).unwrap_or(i64::MAX);
                let _counted = hostcalls::increment_metric(*id, sum);
            }
        }
    }

    /// Sets when a sender's certificate expires. What this worker has said is not said again for [`SAID_FOR`] seconds.
    /// Both times are in seconds since the epoch.
    pub(crate) fn certificate_ends(&self, sender: &str, at: u64, now: u64) {
        let Ok(mut defined) = self.0.try_borrow_mut() else { return };
        let name = certificate_end_stat(defined.name_of(sender));
        let Some(place) = defined.place(MetricType::Gauge, name) else { return };
        if let Some(Metric { id, value, said }) = defined.metrics.get_mut(place)
            && (*value != at || now.abs_diff(*said) >= SAID_FOR)
        {
            (*value, *said) = (at, now);
            let _said = hostcalls::record_metric(*id, at);
        }
    }
}

impl Defined {
    fn gather(&mut self, name: String, step: u64) {
        // An offset of 0 is an error in Envoy.
        if step == 0 {
            return;
        }
        let Some(place) = self.place(MetricType::Counter, name) else { return };
        if let Some(metric) = self.metrics.get_mut(place) {
            if metric.value == 0 {
                self.gathered.push(place);
            }
            metric.value = metric.value.saturating_add(step);
        }
    }

    fn place(&mut self, kind: MetricType, name: String) -> Option<usize> {
        if let Some(place) = self.places.get(&name) {
            return Some(*place);
        }
        let id = hostcalls::define_metric(kind, &name).ok()?;
        let place = self.metrics.len();
        self.metrics.push(Metric { id, value: 0, said: 0 });
        self.places.insert(name, place);
        Some(place)
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
