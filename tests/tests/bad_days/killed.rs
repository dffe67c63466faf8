//! Killed: the peer's process ends without a word, in mid-stream, and another takes its place.

use std::time::Duration;

use tests::bytes::{assert_same, body, number, number_in};
use tests::child::{self, Spawned, tell};
use tests::{Cell, Ground, Threads, Transport, cells, or_give_up};
use zring::pattern::Pattern;
use zring::{Context, Driver, Error, Pub, Pull, Push, Socket, Sub, TransportError};

use crate::child_arguments;

/// How often the peer is killed.
const LIVES: u64 = 3;
/// Of the large frame, in bytes.
const LARGE: usize = 1 << 20;

/// The kernel ends a ring, and with it what the ring has under way on a listener, shortly after the
/// process that had it is gone.
fn bind_when_free<P: Pattern, D: Driver>(socket: &mut Socket<P, D>, endpoint: &str) -> String {
    loop {
        match socket.bind(endpoint) {
            Ok(endpoint) => return endpoint,
            Err(Error::Transport(TransportError::AddressInUse { .. })) => {
                std::thread::park_timeout(Duration::from_millis(1));
            }
            Err(error) => panic!("{error}"),
        }
    }
}

/// Publishes for ever: what is wanted, its number, and a body that belongs to it.
#[test]
#[ignore = "a child's part"]
fn child_publishes() {
    let arguments = child_arguments!();
    let life: u64 = arguments[1].parse().unwrap();
    let mut publisher = Pub::new(&Context::new()).unwrap();
    tell(&bind_when_free(&mut publisher, &arguments[0]));
    for count in 0.. {
        let value = (life << 32) + count;
        for topic in ["wanted", "unwanted", "wanted too"] {
            let body = body(count as usize % 100, 500);
            publisher.send_more(topic).unwrap();
            publisher.send_more(&number(value)).unwrap();
            publisher.send(body).unwrap();
        }
    }
}

/// Subscriptions are replayed, messages are whole, and none comes twice.
fn a_subscriber_survives_its_publisher<G: Ground>(cell: &Cell<G>) {
    let interval = Some(Duration::from_millis(1));
    let mut sub = Sub::builder().reconnect_interval(interval).build(&cell.context).unwrap();
    sub.subscribe("wanted").unwrap();
    let mut endpoint = cell.endpoint();
    let mut last = None;
    for life in 1..=LIVES {
        cell.watchdog.pat();
        let mut publisher =
            child::spawn("killed::child_publishes", &[&endpoint, &life.to_string()]);
        endpoint = publisher.hear();
        if life == 1 {
            sub.connect(&endpoint).unwrap();
        }
        let mut heard = 0;
        while heard < 1000 {
            let frames = sub.recv_multipart().unwrap();
            assert_eq!(frames.len(), 3);
            let value = number_in(&frames[1]);
            let now = (value, frames[0].len());
            assert!(frames[0] == *"wanted" || frames[0] == *"wanted too");
            assert!(last.is_none_or(|last| last < now), "{now:?} after {last:?}");
            assert_same(&frames[2], &body(value as u32 as usize % 100, 500), "the body");
            last = Some(now);
            heard += usize::from(value >> 32 == life);
        }
        publisher.kill();
        assert_eq!(sub.peers(), 1, "the endpoint is still connected to");
    }
}

/// Pushes large messages for ever.
#[test]
#[ignore = "a child's part"]
fn child_pushes() {
    let arguments = child_arguments!();
    let life: u64 = arguments[1].parse().unwrap();
    let mut push = Push::builder().send_high_water_mark(10).build(&Context::new()).unwrap();
    push.connect(&arguments[0]).unwrap();
    let bodies: Vec<_> = (0..3).map(|seed| body(seed, LARGE)).collect();
    for count in 0.. {
        push.send_more(&number((life << 32) + count)).unwrap();
        push.send_more(&bodies[count as usize % 3]).unwrap();
        push.send(&bodies[(count as usize + 1) % 3]).unwrap();
    }
}

/// It is hardly ever between two messages when it is killed.
fn nothing_partial_comes_of_a_pusher_that_is_killed<G: Ground>(cell: &Cell<G>) {
    let mut pull = Pull::builder().receive_high_water_mark(5).build(&cell.context).unwrap();
    let endpoint = pull.bind(&cell.endpoint()).unwrap();
    let bodies: Vec<_> = (0..3).map(|seed| body(seed, LARGE)).collect();
    for life in 1..=LIVES {
        cell.watchdog.pat();
        let mut push = child::spawn("killed::child_pushes", &[&endpoint, &life.to_string()]);
        let mut count = 0;
        let mut take = |frames: &[zring::Message]| {
            assert_eq!(frames.len(), 3);
            assert_eq!(number_in(&frames[0]), (life << 32) + count);
            assert_same(&frames[1], &bodies[count as usize % 3], "the second frame");
            assert_same(&frames[2], &bodies[(count as usize + 1) % 3], "the third frame");
            count += 1;
        };
        for _ in 0..20 {
            take(&pull.recv_multipart().unwrap());
        }
        push.kill();
        // What had come as a whole may still be there.
        cell.until(|| match pull.try_recv_multipart() {
            Ok(frames) => {
                take(&frames);
                false
            }
            Err(error) => {
                assert_eq!(error, Error::WouldBlock);
                pull.peers() == 0
            }
        });
        assert_eq!(pull.try_recv().err(), Some(Error::WouldBlock));
    }
}

/// Tells of each message that it has received, whole.
#[test]
#[ignore = "a child's part"]
fn child_pulls() {
    let arguments = child_arguments!();
    let mut pull = Pull::new(&Context::new()).unwrap();
    tell(&bind_when_free(&mut pull, &arguments[0]));
    loop {
        let frames = pull.recv_multipart().unwrap();
        assert_eq!(frames.len(), 2);
        let value = number_in(&frames[0]);
        assert_same(&frames[1], &body(value as usize % 100, 3000), "the body");
        tell(&value.to_string());
    }
}

fn next_number(child: &mut Spawned) -> u64 {
    child.hear().parse().unwrap()
}

/// As [`next_number`], while this thread has to drive.
fn hear_meanwhile<G: Ground>(cell: &Cell<G>, child: &mut Spawned) -> u64 {
    std::thread::scope(|scope| {
        let number = scope.spawn(|| or_give_up(|| next_number(child)));
        cell.until(|| number.is_finished());
        number.join().expect("a panic has ended the process")
    })
}

/// In order, each at most once; after a loss it goes on with what was not begun.
fn nobody_hears_twice_what_a_killed_puller_has_heard<G: Ground>(cell: &Cell<G>) {
    let interval = Some(Duration::from_millis(1));
    let builder = Push::builder().reconnect_interval(interval).linger(Some(Duration::ZERO));
    let mut push = builder.build(&cell.context).unwrap();
    let mut endpoint = cell.endpoint();
    let (mut next, mut last) = (0, None);
    for life in 1..=LIVES {
        cell.watchdog.pat();
        let mut pull = child::spawn("killed::child_pulls", &[&endpoint]);
        endpoint = pull.hear();
        if life == 1 {
            push.connect(&endpoint).unwrap();
        }
        for _ in 0..300 {
            // More and more is under way than has been heard of.
            for _ in 0..2 {
                let frames = [&number(next)[..], &body(next as usize % 100, 3000)];
                match push.try_send_multipart(frames) {
                    Ok(()) => next += 1,
                    Err(error) => assert_eq!(error, Error::WouldBlock),
                }
            }
            push.flush().unwrap();
            if G::IS_LOCAL {
                G::pause(&cell.context);
                continue;
            }
            let now = next_number(&mut pull);
            assert!(last.is_none_or(|last| last < now), "{now} after {last:?}");
            last = Some(now);
        }
        if G::IS_LOCAL {
            let now = hear_meanwhile(cell, &mut pull);
            assert!(last.is_none_or(|last| last < now), "{now} after {last:?}");
            last = Some(now);
        }
        pull.kill();
        let (_, words) = pull.end();
        for now in words.iter().map(|word| word.parse().unwrap()) {
            assert!(last.is_none_or(|last| last < now), "{now} after {last:?}");
            last = Some(now);
        }
    }
}

cells!(
    [Threads, Caller] x [Tcp, Ipc]:
    a_subscriber_survives_its_publisher,
    nothing_partial_comes_of_a_pusher_that_is_killed,
    nobody_hears_twice_what_a_killed_puller_has_heard,
);

/// A name of the abstract kind ends with its process, so that the next one can have it.
#[test]
fn a_killed_process_leaves_no_name_behind() {
    let cell = Cell::<Threads>::new(Transport::Ipc);
    let endpoint = cell.endpoint();
    let mut child = child::spawn("killed::child_pulls", &[&endpoint]);
    assert_eq!(child.hear(), endpoint);
    let mut pull = Pull::new(&cell.context).unwrap();
    pull.bind(&endpoint).unwrap_err();
    child.kill();
    assert_eq!(bind_when_free(&mut pull, &endpoint), endpoint);
}
