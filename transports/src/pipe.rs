//! Pipes: what joins a socket to one peer, and the ends that others hold of it.
//!
//! Each direction is a log with credit. The socket holds a [`PipeEnd`]: it encodes frames into the
//! outbound log and cuts messages out of the inbound one. At the other end is a worker with its
//! `WireEnd`, or for inproc another socket with a `PipeEnd` of its own, which cuts messages
//! straight out of the log they were encoded into. A whole message is published at once.
//!
//! Deliberately absent: patterns. Who is written to, and when, is decided above.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use crossbeam_utils::CachePadded;
use zring_engine::block::Slice;
use zring_engine::courtesy;
use zring_engine::credit::{Allowance, Consumption, credit};
use zring_engine::inbox::{Raising, Scheduled, allow_easing};
use zring_engine::log::{LogPools, Reader, Run, Writer};
use zring_zmtp::frame::{self, Header, SHORT_SIZE_MAX};

use crate::lane::{Ahead, Lane};
use crate::message::{FrameBody, Message};
use crate::notice::{Event, Mailbox, Notice, SocketInbox};

/// Bodies of so many bytes are sent from where they lie, if they can be. Borrowed ones of no more
/// are copied into the log otherwise, larger ones by themselves.
const LENT_SIZE: usize = 32 * 1024;
/// Owned bodies of up to this many bytes are copied into the log; larger ones are referred to.
const OWNED_COPY_MAX: usize = 8 * 1024;
/// A reader that finds fewer bytes has caught up with its writer, and pauses before each look for
/// so many spins, twice as many each time, until it finds more; half as many once it finds much.
const SHORT_RUN: usize = 4 * 1024;
const LONG_RUN: usize = 4 * SHORT_RUN;
const CATCH_UP_SPINS: u32 = 16;
const CATCH_UP_DOUBLINGS: u32 = 4;
/// A message this long after the pipe last had work for its worker is a lone one.
const LONE_AFTER: Duration = Duration::from_micros(50);
/// Bytes that a writer leaves to its reader: then much is written, and some sent ahead.
const AHEAD_SIZE: u64 = 256 * 1024;
/// What is no message and may wait in a log for a connection, before it is condensed.
const CONTROLS_MAX: usize = 1024;
/// Sizes of a log's first block and of those under flow, in bytes. One of the latter fits a segment
/// of TCP over loopback, whose MTU is 64 KiB.
const LOG_BLOCK_SIZES: (usize, usize) = (4 * 1024, 64 * 1024 - 64);

/// The pools that every log of one context shares.
#[must_use]
pub fn log_pools() -> LogPools {
    LogPools::new(LOG_BLOCK_SIZES.0, LOG_BLOCK_SIZES.1)
}

/// Names one end of a pipe, once per process. Later ones are greater.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct PipeId(u64);

impl PipeId {
    /// A name that was never used before.
    #[must_use]
    pub fn fresh() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// What stands in a log besides the bytes of frames.
#[derive(Clone, Debug)]
pub enum Record {
    /// The body of the frame whose header stands before it.
    Body {
        /// The body.
        bytes: Bytes,
        /// Whether it ends its message.
        ends_message: bool,
    },
    /// Whole frames as they were received.
    Frames(Slice),
    /// Something that is not a message.
    Control(Control),
}

/// What a run is on the wire. `None`: the worker has to encode it.
pub(crate) fn bytes_of(run: &Run<Record>) -> Option<&[u8]> {
    match run {
        Run::Bytes { slice, .. } | Run::Record { content: Record::Frames(slice), .. } => {
            Some(slice)
        }
        Run::Record { content: Record::Body { bytes, .. }, .. } => Some(bytes),
        Run::Record { content: Record::Control(_), .. } => None,
    }
}

/// What travels in order with messages and is none.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Control {
    /// The subscriber wants messages that begin with this.
    Subscribe(Bytes),
    /// The subscriber wants them no more.
    Cancel(Bytes),
}

/// What was read from a pipe.
#[derive(Debug)]
pub enum Item {
    /// A frame, written to where the caller said.
    Frame,
    /// Something that is not a message.
    Control(Control),
}

/// What a user can read about one pipe at any time. All count since the pipe began.
#[derive(Debug, Default)]
pub struct Counters {
    /// Messages that were meant for this peer and fitted its high-water mark. The socket's own,
    /// where it writes to the pipe: the others must not take it away from its core.
    pub accepted: CachePadded<AtomicU64>,
    /// Messages that the kernel, or an inproc peer, took.
    pub sent: AtomicU64,
    /// Messages dropped at the high-water mark.
    pub dropped: AtomicU64,
    /// Bytes that the kernel took, headers included.
    pub bytes: AtomicU64,
    /// Of `accepted`, those the peer's side has granted again. See [`mod@zring_engine::credit`].
    pub granted: AtomicU64,
    /// Whether the peer is there.
    pub is_connected: AtomicBool,
}

/// The thread at the other end, and what it calls that end.
#[derive(Clone)]
pub(crate) struct Other {
    pub(crate) side: Side,
    pub(crate) id: PipeId,
}

#[derive(Clone)]
pub(crate) enum Side {
    Worker(Arc<Mailbox>),
    Socket(Seat),
}

/// Where the socket at the other end sits down, at once or when somebody binds the name.
pub(crate) type Seat = Arc<OnceLock<Arc<SocketInbox>>>;

fn seat(inbox: &Arc<SocketInbox>) -> Side {
    Side::Socket(Arc::new(OnceLock::from(inbox.clone())))
}

impl Other {
    fn is_asleep(&self) -> bool {
        matches!(&self.side, Side::Worker(mailbox) if mailbox.is_parked())
    }

    fn is_answering(&self) -> bool {
        matches!(&self.side, Side::Worker(mailbox) if mailbox.wake().is_answering())
    }

    #[cold]
    fn tell_readable(&self) {
        match &self.side {
            Side::Worker(mailbox) => mailbox.post(Notice::Readable(self.id)),
            Side::Socket(seat) => tell(seat, Event::Readable(self.id)),
        }
    }

    #[cold]
    fn tell_writable(&self) {
        match &self.side {
            Side::Worker(mailbox) => mailbox.post(Notice::Writable(self.id)),
            Side::Socket(seat) => tell(seat, Event::Writable(self.id)),
        }
    }
}

/// Who sits down later looks at the whole pipe then.
fn tell(seat: &Seat, event: Event) {
    if let Some(inbox) = seat.get() {
        inbox.post(event);
    }
}

/// Tells a reader once that its log has something.
pub(crate) struct Bell {
    scheduled: Arc<Scheduled>,
    other: Other,
    raising: Raising,
}

impl Bell {
    /// `is_local`: the reader runs on the writer's thread.
    pub(crate) fn new(scheduled: Arc<Scheduled>, other: Other, is_local: bool) -> Self {
        let raising = if is_local { Raising::Local } else { Raising::Fenced };
        Self { scheduled, other, raising }
    }

    #[inline]
    pub(crate) fn ring(&mut self) {
        if self.raise() {
            self.other.tell_readable();
        }
    }

    /// True: the reader is to be told, or to be spared it.
    #[inline]
    fn raise(&mut self) -> bool {
        self.scheduled.raise(&mut self.raising)
    }

    fn is_local(&self) -> bool {
        self.raising == Raising::Local
    }

    /// Much is written.
    fn ease(&mut self) {
        self.scheduled.ease(&mut self.raising);
    }
}

/// Bytes of a frame with a body of `len` bytes.
#[inline]
#[must_use]
pub const fn frame_len(len: usize) -> usize {
    frame::header_len(len) + len
}

/// Appends one frame. A large body becomes a record behind its header.
#[inline(always)]
pub(crate) fn encode(log: &mut Writer<Record>, body: FrameBody<'_>, has_more: bool) {
    let len = body.len();
    if len <= SHORT_SIZE_MAX {
        let (header, header_len) = frame::encode(has_more, false, len);
        return log.append(&header[..header_len], &body);
    }
    encode_long(log, &{ body }, has_more);
}

#[inline(never)]
fn encode_long(log: &mut Writer<Record>, body: &FrameBody<'_>, has_more: bool) {
    let len = body.len();
    let copy_max = if body.owned().is_some() { OWNED_COPY_MAX } else { LENT_SIZE };
    let (header, header_len) = frame::encode(has_more, false, len);
    if len <= copy_max {
        return log.append(&header[..header_len], body);
    }
    let bytes = body.owned().cloned().unwrap_or_else(|| Bytes::copy_from_slice(body));
    log.append(&header[..header_len], &[]);
    log.append_record(Record::Body { bytes, ends_message: !has_more }, len);
}

/// The socket's writing end.
pub struct Outbound {
    log: Writer<Record>,
    allowance: Allowance,
    counters: Arc<Counters>,
    bell: Bell,
    /// The way to the connection; `None` towards another socket.
    lane: Option<Arc<Lane>>,
    /// When the reader, on another thread, was last to be told of something, and messages received
    /// until then.
    told: Option<(Instant, u64)>,
    /// Bytes in the log from which on much was written.
    much_from: u64,
    /// Written to the log that are no messages.
    controls: usize,
}

impl Outbound {
    /// Whether a message can begin now. Without room, [`want_room`](Self::want_room) has the next
    /// [`Event::Writable`] say when.
    #[inline]
    pub fn has_room(&mut self) -> bool {
        self.allowance.room() > 0 || self.overdraw()
    }

    /// The peer has come, whose mark adds to ours; 0 is none.
    pub fn raise_mark(&mut self, by: usize) {
        self.allowance.raise(by);
    }

    /// Looks for room again, and asks for [`Event::Writable`] if there is none.
    pub fn want_room(&mut self) -> bool {
        self.allowance.want() || (self.send_ahead() != Ahead::Busy && self.allowance.want())
    }

    /// Caller-driven, what gathers does not count while the connection takes all it is given: it
    /// would be in the kernel already, had it not gathered.
    #[cold]
    fn overdraw(&mut self) -> bool {
        let keeps_up =
            self.bell.is_local() && self.lane.as_ref().is_some_and(|lane| lane.is_open());
        if keeps_up {
            self.allowance.overdraw();
        }
        keeps_up
    }

    /// Appends one frame, and with the last of a message publishes it. True: the reader is to be
    /// told, or the message to be sent from here.
    #[inline(always)]
    fn write(&mut self, body: FrameBody<'_>, has_more: bool) -> bool {
        if body.len() > SHORT_SIZE_MAX && !has_more && self.send_lent(&{ body }) {
            return false;
        }
        encode(&mut self.log, body, has_more);
        if has_more {
            return false;
        }
        self.log.publish(1);
        self.count_written();
        if self.log.weight_left() >= self.much_from {
            self.run_ahead();
        }
        self.bell.raise()
    }

    /// Sends a large message of one frame from where it lies, if nothing is before it. What is
    /// owned need not be copied either, and costs another thread's time where there is one.
    #[inline(never)]
    fn send_lent(&mut self, body: &FrameBody<'_>) -> bool {
        let is_left_to_worker = body.owned().is_some() && !self.bell.is_local();
        if body.len() < LENT_SIZE || is_left_to_worker || self.log.has_unpublished() {
            return false;
        }
        let Some(lane) = &self.lane else { return false };
        let (header, header_len) = frame::encode(false, false, body.len());
        let (ahead, is_awaited) = lane.send_lent(&header[..header_len], body);
        if is_awaited || ahead == Ahead::Left {
            self.bell.other.tell_readable();
        }
        if ahead == Ahead::Busy {
            return false;
        }
        self.count_written();
        true
    }

    #[inline]
    fn count_written(&mut self) {
        self.allowance.write(1);
        self.counters.accepted.store(self.allowance.written(), Ordering::Relaxed);
    }

    /// The lane, where the worker has a thread of its own, which is spared some work.
    fn own_lane(&self) -> Option<&Lane> {
        self.lane.as_deref().filter(|_| !self.bell.is_local())
    }

    /// Much was written in a row. If it cannot leave from here, the worker gets the core that the
    /// two may share, while what it has to send is still in the core's caches.
    #[cold]
    fn run_ahead(&mut self) {
        self.much_from = self.log.weight_left() + AHEAD_SIZE;
        let Some(lane) = self.own_lane() else { return self.bell.ease() };
        let before = lane.bytes();
        if self.send_ahead() != Ahead::Sent
            && let Some(lane) = self.own_lane()
        {
            courtesy::yield_core(|| lane.bytes() > before);
        }
    }

    /// Sends from here what the worker is not at: it is late, or shares a core with us.
    #[cold]
    fn send_ahead(&mut self) -> Ahead {
        let Some(lane) = self.own_lane() else { return Ahead::Busy };
        let ahead = lane.send_ahead();
        self.much_from = self.log.weight_left() + AHEAD_SIZE;
        match ahead {
            Ahead::Sent => self.bell.ease(),
            Ahead::Left => self.bell.other.tell_readable(),
            Ahead::Busy => {}
        }
        ahead
    }

    /// Sends a lone message from here if that spares more than it costs, and tells the worker of
    /// others: they gather meanwhile. An answer is a lone one too.
    #[cold]
    fn send_or_tell(&mut self, received: u64) {
        let Self { bell, lane, told, .. } = self;
        if let Some(lane) = lane {
            let may_send = if bell.is_local() {
                bell.other.is_answering()
            } else {
                let now = Instant::now();
                let is_lone = |(at, answered)| received > answered || now - at >= LONE_AFTER;
                told.replace((now, received)).is_none_or(is_lone) && bell.other.is_asleep()
            };
            if may_send && lane.send_now() {
                return;
            }
        }
        bell.other.tell_readable();
    }

    /// Takes back the frames of a message that was not finished.
    pub fn rollback(&mut self) {
        self.log.rollback();
    }

    /// Appends what is not a message: it needs no room and is never lost.
    pub fn write_control(&mut self, control: Control) {
        self.log.append_record(Record::Control(control), 0);
        self.log.publish(0);
        self.controls += 1;
        if self.controls.is_multiple_of(CONTROLS_MAX)
            && let Side::Worker(mailbox) = &self.bell.other.side
        {
            mailbox.post(Notice::Condense(self.bell.other.id));
        }
        self.bell.ring();
    }
}

/// The socket's reading end.
pub struct Inbound {
    log: Reader<Record>,
    consumption: Consumption,
    scheduled: Arc<Scheduled>,
    other: Other,
    /// Frames that are being cut, and how far.
    run: Slice,
    at: usize,
    /// How often the pause before a look was doubled: at most `doublings_max`.
    doublings: u32,
    /// [`CATCH_UP_DOUBLINGS`]; 0 where the writer runs on this thread.
    doublings_max: u32,
    /// Something that came while its frames were looked for.
    control: Option<Control>,
    /// What an inproc peer counts as sent.
    counted: Option<Arc<Counters>>,
}

impl Inbound {
    /// Cuts the next frame into `frame`, which is left alone if there is none. `None`: the next
    /// [`Event::Readable`] says when there is something.
    #[inline]
    pub fn read(&mut self, frame: &mut Message) -> Option<Item> {
        if self.at == self.run.len() && !self.refill() {
            return self.take_control().map(Item::Control);
        }
        let (Header { more, size, .. }, behind) = frame::split(&self.run[self.at..]);
        if size <= behind.len() {
            self.at = self.run.len() - behind.len() + size;
            frame.cut(&self.run, behind, size, more);
        } else {
            self.at = self.run.len();
            *frame = self.read_referenced(more);
        }
        if !more {
            self.count_message();
        }
        Some(Item::Frame)
    }

    /// As [`read`](Self::read), unless a message comes next: that is left where it is.
    pub fn read_control(&mut self) -> Option<Control> {
        if self.at < self.run.len() || self.refill() { None } else { self.take_control() }
    }

    /// Whoever gets this end looks at it first, and need not be told until then.
    pub(crate) fn expect_look(&self) {
        self.scheduled.expect_look();
    }

    /// Whether [`read`](Self::read) would answer something.
    pub fn has_item(&mut self) -> bool {
        self.at < self.run.len() || self.control.is_some() || !self.is_drained()
    }

    fn is_drained(&mut self) -> bool {
        let Self { log, scheduled, .. } = self;
        let is_empty =
            log.is_empty() && scheduled.look_again(|| (!log.is_empty()).then_some(())).is_none();
        if is_empty {
            self.doublings = 0;
        }
        is_empty
    }

    #[cold]
    fn take_control(&mut self) -> Option<Control> {
        let control = self.control.take()?;
        let is_counted = self.counted.is_none();
        if is_counted && self.consumption.take(1) {
            self.other.tell_writable();
        }
        Some(control)
    }

    #[inline]
    fn count_message(&mut self) {
        if let Some(counters) = &self.counted {
            counters.sent.store(self.consumption.taken() + 1, Ordering::Relaxed);
        }
        if self.consumption.take(1) {
            self.other.tell_writable();
        }
    }

    #[cold]
    fn read_referenced(&mut self, has_more: bool) -> Message {
        match self.log.next_run() {
            Some(Run::Record { content: Record::Body { bytes, .. }, .. }) => {
                Message::from_bytes(bytes, has_more)
            }
            other => unreachable!("a body follows its header, not {other:?}"),
        }
    }

    /// Takes the next frames into `run`. False: there are none, or `control` came first.
    #[cold]
    fn refill(&mut self) -> bool {
        if self.doublings > 0 {
            // The writer is at work on another core, and every look costs it a cache miss.
            (0..CATCH_UP_SPINS << self.doublings).for_each(|_| std::hint::spin_loop());
        }
        if self.log.extend(&mut self.run) {
            self.doublings = match self.run.len() - self.at {
                ..SHORT_RUN => (self.doublings + 1).min(self.doublings_max),
                SHORT_RUN..LONG_RUN => self.doublings,
                LONG_RUN.. => self.doublings.saturating_sub(1),
            };
            return true;
        }
        let Self { log, scheduled, .. } = self;
        let next = log.next_run().or_else(|| scheduled.look_again(|| log.next_run()));
        self.at = 0;
        match next {
            Some(Run::Bytes { slice, .. } | Run::Record { content: Record::Frames(slice), .. }) => {
                self.run = slice;
                return true;
            }
            Some(Run::Record { content: Record::Control(control), .. }) => {
                self.control = Some(control);
            }
            Some(Run::Record { content: Record::Body { .. }, .. }) => {
                unreachable!("a body is read together with its header");
            }
            None => self.doublings = 0,
        }
        self.run = Slice::default();
        false
    }
}

/// A socket's end of a pipe.
pub struct PipeEnd {
    /// Its name in events and notices.
    pub id: PipeId,
    /// `None` where a fan-out log feeds the peer.
    pub outbound: Option<Outbound>,
    /// What the peer sent.
    pub inbound: Inbound,
    /// What the user can read about it.
    pub counters: Arc<Counters>,
}

impl PipeEnd {
    /// Appends one frame, and with the last of a message lets it leave. The room is settled at the
    /// first frame, by the caller.
    #[inline(always)]
    pub fn write(&mut self, body: FrameBody<'_>, has_more: bool) {
        if let Some(outbound) = &mut self.outbound
            && outbound.write(body, has_more)
        {
            outbound.send_or_tell(self.inbound.consumption.taken());
        }
    }
}

/// A worker's end of a pipe.
pub(crate) struct WireEnd {
    pub(crate) id: PipeId,
    /// `None` where a fan-out log feeds the peer.
    pub(crate) lane: Option<Arc<Lane>>,
    pub(crate) writer: Writer<Record>,
    pub(crate) allowance: Allowance,
    pub(crate) bell: Bell,
    pub(crate) inbox: Arc<SocketInbox>,
    pub(crate) counters: Arc<Counters>,
}

impl WireEnd {
    /// Tells the socket something that is not a message, and counts as one. Not within a message,
    /// whose front must not be seen before its end.
    pub(crate) fn report(&mut self, control: Control) {
        debug_assert!(!self.writer.has_unpublished(), "a message is on its way");
        self.writer.append_record(Record::Control(control), 0);
        self.writer.publish(0);
        self.allowance.write(1);
        self.bell.ring();
    }

    /// Publishes whole messages that were appended.
    pub(crate) fn publish(&mut self, messages: usize) {
        self.writer.publish(messages as u32);
        self.allowance.write(messages as u64);
        self.bell.ring();
    }

    /// From now on nobody but the worker writes to the connection.
    pub(crate) fn close_lane(&self) {
        if let Some(lane) = &self.lane {
            lane.take().close();
        }
    }
}

/// High-water marks of one socket, in messages. 0 is no mark.
#[derive(Clone, Copy, Debug)]
pub struct Marks {
    /// Of what waits to be sent, for each pipe.
    pub send: usize,
    /// Of what waits to be received, for each pipe.
    pub receive: usize,
}

/// One direction of a pipe: a log, credit and a bell.
struct Direction {
    outbound: Outbound,
    log: Reader<Record>,
    consumption: Consumption,
    scheduled: Arc<Scheduled>,
}

impl Direction {
    fn new(
        pools: &LogPools,
        mark: usize,
        reader: Other,
        is_local: bool,
        counters: &Arc<Counters>,
    ) -> Self {
        let (log, reader_log) = Writer::single(pools.clone());
        let (allowance, consumption) = credit(mark);
        let scheduled = Arc::new(Scheduled::default());
        let bell = Bell::new(scheduled.clone(), reader, is_local);
        let much_from = AHEAD_SIZE;
        let (lane, told, controls) = Default::default();
        let counters = counters.clone();
        let outbound = Outbound { log, allowance, counters, bell, lane, told, much_from, controls };
        Self { outbound, log: reader_log, consumption, scheduled }
    }

    /// The writer's end, whose reader is in a lane.
    fn through_lane(self) -> (Outbound, Arc<Lane>) {
        let Self { outbound, log, consumption, scheduled } = self;
        let lane = Arc::new(Lane::new(log, scheduled, consumption, outbound.counters.clone()));
        (Outbound { lane: Some(lane.clone()), ..outbound }, lane)
    }

    fn split(self, writer: Other, counted: Option<Arc<Counters>>) -> (Outbound, Inbound) {
        let Self { outbound, log, consumption, scheduled } = self;
        let run = Slice::default();
        let inbound = Inbound {
            log,
            consumption,
            scheduled,
            other: writer,
            run,
            at: 0,
            doublings: 0,
            doublings_max: if outbound.bell.is_local() { 0 } else { CATCH_UP_DOUBLINGS },
            control: None,
            counted,
        };
        (outbound, inbound)
    }
}

/// What it takes to make a pipe for a socket.
#[derive(Clone)]
pub struct Joint {
    /// Where the logs' memory comes from.
    pub pools: LogPools,
    /// The socket.
    pub inbox: Arc<SocketInbox>,
    /// The socket's high-water marks.
    pub marks: Marks,
    /// Whether worker and peers run on the socket's own thread.
    pub is_local: bool,
}

impl Joint {
    /// A pipe between the socket and a worker. In a fan-out the socket does not write to it.
    pub(crate) fn to_worker(&self, mailbox: &Arc<Mailbox>, fans_out: bool) -> (PipeEnd, WireEnd) {
        let id = PipeId::fresh();
        let worker = Other { side: Side::Worker(mailbox.clone()), id };
        let socket = Other { side: seat(&self.inbox), id };
        let (pools, marks, is_local) = (&self.pools, self.marks, self.is_local);
        let counters = Arc::new(Counters::default());
        let out = Direction::new(pools, marks.send, worker.clone(), is_local, &counters);
        let into = Direction::new(pools, marks.receive, socket.clone(), is_local, &counters);
        let (fed, inbound) = into.split(worker, None);
        let (outbound, lane) = (!fans_out).then(|| out.through_lane()).unzip();
        let wire = WireEnd {
            id,
            lane,
            writer: fed.log,
            allowance: fed.allowance,
            bell: fed.bell,
            inbox: self.inbox.clone(),
            counters: counters.clone(),
        };
        (PipeEnd { id, outbound, inbound, counters }, wire)
    }

    /// A pipe between two sockets of one process. Each mark is the sum of both sides' marks, or
    /// none where either side has none.
    #[must_use]
    pub fn to_socket(&self, peer: &Self) -> (PipeEnd, PipeEnd) {
        let out = sum(self.marks.send, peer.marks.receive);
        let into = sum(self.marks.receive, peer.marks.send);
        self.meet(seat(&peer.inbox), self.is_local && peer.is_local, out, into)
    }

    /// As above, towards whoever takes the seat.
    pub(crate) fn to_nobody(&self, seat: &Seat) -> (PipeEnd, PipeEnd) {
        let there = Side::Socket(seat.clone());
        self.meet(there, self.is_local, self.marks.send, self.marks.receive)
    }

    fn meet(&self, there: Side, is_local: bool, out: usize, into: usize) -> (PipeEnd, PipeEnd) {
        if !is_local {
            allow_easing();
        }
        let (id, peer_id) = (PipeId::fresh(), PipeId::fresh());
        let here = Other { side: seat(&self.inbox), id };
        let there = Other { side: there, id: peer_id };
        let (counters, peer_counters) = (Arc::<Counters>::default(), Arc::<Counters>::default());
        let out = Direction::new(&self.pools, out, there.clone(), is_local, &counters);
        let into = Direction::new(&self.pools, into, here.clone(), is_local, &peer_counters);
        let (outbound, peer_inbound) = out.split(here, Some(counters.clone()));
        let (peer_outbound, inbound) = into.split(there, Some(peer_counters.clone()));
        let ours = PipeEnd { id, outbound: Some(outbound), inbound, counters };
        let (id, outbound, inbound) = (peer_id, Some(peer_outbound), peer_inbound);
        (ours, PipeEnd { id, outbound, inbound, counters: peer_counters })
    }
}

impl PipeEnd {
    /// Tells an inproc peer that this end is gone. A worker learns it by [`Notice::HangUp`].
    pub fn hang_up(&self) {
        if let Side::Socket(seat) = &self.inbound.other.side
            && let Some(inbox) = seat.get()
        {
            inbox.detach(self.inbound.other.id, true);
        }
    }

    /// The worker at the other end, if it is one.
    #[must_use]
    pub fn worker(&self) -> Option<&Arc<Mailbox>> {
        match &self.inbound.other.side {
            Side::Worker(mailbox) => Some(mailbox),
            Side::Socket(_) => None,
        }
    }
}

const fn sum(ours: usize, theirs: usize) -> usize {
    if ours == 0 || theirs == 0 { 0 } else { ours.saturating_add(theirs) }
}
