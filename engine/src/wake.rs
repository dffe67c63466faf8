//! Wakers: end the sleep of a reactor from another thread.
//!
//! An eventfd under a multishot poll: every write posts a completion, and nobody ever reads. One
//! wake is one `write`, 7 µs or so when the reactor sleeps, so callers ask first whether it does.
//!
//! Deliberately absent: that question. Who is parked is known by the queues, not here.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::event::{EventfdFlags, eventfd};

use crate::error::Error;

/// Ends a blocking turn of one reactor. Outlives it harmlessly.
#[derive(Clone, Debug)]
pub struct Waker {
    eventfd: Arc<OwnedFd>,
}

impl Waker {
    pub(crate) fn new() -> Result<Self, Error> {
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        let eventfd = Arc::new(eventfd(0, flags).map_err(Error::from_errno)?);
        Ok(Self { eventfd })
    }

    /// Ends the turn in which the reactor sleeps, or else the next one that would.
    pub fn wake(&self) {
        // It fails only when 2⁶⁴ - 2 wakes were not read, and then there is one to be seen.
        let _ = rustix::io::write(&self.eventfd, &1_u64.to_ne_bytes());
    }
}

impl AsFd for Waker {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.eventfd.as_fd()
    }
}
