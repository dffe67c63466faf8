//! The poller: waits until one of several sockets can do something (`zmq_poll(3)`).
//!
//! Deliberately absent: edges. A socket is reported as long as it can do what is asked.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use zring_engine::courtesy::Patience;
use zring_engine::park::Parker;
use zring_transports::notice::SocketInbox;

use crate::Error;
use crate::driver::{AnyContext, Deadline, Driver};
use crate::pattern::Pattern;
use crate::socket::Socket;

/// What to wait for (`events` of a `zmq_pollitem_t`, `zmq_poll(3)`).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Interest {
    /// A message can be received (`ZMQ_POLLIN`).
    pub readable: bool,
    /// A message can be sent (`ZMQ_POLLOUT`). Of ROUTER and XSUB that is always so, for they drop
    /// what finds no room; a publisher that does not drop may wait nevertheless, depending on the
    /// topic.
    pub writable: bool,
}

impl Interest {
    /// Wait for a message to receive (`ZMQ_POLLIN`).
    pub const READABLE: Self = Self { readable: true, writable: false };
    /// Wait for room to send (`ZMQ_POLLOUT`).
    pub const WRITABLE: Self = Self { readable: false, writable: true };
    /// Wait for either.
    pub const BOTH: Self = Self { readable: true, writable: true };
}

/// A socket that can do something (`revents` of a `zmq_pollitem_t`, `zmq_poll(3)`).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Ready {
    /// Its place among those that were polled.
    pub index: usize,
    /// Of what was asked, what it can do; never nothing.
    pub can: Interest,
}

/// A socket of any pattern, to be polled. Implemented by [`Socket`]; sealed.
#[expect(private_bounds, reason = "what a poller asks is this crate's own business")]
pub trait Pollable<D: Driver>: Poll<D> {}

pub(crate) trait Poll<D> {
    fn poll(&mut self, interest: Interest) -> Result<Interest, Error>;
    fn expects_answer(&mut self) -> bool;
    fn inbox(&self) -> &Arc<SocketInbox>;
    fn driver(&self) -> &D;
}

impl<P: Pattern, D: Driver> Pollable<D> for Socket<P, D> {}

impl<P: Pattern, D: Driver> Poll<D> for Socket<P, D> {
    fn poll(&mut self, interest: Interest) -> Result<Interest, Error> {
        self.settle()?;
        Ok(Interest {
            readable: interest.readable && self.pattern.has_message(&mut self.pipes),
            writable: interest.writable && self.pattern.has_room(&mut self.pipes),
        })
    }

    fn expects_answer(&mut self) -> bool {
        Self::expects_answer(self)
    }

    fn inbox(&self) -> &Arc<SocketInbox> {
        Self::inbox(self)
    }

    fn driver(&self) -> &D {
        &self.driver
    }
}

/// Waits for several sockets of one context; with I/O threads, of several contexts too
/// (`zmq_poll(3)`, `zmq_poller(3)`). Descriptors of others are not waited for: a loop that has some
/// waits there, for [`LocalContext::with_fd`](crate::LocalContext::with_fd).
///
/// ```
/// # fn try_it(mut a: zring::Pull, mut b: zring::Sub) -> Result<(), zring::Error> {
/// # let context = zring::Context::new();
/// use zring::Interest;
/// let mut poller = zring::Poller::new(&context);
/// let sockets: &mut [(&mut dyn zring::Pollable<_>, Interest)] =
///     &mut [(&mut a, Interest::READABLE), (&mut b, Interest::READABLE)];
/// for ready in poller.wait(sockets, None)? {
///     println!("socket {} has a message", ready.index);
/// }
/// # Ok(())
/// # }
/// ```
pub struct Poller<D: Driver> {
    driver: D,
    parker: Arc<Parker>,
    patience: Patience,
    ready: Vec<Ready>,
    /// Those that were polled last; each wakes this poller's parker.
    inboxes: Vec<Arc<SocketInbox>>,
}

impl<D: Driver> fmt::Debug for Poller<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Poller").field("ready", &self.ready).finish_non_exhaustive()
    }
}

impl<D: Driver> Poller<D> {
    /// A poller for sockets of this context (`zmq_poller(3)`).
    #[must_use]
    pub fn new(context: &impl AnyContext<Driver = D>) -> Self {
        let driver = context.driver().clone();
        let (parker, patience) = Default::default();
        Self { driver, parker, patience, ready: Vec::new(), inboxes: Vec::new() }
    }

    /// Waits until a socket can do what is asked of it, or the timeout is over; without one, as
    /// long as it takes, and with zero not at all (`zmq_poll(3)`). Answers who can do what: nobody,
    /// after the timeout.
    ///
    /// # Errors
    /// * [`Error::Interrupted`] if a signal was handled while it slept.
    /// * [`Error::WouldBlock`] without a timeout, where sockets of its context
    ///   [cannot wait](Socket#waiting).
    /// * [`Error::OtherContext`] if it would have to wait, and one of the sockets is caller-driven
    ///   by another context, which this one's calls do not turn.
    /// * Of any of the sockets [those of every call](Error#of-every-call).
    pub fn wait(
        &mut self,
        sockets: &mut [(&mut dyn Pollable<D>, Interest)],
        timeout: Option<Duration>,
    ) -> Result<&[Ready], Error> {
        self.wait_for(sockets, timeout, |(socket, interest)| (&mut **socket, *interest))
    }

    /// As [`wait`](Self::wait), for sockets of one pattern and messages to receive (`ZMQ_POLLIN`).
    ///
    /// # Errors
    /// As `wait`.
    pub fn wait_readable<S: Pollable<D>>(
        &mut self,
        sockets: &mut [S],
        timeout: Option<Duration>,
    ) -> Result<&[Ready], Error> {
        self.wait_readable_by(sockets, timeout, |socket| socket)
    }

    /// As [`wait_readable`](Self::wait_readable), for things that have a socket each.
    ///
    /// # Errors
    /// As `wait`.
    pub fn wait_readable_by<T, S: Pollable<D>>(
        &mut self,
        items: &mut [T],
        timeout: Option<Duration>,
        mut socket: impl FnMut(&mut T) -> &mut S,
    ) -> Result<&[Ready], Error> {
        self.wait_for(items, timeout, |item| (socket(item), Interest::READABLE))
    }

    fn wait_for<'a, T, S: Poll<D> + ?Sized + 'a>(
        &mut self,
        items: &'a mut [T],
        timeout: Option<Duration>,
        mut part: impl FnMut(&mut T) -> (&mut S, Interest),
    ) -> Result<&[Ready], Error> {
        let mut deadline = Deadline::after(timeout);
        self.driver.flush_gathered()?;
        self.ready.clear();
        let mut is_poked = !D::IS_LOCAL;
        loop {
            for (index, item) in items.iter_mut().enumerate() {
                let (socket, interest) = part(item);
                let can = socket.poll(interest)?;
                if can != Interest::default() {
                    self.ready.push(Ready { index, can });
                }
            }
            if !self.ready.is_empty() {
                break;
            }
            if timeout == Some(Duration::ZERO) {
                if is_poked {
                    break;
                }
                is_poked = true;
                self.driver.poke()?;
                continue;
            }
            if !items.iter_mut().all(|item| self.driver.turns_for(part(item).0.driver())) {
                return Err(Error::OtherContext);
            }
            let expects = items.iter_mut().fold(false, |expects, item| {
                let (socket, interest) = part(item);
                (interest.readable && socket.expects_answer()) || expects
            });
            self.register(items.iter_mut().map(|item| part(item).0.inbox().clone()));
            let patience = expects.then_some(&mut self.patience);
            if !deadline.wait(&self.driver, &self.inboxes, &self.parker, patience)? {
                break;
            }
        }
        Ok(&self.ready)
    }

    /// Has each of these inboxes wake this poller; most often they are those of the last time.
    fn register(&mut self, inboxes: impl Iterator<Item = Arc<SocketInbox>>) {
        let mut count = 0;
        for inbox in inboxes {
            let known = self.inboxes.get(count);
            if !known.is_some_and(|known| Arc::ptr_eq(known, &inbox)) {
                self.forget_from(count);
                inbox.wake().insert(self.parker.clone());
                self.inboxes.push(inbox);
            }
            count += 1;
        }
        self.forget_from(count);
    }

    fn forget_from(&mut self, index: usize) {
        // Whoever was about to wake this poller at a fork has not let go in the child.
        let is_inherited = self.driver.is_inherited();
        for inbox in self.inboxes.drain(index..).filter(|_| !is_inherited) {
            inbox.wake().remove(&self.parker);
        }
    }
}

impl<D: Driver> Drop for Poller<D> {
    fn drop(&mut self) {
        self.forget_from(0);
    }
}
