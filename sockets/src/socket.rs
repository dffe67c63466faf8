//! The socket: bind, connect, send, receive, close.
//!
//! A socket is its pattern, its pipes, and an inbox that tells it what became of them. Calls take
//! in what the inbox has, ask the pattern, and wait through the driver if they may. Dropping a
//! socket closes it: what was sent leaves as long as its linger time allows.
//!
//! Deliberately absent: the wire. Endpoints and connections are in `endpoints.rs` and below.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use zring_engine::courtesy::Patience;
use zring_engine::park::Parker;
use zring_transports::Error as TransportError;
use zring_transports::incidents::{Incidents, RejectedPeer};
use zring_transports::message::{FrameBody, Message, Payload};
use zring_transports::notice::{Arrival, Attachment, Event, Notice, PortId, SocketInbox};
use zring_transports::pipe::{Joint, Marks, PipeId, frame_len};

use crate::Error;
use crate::builder::{Builder, Options};
use crate::driver::{AnyContext, Deadline, Driver, IoThreads};
use crate::endpoints::Endpoints;
use crate::observer::{Observer, PipeCounters};
use crate::pattern::{Pattern, Receives, Refusal, Sends, Subscribes};
use crate::pipes::{Pipe, PipeKey, Pipes};

/// A socket of pattern `P`, driven by `D` (`zmq_socket(3)`). It can do what its pattern can:
///
/// ```compile_fail
/// # fn try_it(mut sub: zring::Sub) {
/// sub.send("a SUB has no send");
/// # }
/// ```
///
/// Dropping it closes it (`zmq_close(3)`): what was sent still leaves, as long as
/// [`linger`](Builder::linger) says.
///
/// # Waiting
/// A caller-driven socket whose context has never had a tcp or ipc endpoint cannot wait for a peer:
/// all there are live on the thread that would wait. It answers [`Error::WouldBlock`], at once if
/// it has no timeout. Once the context has a ring it waits, though no inproc peer can end that.
///
/// A wait for a message sleeps at once, unless the socket has sent something since the last one:
/// then an answer may be near, and for up to 50 µs the thread stays awake and yields its core to
/// others. Where that is in vain, most waits go without. A caller-driven context may be told to
/// [wait](crate::Wait) otherwise.
pub struct Socket<P: Pattern, D: Driver = IoThreads> {
    pub(crate) pattern: P,
    pub(crate) pipes: Pipes,
    pub(crate) driver: D,
    pub(crate) options: Options,
    pub(crate) joint: Joint,
    pub(crate) port: PortId,
    pub(crate) endpoints: Endpoints,
    pub(crate) observer: Observer,
    parker: Arc<Parker>,
    patience: Patience,
    /// Kept for its memory.
    events: Vec<Event>,
    /// Why nothing but closing works any more.
    end: Option<Error>,
    /// Whether a message was begun that is not finished.
    is_open: bool,
    /// Whether something was sent since the last wait for a message, so that an answer may be near.
    has_sent: bool,
}

impl<P: Pattern, D: Driver> Socket<P, D> {
    /// A socket with default options (`zmq_socket(3)`).
    ///
    /// # Errors
    /// [`Error::Terminated`] once the context was shut down; in the child of a fork
    /// [`Error::Transport`] says so.
    pub fn new(context: &impl AnyContext<Driver = D>) -> Result<Self, Error> {
        Builder::new().build(context)
    }

    /// See [`Builder::build`].
    pub(crate) fn make(driver: D, options: Options) -> Result<Self, Error> {
        if driver.is_inherited() {
            return Err(zring_engine::Error::Forked.into());
        }
        let inbox = Arc::new(SocketInbox::default());
        let parker = Arc::new(Parker::default());
        inbox.wake().insert(parker.clone());
        driver.enlist(&inbox)?;
        let pools = driver.pools().clone();
        let joint = Joint {
            pools: pools.clone(),
            inbox,
            marks: Marks { send: options.send_mark, receive: options.receive_mark },
            is_local: D::IS_LOCAL,
        };
        let observer = Observer::default();
        Ok(Self {
            pattern: P::new(&options.setup(pools, D::IS_LOCAL)),
            pipes: Pipes::new(observer.ledger().clone(), joint.inbox.clone()),
            driver,
            options,
            joint,
            port: PortId::fresh(),
            endpoints: Endpoints::default(),
            observer,
            parker,
            patience: Patience::default(),
            events: Vec::new(),
            end: None,
            is_open: false,
            has_sent: false,
        })
    }

    /// Peers that are there, and endpoints that are connected to, though nobody may be there. Which
    /// of them are, [`counters`](Self::counters) tell.
    #[must_use]
    pub fn peers(&mut self) -> usize {
        self.take_events();
        self.pipes.present()
    }

    /// Lets everything leave that the kernel takes now, of all sockets of a caller-driven context.
    /// With I/O threads it leaves by itself, and this does nothing.
    ///
    /// # Errors
    /// [`Error::Transport`] with `Engine` if the kernel refuses the ring of a caller-driven
    /// context, or in the child of a fork.
    pub fn flush(&mut self) -> Result<(), Error> {
        self.driver.flush()
    }

    pub(crate) fn inbox(&self) -> &Arc<SocketInbox> {
        &self.joint.inbox
    }

    /// Takes in what the inbox has.
    ///
    /// # Errors
    /// [`Error::Terminated`] once the context was shut down, [`Error::NoThread`] once an I/O thread
    /// has ended; in the child of a fork, [`Error::Transport`] says so.
    #[inline]
    pub(crate) fn settle(&mut self) -> Result<(), Error> {
        if self.joint.inbox.has_pending() {
            self.take_events();
        }
        if self.end.is_some() || self.driver.is_inherited() {
            return Err(self.why_not());
        }
        Ok(())
    }

    #[cold]
    fn why_not(&self) -> Error {
        self.end.clone().unwrap_or_else(|| zring_engine::Error::Forked.into())
    }

    #[cold]
    fn take_events(&mut self) {
        if self.driver.is_inherited() {
            // Another thread may have held the inbox at the fork.
            return;
        }
        let mut events = std::mem::take(&mut self.events);
        let arrivals = self.joint.inbox.take_into(&mut events);
        for event in events.drain(..) {
            self.handle_event(event);
        }
        self.events = events;
        arrivals.for_each(|arrival| self.take_in(arrival));
    }

    fn handle_event(&mut self, event: Event) {
        match event {
            Event::Connected(id, routing_id) => self.note_connected(id, routing_id),
            Event::Met(id, routing_id, mark) => {
                let pipe = self.pipes.key(id).and_then(|key| self.pipes.get_mut(key));
                if let Some(pipe) = pipe {
                    pipe.raise_mark(mark);
                }
                self.note_connected(id, routing_id);
                self.handle_event(Event::Writable(id));
            }
            Event::Readable(id) => {
                if let Some(key) = self.pipes.key(id) {
                    self.pattern.readable(&mut self.pipes, key);
                }
            }
            Event::Writable(id) => {
                if let Some(key) = self.pipes.key(id) {
                    self.pattern.writable(&mut self.pipes, key);
                }
            }
            Event::Detached(id) => {
                self.endpoints.note_detached(id);
                // A worker tells so when it is about to hang up, and again when it has.
                if let Some(key) = self.pipes.key(id)
                    && self.pipes.get(key).is_some_and(|pipe| !pipe.is_gone())
                {
                    self.detach(key);
                }
            }
            Event::Unlistened(id) => self.endpoints.note_unlistened(id),
            Event::Failed(failure) => {
                self.end.get_or_insert_with(|| Error::no_thread(failure));
            }
            Event::Terminated => {
                self.end.get_or_insert(Error::Terminated);
            }
            Event::Arrived | Event::Walked | Event::Closed => {}
        }
    }

    /// A peer that comes back is who it was the first time (libzmq's `router.cpp`).
    fn note_connected(&mut self, id: PipeId, routing_id: Bytes) {
        if let Some(key) = self.pipes.key(id)
            && let Some(pipe) = self.pipes.get_mut(key).filter(|pipe| !pipe.is_connected)
        {
            (pipe.routing_id, pipe.is_connected) = (routing_id, true);
            self.pattern.identify(&mut self.pipes, key);
            self.pipes.enter(key);
        }
    }

    /// What it has sent already was not told, nor that it is gone again.
    fn take_in(&mut self, arrival: Arrival) {
        let Arrival { attachment, remnant } = arrival;
        let Attachment { pipe, routing_id, endpoint, address, .. } = attachment;
        let mut pipe = Pipe::new(pipe, routing_id, endpoint);
        pipe.address = address;
        pipe.is_connected = true;
        let Some(key) = self.add_pipe(pipe) else { return };
        self.pattern.readable(&mut self.pipes, key);
        if remnant.is_some() {
            self.detach(key);
        }
    }

    /// A pipe's peer is gone. With something left to be read the pipe stays.
    fn detach(&mut self, key: PipeKey) {
        self.pattern.detach(&mut self.pipes, key);
        let Some(pipe) = self.pipes.get_mut(key) else { return };
        if pipe.has_item() || self.pattern.holds(key) {
            pipe.remnant.get_or_insert_with(|| self.joint.inbox.count_remnant());
        } else {
            self.pattern.forget(&mut self.pipes, key);
        }
    }

    /// `None`: there is no place for it, and it is sent away.
    pub(crate) fn add_pipe(&mut self, pipe: Pipe) -> Option<PipeKey> {
        if !self.pattern.has_place() {
            send_away(&pipe);
            return None;
        }
        let key = self.pipes.insert(pipe);
        self.pattern.attach(&mut self.pipes, key);
        self.pipes.enter(key);
        Some(key)
    }

    /// Waits for an event, with patience if an answer is expected. `Err(WouldBlock)` once the
    /// deadline is past.
    pub(crate) fn wait(
        &mut self,
        deadline: &mut Deadline,
        expects_answer: bool,
    ) -> Result<(), Error> {
        let inboxes = std::slice::from_ref(&self.joint.inbox);
        let patience = expects_answer.then_some(&mut self.patience);
        let is_woken = deadline.wait(&self.driver, inboxes, &self.parker, patience)?;
        if is_woken { Ok(()) } else { Err(Error::WouldBlock) }
    }

    /// Whether something was sent since the last wait for a message, which begins now.
    pub(crate) fn expects_answer(&mut self) -> bool {
        std::mem::take(&mut self.has_sent)
    }

    /// A handle that reads what this socket counts, at any time and from any thread.
    #[must_use]
    pub fn observer(&self) -> Observer {
        self.observer.clone()
    }

    /// [`Observer::counters`] of all peers that have come by now.
    #[must_use]
    pub fn counters(&mut self) -> Vec<PipeCounters> {
        self.take_events();
        self.observer.counters()
    }

    /// See [`Observer::rejections`].
    #[must_use]
    pub fn rejections(&self) -> Incidents<RejectedPeer> {
        self.observer.rejections()
    }

    /// See [`Observer::failed_connects`].
    #[must_use]
    pub fn failed_connects(&self) -> Incidents<TransportError> {
        self.observer.failed_connects()
    }
}

/// Closes a pipe that nobody knows yet.
fn send_away(pipe: &Pipe) {
    pipe.end().hang_up();
    if let Some(worker) = pipe.end().worker() {
        worker.post(Notice::HangUp(pipe.end().id, Some(Instant::now()), 0));
    }
}

impl<P: Pattern> Socket<P> {
    /// Options of a socket, for either kind of context (`zmq_setsockopt(3)`).
    #[must_use]
    pub fn builder() -> Builder<P> {
        Builder::new()
    }
}

impl<P: Sends, D: Driver> Socket<P, D> {
    /// Sends a message of one frame, or the last frame of a message (`zmq_send(3)`). Waits for
    /// room, as long as the send timeout allows.
    ///
    /// # Errors
    /// At the first frame of a message [`Error::WouldBlock`] after the timeout, or where it [cannot
    /// wait](Socket#waiting); [`Error::State`] of a REQ or REP out of turn; [`Error::Interrupted`].
    /// Nothing of it was sent then. At any frame [those of every call](Error#of-every-call). REP,
    /// ROUTER and XSUB drop what finds no room, and never answer the first.
    #[inline]
    pub fn send<'a>(&mut self, body: impl Into<Payload<'a>>) -> Result<(), Error> {
        self.send_frame(body.into().lend(), false, true)
    }

    /// As [`send`](Self::send), without waiting for room (`ZMQ_DONTWAIT`). A borrowed body of 32
    /// KiB and more, and caller-driven an owned one too, is sent from where it lies if it can be,
    /// for as long as a copy would take, and a millisecond at most.
    ///
    /// # Errors
    /// [`Error::WouldBlock`] without room, never [`Error::Interrupted`]; otherwise as `send`.
    #[inline]
    pub fn try_send<'a>(&mut self, body: impl Into<Payload<'a>>) -> Result<(), Error> {
        self.send_frame(body.into().lend(), false, false)
    }

    /// Sends a frame that more frames of the same message follow (`ZMQ_SNDMORE`). Nothing leaves
    /// before the last one is sent.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn send_more<'a>(&mut self, body: impl Into<Payload<'a>>) -> Result<(), Error> {
        self.send_frame(body.into().lend(), true, true)
    }

    /// As [`send_more`](Self::send_more), without waiting (`ZMQ_SNDMORE | ZMQ_DONTWAIT`).
    ///
    /// # Errors
    /// As [`try_send`](Self::try_send).
    pub fn try_send_more<'a>(&mut self, body: impl Into<Payload<'a>>) -> Result<(), Error> {
        self.send_frame(body.into().lend(), true, false)
    }

    /// Sends a message of these frames (`zmq_send(3)`, "Multi-part messages"). Of none, nothing is
    /// sent.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn send_multipart<'a, I>(&mut self, frames: I) -> Result<(), Error>
    where
        I: IntoIterator<Item: Into<Payload<'a>>>,
    {
        self.send_frames(frames, true)
    }

    /// As [`send_multipart`](Self::send_multipart), without waiting (`ZMQ_DONTWAIT`).
    ///
    /// # Errors
    /// As [`try_send`](Self::try_send).
    pub fn try_send_multipart<'a, I>(&mut self, frames: I) -> Result<(), Error>
    where
        I: IntoIterator<Item: Into<Payload<'a>>>,
    {
        self.send_frames(frames, false)
    }

    fn send_frames<'a, I>(&mut self, frames: I, may_wait: bool) -> Result<(), Error>
    where
        I: IntoIterator<Item: Into<Payload<'a>>>,
    {
        let mut frames = frames.into_iter().peekable();
        while let Some(frame) = frames.next() {
            self.send_frame(frame.into().lend(), frames.peek().is_some(), may_wait)?;
        }
        Ok(())
    }

    #[inline]
    fn send_frame(
        &mut self,
        body: FrameBody<'_>,
        has_more: bool,
        may_wait: bool,
    ) -> Result<(), Error> {
        self.settle()?;
        match self.pattern.send(&mut self.pipes, body, has_more) {
            Ok(()) => {}
            Err(refusal) => self.send_later(refusal, &{ body }, has_more, may_wait)?,
        }
        (self.is_open, self.has_sent) = (has_more, true);
        self.driver.sent(frame_len(body.len()), P::PUBLISHES, has_more)
    }

    /// Waits until the pattern takes the frame.
    #[cold]
    fn send_later(
        &mut self,
        mut refusal: Refusal,
        body: &FrameBody<'_>,
        has_more: bool,
        may_wait: bool,
    ) -> Result<(), Error> {
        let mut deadline = Deadline::after(self.options.send_timeout.filter(|_| may_wait));
        let mut may_poke = D::IS_LOCAL;
        loop {
            match refusal {
                Refusal::State => return Err(Error::State),
                // The next look is the last one.
                Refusal::Late => {
                    while may_poke {
                        may_poke = self.driver.poke()?;
                    }
                }
                Refusal::Full if may_poke => may_poke = self.driver.poke()?,
                Refusal::Full if may_wait => self.wait(&mut deadline, false)?,
                Refusal::Full => return Err(Error::WouldBlock),
            }
            self.settle()?;
            match self.pattern.send(&mut self.pipes, *body, has_more) {
                Ok(()) => return Ok(()),
                Err(again) => refusal = again,
            }
        }
    }
}

impl<P: Receives, D: Driver> Socket<P, D> {
    /// Receives the next frame (`zmq_recv(3)`). Waits for it, as long as the receive timeout
    /// allows.
    ///
    /// # Errors
    /// [`Error::WouldBlock`] after the timeout, or where it [cannot wait](Socket#waiting);
    /// [`Error::State`] of a REQ or REP out of turn; [`Error::Interrupted`]; and
    /// [those of every call](Error#of-every-call). What has come stays to be received.
    #[inline]
    pub fn recv(&mut self) -> Result<Message, Error> {
        let mut frame = Message::new();
        self.receive_frame(&mut frame, true)?;
        Ok(frame)
    }

    /// As [`recv`](Self::recv), into a message that is overwritten: the least that receiving can
    /// cost (`zmq_msg_recv(3)`). After an error the message's content is undefined.
    ///
    /// # Errors
    /// As `recv`.
    #[inline]
    pub fn recv_into(&mut self, frame: &mut Message) -> Result<(), Error> {
        self.receive_frame(frame, true)
    }

    /// As [`recv`](Self::recv), without waiting (`ZMQ_DONTWAIT`).
    ///
    /// # Errors
    /// [`Error::WouldBlock`] if nothing has come, never [`Error::Interrupted`]; otherwise as
    /// `recv`.
    #[inline]
    pub fn try_recv(&mut self) -> Result<Message, Error> {
        let mut frame = Message::new();
        self.receive_frame(&mut frame, false)?;
        Ok(frame)
    }

    /// As [`recv_into`](Self::recv_into), without waiting (`ZMQ_DONTWAIT`).
    ///
    /// # Errors
    /// As [`try_recv`](Self::try_recv).
    #[inline]
    pub fn try_recv_into(&mut self, frame: &mut Message) -> Result<(), Error> {
        self.receive_frame(frame, false)
    }

    /// Receives the frames of the next message (`zmq_recv(3)`, "Multi-part messages"). A message
    /// whose first frame was received already is received to its end.
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    pub fn recv_multipart(&mut self) -> Result<Vec<Message>, Error> {
        let mut frames = Vec::new();
        self.recv_multipart_into(&mut frames)?;
        Ok(frames)
    }

    /// As [`recv_multipart`](Self::recv_multipart), without waiting (`ZMQ_DONTWAIT`).
    ///
    /// # Errors
    /// As [`try_recv`](Self::try_recv).
    pub fn try_recv_multipart(&mut self) -> Result<Vec<Message>, Error> {
        let mut frames = vec![self.try_recv()?];
        self.receive_rest(&mut frames)?;
        Ok(frames)
    }

    /// As [`recv_multipart`](Self::recv_multipart), into a vector that is emptied first and can be
    /// used again.
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    pub fn recv_multipart_into(&mut self, frames: &mut Vec<Message>) -> Result<(), Error> {
        frames.clear();
        frames.push(self.recv()?);
        self.receive_rest(frames)
    }

    /// A message comes as a whole, so its frames are there.
    fn receive_rest(&mut self, frames: &mut Vec<Message>) -> Result<(), Error> {
        while frames.last().is_some_and(Message::has_more) {
            frames.push(self.recv()?);
        }
        Ok(())
    }

    #[inline]
    fn receive_frame(&mut self, frame: &mut Message, may_wait: bool) -> Result<(), Error> {
        self.driver.flush_gathered()?;
        self.settle()?;
        if let Err(refusal) = self.pattern.receive(&mut self.pipes, frame) {
            self.receive_later(refusal, frame, may_wait)?;
        }
        self.driver.received();
        Ok(())
    }

    #[cold]
    fn receive_later(
        &mut self,
        mut refusal: Refusal,
        frame: &mut Message,
        may_wait: bool,
    ) -> Result<(), Error> {
        let mut deadline = Deadline::after(self.options.receive_timeout.filter(|_| may_wait));
        let mut is_poked = !D::IS_LOCAL;
        loop {
            match refusal {
                Refusal::State => return Err(Error::State),
                Refusal::Full if may_wait => {
                    let expects_answer = self.expects_answer();
                    self.wait(&mut deadline, expects_answer)?;
                }
                Refusal::Full if !is_poked => {
                    is_poked = true;
                    self.driver.poke()?;
                }
                Refusal::Full | Refusal::Late => return Err(Error::WouldBlock),
            }
            self.settle()?;
            match self.pattern.receive(&mut self.pipes, frame) {
                Ok(()) => return Ok(()),
                Err(again) => refusal = again,
            }
        }
    }
}

impl<P: Subscribes, D: Driver> Socket<P, D> {
    /// From now on receives the messages that begin with `prefix`; all, if it is empty. The same
    /// prefix may be subscribed to again, and then takes as many calls to undo (`ZMQ_SUBSCRIBE`).
    /// It never waits: publishers are told as soon as they can be, by an XSUB that is within a
    /// message behind that.
    ///
    /// # Errors
    /// [Those of every call](Error#of-every-call).
    pub fn subscribe(&mut self, prefix: impl AsRef<[u8]>) -> Result<(), Error> {
        self.settle()?;
        self.pattern.subscribe(&mut self.pipes, prefix.as_ref());
        self.driver.flush()
    }

    /// Undoes one [`subscribe`](Self::subscribe); of a prefix that is not subscribed to, nothing
    /// (`ZMQ_UNSUBSCRIBE`).
    ///
    /// # Errors
    /// [Those of every call](Error#of-every-call).
    pub fn unsubscribe(&mut self, prefix: impl AsRef<[u8]>) -> Result<(), Error> {
        self.settle()?;
        self.pattern.unsubscribe(&mut self.pipes, prefix.as_ref());
        self.driver.flush()
    }
}

impl<P: Pattern, D: Driver> fmt::Debug for Socket<P, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Socket");
        out.field("type", &P::TYPE).field("last_endpoint", &self.last_endpoint());
        out.finish_non_exhaustive()
    }
}

impl<P: Pattern, D: Driver> Drop for Socket<P, D> {
    fn drop(&mut self) {
        if self.driver.is_inherited() {
            return;
        }
        if self.is_open {
            self.pipes.iter_mut().for_each(|(_, pipe)| pipe.rollback());
        }
        self.free_all();
        // Also of those who came before the names were free, and were not yet taken in.
        self.take_events();
        for (_, pipe) in self.pipes.iter() {
            pipe.end().hang_up();
        }
        self.close_port();
    }
}
