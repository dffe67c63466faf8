//! End to end: messages from thread to thread through sockets, over every transport and with both
//! drivers: how many, how soon, and there and back.
//!
//! Deliberately absent: libzmq, and processes. Those are `perf`'s.

use std::sync::mpsc;
use std::time::Instant;

use benches::{Caller, Colleague, Ground, IoThreads, socket, transport};
use criterion::{BenchmarkId, Criterion, Throughput};
use zring::{AnyContext, LocalContext, Message, Pair, Pull, Push, Rep, Req, Socket, Wait};

const SIZES: [usize; 2] = [64, 16 * 1024];

fn main() {
    benches::run(|criterion| {
        throughput::<IoThreads>(criterion);
        throughput::<Caller>(criterion);
        throughput_on_one_thread(criterion);
        latency::<IoThreads>(criterion);
        latency::<Caller>(criterion);
        latency_while_spinning(criterion);
        request_reply::<IoThreads>(criterion);
        request_reply::<Caller>(criterion);
    });
}

/// PUSH to PULL: a message counts when it is received.
fn throughput<G: Ground>(criterion: &mut Criterion) {
    for &endpoint in G::ENDPOINTS {
        let name = format!("throughput/{}/{}", G::NAME, transport(endpoint));
        let mut group = criterion.benchmark_group(name);
        group.throughput(Throughput::Elements(1));
        for size in SIZES {
            let context = G::context();
            let mut pull: Pull<G::Driver> = socket(&context);
            let endpoint = pull.bind(endpoint).expect("a wildcard is free");
            let seed = G::seed(&context);
            let pushing = Colleague::new(move || push_to::<G>(seed, &endpoint, size));
            let mut message = Message::new();
            group.bench_function(BenchmarkId::from_parameter(size), |bencher| {
                bencher.iter_custom(|count| {
                    let start = Instant::now();
                    pushing.start(count);
                    for _ in 0..count {
                        pull.recv_into(&mut message).expect("a message comes");
                    }
                    let elapsed = start.elapsed();
                    pushing.finish();
                    elapsed
                });
            });
        }
    }
}

/// What pushes messages of this size, as many as it is told.
fn push_to<G: Ground>(seed: G::Seed, endpoint: &str, size: usize) -> impl FnMut(u64) + use<G> {
    let context = G::grow(seed);
    let mut push: Push<G::Driver> = socket(&context);
    push.connect(endpoint).expect("the endpoint is good");
    let body = vec![7; size];
    move |count| {
        for _ in 0..count {
            push.send(&body).expect("room comes");
        }
        G::finish(&mut push);
    }
}

/// As above over inproc, where a caller-driven context has both ends on its one thread.
fn throughput_on_one_thread(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("throughput/caller/inproc");
    group.throughput(Throughput::Elements(1));
    for size in SIZES {
        let context = LocalContext::new(Wait::Block);
        let mut pull: Pull<zring::Caller> = socket(&context);
        let mut push: Push<zring::Caller> = socket(&context);
        pull.bind("inproc://bench").expect("the name is free");
        push.connect("inproc://bench").expect("it is bound");
        let body = vec![7; size];
        let mut message = Message::new();
        group.bench_function(BenchmarkId::from_parameter(size), |bencher| {
            bencher.iter(|| {
                push.send(&body).expect("there is room");
                pull.recv_into(&mut message).expect("it was sent");
            });
        });
    }
}

/// One message of 64 bytes there and back between two PAIR sockets whose threads sleep: twice the
/// latency of one.
fn latency<G: Ground>(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group(format!("latency/{}", G::NAME));
    for &endpoint in G::ENDPOINTS {
        let context = G::context();
        let mut near: Pair<G::Driver> = socket(&context);
        let endpoint = near.bind(endpoint).expect("a wildcard is free");
        let seed = G::seed(&context);
        let name = BenchmarkId::from_parameter(transport(&endpoint));
        let _echo = Colleague::once(move || echo_from(&G::grow(seed), &endpoint));
        group.bench_function(name, |bencher| bencher.iter(|| ask(&mut near)));
        near.send("").expect("the peer has room");
    }
}

/// As above, where neither side sleeps.
fn latency_while_spinning(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("latency/caller_spinning");
    let context = LocalContext::new(Wait::Spin);
    let mut near: Pair<zring::Caller> = socket(&context);
    let endpoint = near.bind("tcp://127.0.0.1:*").expect("a wildcard is free");
    let _echo = Colleague::once(move || echo_from(&LocalContext::new(Wait::Spin), &endpoint));
    group.bench_function("tcp", |bencher| bencher.iter(|| ask(&mut near)));
    near.send("").expect("the peer has room");
}

/// Answers at this endpoint until it is told to stop.
fn echo_from(context: &impl AnyContext, endpoint: &str) {
    let mut far: Socket<zring::pattern::Pair, _> = socket(context);
    far.connect(endpoint).expect("the endpoint is good");
    echo(&mut far);
}

/// REQ and REP, 64 bytes each way.
fn request_reply<G: Ground>(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group(format!("request_reply/{}", G::NAME));
    for &endpoint in G::ENDPOINTS {
        let context = G::context();
        let seed = G::seed(&context);
        let (told, heard) = mpsc::channel();
        let echoing = Colleague::once(move || {
            let context = G::grow(seed);
            let mut rep: Rep<G::Driver> = socket(&context);
            let endpoint = rep.bind(endpoint).expect("a wildcard is free");
            told.send(endpoint).expect("somebody asks for it");
            echo(&mut rep);
        });
        let mut req: Req<G::Driver> = socket(&context);
        let bound: String = heard.recv().expect("the other side binds");
        req.connect(&bound).expect("the endpoint is good");
        let name = BenchmarkId::from_parameter(transport(endpoint));
        group.bench_function(name, |bencher| bencher.iter(|| ask(&mut req)));
        req.send("").expect("the peer has room");
        // Before the socket, whose last message may still be on its way.
        drop(echoing);
    }
}

/// Sends a message and waits for what comes back.
fn ask<P, D>(socket: &mut Socket<P, D>) -> Message
where
    P: zring::pattern::Sends + zring::pattern::Receives,
    D: zring::Driver,
{
    socket.send(&[7; 64]).expect("the peer has room");
    socket.recv().expect("the peer answers")
}

/// Sends back what comes, until an empty message does.
fn echo<P, D>(socket: &mut Socket<P, D>)
where
    P: zring::pattern::Sends + zring::pattern::Receives,
    D: zring::Driver,
{
    loop {
        let message = socket.recv().expect("the peer asks");
        if message.is_empty() {
            return;
        }
        socket.send(&message).expect("the peer has room");
    }
}
