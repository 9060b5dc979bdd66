//! The metrics that a guest defines.

use std::collections::BTreeMap;

use crate::status::Status;

/// The kind of a metric, in the two low bits of its id (`kMetricTypeMask`,
/// `include/proxy-wasm/wasm.h`).
const KIND: u32 = 0b11;
/// The distance between ids of one kind (`kMetricIdIncrement`).
const STEP: u32 = 0b100;

/// The value of a metric.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Metric {
    /// A counter, which only grows.
    Counter(u64),
    /// A gauge, which grows and shrinks.
    Gauge(u64),
    /// A histogram: every recorded value, in order.
    Histogram(Vec<u64>),
}

#[derive(Default)]
pub(crate) struct Metrics {
    values: BTreeMap<(u32, String), Metric>,
    /// By id. A name that is defined twice has two ids for one value, as in Envoy.
    names: BTreeMap<u32, (u32, String)>,
    last_ids: [u32; 3],
}

/// Follows `Context::defineMetric`, `incrementMetric`, `recordMetric` and `getMetric` of
/// `source/extensions/common/wasm/context.cc`.
impl Metrics {
    pub(crate) fn define(&mut self, kind: u32, name: &[u8]) -> Result<u32, Status> {
        let start = match kind {
            0 => Metric::Counter(0),
            1 => Metric::Gauge(0),
            2 => Metric::Histogram(Vec::new()),
            _ => return Err(Status::BadArgument),
        };
        let last = usize::try_from(kind).ok().and_then(|at| self.last_ids.get_mut(at));
        let last = last.ok_or(Status::BadArgument)?;
        *last = last.wrapping_add(STEP);
        let id = *last | kind;
        let key = (kind, String::from_utf8_lossy(name).into_owned());
        self.values.entry(key.clone()).or_insert(start);
        self.names.insert(id, key);
        Ok(id)
    }

    /// A histogram cannot be incremented, and a counter only by more than zero.
    pub(crate) fn increment(&mut self, id: u32, offset: i64) -> Result<(), Status> {
        if id & KIND > 1 {
            return Err(Status::BadArgument);
        }
        match self.of(id)? {
            Metric::Counter(value) if offset > 0 => {
                *value = value.wrapping_add(offset.unsigned_abs());
            }
            Metric::Gauge(value) => *value = value.wrapping_add_signed(offset),
            _ => return Err(Status::BadArgument),
        }
        Ok(())
    }

    pub(crate) fn record(&mut self, id: u32, value: u64) -> Result<(), Status> {
        match self.of(id)? {
            Metric::Counter(sum) => *sum = sum.wrapping_add(value),
            Metric::Gauge(now) => *now = value,
            Metric::Histogram(values) => values.push(value),
        }
        Ok(())
    }

    pub(crate) fn get(&mut self, id: u32) -> Result<u64, Status> {
        if id & KIND > 1 {
            return Err(Status::BadArgument);
        }
        match self.of(id)? {
            Metric::Counter(value) | Metric::Gauge(value) => Ok(*value),
            Metric::Histogram(_) => Err(Status::BadArgument),
        }
    }

    /// Every metric by its name. If a counter and a gauge have the same name, this shows the gauge.
    pub(crate) fn by_name(&self) -> BTreeMap<String, Metric> {
        self.values.iter().map(|((_, name), metric)| (name.clone(), metric.clone())).collect()
    }

    fn of(&mut self, id: u32) -> Result<&mut Metric, Status> {
        let key = self.names.get(&id).ok_or(Status::NotFound)?;
        self.values.get_mut(key).ok_or(Status::NotFound)
    }
}
