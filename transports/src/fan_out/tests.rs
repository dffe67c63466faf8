//! Claims about the walk, without a kernel: a test says what each connection takes, and when.

use proptest::prelude::*;

use super::walk::HELD_TURNS_MAX;
use super::*;
use crate::message::Payload;
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
    /// What arrived through connections that were lost.
    lost: Vec<Vec<u8>>,
}

impl Fixture {
    /// With a subscriber for each of these marks, connected and without topics.
    fn new(marks: &[usize]) -> Self {
        Self::with(marks, false)
    }

    fn with(marks: &[usize], is_lossless: bool) -> Self {
        let inbox = Arc::new(SocketInbox::default());
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
        for topic in topics {
            self.fan_out.subscribe(key, topic);
        }
        self.subscribers.push(Subscriber { key, counters, wire: Vec::new(), lost: Vec::new() });
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
            self.log.write(Payload::from(body.clone()).lend(), has_more);
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

    fn lose(&mut self, index: usize) {
        let Subscriber { key, wire, lost, .. } = &mut self.subscribers[index];
        lost.push(std::mem::take(wire));
        let skipped = self.fan_out.sending(*key).handle_loss();
        self.fan_out.count_sent(*key, skipped, 0);
        self.fan_out.set_connected(*key, false);
    }

    /// Its connection takes messages again, or it has a new one.
    fn revive(&mut self, index: usize) {
        self.unblock(index);
        self.fan_out.set_connected(self.subscribers[index].key, true);
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
    const SIZES: [&[usize]; 14] = [
        &[2],
        &[150, 700],
        &[2, 0, 30],
        &[2],
        &[9000],
        &[1],
        &[2, 9000],
        &[2, 9000, 4],
        &[700, 700, 700],
        &[2],
        &[300],
        &[120, 600],
        &[9000, 9000, 1],
        &[3],
    ];
    let sizes = SIZES[index % SIZES.len()];
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
    // All but the first lie over two nodes, and the first member can take one at a time.
    for together in 1..5 {
        let mut fixture = Fixture::new(&[]);
        fixture.join(1, &[b""]);
        (0..8).for_each(|_| fixture.publish(&[vec![1; 150], vec![2; 700]]));
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

/// The newest are kept, as many as there is time for.
#[test]
fn who_would_hold_the_walk_for_too_many_turns_loses() {
    let mut fixture = Fixture::new(&[]);
    fixture.join(1, &[b""]);
    fixture.join(3, &[b""]);
    (0..2000).for_each(|_| fixture.publish_sized(b'a', 10));
    assert!(fixture.walk());
    fixture.settle();
    let kept = 2000 - HELD_TURNS_MAX as usize..2000;
    fixture.check(0, (0..1).chain(kept.clone()));
    fixture.check(1, (0..3).chain(kept));
}

#[test]
fn who_wants_little_is_waited_for_however_small_its_mark() {
    let mut fixture = Fixture::new(&[]);
    (0..100).for_each(|topic| fixture.join(1, &[&[topic]]));
    for _ in 0..10 {
        (0..100).for_each(|topic| fixture.publish_sized(topic, 10));
    }
    fixture.settle();
    for index in 0..100 {
        fixture.check(index, (index..1000).step_by(100));
    }
}

#[test]
fn who_is_full_and_stalled_loses_and_nobody_else() {
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
        fixture.revive(0);
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
fn what_a_laggard_waits_for_is_few_pieces() {
    const LEN: usize = 600;
    let mut fixture = Fixture::new(&[]);
    fixture.join(0, &[b"a"]);
    fixture.block(0);
    for index in 0..2000 {
        fixture.publish_sized(b"ab"[index % 2], LEN);
        fixture.walk();
    }
    let own_blocks = 1000 * LEN / (16 * 1024) + 1;
    let pieces = fixture.fan_out.sending(fixture.subscribers[0].key).piece_count();
    assert!(pieces <= 64 + 2 * own_blocks, "{pieces}");
    fixture.revive(0);
    fixture.settle();
    fixture.check(0, (0..2000).step_by(2));
    assert_eq!(fixture.counters(0), (1000, 1000, 0));
}

#[test]
fn a_publisher_that_waits_is_told_when_the_walk_has_gone_on() {
    let mut fixture = Fixture::new(&[0]);
    let topic = b"x";
    fixture.subscribe(0, topic);
    let mut count = 0;
    while fixture.log.has_room() {
        fixture.log.write(Payload::from(topic).lend(), false);
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
        fixture.log.write(Payload::from(body.clone()).lend(), false);
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
    fixture.log.write(Payload::from(vec![1; 700]).lend(), true);
    fixture.log.write(Payload::from(vec![1; 9000]).lend(), true);
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
    /// Of one more that takes everything.
    Join(usize),
    Take(usize, usize),
    Block(usize),
    Lose(usize),
    Revive(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let index = 0..SUBSCRIBERS.len() + 2;
    prop_oneof![
        8 => (0..3u8).prop_map(|topic| Step::Publish(b'a' + topic)),
        3 => Just(Step::Walk),
        1 => (0..4usize).prop_map(Step::Join),
        4 => (index.clone(), 1..20_000usize).prop_map(|(index, len)| Step::Take(index, len)),
        1 => index.clone().prop_map(Step::Block),
        1 => index.clone().prop_map(Step::Lose),
        2 => index.prop_map(Step::Revive),
    ]
}

/// Marks and topics.
const SUBSCRIBERS: [(usize, &[&[u8]]); 5] =
    [(0, &[b""]), (1, &[b""]), (2, &[b"a"]), (5, &[b"a", b"b"]), (4, &[b"", b"c"])];

impl Subscriber {
    /// The messages that arrived, in order, all of them `wanted`. With each lost connection the
    /// last one may have come in part, and with no other.
    fn received(&self, published: &[Vec<u8>], wanted: &[usize]) -> Vec<usize> {
        let mut received = Vec::new();
        let mut next = wanted.iter().copied();
        for wire in self.lost.iter().chain([&self.wire]) {
            let mut rest = &wire[..];
            while !rest.is_empty()
                && let Some(index) = next.next()
            {
                let message = &published[index][..];
                if let Some(behind) = rest.strip_prefix(message) {
                    received.push(index);
                    rest = behind;
                } else if message.starts_with(rest) && !std::ptr::eq(wire, &self.wire) {
                    received.push(index);
                    rest = &[];
                }
            }
            assert!(rest.is_empty(), "{} bytes are no messages in order", rest.len());
        }
        received
    }
}

/// A fan-out to which anything happens, and what is known of it.
struct History {
    fixture: Fixture,
    is_lossless: bool,
    /// The topic of each message.
    topics: Vec<u8>,
    expected: Vec<Expected>,
}

/// What a subscriber may get.
struct Expected {
    topics: &'static [&'static [u8]],
    /// The first message that was walked after it came.
    from: usize,
    mark: usize,
    may_lose: bool,
}

impl History {
    fn new(subscribers: &[(usize, &'static [&'static [u8]])], is_lossless: bool) -> Self {
        let fixture = Fixture::with(&[], is_lossless);
        let (topics, expected) = Default::default();
        let mut history = Self { fixture, is_lossless, topics, expected };
        subscribers.iter().for_each(|(mark, topics)| history.join(*mark, topics));
        history
    }

    fn join(&mut self, mark: usize, topics: &'static [&'static [u8]]) {
        let from = self.fixture.fan_out.walked as usize;
        self.fixture.join(mark, topics);
        self.expected.push(Expected { topics, from, mark, may_lose: false });
    }

    fn publish(&mut self, topic: u8) {
        let index = self.topics.len();
        // Each message tells where it was published, also among those of its kind.
        let mut frames = frames(&[topic], index);
        frames[0].extend_from_slice(&index.to_be_bytes());
        self.fixture.publish(&frames);
        self.topics.push(topic);
    }

    fn happen(&mut self, step: &Step) {
        let count = self.expected.len();
        match *step {
            Step::Publish(topic) => self.publish(topic),
            Step::Walk => {
                self.expect_losses();
                self.fixture.walk();
                self.check_marks();
            }
            Step::Join(mark) => self.join(mark, &[b""]),
            Step::Take(index, len) => {
                self.fixture.take(index % count, len);
            }
            Step::Block(index) => {
                self.fixture.block(index % count);
                self.expected[index % count].may_lose = !self.is_lossless;
            }
            Step::Lose(index) => {
                self.fixture.lose(index % count);
                self.expected[index % count].may_lose = !self.is_lossless;
            }
            Step::Revive(index) => self.fixture.revive(index % count),
        }
    }

    /// Who would hold the walk for too many turns may lose. A publisher has one mark; of several
    /// the least may say how many those are.
    fn expect_losses(&mut self) {
        let unwalked = self.topics.len() as u64 - self.fixture.fan_out.walked;
        let marks = self.expected.iter().map(|expected| expected.mark).filter(|&mark| mark > 0);
        let mark = marks.min().map_or(u64::MAX, |mark| mark as u64);
        let is_far_behind = unwalked > HELD_TURNS_MAX.saturating_mul(mark) && !self.is_lossless;
        self.expected.iter_mut().for_each(|expected| expected.may_lose |= is_far_behind);
    }

    fn check_marks(&self) {
        for (subscriber, expected) in self.fixture.subscribers.iter().zip(&self.expected) {
            let [accepted, granted] = [&subscriber.counters.accepted, &subscriber.counters.granted]
                .map(|counter| counter.load(Ordering::Relaxed));
            assert!(expected.mark == 0 || accepted - granted <= expected.mark as u64);
        }
    }

    fn check(mut self) {
        (0..self.expected.len()).for_each(|index| self.fixture.revive(index));
        self.expect_losses();
        self.fixture.settle();
        assert_eq!(self.fixture.fan_out.walked as usize, self.topics.len());
        for (index, expected) in self.expected.iter().enumerate() {
            let is_wanted = |message: &usize| {
                let topic = [self.topics[*message]];
                expected.topics.iter().any(|held| topic.starts_with(held))
            };
            let wanted: Vec<usize> = (expected.from..self.topics.len()).filter(is_wanted).collect();
            let subscriber = &self.fixture.subscribers[index];
            let got = subscriber.received(&self.fixture.published, &wanted);
            let (accepted, sent, dropped) = self.fixture.counters(index);
            assert_eq!((accepted, sent), (got.len() as u64, got.len() as u64));
            assert_eq!(accepted + dropped, wanted.len() as u64);
            assert!(
                dropped == 0 || expected.may_lose,
                "only the stalled lose, and who would hold up too much"
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn whole_messages_arrive_in_order_and_are_all_counted(
        steps in prop::collection::vec(step(), 0..150),
    ) {
        for is_lossless in [false, true] {
            // Where everyone takes all is a way of its own.
            for subscribers in [&SUBSCRIBERS[..], &SUBSCRIBERS[..2]] {
                let mut history = History::new(subscribers, is_lossless);
                steps.iter().for_each(|step| history.happen(step));
                history.check();
            }
        }
    }
}
