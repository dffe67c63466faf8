//! Caller-driven: no thread at all. The sockets' own thread turns the reactor, in its calls.
//!
//! What is sent [gathers](Gathering), and leaves when that says so, when a pipe is full, or with
//! the next call that receives, polls, turns or flushes. The tail of a burst that no call follows
//! waits for one.
//!
//! Deliberately absent: shutting a context down. Nobody waits in it while its thread would do so.

mod gathering;

use std::cell::{Cell, RefCell};
use std::fmt;
use std::os::fd::BorrowedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use zring_engine::courtesy::Patience;
use zring_engine::log::LogPools;
use zring_engine::park::Parker;
use zring_engine::{Epoch, deadline_after};
use zring_transports::Error as TransportError;
use zring_transports::inproc::Names;
use zring_transports::notice::{Event, Mailbox, SocketInbox};
use zring_transports::pipe::log_pools;
use zring_transports::worker::{Crew, Worker};

use super::{AnyContext, Drive, Driver, have_pending, is_over};
use crate::Error;
use gathering::{Gathering, LARGE_SIZES, Leaving};

/// A message to one peer this long after the last flush is a lone one, and leaves at once.
const LONE_AFTER: Duration = Duration::from_micros(20);

/// How a caller-driven context waits, once it has a ring: from the first tcp or ipc endpoint on.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Wait {
    /// Sleeps in the kernel, at once unless an [answer](crate::Socket#waiting) may be near. Waking
    /// costs some 30 µs.
    #[default]
    Block,
    /// Never sleeps: takes a core for as long as it waits. No signal ends that. Only `send` and
    /// `try_send` of a body of 32 KiB and more may sleep, for a millisecond at most, on a full
    /// socket.
    Spin,
    /// Spins for so long, then sleeps.
    SpinThenBlock(Duration),
}

impl Wait {
    fn until(self, until: Option<Instant>) -> zring_engine::Wait {
        match self {
            Self::Block => zring_engine::Wait::Until(until),
            Self::Spin => zring_engine::Wait::Spin(until),
            Self::SpinThenBlock(spin) => zring_engine::Wait::SpinThenBlock { spin, until },
        }
    }
}

/// A context without threads, which libzmq does not have: its sockets' calls do all the work, on
/// the one thread they live on. Clones are the same context.
///
/// ```
/// use zring::{Caller, LocalContext, Pull, Push, Wait};
///
/// # fn main() -> Result<(), zring::Error> {
/// let context = LocalContext::new(Wait::Block);
/// let mut pull: Pull<Caller> = Pull::new(&context)?;
/// let mut push: Push<Caller> = Push::builder().send_high_water_mark(10).build(&context)?;
/// push.connect(&pull.bind("tcp://127.0.0.1:*")?)?;
/// push.send("first")?;
/// push.send("of a burst")?;
/// push.flush()?;
/// assert_eq!([pull.recv()?, pull.recv()?], ["first", "of a burst"]);
/// # Ok(())
/// # }
/// ```
///
/// Time passes only in calls: accepting, reconnecting and lingering move in `send`, `recv`, polls
/// and [`turn`](Self::turn). Dropping a socket turns the context for its linger time, unless the
/// thread is panicking.
///
/// # Bursts
/// A message leaves within its `send` if none waits before it but published ones, which leave with
/// it, and nothing has left for 20 µs, or something was received since. What follows closely
/// gathers, and so does what a publisher sends over tcp and ipc, lone or not, so that most `send`s
/// cost the same however many subscribers there are. Up to 64 KiB gather, of frames of 4 to 32 KiB
/// 1 MiB, and from a publisher 2 MiB or 32,000 messages. All leaves once there is as much, when a
/// pipe is full, and with the next call that receives, polls, [turns](Self::turn) or
/// [flushes](Self::flush), however long that takes. It also leaves with a `send` that finds it a
/// millisecond old, for which its second message looks, its fourth, eighth and so on, and then
/// every 256th. Who makes no other call behind a burst, or behind what is published, calls `flush`.
///
/// # Destructors
/// A body of [`Bytes::from_owner`](bytes::Bytes::from_owner) may be dropped within a call of the
/// context, and its destructor may call that again. What it sends leaves behind the outer call.
/// Nothing can be waited for there: that answers [`Error::WouldBlock`].
#[derive(Clone)]
pub struct LocalContext {
    driver: Caller,
}

impl LocalContext {
    /// A context for the calling thread.
    #[must_use]
    pub fn new(wait: Wait) -> Self {
        let crew = Crew::new(1);
        let shared = Shared {
            wait,
            mailbox: crew.mailbox(0).clone(),
            crew,
            pools: log_pools(),
            names: Names::default(),
            worker: RefCell::new(None),
            addressed: Gathering::default(),
            published: Gathering::default(),
            left_at: Cell::new(None),
            epoch: Epoch::current_or_endless(),
        };
        Self { driver: Caller { shared: Rc::new(shared) } }
    }

    /// Does what is due, and waits for more until something has happened, or so long; without a
    /// time, as long as it takes. Before the first tcp or ipc endpoint nothing can happen, and it
    /// waits for the time.
    ///
    /// # Errors
    /// [`Error::WouldBlock`] without a time, before the first tcp or ipc endpoint, and
    /// [within a call](Self#destructors) of the context; [`Error::Interrupted`] if a signal was
    /// handled while it slept; [`Error::Transport`] with `Engine` if the kernel refuses the ring,
    /// or in the child of a fork.
    pub fn turn(&self, timeout: Option<Duration>) -> Result<(), Error> {
        self.driver.shared.wait(timeout.and_then(deadline_after), &[])
    }

    /// Lets everything leave that the kernel takes now, without waiting.
    ///
    /// # Errors
    /// [`Error::Transport`] with `Engine` if the kernel refuses the ring, or in the child of a
    /// fork.
    pub fn flush(&self) -> Result<(), Error> {
        self.driver.shared.flush()
    }

    /// When the next call is due although nothing has happened, for a loop that waits elsewhere:
    /// at once, if the last one has left something to be done, as a `send` does whose message
    /// [gathers](Self#bursts). `None` is never, and is the answer before the first tcp or ipc
    /// endpoint.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        let worker = self.driver.shared.worker.try_borrow();
        worker.map_or_else(|_| Some(Instant::now()), |worker| worker.as_ref()?.deadline())
    }

    /// Calls `f` with a descriptor that polls readable when a call is due, besides the
    /// [deadline](Self::deadline); each call that turns the context empties it. `None` before the
    /// first tcp or ipc endpoint. What `ZMQ_FD` is for one socket, this is for all of the context.
    ///
    /// # Errors
    /// [`Error::Transport`] with `Engine`, the first time: the kernel has no descriptor left, or
    /// refuses to register it; always, in the child of a fork; [`Error::WouldBlock`]
    /// [within a call](Self#destructors) of the context.
    pub fn with_fd<T>(&self, f: impl FnOnce(BorrowedFd<'_>) -> T) -> Result<Option<T>, Error> {
        if self.driver.is_inherited() {
            return Err(zring_engine::Error::Forked.into());
        }
        if self.driver.shared.is_within_call() {
            return Err(Error::WouldBlock);
        }
        self.driver.shared.call(|worker| Ok(f(worker.watch()?)))
    }
}

impl fmt::Debug for LocalContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let wait = self.driver.shared.wait;
        f.debug_struct("LocalContext").field("wait", &wait).finish_non_exhaustive()
    }
}

impl AnyContext for LocalContext {
    type Driver = Caller;

    fn driver(&self) -> &Caller {
        &self.driver
    }
}

/// Sockets driven by their own thread's calls. They stay on that thread:
///
/// ```compile_fail
/// fn must_be_send<T: Send>() {}
/// must_be_send::<zring::Push<zring::Caller>>();
/// ```
#[derive(Clone)]
pub struct Caller {
    shared: Rc<Shared>,
}

impl Driver for Caller {}

struct Shared {
    wait: Wait,
    crew: Arc<Crew>,
    /// The worker's. It is told when something was received since the last flush: what is sent now
    /// may be its answer.
    mailbox: Arc<Mailbox>,
    pools: LogPools,
    names: Names,
    /// Opened with the first wire endpoint.
    worker: RefCell<Option<Worker>>,
    /// What was sent to one peer each.
    addressed: Gathering,
    published: Gathering,
    /// When something left last.
    left_at: Cell<Option<Instant>>,
    /// The process that has the ring.
    epoch: Epoch,
}

impl Shared {
    /// Calls the worker. `None`: there is none, or it [is being called](Self::is_within_call).
    fn call<T>(
        &self,
        f: impl FnOnce(&mut Worker) -> Result<T, TransportError>,
    ) -> Result<Option<T>, Error> {
        let Ok(mut worker) = self.worker.try_borrow_mut() else { return Ok(None) };
        let Some(worker) = &mut *worker else { return Ok(None) };
        let gathered = self.gathered();
        let answer = f(worker)?;
        if self.gathered() != gathered {
            // Sent meanwhile, by a destructor or by what is called with the descriptor.
            worker.flush()?;
            self.clear();
        }
        Ok(Some(answer))
    }

    /// Whether the worker is being called, and has dropped a body whose destructor asks this.
    fn is_within_call(&self) -> bool {
        self.worker.try_borrow_mut().is_err()
    }

    /// Whether something can happen without a call.
    fn has_worker(&self) -> bool {
        self.worker.try_borrow().map_or(true, |worker| worker.is_some())
    }

    fn turn(&self, wait: zring_engine::Wait, inboxes: &[Arc<SocketInbox>]) -> Result<(), Error> {
        if self.is_within_call() {
            return Err(Error::WouldBlock);
        }
        if self.clear() {
            self.left_at.set(Some(Instant::now()));
        }
        self.call(|worker| worker.turn(wait, || have_pending(inboxes))).map(drop)
    }

    /// Turns until something has happened, or one of these inboxes has something, or the deadline.
    fn wait(&self, until: Option<Instant>, inboxes: &[Arc<SocketInbox>]) -> Result<(), Error> {
        if self.has_worker() {
            return self.turn(self.wait.until(until), inboxes);
        }
        // Nobody else can bring anything: only time passes.
        let left = until.ok_or(Error::WouldBlock)?.saturating_duration_since(Instant::now());
        std::thread::sleep(left);
        Ok(())
    }

    /// Does what is due, and looks out for what may come of it, if nothing has come yet.
    fn look_out(
        &self,
        patience: &mut Patience,
        until: Option<Instant>,
        inboxes: &[Arc<SocketInbox>],
    ) -> Result<(), Error> {
        self.turn(zring_engine::Wait::No, inboxes)?;
        if let Some(worker) = &*self.worker.borrow()
            && !have_pending(inboxes)
        {
            patience.look_out(until, || worker.has_come());
        }
        Ok(())
    }

    fn flush(&self) -> Result<(), Error> {
        let is_idle = |worker: &Option<Worker>| worker.as_ref().is_none_or(Worker::is_idle);
        if !self.has_gathered() && self.worker.try_borrow().is_ok_and(|worker| is_idle(&worker)) {
            return Ok(());
        }
        self.flush_by(Worker::flush, 0)
    }

    /// Flushes what has gathered, and a message behind that.
    #[cold]
    fn flush_by(
        &self,
        flush: impl FnOnce(&mut Worker) -> Result<(), TransportError>,
        message: usize,
    ) -> Result<(), Error> {
        if self.is_within_call() {
            // It leaves behind that call.
            self.addressed.keep(message);
            return Ok(());
        }
        self.clear();
        self.mailbox.wake().set_answering(false);
        self.call(flush)?;
        self.left_at.set(Some(Instant::now()));
        Ok(())
    }

    #[inline]
    fn gathering(&self, is_published: bool) -> &Gathering {
        if is_published { &self.published } else { &self.addressed }
    }

    fn has_gathered(&self) -> bool {
        self.gathered() > 0
    }

    fn gathered(&self) -> usize {
        self.addressed.len() + self.published.len()
    }

    /// What has gathered is on its way. Answers whether that was anything.
    fn clear(&self) -> bool {
        self.addressed.clear() | self.published.clear()
    }

    /// A message was written that is the first to gather, or at which what has gathered is looked
    /// at.
    #[cold]
    fn look(&self, message: usize, is_published: bool) -> Result<(), Error> {
        let is_late = |at: Instant| at.elapsed() >= LONE_AFTER;
        let is_lone = || {
            let is_answer = || self.mailbox.wake().is_answering();
            !is_published && (is_answer() || self.left_at.get().is_none_or(is_late))
        };
        match self.gathering(is_published).look(message, is_lone) {
            Leaving::Nothing => Ok(()),
            Leaving::Lone => self.flush_by(Worker::flush_lone, message),
            Leaving::All => self.flush_by(Worker::flush, message),
        }
    }
}

impl Drive for Caller {
    const IS_LOCAL: bool = true;

    fn turns_for(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.shared, &other.shared)
    }

    #[inline]
    fn is_inherited(&self) -> bool {
        self.shared.epoch.is_over()
    }

    fn crew(&self) -> &Arc<Crew> {
        &self.shared.crew
    }

    fn pools(&self) -> &LogPools {
        &self.shared.pools
    }

    fn names(&self) -> &Names {
        &self.shared.names
    }

    /// It is not shut down.
    fn enlist(&self, _inbox: &Arc<SocketInbox>) -> Result<(), Error> {
        Ok(())
    }

    fn start(&self) -> Result<(), Error> {
        if !self.shared.has_worker() {
            let worker = Worker::new(self.shared.crew.clone(), 0)?;
            *self.shared.worker.borrow_mut() = Some(worker);
        }
        Ok(())
    }

    #[inline]
    fn sent(&self, len: usize, is_published: bool, has_more: bool) -> Result<(), Error> {
        let gathering = self.shared.gathering(is_published);
        let looked_at = if len < LARGE_SIZES.start {
            gathering.add(len, is_published, has_more)
        } else {
            gathering.add_large(len, is_published, has_more)
        };
        match looked_at {
            Some(message) => self.shared.look(message, is_published),
            None => Ok(()),
        }
    }

    #[inline]
    fn flush_gathered(&self) -> Result<(), Error> {
        if self.shared.has_gathered() { self.shared.flush() } else { Ok(()) }
    }

    #[inline]
    fn received(&self) {
        self.shared.mailbox.wake().set_answering(true);
    }

    fn poke(&self) -> Result<bool, Error> {
        if self.shared.is_within_call() {
            return Ok(false);
        }
        self.shared.turn(zring_engine::Wait::No, &[])?;
        Ok(self.shared.worker.borrow().as_ref().is_some_and(Worker::has_work))
    }

    fn flush(&self) -> Result<(), Error> {
        self.shared.flush()
    }

    fn may_wait(&self) -> bool {
        !self.shared.is_within_call()
    }

    fn wait(
        &self,
        inboxes: &[Arc<SocketInbox>],
        _parker: &Arc<Parker>,
        deadline: Option<Instant>,
        patience: Option<&mut Patience>,
    ) -> Result<bool, Error> {
        if have_pending(inboxes) {
            return Ok(true);
        }
        if let Some(patience) = patience.filter(|_| self.shared.wait == Wait::Block) {
            self.shared.look_out(patience, deadline, inboxes)?;
        }
        self.shared.wait(deadline, inboxes)?;
        Ok(have_pending(inboxes) || !is_over(deadline))
    }

    fn finish(&self, inbox: &Arc<SocketInbox>) {
        let mut events = Vec::new();
        while !std::thread::panicking() && self.shared.has_worker() {
            let inboxes = std::slice::from_ref(inbox);
            match self.shared.turn(zring_engine::Wait::Until(None), inboxes) {
                // A signal does not shorten linger.
                Ok(()) | Err(Error::Interrupted) => {}
                Err(_) => return,
            }
            drop(inbox.take_into(&mut events));
            if events.drain(..).any(|event| matches!(event, Event::Closed)) {
                return;
            }
        }
    }
}
