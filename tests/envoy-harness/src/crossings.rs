//! The crossings between host and guest, by name.

use std::{collections::BTreeMap, fmt};

/// How often host and guest have called each other, by the names of the functions.
///
/// Each crossing costs the same in Envoy, whatever it does, before it does anything: on small requests, crossings are
/// most of what a filter costs.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Crossings {
    host_calls: BTreeMap<String, u64>,
    entries: BTreeMap<String, u64>,
}

impl Crossings {
    /// The host functions that the guest has called (`proxy_get_property`), and how often.
    #[must_use]
    pub const fn host_calls(&self) -> &BTreeMap<String, u64> {
        &self.host_calls
    }

    /// The guest's functions that the host has called, and how often: its callbacks (`proxy_on_request_headers`), and
    /// the function by which it allocates memory for a result of a host function (`malloc`).
    #[must_use]
    pub const fn entries(&self) -> &BTreeMap<String, u64> {
        &self.entries
    }

    /// The number of all crossings.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.host_calls.values().chain(self.entries.values()).sum()
    }

    pub(crate) fn add_host_call(&mut self, name: &str) {
        add(&mut self.host_calls, name);
    }

    pub(crate) fn add_entry(&mut self, name: &str) {
        add(&mut self.entries, name);
    }
}

/// All crossings and what they are: `3: 2 entries (proxy_on_log, malloc), 1 host call (proxy_get_property)`. A number
/// after a name says how often, if it is more than once.
impl fmt::Display for Crossings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.total())?;
        side(f, &self.entries, "entry", "entries")?;
        f.write_str(", ")?;
        side(f, &self.host_calls, "host call", "host calls")
    }
}

fn side(
    f: &mut fmt::Formatter<'_>,
    calls: &BTreeMap<String, u64>,
    one: &str,
    many: &str,
) -> fmt::Result {
    let count: u64 = calls.values().sum();
    write!(f, "{count} {}", if count == 1 { one } else { many })?;
    for (index, (name, count)) in calls.iter().enumerate() {
        f.write_str(if index == 0 { " (" } else { ", " })?;
        f.write_str(name)?;
        if *count > 1 {
            write!(f, " {count}")?;
        }
    }
    f.write_str(if calls.is_empty() { "" } else { ")" })
}

fn add(calls: &mut BTreeMap<String, u64>, name: &str) {
    match calls.get_mut(name) {
        Some(count) => *count = count.saturating_add(1),
        None => {
            calls.insert(name.to_owned(), 1);
        }
    }
}
