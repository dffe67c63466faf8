//! Waiting: timeouts, pollers, and what still leaves when a socket is dropped.
//!
//! Deliberately absent: signals and shutdowns, which are in `bad_days/endings.rs`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tests::bytes::number;
use tests::{Cell, Ground, Waits, cells, free_port};
use zring::{
    Bytes, Dealer, Error, Interest, Pollable, Poller, Pub, Pull, Push, Router, Socket, Sub,
};

const TICK: Duration = Duration::from_millis(30);

fn a_receive_timeout_ends_the_wait_and_not_before<G: Ground>(cell: &Cell<G>) {
    let mut pull = Pull::builder().receive_timeout(Some(TICK)).build(&cell.context).unwrap();
    pull.bind(&cell.endpoint()).unwrap();
    for _ in 0..3 {
        let begin = Instant::now();
        assert_eq!(pull.recv().err(), Some(Error::WouldBlock));
        assert!(begin.elapsed() >= TICK, "{:?}", begin.elapsed());
    }
    let zero = Some(Duration::ZERO);
    let mut pull = Pull::builder().receive_timeout(zero).build(&cell.context).unwrap();
    pull.bind(&cell.endpoint()).unwrap();
    assert_eq!(pull.recv().err(), Some(Error::WouldBlock));
    assert_eq!(pull.recv_multipart().err(), Some(Error::WouldBlock));
}

fn a_send_timeout_ends_the_wait_and_not_before<G: Ground>(cell: &Cell<G>) {
    let mut push = Push::builder().send_timeout(Some(TICK)).build(&cell.context).unwrap();
    push.bind(&cell.endpoint()).unwrap();
    let begin = Instant::now();
    assert_eq!(push.send("nobody"), Err(Error::WouldBlock));
    assert_eq!(push.send_multipart(["no", "body"]), Err(Error::WouldBlock));
    assert!(begin.elapsed() >= 2 * TICK, "{:?}", begin.elapsed());
}

/// Says so when it is dropped.
struct Ending<'a>(&'a AtomicBool);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Another peer of the same name is not heard, and sends without end.
fn a_timeout_ends_the_wait_while_much_comes_in_vain<G: Ground>(cell: &Cell<G>) {
    let builder = Router::builder().receive_timeout(Some(TICK));
    let mut router = builder.build(&cell.context).unwrap();
    let endpoint = router.bind(&cell.endpoint()).unwrap();
    let is_over = AtomicBool::new(false);
    cell.beside(
        |context| {
            let [mut first, mut twin] = std::array::from_fn(|_| {
                let builder = Dealer::builder().routing_id("one").linger(Some(Duration::ZERO));
                builder.build(context).unwrap()
            });
            first.connect(&endpoint).unwrap();
            first.send("here").unwrap();
            assert_eq!(first.recv().unwrap(), "heard");
            twin.connect(&endpoint).unwrap();
            let bodies = [Bytes::from("in vain"), Bytes::from(vec![0; 10_000])];
            for body in bodies.iter().cycle() {
                let _is_full = twin.try_send(body);
                if is_over.load(Ordering::Relaxed) {
                    return;
                }
            }
        },
        |context| {
            let _ending = Ending(&is_over);
            cell.until(|| router.recv_multipart().is_ok_and(|frames| frames == ["one", "here"]));
            router.send_multipart(["one", "heard"]).unwrap();
            router.flush().unwrap();
            cell.until(|| router.peers() == 2);
            let mut poller = Poller::new(context);
            for _ in 0..10 {
                assert_eq!(router.recv().err(), Some(Error::WouldBlock));
                let routers = std::slice::from_mut(&mut router);
                assert_eq!(poller.wait_readable(routers, Some(TICK)).unwrap(), []);
            }
        },
    );
}

/// A message that comes ends the wait, however long its timeout.
fn a_message_ends_the_wait<G: Ground>(cell: &Cell<G>) {
    let long = Some(Duration::from_secs(3600));
    let mut pull = Pull::builder().receive_timeout(long).build(&cell.context).unwrap();
    let endpoint = pull.bind(&cell.endpoint()).unwrap();
    cell.beside(
        |context| {
            let mut push = Push::new(context).unwrap();
            push.connect(&endpoint).unwrap();
            for value in 0..100 {
                push.send(&number(value)).unwrap();
                push.flush().unwrap();
                std::thread::yield_now();
            }
        },
        |_| {
            for value in 0..100 {
                assert_eq!(pull.recv().unwrap(), number(value));
            }
        },
    );
}

/// Returns when a connection between two contexts stands, and nothing is under way on it.
fn meet_across<G: Ground>(cell: &Cell<G>, push: &mut Push<G::Driver>, pull: &mut Pull<G::Driver>) {
    cell.until(|| {
        push.send("meeting").unwrap();
        push.flush().unwrap();
        pull.try_recv().is_ok()
    });
    while pull.try_recv().is_ok() {}
}

/// What is in the kernel counts, though the time is up.
fn no_time_is_enough_for_what_has_come<G: Ground>(cell: &Cell<G>) {
    let zero = Some(Duration::ZERO);
    let mut pull = Pull::builder().receive_timeout(zero).build(&cell.context).unwrap();
    let elsewhere = G::context();
    let mut push = Push::new(&elsewhere).unwrap();
    push.connect(&pull.bind(&cell.endpoint()).unwrap()).unwrap();
    meet_across(cell, &mut push, &mut pull);
    for value in 0..100 {
        push.send(&number(value)).unwrap();
        push.flush().unwrap();
        assert_eq!(pull.recv().unwrap(), number(value));
    }
}

/// A tail that gathers does not wait for a call that has to wait.
fn what_has_gathered_leaves_with_the_next_call<G: Ground>(cell: &Cell<G>) {
    let elsewhere = G::context();
    let mut pull = Pull::new(&elsewhere).unwrap();
    let mut push = Push::new(&cell.context).unwrap();
    push.connect(&pull.bind(&cell.endpoint()).unwrap()).unwrap();
    let mut back = Push::new(&cell.context).unwrap();
    let mut full = Pull::new(&cell.context).unwrap();
    back.connect(&full.bind(&cell.endpoint()).unwrap()).unwrap();
    for _ in 0..20 {
        back.send("is there").unwrap();
    }
    back.flush().unwrap();
    assert_eq!(full.recv().unwrap(), "is there");
    meet_across(cell, &mut push, &mut pull);
    for value in 0..9 {
        push.send(&number(value)).unwrap();
        push.send(&number(value)).unwrap();
        assert_eq!(full.recv().unwrap(), "is there");
        // In the other context, whose calls move nothing here.
        assert_eq!(pull.recv().unwrap(), number(value));
        assert_eq!(pull.recv().unwrap(), number(value));
    }
}

/// Times beyond what the clock can tell mean for ever.
fn the_longest_times_are_for_ever<G: Ground>(cell: &Cell<G>) {
    let ever = Some(Duration::MAX);
    let mut pull = Pull::builder()
        .receive_timeout(ever)
        .handshake_timeout(ever)
        .linger(ever)
        .build(&cell.context)
        .unwrap();
    let mut push = Push::builder()
        .send_timeout(ever)
        .handshake_timeout(ever)
        .reconnect_interval(ever)
        .reconnect_interval_max(ever)
        .linger(ever)
        .build(&cell.context)
        .unwrap();
    push.connect(&pull.bind(&cell.endpoint()).unwrap()).unwrap();
    push.send("a").unwrap();
    push.send("b").unwrap();
    push.flush().unwrap();
    let mut poller = Poller::new(&cell.context);
    assert_eq!(poller.wait_readable(std::slice::from_mut(&mut pull), ever).unwrap().len(), 1);
    assert_eq!(pull.recv().unwrap(), "a");
    assert_eq!(pull.recv().unwrap(), "b");
}

fn a_poller_tells_who_can_do_what<G: Ground>(cell: &Cell<G>) {
    let mut pulls: Vec<_> = (0..3).map(|_| Pull::new(&cell.context).unwrap()).collect();
    let mut pushes = Vec::new();
    for pull in &mut pulls {
        let mut push = Push::new(&cell.context).unwrap();
        push.connect(&pull.bind(&cell.endpoint()).unwrap()).unwrap();
        pushes.push(push);
    }
    let mut poller = Poller::new(&cell.context);
    let zero = Some(Duration::ZERO);
    assert_eq!(poller.wait_readable(&mut pulls, zero).unwrap(), []);
    let begin = Instant::now();
    assert_eq!(poller.wait_readable(&mut pulls, Some(TICK)).unwrap(), []);
    assert!(begin.elapsed() >= TICK);

    pushes[1].send("a").unwrap();
    pushes[1].flush().unwrap();
    for _ in 0..2 {
        let ready = poller.wait_readable(&mut pulls, None).unwrap();
        assert_eq!(ready.len(), 1, "{ready:?}");
        assert_eq!((ready[0].index, ready[0].can), (1, Interest::READABLE));
    }
    assert_eq!(pulls[1].try_recv().unwrap(), "a");
    assert_eq!(poller.wait_readable(&mut pulls, zero).unwrap(), []);

    for index in [0, 2] {
        pushes[index].send("b").unwrap();
        pushes[index].flush().unwrap();
    }
    let mut heard = [0; 3];
    while heard != [1, 0, 1] {
        let ready: Vec<_> =
            poller.wait_readable(&mut pulls, None).unwrap().iter().map(|it| it.index).collect();
        for index in ready {
            assert_eq!(pulls[index].try_recv().unwrap(), "b");
            heard[index] += 1;
        }
    }
}

fn a_publisher_that_is_polled_for_room_goes_on<G: Ground>(cell: &Cell<G>) {
    let mut publisher = Pub::new(&cell.context).unwrap();
    let mut sub = Sub::new(&cell.context).unwrap();
    sub.connect(&publisher.bind(&cell.endpoint()).unwrap()).unwrap();
    tests::meet(cell, &mut publisher, &mut sub);
    sub.subscribe("").unwrap();
    tests::meet(cell, &mut publisher, &mut sub);
    let mut poller = Poller::new(&cell.context);
    for _ in 0..200_000 {
        let polled = &mut [(&mut publisher as &mut dyn Pollable<_>, Interest::WRITABLE)];
        assert_eq!(poller.wait(polled, None).unwrap().len(), 1);
        publisher.send("x").unwrap();
    }
}

fn a_poller_refuses_what_it_would_not_turn<G: Ground>(cell: &Cell<G>) {
    let elsewhere = G::context();
    let mut pulls = [Pull::new(&cell.context).unwrap(), Pull::new(&elsewhere).unwrap()];
    let mut poller = Poller::new(&cell.context);
    assert_eq!(poller.wait_readable(&mut pulls, None).unwrap_err(), Error::OtherContext);
    assert_eq!(poller.wait_readable(&mut pulls[..1], Some(TICK)).unwrap(), []);
}

fn a_poller_takes_sockets_of_several_patterns<G: Ground>(cell: &Cell<G>) {
    let mut pull = Pull::new(&cell.context).unwrap();
    let mut push = Push::new(&cell.context).unwrap();
    let mut lonely = Push::new(&cell.context).unwrap();
    let mut sub = Sub::new(&cell.context).unwrap();
    let mut publisher = Pub::new(&cell.context).unwrap();
    push.connect(&pull.bind(&cell.endpoint()).unwrap()).unwrap();
    sub.subscribe("wanted").unwrap();
    sub.connect(&publisher.bind(&cell.endpoint()).unwrap()).unwrap();
    tests::meet(cell, &mut publisher, &mut sub);
    publisher.send("unwanted").unwrap();
    push.send("a").unwrap();
    push.flush().unwrap();
    let mut poller = Poller::new(&cell.context);
    cell.until(|| {
        let items: &mut [(&mut dyn Pollable<G::Driver>, Interest)] = &mut [
            (&mut pull, Interest::BOTH),
            (&mut push, Interest::BOTH),
            (&mut lonely, Interest::BOTH),
            (&mut sub, Interest::BOTH),
            (&mut publisher, Interest::BOTH),
        ];
        let ready = poller.wait(items, None).unwrap();
        let of = |index| ready.iter().find(|it| it.index == index).map(|it| it.can);
        assert_eq!(of(1), Some(Interest::WRITABLE));
        assert_eq!(of(2), None);
        assert_eq!(of(3), None, "what was not subscribed to is no message");
        assert_eq!(of(4), Some(Interest::WRITABLE));
        of(0) == Some(Interest::READABLE)
    });
    assert_eq!(pull.recv().unwrap(), "a");
}

type Sending<G> = Socket<zring::pattern::Push, <G as Ground>::Driver>;

fn a_poller_tells_when_there_is_room_again<G: Ground>(cell: &Cell<G>) {
    let mut push = Push::builder().send_high_water_mark(2).build(&cell.context).unwrap();
    let mut pull = Pull::builder().receive_high_water_mark(2).build(&cell.context).unwrap();
    let endpoint = pull.bind(&cell.endpoint()).unwrap();
    let mut poller = Poller::new(&cell.context);
    let writable = |poller: &mut Poller<G::Driver>, push: &mut Sending<G>, timeout| {
        poller.wait(&mut [(push, Interest::WRITABLE)], timeout).unwrap().len()
    };
    assert_eq!(writable(&mut poller, &mut push, Some(Duration::ZERO)), 0, "without a peer");
    push.connect(&endpoint).unwrap();
    assert_eq!(writable(&mut poller, &mut push, None), 1);
    let body = vec![0; 256 * 1024];
    let mut sent = 0;
    while writable(&mut poller, &mut push, Some(TICK)) > 0 {
        push.try_send(&body[..]).unwrap();
        sent += 1;
        assert!(sent < 1000, "no end");
    }
    assert_eq!(push.try_send("more"), Err(Error::WouldBlock));
    for _ in 0..sent {
        assert_eq!(pull.recv().unwrap().len(), body.len());
    }
    assert_eq!(writable(&mut poller, &mut push, None), 1);
    push.try_send("more").unwrap();
    push.flush().unwrap();
    assert_eq!(pull.recv().unwrap(), "more");
}

/// Another thread's message ends a poller's wait.
fn a_message_ends_a_pollers_wait<G: Ground>(cell: &Cell<G>) {
    let mut pulls: Vec<_> = (0..2).map(|_| Pull::new(&cell.context).unwrap()).collect();
    let endpoints: Vec<_> =
        pulls.iter_mut().map(|pull| pull.bind(&cell.endpoint()).unwrap()).collect();
    cell.beside(
        |context| {
            let mut pushes: Vec<_> = (0..2).map(|_| Push::new(context).unwrap()).collect();
            for (push, endpoint) in pushes.iter_mut().zip(&endpoints) {
                push.connect(endpoint).unwrap();
            }
            for value in 0..200 {
                pushes[value % 2].send(&number(value as u64)).unwrap();
                pushes[value % 2].flush().unwrap();
                std::thread::yield_now();
            }
        },
        |context| {
            let mut poller = Poller::new(context);
            let mut next = [0, 1];
            while next != [200, 201] {
                let ready = poller.wait_readable(&mut pulls, None).unwrap();
                assert!(!ready.is_empty());
                for index in ready.iter().map(|it| it.index).collect::<Vec<_>>() {
                    assert_eq!(pulls[index].try_recv().unwrap(), number(next[index]));
                    next[index] += 2;
                }
            }
        },
    );
}

fn what_was_sent_arrives_though_the_socket_is_dropped<G: Ground>(cell: &Cell<G>) {
    let mut pull = Pull::builder().receive_high_water_mark(10).build(&cell.context).unwrap();
    let endpoint = pull.bind(&cell.endpoint()).unwrap();
    cell.beside(
        |context| {
            let mut push = Push::builder().send_high_water_mark(0).build(context).unwrap();
            push.connect(&endpoint).unwrap();
            for value in 0..2000 {
                push.send_multipart([&number(value)[..], &[0; 3000]]).unwrap();
            }
        },
        |_| {
            for value in 0..2000 {
                assert_eq!(pull.recv_multipart().unwrap(), [&number(value)[..], &[0; 3000]]);
            }
        },
    );
}

fn what_was_published_arrives_though_the_socket_is_dropped<G: Ground>(cell: &Cell<G>) {
    let mut sub = Sub::builder().receive_high_water_mark(10).build(&cell.context).unwrap();
    sub.subscribe("").unwrap();
    let endpoint = sub.bind(&cell.endpoint()).unwrap();
    cell.beside(
        |context| {
            let builder = zring::XPub::builder().send_high_water_mark(0);
            let mut publisher = builder.build(context).unwrap();
            publisher.connect(&endpoint).unwrap();
            publisher.recv().unwrap();
            for value in 0..2000 {
                publisher.send_multipart([&number(value)[..], &[0; 3000]]).unwrap();
            }
        },
        |_| {
            for value in 0..2000 {
                assert_eq!(sub.recv_multipart().unwrap(), [&number(value)[..], &[0; 3000]]);
            }
        },
    );
}

/// A message that was begun and not finished is never seen.
fn an_unfinished_message_goes_with_its_socket<G: Ground>(cell: &Cell<G>) {
    let mut pull = Pull::new(&cell.context).unwrap();
    let endpoint = pull.bind(&cell.endpoint()).unwrap();
    let mut push = Push::new(&cell.context).unwrap();
    push.connect(&endpoint).unwrap();
    push.send("whole").unwrap();
    push.send_more("half").unwrap();
    push.send_more("a").unwrap();
    push.send_more(vec![0; 100_000]).unwrap();
    drop(push);
    assert_eq!(pull.recv_multipart().unwrap(), ["whole"]);
    cell.until(|| pull.peers() == 0);
    assert_eq!(pull.try_recv().err(), Some(Error::WouldBlock));
}

/// Before the first tcp or ipc endpoint there is nothing to wait for but the time.
fn a_turn_takes_its_time_before_there_is_a_ring<W: Waits>(cell: &Cell<W>) {
    let context = &cell.context;
    assert_eq!(context.turn(None), Err(Error::WouldBlock));
    assert_eq!(context.turn(Some(Duration::MAX)), Err(Error::WouldBlock));
    context.turn(Some(Duration::ZERO)).unwrap();
    let begin = Instant::now();
    context.turn(Some(TICK)).unwrap();
    assert!(begin.elapsed() >= TICK, "{:?}", begin.elapsed());
}

cells!(
    [Threads, Caller] x [Tcp, Ipc, Inproc]:
    a_receive_timeout_ends_the_wait_and_not_before,
    a_send_timeout_ends_the_wait_and_not_before,
    the_longest_times_are_for_ever,
    a_poller_tells_who_can_do_what,
    a_poller_takes_sockets_of_several_patterns,
    a_poller_tells_when_there_is_room_again,
    an_unfinished_message_goes_with_its_socket,
);
cells!([Caller] x [Tcp, Ipc, Inproc]: a_poller_refuses_what_it_would_not_turn);
cells!([Caller, Spinning] x [Inproc]: a_turn_takes_its_time_before_there_is_a_ring);
cells!(
    [Caller] x [Tcp, Ipc]:
    no_time_is_enough_for_what_has_come,
    what_has_gathered_leaves_with_the_next_call,
);
cells!(
    [Threads, Caller] x [Tcp, Ipc]:
    a_publisher_that_is_polled_for_room_goes_on,
    a_timeout_ends_the_wait_while_much_comes_in_vain,
);
cells!(
    [Threads, TwoThreads] x [Tcp, Ipc, Inproc]:
    a_message_ends_the_wait,
    a_message_ends_a_pollers_wait,
    what_was_sent_arrives_though_the_socket_is_dropped,
    what_was_published_arrives_though_the_socket_is_dropped,
);

mod on_two_threads {
    use super::*;

    cells!(
        [Caller] x [Tcp, Ipc]:
        a_message_ends_the_wait,
        a_message_ends_a_pollers_wait,
        what_was_sent_arrives_though_the_socket_is_dropped,
        what_was_published_arrives_though_the_socket_is_dropped,
    );
}

/// To a peer that is not there yet.
fn what_was_sent_waits_for_its_peer_though_the_socket_is_dropped<G: Ground>(cell: &Cell<G>) {
    let endpoint = cell.transport.fixed_endpoint();
    let (dropping, is_dropping) = std::sync::mpsc::channel();
    cell.beside(
        |context| {
            let builder = Push::builder().reconnect_interval(Some(Duration::from_millis(1)));
            let mut push = builder.build(context).unwrap();
            push.connect(&endpoint).unwrap();
            for value in 0..100 {
                push.send(&number(value)).unwrap();
            }
            dropping.send(()).unwrap();
        },
        |context| {
            is_dropping.recv().unwrap();
            let mut pull = Pull::new(context).unwrap();
            pull.bind(&endpoint).unwrap();
            for value in 0..100 {
                assert_eq!(pull.recv().unwrap(), number(value));
            }
        },
    );
}

fn when_linger_is_over_what_could_not_leave_is_dropped<G: Ground>(cell: &Cell<G>) {
    let endpoint = format!("tcp://127.0.0.1:{}", free_port());
    for linger in [Duration::ZERO, Duration::from_millis(30)] {
        let context = G::context();
        let mut push = Push::builder().linger(Some(linger)).build(&context).unwrap();
        push.connect(&endpoint).unwrap();
        push.send("gone").unwrap();
        let begin = Instant::now();
        // The end of a context waits for what lingers.
        drop((push, context));
        assert!(begin.elapsed() >= linger);
    }
    let mut pull = Pull::new(&cell.context).unwrap();
    let mut push = Push::new(&cell.context).unwrap();
    pull.bind(&endpoint).unwrap();
    push.connect(&endpoint).unwrap();
    push.send("here").unwrap();
    push.flush().unwrap();
    assert_eq!(pull.recv().unwrap(), "here");
}

cells!(
    [Threads, TwoThreads, Caller] x [Tcp, Ipc]:
    what_was_sent_waits_for_its_peer_though_the_socket_is_dropped,
);
cells!([Threads, Caller] x [Tcp]: when_linger_is_over_what_could_not_leave_is_dropped);

mod spinning {
    use super::*;

    cells!(
        [Spinning] x [Tcp]:
        a_receive_timeout_ends_the_wait_and_not_before,
        a_send_timeout_ends_the_wait_and_not_before,
        the_longest_times_are_for_ever,
        a_poller_tells_who_can_do_what,
        a_poller_refuses_what_it_would_not_turn,
        a_poller_takes_sockets_of_several_patterns,
        a_poller_tells_when_there_is_room_again,
        an_unfinished_message_goes_with_its_socket,
        a_message_ends_the_wait,
        a_message_ends_a_pollers_wait,
        what_was_sent_arrives_though_the_socket_is_dropped,
        what_was_published_arrives_though_the_socket_is_dropped,
        what_was_sent_waits_for_its_peer_though_the_socket_is_dropped,
        when_linger_is_over_what_could_not_leave_is_dropped,
    );
}

/// What depends on how it is waited.
mod sleepless {
    use super::*;

    cells!(
        [Sleepless] x [Tcp]:
        a_receive_timeout_ends_the_wait_and_not_before,
        a_send_timeout_ends_the_wait_and_not_before,
        a_poller_tells_who_can_do_what,
        a_message_ends_the_wait,
        a_message_ends_a_pollers_wait,
        what_was_sent_arrives_though_the_socket_is_dropped,
        what_was_sent_waits_for_its_peer_though_the_socket_is_dropped,
        when_linger_is_over_what_could_not_leave_is_dropped,
    );
}
