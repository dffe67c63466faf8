//! PUSH and PULL: work is dealt out in turn and taken in turn, message by message. RFC 30.

use std::sync::mpsc::{TryRecvError, channel};
use std::time::Duration;

use tests::bytes::{number, number_in};
use tests::{Cell, Ground, cells};
use zring::pattern::{Pull as PullPattern, Push as PushPattern};
use zring::{Bytes, Error, Pull, Push, Socket};

const WORKERS: usize = 3;
const ROUNDS: u64 = 50;

type Pulls<G> = Vec<Socket<PullPattern, <G as Ground>::Driver>>;

/// Sends so many messages of one to three frames, each with its number in all frames.
fn deal<G: Ground>(push: &mut Socket<PushPattern, G::Driver>, count: u64) {
    for value in 0..count {
        let frames = vec![number(value); 1 + (value % 3) as usize];
        push.send_multipart(frames.iter()).unwrap();
    }
    push.flush().unwrap();
}

/// Receives what one worker got: whole messages, whose numbers it answers.
fn take<G: Ground>(pull: &mut Socket<PullPattern, G::Driver>, count: u64) -> Vec<u64> {
    let mut numbers = Vec::new();
    for _ in 0..count {
        let frames = pull.recv_multipart().unwrap();
        let value = number_in(&frames[0]);
        assert_eq!(frames.len() as u64, 1 + value % 3, "frames of message {value}");
        assert!(frames.iter().all(|frame| number_in(frame) == value));
        numbers.push(value);
    }
    numbers
}

fn assert_dealt_in_turn<G: Ground>(
    cell: &Cell<G>,
    push: &mut Socket<PushPattern, G::Driver>,
    pulls: &mut Pulls<G>,
) {
    deal::<G>(push, ROUNDS * WORKERS as u64);
    for pull in pulls {
        let numbers = take::<G>(pull, ROUNDS);
        let steps = numbers.windows(2).map(|pair| pair[1] - pair[0]);
        assert!(steps.into_iter().all(|step| step == WORKERS as u64), "{numbers:?}");
        assert_eq!(pull.try_recv().err(), Some(Error::WouldBlock));
        cell.watchdog.pat();
    }
}

fn messages_are_dealt_in_turn_to_those_who_came<G: Ground>(cell: &Cell<G>) {
    let mut push = Push::new(&cell.context).unwrap();
    let endpoint = push.bind(&cell.endpoint()).unwrap();
    let mut pulls: Pulls<G> = (0..WORKERS).map(|_| Pull::new(&cell.context).unwrap()).collect();
    for pull in &mut pulls {
        pull.connect(&endpoint).unwrap();
    }
    cell.until(|| push.peers() == WORKERS);
    assert_dealt_in_turn(cell, &mut push, &mut pulls);
}

/// Endpoints that are being connected to count, connected or not.
fn messages_are_dealt_in_turn_to_those_connected_to<G: Ground>(cell: &Cell<G>) {
    let mut push = Push::new(&cell.context).unwrap();
    let mut pulls: Pulls<G> = (0..WORKERS).map(|_| Pull::new(&cell.context).unwrap()).collect();
    for pull in &mut pulls {
        push.connect(&pull.bind(&cell.endpoint()).unwrap()).unwrap();
    }
    assert_eq!(push.peers(), WORKERS);
    assert_dealt_in_turn(cell, &mut push, &mut pulls);
}

fn messages_are_taken_whole_from_many<G: Ground>(cell: &Cell<G>) {
    let mut pull = Pull::new(&cell.context).unwrap();
    let endpoint = pull.bind(&cell.endpoint()).unwrap();
    let mut pushes = Vec::new();
    for sender in 0..WORKERS as u64 {
        let mut push = Push::new(&cell.context).unwrap();
        push.connect(&endpoint).unwrap();
        for value in 0..ROUNDS {
            let frames = vec![[sender as u8, value as u8]; 1 + (value % 4) as usize];
            push.send_multipart(frames.iter()).unwrap();
        }
        push.flush().unwrap();
        pushes.push(push);
    }
    let mut next = [0; WORKERS];
    for _ in 0..ROUNDS * WORKERS as u64 {
        let frames = pull.recv_multipart().unwrap();
        let [sender, value] = frames[0][..] else { panic!("two bytes") };
        assert_eq!(value, next[usize::from(sender)], "order of sender {sender}");
        next[usize::from(sender)] += 1;
        assert_eq!(frames.len(), 1 + usize::from(value % 4));
        assert!(frames.iter().all(|frame| *frame == [sender, value]));
    }
    assert_eq!(next, [ROUNDS as u8; WORKERS]);
}

/// With everything there already, the turns are exact.
fn what_waits_is_taken_in_turn<G: Ground>(cell: &Cell<G>) {
    let mut pull = Pull::new(&cell.context).unwrap();
    let endpoint = pull.bind(&cell.endpoint()).unwrap();
    let mut pushes: Vec<_> = (0..WORKERS).map(|_| Push::new(&cell.context).unwrap()).collect();
    for (sender, push) in pushes.iter_mut().enumerate() {
        push.connect(&endpoint).unwrap();
        for _ in 0..10 {
            push.send_multipart([[sender as u8], [sender as u8]].iter()).unwrap();
        }
    }
    let first: Vec<_> = (0..WORKERS).map(|_| pull.recv_multipart().unwrap()[0][0]).collect();
    for _ in 1..10 {
        let round: Vec<_> = (0..WORKERS).map(|_| pull.recv_multipart().unwrap()[0][0]).collect();
        assert_eq!(round, first, "the same turn again");
    }
    let mut senders = first;
    senders.sort_unstable();
    assert_eq!(senders, [0, 1, 2]);
}

/// A peer that sends without end does not keep another's one message from being received.
fn a_flood_does_not_starve_others<G: Ground>(cell: &Cell<G>) {
    let mut pull = Pull::new(&cell.context).unwrap();
    let endpoint = pull.bind(&cell.endpoint()).unwrap();
    let there = &endpoint;
    let (stop, is_stopped) = channel::<()>();
    cell.beside(
        move |context| {
            let builder = Push::builder().linger(Some(Duration::ZERO));
            let mut flood = builder.send_timeout(Some(TICK)).build(context).unwrap();
            flood.connect(there).unwrap();
            while is_stopped.try_recv() == Err(TryRecvError::Empty) {
                match flood.send("flood") {
                    Ok(()) | Err(Error::WouldBlock) => {}
                    Err(error) => panic!("{error}"),
                }
            }
        },
        |context| {
            for _ in 0..5000 {
                assert_eq!(pull.recv().unwrap(), "flood");
            }
            let mut one = Push::new(context).unwrap();
            one.connect(&endpoint).unwrap();
            one.send("one").unwrap();
            while pull.recv().unwrap() != "one" {}
            drop(stop);
        },
    );
}

const TICK: Duration = Duration::from_millis(20);

fn without_a_peer_nothing_is_sent<G: Ground>(cell: &Cell<G>) {
    let mut push = Push::builder().send_timeout(Some(TICK)).build(&cell.context).unwrap();
    push.bind(&cell.endpoint()).unwrap();
    assert_eq!(push.try_send("nobody"), Err(Error::WouldBlock));
    assert_eq!(push.send("nobody"), Err(Error::WouldBlock));
    assert_eq!(push.peers(), 0);
}

/// Within a context a body that its sender owned is the receiver's own.
fn a_large_body_is_not_copied<G: Ground>(cell: &Cell<G>) {
    let mut pull = Pull::new(&cell.context).unwrap();
    let mut push = Push::new(&cell.context).unwrap();
    push.connect(&pull.bind(&cell.endpoint()).unwrap()).unwrap();
    let body = Bytes::from(vec![7; 64 * 1024]);
    push.send(body.clone()).unwrap();
    let found = pull.recv().unwrap();
    assert_eq!(found, body);
    assert_eq!(found.as_ptr(), body.as_ptr());
    assert_eq!(found.into_bytes().as_ptr(), body.as_ptr());
}

cells!(
    [Threads, TwoThreads, Caller] x [Tcp, Ipc, Inproc]:
    messages_are_dealt_in_turn_to_those_who_came,
    messages_are_dealt_in_turn_to_those_connected_to,
    messages_are_taken_whole_from_many,
    without_a_peer_nothing_is_sent,
);
cells!([Threads, Caller] x [Inproc]: a_large_body_is_not_copied, what_waits_is_taken_in_turn);
cells!([Threads, TwoThreads] x [Tcp, Ipc, Inproc]: a_flood_does_not_starve_others);

mod on_two_threads {
    use super::*;

    cells!([Caller] x [Tcp, Ipc]: a_flood_does_not_starve_others);
}
