//! What a backend did with each record, to compare it with what senders report.

use std::{collections::BTreeMap, fmt::Debug, ops::RangeInclusive};

use sluice_otlp::Signal;
use sluice_stand_ins::Store;

use crate::{
    fixture::{TENANT, backend},
    request::Request,
};

/// The number of pushes with this record that were stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stored {
    /// The push was answered with success.
    pub(crate) answered: usize,
    /// Its connection ended before an answer, so the sender must send it again (OTLP 1.11, "Duplicate Data").
    pub(crate) unanswered: usize,
}

/// The records that a backend stored, by the key that a test uses for them.
pub(crate) struct Ledger<K>(BTreeMap<K, Stored>);

impl Ledger<u64> {
    /// The records that the collector sent, by their times.
    pub(crate) fn by_time(store: &Store, signal: Signal, times: &RangeInclusive<u64>) -> Self {
        let mut ledger = Self::of(store, signal, Request::times);
        ledger.0.retain(|time, _| times.contains(time));
        ledger
    }
}

impl Ledger<()> {
    /// The number of records in pushes that were answered with success, from all senders.
    pub(crate) fn all_answered(store: &Store, signal: Signal) -> usize {
        let ledger = Self::of(store, signal, |request| vec![(); request.records()]);
        ledger.each().answered
    }
}

impl Ledger<String> {
    /// The records of an SDK's run, by their text.
    pub(crate) fn by_run(store: &Store, signal: Signal, run_id: &str) -> Self {
        Self::of(store, signal, |request| request.names(run_id))
    }
}

impl<K: Debug + Ord> Ledger<K> {
    fn of(store: &Store, signal: Signal, keys: impl Fn(&Request) -> Vec<K>) -> Self {
        let mut ledger = BTreeMap::<K, Stored>::new();
        for request in store.requests(backend(signal)) {
            // A request with a queued answer was not decoded, and nothing of it was stored.
            let Some(decoded) = &request.decoded else { continue };
            let answered = request.status.is_some_and(|status| status.is_success());
            if !answered && request.status.is_some() {
                continue;
            }
            assert_eq!(request.tenant.as_deref(), Some(TENANT), "{request:#?}");
            let json = request.header_values("content-type") == ["application/json"];
            let read = if json { Request::from_json } else { Request::from_protobuf };
            for key in keys(&read(signal, decoded)) {
                let stored = ledger.entry(key).or_default();
                if answered {
                    stored.answered += 1;
                } else {
                    stored.unanswered += 1;
                }
            }
        }
        Self(ledger)
    }

    /// Asserts that exactly these records were stored, each in exactly one push that was answered, and returns how many
    /// times one was stored in a push that was not answered.
    pub(crate) fn assert_each_once(
        &self,
        who: &str,
        expected: impl IntoIterator<Item = K>,
    ) -> usize {
        let mut lost = Vec::new();
        let mut found = 0;
        for key in expected {
            match self.0.get(&key) {
                None => lost.push(key),
                Some(_) => found += 1,
            }
        }
        let few = &lost[..lost.len().min(20)];
        assert!(lost.is_empty(), "{who}: {} records are lost, {few:?} among them", lost.len());
        assert_eq!(found, self.0.len(), "{who}: more was stored than was sent");
        let wrong = self.0.iter().filter(|(_, stored)| stored.answered != 1);
        let wrong: Vec<_> = wrong.take(20).collect();
        assert!(wrong.is_empty(), "{who}: not stored once: {wrong:?}");
        self.unanswered()
    }

    /// The number of times that this record was stored.
    pub(crate) fn of_record(&self, record: &K) -> Stored {
        self.0.get(record).copied().unwrap_or_default()
    }

    /// Whether no record was stored.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The number of records that were stored.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The number of times that each record was stored, which must be the same for all. Without records, it is zero.
    pub(crate) fn each(&self) -> Stored {
        let mut all = self.0.values();
        let first = all.next().copied().unwrap_or_default();
        let other = self.0.iter().find(|(_, stored)| **stored != first);
        assert!(other.is_none(), "{other:?}, while others are {first:?}");
        first
    }

    fn unanswered(&self) -> usize {
        self.0.values().map(|stored| stored.unanswered).sum()
    }
}
