//! Crowds: a subscriber that does not read harms nobody else, and hundreds of them are served.
//!
//! Deliberately absent: how fast the others are. That is `perf`'s row of a stalled subscriber.

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::time::Duration;

use rustix::net::sockopt::set_socket_send_buffer_size;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tests::bytes::{body, number};
use tests::{Caller, Cell, Ground, Threads, Transport, cells};
use zring::{PeerMisbehaved, Pub, Sub, XPub};

use crate::raw::{accept, dial, frame, handshake, hear_more, listen, long_header};
use crate::{child_arguments, run_child, tell_done};

const SUBSCRIBERS: usize = 500;
/// Tests with so many that may run at once.
const CROWDS: usize = 6;
/// What one of them takes: both ends of each connection, and some for its context.
const DESCRIPTORS: usize = 2 * SUBSCRIBERS + 20;
/// What all other tests of this process take meanwhile, and the harness.
const OTHER_DESCRIPTORS: usize = 500;
/// Of one message, in bytes.
const SIZE: usize = 4096;
/// Messages that are published before a subscriber that reads has to read.
const BATCH: usize = 100;
/// What is published in all: more than could hide in memory.
const PUBLISHED: usize = 200 << 20;
/// How much this process may grow meanwhile: for the stalled subscriber it keeps 1000 messages.
const GROWTH_MAX: usize = 40 << 20;

/// Bytes of subscriptions that the kernel may hold on both sides, and more.
const MINDS_MAX: usize = 16 << 20;

/// Physical memory of this process, in bytes.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    let kib: usize = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib << 10
}

fn stall<G: Ground>(cell: &Cell<G>) {
    let mut publisher = Pub::new(&cell.context).unwrap();
    let endpoint = publisher.bind(&cell.endpoint()).unwrap();
    let mut subs = [(); 2].map(|()| {
        let mut sub = Sub::new(&cell.context).unwrap();
        sub.subscribe("").unwrap();
        sub.connect(&endpoint).unwrap();
        sub
    });
    let mut heard = [false; 2];
    cell.until(|| {
        publisher.send("are you there").unwrap();
        publisher.flush().unwrap();
        for (sub, heard) in subs.iter_mut().zip(&mut heard) {
            *heard |= sub.try_recv().is_ok();
        }
        heard == [true; 2]
    });
    publisher.send("now").unwrap();
    publisher.flush().unwrap();
    for sub in &mut subs {
        while sub.recv().unwrap() != "now" {}
    }
    let subscription = frame(0, b"\x01");
    let stalled = dial(&endpoint, &[handshake("SUB"), subscription].concat());
    cell.until(|| publisher.peers() == 3);
    let message = body(0, SIZE);
    let before = resident();
    let mut most = before;
    for round in 0..PUBLISHED / SIZE / BATCH {
        cell.watchdog.pat();
        for _ in 0..BATCH {
            publisher.send_more(&number(round as u64)).unwrap();
            publisher.send(&message).unwrap();
        }
        publisher.flush().unwrap();
        for sub in &mut subs {
            for _ in 0..BATCH {
                let frames = sub.recv_multipart().unwrap();
                assert!(frames[0] == number(round as u64)[..] && frames[1] == message[..]);
            }
        }
        most = most.max(resident());
    }
    let mut dropped: Vec<_> = publisher.counters().iter().map(|pipe| pipe.dropped).collect();
    dropped.sort_unstable();
    assert_eq!(dropped[..2], [0, 0]);
    assert!(dropped[2] > 0, "the stalled subscriber was kept everything");
    let growth = most - before;
    assert!(growth < GROWTH_MAX, "grew by {growth} bytes");
    drop(stalled);
    cell.until(|| publisher.peers() == 2);
}

/// Where nobody else grows.
#[test]
#[ignore = "a child's part"]
fn child_stalls() {
    match &child_arguments!()[0][..] {
        "threads" => stall(&Cell::<Threads>::new(Transport::Tcp)),
        _ => stall(&Cell::<Caller>::new(Transport::Tcp)),
    }
    tell_done();
}

#[test]
fn a_stalled_subscriber_costs_others_nothing_and_little_memory() {
    run_child("crowds::child_stalls", &["threads"]);
    run_child("crowds::child_stalls", &["caller"]);
}

/// Raises this process's limit of open files as far as it may be.
fn allow_crowds() {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let wanted = (threads.min(CROWDS) * DESCRIPTORS + OTHER_DESCRIPTORS) as u64;
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).unwrap();
    let is_enough = limit.maximum.is_none_or(|maximum| maximum >= wanted);
    assert!(is_enough, "needs a hard limit of {wanted} open files (RLIMIT_NOFILE): {limit:?}");
}

/// A topic of one subscriber alone.
fn topic(index: usize) -> String {
    format!("one {index:03}")
}

fn every_one_of_500_subscribers_hears<G: Ground>(cell: &Cell<G>) {
    allow_crowds();
    let mut publisher = XPub::new(&cell.context).unwrap();
    let endpoint = publisher.bind(&cell.endpoint()).unwrap();
    let mut subs = Vec::new();
    for index in 0..SUBSCRIBERS {
        let mut sub = Sub::new(&cell.context).unwrap();
        // Told in this order, so that with the second the first is in effect.
        sub.subscribe("all").unwrap();
        sub.subscribe(topic(index)).unwrap();
        sub.connect(&endpoint).unwrap();
        subs.push(sub);
    }
    let mut reports = 0;
    while reports < SUBSCRIBERS {
        reports += usize::from(publisher.recv().unwrap().starts_with(b"\x01one "));
        cell.watchdog.pat();
    }
    assert_eq!(publisher.peers(), SUBSCRIBERS);
    for value in 0..3 {
        publisher.send_multipart([b"all", &number(value)[..]]).unwrap();
    }
    for index in 0..SUBSCRIBERS {
        publisher.send(topic(index)).unwrap();
    }
    publisher.flush().unwrap();
    for (index, sub) in subs.iter_mut().enumerate() {
        cell.watchdog.pat();
        for value in 0..3 {
            assert_eq!(sub.recv_multipart().unwrap(), [b"all", &number(value)[..]]);
        }
        assert_eq!(sub.recv().unwrap(), topic(index));
    }
}

cells!([Threads, TwoThreads, Caller] x [Tcp, Ipc]: every_one_of_500_subscribers_hears);

/// It waits for the publisher to look, in the kernel, and not in this process's memory.
fn a_peer_that_changes_its_mind_for_ever_waits<G: Ground>(cell: &Cell<G>) {
    // What waits in the kernel is read in the end, four bytes at a time.
    let buffer = 64 * 1024;
    let builder = XPub::builder().receive_buffer(Some(buffer));
    let mut publisher = builder.build(&cell.context).unwrap();
    let endpoint = publisher.bind(&cell.endpoint()).unwrap();
    let mut fickle = dial(&endpoint, &handshake("SUB"));
    set_socket_send_buffer_size(&fickle, buffer).unwrap();
    cell.until(|| publisher.peers() == 1);
    let minds = [frame(0, b"\x01a"), frame(0, b"\x00a")].concat().repeat(10_000);
    fickle.set_nonblocking(true).unwrap();
    let (mut said, mut waits) = (0, 0);
    cell.until(|| {
        let len = fickle.write(&minds[said % minds.len()..]).unwrap_or(0);
        assert!(said < MINDS_MAX, "{said} bytes of subscriptions were taken");
        said += len;
        waits = if len > 0 { 0 } else { waits + 1 };
        waits == 1000
    });
    let is_end = |report: &[u8]| report == b"\0a";
    while !is_end(&publisher.recv().unwrap()) {}
    cell.until(|| {
        while publisher.try_recv().is_ok() {}
        fickle.write(&minds[said % minds.len()..]).is_ok()
    });
}

cells!([Threads, Caller] x [Tcp]: a_peer_that_changes_its_mind_for_ever_waits);

/// Prefixes of each other, so that few bytes of memory hold long topics. What is too much comes in
/// a burst of short ones, behind which the subscriber goes: there is more than a share of a turn.
fn a_subscriber_of_too_much_is_sent_away<G: Ground>(cell: &Cell<G>) {
    const SIZE_MAX: u64 = 256 << 20;
    let mut publisher = Pub::new(&cell.context).unwrap();
    let endpoint = publisher.bind(&cell.endpoint()).unwrap();
    let mut greedy = dial(&endpoint, &handshake("SUB"));
    greedy.set_nonblocking(true).unwrap();
    let topic = vec![b'a'; 1 << 20];
    let long = (1..256).map(|less| {
        let topic = &topic[less..];
        [&long_header(0, topic.len() as u64 + 1)[..], b"\x01", topic].concat()
    });
    let short = (0..30_000).flat_map(|index| frame(0, format!("\u{1}{index}").as_bytes()));
    for said in long.chain([short.collect()]) {
        let mut rest = &said[..];
        cell.until(|| {
            let len = greedy.write(rest).unwrap_or(0);
            rest = &rest[len..];
            rest.is_empty() || publisher.rejections().count == 1
        });
        cell.watchdog.pat();
    }
    // It is refused without that, too.
    let _result = greedy.shutdown(Shutdown::Write);
    cell.until(|| publisher.rejections().count == 1);
    let error = PeerMisbehaved::TooManySubscriptions { size_max: SIZE_MAX };
    assert_eq!(publisher.rejections().last.unwrap().error, error.into());
    cell.until(|| publisher.peers() == 0);
    publisher.send("it goes on").unwrap();
}

/// Its topics stay when it goes, as libzmq's do, since it may come back.
fn topics_of_earlier_subscribers_do_not_shut_out_who_comes_next<G: Ground>(cell: &Cell<G>) {
    const TOPICS: usize = 130;
    let (listener, endpoint) = listen();
    let interval = Some(Duration::from_millis(1));
    let mut publisher = Pub::builder().reconnect_interval(interval).build(&cell.context).unwrap();
    publisher.connect(&endpoint).unwrap();
    // The second one finds no room for its last topics, and then there are those of nobody else.
    for (letter, is_taken) in [(b'a', true), (b'b', false), (b'b', true)] {
        let mut subscriber = accept(cell, &listener);
        subscriber.set_nonblocking(true).unwrap();
        let topic = vec![letter; 1 << 20];
        let topics = (0..TOPICS).map(|less| {
            let topic = &topic[less..];
            [&long_header(0, topic.len() as u64 + 1)[..], b"\x01", topic].concat()
        });
        let (mut heard, mut is_closed) = (Vec::new(), false);
        let parts = [handshake("SUB")].into_iter().chain(topics);
        for said in parts.chain([frame(4, b"\x04PING\0\0")]) {
            cell.watchdog.pat();
            let mut rest = &said[..];
            cell.until(|| {
                match subscriber.write(rest) {
                    Ok(len) => rest = &rest[len..],
                    Err(error) => is_closed |= error.kind() != ErrorKind::WouldBlock,
                }
                while hear_more(&mut subscriber, &mut heard) {}
                is_closed || rest.is_empty()
            });
        }
        let has_answered = |heard: &[u8]| heard.ends_with(b"\x04PONG");
        cell.until(|| {
            let mut bytes = [0; 64];
            match subscriber.read(&mut bytes) {
                Ok(len) => {
                    is_closed |= len == 0;
                    heard.extend(&bytes[..len]);
                }
                Err(error) => is_closed |= error.kind() != ErrorKind::WouldBlock,
            }
            is_closed || has_answered(&heard)
        });
        assert_eq!(has_answered(&heard), is_taken, "{letter}");
    }
    assert_eq!(publisher.rejections().count, 0);
}

cells!([Threads] x [Tcp]: a_subscriber_of_too_much_is_sent_away);
cells!([Threads] x [Tcp]: topics_of_earlier_subscribers_do_not_shut_out_who_comes_next);
