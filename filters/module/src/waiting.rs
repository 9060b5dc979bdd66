//! Local replies that are held back until the rest of their requests has come.
//!
//! When a filter makes a local reply from a request's head, Envoy hands no more of the request to any filter, and drops
//! what comes of it (`decodeData` in `source/common/http/filter_manager.cc`). The reply goes out through the
//! filters all the same, so it can be held back there, and all that is to be known is how much has come: that is
//! looked at from a timer, which runs only while a reply waits.

use std::cell::{Cell, RefCell};

use sluice_gate::{Rest, Unseen};

use crate::host;

/// The local replies of one plugin on one worker that are held back.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    replies: RefCell<Vec<HeldBack>>,
    ticking: Cell<bool>,
}

#[derive(Debug)]
struct HeldBack {
    /// The stream's context.
    context: u32,
    /// What Envoy counted of the request before its body: its head.
    head: u64,
    rest: Unseen,
}

impl Waiting {
    /// Of more than these, replies go at once: each costs two host calls at each look.
    const MOST: usize = 256;

    /// Whether the reply of this stream waits from now on. To be called when the head of the reply passes.
    pub(crate) fn hold_back(&self, context: u32, rest: Rest) -> bool {
        let Ok(mut replies) = self.replies.try_borrow_mut() else { return false };
        if replies.len() >= Self::MOST {
            return false;
        }
        let Some(head) = host::received() else { return false };
        replies.push(HeldBack { context, head, rest: Unseen::new(rest) });
        if !self.ticking.replace(true) {
            host::tick(Unseen::PERIOD);
        }
        true
    }

    /// Whether the reply of this stream waits.
    pub(crate) fn holds(&self, context: u32) -> bool {
        self.replies
            .try_borrow()
            .is_ok_and(|replies| replies.iter().any(|reply| reply.context == context))
    }

    /// The stream is no more.
    pub(crate) fn forget(&self, context: u32) {
        if let Ok(mut replies) = self.replies.try_borrow_mut() {
            replies.retain(|reply| reply.context != context);
        }
    }

    /// Lets the replies go that are due.
    pub(crate) fn look(&self) {
        let Ok(mut replies) = self.replies.try_borrow_mut() else { return };
        // Not sooner: a timer that has just let a reply go is not to be made anew in its own callback.
        if replies.is_empty() {
            self.ticking.set(false);
            host::stop_ticking();
            return;
        }
        replies.retain_mut(|reply| {
            if !host::become_stream(reply.context) {
                return false;
            }
            let received = host::received().unwrap_or(u64::MAX);
            let body = received.saturating_sub(reply.head);
            let over = reply.rest.is_over(usize::try_from(body).unwrap_or(usize::MAX));
            if over {
                host::continue_response();
            }
            !over
        });
    }
}
