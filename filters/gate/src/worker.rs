//! What the requests of one worker share.

use std::{cell::RefCell, rc::Rc};

use crate::{Budget, Certificates, Holding, Limits, NoRoom, Share};

/// What the requests of one worker share: the memory that they may hold, and the cache of
/// certificates.
#[derive(Debug, Default)]
pub struct Worker {
    /// The certificates and the connections that have shown them, as one configuration reads them.
    pub(crate) certificates: RefCell<Certificates>,
    /// For requests that wait for their bodies.
    pub(crate) waiting: Budget,
    /// For forwarded bodies that wait in Envoy until their backends have taken them.
    pub(crate) forwarded: Budget,
}

impl Worker {
    /// A worker with these two budgets: one for requests that wait for their bodies, and one for bodies that wait in
    /// Envoy for their backends.
    #[must_use]
    pub fn new(waiting: Budget, forwarded: Budget) -> Self {
        Self { certificates: RefCell::default(), waiting, forwarded }
    }

    /// Empties the cache of certificates and of what connections have shown, because a new configuration reads them
    /// differently.
    pub fn forget_certificates(&self) {
        if let Ok(mut certificates) = self.certificates.try_borrow_mut() {
            *certificates = Certificates::default();
        }
    }
}

/// What one request may hold, and the budgets that it counts against.
#[derive(Debug)]
pub(crate) struct Allowance {
    pub(crate) limits: Limits,
    pub(crate) waiting: Budget,
    pub(crate) forwarded: Budget,
    /// The sender; `None` if there is no `senders` section, so that senders cannot be
    /// distinguished.
    pub(crate) sender: Option<Rc<str>>,
}

impl Allowance {
    /// What a request of this sender may hold.
    pub(crate) fn new(limits: Limits, worker: &Worker, sender: Option<&str>) -> Self {
        Self {
            limits,
            waiting: worker.waiting.clone(),
            forwarded: worker.forwarded.clone(),
            sender: sender.map(Rc::from),
        }
    }

    /// The request's share of what waits; it holds nothing yet.
    pub(crate) fn share(&self) -> Share {
        self.waiting.share(self.sender.clone())
    }

    /// What a body of this many bytes holds in Envoy until its backend has taken it; `None` if it is short.
    ///
    /// # Errors
    /// [`NoRoom`] if Envoy already holds too much for backends.
    pub(crate) fn forward(&self, bytes: usize) -> Result<Option<Share>, NoRoom> {
        let Some(holding) = Holding::of_forwarded(bytes, &self.limits) else { return Ok(None) };
        let mut share = self.forwarded.share(self.sender.clone());
        share.hold(holding, &self.limits)?;
        Ok(Some(share))
    }
}
