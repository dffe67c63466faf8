//! The worker: one reactor and all connections that live on it.
//!
//! A worker does one thing, [`turn`](Worker::turn): read notices, walk fan-out logs, start sends,
//! enter the kernel once, handle what completed, run timers. An I/O thread turns its worker for
//! ever; a caller-driven context turns it in its calls. Nothing here knows which of the two it is.
//!
//! Deliberately absent: waiting for an application. What does not fit stays in the kernel.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustc_hash::FxBuildHasher;
use slab::Slab;
use zring_engine::{Completion, Config, Outcome, Reactor, Timers, Wait};

use crate::Error;
use crate::fan_out::{FanOut, MemberKey};
use crate::notice::{Event, Mailbox, Notice, OpenPort, PortId};
use crate::peer::Peer;
use crate::pipe::PipeId;
use crate::port::PortOptions;
use crate::receiving::Incoming;
use crate::spares::Spares;

mod clock;
mod closing;
mod crew;
mod dialing;
mod listening;
mod session;
mod traffic;

use clock::Clock;
pub use crew::{Crew, Failure};
use listening::Listener;

/// Owners with this bit are listeners; the others are peers.
const LISTENER: u32 = 1 << 31;
/// Completions handled before the vector that holds them may need memory.
const COMPLETIONS: usize = 1024;

/// Timers there are at least before void ones are swept out.
const TIMERS_MIN: usize = 1024;

/// What a notice about a pipe reaches.
#[derive(Clone, Copy)]
enum Reached {
    Peer(usize),
    FanOut(PortId),
}

/// A socket as this worker knows it.
struct Port {
    options: PortOptions,
    fan_out: Option<FanOut>,
    peers: usize,
    listeners: usize,
    /// Peers that go once all is sent.
    hang_ups: usize,
    /// The socket is closed.
    is_closing: bool,
}

#[derive(Clone, Copy, Debug)]
enum Timer {
    /// A peer's stage has lasted long enough. Void once the generation has changed.
    Stage(usize, u64),
    /// A peer was silent for as long as it said. Void once the generation has changed, or its
    /// timer ends at another time.
    Silence(usize, u64, Instant),
    /// A closing pipe's linger time is over. Void once another peer has the key.
    HangUp(usize, PipeId),
    /// Accept again, after descriptors had run out.
    Accept(usize),
}

impl Timer {
    fn is_wanted(self, peers: &Slab<Peer>, reached: &Pipes) -> bool {
        match self {
            Self::Stage(key, generation) => {
                peers.get(key).is_some_and(|peer| peer.generation == generation)
            }
            Self::Silence(key, generation, at) => {
                peers.get(key).is_some_and(|peer| peer.is_silence_timed(generation, at))
            }
            Self::HangUp(_, pipe) => reached.contains_key(&pipe),
            Self::Accept(_) => true,
        }
    }
}

/// The sockets that have something here.
type Ports = HashMap<PortId, Port, FxBuildHasher>;

/// The fan-out that a peer is a member of, if it is one.
fn fan_out_of<'a>(ports: &'a mut Ports, peer: &Peer) -> Option<(MemberKey, &'a mut FanOut)> {
    Some((peer.member?, ports.get_mut(&peer.port)?.fan_out.as_mut()?))
}

/// What each pipe's notices reach.
type Pipes = HashMap<PipeId, Reached, FxBuildHasher>;

/// See the [module](self).
pub struct Worker {
    index: usize,
    crew: Arc<Crew>,
    mailbox: Arc<Mailbox>,
    reactor: Reactor,
    ports: Ports,
    peers: Slab<Peer>,
    listeners: Slab<Listener>,
    reached: Pipes,
    clock: Clock,
    timers: Timers<Timer>,
    generations: u64,
    /// Host names that are being looked up, and whose peers wait for that, with their generation.
    look_ups: usize,
    looking_up: VecDeque<(PipeId, u64)>,
    /// Peers whose next send may be started.
    due: Vec<usize>,
    /// Peers that have a backlog, some more than once.
    behind: Vec<usize>,
    /// How many there were.
    turns: u64,
    /// Publishers whose log has more to be walked, each once, in turn.
    walks: VecDeque<PortId>,
    /// Kept for their memory: connections that a walk has given something; what was posted, what
    /// completed, what came in.
    touched: Vec<usize>,
    notices: Vec<Notice>,
    completions: Vec<Completion>,
    incoming: Vec<Incoming>,
    spares: Spares,
    /// Bytes received in the last turn.
    received: usize,
    sent_at_once: usize,
    /// Whether a writer that waited for room was told of some in the last turn.
    has_granted: bool,
    is_stopped: bool,
    /// What ends it, if it ends before its time.
    failure: Failure,
}

impl Worker {
    /// A worker for the calling thread, the `index`th of its crew.
    ///
    /// # Errors
    /// What stands in the way of a ring: [`Error::Engine`].
    pub fn new(crew: Arc<Crew>, index: usize) -> Result<Self, Error> {
        let reactor = Reactor::new(&Config::default())?;
        crew.note_features(reactor.features());
        let mailbox = crew.mailbox(index).clone();
        mailbox.wake().connect(reactor.waker());
        Ok(Self {
            index,
            crew,
            mailbox,
            reactor,
            ports: HashMap::default(),
            peers: Slab::new(),
            listeners: Slab::new(),
            reached: HashMap::default(),
            clock: Clock::default(),
            timers: Timers::default(),
            generations: 0,
            look_ups: 0,
            looking_up: VecDeque::new(),
            due: Vec::new(),
            behind: Vec::new(),
            turns: 0,
            walks: VecDeque::new(),
            touched: Vec::new(),
            notices: Vec::new(),
            completions: Vec::with_capacity(COMPLETIONS),
            incoming: Vec::new(),
            spares: Spares::default(),
            received: 0,
            sent_at_once: 0,
            has_granted: false,
            is_stopped: false,
            failure: Failure::Panic,
        })
    }

    /// A descriptor that polls readable when there is something to do, apart from the
    /// [deadline](Self::deadline).
    ///
    /// # Errors
    /// The first time, what the kernel says.
    pub fn watch(&mut self) -> Result<std::os::fd::BorrowedFd<'_>, Error> {
        self.reactor.watch()?;
        self.stay_parked();
        Ok(self.reactor.watch()?)
    }

    /// Whoever waits elsewhere is told of notices there: the next one wakes the ring. Without one
    /// that is pending, which [`deadline`](Self::deadline) tells of.
    fn stay_parked(&self) {
        if self.reactor.is_watched() {
            let _is_pending = !self.mailbox.park();
        }
    }

    /// Bytes received in the last turn.
    #[must_use]
    pub fn received(&self) -> usize {
        self.received
    }

    /// Bytes that the fullest send of the last turn carried.
    #[must_use]
    pub fn sent_at_once(&self) -> usize {
        self.sent_at_once
    }

    /// Whether a writer that waited for room was told of some in the last turn.
    #[must_use]
    pub fn has_granted(&self) -> bool {
        self.has_granted
    }

    /// When the next turn is due although nothing has happened.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        let is_due = self.is_busy() || self.reactor.is_due();
        if is_due { Some(self.clock.now()) } else { self.timers.next_deadline() }
    }

    /// Whether a [`Notice::Stop`] was read and no socket is left.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.is_stopped && self.ports.is_empty()
    }

    /// Does what is to do and waits for more, as long as `wait` says and no longer than until the
    /// next timer; not at all if `is_served` answers, once notices are read, that what the caller
    /// waits for has come.
    ///
    /// # Errors
    /// [`zring_engine::Error::Interrupted`] if a signal ended the wait: nothing is lost. Any other
    /// is the end of this worker.
    pub fn turn(&mut self, wait: Wait, is_served: impl FnOnce() -> bool) -> Result<(), Error> {
        if matches!(wait, Wait::No) && self.is_idle() {
            (self.received, self.sent_at_once, self.has_granted) = (0, 0, false);
            return Ok(());
        }
        self.turns += 1;
        self.read_notices();
        self.walk();
        self.start_sends();
        let wait = if is_served() { Wait::No } else { self.limit_wait(wait) };
        let mut completions = std::mem::take(&mut self.completions);
        let turned = self.reactor.turn(wait, &mut completions);
        self.mailbox.unpark();
        (self.received, self.sent_at_once, self.has_granted) = (0, 0, false);
        for completion in completions.drain(..) {
            self.complete(completion);
        }
        self.completions = completions;
        self.catch_up();
        self.run_timers();
        self.stay_parked();
        if let Err(error) = turned
            && error != zring_engine::Error::Interrupted
        {
            self.failure = Failure::Ring(error);
        }
        Ok(turned?)
    }

    /// As [`turn`](Self::turn) without a wait, until nothing is left to be sent that the kernel
    /// would take.
    ///
    /// # Errors
    /// As `turn`.
    pub fn flush(&mut self) -> Result<(), Error> {
        self.turn(Wait::No, || true)?;
        while self.has_work() {
            self.turn(Wait::No, || true)?;
        }
        Ok(())
    }

    /// As [`flush`](Self::flush), where a single message is to be sent.
    ///
    /// # Errors
    /// As `turn`.
    pub fn flush_lone(&mut self) -> Result<(), Error> {
        self.read_notices();
        self.send_lone();
        self.flush()
    }

    /// Whether a turn would find something to do without being told.
    #[must_use]
    pub fn has_work(&self) -> bool {
        !self.due.is_empty() || !self.walks.is_empty() || self.mailbox.has_pending()
    }

    /// As [`has_work`](Self::has_work), or would go on with what was received before.
    fn is_busy(&self) -> bool {
        self.has_work() || !self.behind.is_empty()
    }

    /// Whether a turn that does not wait would find nothing at all.
    #[must_use]
    #[inline]
    pub fn is_idle(&self) -> bool {
        !self.is_busy() && self.timers.is_empty() && self.reactor.is_idle()
    }

    /// Whether the kernel has something for a turn.
    #[must_use]
    #[inline]
    pub fn has_come(&self) -> bool {
        self.reactor.has_come()
    }

    /// No wait while there is work, or when all is done; otherwise none beyond the next timer, and
    /// parked.
    fn limit_wait(&self, wait: Wait) -> Wait {
        let is_busy = self.is_busy() || self.is_done();
        if matches!(wait, Wait::No) || is_busy || !self.mailbox.park() {
            return Wait::No;
        }
        let Some(next) = self.timers.next_deadline() else { return wait };
        let sooner = |until: Option<Instant>| Some(until.map_or(next, |until| until.min(next)));
        match wait {
            Wait::No => Wait::No,
            Wait::Until(until) => Wait::Until(sooner(until)),
            Wait::Spin(until) => Wait::Spin(sooner(until)),
            Wait::SpinThenBlock { spin, until } => {
                Wait::SpinThenBlock { spin, until: sooner(until) }
            }
        }
    }

    fn read_notices(&mut self) {
        if !self.mailbox.has_pending() {
            return;
        }
        self.mailbox.take_into(&mut self.notices);
        // Each stays at hand until its turn: if this thread panics, those who sent them are told.
        self.notices.reverse();
        while let Some(notice) = self.notices.pop() {
            self.handle_notice(notice);
        }
    }

    fn handle_notice(&mut self, notice: Notice) {
        match notice {
            Notice::Readable(pipe) => self.handle_readable(pipe),
            Notice::Writable(pipe) => self.handle_writable_pipe(pipe),
            Notice::Condense(pipe) => self.condense(pipe),
            Notice::Open(open) => self.open_port(*open),
            Notice::Listen { port, listener, fd, endpoint } => {
                self.listen(Listener::new(port, listener, fd, endpoint));
            }
            Notice::Adopt { port, listener, fd, endpoint } => {
                self.adopt(port, listener, fd, endpoint);
            }
            Notice::Dial(dial) => self.dial(*dial),
            Notice::LookedUp(answer) => self.handle_looked_up(*answer),
            Notice::Unlisten(listener, deadline, published) => {
                self.unlisten(listener, deadline, published);
            }
            Notice::HangUp(pipe, deadline, published) => {
                if let Some(&Reached::Peer(key)) = self.reached.get(&pipe) {
                    self.part(key, deadline, published);
                }
            }
            Notice::Close(port, deadline) => self.close_port(port, deadline),
            Notice::Stop => self.is_stopped = true,
        }
    }

    fn open_port(&mut self, open: OpenPort) {
        let OpenPort { port, options, feed } = open;
        let fan_out = feed.map(|feed| {
            self.reached.insert(feed.id, Reached::FanOut(port));
            FanOut::new(feed, options.joint.inbox.clone(), options.is_lossless)
        });
        let known =
            Port { options, fan_out, peers: 0, listeners: 0, hang_ups: 0, is_closing: false };
        self.ports.insert(port, known);
    }

    fn handle_readable(&mut self, pipe: PipeId) {
        match self.reached.get(&pipe) {
            Some(&Reached::Peer(key)) => self.make_due(key),
            Some(&Reached::FanOut(port)) => self.make_walk_due(port),
            None => {}
        }
    }

    /// Has a publisher's log walked before the next enter.
    fn make_walk_due(&mut self, port: PortId) {
        if !self.walks.contains(&port) {
            self.walks.push_back(port);
        }
    }

    fn walk(&mut self) {
        for _ in 0..self.walks.len() {
            let Some(id) = self.walks.pop_front() else { return };
            let Some(port) = self.ports.get_mut(&id) else { continue };
            let Some(fan_out) = &mut port.fan_out else { continue };
            let mut touched = std::mem::take(&mut self.touched);
            let has_more = fan_out.walk(&mut touched);
            for key in touched.drain(..) {
                self.make_due(key);
            }
            self.touched = touched;
            self.check_hang_ups(id);
            if has_more {
                self.make_walk_due(id);
            } else {
                self.check_closing(id);
            }
        }
    }

    fn complete(&mut self, completion: Completion) {
        let Completion { owner, outcome, .. } = completion;
        if owner & LISTENER != 0 {
            return self.complete_accept((owner & !LISTENER) as usize, outcome);
        }
        let key = owner as usize;
        if !matches!(outcome, Outcome::Received(_)) {
            self.peers[key].operations -= 1;
        }
        match outcome {
            Outcome::Received(slice) => {
                self.received += slice.len();
                self.handle_received(key, slice);
            }
            Outcome::Sent(result) => self.handle_sent(key, result),
            Outcome::ReceiveEnded(result) => self.handle_receive_ended(key, result),
            Outcome::Writable(result) => self.handle_writable(key, result),
            Outcome::Connected(result) => self.handle_connected(key, result),
            Outcome::Accepted(_) | Outcome::AcceptEnded(_) => {
                unreachable!("only listeners accept")
            }
        }
        self.bury_if_over(key);
    }

    fn run_timers(&mut self) {
        let Self { peers, reached, timers, .. } = self;
        timers.drop_next(|timer| timer.is_wanted(peers, reached));
        if timers.is_empty() {
            return;
        }
        let now = self.clock.now();
        while let Some(timer) = self.timers.poll_expired(now) {
            match timer {
                Timer::Stage(key, generation) => self.end_stage(key, generation),
                Timer::Silence(key, generation, at) => self.end_silence(key, generation, at),
                Timer::HangUp(key, pipe) => self.end_linger(key, pipe),
                Timer::Accept(key) => self.accept_again(key),
            }
        }
    }

    /// Sets a timer for the stage that a peer enters now.
    fn time_stage(&mut self, key: usize, after: Duration) {
        self.generations += 1;
        self.peers[key].generation = self.generations;
        if let Some(deadline) = self.clock.after(after) {
            self.set_timer(deadline, Timer::Stage(key, self.generations));
        }
    }

    fn set_timer(&mut self, deadline: Instant, timer: Timer) {
        self.timers.insert(deadline, timer);
        // A peer has three that are not void, a listener one.
        let wanted_max = 3 * self.peers.len() + self.listeners.len();
        if self.timers.len() > TIMERS_MIN.max(2 * wanted_max) {
            let Self { peers, reached, timers, .. } = self;
            timers.retain(|timer| timer.is_wanted(peers, reached));
        }
    }

    /// Timers of the stage before are void.
    fn untime_stage(&mut self, key: usize) {
        self.generations += 1;
        self.peers[key].generation = self.generations;
    }
}

impl Drop for Worker {
    /// Whoever still waits on one of its sockets is told. So are those that it has not read of; who
    /// posts behind that finds the crew broken.
    fn drop(&mut self) {
        if !self.is_done() {
            self.crew.note_failure(self.failure);
        }
        for port in self.ports.values() {
            port.options.joint.inbox.post(Event::Failed(self.failure));
        }
        self.mailbox.take_into(&mut self.notices);
        for notice in self.notices.drain(..) {
            if let Notice::Open(open) = notice {
                open.options.joint.inbox.post(Event::Failed(self.failure));
            }
        }
    }
}

#[cfg(test)]
mod tests;
