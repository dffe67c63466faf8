//! Queues: what it costs to hand something to another thread, and to be told of it.
//!
//! Deliberately absent: connections. What is handed over stays in the process.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use benches::Colleague;
use criterion::{Criterion, Throughput};
use zring_engine::credit::{Consumption, credit};
use zring_engine::inbox::{Inbox, Raising, Scheduled, allow_easing};
use zring_engine::log::{Reader, Run, Writer};
use zring_engine::park::{Parker, WaitSet};
use zring_transports::message::{Message, Payload};
use zring_transports::notice::SocketInbox;
use zring_transports::pipe::{Item, Joint, Marks, PipeEnd, log_pools};

const BODY: [u8; 64] = [7; 64];
/// Messages that a writer is ahead of its reader at most.
const MARK: usize = 1000;

fn main() {
    benches::run(|criterion| {
        inbox(criterion);
        log(criterion);
        pipe(criterion);
        wake_up(criterion);
    });
}

/// An owner that sleeps, and what wakes it.
struct Owner {
    inbox: Arc<Inbox<u64, WaitSet>>,
    parker: Arc<Parker>,
    taken: Vec<u64>,
}

impl Owner {
    fn new() -> Self {
        let parker = Arc::new(Parker::default());
        let waiters = WaitSet::default();
        waiters.insert(parker.clone());
        Self { inbox: Arc::new(Inbox::new(waiters)), parker, taken: Vec::new() }
    }

    /// Sleeps until something was posted, and takes it. Answers how much it was.
    fn take(&mut self) -> usize {
        if self.inbox.park() {
            self.parker.park(None);
        }
        self.inbox.unpark();
        self.taken.clear();
        self.inbox.take_into(&mut self.taken);
        self.taken.len()
    }
}

/// Post and take on one thread; flags on one thread.
fn inbox(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("queue/inbox");
    group.bench_function("post_and_take", |bencher| {
        let mut owner = Owner::new();
        bencher.iter(|| {
            owner.inbox.post(black_box(1));
            owner.take()
        });
    });
    for (name, eases) in [("raise_what_is_raised", false), ("raise_what_is_raised_eased", true)] {
        group.bench_function(name, |bencher| {
            let (scheduled, mut raising) = (Scheduled::default(), Raising::Fenced);
            let _is_down = scheduled.raise(&mut raising);
            if eases {
                allow_easing();
                scheduled.ease(&mut raising);
            }
            bencher.iter(|| scheduled.raise(&mut raising));
        });
    }
}

/// A reader's look at its log, down with the flag before the last one.
fn read_all(reader: &mut Reader<()>, scheduled: &Scheduled) -> u64 {
    let mut messages = 0;
    while let Some(run) = reader.next_run().or_else(|| {
        scheduled.lower();
        reader.next_run()
    }) {
        messages += u64::from(run.messages());
        if let Run::Bytes { slice, .. } = run {
            black_box(slice.first());
        }
    }
    messages
}

/// What reads messages from a log, as many as it is told, and sleeps when there are none.
fn reading(
    mut reader: Reader<()>,
    mut consumption: Consumption,
    scheduled: Arc<Scheduled>,
    mut owner: Owner,
    granted: Arc<Inbox<u64, WaitSet>>,
) -> impl FnMut(u64) {
    move |count| {
        let mut left = count;
        while left > 0 {
            owner.take();
            let read = read_all(&mut reader, &scheduled);
            left -= read;
            if consumption.take(read) {
                granted.post(0);
            }
        }
    }
}

/// Messages from one thread to another, through a log, and posts only where the reader sleeps.
fn log(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("queue/log");
    group.throughput(Throughput::Elements(1));
    let (mut writer, reader) = Writer::single(log_pools());
    let (mut allowance, consumption) = credit(MARK);
    let scheduled = Arc::new(Scheduled::default());
    let (owner, mut waiting) = (Owner::new(), Owner::new());
    let (inbox, granted) = (owner.inbox.clone(), waiting.inbox.clone());
    let seen = scheduled.clone();
    let mut raising = Raising::Fenced;
    let colleague = Colleague::new(move || reading(reader, consumption, seen, owner, granted));
    group.bench_function("between_threads", |bencher| {
        bencher.iter_custom(|count| {
            let start = Instant::now();
            colleague.start(count);
            for _ in 0..count {
                while allowance.room() == 0 && !allowance.want() {
                    waiting.take();
                }
                writer.append(&[0, 64], &BODY);
                writer.publish(1);
                allowance.write(1);
                if scheduled.raise(&mut raising) {
                    inbox.post(0);
                }
            }
            colleague.finish();
            start.elapsed()
        });
    });
}

/// Two ends of an inproc pipe, and the inboxes of the sockets that would hold them.
fn joined() -> (PipeEnd, PipeEnd) {
    let side = || {
        let inbox = Arc::new(SocketInbox::default());
        let marks = Marks { send: MARK, receive: MARK };
        Joint { pools: log_pools(), inbox, marks, is_local: true }
    };
    side().to_socket(&side())
}

/// Messages through an inproc pipe on one thread, one by one and in bursts. What it costs between
/// threads is in `end_to_end`.
fn pipe(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("queue/inproc_pipe");
    for (name, burst) in [("one_by_one", 1), ("in_bursts", 500)] {
        group.throughput(Throughput::Elements(burst));
        group.bench_function(name, |bencher| {
            let (mut near, mut far) = joined();
            let mut message = Message::new();
            bencher.iter(|| {
                for _ in 0..burst {
                    let out = near.outbound.as_mut().expect("an inproc pipe has both directions");
                    assert!(out.has_room() || out.want_room(), "all before was read");
                    near.write(Payload::from(&BODY).lend(), false);
                }
                for _ in 0..burst {
                    let item = far.inbound.read(&mut message);
                    assert!(matches!(item, Some(Item::Frame)), "it was written before");
                }
            });
        });
    }
}

/// There and back between two threads that sleep until they are told.
fn wake_up(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("queue/wake_up");
    let (mut near, mut far) = (Owner::new(), Owner::new());
    let (to_near, to_far) = (near.inbox.clone(), far.inbox.clone());
    let colleague = Colleague::new(move || {
        move |count| {
            for _ in 0..count {
                while far.take() == 0 {}
                to_near.post(1);
            }
        }
    });
    group.bench_function("there_and_back", |bencher| {
        bencher.iter_custom(|count| {
            colleague.start(count);
            let start = Instant::now();
            for _ in 0..count {
                to_far.post(1);
                while near.take() == 0 {}
            }
            let elapsed = start.elapsed();
            colleague.finish();
            elapsed
        });
    });
}
