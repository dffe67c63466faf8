//! Claims about the walk, without a kernel: a test says what each connection takes, and when.

use proptest::prelude::*;

use super::*;
use crate::pipe::Counters;
use crate::worker::Crew;

/// A publisher with a log that turns nodes over every few frames, and its walk.
struct Fixture {
    log: FanOutLog,
    fan_out: FanOut,
    subscribers: Vec<Subscriber>,
    published: Vec<Vec<u8>>,
}

/// One connection, and what arrived there.
struct Subscriber {
    key: MemberKey,
    counters: Arc<Counters>,
    wire: Vec<u8>,
}

impl Fixture {
    /// With a subscriber for each of these marks, connected and without topics.
    fn new(marks: &[usize]) -> Self {
        Self::with(marks, false)
    }

    fn with(marks: &[usize], is_lossless: bool) -> Self {
        let inbox = Arc::new(SocketInbox::new(Default::default()));
        let mut log = FanOutLog::new(LogPools::new(16, 1024), false);
        let feed = log.feed(Crew::new(1).mailbox(0), 0);
        let fan_out = FanOut::new(feed, inbox, is_lossless);
        let mut fixture = Self { log, fan_out, subscribers: Vec::new(), published: Vec::new() };
        marks.iter().for_each(|&mark| fixture.join(mark, &[]));
        fixture
    }

    fn join(&mut self, mark: usize, topics: &[&[u8]]) {
        let counters = Arc::new(Counters::default());
        let key = self.fan_out.join(self.subscribers.len(), mark, counters.clone());
        self.fan_out.set_connected(key, true);
        topics.iter().for_each(|topic| self.fan_out.subscribe(key, topic));
        self.subscribers.push(Subscriber { key, counters, wire: Vec::new() });
    }

    fn subscribe(&mut self, index: usize, topic: &[u8]) {
        self.fan_out.subscribe(self.subscribers[index].key, topic);
    }

    /// Publishes a message of these frames.
    fn publish(&mut self, frames: &[Vec<u8>]) {
        let mut wire = Vec::new();
        for (index, body) in frames.iter().enumerate() {
            let has_more = index + 1 < frames.len();
            let (header, len) = zring_zmtp::frame::encode(has_more, false, body.len());
            wire.extend_from_slice(&header[..len]);
            wire.extend_from_slice(body);
            self.log.write(&Payload::from(body.clone()), has_more);
        }
        self.published.push(wire);
    }

    /// Publishes a message of that many bytes behind its topic.
    fn publish_sized(&mut self, topic: u8, len: usize) {
        self.publish(&[[&[topic][..], &vec![0; len]].concat()]);
    }

    /// Walks once. True: more is to be walked.
    fn walk(&mut self) -> bool {
        self.fan_out.walk(&mut Vec::new())
    }

    /// One subscriber's connection takes up to `len` bytes. False: there are none.
    fn take(&mut self, index: usize, len: usize) -> bool {
        let Subscriber { key, wire, .. } = &mut self.subscribers[index];
        let Some((taken, messages)) = self.fan_out.sending(*key).take(len) else { return false };
        wire.extend_from_slice(&taken);
        self.fan_out.count_sent(*key, messages, taken.len() as u64);
        true
    }

    /// Walks and sends until nothing moves.
    fn settle(&mut self) {
        loop {
            let has_more = self.walk();
            let taken = (0..self.subscribers.len()).filter(|&index| self.take(index, usize::MAX));
            if taken.count() == 0 && !has_more {
                break;
            }
        }
    }

    fn block(&mut self, index: usize) {
        self.fan_out.sending(self.subscribers[index].key).block();
    }

    fn unblock(&mut self, index: usize) {
        self.fan_out.sending(self.subscribers[index].key).handle_writable();
    }

    /// Messages meant for a subscriber that fitted its mark, that were sent, and that were dropped.
    fn counters(&self, index: usize) -> (u64, u64, u64) {
        let counters = &self.subscribers[index].counters;
        let [accepted, sent, dropped] = [&counters.accepted, &counters.sent, &counters.dropped]
            .map(|counter| counter.load(Ordering::Relaxed));
        (accepted, sent, dropped)
    }

    /// Whether a subscriber got these messages and no others.
    fn check(&self, index: usize, expected: impl IntoIterator<Item = usize>) {
        let wires = expected.into_iter().map(|message| &self.published[message][..]);
        let expected: Vec<u8> = wires.collect::<Vec<_>>().concat();
        let wire = &self.subscribers[index].wire;
        assert!(*wire == expected, "{index} got {} of {} bytes", wire.len(), expected.len());
    }
}

/// Frames of the `index`th of some messages: within a node, over several, with large bodies in
/// every place. The first begins with the topic.
fn frames(topic: &[u8], index: usize) -> Vec<Vec<u8>> {
    let sizes: &[usize] = match index % 11 {
        0 | 3 | 8 => &[2],
        1 => &[2, 600],
        2 => &[2, 0, 30],
        4 => &[9000],
        5 => &[2, 9000],
        6 => &[2, 9000, 4],
        7 => &[700, 700, 700],
        9 => &[9000, 9000, 1],
        _ => &[300],
    };
    let body = |&size| vec![index as u8; size];
    let mut frames: Vec<Vec<u8>> = sizes.iter().map(body).collect();
    frames[0].splice(..0, topic.iter().copied());
    frames
}

#[test]
fn each_subscriber_gets_what_its_topics_match_once_and_in_order() {
    let topics: [&[u8]; 4] = [b"a", b"ab", b"b", b""];
    let held: [&[&[u8]]; 5] = [&[b"a"], &[b"a", b"ab", b""], &[b"b"], &[b"ab", b"abc"], &[]];
    for together in [1, 2, 7, 200] {
        let mut fixture = Fixture::new(&[]);
        held.iter().for_each(|topics| fixture.join(0, topics));
        for index in 0..200 {
            fixture.publish(&frames(topics[index / 3 % 4], index));
            if index % together == 0 {
                fixture.settle();
            }
        }
        fixture.settle();
        for (subscriber, held) in held.iter().enumerate() {
            let matches = |index: &usize| {
                let first = &frames(topics[index / 3 % 4], *index)[0];
                held.iter().any(|topic| first.starts_with(topic))
            };
            fixture.check(subscriber, (0..200).filter(matches));
            let count = (0..200).filter(matches).count() as u64;
            assert_eq!(fixture.counters(subscriber), (count, count, 0));
        }
        assert!(fixture.fan_out.is_walked());
        assert_eq!(fixture.fan_out.walked, 200);
    }
}

#[test]
fn who_takes_everything_gets_everything_and_it_is_counted_right() {
    for together in [1, 3, 11, 500] {
        let mut fixture = Fixture::new(&[]);
        (0..3).for_each(|_| fixture.join(0, &[b""]));
        for index in 0..500 {
            fixture.publish(&frames(b"t", index));
            if index % together == 0 {
                fixture.settle();
            }
        }
        fixture.settle();
        for subscriber in 0..3 {
            fixture.check(subscriber, 0..500);
            assert_eq!(fixture.counters(subscriber), (500, 500, 0));
        }
        assert_eq!((fixture.fan_out.walked, fixture.fan_out.feed.messages.taken()), (500, 500));
    }
}

#[test]
fn who_comes_late_gets_no_part_of_a_message() {
    // Each message lies over two nodes, and the first member can take one at a time.
    for together in 1..5 {
        let mut fixture = Fixture::new(&[]);
        fixture.join(1, &[b""]);
        (0..8).for_each(|_| fixture.publish(&[vec![1; 300], vec![2; 500]]));
        for _ in 0..together {
            fixture.walk();
            fixture.take(0, usize::MAX);
        }
        let walked = fixture.fan_out.walked as usize;
        fixture.join(1, &[b""]);
        fixture.settle();
        fixture.check(0, 0..8);
        fixture.check(1, walked..8);
    }
}

#[test]
fn a_full_subscriber_that_can_still_send_holds_the_walk_and_loses_nothing() {
    let mut fixture = Fixture::new(&[]);
    fixture.join(4, &[b""]);
    fixture.join(100, &[b"a"]);
    (0..50).for_each(|_| fixture.publish_sized(b'a', 10));
    assert!(fixture.walk());
    assert_eq!((fixture.counters(0).0, fixture.counters(1).0), (4, 4));
    assert!(fixture.walk(), "and is not passed by");
    assert_eq!(fixture.counters(1).0, 4);
    fixture.settle();
    fixture.check(0, 0..50);
    fixture.check(1, 0..50);
    assert_eq!(fixture.counters(0), (50, 50, 0));
}

#[test]
fn only_who_is_full_and_stalled_loses() {
    let stalls: [fn(&mut Fixture); 2] = [
        |fixture| fixture.block(0),
        |fixture| fixture.fan_out.set_connected(fixture.subscribers[0].key, false),
    ];
    for stall in stalls {
        let mut fixture = Fixture::new(&[]);
        fixture.join(4, &[b"a"]);
        fixture.join(4, &[b""]);
        stall(&mut fixture);
        (0..50).for_each(|index| fixture.publish_sized(b"ab"[index % 2], 10));
        while fixture.walk() {
            while fixture.take(1, usize::MAX) {}
        }
        while fixture.take(1, usize::MAX) {}
        fixture.check(1, 0..50);
        assert_eq!(fixture.counters(1), (50, 50, 0));
        assert_eq!(fixture.counters(0), (4, 0, 21));
        fixture.unblock(0);
        fixture.fan_out.set_connected(fixture.subscribers[0].key, true);
        fixture.publish_sized(b'a', 10);
        fixture.settle();
        fixture.check(0, [0, 2, 4, 6, 50]);
        assert_eq!(fixture.counters(0), (5, 5, 21));
    }
}

#[test]
fn short_neighbours_are_one_piece_and_long_ones_are_not_copied() {
    let mut fixture = Fixture::new(&[]);
    fixture.join(0, &[b"a"]);
    fixture.join(0, &[b"b"]);
    for index in 0..20 {
        fixture.publish_sized(b"ab"[index / 5 % 2], 20);
    }
    fixture.walk();
    assert!(fixture.take(0, 10 * 23) && !fixture.take(0, 1), "a send takes all runs at once");
    fixture.publish_sized(b'a', 800);
    fixture.walk();
    assert!(fixture.take(0, usize::MAX));
    fixture.settle();
    fixture.check(0, (0..5).chain(10..15).chain([20]));
    fixture.check(1, (5..10).chain(15..20));
}

#[test]
fn a_publisher_that_waits_is_told_when_the_walk_has_gone_on() {
    let mut fixture = Fixture::new(&[0]);
    let topic = b"x";
    fixture.subscribe(0, topic);
    let mut count = 0;
    while fixture.log.has_room() {
        fixture.log.write(&Payload::from(topic), false);
        count += 1;
    }
    assert_eq!(count, UNWALKED_MESSAGES_MAX);
    assert!(!fixture.log.want_room());
    let inbox = fixture.fan_out.inbox.clone();
    assert!(!inbox.has_pending());
    while fixture.walk() {}
    assert!(inbox.has_pending() && fixture.log.has_room());
}

#[test]
fn bytes_that_were_not_walked_are_bounded_too() {
    let mut fixture = Fixture::new(&[0]);
    fixture.subscribe(0, b"");
    let body = bytes::Bytes::from(vec![0; 1 << 20]);
    let mut bytes = 0;
    while fixture.log.has_room() {
        fixture.log.write(&Payload::from(body.clone()), false);
        bytes += body.len();
    }
    assert!(bytes <= UNWALKED_BYTES_MAX + (1 << 20));
    fixture.walk();
    assert!(fixture.log.has_room());
}

#[test]
fn nothing_is_appended_that_interests_nobody() {
    let mut fixture = Fixture::new(&[0, 0]);
    fixture.publish_sized(b'a', 5);
    assert!(!fixture.log.has_interest() && fixture.fan_out.is_walked());
    fixture.subscribe(0, b"a");
    fixture.subscribe(0, b"a");
    fixture.subscribe(1, b"a");
    fixture.fan_out.cancel(fixture.subscribers[0].key, b"a");
    assert!(fixture.log.has_interest());
    fixture.fan_out.leave(fixture.subscribers[1].key);
    assert!(!fixture.log.has_interest());
}

#[test]
fn a_message_that_is_taken_back_was_never_published() {
    let mut fixture = Fixture::new(&[0]);
    fixture.subscribe(0, b"");
    fixture.publish_sized(b'a', 5);
    fixture.log.write(&Payload::from(vec![1; 700]), true);
    fixture.log.write(&Payload::from(vec![1; 9000]), true);
    fixture.log.rollback();
    fixture.publish_sized(b'b', 5);
    fixture.settle();
    fixture.check(0, 0..2);
}

#[test]
fn a_lossless_walk_is_held_by_who_is_full_and_wants_more() {
    let mut fixture = Fixture::with(&[], true);
    fixture.join(2, &[b"a"]);
    fixture.join(0, &[b"b"]);
    fixture.block(0);
    for topic in *b"aabba" {
        fixture.publish_sized(topic, 3);
    }
    fixture.publish_sized(b'b', 3);
    fixture.walk();
    assert!(fixture.fan_out.is_held());
    assert_eq!((fixture.counters(0).0, fixture.counters(1).0), (2, 2));
    fixture.unblock(0);
    fixture.settle();
    fixture.check(0, [0, 1, 4]);
    fixture.check(1, [2, 3, 5]);
    assert_eq!(fixture.counters(0), (3, 3, 0));
}

/// What can happen to a fan-out.
#[derive(Clone, Debug)]
enum Step {
    Publish(u8),
    Walk,
    Take(usize, usize),
    Block(usize),
    Unblock(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let index = 0..SUBSCRIBERS.len();
    prop_oneof![
        8 => (0..3u8).prop_map(|topic| Step::Publish(b'a' + topic)),
        3 => Just(Step::Walk),
        4 => (index.clone(), 1..20_000usize).prop_map(|(index, len)| Step::Take(index, len)),
        1 => index.clone().prop_map(Step::Block),
        1 => index.prop_map(Step::Unblock),
    ]
}

/// Marks and topics.
const SUBSCRIBERS: [(usize, &[&[u8]]); 5] =
    [(0, &[b""]), (1, &[b""]), (2, &[b"a"]), (5, &[b"a", b"b"]), (4, &[b"", b"c"])];

/// The messages on a wire: all of them whole, and where each was published.
fn messages_on(wire: &[u8], published: &[Vec<u8>]) -> Vec<usize> {
    let mut found = Vec::new();
    let mut rest = wire;
    for (index, message) in published.iter().enumerate() {
        if let Some(behind) = rest.strip_prefix(&message[..]) {
            found.push(index);
            rest = behind;
        }
    }
    assert!(rest.is_empty(), "whole messages and in order, but {} bytes are not", rest.len());
    found
}

fn run(subscribers: &[(usize, &[&[u8]])], is_lossless: bool, steps: &[Step]) {
    let mut fixture = Fixture::with(&[], is_lossless);
    subscribers.iter().for_each(|(mark, topics)| fixture.join(*mark, topics));
    let mut topics = Vec::new();
    let mut were_blocked = vec![false; subscribers.len()];
    let is_there = |index: usize| index < subscribers.len();
    for step in steps {
        match *step {
            Step::Publish(topic) => {
                let index = topics.len();
                // Each message tells where it was published, also among those of its kind.
                let mut frames = frames(&[topic], index);
                frames[0].extend_from_slice(&index.to_be_bytes());
                fixture.publish(&frames);
                topics.push(topic);
            }
            Step::Walk => {
                fixture.walk();
            }
            Step::Take(index, len) if is_there(index) => {
                fixture.take(index, len);
            }
            Step::Block(index) if is_there(index) => {
                fixture.block(index);
                were_blocked[index] = true;
            }
            Step::Unblock(index) if is_there(index) => fixture.unblock(index),
            Step::Take(..) | Step::Block(_) | Step::Unblock(_) => {}
        }
    }
    (0..subscribers.len()).for_each(|index| fixture.unblock(index));
    fixture.settle();
    assert_eq!(fixture.fan_out.walked as usize, topics.len());
    for (index, (mark, held)) in subscribers.iter().enumerate() {
        let wanted = |topic: u8| held.iter().any(|held| [topic].starts_with(held));
        let got = messages_on(&fixture.subscribers[index].wire, &fixture.published);
        assert!(got.iter().all(|&message| wanted(topics[message])));
        let matching = topics.iter().filter(|&&topic| wanted(topic)).count() as u64;
        let (accepted, sent, dropped) = fixture.counters(index);
        assert_eq!((accepted, sent), (got.len() as u64, got.len() as u64));
        assert_eq!(accepted + dropped, matching);
        let may_lose = *mark > 0 && were_blocked[index] && !is_lossless;
        assert!(dropped == 0 || may_lose, "only the stalled lose");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn whole_messages_arrive_in_order_and_are_all_counted(
        steps in prop::collection::vec(step(), 0..150),
    ) {
        for is_lossless in [false, true] {
            run(&SUBSCRIBERS, is_lossless, &steps);
            // And where everyone takes all, which is a way of its own.
            run(&SUBSCRIBERS[..2], is_lossless, &steps);
        }
    }
}
