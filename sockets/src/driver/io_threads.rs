//! I/O threads: a context's own threads, one reactor each.
//!
//! Deliberately absent: which thread a connection goes to, which the crew decides
//! (`transports/src/worker/crew.rs`), and starting one again that has ended. Its sockets are told.

use std::fmt;
use std::sync::{Arc, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::Instant;

use nix::sys::signal::SigSet;
use zring_engine::Epoch;
use zring_engine::courtesy::{self, Deference, Patience};
use zring_engine::inbox::allow_easing;
use zring_engine::log::LogPools;
use zring_engine::park::{Parker, Woken};
use zring_engine::sync::{Mutex, lock};
use zring_transports::inproc::Names;
use zring_transports::notice::{Event, Notice, SocketInbox};
use zring_transports::pipe::log_pools;
use zring_transports::worker::{Crew, Failure, Worker};

use super::{AnyContext, Drive, Driver, have_pending};
use crate::Error;

/// The most I/O threads a context may have.
const IO_THREADS_MAX: usize = 64;

/// Twice as many sockets are known before those that are gone are looked for.
const SOCKETS_MIN: usize = 64;

/// After a turn that received so many bytes, an I/O thread lets others run on its core: what it has
/// handed up is still in the core's cache then.
const YIELD_SIZE: usize = 128 * 1024;

/// Owns I/O threads, and the names of inproc endpoints. Clones are the same context.
///
/// Threads start with the first tcp or ipc endpoint. Sockets may be sent to other threads. When the
/// context and its last socket are dropped, the drop waits until what was sent has left, as long as
/// each socket's [`linger`](crate::Builder::linger) says (`zmq_ctx_term(3)`).
#[derive(Clone)]
pub struct Context {
    driver: IoThreads,
}

impl Context {
    /// A context with one I/O thread (`zmq_ctx_new(3)`).
    #[must_use]
    pub fn new() -> Self {
        ContextBuilder::default().start()
    }

    /// Options of a context (`zmq_ctx_set(3)`).
    #[must_use]
    pub fn builder() -> ContextBuilder {
        ContextBuilder::default()
    }

    /// Ends all waiting, now and later: every call on the context's sockets that can wait, bind,
    /// connect or subscribe answers [`Error::Terminated`], and dropping them works
    /// (`zmq_ctx_shutdown(3)`). No socket can be made any more.
    pub fn shutdown(&self) {
        self.driver.shared.shut_down();
    }
}

impl Default for Context {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context").finish_non_exhaustive()
    }
}

impl AnyContext for Context {
    type Driver = IoThreads;

    fn driver(&self) -> &IoThreads {
        &self.driver
    }
}

/// Options of a [`Context`] (`zmq_ctx_set(3)`).
#[derive(Clone, Debug)]
pub struct ContextBuilder {
    io_threads: usize,
    cores: Vec<usize>,
}

impl Default for ContextBuilder {
    fn default() -> Self {
        Self { io_threads: 1, cores: Vec::new() }
    }
}

impl ContextBuilder {
    /// How many I/O threads; 1 by default, 64 at most (`ZMQ_IO_THREADS`).
    #[must_use]
    pub const fn io_threads(mut self, count: usize) -> Self {
        self.io_threads = count;
        self
    }

    /// Pins the first I/O thread to the first core, and so on; the rest are not pinned
    /// (`ZMQ_THREAD_AFFINITY_CPU_ADD`).
    #[must_use]
    pub fn pin(mut self, cores: impl IntoIterator<Item = usize>) -> Self {
        self.cores = cores.into_iter().collect();
        self
    }

    /// The context, whose threads are not started yet (`zmq_ctx_new(3)`).
    ///
    /// # Errors
    /// [`Error::InvalidOption`] for no I/O thread or too many, for more cores than threads, or a
    /// core that is not there or that this process may not use.
    pub fn build(self) -> Result<Context, Error> {
        if self.io_threads == 0 || self.io_threads > IO_THREADS_MAX {
            let reason = "there are 1 to 64 I/O threads";
            return Err(Error::InvalidOption { option: "io_threads", reason });
        }
        if self.cores.len() > self.io_threads {
            let reason = "there are more cores than I/O threads";
            return Err(Error::InvalidOption { option: "pin", reason });
        }
        let known = core_affinity::get_core_ids().unwrap_or_default();
        let is_known = |core: &usize| known.iter().any(|known| known.id == *core);
        if !self.cores.iter().all(is_known) {
            let reason = "no such core, or not for this process";
            return Err(Error::InvalidOption { option: "pin", reason });
        }
        Ok(self.start())
    }

    fn start(self) -> Context {
        let shared = Shared {
            crew: Crew::new(self.io_threads),
            cores: self.cores,
            pools: log_pools(),
            names: Names::default(),
            state: Mutex::new(State::default()),
            epoch: Epoch::current_or_endless(),
        };
        Context { driver: IoThreads { shared: Arc::new(shared) } }
    }
}

/// Sockets driven by I/O threads: they may be sent to other threads, and calls only hand over
/// (`ZMQ_IO_THREADS`).
#[derive(Clone)]
pub struct IoThreads {
    shared: Arc<Shared>,
}

impl Driver for IoThreads {}

struct Shared {
    crew: Arc<Crew>,
    cores: Vec<usize>,
    pools: LogPools,
    names: Names,
    state: Mutex<State>,
    /// The process that has the threads.
    epoch: Epoch,
}

#[derive(Default)]
struct State {
    threads: Vec<JoinHandle<()>>,
    sockets: Vec<Weak<SocketInbox>>,
    /// Of those, as many as lived when they were last looked through.
    living: usize,
    is_shut_down: bool,
}

impl Shared {
    fn shut_down(&self) {
        if self.epoch.is_over() {
            // The sockets are refused already.
            return;
        }
        let mut state = lock(&self.state);
        state.is_shut_down = true;
        for inbox in state.sockets.drain(..).filter_map(|inbox| inbox.upgrade()) {
            inbox.post(Event::Terminated);
        }
    }

    /// Starts the threads, and waits until each has its ring or says why not. Those before one that
    /// has none stay, and the next call goes on behind them.
    fn start(&self) -> Result<(), Error> {
        let mut state = lock(&self.state);
        if state.threads.is_empty() {
            allow_easing();
        }
        if let Some(failure) = self.crew.failure() {
            return Err(Error::no_thread(failure));
        }
        for index in state.threads.len()..self.crew.len() {
            let thread = self.start_one(index)?;
            state.threads.push(thread);
        }
        Ok(())
    }

    fn start_one(&self, index: usize) -> Result<JoinHandle<()>, Error> {
        let start = Arc::<Start>::default();
        let (crew, teller) = (self.crew.clone(), Teller(start.clone()));
        let core = self.cores.get(index).copied();
        let thread = std::thread::Builder::new().name(format!("zring/{index}"));
        let thread = thread.spawn(move || run(crew, index, core, teller));
        let thread = thread.map_err(Error::no_thread)?;
        let Err(error) = start.wait() else { return Ok(thread) };
        // It ends by itself, and whether by a panic the error says already.
        let _result = thread.join();
        Err(error)
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        if self.epoch.is_over() {
            // The threads are the parent's.
            return std::mem::forget(std::mem::take(&mut state.threads));
        }
        for index in 0..state.threads.len() {
            self.crew.mailbox(index).post(Notice::Stop);
        }
        let here = std::thread::current().id();
        if state.threads.iter().any(|thread| thread.thread().id() == here) {
            // What a message held was the last of this context. They end by themselves.
            return state.threads.clear();
        }
        for thread in state.threads.drain(..) {
            // A thread that panicked has told its sockets so.
            let _result = thread.join();
        }
    }
}

/// How the start of an I/O thread went.
#[derive(Default)]
struct Start {
    outcome: Mutex<Option<Result<(), Error>>>,
    parker: Parker,
}

impl Start {
    /// Waits until the thread has its ring or says why not.
    fn wait(&self) -> Result<(), Error> {
        loop {
            if let Some(outcome) = lock(&self.outcome).take() {
                return outcome;
            }
            // However the sleep ended, the outcome says whether it was in vain.
            let _woken = self.parker.park(None);
        }
    }
}

/// The thread's own end of its start. Dropped, as by a panic, it tells that there is no thread.
struct Teller(Arc<Start>);

impl Teller {
    fn tell(self, outcome: Result<(), Error>) {
        *lock(&self.0.outcome) = Some(outcome);
    }
}

impl Drop for Teller {
    fn drop(&mut self) {
        lock(&self.0.outcome).get_or_insert_with(|| Err(Error::no_thread(Failure::Panic)));
        self.0.parker.unpark();
    }
}

/// An I/O thread.
fn run(crew: Arc<Crew>, index: usize, core: Option<usize>, teller: Teller) {
    // Signals are for the application's threads. Blocking them all cannot fail.
    let _result = SigSet::all().thread_block();
    if let Some(id) = core
        && !core_affinity::set_for_current(core_affinity::CoreId { id })
    {
        let reason = "the kernel does not pin a thread to this core";
        return teller.tell(Err(Error::InvalidOption { option: "pin", reason }));
    }
    let mut worker = match Worker::new(crew, index) {
        Ok(worker) => worker,
        Err(error) => return teller.tell(Err(error.into())),
    };
    teller.tell(Ok(()));
    let mut deference = Deference::of_this_thread();
    while !worker.is_done() {
        let turned = worker.turn(zring_engine::Wait::Until(None), || false);
        deference.note(worker.received().max(worker.sent_at_once()));
        match turned {
            Ok(()) if worker.has_granted() || worker.received() >= YIELD_SIZE => {
                courtesy::yield_core(|| false);
            }
            Ok(()) | Err(zring_transports::Error::Engine(zring_engine::Error::Interrupted)) => {}
            Err(_) => break,
        }
    }
}

impl Drive for IoThreads {
    const IS_LOCAL: bool = false;

    fn turns_for(&self, _other: &Self) -> bool {
        true
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

    fn enlist(&self, inbox: &Arc<SocketInbox>) -> Result<(), Error> {
        let mut state = lock(&self.shared.state);
        if state.is_shut_down {
            return Err(Error::Terminated);
        }
        if state.sockets.len() >= 2 * state.living.max(SOCKETS_MIN) {
            state.sockets.retain(|known| known.strong_count() > 0);
            state.living = state.sockets.len();
        }
        state.sockets.push(Arc::downgrade(inbox));
        Ok(())
    }

    fn start(&self) -> Result<(), Error> {
        self.shared.start()
    }

    #[inline]
    fn sent(&self, _len: usize, _is_published: bool, _has_more: bool) -> Result<(), Error> {
        Ok(())
    }

    fn wait(
        &self,
        inboxes: &[Arc<SocketInbox>],
        parker: &Arc<Parker>,
        deadline: Option<Instant>,
        patience: Option<&mut Patience>,
    ) -> Result<bool, Error> {
        let has_pending = || have_pending(inboxes);
        if patience.is_some_and(|patience| patience.look_out(deadline, has_pending)) {
            return Ok(true);
        }
        courtesy::yield_core(has_pending);
        if has_pending() {
            return Ok(true);
        }
        let parked = inboxes.iter().take_while(|inbox| inbox.park()).count();
        let woken = if parked < inboxes.len() { Woken::Notified } else { parker.park(deadline) };
        for inbox in &inboxes[..parked] {
            inbox.unpark();
        }
        match woken {
            Woken::Notified => Ok(true),
            Woken::TimedOut => Ok(false),
            Woken::Interrupted => Err(Error::Interrupted),
        }
    }

    fn finish(&self, _inbox: &Arc<SocketInbox>) {}
}
