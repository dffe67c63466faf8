//! The log: what an append costs with 1, 64 and 256 readers, which should be the same.
//!
//! Deliberately absent: the reading, which is not measured.

use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput};
use zring::{Context, Message, Sub, XPub};
use zring_engine::log::{Reader, Writer};
use zring_transports::pipe::log_pools;

const READERS: [usize; 3] = [1, 64, 256];
const BODY: [u8; 64] = [7; 64];
/// Messages that are measured at a stretch; then everyone reads, which is not measured. Below the
/// high-water mark.
const BURST: u64 = 500;
/// Bursts of one sample at least, so that there is a median.
const BURSTS_MIN: u64 = 15;
/// What is measured lasts so long at most, and less with more subscribers: the more there are, the
/// longer it takes besides until all have read.
const PUBLISH_TIME: Duration = Duration::from_secs(4);

fn main() {
    benches::run(|criterion| {
        append(criterion);
        publish(criterion);
    });
}

/// Measures bursts of `write`, with `read` after each that is not measured. The median burst stands
/// for all: one in which the thread lost its core to an I/O thread says nothing about `write`.
fn in_bursts(bursts: u64, mut write: impl FnMut(), mut read: impl FnMut()) -> Duration {
    let measure = |_| {
        let start = Instant::now();
        (0..BURST).for_each(|_| write());
        let elapsed = start.elapsed();
        read();
        elapsed
    };
    let mut elapsed: Vec<Duration> = (0..bursts.max(BURSTS_MIN)).map(measure).collect();
    elapsed.sort_unstable();
    elapsed[elapsed.len() / 2] * u32::try_from(bursts).unwrap_or(u32::MAX)
}

/// The engine's part: readers of one shared log.
fn append(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("log/append");
    group.throughput(Throughput::Elements(BURST));
    for count in READERS {
        let mut writer = Writer::<()>::shared(log_pools());
        let mut readers: Vec<_> = (0..count).map(|_| writer.reader()).collect();
        let read = |reader: &mut Reader<()>| while reader.next_run().is_some() {};
        group.bench_function(BenchmarkId::from_parameter(count), |bencher| {
            bencher.iter_custom(|bursts| {
                let write = || {
                    writer.append(&[0, 64], &BODY);
                    writer.publish(1);
                };
                in_bursts(bursts, write, || readers.iter_mut().for_each(read))
            });
        });
    }
}

/// The time in `send`: subscribers over tcp, all below their high-water mark.
fn publish(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("log/publish_tcp");
    group.throughput(Throughput::Elements(BURST));
    let contexts = contexts();
    for count in READERS {
        let (mut publisher, mut subscribers) = meet(count, &contexts);
        group.measurement_time(PUBLISH_TIME / (count as u32 + 1));
        let mut message = Message::new();
        let mut read = |subscriber: &mut Sub| {
            for _ in 0..BURST {
                subscriber.recv_into(&mut message).expect("nothing is dropped");
            }
        };
        group.bench_function(BenchmarkId::from_parameter(count), |bencher| {
            bencher.iter_custom(|bursts| {
                let write = || publisher.send(&BODY).expect("a publisher does not wait");
                in_bursts(bursts, write, || subscribers.iter_mut().for_each(&mut read))
            });
        });
    }
}

/// The publisher's, and its subscribers', with their I/O threads on another core than this thread:
/// the first message of a burst wakes one, which would take this thread's place.
fn contexts() -> [Context; 2] {
    let cores = core_affinity::get_core_ids().unwrap_or_default();
    let last = cores.last().map(|core| core.id);
    let context = || Context::builder().pin(last).build().expect("the core is there");
    let contexts = [context(), context()];
    if let Some(first) = cores.first() {
        core_affinity::set_for_current(*first);
    }
    contexts
}

/// A publisher, and subscribers that take everything. They have a topic each besides: its coming
/// says that the publisher knows them.
fn meet(count: usize, [near, far]: &[Context; 2]) -> (XPub, Vec<Sub>) {
    let mut publisher = XPub::new(near).expect("a socket can be made");
    let endpoint = publisher.bind("tcp://127.0.0.1:*").expect("there is a free port");
    let subscriber = |index: usize| {
        let mut subscriber = Sub::new(far).expect("a socket can be made");
        subscriber.subscribe("").expect("it is open");
        subscriber.subscribe(format!("subscriber {index}")).expect("it is open");
        subscriber.connect(&endpoint).expect("the endpoint is good");
        subscriber
    };
    let subscribers = (0..count).map(subscriber).collect();
    let mut known = 0;
    while known < count {
        let report = publisher.recv().expect("subscribers come");
        known += usize::from(report.len() > 1);
    }
    (publisher, subscribers)
}
