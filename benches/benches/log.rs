//! The log: what an append costs with 1, 64 and 256 readers, which should be the same.

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
/// What is measured lasts so long for one subscriber, and less for more of them: the more there
/// are, the longer it takes besides until all have read.
const PUBLISH_TIME: Duration = Duration::from_secs(2);

fn main() {
    benches::run(|criterion| {
        append(criterion);
        publish(criterion);
    });
}

/// Measures bursts of `write`, with `read` after each that is not measured.
fn in_bursts(asked: u64, mut write: impl FnMut(), mut read: impl FnMut(u64)) -> Duration {
    let mut elapsed = Duration::ZERO;
    let mut left = asked;
    while left > 0 {
        let burst = BURST.min(left);
        let start = Instant::now();
        (0..burst).for_each(|_| write());
        elapsed += start.elapsed();
        read(burst);
        left -= burst;
    }
    elapsed
}

/// The engine's part: readers of one shared log.
fn append(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("log/append");
    group.throughput(Throughput::Elements(1));
    for count in READERS {
        let mut writer = Writer::<()>::shared(log_pools());
        let mut readers: Vec<_> = (0..count).map(|_| writer.reader()).collect();
        let read = |reader: &mut Reader<()>| while reader.next_run().is_some() {};
        group.bench_function(BenchmarkId::from_parameter(count), |bencher| {
            bencher.iter_custom(|asked| {
                let write = || {
                    writer.append(&[0, 64], &BODY);
                    writer.publish(1);
                };
                in_bursts(asked, write, |_| readers.iter_mut().for_each(read))
            });
        });
    }
}

/// The time in `send`: subscribers over tcp, all below their high-water mark.
fn publish(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("log/publish_tcp");
    group.throughput(Throughput::Elements(1));
    for count in READERS {
        let (mut publisher, mut subscribers) = meet(count);
        group.measurement_time(PUBLISH_TIME / (count as u32 + 1));
        let mut message = Message::new();
        let mut read = |subscriber: &mut Sub, burst| {
            for _ in 0..burst {
                subscriber.recv_into(&mut message).expect("nothing is dropped");
            }
        };
        group.bench_function(BenchmarkId::from_parameter(count), |bencher| {
            bencher.iter_custom(|asked| {
                let write = || publisher.send(&BODY).expect("a publisher does not wait");
                let read = |burst| subscribers.iter_mut().for_each(|sub| read(sub, burst));
                in_bursts(asked, write, read)
            });
        });
    }
}

/// A publisher, and subscribers that take everything. They have a topic each besides: its coming
/// says that the publisher knows them.
fn meet(count: usize) -> (XPub, Vec<Sub>) {
    let (near, far) = (Context::new(), Context::new());
    let mut publisher = XPub::new(&near).expect("a socket can be made");
    let endpoint = publisher.bind("tcp://127.0.0.1:*").expect("there is a free port");
    let subscriber = |index: usize| {
        let mut subscriber = Sub::new(&far).expect("a socket can be made");
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
