//! Subscriptions are state: neither a full queue nor a lost connection costs one.
//!
//! The publisher is a raw one, for what it is told is the claim, byte by byte.

use std::collections::BTreeSet;
use std::io::Write;
use std::time::Duration;

use rustix::net::sockopt::set_socket_recv_buffer_size;
use tests::{Cell, Ground, cells};
use zring::{Sub, XSub};

use crate::raw::{accept, dial, frame, greeting_of, handshake, hear, listen, ready};

const TOPICS: usize = 5000;
/// Of one of them, in bytes. All together are more than the kernel takes for a reader that is late.
const TOPIC_SIZE: usize = 200;
/// What the kernel may have on each side, in bytes.
const BUFFER_SIZE: usize = 4096;

fn topic(index: usize) -> Vec<u8> {
    let mut topic = format!("{index:04}").into_bytes();
    topic.resize(TOPIC_SIZE, b'.');
    topic
}

/// A subscription, or its end, as a publisher of ZMTP 3 with this minor version is told of it.
fn told(minor: u8, is_wanted: bool, topic: &[u8]) -> Vec<u8> {
    let (flags, lead) = match (minor, is_wanted) {
        (0, true) => (0, &b"\x01"[..]),
        (0, false) => (0, &b"\x00"[..]),
        (_, true) => (4, &b"\x09SUBSCRIBE"[..]),
        (_, false) => (4, &b"\x06CANCEL"[..]),
    };
    frame(flags, &[lead, topic].concat())
}

/// The topics that are subscribed to in messages of ZMTP 3.0, sorted.
fn topics_in(mut bytes: &[u8]) -> Vec<&[u8]> {
    let mut topics = Vec::new();
    while let [0, len, 1, rest @ ..] = bytes {
        let (topic, rest) = rest.split_at(usize::from(*len) - 1);
        topics.push(topic);
        bytes = rest;
    }
    assert_eq!(bytes, [], "another frame");
    topics.sort_unstable();
    topics
}

/// How many frames of ZMTP 3.0 these are, and which topics are wanted behind them.
fn wanted_by(mut bytes: &[u8]) -> (usize, BTreeSet<&[u8]>) {
    let (mut count, mut wanted) = (0, BTreeSet::new());
    while let [0, len, is_wanted, rest @ ..] = bytes {
        let (topic, rest) = rest.split_at(usize::from(*len) - 1);
        if *is_wanted == 1 {
            wanted.insert(topic)
        } else {
            wanted.remove(topic)
        };
        (bytes, count) = (rest, count + 1);
    }
    assert_eq!(bytes, [], "another frame");
    (count, wanted)
}

/// Nobody hears it, for nobody has said hello, or for who has does not read.
fn a_mind_that_changes_for_ever_comes_to_what_is_wanted<G: Ground>(cell: &Cell<G>) {
    const CHANGES: usize = 50_000;
    let hello = handshake("SUB").len();
    for is_absent in [true, false] {
        let (listener, endpoint) = listen();
        set_socket_recv_buffer_size(&listener, BUFFER_SIZE).unwrap();
        let mut sub = Sub::builder().send_buffer(Some(BUFFER_SIZE)).build(&cell.context).unwrap();
        sub.connect(&endpoint).unwrap();
        let mut publisher = accept(cell, &listener);
        let mut heard = Vec::new();
        if !is_absent {
            publisher.write_all(&handshake("PUB")).unwrap();
            hear(cell, &mut publisher, &mut heard, |heard| heard.len() >= hello);
        }
        sub.subscribe("kept").unwrap();
        for _ in 0..CHANGES {
            sub.subscribe("t").unwrap();
            sub.unsubscribe("t").unwrap();
        }
        // Sorted behind the others, so that it comes last however it is told.
        sub.subscribe("z").unwrap();
        if is_absent {
            publisher.write_all(&handshake("PUB")).unwrap();
        }
        let end = told(0, true, b"z");
        hear(cell, &mut publisher, &mut heard, |heard| heard.ends_with(&end));
        let (count, wanted) = wanted_by(&heard[hello..]);
        assert_eq!(wanted, BTreeSet::from([&b"kept"[..], b"z"]));
        assert!(count < CHANGES, "{count} frames for {} calls", 2 * CHANGES + 2);
    }
}

/// Half of them are there before the connection, and half come while it takes nothing.
fn no_subscription_is_lost_at_the_mark<G: Ground>(cell: &Cell<G>) {
    let (listener, endpoint) = listen();
    set_socket_recv_buffer_size(&listener, BUFFER_SIZE).unwrap();
    let builder = XSub::builder().send_high_water_mark(1).send_buffer(Some(BUFFER_SIZE));
    let builder = builder.reconnect_interval(Some(Duration::from_millis(1)));
    let mut sub = builder.build(&cell.context).unwrap();
    let (early, late) = (0..TOPICS / 2, TOPICS / 2..TOPICS);
    early.for_each(|index| sub.subscribe(topic(index)).unwrap());
    sub.connect(&endpoint).unwrap();
    let mut late = Some(late);
    let mut expected: Vec<_> = (0..TOPICS).map(topic).collect();
    let hello = handshake("XSUB").len();
    for life in 1..=3 {
        let mut publisher = accept(cell, &listener);
        publisher.write_all(&handshake("PUB")).unwrap();
        let mut heard = Vec::new();
        hear(cell, &mut publisher, &mut heard, |heard| heard.len() >= hello);
        late.take().into_iter().flatten().for_each(|index| sub.subscribe(topic(index)).unwrap());
        // Told behind all others, so that with it nothing is still to come.
        let last = format!("last {life}").into_bytes();
        sub.subscribe(&last).unwrap();
        let end = told(0, true, &last);
        hear(cell, &mut publisher, &mut heard, |heard| heard.ends_with(&end));
        expected.push(last);
        assert!(topics_in(&heard[hello..]) == expected, "in life {life}");
    }
}

/// A listener has nothing to replay to who comes, and tells it all.
fn a_publisher_that_comes_late_is_told_all_at_a_mark_of_one<G: Ground>(cell: &Cell<G>) {
    let builder = XSub::builder().send_high_water_mark(1).send_buffer(Some(BUFFER_SIZE));
    let mut sub = builder.build(&cell.context).unwrap();
    let endpoint = sub.bind(&cell.endpoint()).unwrap();
    (0..TOPICS).for_each(|index| sub.subscribe(topic(index)).unwrap());
    let mut expected: Vec<_> = (0..TOPICS).map(topic).collect();
    let hello = handshake("XSUB").len();
    let mut publisher = dial(&endpoint, &handshake("PUB"));
    cell.until(|| sub.peers() == 1);
    sub.subscribe("last").unwrap();
    let (mut heard, end) = (Vec::new(), told(0, true, b"last"));
    hear(cell, &mut publisher, &mut heard, |heard| heard.ends_with(&end));
    expected.push(b"last".to_vec());
    assert!(topics_in(&heard[hello..]) == expected);
}

/// In which version it is told what follows from its own greeting, at each connection anew.
fn a_publisher_that_comes_back_is_told_what_is_still_wanted<G: Ground>(cell: &Cell<G>) {
    let hello = handshake("SUB").len();
    for minors in [[0, 1], [1, 0], [0, 0], [1, 1]] {
        cell.watchdog.pat();
        let greetings =
            minors.map(|minor| [greeting_of([3, minor], b"NULL"), ready("PUB")].concat());
        let (listener, endpoint) = listen();
        let interval = Some(Duration::from_millis(1));
        let mut sub = Sub::builder().reconnect_interval(interval).build(&cell.context).unwrap();
        sub.connect(&endpoint).unwrap();
        let mut publisher = accept(cell, &listener);
        publisher.write_all(&greetings[0]).unwrap();
        ["a", "b", "b", "c"].iter().for_each(|topic| sub.subscribe(topic).unwrap());
        ["c", "b"].iter().for_each(|topic| sub.unsubscribe(topic).unwrap());
        let subscribed = [b"a", b"b", b"b", b"c"].map(|topic| told(minors[0], true, topic));
        let expected = [subscribed.concat(), told(minors[0], false, b"c")].concat();
        let mut heard = Vec::new();
        let len = hello + expected.len();
        hear(cell, &mut publisher, &mut heard, |heard| heard.len() >= len);
        assert_eq!(heard[hello..], expected, "{minors:?}");

        drop(publisher);
        let mut publisher = accept(cell, &listener);
        sub.subscribe("d").unwrap();
        publisher.write_all(&greetings[1]).unwrap();
        let mut expected = [b"a", b"b", b"d"].map(|topic| told(minors[1], true, topic)).concat();
        let mut heard = Vec::new();
        let len = hello + expected.len();
        hear(cell, &mut publisher, &mut heard, |heard| heard.len() >= len);
        // Nothing was between the replay and what is told now.
        sub.subscribe("e").unwrap();
        expected.extend(told(minors[1], true, b"e"));
        let len = hello + expected.len();
        hear(cell, &mut publisher, &mut heard, |heard| heard.len() >= len);
        assert_eq!(heard[hello..], expected, "{minors:?}");
    }
}

cells!(
    [Threads, Caller] x [Tcp]:
    no_subscription_is_lost_at_the_mark,
    a_publisher_that_comes_late_is_told_all_at_a_mark_of_one,
    a_mind_that_changes_for_ever_comes_to_what_is_wanted,
    a_publisher_that_comes_back_is_told_what_is_still_wanted,
);
