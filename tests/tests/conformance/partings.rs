//! Partings: sockets and connections that are given up, and what becomes of those who stay.
//!
//! Deliberately absent: parting without a word. Killed and lost peers are in `bad_days`.

use std::time::Duration;

use tests::bytes::number;
use tests::{Cell, Ground, cells};
use zring::pattern::{Receives, Sends};
use zring::{
    Dealer, Error, Pair, Poller, Pub, Pull, Push, Rep, Req, Router, Socket, Sub, XPub, XSub,
};

fn who_had_connected_to_a_dropped_socket_learns_it<G: Ground>(cell: &Cell<G>) {
    let mut pull = Pull::new(&cell.context).unwrap();
    let endpoint = pull.bind(&cell.endpoint()).unwrap();
    let mut push = Push::new(&cell.context).unwrap();
    push.connect(&endpoint).unwrap();
    // It has not looked who has come.
    drop(pull);
    cell.until(|| push.peers() == 0);
    assert_eq!(push.try_send("to nobody"), Err(Error::WouldBlock));
}

fn who_binds_a_name_gets_what_was_sent_there_and_not_the_sender<G: Ground>(cell: &Cell<G>) {
    let name = cell.endpoint();
    for is_dropped in [true, false] {
        let mut gone = Pair::new(&cell.context).unwrap();
        gone.connect(&name).unwrap();
        gone.send("before").unwrap();
        let mut silent = Pair::new(&cell.context).unwrap();
        silent.connect(&name).unwrap();
        if is_dropped {
            drop((gone, silent));
        } else {
            gone.disconnect(&name).unwrap();
            silent.disconnect(&name).unwrap();
        }
        let mut bound = Pair::new(&cell.context).unwrap();
        bound.bind(&name).unwrap();
        assert_eq!(bound.recv().unwrap(), "before");
        assert_eq!(bound.try_recv().err(), Some(Error::WouldBlock));
        let mut stays = Pair::new(&cell.context).unwrap();
        stays.connect(&name).unwrap();
        stays.send("after").unwrap();
        assert_eq!(bound.recv().unwrap(), "after");
        bound.send("to you").unwrap();
        assert_eq!(stays.recv().unwrap(), "to you");
    }
}

fn without_linger_nothing_waits_under_a_name<G: Ground>(cell: &Cell<G>) {
    let name = cell.endpoint();
    let mut gone = Push::builder().linger(Some(Duration::ZERO)).build(&cell.context).unwrap();
    gone.connect(&name).unwrap();
    gone.send("lost").unwrap();
    drop(gone);
    let mut pull = Pull::new(&cell.context).unwrap();
    pull.bind(&name).unwrap();
    assert_eq!((pull.peers(), pull.try_recv().err()), (0, Some(Error::WouldBlock)));
}

fn every_connection_to_an_endpoint_is_given_up<G: Ground>(cell: &Cell<G>) {
    let mut pull = Pull::new(&cell.context).unwrap();
    let endpoint = pull.bind(&cell.endpoint()).unwrap();
    let mut push = Push::new(&cell.context).unwrap();
    push.connect(&endpoint).unwrap();
    push.connect(&endpoint).unwrap();
    push.disconnect(&endpoint).unwrap();
    assert_eq!(push.peers(), 0);
    assert!(push.disconnect(&endpoint).is_err());
}

fn an_xsub_may_connect_twice<G: Ground>(cell: &Cell<G>) {
    let mut publisher = Pub::new(&cell.context).unwrap();
    let endpoint = publisher.bind(&cell.endpoint()).unwrap();
    let mut sub = XSub::new(&cell.context).unwrap();
    sub.connect(&endpoint).unwrap();
    sub.connect(&endpoint).unwrap();
    cell.until(|| publisher.peers() == 2);
}

/// Its place among the peers goes to another.
fn an_answer_goes_to_nobody_but_who_asked<G: Ground>(cell: &Cell<G>) {
    let mut rep = Rep::new(&cell.context).unwrap();
    let mut asker = Dealer::new(&cell.context).unwrap();
    let asked_from = asker.bind(&cell.endpoint()).unwrap();
    rep.connect(&asked_from).unwrap();
    asker.send_multipart(["", "question"]).unwrap();
    asker.flush().unwrap();
    assert_eq!(rep.recv().unwrap(), "question");
    rep.disconnect(&asked_from).unwrap();
    let mut other = Dealer::new(&cell.context).unwrap();
    rep.connect(&other.bind(&cell.endpoint()).unwrap()).unwrap();
    cell.until(|| other.peers() == 1);
    rep.send("for whoever asked").unwrap();
    other.send_multipart(["", "mine"]).unwrap();
    other.flush().unwrap();
    assert_eq!(rep.recv().unwrap(), "mine");
    rep.send("yours").unwrap();
    assert_eq!(other.recv_multipart().unwrap(), ["", "yours"]);
}

fn half_a_request_goes_with_its_peer<G: Ground>(cell: &Cell<G>) {
    let mut rep = Rep::new(&cell.context).unwrap();
    let mut asker = Req::new(&cell.context).unwrap();
    let asked_from = asker.bind(&cell.endpoint()).unwrap();
    rep.connect(&asked_from).unwrap();
    asker.send_multipart(["first", "second"]).unwrap();
    assert_eq!(rep.recv().unwrap(), "first");
    rep.disconnect(&asked_from).unwrap();
    let mut other = Req::new(&cell.context).unwrap();
    rep.connect(&other.bind(&cell.endpoint()).unwrap()).unwrap();
    other.send("whole").unwrap();
    assert_eq!(rep.recv_multipart().unwrap(), ["whole"]);
    rep.send("answer").unwrap();
    assert_eq!(other.recv().unwrap(), "answer");
}

/// What the next peer sends begins with its first frame.
fn half_a_message_goes_with_its_peer<G: Ground>(cell: &Cell<G>) {
    fn check<R: Receives, S: Sends, G: Ground>(cell: &Cell<G>, make: fn() -> zring::Builder<S>) {
        let mut receiver = Socket::<R, G::Driver>::new(&cell.context).unwrap();
        for name in ["first", "second"] {
            let mut sender = make().build(&cell.context).unwrap();
            let endpoint = sender.bind(&cell.endpoint()).unwrap();
            receiver.connect(&endpoint).unwrap();
            sender.send_multipart([name, "rest", "end"]).unwrap();
            sender.flush().unwrap();
            assert_eq!(receiver.recv().unwrap(), name);
            assert_eq!(receiver.recv().unwrap(), "rest");
            receiver.disconnect(&endpoint).unwrap();
            assert_eq!(receiver.try_recv().err(), Some(Error::WouldBlock));
        }
    }
    check::<zring::pattern::Dealer, _, _>(cell, Dealer::builder);
    check::<zring::pattern::Pull, _, _>(cell, Push::builder);
    check::<zring::pattern::Pair, _, _>(cell, Pair::builder);
}

/// Of a message with its sender's name, however much was received.
fn half_a_named_message_goes_with_its_peer<G: Ground>(cell: &Cell<G>) {
    for taken in 1..4 {
        let mut router = Router::new(&cell.context).unwrap();
        for name in ["first", "second"] {
            let mut dealer = Dealer::builder().routing_id(name).build(&cell.context).unwrap();
            let endpoint = dealer.bind(&cell.endpoint()).unwrap();
            router.connect(&endpoint).unwrap();
            let frames = [name, "a", "b", "c"];
            dealer.send_multipart(["a", "b", "c"]).unwrap();
            dealer.flush().unwrap();
            for frame in &frames[..taken] {
                assert_eq!(router.recv().unwrap(), frame, "{taken} of {name}");
            }
            router.disconnect(&endpoint).unwrap();
            assert_eq!(router.try_recv().err(), Some(Error::WouldBlock));
        }
    }
}

fn what_was_published_goes_with_its_publisher<G: Ground>(cell: &Cell<G>) {
    for is_begun in [true, false] {
        let mut sub = Sub::new(&cell.context).unwrap();
        let [mut goes, mut stays] = [(); 2].map(|()| XPub::new(&cell.context).unwrap());
        let endpoint = goes.bind(&cell.endpoint()).unwrap();
        sub.subscribe("topic").unwrap();
        sub.subscribe("end").unwrap();
        sub.connect(&endpoint).unwrap();
        sub.connect(&stays.bind(&cell.endpoint()).unwrap()).unwrap();
        for publisher in [&mut goes, &mut stays] {
            publisher.recv().unwrap();
            publisher.recv().unwrap();
        }
        goes.send_multipart(["topic", "b", "c"]).unwrap();
        goes.flush().unwrap();
        if is_begun {
            assert_eq!(sub.recv().unwrap(), "topic");
        } else {
            let mut poller = Poller::new(&cell.context);
            let subs = std::slice::from_mut(&mut sub);
            assert_eq!(poller.wait_readable(subs, None).unwrap().len(), 1);
        }
        // What is not wanted any more is not received either.
        stays.send_multipart(["topic", "end"]).unwrap();
        stays.send("end").unwrap();
        stays.flush().unwrap();
        sub.unsubscribe("topic").unwrap();
        sub.disconnect(&endpoint).unwrap();
        assert_eq!(sub.recv_multipart().unwrap(), ["end"]);
    }
}

/// It was received in part, and its rest will not come: another may be asked.
fn half_an_answer_goes_with_its_peer<G: Ground>(cell: &Cell<G>) {
    let mut req = Req::new(&cell.context).unwrap();
    for answer in ["first", "second"] {
        let mut rep = Rep::new(&cell.context).unwrap();
        let endpoint = rep.bind(&cell.endpoint()).unwrap();
        req.connect(&endpoint).unwrap();
        req.send("question").unwrap();
        assert_eq!(rep.recv().unwrap(), "question");
        rep.send_multipart([answer, "rest", "end"]).unwrap();
        rep.flush().unwrap();
        assert_eq!(req.recv().unwrap(), answer);
        assert_eq!(req.recv().unwrap(), "rest");
        req.disconnect(&endpoint).unwrap();
        assert_eq!(req.try_recv().err(), Some(Error::State));
    }
}

/// What has come through it is received to its end.
fn half_a_message_stays_though_its_endpoint_goes<G: Ground>(cell: &Cell<G>) {
    let mut router = Router::new(&cell.context).unwrap();
    for name in ["first", "second"] {
        let builder = Dealer::builder().linger(Some(Duration::ZERO)).routing_id(name);
        let mut dealer = builder.build(&cell.context).unwrap();
        let endpoint = router.bind(&cell.endpoint()).unwrap();
        dealer.connect(&endpoint).unwrap();
        dealer.send_multipart(["a", "b"]).unwrap();
        dealer.flush().unwrap();
        assert_eq!(router.recv().unwrap(), name);
        router.unbind(&endpoint).unwrap();
        drop(dealer);
        cell.until(|| router.peers() == 0);
        assert_eq!(router.recv_multipart().unwrap(), ["a", "b"]);
        assert_eq!(router.try_recv().err(), Some(Error::WouldBlock));
    }
    let mut pair = Pair::new(&cell.context).unwrap();
    for _ in 0..2 {
        let builder = Pair::builder().linger(Some(Duration::ZERO));
        let mut other = builder.build(&cell.context).unwrap();
        let endpoint = pair.bind(&cell.endpoint()).unwrap();
        other.connect(&endpoint).unwrap();
        other.send_multipart(["a", "b"]).unwrap();
        other.flush().unwrap();
        assert_eq!(pair.recv().unwrap(), "a");
        pair.unbind(&endpoint).unwrap();
        drop(other);
        cell.until(|| pair.peers() == 0);
        assert_eq!(pair.recv().unwrap(), "b");
        assert_eq!(pair.try_recv().err(), Some(Error::WouldBlock));
    }
}

/// One that connects to a peer which says no name calls it the same after it was gone.
fn a_peer_that_comes_back_has_the_name_it_had<G: Ground>(cell: &Cell<G>) {
    let endpoint = cell.transport.fixed_endpoint();
    let interval = Some(Duration::from_millis(1));
    let mut router = Router::builder().reconnect_interval(interval).build(&cell.context).unwrap();
    router.connect(&endpoint).unwrap();
    let mut known = None;
    for (round, name) in (0..).zip(["", "", "another"]) {
        let builder =
            if name.is_empty() { Dealer::builder() } else { Dealer::builder().routing_id(name) };
        let mut dealer = builder.build(&cell.context).unwrap();
        cell.until(|| dealer.bind(&endpoint).is_ok());
        let mut frames = None;
        cell.until(|| {
            if dealer.peers() == 1 && frames.is_none() {
                dealer.send(&number(round)).unwrap();
                dealer.flush().unwrap();
            }
            // What an earlier one has said more than once does not count.
            frames = router.try_recv_multipart().ok().filter(|it| it[1] == number(round));
            frames.is_some()
        });
        let id = frames.unwrap()[0].to_vec();
        assert_eq!(*known.get_or_insert_with(|| id.clone()), id);
        router.send_multipart([&id[..], b"hello"]).unwrap();
        router.flush().unwrap();
        assert_eq!(dealer.recv().unwrap(), "hello");
    }
}

fn what_is_published_later_is_not_for_who_was_given_up<G: Ground>(cell: &Cell<G>) {
    let mut publisher = Pub::new(&cell.context).unwrap();
    let endpoint = publisher.bind(&cell.endpoint()).unwrap();
    let mut sub = Sub::builder().receive_high_water_mark(1).build(&cell.context).unwrap();
    sub.subscribe("").unwrap();
    sub.connect(&endpoint).unwrap();
    tests::meet(cell, &mut publisher, &mut sub);
    // So much that some of it waits here.
    let large = vec![b'x'; 100 * 1024];
    cell.until(|| {
        publisher.send(&large[..]).unwrap();
        publisher.flush().unwrap();
        publisher.counters()[0].queued > 2
    });
    publisher.unbind(&endpoint).unwrap();
    for _ in 0..10 {
        publisher.send("late").unwrap();
        publisher.flush().unwrap();
    }
    let mut is_over = false;
    cell.until(|| {
        while let Ok(message) = sub.try_recv() {
            assert_eq!(message.len(), large.len(), "nothing late");
        }
        is_over |= publisher.counters().is_empty() && publisher.bind(&endpoint).is_ok();
        is_over
    });
}

/// Its frame was read with the routing id, and waits in the ROUTER.
fn a_body_is_received_though_its_sender_goes_behind_the_routing_id<G: Ground>(cell: &Cell<G>) {
    let mut router = Router::new(&cell.context).unwrap();
    let endpoint = router.bind(&cell.endpoint()).unwrap();
    for is_crowded in [false, true] {
        let mut gone = Dealer::builder().routing_id("gone").build(&cell.context).unwrap();
        gone.connect(&endpoint).unwrap();
        gone.send("body").unwrap();
        gone.flush().unwrap();
        let id = router.recv().unwrap();
        assert!(id.has_more() && id == "gone");
        let mut other = Dealer::builder().routing_id("other").build(&cell.context).unwrap();
        if is_crowded {
            other.connect(&endpoint).unwrap();
            other.send("theirs").unwrap();
            other.flush().unwrap();
            cell.until(|| router.peers() == 2);
        }
        drop(gone);
        cell.until(|| router.peers() == usize::from(is_crowded));
        let body = router.recv().unwrap();
        assert!(!body.has_more() && body == "body");
        if is_crowded {
            assert_eq!(router.recv_multipart().unwrap(), ["other", "theirs"]);
        }
        drop(other);
        cell.until(|| router.peers() == 0);
        assert_eq!(router.try_recv().err(), Some(Error::WouldBlock));
    }
}

/// SUB looks at a message before it says that there is one.
fn a_message_that_was_polled_is_received_though_its_publisher_goes<G: Ground>(cell: &Cell<G>) {
    let mut sub = Sub::new(&cell.context).unwrap();
    let endpoint = sub.bind(&cell.endpoint()).unwrap();
    sub.subscribe("").unwrap();
    for _ in 0..3 {
        let mut publisher = Pub::new(&cell.context).unwrap();
        publisher.connect(&endpoint).unwrap();
        tests::meet(cell, &mut publisher, &mut sub);
        publisher.send("last words").unwrap();
        publisher.flush().unwrap();
        let mut poller = Poller::new(&cell.context);
        assert_eq!(poller.wait_readable(std::slice::from_mut(&mut sub), None).unwrap().len(), 1);
        drop(publisher);
        cell.until(|| sub.peers() == 0);
        assert_eq!(sub.recv().unwrap(), "last words");
        assert_eq!(sub.try_recv().err(), Some(Error::WouldBlock));
    }
}

cells!(
    [Threads, TwoThreads, Caller] x [Tcp, Ipc, Inproc]:
    a_body_is_received_though_its_sender_goes_behind_the_routing_id,
    a_message_that_was_polled_is_received_though_its_publisher_goes,
    every_connection_to_an_endpoint_is_given_up,
    an_xsub_may_connect_twice,
    an_answer_goes_to_nobody_but_who_asked,
    half_a_request_goes_with_its_peer,
    half_a_message_goes_with_its_peer,
    half_a_named_message_goes_with_its_peer,
    what_was_published_goes_with_its_publisher,
    half_an_answer_goes_with_its_peer,
    half_a_message_stays_though_its_endpoint_goes,
);
cells!(
    [Threads, Caller] x [Inproc]:
    who_had_connected_to_a_dropped_socket_learns_it,
    who_binds_a_name_gets_what_was_sent_there_and_not_the_sender,
    without_linger_nothing_waits_under_a_name,
);
cells!(
    [Threads, TwoThreads, Caller] x [Tcp, Ipc]:
    a_peer_that_comes_back_has_the_name_it_had,
    what_is_published_later_is_not_for_who_was_given_up,
);
