//! Local replies that are held back until the rest of their requests has arrived.
//!
//! If a filter makes a local reply when it has only a request's head, Envoy passes no more of the request to any filter
//! and discards what arrives (`decodeData` in `source/common/http/filter_manager.cc`). But the reply still goes out
//! through the filters, so it can be held back there. A filter can only ask how much of the request has arrived. A
//! timer does that, which runs so often only while a reply waits.

use std::cell::{Cell, RefCell};

use sluice_gate::{Rest, Unseen};

use crate::{host, root::PERIOD};

/// The local replies that are held back for one plugin on one worker.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    replies: RefCell<Vec<HeldBack>>,
    /// Whether the plugin's timer runs for them.
    hurries: Cell<bool>,
}

#[derive(Debug)]
struct HeldBack {
    /// The stream's id.
    context: u32,
    /// How many bytes Envoy counted before the body: the head.
    head: u64,
    rest: Unseen,
}

impl Waiting {
    /// If more than this many replies wait, others are sent at once, because each costs two host
    /// calls per check.
    const MOST: usize = 256;

    /// Holds back the reply of this stream from now on; returns whether it does. Call this when the head of the reply
    /// passes.
    pub(crate) fn hold_back(&self, context: u32, rest: Rest) -> bool {
        let Ok(mut replies) = self.replies.try_borrow_mut() else { return false };
        if replies.len() >= Self::MOST {
            return false;
        }
        let Some(head) = host::received() else { return false };
        replies.push(HeldBack { context, head, rest: Unseen::new(rest) });
        if !self.hurries.replace(true) {
            host::tick(Unseen::PERIOD);
        }
        true
    }

    /// Whether the reply of this stream is held back.
    pub(crate) fn holds(&self, context: u32) -> bool {
        self.replies
            .try_borrow()
            .is_ok_and(|replies| replies.iter().any(|reply| reply.context == context))
    }

    /// Forgets a stream that has ended.
    pub(crate) fn forget(&self, context: u32) {
        if let Ok(mut replies) = self.replies.try_borrow_mut() {
            replies.retain(|reply| reply.context != context);
        }
    }

    /// Releases the replies that are due.
    pub(crate) fn look(&self) {
        let Ok(mut replies) = self.replies.try_borrow_mut() else { return };
        // Only now: a timer that has just released a reply must not be set again in its own callback.
        if replies.is_empty() {
            if self.hurries.replace(false) {
                host::tick(PERIOD);
            }
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
