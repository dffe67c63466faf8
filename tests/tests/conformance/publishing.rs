//! PUB, XPUB and SUB: who subscribed gets what begins with a topic, and nobody else. RFC 29.
//!
//! Deliberately absent: marks and lossless publishers, which are in `marks.rs`.

use tests::bytes::number;
use tests::{Cell, Ground, cells, meet};
use zring::pattern::Sub as SubPattern;
use zring::{Error, Pub, Socket, Sub, XPub};

/// The bodies that come up to and without `end`.
fn until_end<G: Ground>(sub: &mut Socket<SubPattern, G::Driver>) -> Vec<Vec<u8>> {
    let mut bodies = Vec::new();
    loop {
        let frames = sub.recv_multipart().unwrap();
        match &frames[..] {
            [frame] if *frame == "end" => return bodies,
            [frame] => bodies.push(frame.to_vec()),
            frames => panic!("{} frames", frames.len()),
        }
    }
}

#[track_caller]
fn assert_bodies(found: &[Vec<u8>], expected: &[&str]) {
    let found: Vec<_> = found.iter().map(|body| String::from_utf8_lossy(body)).collect();
    assert_eq!(found, expected);
}

fn who_subscribed_gets_what_begins_with_a_topic<G: Ground>(cell: &Cell<G>) {
    let mut publisher = Pub::new(&cell.context).unwrap();
    let endpoint = publisher.bind(&cell.endpoint()).unwrap();
    let topics: [&[&str]; 5] =
        [&["a"], &["ab", "b"], &["abc", "a", "ab"], &["abcd", "nothing"], &[""]];
    let mut subs = Vec::new();
    for topics in topics {
        let mut sub = Sub::new(&cell.context).unwrap();
        sub.connect(&endpoint).unwrap();
        for topic in topics {
            sub.subscribe(topic).unwrap();
        }
        sub.subscribe("end").unwrap();
        subs.push(sub);
    }
    for sub in &mut subs {
        // Who takes everything comes last, since it hears of all meetings.
        meet(cell, &mut publisher, sub);
    }
    for body in ["", "a", "b", "ab", "abc", "abcd", "c", "ba", "xabc", "end"] {
        publisher.send(body).unwrap();
    }
    publisher.flush().unwrap();
    let expected: [&[&str]; 5] = [
        &["a", "ab", "abc", "abcd"],
        &["b", "ab", "abc", "abcd", "ba"],
        &["a", "ab", "abc", "abcd"],
        &["abcd"],
        &["", "a", "b", "ab", "abc", "abcd", "c", "ba", "xabc"],
    ];
    for (sub, expected) in subs.iter_mut().zip(expected) {
        assert_bodies(&until_end::<G>(sub), expected);
        assert_eq!(sub.try_recv().err(), Some(Error::WouldBlock));
    }
}

fn the_first_frame_decides<G: Ground>(cell: &Cell<G>) {
    let mut publisher = Pub::new(&cell.context).unwrap();
    let mut sub = Sub::new(&cell.context).unwrap();
    sub.subscribe("a").unwrap();
    sub.connect(&publisher.bind(&cell.endpoint()).unwrap()).unwrap();
    meet(cell, &mut publisher, &mut sub);
    publisher.send_multipart(["b", "a"]).unwrap();
    publisher.send_multipart(["", "a", "a"]).unwrap();
    publisher.send_multipart(["ab", "b", ""]).unwrap();
    publisher.send_multipart(["b", "a"]).unwrap();
    publisher.send("a").unwrap();
    publisher.flush().unwrap();
    assert_eq!(sub.recv_multipart().unwrap(), ["ab", "b", ""]);
    assert_eq!(sub.recv_multipart().unwrap(), ["a"]);
}

fn a_topic_subscribed_to_twice_takes_two_to_undo<G: Ground>(cell: &Cell<G>) {
    let mut publisher = XPub::new(&cell.context).unwrap();
    let mut sub = Sub::new(&cell.context).unwrap();
    sub.connect(&publisher.bind(&cell.endpoint()).unwrap()).unwrap();
    sub.subscribe("a").unwrap();
    sub.subscribe("a").unwrap();
    sub.subscribe("end").unwrap();
    assert_eq!(publisher.recv().unwrap(), "\u{1}a");
    assert_eq!(publisher.recv().unwrap(), "\u{1}end");

    sub.unsubscribe("a").unwrap();
    sub.subscribe("first").unwrap();
    assert_eq!(publisher.recv().unwrap(), "\u{1}first");
    publisher.send("a1").unwrap();
    publisher.send("end").unwrap();
    publisher.flush().unwrap();
    assert_bodies(&until_end::<G>(&mut sub), &["a1"]);

    sub.unsubscribe("a").unwrap();
    assert_eq!(publisher.recv().unwrap(), "\0a");
    publisher.send("a2").unwrap();
    publisher.send("end").unwrap();
    publisher.flush().unwrap();
    assert_bodies(&until_end::<G>(&mut sub), &[]);

    // What is not subscribed to cannot be undone, and leaves no trace.
    sub.unsubscribe("a").unwrap();
    sub.subscribe("a").unwrap();
    assert_eq!(publisher.recv().unwrap(), "\u{1}a");
    publisher.send("a3").unwrap();
    publisher.send("end").unwrap();
    publisher.flush().unwrap();
    assert_bodies(&until_end::<G>(&mut sub), &["a3"]);
}

/// The subscriber looks once more, so that what is under way when it unsubscribes is not received.
fn what_was_unsubscribed_is_not_received_though_it_was_sent<G: Ground>(cell: &Cell<G>) {
    let mut publisher = Pub::new(&cell.context).unwrap();
    let mut sub = Sub::new(&cell.context).unwrap();
    sub.connect(&publisher.bind(&cell.endpoint()).unwrap()).unwrap();
    sub.subscribe("a").unwrap();
    sub.subscribe("end").unwrap();
    meet(cell, &mut publisher, &mut sub);
    publisher.send("a1").unwrap();
    publisher.send_multipart(["a2", "end"]).unwrap();
    publisher.send("end").unwrap();
    publisher.flush().unwrap();
    sub.unsubscribe("a").unwrap();
    assert_bodies(&until_end::<G>(&mut sub), &[]);
}

fn subscriptions_made_before_the_connection_count<G: Ground>(cell: &Cell<G>) {
    let mut publisher = XPub::new(&cell.context).unwrap();
    let mut sub = Sub::new(&cell.context).unwrap();
    let mut topics: Vec<_> = (0..1000).map(|index| format!("topic {index}")).collect();
    for topic in &topics {
        sub.subscribe(topic).unwrap();
    }
    sub.subscribe("given up").unwrap();
    sub.unsubscribe("given up").unwrap();
    sub.connect(&publisher.bind(&cell.endpoint()).unwrap()).unwrap();
    let mut reported: Vec<_> = (0..1000)
        .map(|_| {
            let report = publisher.recv().unwrap();
            assert_eq!(report[0], 1);
            String::from_utf8(report[1..].to_vec()).unwrap()
        })
        .collect();
    topics.sort();
    reported.sort();
    assert_eq!(reported, topics);
    assert_eq!(publisher.try_recv().err(), Some(Error::WouldBlock));
    publisher.send("topic 999").unwrap();
    publisher.flush().unwrap();
    assert_eq!(sub.recv().unwrap(), "topic 999");
}

/// One subscriber of several publishers hears each, and each is told every topic.
fn a_late_publisher_is_told_of_earlier_subscriptions<G: Ground>(cell: &Cell<G>) {
    let mut sub = Sub::new(&cell.context).unwrap();
    sub.subscribe("early").unwrap();
    let endpoint = sub.bind(&cell.endpoint()).unwrap();
    for round in 0..3 {
        let mut publisher = XPub::new(&cell.context).unwrap();
        publisher.connect(&endpoint).unwrap();
        // A socket learns of newcomers in its calls, as in libzmq.
        let mut report = None;
        cell.until(|| {
            assert_eq!(sub.try_recv().err(), Some(Error::WouldBlock));
            report = publisher.try_recv().ok();
            report.is_some()
        });
        assert_eq!(report.unwrap(), "\u{1}early");
        let body = format!("early {round}");
        publisher.send(body.as_str()).unwrap();
        publisher.flush().unwrap();
        assert_eq!(sub.recv().unwrap(), body.as_bytes());
    }
}

fn without_a_subscriber_messages_are_dropped_and_sending_succeeds<G: Ground>(cell: &Cell<G>) {
    let mut publisher = Pub::builder().send_high_water_mark(1).build(&cell.context).unwrap();
    let endpoint = publisher.bind(&cell.endpoint()).unwrap();
    for _ in 0..50_000 {
        publisher.try_send("nobody").unwrap();
    }
    let mut sub = Sub::new(&cell.context).unwrap();
    sub.subscribe("").unwrap();
    sub.connect(&endpoint).unwrap();
    meet(cell, &mut publisher, &mut sub);
    publisher.send("somebody").unwrap();
    publisher.flush().unwrap();
    assert_eq!(sub.recv().unwrap(), "somebody", "what was sent before is gone");
}

fn empty_messages_go_to_those_who_take_everything<G: Ground>(cell: &Cell<G>) {
    let mut publisher = Pub::new(&cell.context).unwrap();
    let mut all = Sub::new(&cell.context).unwrap();
    let mut some = Sub::new(&cell.context).unwrap();
    let endpoint = publisher.bind(&cell.endpoint()).unwrap();
    some.subscribe("end").unwrap();
    some.connect(&endpoint).unwrap();
    meet(cell, &mut publisher, &mut some);
    all.subscribe("").unwrap();
    all.connect(&endpoint).unwrap();
    meet(cell, &mut publisher, &mut all);
    for body in ["", "", "end"] {
        publisher.send(body).unwrap();
    }
    publisher.flush().unwrap();
    assert_bodies(&until_end::<G>(&mut all), &["", ""]);
    assert_bodies(&until_end::<G>(&mut some), &[]);
}

/// Thousands of topics over several subscribers, each of which gets its own and no other.
fn each_gets_its_own_of_many_topics<G: Ground>(cell: &Cell<G>) {
    const SUBSCRIBERS: usize = 8;
    const TOPICS: usize = 400;
    let builder = || Pub::builder().send_high_water_mark(0);
    let mut publisher = builder().build(&cell.context).unwrap();
    let endpoint = publisher.bind(&cell.endpoint()).unwrap();
    let topic = |index: usize| format!("topic {index:05}");
    let mut subs = Vec::new();
    for own in 0..SUBSCRIBERS {
        let builder = Sub::builder().receive_high_water_mark(0);
        let mut sub = builder.build(&cell.context).unwrap();
        sub.connect(&endpoint).unwrap();
        for index in (own..TOPICS).step_by(SUBSCRIBERS) {
            sub.subscribe(topic(index)).unwrap();
        }
        subs.push(sub);
    }
    for sub in &mut subs {
        sub.subscribe("end").unwrap();
        let mut early = 0_u64;
        cell.until(|| {
            early += 1;
            publisher.send_multipart([b"end", &number(early)[..]]).unwrap();
            publisher.flush().unwrap();
            sub.try_recv_multipart().is_ok()
        });
    }
    for round in 0..3_u64 {
        for index in 0..TOPICS {
            publisher.send_multipart([topic(index).as_bytes(), &number(round)]).unwrap();
        }
    }
    publisher.send_multipart(["end", "of all"]).unwrap();
    publisher.flush().unwrap();
    for (own, sub) in subs.iter_mut().enumerate() {
        let mut expected = (0..3_u64)
            .flat_map(|round| (own..TOPICS).step_by(SUBSCRIBERS).map(move |index| (index, round)));
        loop {
            let frames = sub.recv_multipart().unwrap();
            if frames[0] == "end" && frames[1] == "of all" {
                break;
            }
            if frames[0] == "end" {
                continue;
            }
            let (index, round) = expected.next().expect("no more than that");
            assert_eq!(frames, [topic(index).as_bytes(), &number(round)]);
        }
        assert_eq!(expected.next(), None, "subscriber {own}");
    }
}

cells!(
    [Threads, TwoThreads, Caller] x [Tcp, Ipc, Inproc]:
    who_subscribed_gets_what_begins_with_a_topic,
    the_first_frame_decides,
    a_topic_subscribed_to_twice_takes_two_to_undo,
    what_was_unsubscribed_is_not_received_though_it_was_sent,
    subscriptions_made_before_the_connection_count,
    a_late_publisher_is_told_of_earlier_subscriptions,
    without_a_subscriber_messages_are_dropped_and_sending_succeeds,
    empty_messages_go_to_those_who_take_everything,
    each_gets_its_own_of_many_topics,
);
