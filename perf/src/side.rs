//! The contestants, behind one small set of traits, so that one driver measures all of them.
//!
//! Every call is monomorphic: a driver is compiled once per side, and what is measured is the
//! side's own call. A socket type per role lets typed libraries keep their types.
//!
//! Invariant: a `recv` lends the body to a closure and copies nothing, so that no side pays for
//! what its own interface does not ask for.
//!
//! Deliberately absent: tuning per side. All get the same marks, cores and messages.

pub(crate) mod libzmq;
pub(crate) mod raw;
pub(crate) mod tokio_uring;
mod wire;
pub(crate) mod zring;

use crate::clock;
use crate::error::{Error, Result};
use crate::job::{Load, Setup};

/// One way to move messages: a library, or bare sockets.
pub(crate) trait Side: Sized + 'static {
    type Push: Outgoing;
    type Pull: Incoming;
    type Publish: Outgoing;
    type Subscribe: Subscribing;
    type Request: Outgoing + Incoming;
    type Reply: Outgoing + Incoming;
    type Poller: Polling<Self::Subscribe>;

    /// Starts whatever the side needs (context, threads, runtime) on the calling thread.
    fn new(setup: &Setup, load: &Load) -> Result<Self>;
    fn push(&self) -> Result<Self::Push>;
    fn pull(&self) -> Result<Self::Pull>;
    /// A publisher that blocks at the high-water mark if the setup says no-drop.
    fn publish(&self) -> Result<Self::Publish>;
    fn subscribe(&self) -> Result<Self::Subscribe>;
    fn request(&self) -> Result<Self::Request>;
    fn reply(&self) -> Result<Self::Reply>;
    /// A poller that watches `sockets` for reading, by their index.
    fn poller(&self, sockets: &[Self::Subscribe]) -> Result<Self::Poller>;

    /// Lets time go by until `due`; a side without threads moves its traffic meanwhile.
    fn pass(&self, due: u64) -> Result<()> {
        clock::sleep_until(due);
        Ok(())
    }

    /// What the side found in the kernel, for the report.
    fn features(&self) -> Option<String> {
        None
    }
}

/// A socket that can be bound and connected.
pub(crate) trait Connectable {
    /// Binds; answers the resolved endpoint.
    fn bind(&mut self, endpoint: &str) -> Result<String>;
    fn connect(&mut self, endpoint: &str) -> Result<()>;
}

/// A socket that sends.
pub(crate) trait Outgoing: Connectable {
    /// Sends one message; waits for room unless the pattern drops.
    fn send(&mut self, body: &[u8]) -> Result<()>;
    /// Sends one message if there is room now; answers whether.
    fn try_send(&mut self, body: &[u8]) -> Result<bool>;
    /// Sends one message of two frames; waits for room unless the pattern drops.
    fn send_pair(&mut self, topic: &[u8], body: &[u8]) -> Result<()>;
    /// What was gathered leaves now. For sides that send by themselves: nothing.
    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}

/// A socket that receives.
pub(crate) trait Incoming: Connectable {
    /// Waits for one message of one frame and lends its body.
    fn recv<T>(&mut self, take: impl FnOnce(&[u8]) -> T) -> Result<T>;
    /// Lends the body of one message if one is there.
    fn try_recv<T>(&mut self, take: impl FnOnce(&[u8]) -> T) -> Result<Option<T>>;
    /// Waits for one message of one or two frames; the second is empty if there is none.
    fn recv_pair<T>(&mut self, take: impl FnOnce(&[u8], &[u8]) -> T) -> Result<T>;
}

/// A socket that receives what it subscribed to.
pub(crate) trait Subscribing: Incoming {
    fn subscribe(&mut self, prefix: &[u8]) -> Result<()>;
}

/// Waits on many sockets.
pub(crate) trait Polling<S> {
    /// Fills `ready` with the indexes of readable sockets; waits for the first until `due`.
    fn wait(&mut self, sockets: &mut [S], ready: &mut Vec<usize>, due: u64) -> Result<()>;
}

/// The poller of a side that has none.
pub(crate) struct NoPoller;

impl<S> Polling<S> for NoPoller {
    fn wait(&mut self, _: &mut [S], _: &mut Vec<usize>, _: u64) -> Result<()> {
        Err(Error::Unsupported("this side waits on one socket at a time"))
    }
}
