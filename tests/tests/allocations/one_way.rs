//! One sends, the other receives: each on a thread of its own, but where both have to share one.

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use tests::{Cell, Ground, Transport};
use zring::pattern::{self, Receives, Sends};
use zring::{Driver, Error, Message, Socket};

use crate::{COUNT, SIZES, WARM_UP_SIZE, refuse_allocations};

/// Times that the pipe is filled and emptied to warm up.
const WARM_UPS: usize = 3;
/// Messages that warm up at once, at most: both ends' marks and what the kernel holds.
const WARM_UP_COUNT: u64 = 6_000;
/// Of those, messages that are kept when they are received.
const KEPT: usize = 3_000;
/// How long nobody must take a message for the pipe to be full.
const STALL: Duration = Duration::from_millis(100);
/// Messages that a publisher which may drop is ahead at most. Room is granted again in steps of
/// half the default mark, so no more than the other half is sure to fit.
const AHEAD_MAX: u64 = 400;

/// Ends a part of the course. Repeated until it is heard, for it may be dropped too; what is
/// repeated in vain comes in a later part. Shorter than all that is measured.
fn end(part: usize) -> [u8; 2] {
    [b'!', part as u8]
}

/// A pattern that sends, and one that receives from it.
pub(crate) trait Duo {
    type Sender: Sends;
    type Receiver: Receives;
    /// Whether what finds no room is dropped.
    const IS_LOSSY: bool;
    /// Has the receiver get everything.
    fn prepare<D: Driver>(receiver: &mut Socket<Self::Receiver, D>);
}

pub(crate) enum PushPull {}
pub(crate) enum PubSub {}

impl Duo for PushPull {
    type Sender = pattern::Push;
    type Receiver = pattern::Pull;
    const IS_LOSSY: bool = false;
    fn prepare<D: Driver>(_receiver: &mut Socket<pattern::Pull, D>) {}
}

impl Duo for PubSub {
    type Sender = pattern::Pub;
    type Receiver = pattern::Sub;
    const IS_LOSSY: bool = true;
    fn prepare<D: Driver>(receiver: &mut Socket<pattern::Sub, D>) {
        receiver.subscribe("").unwrap();
    }
}

pub(crate) fn measure<D: Duo, G: Ground>(cell: &Cell<G>) {
    let mut receiver = Socket::<D::Receiver, G::Driver>::new(&cell.context).unwrap();
    D::prepare(&mut receiver);
    let endpoint = receiver.bind(&cell.endpoint()).unwrap();
    if G::IS_LOCAL && cell.transport == Transport::Inproc {
        let sender = open::<D::Sender, G>(&cell.context, &endpoint);
        return Alone { sender, receiver, frame: Message::new() }.run::<D, G>(cell);
    }
    let course = Course::default();
    cell.beside(
        |context| {
            let socket = open::<D::Sender, G>(context, &endpoint);
            Sender::<D, G> { context, course: &course, socket }.run();
        },
        |_| Receiver::<D, G> { cell, course: &course, socket: receiver }.run(),
    );
}

fn open<P: Sends, G: Ground>(context: &G::Context, endpoint: &str) -> Socket<P, G::Driver> {
    let builder = Socket::<P>::builder().send_timeout(Some(STALL)).linger(Some(Duration::ZERO));
    let mut socket = builder.build(context).unwrap();
    socket.connect(endpoint).unwrap();
    socket
}

/// What both threads know. Nothing of it allocates.
struct Course {
    gate: Barrier,
    /// Messages of the part at hand that were received.
    received: AtomicU64,
    is_full: AtomicBool,
    is_end_heard: AtomicBool,
}

impl Default for Course {
    fn default() -> Self {
        let (is_full, is_end_heard) = (AtomicBool::new(false), AtomicBool::new(false));
        Self { gate: Barrier::new(2), received: AtomicU64::new(0), is_full, is_end_heard }
    }
}

struct Sender<'a, D: Duo, G: Ground> {
    context: &'a G::Context,
    course: &'a Course,
    socket: Socket<D::Sender, G::Driver>,
}

impl<D: Duo, G: Ground> Sender<'_, D, G> {
    fn run(mut self) {
        self.end_part(0);
        let body = [1; WARM_UP_SIZE];
        for part in 1..=WARM_UPS {
            if D::IS_LOSSY && part == WARM_UPS {
                self.fill_piecemeal();
            } else {
                let is_taken = |_: &u64| self.socket.send(&body).is_ok();
                let _sent = (0..WARM_UP_COUNT).take_while(is_taken).count();
            }
            self.course.is_full.store(true, SeqCst);
            self.end_part(part);
        }
        for size in SIZES.into_iter().chain(SIZES) {
            self.course.gate.wait();
            self.send_ahead(&body[..size]);
            self.course.gate.wait();
        }
    }

    /// Publishes until the pipe is full, in as many pieces as so many messages can be: short and
    /// long ones by turns, each walked by itself.
    fn fill_piecemeal(&mut self) {
        let body = [1; SIZES[SIZES.len() - 1]];
        let (_, dropped_before) = self.count();
        for size in [SIZES[0], body.len()].into_iter().cycle() {
            let (walked, dropped) = self.count();
            if dropped > dropped_before {
                return;
            }
            self.socket.send(&body[..size]).unwrap();
            self.socket.flush().unwrap();
            while self.count().0 == walked {
                std::thread::yield_now();
            }
        }
    }

    /// Messages that were walked, and those of them that were dropped.
    fn count(&mut self) -> (u64, u64) {
        let [pipe] = &self.socket.counters()[..] else { panic!("one connection") };
        (pipe.sent + pipe.queued + pipe.dropped, pipe.dropped)
    }

    fn end_part(&mut self, part: usize) {
        while !self.course.is_end_heard.load(SeqCst) {
            // It is tried again.
            let _result = self.socket.try_send(&end(part));
            self.socket.flush().unwrap();
            G::pause(self.context);
        }
        self.course.gate.wait();
        self.course.is_full.store(false, SeqCst);
        self.course.is_end_heard.store(false, SeqCst);
        self.course.gate.wait();
    }

    fn send_ahead(&mut self, body: &[u8]) {
        for sent in 1..=COUNT {
            while self.socket.send(body) == Err(Error::WouldBlock) {}
            let received = self.course.received.load(SeqCst);
            if D::IS_LOSSY && sent >= received + AHEAD_MAX {
                self.wait_until_received(sent - AHEAD_MAX / 2);
            }
        }
        self.wait_until_received(COUNT);
    }

    fn wait_until_received(&mut self, count: u64) {
        self.socket.flush().unwrap();
        while self.course.received.load(SeqCst) < count {
            G::pause(self.context);
        }
    }
}

struct Receiver<'a, D: Duo, G: Ground> {
    cell: &'a Cell<G>,
    course: &'a Course,
    socket: Socket<D::Receiver, G::Driver>,
}

impl<D: Duo, G: Ground> Receiver<'_, D, G> {
    fn run(mut self) {
        let mut kept = Vec::with_capacity(KEPT);
        self.receive_part(0, &mut kept);
        for part in 1..=WARM_UPS {
            self.cell.until(|| self.course.is_full.load(SeqCst));
            self.receive_part(part, &mut kept);
            kept.clear();
            self.cell.watchdog.pat();
        }
        let mut frame = Message::new();
        for _ in SIZES {
            self.course.received.store(0, SeqCst);
            self.course.gate.wait();
            self.receive_all(&mut frame);
            self.course.gate.wait();
        }
        for size in SIZES {
            self.course.received.store(0, SeqCst);
            refuse_allocations(self.cell, size, || {
                self.course.gate.wait();
                self.receive_all(&mut frame);
            });
            self.course.gate.wait();
        }
    }

    /// Receives to the end of a part of the warm-up, and keeps what there is room for.
    fn receive_part(&mut self, part: usize, kept: &mut Vec<Message>) {
        loop {
            let frame = self.socket.recv().unwrap();
            if frame == end(part) {
                break;
            }
            if kept.len() < KEPT {
                kept.push(frame);
            }
        }
        self.course.is_end_heard.store(true, SeqCst);
        self.course.gate.wait();
        self.course.gate.wait();
    }

    fn receive_all(&mut self, frame: &mut Message) {
        let mut count = 0;
        while count < COUNT {
            if count % 2 == 0 {
                self.socket.recv_into(frame).unwrap();
            } else {
                *frame = self.socket.recv().unwrap();
            }
            // Ends of the warm-up are still on their way.
            count += u64::from(frame.len() >= SIZES[0]);
            self.course.received.store(count, SeqCst);
        }
    }
}

/// Both sockets on the one thread of their context.
struct Alone<P: Sends, Q: Receives, D: Driver> {
    sender: Socket<P, D>,
    receiver: Socket<Q, D>,
    frame: Message,
}

impl<P: Sends, Q: Receives, D: Driver> Alone<P, Q, D> {
    fn run<U: Duo, G: Ground>(mut self, cell: &Cell<G>) {
        let body = [1; WARM_UP_SIZE];
        cell.until(|| self.pass(&body, 1) > 0);
        for _ in 0..WARM_UPS {
            self.pass(&body, WARM_UP_COUNT);
        }
        for size in SIZES {
            refuse_allocations(cell, size, || {
                let mut count = 0;
                while count < COUNT {
                    count += self.pass(&body[..size], AHEAD_MAX);
                }
            });
        }
    }

    /// Sends as many as there is room for, and receives them. Answers how many.
    fn pass(&mut self, body: &[u8], count_max: u64) -> u64 {
        let is_taken = |_: &u64| self.sender.try_send(body).is_ok();
        let _sent = (0..count_max).take_while(is_taken).count();
        let mut count = 0;
        while self.receiver.try_recv_into(&mut self.frame).is_ok() {
            count += 1;
        }
        count
    }
}
