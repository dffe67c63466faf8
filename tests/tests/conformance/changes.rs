//! Changes: topics that come and go while a lossless publisher sends. RFC 29.
//!
//! Each subscriber has topics of its own that it takes and gives up as it receives, and one that
//! stays. On that the publisher answers every report, in order with what it publishes: from the
//! answer on, until the subscriber gives the topic up, nothing may be missing.

use tests::bytes::{number, number_in};
use tests::{Cell, Ground, Watchdog, cells, join, or_give_up};
use zring::{Error, Message, Sub, XPub};

const SUBSCRIBERS: u8 = 4;
/// Topics of each that come and go. The one that stays has the index behind them.
const TOPICS: u8 = 3;
/// Messages published, and reports of each subscriber answered, at least.
const MANY: u64 = 20_000;
const REPORTS: u64 = 500;
/// Messages that a subscriber receives before it changes its mind about the next topic.
const CONSTANCY: u64 = 7;

fn topic(owner: u8, index: u8) -> [u8; 2] {
    [b'a' + owner, index]
}

/// The publisher, and the number of each topic's next message.
struct Publishing<G: Ground> {
    socket: XPub<G::Driver>,
    next: [[u64; TOPICS as usize + 1]; SUBSCRIBERS as usize],
    reports: [u64; SUBSCRIBERS as usize],
}

impl<G: Ground> Publishing<G> {
    fn publish(&mut self, owner: u8, index: u8) {
        let next = &mut self.next[usize::from(owner)][usize::from(index)];
        self.socket.send_multipart([&topic(owner, index)[..], &number(*next)]).unwrap();
        *next += 1;
    }

    fn answer_reports(&mut self, watchdog: &Watchdog) {
        loop {
            let report = match self.socket.try_recv() {
                Ok(report) => report,
                Err(Error::WouldBlock) => return,
                Err(error) => panic!("{error}"),
            };
            let [change, owner, index] = report[..] else { panic!("{report:?}") };
            let owner = owner - b'a';
            let next = number(self.next[usize::from(owner)][usize::from(index)]);
            let answer = [&topic(owner, TOPICS)[..], &[change, index], &next];
            self.socket.send_multipart(answer).unwrap();
            self.reports[usize::from(owner)] += 1;
            watchdog.pat();
        }
    }

    /// Tells each how many messages there were on each of its topics.
    fn end(mut self) {
        for (owner, next) in (0..).zip(self.next) {
            let [first, second, third, _] = next.map(number);
            let end = [&topic(owner, TOPICS)[..], &first, &second, &third];
            self.socket.send_multipart(end).unwrap();
        }
    }
}

/// A topic as its subscriber sees it.
#[derive(Default)]
struct Taking {
    is_wanted: bool,
    /// How often it was subscribed to without an answer by now.
    unanswered: u64,
    last: Option<u64>,
    /// What has to come next, once the subscription was answered.
    next: Option<u64>,
}

/// A subscriber, and its topics.
struct Subscribing<G: Ground> {
    socket: Sub<G::Driver>,
    owner: u8,
    topics: [Taking; TOPICS as usize],
    received: u64,
    /// Of these, how many came when it was known which was to come.
    checked: u64,
}

impl<G: Ground> Subscribing<G> {
    fn subscribe(&mut self, index: u8) {
        self.socket.subscribe(topic(self.owner, index)).unwrap();
        let taking = &mut self.topics[usize::from(index)];
        (taking.is_wanted, taking.unanswered) = (true, taking.unanswered + 1);
    }

    fn unsubscribe(&mut self, index: u8) {
        self.socket.unsubscribe(topic(self.owner, index)).unwrap();
        let taking = &mut self.topics[usize::from(index)];
        (taking.is_wanted, taking.next) = (false, None);
    }

    fn handle_message(&mut self, index: u8, value: u64) {
        let taking = &mut self.topics[usize::from(index)];
        assert!(taking.is_wanted, "{value} of {index} was not wanted");
        assert!(taking.last < Some(value), "{value} of {index} behind {:?}", taking.last);
        if let Some(next) = &mut taking.next {
            assert_eq!(value, *next, "of {index}");
            *next += 1;
            self.checked += 1;
        }
        taking.last = Some(value);
        self.received += 1;
        if self.received.is_multiple_of(CONSTANCY) {
            self.change_mind(self.received / CONSTANCY);
        }
    }

    /// Gives up the topic whose turn it is: for now, or until that was answered. Seldom before its
    /// subscription was.
    fn change_mind(&mut self, turn: u64) {
        let (index, round) = ((turn % u64::from(TOPICS)) as u8, turn / u64::from(TOPICS));
        let taking = &self.topics[usize::from(index)];
        if taking.is_wanted && (taking.next.is_some() || round.is_multiple_of(16)) {
            self.unsubscribe(index);
            if round.is_multiple_of(2) {
                self.subscribe(index);
            }
        }
    }

    fn handle_answer(&mut self, is_start: bool, index: u8, next: u64) {
        if index == TOPICS {
            return (0..TOPICS).for_each(|index| self.subscribe(index));
        }
        let taking = &mut self.topics[usize::from(index)];
        assert!(taking.last < Some(next), "{next} of {index} was still to be published");
        taking.unanswered -= u64::from(is_start);
        if !is_start && !taking.is_wanted {
            self.subscribe(index);
        } else if taking.unanswered == 0 && taking.is_wanted {
            taking.next = Some(next);
        }
    }

    fn check_end(&self, counts: &[Message]) {
        for (taking, count) in self.topics.iter().zip(counts) {
            assert!(taking.next.is_none_or(|next| next == number_in(count)), "some are missing");
        }
        assert!(self.checked > 0, "of {} messages", self.received);
    }

    fn receive_all(mut self) {
        self.socket.subscribe(topic(self.owner, TOPICS)).unwrap();
        loop {
            match &self.socket.recv_multipart().unwrap()[..] {
                [topic, value] => self.handle_message(topic[1], number_in(value)),
                [_, report, next] => {
                    self.handle_answer(report[0] == 1, report[1], number_in(next));
                }
                [_, counts @ ..] => return self.check_end(counts),
                [] => unreachable!("a message has a frame"),
            }
        }
    }
}

fn between_its_report_and_its_end_a_topic_loses_nothing<G: Ground>(cell: &Cell<G>) {
    // Little is on the way, so that answers come soon.
    let builder = XPub::builder().no_drop(true).send_high_water_mark(100);
    let socket = builder.send_buffer(Some(4096)).build(&cell.context).unwrap();
    let mut publishing =
        Publishing::<G> { socket, next: Default::default(), reports: Default::default() };
    let endpoint = publishing.socket.bind(&cell.endpoint()).unwrap();
    let seed = G::seed(&cell.context);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..SUBSCRIBERS)
            .map(|owner| {
                let (seed, endpoint) = (seed.clone(), &endpoint);
                let receive = move || {
                    let builder = Sub::builder().receive_high_water_mark(10);
                    let builder = builder.receive_buffer(Some(4096));
                    let mut socket = builder.build(&G::grow(seed)).unwrap();
                    socket.connect(endpoint).unwrap();
                    let topics = Default::default();
                    Subscribing::<G> { socket, owner, topics, received: 0, checked: 0 }
                        .receive_all();
                };
                scope.spawn(|| or_give_up(receive))
            })
            .collect();
        let all = (0..TOPICS).flat_map(|index| (0..SUBSCRIBERS).map(move |owner| (owner, index)));
        for (count, (owner, index)) in (0..).zip(all.cycle()) {
            if count >= MANY && publishing.reports.iter().all(|&count| count >= REPORTS) {
                break;
            }
            publishing.answer_reports(&cell.watchdog);
            publishing.publish(owner, index);
        }
        publishing.end();
        join(threads);
    });
}

cells!(
    [Threads] x [Tcp, Ipc, Inproc]:
    between_its_report_and_its_end_a_topic_loses_nothing,
);

mod on_two_threads {
    use super::*;

    cells!([Caller] x [Tcp, Ipc]: between_its_report_and_its_end_a_topic_loses_nothing);
}
