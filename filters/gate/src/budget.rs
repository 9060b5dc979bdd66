//! The memory that waiting requests hold, counted for each worker and each sender.
//!
//! A body that does not end costs its sender nothing, but it costs the worker memory. So what waits
//! is counted, in the module and in Envoy's buffers. The worker keeps half of its budget for the
//! one body that is checked at a time. A sender can never hold more than what is left for all
//! others. A request that does not fit is refused; what is already held stays.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use sluice_headers::Headers;

use crate::Limits;

/// The budget of a worker. Clones share it: there is one for all plugins in a VM, and also for the
/// old configuration while its last streams end.
#[derive(Clone, Debug, Default)]
pub struct Budget(Rc<RefCell<Spent>>);

#[derive(Debug, Default)]
struct Spent {
    held: Holding,
    /// The senders with something that waits. They are usually few, so the list is searched.
    senders: Vec<Rc<Account>>,
}

/// What the requests of one sender hold, in bytes.
#[derive(Debug)]
struct Account {
    sender: Rc<str>,
    held: Cell<usize>,
}

/// What is held, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Holding {
    /// In Envoy's buffers.
    pub in_envoy: usize,
    /// In the module.
    pub in_module: usize,
}

/// What one request holds. It is given back when this is dropped, however the request ends.
#[derive(Debug)]
pub struct Share {
    budget: Budget,
    /// The sender's account; `None` if there is no `senders` section, so that senders cannot be
    /// distinguished.
    account: Option<Rc<Account>>,
    holding: Holding,
}

/// There is no room for more at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoRoom;

impl Holding {
    /// What Envoy and the module keep for a stream, apart from its data, in bytes.
    const STREAM: usize = 16 << 10;

    /// The same if the head has been forwarded. Then there is also a connection to the backend, of which Envoy allows a
    /// fixed number for all senders (`circuit_breakers`).
    const STREAM_TO_A_BACKEND: usize = 256 << 10;

    /// What the module keeps for each header of a head that waits, apart from its name and its value, in bytes: where
    /// these are, and what the allocator adds.
    const HEADER: usize = 64;

    /// What a request holds before its body starts. Its head waits, in Envoy and in the module, or has already `gone`
    /// to its backend.
    #[must_use]
    pub fn of_head(headers: Headers<'_>, gone: bool) -> Self {
        let (stream, kept) = match gone {
            true => (Self::STREAM_TO_A_BACKEND, 0),
            false => {
                let names = Self::HEADER.saturating_mul(headers.0.len());
                (Self::STREAM, names.saturating_add(headers.bytes()))
            }
        };
        Self { in_envoy: stream.saturating_add(headers.bytes()), in_module: kept }
    }

    /// What a forwarded body holds in Envoy until its backend has taken it; `None` for a short one. No body counts for
    /// more than its sender may hold if nobody else holds anything, so that every body can be forwarded.
    #[must_use]
    pub fn of_forwarded(bytes: usize, limits: &Limits) -> Option<Self> {
        const SHORT: usize = 64 << 10;
        let max = limits.sender_bytes.min(limits.waiting_bytes() / 2);
        (bytes > SHORT).then(|| Self { in_envoy: bytes.min(max), in_module: 0 })
    }

    /// This holding with this much of the body in addition.
    #[must_use]
    pub const fn with(self, in_envoy: usize, in_module: usize) -> Self {
        Self {
            in_envoy: self.in_envoy.saturating_add(in_envoy),
            in_module: self.in_module.saturating_add(in_module),
        }
    }

    const fn sum(self) -> usize {
        self.in_envoy.saturating_add(self.in_module)
    }
}

impl Budget {
    /// The share of a request that holds nothing yet.
    #[must_use]
    pub fn share(&self, sender: Option<Rc<str>>) -> Share {
        let account = sender.map(|sender| self.account(sender));
        Share { budget: self.clone(), account, holding: Holding::default() }
    }

    fn account(&self, sender: Rc<str>) -> Rc<Account> {
        let new = |sender| Rc::new(Account { sender, held: Cell::new(0) });
        let Ok(mut spent) = self.0.try_borrow_mut() else { return new(sender) };
        if let Some(known) = spent.senders.iter().find(|account| account.sender == sender) {
            return Rc::clone(known);
        }
        let account = new(sender);
        spent.senders.push(Rc::clone(&account));
        account
    }

    /// How many bytes the module may take for a body that is checked, beside everything that waits
    /// in it.
    #[must_use]
    pub fn room(&self, limits: &Limits) -> usize {
        // Nothing else borrows it while a request is decided. If something did, there would be no
        // room.
        let held = self.0.try_borrow().map_or(usize::MAX, |spent| spent.held.in_module);
        limits.worker_bytes.saturating_sub(held)
    }
}

impl Share {
    /// Changes what the request holds, to more or less than before.
    ///
    /// # Errors
    /// [`NoRoom`] if it would hold more, and its sender or the worker has no room for it. Nothing changes then.
    pub fn hold(&mut self, holding: Holding, limits: &Limits) -> Result<(), NoRoom> {
        let mut spent = self.budget.0.try_borrow_mut().map_err(|_| NoRoom)?;
        let held = &mut spent.held;
        let now =
            |all: usize, mine: usize, will: usize| all.saturating_sub(mine).saturating_add(will);
        let all = Holding {
            in_envoy: now(held.in_envoy, self.holding.in_envoy, holding.in_envoy),
            in_module: now(held.in_module, self.holding.in_module, holding.in_module),
        };
        let (was, will) = (self.holding.sum(), holding.sum());
        let remaining = limits.waiting_bytes().checked_sub(all.sum());
        if will > was && remaining.is_none() {
            return Err(NoRoom);
        }
        if let Some(account) = &self.account {
            let of_sender = now(account.held.get(), was, will);
            // Never more than what is left for all others, so there is always something left.
            let max = limits.sender_bytes.min(remaining.unwrap_or_default());
            if will > was && of_sender > max {
                return Err(NoRoom);
            }
            account.held.set(of_sender);
        }
        *held = all;
        self.holding = holding;
        Ok(())
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        // Holding less is never refused, whatever the limits are.
        let _given_back = self.hold(Holding::default(), &Limits::default());
        let Some(account) = self.account.take() else { return };
        // Two references, this one and the list's: nothing else of the sender waits.
        if Rc::strong_count(&account) <= 2
            && let Ok(mut spent) = self.budget.0.try_borrow_mut()
        {
            spent.senders.retain(|other| !Rc::ptr_eq(other, &account));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: fn() -> Limits =
        || Limits { worker_bytes: 2000, sender_bytes: 400, ..Limits::default() };

    fn in_envoy(bytes: usize) -> Holding {
        Holding { in_envoy: bytes, in_module: 0 }
    }

    fn in_module(bytes: usize) -> Holding {
        Holding { in_envoy: 0, in_module: bytes }
    }

    #[test]
    fn a_sender_has_its_share_and_no_more() {
        let budget = Budget::default();
        let [mut first, mut second] = [0; 2].map(|_| budget.share(Some("a".into())));
        assert_eq!(first.hold(in_envoy(300), &LIMITS()), Ok(()));
        assert_eq!(second.hold(in_module(101), &LIMITS()), Err(NoRoom));
        assert_eq!(second.hold(in_module(100), &LIMITS()), Ok(()));
        let mut other = budget.share(Some("b".into()));
        assert_eq!(other.hold(in_envoy(100), &LIMITS()), Ok(()), "another has its own");
        assert_eq!(first.hold(in_envoy(299), &LIMITS()), Ok(()), "less is never refused");
        assert_eq!(second.hold(in_module(101), &LIMITS()), Ok(()));
    }

    #[test]
    fn senders_together_always_leave_something() {
        let budget = Budget::default();
        let mut shares: Vec<_> =
            (0..9).map(|sender| budget.share(Some(sender.to_string().into()))).collect();
        let mut taken = Vec::new();
        for share in &mut shares {
            let most =
                (1..=400).rev().find(|bytes| share.hold(in_envoy(*bytes), &LIMITS()).is_ok());
            taken.push(most.unwrap());
        }
        assert_eq!(taken, [400, 300, 150, 75, 37, 19, 9, 5, 2]);
    }

    #[test]
    fn where_nobody_is_known_the_worker_is_the_limit() {
        let budget = Budget::default();
        let mut share = budget.share(None);
        assert_eq!(share.hold(in_module(1001), &LIMITS()), Err(NoRoom));
        assert_eq!(share.hold(in_module(1000), &LIMITS()), Ok(()));
        assert_eq!(budget.share(None).hold(in_envoy(1), &LIMITS()), Err(NoRoom));
    }

    #[test]
    fn whatever_goes_on_alone_has_room_and_a_second_may_have_none() {
        for (worker_bytes, sender_bytes) in [(512 << 20, 64 << 20), (512 << 20, 512 << 20)] {
            let limits = Limits { worker_bytes, sender_bytes, ..Limits::default() };
            assert_eq!(Holding::of_forwarded(64 << 10, &limits), None, "it is short");
            for bytes in [65 << 10, 64 << 20, 79 << 20, usize::MAX] {
                let holding = Holding::of_forwarded(bytes, &limits).unwrap();
                let budget = Budget::default();
                let [mut first, mut others] = [0; 2].map(|_| budget.share(Some("a".into())));
                assert_eq!(first.hold(holding, &limits), Ok(()), "{bytes} of {limits:?}");
                let second = others.hold(holding, &limits);
                assert_eq!(second.is_ok(), bytes < sender_bytes / 2 && bytes <= worker_bytes / 8);
                drop(first);
                assert_eq!(others.hold(holding, &limits), Ok(()), "it was given back");
            }
        }
    }

    #[test]
    fn what_is_dropped_is_given_back() {
        let budget = Budget::default();
        let mut share = budget.share(Some("a".into()));
        share.hold(Holding { in_envoy: 100, in_module: 200 }, &LIMITS()).unwrap();
        assert_eq!(budget.room(&LIMITS()), 1800, "what waits in Envoy takes none of the module's");
        drop(share);
        assert_eq!(budget.room(&LIMITS()), 2000);
        let spent = budget.0.borrow();
        assert_eq!((spent.held, spent.senders.len()), (Holding::default(), 0));
    }
}
