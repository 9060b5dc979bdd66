//! What the requests of one worker share.

use std::{cell::RefCell, rc::Rc};

use crate::{Budget, Certificates, Holding, Limits, NoRoom, Share};

/// What the requests of one worker share: the memory that they may hold, and what was read from
/// certificates.
#[derive(Debug, Default)]
pub struct Worker {
    /// Read by one configuration.
    pub(crate) certificates: RefCell<Certificates>,
    /// Of requests that wait for their bodies.
    pub(crate) waiting: Budget,
    /// Of bodies that have gone on, and wait in Envoy until their backends have taken them.
    pub(crate) forwarded: Budget,
}

impl Worker {
    /// A worker whose requests hold their memory against these budgets: of those that wait for their bodies,
    /// and of bodies that wait in Envoy for their backends.
    #[must_use]
    pub fn new(waiting: Budget, forwarded: Budget) -> Self {
        Self { certificates: RefCell::default(), waiting, forwarded }
    }

    /// Forgets what was read from certificates: another configuration reads them in another way.
    pub fn forget_certificates(&self) {
        if let Ok(mut certificates) = self.certificates.try_borrow_mut() {
            *certificates = Certificates::default();
        }
    }
}

/// What one request may hold, and against which budgets.
#[derive(Debug)]
pub(crate) struct Allowance {
    pub(crate) limits: Limits,
    pub(crate) waiting: Budget,
    pub(crate) forwarded: Budget,
    /// Whose request it is; `None` where nobody is asked, and nobody can be told apart.
    pub(crate) sender: Option<Rc<str>>,
}

impl Allowance {
    /// What a request of this sender's may hold.
    pub(crate) fn new(limits: Limits, worker: &Worker, sender: Option<&str>) -> Self {
        Self {
            limits,
            waiting: worker.waiting.clone(),
            forwarded: worker.forwarded.clone(),
            sender: sender.map(Rc::from),
        }
    }

    /// The part of what waits that the request has; it holds nothing yet.
    pub(crate) fn share(&self) -> Share {
        self.waiting.share(self.sender.clone())
    }

    /// What a body of so many bytes holds in Envoy until its backend has taken it; `None` if it is short.
    ///
    /// # Errors
    /// [`NoRoom`] if Envoy holds as much for backends already.
    pub(crate) fn forward(&self, bytes: usize) -> Result<Option<Share>, NoRoom> {
        let Some(holding) = Holding::of_forwarded(bytes, &self.limits) else { return Ok(None) };
        let mut share = self.forwarded.share(self.sender.clone());
        share.hold(holding, &self.limits)?;
        Ok(Some(share))
    }
}
