//! Passers-by: peers that come, say something or nothing, and go, and do so for ever.
//!
//! What they have said is received; nothing else is left of them. That is counted where it is kept,
//! in the tests of `transports`.

use std::collections::BTreeSet;
use std::io::Read;
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};

use tests::{Cell, Ground, cells};
use zring::pattern::Pattern;
use zring::{Dealer, Driver, Pair, Pub, Pull, Push, Rep, Router, Socket, Sub, XPub};

use crate::raw::{dial, frame, handshake, hear};

/// As many peers as may be gone and have left something, before others have to wait.
const REMNANTS_MAX: usize = 4096;
/// With those that wait in the kernel.
const PEERS: usize = REMNANTS_MAX + 200;

/// A peer says that, is heard, and goes.
fn pass(endpoint: &str, words: &[u8]) {
    let mut stream = dial(endpoint, words);
    // What is unread when it closes would have the kernel reset the connection.
    let mut hello = vec![0; handshake("PULL").len()];
    stream.read_exact(&mut hello).unwrap();
}

/// While the socket makes no call, and then goes on to come.
fn what_all_said_who_are_gone_is_received<G: Ground>(cell: &Cell<G>) {
    let mut pull = Pull::new(&cell.context).unwrap();
    let endpoint = pull.bind(&cell.endpoint()).unwrap();
    let passed = AtomicUsize::new(0);
    let others = || {
        for index in 0..PEERS {
            let number = u32::try_from(index).unwrap().to_be_bytes();
            pass(&endpoint, &[handshake("PUSH"), frame(0, &number)].concat());
            passed.fetch_add(1, Ordering::Relaxed);
        }
    };
    cell.beside(
        |_| others(),
        |_| {
            cell.until(|| {
                cell.watchdog.pat();
                passed.load(Ordering::Relaxed) >= REMNANTS_MAX
            });
            let mut heard = BTreeSet::new();
            for _ in 0..PEERS {
                let message = pull.recv().unwrap();
                assert!(heard.insert(message.to_vec()), "{message:?} came twice");
                cell.watchdog.pat();
            }
        },
    );
    let mut push = Push::new(&cell.context).unwrap();
    push.connect(&endpoint).unwrap();
    push.send("late").unwrap();
    assert_eq!(pull.recv().unwrap(), "late");
    cell.until(|| pull.counters().len() == 1);
}

cells!([Threads, TwoThreads] x [Tcp]: what_all_said_who_are_gone_is_received);

/// The socket is asked for its peers, and for nothing else.
fn let_go<P: Pattern, D: Driver, G: Ground<Driver = D>>(
    cell: &Cell<G>,
    mut socket: Socket<P, D>,
    peer_type: &str,
    words: &[u8],
) {
    let endpoint = socket.bind(&cell.endpoint()).unwrap();
    for _ in 0..3 {
        let hello = handshake("SUB").len();
        let mut peers = [(); 3].map(|()| dial(&endpoint, &handshake(peer_type)));
        let mut hear_hello = |peer: &mut TcpStream| {
            hear(cell, peer, &mut Vec::new(), |heard| heard.len() >= hello);
        };
        peers.iter_mut().for_each(&mut hear_hello);
        cell.until(|| socket.peers() > 0);
        peers.iter_mut().for_each(|peer| std::io::Write::write_all(peer, words).unwrap());
        drop(peers);
        cell.until(|| socket.counters().is_empty());
    }
}

fn who_has_said_nothing_is_let_go_without_a_receive<G: Ground>(cell: &Cell<G>) {
    let context = &cell.context;
    let subscription = frame(0, b"\x01a");
    let_go(cell, Pull::new(context).unwrap(), "PUSH", b"");
    let_go(cell, Dealer::new(context).unwrap(), "DEALER", b"");
    let_go(cell, Router::new(context).unwrap(), "DEALER", b"");
    let_go(cell, Rep::new(context).unwrap(), "REQ", b"");
    let_go(cell, Pair::new(context).unwrap(), "PAIR", b"");
    let_go(cell, Sub::new(context).unwrap(), "PUB", b"");
    let_go(cell, Pub::new(context).unwrap(), "SUB", &subscription);
    let_go(cell, XPub::new(context).unwrap(), "SUB", &subscription);
    let_go(cell, Push::new(context).unwrap(), "PULL", b"");
}

cells!([Threads, Caller] x [Tcp]: who_has_said_nothing_is_let_go_without_a_receive);

/// Words of one peer.
const WORDS: usize = 8;
/// More than its subscription and its words, and fewer than those of two.
const WORDS_MARK: usize = 10;

/// An XPUB that does not receive keeps no more than its mark of what they have said, and the rest
/// with their pipes, which are counted.
fn what_many_said_to_an_xpub_waits_in_their_pipes<G: Ground>(cell: &Cell<G>) {
    let builder = XPub::builder().receive_high_water_mark(WORDS_MARK);
    let mut publisher = builder.build(&cell.context).unwrap();
    let endpoint = publisher.bind(&cell.endpoint()).unwrap();
    let hello = handshake("XPUB").len();
    let mut words = frame(0, b"\x01topic");
    (0..WORDS).for_each(|_| words.extend(frame(0, b"word")));
    for _ in 0..5 {
        let mut peer = dial(&endpoint, &handshake("SUB"));
        hear(cell, &mut peer, &mut Vec::new(), |heard| heard.len() >= hello);
        cell.until(|| publisher.peers() == 1);
        std::io::Write::write_all(&mut peer, &words).unwrap();
        drop(peer);
        cell.until(|| publisher.peers() == 0);
        publisher.send("nobody hears").unwrap();
    }
    assert_eq!(publisher.counters().len(), 4);
    let mut reports = 0;
    for _ in 0..5 * WORDS {
        while publisher.recv().unwrap() != "word" {
            reports += 1;
        }
    }
    cell.until(|| {
        reports += usize::from(publisher.try_recv().is_ok());
        publisher.counters().is_empty()
    });
    while publisher.try_recv().is_ok() {
        reports += 1;
    }
    assert!((2..=10).contains(&reports) && reports % 2 == 0, "{reports} reports");
}

cells!([Threads, Caller] x [Tcp]: what_many_said_to_an_xpub_waits_in_their_pipes);
