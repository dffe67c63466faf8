//! Drivers: who turns the reactors of a context.
//!
//! With [`IoThreads`], threads of the context do, and a call only hands over and takes. With
//! [`Caller`], the calling thread does, in its calls, and nothing is handed between threads. All
//! else is one code path: sockets, pipes and workers do not know the difference.
//!
//! Deliberately absent: a third way. Both wait for the same events.

use std::sync::Arc;
use std::time::{Duration, Instant};

use zring_engine::courtesy::Patience;
use zring_engine::log::LogPools;
use zring_engine::park::Parker;
use zring_engine::{Features, deadline_after};
use zring_transports::inproc::Names;
use zring_transports::notice::SocketInbox;
use zring_transports::worker::Crew;

use crate::Error;

mod caller;
mod io_threads;

pub use caller::{Caller, LocalContext, Wait};
pub use io_threads::{Context, ContextBuilder, IoThreads};

/// Who turns the reactors of a context: [`IoThreads`] or [`Caller`]. Sealed.
#[expect(private_bounds, reason = "how a driver drives is this crate's own business")]
pub trait Driver: Drive {}

/// A [`Context`] or a [`LocalContext`]: what sockets are made with (`zmq_ctx_new(3)`).
pub trait AnyContext {
    /// Who turns its reactors.
    type Driver: Driver;

    /// Its driver.
    fn driver(&self) -> &Self::Driver;

    /// What the context's rings make use of on this kernel (`io_uring_setup(2)`). `None` before the
    /// first tcp or ipc endpoint.
    fn features(&self) -> Option<Features> {
        self.driver().crew().features()
    }
}

/// Whether one of these inboxes has something.
fn have_pending(inboxes: &[Arc<SocketInbox>]) -> bool {
    inboxes.iter().any(|inbox| inbox.has_pending())
}

fn is_over(deadline: Option<Instant>) -> bool {
    deadline.is_some_and(|deadline| Instant::now() >= deadline)
}

/// Until when one call waits, however often: what ends a wait may be in vain, again and again.
pub(crate) struct Deadline {
    at: Option<Instant>,
    is_past: bool,
}

impl Deadline {
    /// Without a time there is none.
    pub(crate) fn after(time: Option<Duration>) -> Self {
        Self { at: time.and_then(deadline_after), is_past: false }
    }

    /// As [`Drive::wait`]. A wait that begins behind the deadline is the last.
    pub(crate) fn wait(
        &mut self,
        driver: &impl Drive,
        inboxes: &[Arc<SocketInbox>],
        parker: &Arc<Parker>,
        patience: Option<&mut Patience>,
    ) -> Result<bool, Error> {
        if self.is_past {
            return Ok(false);
        }
        self.is_past = is_over(self.at);
        driver.wait(inboxes, parker, self.at, patience)
    }
}

/// What sockets and pollers ask of a driver.
pub(crate) trait Drive: Clone {
    /// Whether workers run on the calling thread.
    const IS_LOCAL: bool;

    /// Whether waiting through this driver moves the sockets of `other`.
    fn turns_for(&self, other: &Self) -> bool;

    /// Whether this is the child of a fork, in which nothing of the context works.
    fn is_inherited(&self) -> bool;

    fn crew(&self) -> &Arc<Crew>;
    fn pools(&self) -> &LogPools;
    fn names(&self) -> &Names;

    /// A socket is made: it is to be told when the context is shut down. Once that has happened,
    /// there is to be no socket.
    fn enlist(&self, inbox: &Arc<SocketInbox>) -> Result<(), Error>;

    /// The first wire endpoint is about to be used: rings are opened.
    fn start(&self) -> Result<(), Error>;

    /// A frame of `len` bytes was written, to one peer or published to whoever wants it.
    fn sent(&self, len: usize, is_published: bool, has_more: bool) -> Result<(), Error>;

    /// A call begins that is no `send`: what has gathered leaves.
    fn flush_gathered(&self) -> Result<(), Error> {
        Ok(())
    }

    /// A message was read.
    fn received(&self) {}

    /// Lets happen what is due, without waiting. True: more is, and may change what was found.
    fn poke(&self) -> Result<bool, Error> {
        Ok(false)
    }

    /// Lets what was written leave.
    fn flush(&self) -> Result<(), Error> {
        Ok(())
    }

    /// Whether the calling thread may wait for workers.
    fn may_wait(&self) -> bool {
        true
    }

    /// Waits until one of these inboxes has something, with `patience` if that may be soon. False:
    /// the deadline came first.
    fn wait(
        &self,
        inboxes: &[Arc<SocketInbox>],
        parker: &Arc<Parker>,
        deadline: Option<Instant>,
        patience: Option<&mut Patience>,
    ) -> Result<bool, Error>;

    /// Waits until a closed socket's workers are done with it, where nobody else turns them.
    fn finish(&self, inbox: &Arc<SocketInbox>);
}
