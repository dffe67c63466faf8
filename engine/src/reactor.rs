//! The reactor: one ring with the operations that live on it, moved by whoever calls `turn`.
//!
//! A turn lends buffers again, arms what must be armed again, enters the kernel at most once more
//! than it has to, and hands up what completed: drained first, acted upon by the caller. The caller
//! may be a thread that does nothing else, or the thread that owns the sockets. Receives and
//! accepts are multishot and outlive what the kernel interrupts them for; all others complete once.
//! A token's last completion frees its slot, so after it the token means nothing.
//!
//! After `fork` a reactor stays with the parent. In the child [`turn`](Reactor::turn) answers
//! [`Error::Forked`], starting and cancelling have no effect, and dropping it does nothing.
//!
//! Deliberately absent: callbacks, and knowledge of what the bytes mean.

mod slots;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use socket2::SockAddr;

use crate::block::{Piece, Slice};
use crate::error::Error;
use crate::group::Group;
use crate::op::{self, Operation, send::SendMemory};
use crate::ring::features::Features;
use crate::ring::token::{Kind, Token};
use crate::ring::wait::Wait;
use crate::ring::{Config, Event, Ring};
use crate::wake::Waker;
use slots::{Live, Slots};

/// How long dropping a reactor waits for what is in flight. Cancelled operations end within the
/// call that cancels them; only a kernel worker that is stuck takes longer.
const DRAIN_MAX: Duration = Duration::from_secs(1);

/// Operations that there is memory for before the first has begun; more make more.
const OPERATIONS: usize = 64;
/// Of those, sends in one turn.
const SENDS: usize = 4;

/// How long one wait of the drain lasts before all is cancelled once more.
const DRAIN_WAIT: Duration = Duration::from_millis(10);

/// One thing that happened, to the operation `token` that `owner` started.
#[derive(Debug)]
pub struct Completion {
    /// As given when the operation was started.
    pub owner: u32,
    /// As returned then.
    pub token: Token,
    /// What happened.
    pub outcome: Outcome,
}

/// What happened to an operation. All but [`Accepted`](Self::Accepted) and
/// [`Received`](Self::Received) are the last of their token.
#[derive(Debug)]
pub enum Outcome {
    /// A connection, close-on-exec and blocking.
    Accepted(OwnedFd),
    /// No more connections come: cancelled, or an error such as `EMFILE`, after which the
    /// connections wait in the backlog until somebody accepts again.
    AcceptEnded(Result<(), Errno>),
    /// The connection stands, or not. `ECANCELED` if cancelled before.
    Connected(Result<(), Errno>),
    /// Bytes, never none, in the order in which they were sent.
    Received(Slice),
    /// No more bytes come: end of stream or cancelled, or else an error.
    ReceiveEnded(Result<(), Errno>),
    /// How many bytes the kernel took, from the first piece on. `EAGAIN`: none, for the socket is
    /// full.
    Sent(Result<usize, Errno>),
    /// The socket can be written to, or has failed and says so when written to. `ECANCELED` if
    /// cancelled before.
    Writable(Result<(), Errno>),
}

/// One ring and the operations that live on it.
///
/// It belongs to the thread that made it:
///
/// ```compile_fail
/// fn must_be_send<T: Send>() {}
/// must_be_send::<zring_engine::Reactor>();
/// ```
pub struct Reactor {
    /// Declared first: closed before any memory is freed.
    ring: Ring,
    group: Group,
    slots: Slots,
    /// Receives that found no buffer at all, to be armed again before the others.
    starved: VecDeque<Token>,
    /// Receives that were ended by the kernel after they had brought something.
    sated: VecDeque<Token>,
    /// Operations whose cancelling missed them.
    missed: Vec<Token>,
    /// Memory for the sends to come.
    #[expect(clippy::vec_box, reason = "the boxes move to slots and back as they are")]
    spare: Vec<Box<SendMemory>>,
    waker: Waker,
    /// Told by the kernel that a turn would bring something; once somebody waits elsewhere.
    outside: Option<Waker>,
}

impl Reactor {
    /// A reactor for the calling thread, which is the only one that can turn it.
    ///
    /// # Errors
    /// Which obstacle stands in the way of a ring, with advice in its text.
    pub fn new(config: &Config) -> Result<Self, Error> {
        let ring = Ring::open(config)?;
        let group = Group::register(&ring, config)?;
        let mut reactor = Self {
            ring,
            group,
            slots: Slots::with_capacity(OPERATIONS),
            starved: VecDeque::with_capacity(OPERATIONS),
            sated: VecDeque::with_capacity(OPERATIONS),
            missed: Vec::with_capacity(OPERATIONS),
            spare: Vec::with_capacity(OPERATIONS),
            waker: Waker::new()?,
            outside: None,
        };
        reactor.spare.resize_with(SENDS, Default::default);
        let eventfd = reactor.waker.clone();
        reactor.start(u32::MAX, eventfd.as_fd(), Operation::Wake);
        Ok(reactor)
    }

    /// Accepts connections from a listening socket until cancelled or refused.
    ///
    /// Here as everywhere, the descriptor must stay open until the token's last completion. A
    /// descriptor that is closed before keeps its socket alive in the kernel.
    pub fn accept(&mut self, owner: u32, fd: BorrowedFd<'_>) -> Token {
        self.start(owner, fd, Operation::Accept)
    }

    /// Connects a socket to `addr`.
    pub fn connect(&mut self, owner: u32, fd: BorrowedFd<'_>, addr: SockAddr) -> Token {
        self.start(owner, fd, Operation::Connect(Box::new(addr)))
    }

    /// Receives until the end of the stream, an error, or cancelled.
    ///
    /// Each [`Outcome::Received`] is a buffer of the group, which is lent again at the start of
    /// the next turn if no slice of it is left, and replaced otherwise.
    pub fn receive(&mut self, owner: u32, fd: BorrowedFd<'_>) -> Token {
        self.start(owner, fd, Operation::Receive)
    }

    /// Sends `pieces`, in order, as far as the socket has room: it never waits.
    ///
    /// At most [`PIECES_MAX`](crate::PIECES_MAX) pieces are taken and the rest is dropped; the
    /// count in [`Outcome::Sent`] says where to go on. Two sends on one socket within a turn may
    /// be reordered.
    pub fn send(
        &mut self,
        owner: u32,
        fd: BorrowedFd<'_>,
        pieces: impl IntoIterator<Item = Piece>,
    ) -> Token {
        let mut memory = self.spare.pop().unwrap_or_default();
        memory.fill(pieces);
        self.start(owner, fd, Operation::Send(memory))
    }

    /// Waits, once, until a socket has room to send.
    pub fn poll_writable(&mut self, owner: u32, fd: BorrowedFd<'_>) -> Token {
        self.start(owner, fd, Operation::Writable)
    }

    /// Asks the operation to end. Its last completion still comes, and what has come before it.
    ///
    /// A stale token has no effect.
    pub fn cancel(&mut self, token: Token) {
        let Some(live) = self.slots.get_mut(token) else { return };
        if live.is_cancelled {
            return;
        }
        live.is_cancelled = true;
        // One that waits to be armed again is ended by the turn that would have done so.
        if live.is_armed {
            op::cancel(&mut self.ring, token);
        }
    }

    /// Submits what was started, waits as told if nothing has completed, and appends to `out` what
    /// has. `out` is valid, and may have grown, also when an error is answered.
    ///
    /// It may return early with nothing: after a wake-up, or when a cancel found nothing.
    ///
    /// # Errors
    /// [`Error::Interrupted`] if a signal came while it slept (closing another ring on the same
    /// thread can look like one), [`Error::Forked`] in a forked child, else what the kernel says.
    pub fn turn(&mut self, wait: Wait, out: &mut Vec<Completion>) -> Result<(), Error> {
        if self.ring.is_inherited() {
            return Err(Error::Forked);
        }
        if let Some(outside) = &self.outside {
            // Empty, if nothing has come since the last turn.
            let _ = rustix::io::read(outside.as_fd(), &mut [0; 8]);
        }
        self.group.lend();
        let is_behind = self.catch_up(out);
        let entered = self.ring.enter(if is_behind { Wait::No } else { wait });
        self.reap(out);
        entered
    }

    /// A handle with which other threads end a blocking turn.
    #[must_use]
    pub fn waker(&self) -> Waker {
        self.waker.clone()
    }

    /// What the ring makes use of.
    #[must_use]
    pub fn features(&self) -> Features {
        self.ring.features()
    }

    /// A descriptor that polls readable when a turn would bring something, and is emptied by the
    /// turn. The ring's own descriptor does not wake who already sleeps on it: with
    /// `DEFER_TASKRUN` it becomes readable, but only a posted completion tells so.
    ///
    /// # Errors
    /// The first time, what the kernel says.
    pub fn watch(&mut self) -> Result<BorrowedFd<'_>, Error> {
        if self.outside.is_none() {
            let outside = Waker::new()?;
            let fd = outside.as_fd().as_raw_fd();
            let registered = self.ring.submitter().register_eventfd(fd);
            registered.map_err(|error| Error::from_io(&error))?;
            // What has come already is told too.
            outside.wake();
            self.outside = Some(outside);
        }
        Ok(self.outside.as_ref().expect("it was just made").as_fd())
    }

    /// Whether a turn has something to do although nothing has completed.
    #[must_use]
    pub fn is_due(&self) -> bool {
        self.ring.has_unsubmitted() || self.has_leftovers()
    }

    /// Whether a turn that does not wait would find nothing at all.
    #[must_use]
    #[inline]
    pub fn is_idle(&self) -> bool {
        let is_active = self.is_due() || self.has_come() || self.is_watched();
        !(is_active || self.ring.is_inherited())
    }

    /// Whether somebody [watches](Self::watch).
    #[must_use]
    pub fn is_watched(&self) -> bool {
        self.outside.is_some()
    }

    /// Whether something has come that a turn takes.
    #[must_use]
    #[inline]
    pub fn has_come(&self) -> bool {
        self.ring.needs_enter() || self.ring.has_completions()
    }

    /// Whether earlier turns left something to be done.
    #[inline]
    fn has_leftovers(&self) -> bool {
        !(self.missed.is_empty() && self.starved.is_empty() && self.sated.is_empty())
    }

    #[inline]
    fn start(&mut self, owner: u32, fd: BorrowedFd<'_>, operation: Operation) -> Token {
        let token = self.slots.insert(Live::new(owner, fd.as_raw_fd(), operation));
        self.arm(token);
        token
    }

    /// Hands the operation of a slot to the kernel.
    #[inline]
    fn arm(&mut self, token: Token) {
        let Some(live) = self.slots.get_mut(token) else { return };
        live.is_armed = true;
        live.is_fed = false;
        live.operation.start(&mut self.ring, live.fd, token);
    }

    /// Does what earlier turns left over. Whether this one must not wait.
    #[inline]
    fn catch_up(&mut self, out: &mut Vec<Completion>) -> bool {
        if !self.has_leftovers() {
            return false;
        }
        self.cancel_missed();
        self.arm_again(out)
    }

    /// Cancels once more what still lives. A connect on its way to a kernel worker, where a unix
    /// socket waits for its peer's backlog, is not found; nor is one that the worker has begun and
    /// not yet gone to sleep in.
    fn cancel_missed(&mut self) {
        while let Some(token) = self.missed.pop() {
            let Some(live) = self.slots.get_mut(token) else { continue };
            op::cancel(&mut self.ring, token.with_kind(live.operation.kind()));
        }
    }

    /// Arms receives again, as many as the kernel has buffers: those first that got nothing last
    /// time. Whether some had to stay behind, or ended instead.
    fn arm_again(&mut self, out: &mut Vec<Completion>) -> bool {
        let mut has_ended = false;
        for _ in 0..self.group.lent() {
            let next = self.starved.pop_front().or_else(|| self.sated.pop_front());
            let Some(token) = next else { break };
            match self.slots.get_mut(token) {
                Some(live) if live.is_cancelled => {
                    self.end(token, Outcome::ReceiveEnded(Ok(())), out);
                    has_ended = true;
                }
                _ => self.arm(token),
            }
        }
        has_ended || !self.starved.is_empty() || !self.sated.is_empty()
    }

    /// Takes all completions that are there.
    fn reap(&mut self, out: &mut Vec<Completion>) {
        if !self.ring.has_completions() {
            return;
        }
        self.ring.refresh();
        while let Some(event) = self.ring.pop() {
            if let Some(token) = Token::parse(event.user_data) {
                self.complete(token, event, out);
            }
        }
        self.ring.refresh();
    }

    #[inline]
    fn complete(&mut self, token: Token, event: Event, out: &mut Vec<Completion>) {
        let done = event.result.map(drop);
        match token.kind() {
            Kind::Receive => self.on_receive(token, event, out),
            Kind::Send => self.on_sent(token, event, out),
            Kind::Accept => self.on_accept(token, event, out),
            Kind::Connect => self.on_connected(token, done, out),
            Kind::Writable => self.end(token, Outcome::Writable(done), out),
            Kind::Wake => self.on_wake(token, event),
            Kind::Cancel => self.missed.extend(event.result.is_err().then_some(token)),
        }
    }

    fn on_receive(&mut self, token: Token, event: Event, out: &mut Vec<Completion>) {
        // The data first, then the flags: a last completion may carry data.
        let len = event.result.unwrap_or(0) as usize;
        let slice = event.buffer.and_then(|id| self.group.take_back(id, len));
        let Some(live) = self.slots.get_mut(token) else { return };
        if let Some(slice) = slice {
            live.is_fed = true;
            out.push(Completion { owner: live.owner, token, outcome: Outcome::Received(slice) });
        }
        if event.more {
            return;
        }
        live.is_armed = false;
        match event.result {
            // Nothing is wrong with the stream: no buffer was left, or no room for a completion.
            Ok(1..) | Err(Errno::NOBUFS) if !live.is_cancelled => {
                let list = if live.is_fed { &mut self.sated } else { &mut self.starved };
                list.push_back(token);
            }
            Ok(_) | Err(Errno::NOBUFS) => self.end(token, Outcome::ReceiveEnded(Ok(())), out),
            Err(Errno::CANCELED) if live.is_cancelled => {
                self.end(token, Outcome::ReceiveEnded(Ok(())), out);
            }
            Err(errno) => self.end(token, Outcome::ReceiveEnded(Err(errno)), out),
        }
    }

    fn on_accept(&mut self, token: Token, event: Event, out: &mut Vec<Completion>) {
        let Some(live) = self.slots.get_mut(token) else { return };
        if let Ok(fd) = event.result {
            let outcome = Outcome::Accepted(op::accepted(fd));
            out.push(Completion { owner: live.owner, token, outcome });
        }
        if event.more {
            return;
        }
        match event.result {
            // The connection was gone before it was accepted; that says nothing of the next one.
            Ok(_) | Err(Errno::CONNABORTED | Errno::PROTO) if !live.is_cancelled => self.arm(token),
            Err(errno) if !(errno == Errno::CANCELED && live.is_cancelled) => {
                self.end(token, Outcome::AcceptEnded(Err(errno)), out);
            }
            _ => self.end(token, Outcome::AcceptEnded(Ok(())), out),
        }
    }

    fn on_connected(
        &mut self,
        token: Token,
        mut done: Result<(), Errno>,
        out: &mut Vec<Completion>,
    ) {
        // A kernel worker is cancelled by a signal.
        let is_cancelled = self.slots.get_mut(token).is_some_and(|live| live.is_cancelled);
        if is_cancelled && done == Err(Errno::INTR) {
            done = Err(Errno::CANCELED);
        }
        self.end(token, Outcome::Connected(done), out);
    }

    fn on_sent(&mut self, token: Token, event: Event, out: &mut Vec<Completion>) {
        let Some(live) = self.slots.remove(token) else { return };
        if let Operation::Send(mut memory) = live.operation {
            memory.clear();
            self.spare.push(memory);
        }
        let outcome = Outcome::Sent(event.result.map(|len| len as usize));
        out.push(Completion { owner: live.owner, token, outcome });
    }

    /// The turn has ended, and that was all. The poll is armed for ever.
    fn on_wake(&mut self, token: Token, event: Event) {
        if event.more {
            return;
        }
        match self.slots.get_mut(token) {
            Some(live) if !live.is_cancelled => self.arm(token),
            _ => drop(self.slots.remove(token)),
        }
    }

    /// The last completion of `token`.
    fn end(&mut self, token: Token, outcome: Outcome, out: &mut Vec<Completion>) {
        if let Some(live) = self.slots.remove(token) {
            out.push(Completion { owner: live.owner, token, outcome });
        }
    }

    /// Cancels everything and waits for it. Whether nothing is in flight any more.
    fn drain(&mut self) -> bool {
        let deadline = Instant::now() + DRAIN_MAX;
        let mut out = Vec::new();
        self.slots.mark_all_cancelled();
        while self.slots.armed() > 0 && Instant::now() < deadline {
            op::cancel_all(&mut self.ring);
            match self.ring.enter(Wait::Until(Some(Instant::now() + DRAIN_WAIT))) {
                Ok(()) | Err(Error::Interrupted) => {}
                Err(_) => break,
            }
            self.reap(&mut out);
            out.clear();
        }
        self.slots.armed() == 0
    }
}

impl Drop for Reactor {
    /// Cancels what is in flight and waits for it, so that memory is freed which the kernel has
    /// given back. Should the kernel keep it for more than a second, it is leaked: closing a ring
    /// does not say when its operations end.
    fn drop(&mut self) {
        if self.ring.is_inherited() || !self.drain() {
            self.slots.leak();
            self.group.leak();
        }
    }
}
