//! High-water marks: how much may wait, who waits at the mark, and who loses what.
//!
//! Deliberately absent: subscriptions at a full queue, which are in `bad_days/subscriptions.rs`.

use std::time::Duration;

use tests::bytes::{number, number_in};
use tests::{Caller, Cell, Ground, Transport, cells, join, meet, or_give_up};
use zring::pattern::{Pub as PubPattern, Pull as PullPattern, Push as PushPattern};
use zring::pattern::{Sends, Sub as SubPattern};
use zring::{Bytes, Dealer, Error, Pub, Pull, Push, Router, Socket, Sub, XPub, XSub};

/// Sends numbers until there is no room, `max` at most. Answers how many found room.
fn fill<P: Sends, G: Ground>(socket: &mut Socket<P, G::Driver>, max: u64) -> u64 {
    for value in 0..max {
        match socket.try_send_multipart([number(value), number(value)].iter()) {
            Ok(()) => {}
            Err(Error::WouldBlock) => return value,
            Err(error) => panic!("{error}"),
        }
    }
    max
}

type Both<G> =
    (Socket<PushPattern, <G as Ground>::Driver>, Socket<PullPattern, <G as Ground>::Driver>);

fn joined<G: Ground>(cell: &Cell<G>, marks: (usize, usize), sender_binds: bool) -> Both<G> {
    let mut push = Push::builder().send_high_water_mark(marks.0).build(&cell.context).unwrap();
    let mut pull = Pull::builder().receive_high_water_mark(marks.1).build(&cell.context).unwrap();
    if sender_binds {
        pull.connect(&push.bind(&cell.endpoint()).unwrap()).unwrap();
    } else {
        push.connect(&pull.bind(&cell.endpoint()).unwrap()).unwrap();
    }
    (push, pull)
}

fn the_mark_is_the_sum_of_both_sides_and_none_if_either_has_none<G: Ground>(cell: &Cell<G>) {
    const NONE: u64 = 5000;
    for (send, receive, room) in [
        (1, 1, 2),
        (2, 3, 5),
        (5, 5, 10),
        (1, 10, 11),
        (1000, 1000, 2000),
        (0, 5, NONE),
        (5, 0, NONE),
        (0, 0, NONE),
    ] {
        for sender_binds in [false, true] {
            let (mut push, mut pull) = joined(cell, (send, receive), sender_binds);
            assert_eq!(fill::<_, G>(&mut push, NONE), room, "{send} + {receive}");
            for value in 0..room {
                let frames = pull.recv_multipart().unwrap();
                assert_eq!(frames, [number(value), number(value)]);
            }
            assert_eq!(pull.try_recv().err(), Some(Error::WouldBlock));
        }
    }
}

fn before_the_name_is_bound_the_connecting_side_counts_alone<G: Ground>(cell: &Cell<G>) {
    let endpoint = cell.endpoint();
    let mut push = Push::builder().send_high_water_mark(4).build(&cell.context).unwrap();
    push.connect(&endpoint).unwrap();
    assert_eq!(fill::<_, G>(&mut push, 100), 4);
    let mut pull = Pull::builder().receive_high_water_mark(3).build(&cell.context).unwrap();
    pull.bind(&endpoint).unwrap();
    for value in 0..4 {
        assert_eq!(pull.recv_multipart().unwrap(), [number(value), number(value)]);
    }
    assert_eq!(fill::<_, G>(&mut push, 100), 7, "the sum, now that both are there");
}

fn who_was_full_stays_so_until_half_was_taken<G: Ground>(cell: &Cell<G>) {
    for (marks, room) in [((5, 5), 10_u64), ((3, 4), 7), ((1, 1), 2), ((50, 51), 101)] {
        let (mut push, mut pull) = joined(cell, marks, false);
        let step = room.div_ceil(2);
        assert_eq!(fill::<_, G>(&mut push, 1000), room);
        for round in 0..5 {
            for taken in 0..step {
                assert_eq!(push.try_send("more"), Err(Error::WouldBlock), "{taken} of {room}");
                pull.recv_multipart().unwrap();
            }
            assert_eq!(fill::<_, G>(&mut push, 1000), step, "round {round} of {room}");
        }
    }
}

fn a_message_of_many_frames_counts_once<G: Ground>(cell: &Cell<G>) {
    let (mut push, mut pull) = joined(cell, (1, 1), false);
    for _ in 0..2 {
        push.try_send_multipart(vec!["frame"; 50]).unwrap();
    }
    assert_eq!(push.try_send_more("frame"), Err(Error::WouldBlock));
    for _ in 0..2 {
        assert_eq!(pull.recv_multipart().unwrap().len(), 50);
    }
}

cells!(
    [Threads, Caller] x [Inproc]:
    the_mark_is_the_sum_of_both_sides_and_none_if_either_has_none,
    before_the_name_is_bound_the_connecting_side_counts_alone,
    who_was_full_stays_so_until_half_was_taken,
    a_message_of_many_frames_counts_once,
);

/// In a burst more gathers than the mark lets wait, until the connection takes no more: then the
/// mark's worth waits, and what had gathered.
fn what_gathers_is_beyond_the_mark_until_the_peer_is_full<G: Ground>(cell: &Cell<G>) {
    const MARK: usize = 10;
    const GATHERED_MAX: usize = 64 * 1024 / 20;
    let builder = Push::builder().send_high_water_mark(MARK).send_buffer(Some(256 * 1024));
    let mut push = builder.linger(Some(Duration::ZERO)).build(&cell.context).unwrap();
    let builder = Pull::builder().receive_high_water_mark(MARK).receive_buffer(Some(256 * 1024));
    let mut pull = builder.build(&cell.context).unwrap();
    push.connect(&pull.bind(&cell.endpoint()).unwrap()).unwrap();
    let observer = push.observer();
    let queued = || observer.counters()[0].queued as usize;
    push.send(&number(0)).unwrap();
    push.flush().unwrap();
    assert_eq!(number_in(&pull.recv().unwrap()), 0);

    let burst = 5 * MARK;
    cell.until(|| {
        assert_eq!(fill::<_, G>(&mut push, burst as u64), burst as u64);
        let has_gathered = queued() > 2 * MARK;
        push.flush().unwrap();
        while pull.try_recv().is_ok() {}
        has_gathered
    });
    cell.until(|| fill::<_, G>(&mut push, 10_000) < 10_000);
    assert!(queued() <= MARK + GATHERED_MAX, "{} wait", queued());
}

cells!([Caller] x [Tcp, Ipc]: what_gathers_is_beyond_the_mark_until_the_peer_is_full);

const TICK: Duration = Duration::from_millis(50);

/// Marks, kernel buffers and what is under way between them hold a bounded number of messages.
fn a_receiver_that_does_not_receive_stops_the_sender<G: Ground>(cell: &Cell<G>) {
    const BODY: usize = 64 * 1024;
    const MANY: u64 = 4000;
    let builder = Push::builder().send_high_water_mark(10).send_timeout(Some(TICK));
    let mut push = builder.build(&cell.context).unwrap();
    let mut pull = Pull::builder().receive_high_water_mark(10).build(&cell.context).unwrap();
    push.connect(&pull.bind(&cell.endpoint()).unwrap()).unwrap();
    let mut body = vec![0; BODY];
    let mut sent = 0;
    loop {
        body[..8].copy_from_slice(&number(sent));
        match push.send(&body[..]) {
            Ok(()) => sent += 1,
            Err(Error::WouldBlock) => break,
            Err(error) => panic!("{error}"),
        }
        assert!(sent < MANY, "{sent} messages of {BODY} bytes and no end");
        cell.watchdog.pat();
    }
    assert!(sent >= 10, "{sent} messages");
    for value in 0..sent {
        assert_eq!(number_in(&pull.recv().unwrap()), value);
    }
    body[..8].copy_from_slice(&number(sent));
    push.send(&body[..]).unwrap();
    push.flush().unwrap();
    assert_eq!(number_in(&pull.recv().unwrap()), sent);
}

cells!(
    [Threads, TwoThreads, Caller] x [Tcp, Ipc, Inproc]:
    a_receiver_that_does_not_receive_stops_the_sender,
);

fn who_waits_at_the_mark_goes_on_when_it_can<G: Ground>(cell: &Cell<G>) {
    const MANY: u64 = 20_000;
    let mut pull = Pull::builder().receive_high_water_mark(1).build(&cell.context).unwrap();
    let endpoint = pull.bind(&cell.endpoint()).unwrap();
    cell.beside(
        |context| {
            let mut push = Push::builder().send_high_water_mark(1).build(context).unwrap();
            push.connect(&endpoint).unwrap();
            for value in 0..MANY {
                push.send(&number(value)).unwrap();
            }
        },
        |_| {
            for value in 0..MANY {
                assert_eq!(number_in(&pull.recv().unwrap()), value);
            }
        },
    );
}

cells!([Threads, TwoThreads] x [Tcp, Ipc, Inproc]: who_waits_at_the_mark_goes_on_when_it_can);

mod on_two_threads {
    use super::*;

    cells!([Caller] x [Tcp, Ipc]: who_waits_at_the_mark_goes_on_when_it_can);
}

fn publish(publisher: &mut Socket<impl Sends, impl zring::Driver>, value: u64, body: &mut [u8]) {
    body[..8].copy_from_slice(&number(value));
    publisher.send(&*body).unwrap();
}

/// In one process, to the message.
fn a_subscriber_at_its_mark_loses_and_is_counted<G: Ground>(cell: &Cell<G>) {
    let mut publisher = Pub::builder().send_high_water_mark(7).build(&cell.context).unwrap();
    let mut slow = Sub::builder().receive_high_water_mark(3).build(&cell.context).unwrap();
    let mut quick = Sub::builder().receive_high_water_mark(0).build(&cell.context).unwrap();
    let endpoint = publisher.bind(&cell.endpoint()).unwrap();
    for sub in [&mut slow, &mut quick] {
        sub.subscribe("").unwrap();
        sub.connect(&endpoint).unwrap();
    }
    let mut published = 0..;
    let mut send = |publisher: &mut Socket<PubPattern, G::Driver>, count: usize| {
        for value in published.by_ref().take(count) {
            publisher.send_multipart([number(value), number(value)].iter()).unwrap();
        }
    };
    send(&mut publisher, 30);
    let dropped = |publisher: &mut Socket<PubPattern, G::Driver>| {
        publisher.counters().iter().map(|pipe| pipe.dropped).collect::<Vec<_>>()
    };
    assert_eq!(dropped(&mut publisher), [20, 0]);
    let mut take = |expected: std::ops::Range<u64>| {
        for value in expected {
            assert_eq!(slow.recv_multipart().unwrap(), [number(value), number(value)]);
        }
    };
    take(0..4);
    send(&mut publisher, 5);
    assert_eq!(dropped(&mut publisher), [25, 0], "less than half was taken");
    take(4..5);
    send(&mut publisher, 7);
    assert_eq!(dropped(&mut publisher), [27, 0], "there was room for five");
    take(5..10);
    take(35..40);
    for value in 0..42 {
        assert_eq!(quick.recv_multipart().unwrap()[1], number(value));
    }
}

/// Whatever the number of its topics that match.
fn a_message_is_lost_once<G: Ground>(cell: &Cell<G>) {
    let mut publisher = Pub::builder().send_high_water_mark(1).build(&cell.context).unwrap();
    let mut sub = Sub::builder().receive_high_water_mark(1).build(&cell.context).unwrap();
    sub.connect(&publisher.bind(&cell.endpoint()).unwrap()).unwrap();
    ["", "a", "ab"].iter().for_each(|topic| sub.subscribe(topic).unwrap());
    (0..5).for_each(|_| publisher.send("abc").unwrap());
    let counters = &publisher.counters()[0];
    assert_eq!((counters.sent + counters.queued, counters.dropped), (2, 3));
}

cells!(
    [Threads, Caller] x [Inproc]:
    a_subscriber_at_its_mark_loses_and_is_counted,
    a_message_is_lost_once,
);

const BODY: usize = 4096;
const MARK: usize = 100;

/// A publisher and a subscriber with little room between them.
fn narrow<G: Ground>(
    cell: &Cell<G>,
) -> (Socket<PubPattern, G::Driver>, Socket<SubPattern, G::Driver>) {
    let builder = Pub::builder().send_high_water_mark(MARK).send_buffer(Some(4096));
    let mut publisher = builder.build(&cell.context).unwrap();
    let builder = Sub::builder().receive_high_water_mark(MARK).receive_buffer(Some(4096));
    let mut sub = builder.build(&cell.context).unwrap();
    sub.subscribe("").unwrap();
    sub.connect(&publisher.bind(&cell.endpoint()).unwrap()).unwrap();
    meet(cell, &mut publisher, &mut sub);
    (publisher, sub)
}

/// A slow subscriber gets runs of at least half its mark, and loses as much between two of them,
/// which was counted. Where others' threads delay a grant, and the next one comes so much sooner,
/// it loses as much on average.
fn a_slow_subscriber_loses_runs_and_they_are_counted<G: Ground>(cell: &Cell<G>) {
    let (mut publisher, mut sub) = narrow(cell);
    let met = publisher.counters()[0].sent;
    let mut body = vec![0; BODY];
    let mut published = 0;
    let mut received = Vec::new();
    cell.until(|| {
        publish(&mut publisher, published, &mut body);
        published += 1;
        publisher.counters()[0].dropped > 0
    });
    for _ in 0..2000 {
        for _ in 0..3 {
            publish(&mut publisher, published, &mut body);
            published += 1;
        }
        received.extend(sub.try_recv().ok().map(|message| number_in(&message)));
        G::pause(&cell.context);
    }
    let end = published;
    cell.until(|| {
        publish(&mut publisher, published, &mut body);
        published += 1;
        while let Ok(message) = sub.try_recv() {
            received.push(number_in(&message));
        }
        received.last().is_some_and(|&last| last >= end)
    });
    cell.until(|| {
        received.extend(sub.try_recv().ok().map(|message| number_in(&message)));
        let counters = &publisher.counters()[0];
        received.len() as u64 + counters.dropped == published
    });
    let counters = &publisher.counters()[0];
    assert_eq!((counters.sent - met, counters.queued), (received.len() as u64, 0));
    assert!(received.is_sorted_by(|a, b| a < b));
    let runs: Vec<_> = received.chunk_by(|a, b| a + 1 == *b).map(<[u64]>::len).collect();
    assert!(runs.len() > 3, "the subscriber was to be slow: {runs:?}");
    let inner = &runs[..runs.len() - 1];
    assert!(inner.iter().all(|&run| run >= MARK / 2), "runs received: {runs:?}");
    let lost = received.windows(2).map(|pair| pair[1] - pair[0] - 1).filter(|&lost| lost > 0);
    let lost: Vec<_> = lost.collect();
    let (inner, least) = (&lost[..lost.len() - 1], MARK as u64 / 2);
    let is_enough = if G::IS_LOCAL {
        inner.iter().all(|&run| run >= least)
    } else {
        lost.iter().sum::<u64>() >= least * lost.len() as u64
    };
    assert!(is_enough, "runs lost: {lost:?}");
}

/// Whatever stands behind a message in its pipe, the message takes room no longer than it waits.
fn subscriptions_between_messages_take_no_room<G: Ground>(cell: &Cell<G>) {
    let mut publisher = XPub::new(&cell.context).unwrap();
    let endpoint = publisher.bind(&cell.endpoint()).unwrap();
    let mut sub = XSub::builder().send_high_water_mark(4).build(&cell.context).unwrap();
    sub.connect(&endpoint).unwrap();
    cell.until(|| publisher.peers() == 1 && sub.peers() == 1);
    for value in 0..100 {
        cell.watchdog.pat();
        let message = format!("message {value}");
        sub.send("before").unwrap();
        sub.send(&message[..]).unwrap();
        sub.subscribe("topic").unwrap();
        sub.flush().unwrap();
        assert_eq!(publisher.recv().unwrap(), "before");
        assert_eq!(publisher.recv().unwrap(), message);
        assert_eq!(publisher.recv().unwrap(), b"\x01topic");
        sub.unsubscribe("topic").unwrap();
        sub.flush().unwrap();
        assert_eq!(publisher.recv().unwrap(), b"\x00topic");
    }
    assert_eq!(sub.counters()[0].dropped, 0);
}

/// PUB is not the only one that drops.
fn what_finds_no_room_is_counted<G: Ground>(cell: &Cell<G>) {
    let mut router = Router::builder().send_high_water_mark(1).build(&cell.context).unwrap();
    let endpoint = router.bind(&cell.endpoint()).unwrap();
    let builder = Dealer::builder().receive_high_water_mark(1).routing_id("narrow");
    let mut dealer = builder.build(&cell.context).unwrap();
    dealer.connect(&endpoint).unwrap();
    let mut sub = XSub::builder().send_high_water_mark(1).build(&cell.context).unwrap();
    let mut publisher = XPub::builder().receive_high_water_mark(1).build(&cell.context).unwrap();
    sub.connect(&publisher.bind(&cell.endpoint()).unwrap()).unwrap();
    cell.until(|| router.peers() == 1 && publisher.peers() == 1 && sub.peers() == 1);
    for _ in 0..5 {
        router.send_multipart(["narrow", "body"]).unwrap();
        sub.send("upwards").unwrap();
    }
    assert_eq!((router.counters()[0].dropped, sub.counters()[0].dropped), (3, 3));
}

/// The stalled one loses; the other gets everything.
fn a_stalled_subscriber_costs_nobody_else_anything<G: Ground>(cell: &Cell<G>) {
    let (mut publisher, stalled) = narrow(cell);
    let mut other = Sub::builder().receive_high_water_mark(0).build(&cell.context).unwrap();
    other.connect(publisher.last_endpoint().unwrap()).unwrap();
    other.subscribe("").unwrap();
    meet(cell, &mut publisher, &mut other);
    let mut body = vec![0; BODY];
    for value in 0..5000 {
        publish(&mut publisher, value, &mut body);
        publisher.flush().unwrap();
        let message = other.recv().unwrap();
        assert_eq!(number_in(&message), value);
        assert_eq!(message.len(), BODY);
    }
    let counters = publisher.counters();
    assert!(counters[0].dropped > 1000, "{counters:?}");
    assert!(counters[0].queued <= MARK as u64, "{counters:?}");
    assert_eq!(counters[1].dropped, 0);
    drop(stalled);
}

cells!(
    [Threads, TwoThreads, Caller] x [Tcp, Ipc, Inproc]:
    subscriptions_between_messages_take_no_room,
);
cells!([Threads, Caller] x [Inproc]: what_finds_no_room_is_counted);
cells!(
    [Threads, Caller] x [Tcp, Ipc]:
    a_slow_subscriber_loses_runs_and_they_are_counted,
    a_stalled_subscriber_costs_nobody_else_anything,
);

/// Three subscribers of a lossless publisher: of `a`, which does not receive, of `b`, and one of
/// everything that has no mark.
fn without_drops_only_who_wants_a_message_can_hold_it_up<G: Ground>(cell: &Cell<G>) {
    let builder = XPub::builder().no_drop(true).send_high_water_mark(MARK);
    let mut publisher = builder.build(&cell.context).unwrap();
    let endpoint = publisher.bind(&cell.endpoint()).unwrap();
    let mut subs = ["a", "b"].map(|topic| {
        let mut sub = Sub::builder().receive_high_water_mark(1).build(&cell.context).unwrap();
        sub.subscribe(topic).unwrap();
        sub.subscribe("both").unwrap();
        sub.connect(&endpoint).unwrap();
        sub
    });
    let mut all = Sub::builder().receive_high_water_mark(0).build(&cell.context).unwrap();
    all.subscribe("").unwrap();
    all.connect(&publisher.bind(&Transport::Inproc.endpoint()).unwrap()).unwrap();
    let mut reports: Vec<_> = (0..4).map(|_| publisher.recv().unwrap().to_vec()).collect();
    reports.sort();
    assert_eq!(reports, [&b"\x01"[..], b"\x01a", b"\x01b", b"\x01both"]);
    cell.until(|| publisher.peers() == 3);
    let [first, second] = &mut subs;

    let large = vec![0; 16 * 1024];
    let mut sent = 0_u64;
    // Until it is stuck for good, which a few more looks tell.
    let mut refusals = 0;
    cell.until(|| {
        match publisher.try_send_multipart([b"a", &number(sent)[..], &large]) {
            Ok(()) => (sent, refusals) = (sent + 1, 0),
            Err(Error::WouldBlock) => refusals += 1,
            Err(error) => panic!("{error}"),
        }
        refusals == 200
    });
    assert_eq!(publisher.try_send("both"), Err(Error::WouldBlock));
    for value in 0..500 {
        // Some lie in the log as a whole, some beside it.
        let body = Bytes::from(vec![value as u8; if value % 3 == 0 { 20_000 } else { 20 }]);
        let result = publisher.try_send_multipart([Bytes::from("b"), body.clone()]);
        assert_eq!(result, Ok(()), "message {value} goes to another");
        publisher.flush().unwrap();
        assert_eq!(second.recv_multipart().unwrap(), [&b"b"[..], &body]);
    }
    assert_eq!(publisher.try_send("nobody"), Ok(()));
    assert_eq!(publisher.try_send("both"), Err(Error::WouldBlock));
    assert_eq!(second.try_recv().err(), Some(Error::WouldBlock), "sent to nobody");
    for value in 0..sent {
        assert_eq!(first.recv_multipart().unwrap()[1], number(value));
    }
    cell.until(|| publisher.try_send("both").is_ok());
    publisher.flush().unwrap();
    assert_eq!(first.recv().unwrap(), "both");
    assert_eq!(second.recv().unwrap(), "both");
    for _ in 0..sent + 500 {
        assert!(all.recv_multipart().unwrap().len() > 1);
    }
    assert_eq!([all.recv().unwrap(), all.recv().unwrap()], ["nobody", "both"]);
    assert!(publisher.counters().iter().all(|pipe| pipe.dropped == 0));
}

/// A lossless publisher, and its subscriber of `a` that has little room.
fn lossless_for_a<G: Ground>(
    cell: &Cell<G>,
) -> (Socket<PubPattern, G::Driver>, Socket<SubPattern, G::Driver>) {
    let builder = Pub::builder().no_drop(true).send_high_water_mark(MARK);
    let mut publisher = builder.build(&cell.context).unwrap();
    let mut full = Sub::builder().receive_high_water_mark(1).build(&cell.context).unwrap();
    full.connect(&publisher.bind(&cell.endpoint()).unwrap()).unwrap();
    full.subscribe("a").unwrap();
    meet(cell, &mut publisher, &mut full);
    (publisher, full)
}

/// It has cancelled behind more subscriptions than are taken in one look.
fn without_drops_nobody_waits_for_who_has_cancelled<G: Ground>(cell: &Cell<G>) {
    let (mut publisher, mut full) = lossless_for_a(cell);
    let large = vec![b'a'; 16 * 1024];
    let mut refusals = 0;
    cell.until(|| {
        refusals += usize::from(publisher.try_send(&large) == Err(Error::WouldBlock));
        refusals == 200
    });
    (0..5000).for_each(|topic| full.subscribe(topic.to_string()).unwrap());
    full.unsubscribe("a").unwrap();
    publisher.send(&large).unwrap();
}

/// It takes everything, and the other, which is full, only its own.
fn without_drops_who_takes_everything_over_inproc_stands_for_no_other<G: Ground>(cell: &Cell<G>) {
    let (mut publisher, _full) = lossless_for_a(cell);
    let mut all = Sub::builder().receive_high_water_mark(0).build(&cell.context).unwrap();
    all.subscribe("").unwrap();
    all.connect(&publisher.bind(&Transport::Inproc.endpoint()).unwrap()).unwrap();
    cell.until(|| publisher.peers() == 2);
    let large = vec![b'a'; 16 * 1024];
    let mut refusals = 0;
    cell.until(|| {
        refusals += usize::from(publisher.try_send(&large) == Err(Error::WouldBlock));
        refusals == 200
    });
    for _ in 0..3 * MARK {
        publisher.send("b").unwrap();
    }
    while all.recv().unwrap() != "b" {}
    for _ in 1..3 * MARK {
        assert_eq!(all.recv().unwrap(), "b");
    }
}

/// A burst for somebody who has room, while somebody else has none.
fn without_drops_a_burst_for_others_goes_through<G: Ground>(cell: &Cell<G>) {
    let builder = XPub::builder().no_drop(true).send_high_water_mark(MARK);
    let mut publisher = builder.build(&cell.context).unwrap();
    let endpoint = publisher.bind(&cell.endpoint()).unwrap();
    let mut subs = ["a", "b"].map(|topic| {
        let mut sub = Sub::builder().receive_high_water_mark(1).build(&cell.context).unwrap();
        sub.subscribe(topic).unwrap();
        sub.connect(&endpoint).unwrap();
        assert_eq!(publisher.recv().unwrap(), format!("\u{1}{topic}"));
        sub
    });
    let large = vec![b'a'; 16 * 1024];
    let mut refusals = 0;
    cell.until(|| {
        refusals = if publisher.try_send(&large[..]).is_ok() { 0 } else { refusals + 1 };
        refusals == 200
    });
    for value in 0..MARK as u64 / 4 {
        let result = publisher.try_send_multipart([&b"b"[..], &number(value)]);
        assert_eq!(result, Ok(()), "message {value} of a burst");
    }
    for value in 0..MARK as u64 / 4 {
        assert_eq!(subs[1].recv_multipart().unwrap()[1], number(value));
    }
    drop(subs);
}

/// What was published for a topic that was being given up meanwhile takes nobody's room.
fn without_drops_room_comes_back_from_a_topic_given_up<G: Ground>(cell: &Cell<G>) {
    let builder = Pub::builder().no_drop(true).send_high_water_mark(MARK);
    let mut publisher = builder.build(&cell.context).unwrap();
    let endpoint = publisher.bind(&cell.endpoint()).unwrap();
    let mut sub = Sub::new(&cell.context).unwrap();
    sub.connect(&endpoint).unwrap();
    for _ in 0..1000 {
        sub.subscribe("a").unwrap();
        sub.flush().unwrap();
        for _ in 0..MARK / 2 {
            publisher.send("a").unwrap();
        }
        sub.unsubscribe("a").unwrap();
        sub.flush().unwrap();
        for _ in 0..MARK / 2 {
            publisher.send("a").unwrap();
        }
        publisher.flush().unwrap();
        while sub.try_recv().is_ok() {}
    }
    sub.subscribe("a").unwrap();
    cell.until(|| {
        publisher.send("a, at last").unwrap();
        publisher.flush().unwrap();
        sub.try_recv().is_ok_and(|message| message == "a, at last")
    });
}

cells!(
    [Threads, Caller] x [Tcp, Ipc]:
    without_drops_room_comes_back_from_a_topic_given_up,
    without_drops_who_takes_everything_over_inproc_stands_for_no_other,
);
cells!(
    [Threads, TwoThreads, Caller] x [Tcp, Ipc, Inproc]:
    without_drops_only_who_wants_a_message_can_hold_it_up,
    without_drops_nobody_waits_for_who_has_cancelled,
    without_drops_a_burst_for_others_goes_through,
);

/// Every message reaches three subscribers of different speed, from a PUB and from an XPUB.
fn without_drops_nothing_is_lost<P: Sends, G: Ground>(cell: &Cell<G>, builder: zring::Builder<P>) {
    const MANY: u64 = 20_000;
    let mut publisher =
        builder.no_drop(true).send_high_water_mark(10).build(&cell.context).unwrap();
    let endpoint = publisher.bind(&cell.endpoint()).unwrap();
    let seed = G::seed(&cell.context);
    let (met, are_met) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        let subs = [0, 100, 1000].map(|slowness| {
            let (seed, endpoint, met) = (seed.clone(), &endpoint, met.clone());
            scope.spawn(move || {
                or_give_up(|| {
                    let context = G::grow(seed);
                    let mut sub =
                        Sub::builder().receive_high_water_mark(10).build(&context).unwrap();
                    sub.subscribe("").unwrap();
                    sub.connect(endpoint).unwrap();
                    assert_eq!(sub.recv().unwrap(), "meeting");
                    met.send(()).unwrap();
                    let mut next = 0;
                    while next < MANY {
                        let message = sub.recv().unwrap();
                        if message != "meeting" {
                            assert_eq!(number_in(&message), next, "slowness {slowness}");
                            next += 1;
                        }
                        (0..slowness).for_each(|_| std::hint::spin_loop());
                    }
                })
            })
        });
        let mut count = 0;
        cell.until(|| {
            publisher.send("meeting").unwrap();
            publisher.flush().unwrap();
            count += are_met.try_iter().count();
            count == 3
        });
        for value in 0..MANY {
            publisher.send(&number(value)).unwrap();
            cell.watchdog.pat();
        }
        assert!(publisher.counters().iter().all(|pipe| pipe.dropped == 0));
        drop(publisher);
        join(subs);
    });
}

fn from_a_pub_nothing_is_lost<G: Ground>(cell: &Cell<G>) {
    without_drops_nothing_is_lost(cell, Pub::builder());
}

fn from_an_xpub_nothing_is_lost<G: Ground>(cell: &Cell<G>) {
    without_drops_nothing_is_lost(cell, XPub::builder());
}

cells!(
    [Threads, TwoThreads] x [Tcp, Ipc, Inproc]:
    from_a_pub_nothing_is_lost,
    from_an_xpub_nothing_is_lost,
);

#[test]
fn a_caller_driven_publisher_loses_nothing_either() {
    for transport in [Transport::Tcp, Transport::Ipc] {
        without_drops_nothing_is_lost(&Cell::<Caller>::new(transport), Pub::builder());
        without_drops_nothing_is_lost(&Cell::<Caller>::new(transport), XPub::builder());
    }
}
